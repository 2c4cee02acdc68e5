//! Files from other machines, each fetched once per node and kept by its hash.
//!
//! A file that is there is whole: it is written under another name, verified, and renamed. A download that was cut goes on
//! where it stopped, in the next attempt or in the next life of the process. Two tasks that want the same file wait for
//! one download, also when they belong to two processes: the unfinished file is locked.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use reqwest::{StatusCode, header};
use rustix::fs::{FlockOperation, flock};
use tokio_util::sync::CancellationToken;

use crate::hash::{FileHash, hash_file};
use crate::run::blocking;
use crate::{Error, Result};

/// How often a download is begun or gone on with, before the server counts as out of reach: for half a minute, which is
/// longer than a master takes to restart.
const MAX_ATTEMPTS: u32 = 8;
/// The wait before the second attempt; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// A server that says nothing for so long is not there.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// A connection that brings nothing for so long is dead.
const READ_LIMIT: Duration = Duration::from_secs(60);
/// A file whose size nobody told is at most so large: the largest sources of a distribution are around 3 GB.
const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024 * 1024;
/// So many downloads run at once: enough to keep a line busy with small packages.
pub(crate) const PARALLEL: usize = 8;
/// What was used within this time is not swept away: the longest task may still have it open.
const SPARED: Duration = Duration::from_secs(12 * 60 * 60);

/// A file to have.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Where it is.
    pub url: String,
    /// What its bytes must hash to.
    pub hash: FileHash,
    /// Its size, where it is known.
    pub size_bytes: Option<u64>,
}

/// The node's files from elsewhere.
#[derive(Debug)]
pub struct Downloads {
    dir: PathBuf,
    http: reqwest::Client,
    /// Whether `file://` is an address, too.
    reads_folders: bool,
    /// What this process has verified: a machine that lost its power may have left a file that is not whole.
    verified: Mutex<BTreeSet<FileHash>>,
}

/// The first bytes of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Beginning {
    /// They: fewer than were asked for where the file has no more.
    pub bytes: Vec<u8>,
    /// The size of the whole file.
    pub size_bytes: u64,
}

/// How one attempt failed.
enum Failed {
    /// Another attempt may go better.
    Now(String),
    /// No attempt will.
    Always(Error),
}

impl Downloads {
    /// Opens the folder, and makes it when it is missing.
    pub fn open(dir: &Path) -> Result<Downloads> {
        std::fs::create_dir_all(dir).map_err(Error::file("make", dir))?;
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(READ_LIMIT)
            // A library does not read the environment.
            .no_proxy()
            .user_agent(concat!("anima/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::Network { url: "anything".to_owned(), reason: reason(&error) })?;
        Ok(Downloads { dir: dir.to_owned(), http, reads_folders: false, verified: Mutex::default() })
    }

    /// Takes addresses of this machine's files, too (`file:///…`): for who is told by this machine's own user what to read,
    /// and never for who is told by a server.
    pub fn with_folders(mut self) -> Downloads {
        self.reads_folders = true;
        self
    }

    /// Returns where the file is on this machine; it is fetched when it is not.
    pub async fn get(&self, wanted: &Wanted, cancel: &CancellationToken) -> Result<PathBuf> {
        self.check_address(&wanted.url)?;
        let path = self.place(&wanted.hash);
        if self.has(&path, wanted).await? {
            return Ok(path);
        }
        tokio::select! {
            fetched = self.fetch(wanted, &path) => fetched?,
            () = cancel.cancelled() => return Err(Error::Cancelled),
        }
        self.verified().insert(wanted.hash.clone());
        Ok(path)
    }

    /// Fetches many files, some at once, and returns where they are, in the same order.
    pub async fn get_all(&self, wanted: &[Wanted], cancel: &CancellationToken) -> Result<Vec<PathBuf>> {
        // Listed first: a stream over a closure that borrows cannot be sent between threads.
        let gets: Vec<_> = wanted.iter().map(|one| self.get(one, cancel)).collect();
        let mut all = futures_util::stream::iter(gets).buffered(PARALLEL);
        let mut paths = Vec::with_capacity(wanted.len());
        while let Some(path) = all.next().await {
            paths.push(path?);
        }
        Ok(paths)
    }

    /// Returns where a file of this hash is, if it was fetched before.
    pub async fn kept(&self, hash: &FileHash, size_bytes: u64) -> Result<Option<PathBuf>> {
        let wanted = Wanted { url: String::new(), hash: hash.clone(), size_bytes: Some(size_bytes) };
        let path = self.place(hash);
        Ok(self.has(&path, &wanted).await?.then_some(path))
    }

    /// Returns how many of the files are here already, and how many bytes the others have.
    pub fn missing(&self, wanted: &[Wanted]) -> (usize, u64) {
        let missing = wanted.iter().filter(|one| !self.place(&one.hash).exists());
        missing.fold((0, 0), |(count, bytes), one| (count + 1, bytes + one.size_bytes.unwrap_or(0)))
    }

    /// Fetches a small file whose hash nobody knows, into memory.
    pub async fn small(&self, url: &str, limit_bytes: u64, cancel: &CancellationToken) -> Result<Vec<u8>> {
        self.check_address(url)?;
        tokio::select! {
            fetched = self.fetch_small(url, limit_bytes) => fetched,
            () = cancel.cancelled() => Err(Error::Cancelled),
        }
    }

    /// Fetches the first bytes of a file into memory, without the rest. Nothing of it is kept.
    pub async fn beginning(&self, url: &str, bytes: u64, cancel: &CancellationToken) -> Result<Beginning> {
        self.check_address(url)?;
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            let fetched = tokio::select! {
                fetched = self.fetch_beginning(url, bytes) => fetched,
                () = cancel.cancelled() => return Err(Error::Cancelled),
            };
            match fetched {
                Ok(beginning) => return Ok(beginning),
                Err(Failed::Always(error)) => return Err(error),
                Err(Failed::Now(reason)) if attempt == MAX_ATTEMPTS => {
                    return Err(Error::Network { url: url.to_owned(), reason });
                }
                Err(Failed::Now(_)) => {}
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        unreachable!("the last attempt returns")
    }

    async fn fetch_beginning(&self, url: &str, bytes: u64) -> std::result::Result<Beginning, Failed> {
        let last = bytes.max(1) - 1;
        let request = self.http.get(url).header(header::RANGE, format!("bytes=0-{last}"));
        let response = request.send().await.map_err(|error| Failed::Now(reason(&error)))?;
        let size_bytes = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = response.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
                let size = range.and_then(|range| range.rsplit('/').next()).and_then(|size| size.parse().ok());
                size.ok_or_else(|| Failed::Now("the server did not say how large the file is".to_owned()))?
            }
            // Small files and simple servers: the whole comes, of which the beginning is read.
            _ => {
                check_status(&response, url)?;
                response.content_length().unwrap_or(0)
            }
        };
        let mut body = response.bytes_stream();
        let mut read = Vec::new();
        while let Some(piece) = body.next().await {
            read.extend_from_slice(&piece.map_err(|error| Failed::Now(reason(&error)))?);
            if read.len() as u64 >= bytes {
                read.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
                break;
            }
        }
        Ok(Beginning { size_bytes: size_bytes.max(read.len() as u64), bytes: read })
    }

    /// Removes what was least recently used until the rest has at most so many bytes; returns how many bytes went.
    pub fn sweep(&self, now: SystemTime, keep_bytes: u64) -> Result<u64> {
        self.remove(now, keep_bytes, SPARED)
    }

    /// Removes all that was not used for so long, for a disk that is short of room; returns how many bytes went.
    pub fn sweep_unused(&self, now: SystemTime, unused_for: Duration) -> Result<u64> {
        self.remove(now, 0, unused_for)
    }

    fn remove(&self, now: SystemTime, keep_bytes: u64, spared: Duration) -> Result<u64> {
        let mut files = Vec::new();
        collect(&self.dir, &mut files)?;
        files.sort_by_key(|file| std::cmp::Reverse(file.used_at));
        let (mut kept, mut removed) = (0, 0);
        for file in files {
            let is_spared = now.duration_since(file.used_at).is_ok_and(|age| age < spared) || file.used_at > now;
            if is_spared || kept + file.size_bytes <= keep_bytes {
                kept += file.size_bytes;
            } else {
                let went = there(std::fs::remove_file(&file.path)).map_err(Error::file("remove", &file.path))?;
                removed += went.map_or(0, |()| file.size_bytes);
            }
        }
        Ok(removed)
    }

    /// Returns where a file is once it was fetched.
    pub(crate) fn place(&self, hash: &FileHash) -> PathBuf {
        self.dir.join(hash.algorithm.name()).join(&hash.hex[..2]).join(&hash.hex)
    }

    fn check_address(&self, url: &str) -> Result<()> {
        let refused = |reason| Err(Error::Address { url: url.to_owned(), reason });
        match reqwest::Url::parse(url) {
            Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => Ok(()),
            Ok(parsed) if parsed.scheme() == "file" && self.reads_folders => Ok(()),
            Ok(_) => refused("only http and https are read from"),
            Err(_) => refused("it is no address"),
        }
    }

    fn verified(&self) -> std::sync::MutexGuard<'_, BTreeSet<FileHash>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the file is there and whole, and notes that it was used.
    async fn has(&self, path: &Path, wanted: &Wanted) -> Result<bool> {
        let is_verified = self.verified().contains(&wanted.hash);
        let (path, hash, size_bytes) = (path.to_owned(), wanted.hash.clone(), wanted.size_bytes);
        let is_there = blocking(move || -> Result<bool> {
            let mut file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(Error::file("open", &path)(error)),
            };
            let metadata = file.metadata().map_err(Error::file("read", &path))?;
            let is_whole = size_bytes.is_none_or(|size| size == metadata.len())
                && (is_verified || hash_file(&mut file, hash.algorithm).map_err(Error::file("read", &path))? == hash);
            match is_whole {
                // The sweeper goes by it; a file system that refuses only makes it sweep in another order.
                true => drop(file.set_modified(SystemTime::now())),
                false => there(std::fs::remove_file(&path)).map_err(Error::file("remove", &path)).map(drop)?,
            }
            Ok(is_whole)
        })
        .await?;
        if is_there {
            self.verified().insert(wanted.hash.clone());
        }
        Ok(is_there)
    }

    async fn fetch(&self, wanted: &Wanted, path: &Path) -> Result<()> {
        let part_path = path.with_extension("part");
        let mut part = lock(&part_path).await?;
        // Whoever held the lock before may have brought it.
        if self.has(path, wanted).await? {
            return Ok(());
        }
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            let is_last = attempt == MAX_ATTEMPTS;
            match self.attempt(wanted, &mut part, &part_path).await {
                Ok(()) => break,
                Err(Failed::Always(error)) => return Err(error),
                Err(Failed::Now(reason)) if is_last => return Err(Error::Network { url: wanted.url.clone(), reason }),
                Err(Failed::Now(reason)) => {
                    tracing::debug!(url = wanted.url, attempt, reason, "a download has to go on")
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        std::fs::rename(&part_path, path).map_err(Error::file("write", path))
    }

    /// Goes on with the file from its end, and verifies it when all is there.
    async fn attempt(&self, wanted: &Wanted, part: &mut File, path: &Path) -> std::result::Result<(), Failed> {
        let local = |action| move |error| Failed::Always(Error::file(action, path)(error));
        let have = match file_of(&wanted.url) {
            Some(file) => {
                copy_file(&file, part, path).await?;
                0
            }
            None => {
                let have = part.seek(SeekFrom::End(0)).map_err(local("read"))?;
                if wanted.size_bytes != Some(have) || have == 0 {
                    self.receive(wanted, part, have, path).await?;
                }
                have
            }
        };
        let actual = {
            let mut file = part.try_clone().map_err(local("read"))?;
            let algorithm = wanted.hash.algorithm;
            let hashed = blocking(move || file.rewind().and_then(|()| hash_file(&mut file, algorithm))).await;
            hashed.map_err(local("read"))?
        };
        if actual == wanted.hash {
            return Ok(());
        }
        part.set_len(0).map_err(local("empty"))?;
        match have {
            0 => Err(Failed::Always(Error::Hash {
                url: wanted.url.clone(),
                algorithm: wanted.hash.algorithm.name(),
                actual: actual.hex,
                expected: wanted.hash.hex.clone(),
            })),
            // The beginning may have been of another file under the same name, or be damaged.
            _ => Err(Failed::Now("the continued file did not match its hash".to_owned())),
        }
    }

    async fn receive(
        &self,
        wanted: &Wanted,
        part: &mut File,
        have: u64,
        path: &Path,
    ) -> std::result::Result<(), Failed> {
        let local = |action| move |error| Failed::Always(Error::file(action, path)(error));
        let mut request = self.http.get(&wanted.url);
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
        }
        let response = request.send().await.map_err(|error| Failed::Now(reason(&error)))?;
        let mut size = match response.status() {
            StatusCode::PARTIAL_CONTENT if have > 0 => have,
            StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => {
                part.set_len(0).map_err(local("empty"))?;
                return Err(Failed::Now("the server refused to go on".to_owned()));
            }
            _ => 0,
        };
        if size == 0 {
            check_status(&response, &wanted.url)?;
            part.set_len(0).map_err(local("empty"))?;
        }
        part.seek(SeekFrom::Start(size)).map_err(local("write"))?;
        let limit_bytes = wanted.size_bytes.unwrap_or(MAX_FILE_BYTES);
        let mut body = response.bytes_stream();
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| Failed::Now(reason(&error)))?;
            size += piece.len() as u64;
            if size > limit_bytes {
                part.set_len(0).map_err(local("empty"))?;
                return Err(Failed::Always(Error::TooLarge { url: wanted.url.clone(), limit_bytes }));
            }
            part.write_all(&piece).map_err(local("write"))?;
        }
        match wanted.size_bytes {
            Some(wanted) if size < wanted => Err(Failed::Now(format!("only {size} of {wanted} bytes came"))),
            _ => Ok(()),
        }
    }

    async fn fetch_small(&self, url: &str, limit_bytes: u64) -> Result<Vec<u8>> {
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            match self.try_small(url, limit_bytes).await {
                Ok(bytes) => return Ok(bytes),
                Err(Failed::Always(error)) => return Err(error),
                Err(Failed::Now(reason)) if attempt == MAX_ATTEMPTS => {
                    return Err(Error::Network { url: url.to_owned(), reason });
                }
                Err(Failed::Now(_)) => tokio::time::sleep(wait).await,
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        unreachable!("the last attempt returns")
    }

    async fn try_small(&self, url: &str, limit_bytes: u64) -> std::result::Result<Vec<u8>, Failed> {
        if let Some(file) = file_of(url) {
            let read = || -> std::io::Result<Vec<u8>> {
                let mut bytes = Vec::new();
                File::open(&file)?.take(limit_bytes + 1).read_to_end(&mut bytes)?;
                Ok(bytes)
            };
            let bytes = read().map_err(|error| Failed::Always(Error::file("read", &file)(error)))?;
            return match bytes.len() as u64 > limit_bytes {
                true => Err(Failed::Always(Error::TooLarge { url: url.to_owned(), limit_bytes })),
                false => Ok(bytes),
            };
        }
        let response = self.http.get(url).send().await.map_err(|error| Failed::Now(reason(&error)))?;
        check_status(&response, url)?;
        let (mut bytes, mut body) = (Vec::new(), response.bytes_stream());
        while let Some(piece) = body.next().await {
            bytes.extend_from_slice(&piece.map_err(|error| Failed::Now(reason(&error)))?);
            if bytes.len() as u64 > limit_bytes {
                return Err(Failed::Always(Error::TooLarge { url: url.to_owned(), limit_bytes }));
            }
        }
        Ok(bytes)
    }
}

/// Returns the file of an address of this machine.
fn file_of(url: &str) -> Option<PathBuf> {
    let url = reqwest::Url::parse(url).ok()?;
    (url.scheme() == "file").then(|| url.to_file_path().ok()).flatten()
}

/// Copies a file of this machine over the unfinished one, from its beginning.
async fn copy_file(from: &Path, part: &mut File, path: &Path) -> std::result::Result<(), Failed> {
    let local = |action| move |error| Failed::Always(Error::file(action, path)(error));
    part.set_len(0).and_then(|()| part.rewind()).map_err(local("empty"))?;
    let mut part = part.try_clone().map_err(local("write"))?;
    let from = from.to_owned();
    blocking(move || {
        let mut source = File::open(&from).map_err(Error::file("read", &from))?;
        std::io::copy(&mut source, &mut part).map(drop).map_err(Error::file("copy", &from))
    })
    .await
    .map_err(Failed::Always)
}

/// Opens the unfinished file for this task alone.
async fn lock(path: &Path) -> Result<File> {
    let path = path.to_owned();
    blocking(move || {
        let folder = path.parent().expect("a file is in a folder");
        std::fs::create_dir_all(folder).map_err(Error::file("make", folder))?;
        loop {
            let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            let file = opened.map_err(Error::file("open", &path))?;
            flock(&file, FlockOperation::LockExclusive).map_err(|errno| Error::file("lock", &path)(errno.into()))?;
            // The one before may have finished and renamed it: then this lock is on the finished file.
            match rustix::fs::stat(&path) {
                Ok(there) if there.st_ino == rustix::fs::fstat(&file).map_or(0, |own| own.st_ino) => return Ok(file),
                _ => continue,
            }
        }
    })
    .await
}

fn check_status(response: &reqwest::Response, url: &str) -> std::result::Result<(), Failed> {
    let status = response.status();
    let passes =
        status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    match status {
        _ if status == StatusCode::OK => Ok(()),
        _ if passes => Err(Failed::Now(format!("the server answered {status}"))),
        _ => Err(Failed::Always(Error::Status { url: url.to_owned(), status: status.as_u16() })),
    }
}

/// reqwest's own text names the address and hides the cause.
fn reason(error: &reqwest::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

struct Kept {
    path: PathBuf,
    size_bytes: u64,
    used_at: SystemTime,
}

/// Other processes of the machine fetch and sweep in the same folder: what is gone meanwhile is nothing to be told.
fn there<T>(result: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn collect(dir: &Path, files: &mut Vec<Kept>) -> Result<()> {
    let Some(entries) = there(std::fs::read_dir(dir)).map_err(Error::file("read", dir))? else { return Ok(()) };
    for entry in entries {
        let path = entry.map_err(Error::file("read", dir))?.path();
        collect_one(path, files)?;
    }
    Ok(())
}

fn collect_one(path: PathBuf, files: &mut Vec<Kept>) -> Result<()> {
    let metadata = there(std::fs::symlink_metadata(&path)).map_err(Error::file("read", &path))?;
    let Some(metadata) = metadata else { return Ok(()) };
    if metadata.is_dir() {
        return collect(&path, files);
    }
    let used_at = metadata.modified().map_err(Error::file("read", &path))?;
    files.push(Kept { path, size_bytes: metadata.len(), used_at });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_sweeper_removed_meanwhile_is_no_reason_to_stop() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("there"), "1").unwrap();
        let mut files = Vec::new();

        for name in ["gone", "there"] {
            collect_one(dir.path().join(name), &mut files).unwrap();
        }
        collect(&dir.path().join("gone"), &mut files).unwrap();

        assert_eq!(files.len(), 1);
        assert!(there(std::fs::remove_file(dir.path().join("gone"))).unwrap().is_none());
    }
}
