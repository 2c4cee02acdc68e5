//! The logs of tasks, which grow while somebody reads them, and are compressed when their task has ended.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anima_types::{
    id::TaskId,
    lease::{MAX_LOG_BYTES, MAX_LOG_PIECE_BYTES},
    task_log::{KEPT_ATTEMPTS, LogId, LogName},
};
use bytes::Bytes;

use crate::{
    error::{Error, blocking},
    seekable::{self, Frames},
};

/// What [`LogStore::read_range`] gives at most at once: whoever wants more asks again.
pub const LOG_READ_BYTES: usize = MAX_LOG_PIECE_BYTES;

/// Appends to one task's logs come one after the other; tasks share this many locks.
const LOCK_COUNT: usize = 64;
/// The end of a compressed log's name.
const SEALED: &str = ".zst";

/// The logs in one local folder, beside the artifacts. Clones share it.
#[derive(Clone, Debug)]
pub struct LogStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    max_bytes: u64,
    locks: [Mutex<()>; LOCK_COUNT],
}

/// A log that is being read: it stays the same log, also when another attempt begins another.
#[derive(Clone, Debug)]
pub struct LogReader {
    log: LogId,
    content: Arc<Content>,
}

#[derive(Debug)]
enum Content {
    Missing,
    Growing(File),
    Sealed(Frames),
}

impl LogStore {
    /// Opens the logs under the folder of a [`crate::Store`].
    pub async fn open(dir: impl Into<PathBuf>) -> Result<LogStore, Error> {
        LogStore::open_bounded(dir, MAX_LOG_BYTES).await
    }

    /// As [`LogStore::open`], with another bound on each log than [`MAX_LOG_BYTES`].
    pub async fn open_bounded(dir: impl Into<PathBuf>, max_bytes: u64) -> Result<LogStore, Error> {
        let dir = dir.into().join("logs");
        blocking(move || {
            fs::create_dir_all(&dir).map_err(|error| Error::io(format!("open logs {}", dir.display()), error))?;
            let locks = [const { Mutex::new(()) }; LOCK_COUNT];
            Ok(LogStore { inner: Arc::new(Inner { dir, max_bytes, locks }) })
        })
        .await
    }

    /// Appends a piece that begins at `offset`, and returns the log's size. A piece that was sent before is welcome
    /// again if its bytes are equal; one that begins after the end is refused with the size that it has to begin at.
    /// After [`Error::DiskFull`] the log has some of the piece or none; the same piece may be sent again.
    pub async fn append(&self, log: impl Into<LogId>, offset: u64, piece: impl Into<Bytes>) -> Result<u64, Error> {
        let (log, piece) = (log.into(), piece.into());
        self.blocking(move |inner| inner.append(log, offset, &piece)).await
    }

    /// Opens a log for reading. One that is not there reads as empty.
    pub async fn reader(&self, log: impl Into<LogId>) -> Result<LogReader, Error> {
        let log = log.into();
        let content = self.blocking(move |inner| inner.content(log).map_err(|error| unreadable(log, error))).await?;
        Ok(LogReader { log, content: Arc::new(content) })
    }

    /// Returns the bytes from `offset` on, at most `max_bytes` and at most [`LOG_READ_BYTES`].
    pub async fn read_range(&self, log: impl Into<LogId>, offset: u64, max_bytes: usize) -> Result<Bytes, Error> {
        self.reader(log).await?.read(offset, max_bytes).await
    }

    /// Returns the log's size in bytes; 0 if it is not there.
    pub async fn size(&self, log: impl Into<LogId>) -> Result<u64, Error> {
        self.reader(log).await?.size().await
    }

    /// Puts a task's logs aside as those of an earlier attempt, so that the next begins with empty ones. Of earlier
    /// attempts the newest [`KEPT_ATTEMPTS`] are kept.
    pub async fn put_aside(&self, task: TaskId, attempt: i64) -> Result<(), Error> {
        self.blocking(move |inner| inner.put_aside(task, attempt)).await
    }

    /// Makes sure that the logs outlive a power cut: for the end of a task.
    pub async fn sync(&self, task: TaskId) -> Result<(), Error> {
        self.blocking(move |inner| inner.sync(task)).await
    }

    /// Compresses a log to which nothing more will come; returns whether there was one to compress.
    pub async fn seal(&self, log: LogId) -> Result<bool, Error> {
        self.blocking(move |inner| inner.seal(log).map_err(|error| Error::io(format!("compress log {log}"), error)))
            .await
    }

    /// Returns the logs that are not compressed, in no order.
    pub async fn unsealed(&self) -> Result<Vec<LogId>, Error> {
        self.blocking(|inner| {
            let entries = fs::read_dir(&inner.dir).map_err(|error| Error::io("list logs", error))?;
            let names = entries.flatten().map(|entry| entry.file_name());
            Ok(names.filter_map(|name| LogId::parse(name.to_str()?)).collect())
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = self.inner.clone();
        blocking(move || work(&inner)).await
    }
}

impl LogReader {
    /// Returns the log's size in bytes now.
    pub async fn size(&self) -> Result<u64, Error> {
        match &*self.content {
            Content::Missing => Ok(0),
            Content::Growing(file) => Ok(file.metadata().map_err(|error| unreadable(self.log, error))?.len()),
            Content::Sealed(frames) => Ok(frames.size()),
        }
    }

    /// Returns the bytes from `offset` on, at most `max_bytes` and at most [`LOG_READ_BYTES`].
    pub async fn read(&self, offset: u64, max_bytes: usize) -> Result<Bytes, Error> {
        let (log, content) = (self.log, self.content.clone());
        let max_bytes = max_bytes.min(LOG_READ_BYTES);
        blocking(move || content.read(offset, max_bytes).map_err(|error| unreadable(log, error))).await
    }
}

impl Content {
    fn read(&self, offset: u64, max_bytes: usize) -> io::Result<Bytes> {
        let file = match self {
            Content::Missing => return Ok(Bytes::new()),
            Content::Sealed(frames) => return frames.read(offset, max_bytes).map(Bytes::from),
            Content::Growing(file) => file,
        };
        let mut bytes = vec![0; max_bytes];
        let mut length = 0;
        while length < max_bytes {
            match file.read_at(&mut bytes[length..], offset + length as u64) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(length);
        Ok(bytes.into())
    }
}

impl Inner {
    fn append(&self, log: LogId, offset: u64, piece: &[u8]) -> Result<u64, Error> {
        let what = || format!("append to log {log}");
        let _lock = self.lock(log.task);
        if self.sealed_path(log).exists() {
            return Err(Error::LogSealed { log });
        }
        let file = File::options().read(true).write(true).create(true).truncate(false).open(self.path(log));
        let file = file.map_err(|error| Error::io(what(), error))?;
        let size_bytes = file.metadata().map_err(|error| Error::io(what(), error))?.len();
        if offset > size_bytes {
            return Err(Error::LogGap { log, offset, size_bytes });
        }
        let known = usize::try_from(size_bytes - offset).unwrap_or(usize::MAX).min(piece.len());
        let (resent, fresh) = piece.split_at(known);
        if !holds(&file, offset, resent).map_err(|error| Error::io(what(), error))? {
            return Err(Error::LogDiffers { log, offset });
        }
        if size_bytes + fresh.len() as u64 > self.max_bytes {
            return Err(Error::LogFull { log, max_bytes: self.max_bytes });
        }
        file.write_all_at(fresh, size_bytes).map_err(|error| Error::io(what(), error))?;
        Ok(size_bytes + fresh.len() as u64)
    }

    fn content(&self, log: LogId) -> io::Result<Content> {
        // It may be compressed between the first two looks; it is never taken apart again.
        if let Some(file) = existing(self.path(log))? {
            return Ok(Content::Growing(file));
        }
        match existing(self.sealed_path(log))? {
            Some(file) => Ok(Content::Sealed(Frames::open(file)?)),
            None => Ok(Content::Missing),
        }
    }

    fn put_aside(&self, task: TaskId, attempt: i64) -> Result<(), Error> {
        let what = |error| Error::io(format!("put the log of task {task} aside"), error);
        let _lock = self.lock(task);
        for name in LogName::ALL {
            let (log, earlier) = (LogId::new(task, name), LogId::earlier(task, name, attempt));
            let oldest = LogId::earlier(task, name, attempt - KEPT_ATTEMPTS);
            for (from, to) in [(self.path(log), self.path(earlier)), (self.sealed_path(log), self.sealed_path(earlier))]
            {
                absent_is_fine(fs::rename(from, to)).map_err(what)?;
            }
            for path in [self.path(oldest), self.sealed_path(oldest)] {
                absent_is_fine(fs::remove_file(path)).map_err(what)?;
            }
        }
        Ok(())
    }

    fn sync(&self, task: TaskId) -> Result<(), Error> {
        let sync = || {
            for name in LogName::ALL {
                if let Some(file) = existing(self.path(LogId::new(task, name)))? {
                    file.sync_all()?;
                }
            }
            File::open(&self.dir)?.sync_all()
        };
        sync().map_err(|error| Error::io(format!("sync the log of task {task}"), error))
    }

    fn seal(&self, log: LogId) -> io::Result<bool> {
        let _lock = self.lock(log.task);
        let Some(file) = existing(self.path(log))? else { return Ok(false) };
        let length = file.metadata()?.len();
        let mut sealed = tempfile::NamedTempFile::new_in(&self.dir)?;
        seekable::compress(&file, io::BufWriter::new(&mut sealed))?;
        sealed.as_file().sync_all()?;
        if file.metadata()?.len() != length {
            return Ok(false);
        }
        sealed.persist(self.sealed_path(log)).map_err(|error| error.error)?;
        File::open(&self.dir)?.sync_all()?;
        // Another master may have been as fast.
        absent_is_fine(fs::remove_file(self.path(log)))?;
        Ok(true)
    }

    fn path(&self, log: LogId) -> PathBuf {
        self.dir.join(log.to_string())
    }

    fn sealed_path(&self, log: LogId) -> PathBuf {
        self.dir.join(format!("{log}{SEALED}"))
    }

    fn lock(&self, task: TaskId) -> MutexGuard<'_, ()> {
        let lock = &self.locks[task.0.unsigned_abs() as usize % LOCK_COUNT];
        // What it guards is the file, which a panic leaves as it is.
        lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn existing(path: PathBuf) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn unreadable(log: LogId, error: io::Error) -> Error {
    Error::io(format!("read log {log}"), error)
}

fn holds(file: &File, offset: u64, bytes: &[u8]) -> io::Result<bool> {
    let mut there = vec![0; bytes.len()];
    file.read_exact_at(&mut there, offset)?;
    Ok(there == bytes)
}
