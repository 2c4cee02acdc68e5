//! Logs in a folder: a file each, which grows, and is compressed when its task has ended.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use anima_types::{
    id::TaskId,
    task_log::{KEPT_ATTEMPTS, LogId, LogName},
};
use bytes::Bytes;

use super::LogEntry;
use crate::{
    error::Error,
    seekable::{self, Frames},
};

/// Appends to one task's logs come one after the other; tasks share this many locks.
const LOCK_COUNT: usize = 64;
/// The end of a compressed log's name.
const SEALED: &str = ".zst";

#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    max_bytes: u64,
    locks: [Mutex<()>; LOCK_COUNT],
}

#[derive(Debug)]
pub(super) enum Content {
    Missing,
    Growing(File),
    Sealed(Frames),
}

impl Content {
    pub(super) fn size(&self) -> io::Result<u64> {
        match self {
            Content::Missing => Ok(0),
            Content::Growing(file) => Ok(file.metadata()?.len()),
            Content::Sealed(frames) => Ok(frames.size()),
        }
    }

    pub(super) fn read(&self, offset: u64, max_bytes: usize) -> io::Result<Bytes> {
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

impl Folder {
    pub(super) fn open(dir: PathBuf, max_bytes: u64) -> Result<Folder, Error> {
        fs::create_dir_all(&dir).map_err(|error| Error::io(format!("open logs {}", dir.display()), error))?;
        Ok(Folder { dir, max_bytes, locks: [const { Mutex::new(()) }; LOCK_COUNT] })
    }

    pub(super) fn append(&self, log: LogId, offset: u64, piece: &[u8]) -> Result<u64, Error> {
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

    pub(super) fn content(&self, log: LogId) -> io::Result<Content> {
        // It may be compressed between the first two looks; it is never taken apart again.
        if let Some(file) = existing(self.path(log))? {
            return Ok(Content::Growing(file));
        }
        match existing(self.sealed_path(log))? {
            Some(file) => Ok(Content::Sealed(Frames::open(file)?)),
            None => Ok(Content::Missing),
        }
    }

    pub(super) fn put_aside(&self, task: TaskId, attempt: i64) -> Result<(), Error> {
        let what = |error| Error::io(format!("put the log of task {task} aside"), error);
        let _lock = self.lock(task);
        for name in LogName::ALL {
            let (log, earlier) = (LogId::new(task, name), LogId::of_attempt(task, name, attempt));
            let oldest = LogId::of_attempt(task, name, attempt - KEPT_ATTEMPTS);
            // Where the attempt began before logs had numbers, and went on after, its end says more than its beginning.
            let goes = self.path(earlier).exists() || self.sealed_path(earlier).exists();
            for (from, to) in [(self.path(log), self.path(earlier)), (self.sealed_path(log), self.sealed_path(earlier))]
            {
                let moved = if goes { fs::remove_file(from) } else { fs::rename(from, to) };
                absent_is_fine(moved).map_err(what)?;
            }
            for path in [self.path(oldest), self.sealed_path(oldest)] {
                absent_is_fine(fs::remove_file(path)).map_err(what)?;
            }
        }
        Ok(())
    }

    pub(super) fn remove(&self, log: LogId) -> Result<(), Error> {
        let _lock = self.lock(log.task);
        for path in [self.path(log), self.sealed_path(log)] {
            absent_is_fine(fs::remove_file(path)).map_err(|error| Error::io(format!("remove log {log}"), error))?;
        }
        Ok(())
    }

    pub(super) fn sync(&self, task: TaskId, attempt: i64) -> Result<(), Error> {
        let sync = || {
            for name in LogName::ALL {
                if let Some(file) = existing(self.path(LogId::of_attempt(task, name, attempt)))? {
                    file.sync_all()?;
                }
            }
            File::open(&self.dir)?.sync_all()
        };
        sync().map_err(|error| Error::io(format!("sync the log of task {task}"), error))
    }

    pub(super) fn seal(&self, log: LogId) -> io::Result<bool> {
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

    pub(super) fn list(&self) -> Result<Vec<LogEntry>, Error> {
        let failed = |error| Error::io("list logs", error);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let (log, is_sealed) = match name.strip_suffix(SEALED) {
                Some(name) => (LogId::parse(name), true),
                None => (LogId::parse(&name), false),
            };
            let Some(log) = log else { continue };
            let sealed = match entry.metadata() {
                Ok(metadata) if is_sealed => Some((metadata.modified().map_err(failed)?, metadata.len())),
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
                _ => None,
            };
            found.push(LogEntry { log, sealed });
        }
        Ok(found)
    }

    /// Returns the logs that are not compressed, in no order.
    pub(super) fn unsealed(&self) -> Result<Vec<LogId>, Error> {
        let entries = fs::read_dir(&self.dir).map_err(|error| Error::io("list logs", error))?;
        let names = entries.flatten().map(|entry| entry.file_name());
        Ok(names.filter_map(|name| LogId::parse(name.to_str()?)).collect())
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

fn holds(file: &File, offset: u64, bytes: &[u8]) -> io::Result<bool> {
    let mut there = vec![0; bytes.len()];
    file.read_exact_at(&mut there, offset)?;
    Ok(there == bytes)
}
