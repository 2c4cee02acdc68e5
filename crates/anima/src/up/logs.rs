//! A role's log: what it writes to standard output and error, kept in a file of bounded size.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    task::JoinHandle,
};

/// A file of this size is put aside as `.1`, so that a role's log takes at most twice as much.
const MAX_BYTES: u64 = 32 << 20;
/// What is told of a role that ended.
const LAST_LINES: usize = 5;
const CHUNK_BYTES: usize = 16 * 1024;
/// A line longer than this is told in part; the file has it whole.
const MAX_TOLD_BYTES: usize = 400;

/// A log; its copies are the same log.
#[derive(Clone, Debug)]
pub struct Log(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: File,
    size_bytes: u64,
    max_bytes: u64,
    last: VecDeque<String>,
    line: Vec<u8>,
}

impl Log {
    /// Opens a log, at its end.
    pub fn open(path: &Path) -> io::Result<Log> {
        Log::open_bounded(path, MAX_BYTES)
    }

    fn open_bounded(path: &Path, max_bytes: u64) -> io::Result<Log> {
        let file = append_to(path)?;
        let size_bytes = file.metadata()?.len();
        let (last, line) = (VecDeque::new(), Vec::new());
        Ok(Log(Arc::new(Mutex::new(Inner { path: path.to_path_buf(), file, size_bytes, max_bytes, last, line }))))
    }

    pub fn path(&self) -> PathBuf {
        self.lock().path.clone()
    }

    /// Returns the last few lines, shortened.
    pub fn last_lines(&self) -> Vec<String> {
        self.lock().last.iter().cloned().collect()
    }

    /// Forgets the last lines: what is told of an end is of the process that ended.
    pub fn forget_last_lines(&self) {
        self.lock().last.clear();
    }

    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.lock().write(bytes)
    }

    /// Copies all that comes out of a pipe until its last writer has closed it.
    pub fn copy_from(&self, mut pipe: impl AsyncRead + Unpin + 'static) -> JoinHandle<()> {
        let log = self.clone();
        tokio::task::spawn_local(async move {
            let mut chunk = vec![0; CHUNK_BYTES];
            while let Ok(count @ 1..) = pipe.read(&mut chunk).await {
                // A full disk must not stop a role: it goes on, without its log.
                let _ = log.write(&chunk[..count]);
            }
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().expect("nothing panics while it holds a log")
    }
}

impl Inner {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.remember(bytes);
        if self.size_bytes > 0 && self.size_bytes + bytes.len() as u64 > self.max_bytes {
            self.put_aside()?;
        }
        self.file.write_all(bytes)?;
        self.size_bytes += bytes.len() as u64;
        Ok(())
    }

    fn put_aside(&mut self) -> io::Result<()> {
        let mut aside = self.path.clone().into_os_string();
        aside.push(".1");
        fs::rename(&self.path, aside)?;
        self.file = append_to(&self.path)?;
        self.size_bytes = 0;
        Ok(())
    }

    fn remember(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => {
                    let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).trim_end().to_string();
                    self.last.extend(Some(line).filter(|line| !line.is_empty()));
                }
                _ if self.line.len() < MAX_TOLD_BYTES => self.line.push(*byte),
                _ => {}
            }
            while self.last.len() > LAST_LINES {
                self.last.pop_front();
            }
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_takes_at_most_twice_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        let log = Log::open_bounded(&path, 10).unwrap();

        for text in ["11111\n", "22222\n", "33333\n"] {
            log.write(text.as_bytes()).unwrap();
        }

        assert_eq!(fs::read_to_string(&path).unwrap(), "33333\n");
        assert_eq!(fs::read_to_string(folder.path().join("x.log.1")).unwrap(), "22222\n");
    }

    #[test]
    fn the_last_lines_are_remembered_across_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(&folder.path().join("x.log")).unwrap();

        for piece in ["one\ntw", "o\n\nthree", "\n4\n5\n6\n", "unfinished"] {
            log.write(piece.as_bytes()).unwrap();
        }

        assert_eq!(log.last_lines(), ["two", "three", "4", "5", "6"]);
    }
}
