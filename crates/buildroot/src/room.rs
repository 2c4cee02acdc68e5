//! How much rpm and the scripts that it runs may write.
//!
//! A package's scripts run as root while it is installed, in a build's root as in one under test; one that writes without end
//! would fill the disk of all tasks of the machine.

use std::path::Path;

use anima_sandbox::Disk;

use crate::error::At;
use crate::{Error, tree};

/// More than any set of packages takes that is installed at once: a whole desktop with its debug information has some 20 GiB.
pub const MAX_RPM_BYTES: u64 = 32 * 1024 * 1024 * 1024;
/// The same in files and folders: the largest sets have around a million.
const MAX_FILES: u64 = 4_000_000;
/// So much of the disk is left to what else the machine does.
const KEEP_FREE_BYTES: u64 = 1024 * 1024 * 1024;
/// And so many of the files that it can have.
const KEEP_FREE_FILES: u64 = 20_000;

/// Returns what may be written below the folder `written`: at most so many bytes, and less where the disk has less.
pub fn room(written: &Path, most_bytes: u64) -> Result<Disk, Error> {
    let disk = rustix::fs::statvfs(written).at("look at", written)?;
    let free_bytes = (disk.f_bavail * disk.f_frsize).saturating_sub(KEEP_FREE_BYTES);
    // A file system without a table of files, as btrfs, says that it has none.
    let free_files = if disk.f_files == 0 { u64::MAX } else { disk.f_favail.saturating_sub(KEEP_FREE_FILES) };
    Ok(Disk { path: written.to_owned(), bytes: free_bytes.min(most_bytes), files: free_files.min(MAX_FILES) })
}

/// The same beside what is there already, as in a root that was kept, with at most so many files.
pub fn room_beside(written: &Path, most_bytes: u64, most_files: u64) -> Result<Disk, Error> {
    let there = tree::size(written).at("count", written)?;
    let more = room(written, most_bytes)?;
    Ok(Disk {
        bytes: more.bytes.saturating_add(there.bytes),
        files: more.files.min(most_files).saturating_add(there.files),
        ..more
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_is_never_given_away_whole() {
        let folder = tempfile::tempdir().unwrap();
        let disk = rustix::fs::statvfs(folder.path()).unwrap();

        assert_eq!(room(folder.path(), 7).unwrap().bytes, 7);
        std::fs::write(folder.path().join("there"), vec![1; 1 << 20]).unwrap();
        let beside = room_beside(folder.path(), 7, 5).unwrap();
        assert!((1 << 20..1 << 21).contains(&beside.bytes) && beside.files == 6, "{beside:?}");
        assert!(room(folder.path(), u64::MAX).unwrap().bytes < disk.f_blocks * disk.f_frsize - KEEP_FREE_BYTES);
    }

    #[test]
    fn nobody_gets_all_the_files_that_a_disk_can_have() {
        let folder = tempfile::tempdir().unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("tmpfs", folder.path(), "tmpfs", flags, Some(c"nr_inodes=30000")).unwrap();

        let of_few = room(folder.path(), 1).unwrap().files;
        rustix::mount::unmount(folder.path(), rustix::mount::UnmountFlags::DETACH).unwrap();

        assert!((9_000..=10_000).contains(&of_few), "{of_few}");
    }
}
