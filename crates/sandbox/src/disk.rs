//! Counts what a run writes, and ends it when that is too much.
//!
//! A quota of the file system would be the kernel's own, but data folders rarely have one. So the free room of the file
//! system is looked at a few times a second, which costs nothing, and the files are counted only when what went from it could be too
//! much for this run; those without a name are found in the hands of its processes ([`crate::unlinked`]). Everything below the folder belongs to a command that may change it at any instant: no link is followed.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use std::{io, thread};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat, statvfs};

use crate::running::Control;
use crate::wire::DISK_FULL;
use crate::{Disk, unlinked};

/// A disk that writes 2 GB a second gets 200 MB further in this time.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Also when the file system's free room tells nothing, because others give back what this run takes.
const COUNT_EVERY: Duration = Duration::from_secs(30);
/// Counting takes at most this part of a core.
const COUNT_SHARE: u32 = 5;
/// Each level takes an open file; a tree that is deeper is judged by the free room of its file system.
const MAX_DEPTH: usize = 256;
/// A disk block as `stat` counts it.
pub(crate) const BLOCK_BYTES: u64 = 512;

/// Counts in a thread of its own until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    /// What ends the thread.
    _stop: Sender<()>,
    disk: Disk,
    /// The least room that a look found.
    least: Arc<AtomicU64>,
}

impl Watch {
    pub(crate) fn start(disk: Disk, control: Control, helper_pid: u32) -> io::Result<Watch> {
        let (stop, stopped) = mpsc::channel();
        let least = Arc::new(AtomicU64::new(u64::MAX));
        let (mut state, watched) = (State::begin(&disk, helper_pid, Arc::clone(&least))?, disk.clone());
        thread::Builder::new().name("anima-disk".to_owned()).spawn(move || {
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                if state.is_too_much(&watched) {
                    control.ask(DISK_FULL);
                    return;
                }
            }
        })?;
        Ok(Watch { _stop: stop, disk, least })
    }

    /// Returns the least room that there ever was for what runs inside, with a last look now.
    pub(crate) fn least_free_bytes(&self) -> Option<u64> {
        if let Ok(free) = free(&self.disk.path) {
            self.least.fetch_min(free.usable_bytes(), Ordering::Relaxed);
        }
        Some(self.least.load(Ordering::Relaxed)).filter(|&bytes| bytes != u64::MAX)
    }

    /// Counts what is left after the end.
    pub(crate) fn is_too_much(&self) -> bool {
        let used = count(&self.disk.path);
        used.bytes > self.disk.bytes || used.files > self.disk.files
    }
}

/// The free room of a file system.
#[derive(Debug, Clone, Copy)]
struct Free {
    bytes: u64,
    /// Of these, what others than root get.
    available_bytes: u64,
    files: u64,
}

impl Free {
    /// A file system without room for one more file has no room.
    fn usable_bytes(self) -> u64 {
        if self.files == 0 { 0 } else { self.available_bytes }
    }
}

/// What is below a folder.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Used {
    pub bytes: u64,
    pub files: u64,
    /// There is more, too deep or too much to be counted.
    pub is_partial: bool,
}

/// What is known since files were counted last.
struct State {
    helper_pid: u32,
    free_at_begin: Free,
    free: Free,
    least: Arc<AtomicU64>,
    used: Used,
    counted_at: Instant,
    count_took: Duration,
}

impl State {
    fn begin(disk: &Disk, helper_pid: u32, least: Arc<AtomicU64>) -> io::Result<State> {
        let free = free(&disk.path)?;
        let began = Instant::now();
        let used = count(&disk.path);
        let (counted_at, count_took) = (Instant::now(), began.elapsed());
        Ok(State { helper_pid, free_at_begin: free, free, least, used, counted_at, count_took })
    }

    fn is_too_much(&mut self, disk: &Disk) -> bool {
        let Ok(free) = free(&disk.path) else { return false };
        self.least.fetch_min(free.usable_bytes(), Ordering::Relaxed);
        let since = self.counted_at.elapsed();
        let bytes_could_be = self.used.bytes + self.free.bytes.saturating_sub(free.bytes);
        let files_could_be = self.used.files + self.free.files.saturating_sub(free.files);
        let could_be = bytes_could_be > disk.bytes || files_could_be > disk.files;
        if since < self.count_took * COUNT_SHARE || !(could_be || since >= COUNT_EVERY) {
            return false;
        }
        let began = Instant::now();
        (self.used, self.free) = (count(&disk.path), free);
        unlinked::count(self.helper_pid, &disk.path, &mut self.used);
        (self.counted_at, self.count_took) = (Instant::now(), began.elapsed());
        let gone = self.free_at_begin.bytes.saturating_sub(free.bytes);
        self.used.bytes > disk.bytes || self.used.files > disk.files || (self.used.is_partial && gone > disk.bytes)
    }
}

fn free(path: &Path) -> io::Result<Free> {
    let it = statvfs(path)?;
    // A file system without a table of files, as btrfs, says that it has none.
    let files = if it.f_files == 0 { u64::MAX } else { it.f_ffree };
    Ok(Free { bytes: it.f_bfree * it.f_frsize, available_bytes: it.f_bavail * it.f_frsize, files })
}

fn count(top: &Path) -> Used {
    let mut used = Used::default();
    if let Ok(folder) = openat(CWD, top, FOLDER, Mode::empty()) {
        count_below(folder, 0, &mut used);
    }
    used
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What goes away while it is counted counts no more.
fn count_below(folder: OwnedFd, depth: usize, used: &mut Used) {
    let Ok(entries) = Dir::read_from(&folder) else {
        used.is_partial = true;
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let Ok(stat) = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        // A file with several names is counted once for each by its share.
        #[allow(clippy::unnecessary_cast, reason = "it is narrower on other architectures")]
        let names = if is_folder { 1 } else { (stat.st_nlink as u64).max(1) };
        used.files += 1;
        used.bytes += stat.st_blocks as u64 * BLOCK_BYTES / names;
        if !is_folder {
            continue;
        }
        match openat(&folder, name, FOLDER, Mode::empty()) {
            Ok(below) if depth < MAX_DEPTH => count_below(below, depth + 1, used),
            Ok(_) | Err(rustix::io::Errno::MFILE) => used.is_partial = true,
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_are_counted_and_links_not_followed() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir_all(top.path().join("a/b")).unwrap();
        fs::write(top.path().join("a/b/file"), vec![1; 1_000_000]).unwrap();
        fs::hard_link(top.path().join("a/b/file"), top.path().join("again")).unwrap();
        symlink("/", top.path().join("a/host")).unwrap();

        let used = count(top.path());

        assert_eq!((used.files, used.is_partial), (5, false));
        assert!((900_000..1_200_000).contains(&used.bytes), "{used:?}");
    }

    #[test]
    fn a_tree_that_is_too_deep_is_said_to_be_counted_in_part() {
        let top = tempfile::tempdir().unwrap();
        fs::create_dir_all(top.path().join("d/".repeat(MAX_DEPTH + 5))).unwrap();

        assert!(count(top.path()).is_partial);
    }
}
