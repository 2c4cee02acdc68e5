//! A node that does nothing but claim: it shares the machine with the master that is measured, and so is as cheap as can be.

use anima_types::id::TaskId;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::master::Api;

/// Bytes that are read at once; a lease is some kilobytes.
const PIECE: usize = 16 << 10;

/// One connection.
pub struct Claimer {
    stream: TcpStream,
    request: Vec<u8>,
    /// What has come of answers and was not read yet.
    came: Vec<u8>,
}

/// What is read of a lease.
#[derive(Deserialize)]
struct Given {
    task: TaskId,
}

impl Claimer {
    /// Connects as a node.
    pub async fn connect(api: &Api, node: usize) -> Result<Claimer> {
        let stream = TcpStream::connect(api.address()).await?;
        stream.set_nodelay(true)?;
        let body = serde_json::to_string(&Api::said(node, 0))?;
        let request = format!(
            "POST /api/v1/leases HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            api.address(),
            api.node_token(),
            body.len(),
        );
        Ok(Claimer { stream, request: request.into_bytes(), came: Vec::new() })
    }

    /// Asks for a task.
    pub async fn claim(&mut self) -> Result<Option<TaskId>> {
        self.stream.write_all(&self.request).await?;
        let head = loop {
            if let Some(end) = self.came.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = self.came.split_off(end + 4);
                break String::from_utf8(std::mem::replace(&mut self.came, rest))?;
            }
            self.read().await?;
        };
        let status: u16 = head.split(' ').nth(1).context("an answer has no status")?.parse()?;
        if status == 204 {
            return Ok(None);
        }
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let length: usize = length.context("an answer has no length")?;
        while self.came.len() < length {
            self.read().await?;
        }
        let rest = self.came.split_off(length);
        let body = std::mem::replace(&mut self.came, rest);
        match status {
            200 => Ok(Some(serde_json::from_slice::<Given>(&body)?.task)),
            _ => bail!("a claim was answered with {status}: {}", String::from_utf8_lossy(&body)),
        }
    }

    async fn read(&mut self) -> Result<()> {
        self.came.reserve(PIECE);
        let count = self.stream.read_buf(&mut self.came).await?;
        ensure!(count > 0, "the master closed the connection");
        Ok(())
    }
}
