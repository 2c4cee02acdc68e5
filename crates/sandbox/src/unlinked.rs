//! Files that a run has open or mapped and that have no name any more: they take room on the disk, and no walk over names
//! finds them.
//!
//! Each process of the run, and each of its threads, is asked through `/proc`. What is only on its way through a socket
//! (`SCM_RIGHTS`) cannot be looked at, but the kernel tells that there is something (since Linux 5.6): then the free room decides.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FileType, Stat, stat, statfs};

use crate::disk::{BLOCK_BYTES, Used};

/// Looking takes at most so long, or the run would write on meanwhile: one with more threads and files than can be looked at is
/// judged by the free room.
const LONGEST_LOOK: Duration = Duration::from_secs(2);
/// An overlay shows its files under a device of its own.
const OVERLAY_MAGIC: i64 = 0x794c_7630;
/// How `/proc` tells of a mapped file without a name.
const DELETED: &str = " (deleted)";

/// Adds the files of the run whose helper has this pid, as far as they are on the file system of `top`.
pub(crate) fn count(helper_pid: u32, top: &Path, used: &mut Used) {
    let Ok(device) = stat(top).map(|stat| stat.st_dev) else { return };
    let is_on_disk = |path: &Path, stat: &Stat| {
        stat.st_dev == device || statfs(path).is_ok_and(|it| i64::from(it.f_type as u32) == OVERLAY_MAGIC)
    };
    let (mut seen, began) = (BTreeSet::new(), Instant::now());
    for thread in
        descendants(helper_pid).into_iter().flat_map(|pid| folders(&PathBuf::from(format!("/proc/{pid}/task"))))
    {
        for path in open_files(&thread).chain(mapped_files(&thread)) {
            if began.elapsed() > LONGEST_LOOK {
                used.is_partial = true;
                return;
            }
            // A process, or a file of it, that is gone meanwhile counts no more.
            let Ok(stat) = stat(&path) else { continue };
            used.is_partial |= holds_files_in_flight(&path, &stat);
            // An open file and a mapping of it have the same number, though not always the same device.
            if stat.st_nlink == 0 && is_on_disk(&path, &stat) && seen.insert(stat.st_ino) {
                used.files += 1;
                used.bytes += stat.st_blocks as u64 * BLOCK_BYTES;
            }
        }
    }
}

/// Returns a process and all that come from it. One whose parent has ended is a child of the run's own first process.
fn descendants(pid: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let processes = folders(Path::new("/proc")).filter_map(|path| path.file_name()?.to_str()?.parse::<u32>().ok());
    for process in processes {
        if let Some(parent) = parent_of(process) {
            children.entry(parent).or_default().push(process);
        }
    }
    let (mut all, mut next) = (Vec::new(), vec![pid]);
    while let Some(pid) = next.pop() {
        next.extend(children.remove(&pid).unwrap_or_default());
        all.push(pid);
    }
    all
}

/// The name in front of it may contain anything, also parentheses.
fn parent_of(pid: u32) -> Option<u32> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    text.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn folders(path: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn open_files(thread: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    folders(&thread.join("fd"))
}

/// Returns whether an open file is a socket that somebody sent files to, which nobody has taken out yet.
fn holds_files_in_flight(open_file: &Path, stat: &Stat) -> bool {
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return false;
    }
    let (Some(thread), Some(number)) = (open_file.ancestors().nth(2), open_file.file_name()) else { return false };
    let told = fs::read_to_string(thread.join("fdinfo").join(number)).unwrap_or_default();
    told.lines().filter_map(|line| line.strip_prefix("scm_fds:")).any(|count| count.trim() != "0")
}

fn mapped_files(thread: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let maps = fs::read(thread.join("maps")).unwrap_or_default();
    let maps = String::from_utf8_lossy(&maps).into_owned();
    let ranges: Vec<String> = maps
        .lines()
        .filter(|line| line.ends_with(DELETED))
        .filter_map(|line| line.split_once(' '))
        .map(|(range, _)| range.to_owned())
        .collect();
    // A thread has the folder where a process of its number would be; the first thread may have ended.
    let folder = Path::new("/proc").join(thread.file_name().unwrap_or_default()).join("map_files");
    ranges.into_iter().map(move |range| folder.join(range))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn an_open_file_without_a_name_is_counted_once_and_one_with_a_name_not() {
        let top = tempfile::tempdir().unwrap();
        let mut named = fs::File::create(top.path().join("named")).unwrap();
        let mut unnamed = fs::File::create(top.path().join("unnamed")).unwrap();
        named.write_all(&[1; 1_000_000]).unwrap();
        unnamed.write_all(&[1; 1_000_000]).unwrap();
        let _again = unnamed.try_clone().unwrap();
        let bytes = |used: &mut Used| {
            *used = Used::default();
            count(std::process::id(), top.path(), used);
            used.bytes
        };
        let mut used = Used::default();
        let before = bytes(&mut used);

        fs::remove_file(top.path().join("unnamed")).unwrap();

        let more = bytes(&mut used) - before;
        assert!((900_000..1_200_000).contains(&more), "{more}");
    }

    #[test]
    fn a_file_without_a_name_that_waits_in_a_socket_makes_the_count_a_partial_one() {
        use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
        use std::os::fd::AsFd;
        let top = tempfile::tempdir().unwrap();
        let file = tempfile::tempfile_in(top.path()).unwrap();
        let is_partial = || {
            let mut used = Used::default();
            count(std::process::id(), top.path(), &mut used);
            used.is_partial
        };
        let (sender, receiver) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(!is_partial());

        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut message = SendAncillaryBuffer::new(&mut space);
        let files = [file.as_fd()];
        assert!(message.push(SendAncillaryMessage::ScmRights(&files)));
        sendmsg(&sender, &[std::io::IoSlice::new(b"x")], &mut message, SendFlags::empty()).unwrap();
        drop((file, sender));

        assert!(is_partial());
        drop(receiver);
    }

    #[test]
    fn a_process_is_found_below_those_that_started_it() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();

        let found = descendants(std::process::id());
        child.kill().unwrap();
        child.wait().unwrap();

        assert!(found.contains(&child.id()) && found.contains(&std::process::id()), "{found:?}");
        assert_eq!(parent_of(child.id()), None);
    }
}
