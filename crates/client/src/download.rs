//! Files that come from the master, or from wherever a lease says, onto this machine's disk.

use std::{ops::Range, path::Path, time::Duration};

use anima_types::{Sha256, id::TaskId, work::FileRef};
use bytes::Bytes;
use reqwest::{Method, header::RANGE};
use sha2::{Digest, Sha256 as Hasher};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;

use crate::{
    error::Error,
    http::{Call, Client},
    lease::{Cancel, PATIENCE},
    retry::patiently,
};

const LONGEST_WAIT: Duration = Duration::from_secs(5);

impl Client {
    /// Fetches a file of a lease to `path`, verifies it, and repeats over a restart of the master. It is there whole,
    /// or not at all.
    pub async fn fetch(&self, file: &FileRef, path: &Path, cancel: &Cancel) -> Result<(), Error> {
        let fetched = patiently(PATIENCE, LONGEST_WAIT, Error::is_temporary, || self.fetch_once(file, path));
        tokio::select! {
            result = fetched => result,
            () = cancel.cancelled() => Err(Error::LeaseLost { what: format!("fetch {}", file.name) }),
        }
    }

    async fn fetch_once(&self, file: &FileRef, path: &Path) -> Result<(), Error> {
        let broken_file = |error| Error::file("write", path, error);
        let dir = path.parent().unwrap_or(Path::new("."));
        let (temporary, temporary_path) = NamedTempFile::new_in(dir).map_err(broken_file)?.into_parts();
        let (mut temporary, mut hasher, mut size_bytes) = (tokio::fs::File::from_std(temporary), Hasher::new(), 0);
        let call = self.foreign_call(&file.url);
        let what = call.what.clone();
        let mut response = self.send_for_file(call).await?;
        while let Some(piece) = self.next_piece(&what, &mut response).await? {
            size_bytes += piece.len() as u64;
            if size_bytes > file.size_bytes {
                return Err(Error::TooLong { what, max_bytes: file.size_bytes });
            }
            hasher.update(&piece);
            temporary.write_all(&piece).await.map_err(broken_file)?;
        }
        let actual = Sha256(hasher.finalize().into());
        if actual != file.sha256 {
            return Err(Error::WrongHash { name: file.name.clone(), expected: file.sha256, actual });
        }
        temporary.flush().await.map_err(broken_file)?;
        temporary_path.persist(path).map_err(|error| broken_file(error.error))
    }

    /// Fetches any address into memory, if it is not longer than allowed.
    pub async fn fetch_bytes(&self, url: &str, max_bytes: u64, cancel: &Cancel) -> Result<Bytes, Error> {
        let fetched = patiently(PATIENCE, LONGEST_WAIT, Error::is_temporary, || self.bytes_once(url, max_bytes));
        tokio::select! {
            result = fetched => result,
            () = cancel.cancelled() => Err(Error::LeaseLost { what: format!("fetch {url}") }),
        }
    }

    async fn bytes_once(&self, url: &str, max_bytes: u64) -> Result<Bytes, Error> {
        let call = self.foreign_call(url);
        let what = call.what.clone();
        let response = self.send_for_file(call).await?;
        self.read(&what, response, max_bytes).await
    }

    /// Fetches bytes of any address into memory: exactly those of the range.
    pub async fn fetch_range(&self, url: &str, range: Range<u64>, cancel: &Cancel) -> Result<Bytes, Error> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let fetched = patiently(PATIENCE, LONGEST_WAIT, Error::is_temporary, || self.range_once(url, &range));
        tokio::select! {
            result = fetched => result,
            () = cancel.cancelled() => Err(Error::LeaseLost { what: format!("fetch {url}") }),
        }
    }

    async fn range_once(&self, url: &str, range: &Range<u64>) -> Result<Bytes, Error> {
        let length = range.end - range.start;
        let call = self.foreign_call(url).header(RANGE, format!("bytes={}-{}", range.start, range.end - 1));
        let what = call.what.clone();
        let response = self.send_for_file(call).await?;
        let is_part = response.status() == reqwest::StatusCode::PARTIAL_CONTENT;
        let bytes = if is_part { self.read(&what, response, length).await? } else { Bytes::new() };
        match is_part && bytes.len() as u64 == length {
            true => Ok(bytes),
            false => Err(Error::Answer { what, reason: "it is not the part that was asked for".to_string() }),
        }
    }

    /// Returns the log of a task from byte `offset` on, at most `max_bytes` of it.
    pub async fn log(&self, task: TaskId, offset: u64, max_bytes: u64) -> Result<Bytes, Error> {
        let call = self.call(Method::GET, &format!("api/v1/tasks/{task}/log"));
        let Call { what, .. } = &call;
        let what = what.clone();
        let last = offset.saturating_add(max_bytes.max(1) - 1);
        let response = match self.send_for_file(call.header(RANGE, format!("bytes={offset}-{last}"))).await {
            // There is nothing yet at that place.
            Err(Error::Api { status: 416, .. }) => return Ok(Bytes::new()),
            other => other?,
        };
        let skipped = if response.status() == reqwest::StatusCode::PARTIAL_CONTENT { 0 } else { offset };
        let bytes = self.read(&what, response, skipped.saturating_add(max_bytes)).await?;
        Ok(bytes.slice((skipped as usize).min(bytes.len())..))
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// A server that accepts, says this, and then nothing more.
    async fn silent_after(said: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/file", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                // An answer before the question would be another fault.
                let _ = stream.read(&mut [0; 1024]).await.unwrap();
                stream.write_all(said.as_bytes()).await.unwrap();
                held.push(stream);
            }
        });
        url
    }

    #[tokio::test]
    async fn a_server_that_accepts_and_says_nothing_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let mut client = Client::new("http://localhost", None).unwrap();
        client.idle_timeout = Duration::from_millis(50);
        for said in ["", "HTTP/1.1 206 Partial Content\r\ncontent-length: 10\r\n\r\n12345"] {
            let url = silent_after(said).await;
            let file = FileRef { sha256: Sha256([0; 32]), name: "file".into(), url: url.clone(), size_bytes: 10 };

            let answers = [
                client.fetch_once(&file, &folder.path().join("file")).await.unwrap_err(),
                client.bytes_once(&url, 10).await.unwrap_err(),
                client.range_once(&url, &(0..10)).await.unwrap_err(),
            ];

            let server = url.trim_end_matches("/file");
            let expected = format!("could not reach {server} (GET {url}): nothing came for 0.05 seconds");
            for error in answers {
                assert!(error.is_temporary() && error.to_string() == expected, "{error}");
            }
        }
    }
}
