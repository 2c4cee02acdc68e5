//! The logs of tasks, which grow while somebody reads them, and are compressed when their task has ended.

mod bucket;
mod folder;

use std::{io, sync::Arc, time::SystemTime};

use anima_types::{
    id::TaskId,
    lease::{MAX_LOG_BYTES, MAX_LOG_PIECE_BYTES},
    task_log::{KEPT_ATTEMPTS, LogId, LogName},
};
use bytes::Bytes;

use self::{bucket::Bucket, folder::Folder};
use crate::{
    address::Address,
    error::{Error, blocking},
};

/// What [`LogStore::read_range`] gives at most at once: whoever wants more asks again.
pub const LOG_READ_BYTES: usize = MAX_LOG_PIECE_BYTES;

/// The logs, beside the artifacts in a folder or a bucket. Clones share it.
#[derive(Clone, Debug)]
pub struct LogStore {
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Folder(Arc<Folder>),
    Bucket(Arc<Bucket>),
}

/// A log that is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub struct LogEntry {
    /// Which.
    pub log: LogId,
    /// When it was compressed, and to how many bytes: while both stay, so does the log. Nothing where it may grow.
    pub sealed: Option<(SystemTime, u64)>,
}

/// A log that is being read.
#[derive(Clone, Debug)]
pub struct LogReader {
    log: LogId,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Folder(Arc<folder::Content>),
    Bucket(Arc<bucket::Content>),
}

impl LogStore {
    /// Opens the logs of a [`crate::Store`].
    pub async fn open(address: impl Into<Address>) -> Result<LogStore, Error> {
        LogStore::open_bounded(address, MAX_LOG_BYTES).await
    }

    /// As [`LogStore::open`], with another bound on each log than [`MAX_LOG_BYTES`].
    pub async fn open_bounded(address: impl Into<Address>, max_bytes: u64) -> Result<LogStore, Error> {
        let place = match address.into() {
            Address::Folder(dir) => {
                Place::Folder(Arc::new(blocking(move || Folder::open(dir.join("logs"), max_bytes)).await?))
            }
            Address::Bucket(address) => Place::Bucket(Arc::new(Bucket::open(*address, max_bytes)?)),
        };
        Ok(LogStore { place })
    }

    /// Appends a piece that begins at `offset`, and returns the log's size. A piece that was sent before is welcome
    /// again if its bytes are equal; one that begins after the end is refused with the size that it has to begin at.
    /// After [`Error::DiskFull`] the log has some of the piece or none; the same piece may be sent again.
    pub async fn append(&self, log: impl Into<LogId>, offset: u64, piece: impl Into<Bytes>) -> Result<u64, Error> {
        let (log, piece) = (log.into(), piece.into());
        match &self.place {
            Place::Folder(folder) => in_folder(folder, move |folder| folder.append(log, offset, &piece)).await,
            Place::Bucket(bucket) => bucket.append(log, offset, piece).await,
        }
    }

    /// Opens a log for reading. One that is not there reads as empty.
    pub async fn reader(&self, log: impl Into<LogId>) -> Result<LogReader, Error> {
        let log = log.into();
        let content = match &self.place {
            Place::Folder(folder) => {
                let open = move |folder: &Folder| folder.content(log).map_err(|error| unreadable(log, error));
                Content::Folder(Arc::new(in_folder(folder, open).await?))
            }
            Place::Bucket(bucket) => Content::Bucket(Arc::new(bucket.clone().content(log).await?)),
        };
        Ok(LogReader { log, content })
    }

    /// Returns the bytes from `offset` on, at most `max_bytes` and at most [`LOG_READ_BYTES`].
    pub async fn read_range(&self, log: impl Into<LogId>, offset: u64, max_bytes: usize) -> Result<Bytes, Error> {
        self.reader(log).await?.read(offset, max_bytes).await
    }

    /// Returns the log's size in bytes; 0 if it is not there.
    pub async fn size(&self, log: impl Into<LogId>) -> Result<u64, Error> {
        self.reader(log).await?.size().await
    }

    /// Drops what is too much when an attempt is over and another begins: of earlier attempts the newest
    /// [`anima_types::task_log::KEPT_ATTEMPTS`] are kept. Logs that have no attempt in their names, from before they had, become
    /// those of the one that is over. It may take long, and be done late or twice.
    pub async fn put_aside(&self, task: TaskId, attempt: i64) -> Result<(), Error> {
        match &self.place {
            Place::Folder(folder) => in_folder(folder, move |folder| folder.put_aside(task, attempt)).await,
            Place::Bucket(bucket) => bucket.put_aside(task, attempt).await,
        }
    }

    /// Drops all logs of a task of which `attempt` was the last.
    pub async fn remove(&self, task: TaskId, attempt: i64) -> Result<(), Error> {
        let attempts = (attempt - KEPT_ATTEMPTS).max(1)..=attempt;
        let logs = attempts.map(Some).chain([None]);
        let logs = logs.flat_map(|attempt| LogName::ALL.map(|name| LogId { task, name, attempt }));
        match &self.place {
            Place::Folder(folder) => {
                let logs: Vec<LogId> = logs.collect();
                in_folder(folder, move |folder| logs.into_iter().try_for_each(|log| folder.remove(log))).await
            }
            Place::Bucket(bucket) => {
                for log in logs {
                    bucket.remove(log).await?;
                }
                Ok(())
            }
        }
    }

    /// Makes sure that an attempt's logs outlive a power cut: for its end.
    pub async fn sync(&self, task: TaskId, attempt: i64) -> Result<(), Error> {
        match &self.place {
            Place::Folder(folder) => in_folder(folder, move |folder| folder.sync(task, attempt)).await,
            // What the object store has answered for is its to keep.
            Place::Bucket(_) => Ok(()),
        }
    }

    /// Compresses a log to which nothing more will come; returns whether there was one to compress.
    pub async fn seal(&self, log: LogId) -> Result<bool, Error> {
        match &self.place {
            Place::Folder(folder) => {
                let seal = move |folder: &Folder| {
                    folder.seal(log).map_err(|error| Error::io(format!("compress log {log}"), error))
                };
                in_folder(folder, seal).await
            }
            Place::Bucket(bucket) => bucket.seal(log).await,
        }
    }

    /// Returns all logs, in no order.
    pub async fn list(&self) -> Result<Vec<LogEntry>, Error> {
        match &self.place {
            Place::Folder(folder) => in_folder(folder, Folder::list).await,
            Place::Bucket(bucket) => bucket.list().await,
        }
    }

    /// Returns the logs that are not compressed, in no order.
    pub async fn unsealed(&self) -> Result<Vec<LogId>, Error> {
        match &self.place {
            Place::Folder(folder) => in_folder(folder, Folder::unsealed).await,
            Place::Bucket(bucket) => bucket.unsealed().await,
        }
    }
}

impl LogReader {
    /// Returns the log's size in bytes now.
    pub async fn size(&self) -> Result<u64, Error> {
        match &self.content {
            Content::Folder(content) => content.size().map_err(|error| unreadable(self.log, error)),
            Content::Bucket(content) => Ok(content.size()),
        }
    }

    /// Returns the bytes from `offset` on, at most `max_bytes` and at most [`LOG_READ_BYTES`].
    pub async fn read(&self, offset: u64, max_bytes: usize) -> Result<Bytes, Error> {
        let (log, max_bytes) = (self.log, max_bytes.min(LOG_READ_BYTES));
        match &self.content {
            Content::Folder(content) => {
                let content = content.clone();
                blocking(move || content.read(offset, max_bytes).map_err(|error| unreadable(log, error))).await
            }
            Content::Bucket(content) => content.clone().read(offset, max_bytes).await,
        }
    }
}

async fn in_folder<T: Send + 'static>(
    folder: &Arc<Folder>,
    work: impl FnOnce(&Folder) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let folder = folder.clone();
    blocking(move || work(&folder)).await
}

fn unreadable(log: LogId, error: io::Error) -> Error {
    Error::io(format!("read log {log}"), error)
}
