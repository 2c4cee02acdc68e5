//! The logs of tasks, which grow while somebody reads them.

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
};
use bytes::Bytes;

use crate::error::{Error, blocking};

/// What [`LogStore::read_range`] gives at most at once: whoever wants more asks again.
pub const LOG_READ_BYTES: usize = MAX_LOG_PIECE_BYTES;

/// Appends to one log come one after the other; logs share this many locks.
const LOCK_COUNT: usize = 64;

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
    pub async fn append(&self, task: TaskId, offset: u64, piece: impl Into<Bytes>) -> Result<u64, Error> {
        let piece = piece.into();
        self.blocking(move |inner| inner.append(task, offset, &piece)).await
    }

    /// Returns the bytes from `offset` on, at most `max_bytes` and at most [`LOG_READ_BYTES`]. A log that is not
    /// there reads as empty.
    pub async fn read_range(&self, task: TaskId, offset: u64, max_bytes: usize) -> Result<Bytes, Error> {
        self.blocking(move |inner| inner.read(task, offset, max_bytes.min(LOG_READ_BYTES))).await
    }

    /// Returns the log's size in bytes; 0 if it is not there.
    pub async fn size(&self, task: TaskId) -> Result<u64, Error> {
        self.blocking(move |inner| inner.size(task)).await
    }

    /// Empties the log, for another attempt at the task.
    pub async fn clear(&self, task: TaskId) -> Result<(), Error> {
        self.blocking(move |inner| inner.clear(task)).await
    }

    /// Makes sure that the log outlives a power cut: for the end of a task.
    pub async fn sync(&self, task: TaskId) -> Result<(), Error> {
        self.blocking(move |inner| inner.sync(task)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = self.inner.clone();
        blocking(move || work(&inner)).await
    }
}

impl Inner {
    fn append(&self, task: TaskId, offset: u64, piece: &[u8]) -> Result<u64, Error> {
        let what = || format!("append to log of task {task}");
        let _lock = self.lock(task);
        let file = File::options().read(true).write(true).create(true).truncate(false).open(self.path(task));
        let file = file.map_err(|error| Error::io(what(), error))?;
        let size_bytes = file.metadata().map_err(|error| Error::io(what(), error))?.len();
        if offset > size_bytes {
            return Err(Error::LogGap { task, offset, size_bytes });
        }
        let known = usize::try_from(size_bytes - offset).unwrap_or(usize::MAX).min(piece.len());
        let (resent, fresh) = piece.split_at(known);
        if !holds(&file, offset, resent).map_err(|error| Error::io(what(), error))? {
            return Err(Error::LogDiffers { task, offset });
        }
        if size_bytes + fresh.len() as u64 > self.max_bytes {
            return Err(Error::LogFull { task, max_bytes: self.max_bytes });
        }
        file.write_all_at(fresh, size_bytes).map_err(|error| Error::io(what(), error))?;
        Ok(size_bytes + fresh.len() as u64)
    }

    fn read(&self, task: TaskId, offset: u64, max_bytes: usize) -> Result<Bytes, Error> {
        let what = || format!("read log of task {task}");
        let Some(file) = self.existing(task).map_err(|error| Error::io(what(), error))? else {
            return Ok(Bytes::new());
        };
        let mut bytes = vec![0; max_bytes];
        let mut length = 0;
        while length < max_bytes {
            match file.read_at(&mut bytes[length..], offset + length as u64) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(Error::io(what(), error)),
            }
        }
        bytes.truncate(length);
        Ok(bytes.into())
    }

    fn size(&self, task: TaskId) -> Result<u64, Error> {
        match fs::metadata(self.path(task)) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(error) => Err(Error::io(format!("read log of task {task}"), error)),
        }
    }

    fn clear(&self, task: TaskId) -> Result<(), Error> {
        let _lock = self.lock(task);
        match fs::remove_file(self.path(task)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io(format!("clear log of task {task}"), error))
            }
            _ => Ok(()),
        }
    }

    fn sync(&self, task: TaskId) -> Result<(), Error> {
        let synced = self.existing(task).and_then(|file| {
            file.map_or(Ok(()), |file| file.sync_all())?;
            File::open(&self.dir)?.sync_all()
        });
        synced.map_err(|error| Error::io(format!("sync log of task {task}"), error))
    }

    fn existing(&self, task: TaskId) -> io::Result<Option<File>> {
        match File::open(self.path(task)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn path(&self, task: TaskId) -> PathBuf {
        self.dir.join(task.to_string())
    }

    fn lock(&self, task: TaskId) -> MutexGuard<'_, ()> {
        let lock = &self.locks[task.0.unsigned_abs() as usize % LOCK_COUNT];
        // What it guards is the file, which a panic leaves as it is.
        lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn holds(file: &File, offset: u64, bytes: &[u8]) -> io::Result<bool> {
    let mut there = vec![0; bytes.len()];
    file.read_exact_at(&mut there, offset)?;
    Ok(there == bytes)
}
