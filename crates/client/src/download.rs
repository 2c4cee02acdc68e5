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
/// A piece of a file comes at least so often.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

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
        let mut response = self.send(call).await?;
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
        let fetched = patiently(PATIENCE, LONGEST_WAIT, Error::is_temporary, || async {
            let call = self.foreign_call(url);
            let what = call.what.clone();
            let response = self.send(call).await?;
            self.read(&what, response, max_bytes).await
        });
        tokio::select! {
            result = fetched => result,
            () = cancel.cancelled() => Err(Error::LeaseLost { what: format!("fetch {url}") }),
        }
    }

    /// Fetches bytes of any address into memory: exactly those of the range.
    pub async fn fetch_range(&self, url: &str, range: Range<u64>, cancel: &Cancel) -> Result<Bytes, Error> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let length = range.end - range.start;
        let fetched = patiently(PATIENCE, LONGEST_WAIT, Error::is_temporary, || async {
            let call = self.foreign_call(url);
            let what = call.what.clone();
            let response = self.send(call.header(RANGE, format!("bytes={}-{}", range.start, range.end - 1))).await?;
            let is_part = response.status() == reqwest::StatusCode::PARTIAL_CONTENT;
            let bytes = if is_part { self.read(&what, response, length).await? } else { Bytes::new() };
            match is_part && bytes.len() as u64 == length {
                true => Ok(bytes),
                false => Err(Error::Answer { what, reason: "it is not the part that was asked for".to_string() }),
            }
        });
        tokio::select! {
            result = fetched => result,
            () = cancel.cancelled() => Err(Error::LeaseLost { what: format!("fetch {url}") }),
        }
    }

    /// Returns the log of a task from byte `offset` on, at most `max_bytes` of it.
    pub async fn log(&self, task: TaskId, offset: u64, max_bytes: u64) -> Result<Bytes, Error> {
        let call = self.call(Method::GET, &format!("api/v1/tasks/{task}/log"));
        let Call { what, .. } = &call;
        let what = what.clone();
        let last = offset.saturating_add(max_bytes.max(1) - 1);
        let response = match self.send(call.header(RANGE, format!("bytes={offset}-{last}"))).await {
            // There is nothing yet at that place.
            Err(Error::Api { status: 416, .. }) => return Ok(Bytes::new()),
            other => other?,
        };
        let skipped = if response.status() == reqwest::StatusCode::PARTIAL_CONTENT { 0 } else { offset };
        let bytes = self.read(&what, response, skipped.saturating_add(max_bytes)).await?;
        Ok(bytes.slice((skipped as usize).min(bytes.len())..))
    }

    async fn next_piece(&self, what: &str, response: &mut reqwest::Response) -> Result<Option<Bytes>, Error> {
        match tokio::time::timeout(IDLE_TIMEOUT, response.chunk()).await {
            Ok(piece) => piece.map_err(|error| self.broken(what, error)),
            Err(_) => Err(Error::Unreachable {
                server: response.url().origin().ascii_serialization(),
                what: what.to_string(),
                reason: format!("nothing came for {} seconds", IDLE_TIMEOUT.as_secs()),
            }),
        }
    }
}
