//! Whether there is room for what nodes make.
//!
//! A task whose upload found none is given back, and would be given out again at once, to be built for nothing: after that, no
//! task is given out by this master until there is room (see docs/decisions/0034).

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anima_store::Address;

use crate::app::Config;

/// What has to be free before tasks are given out again: the packages of some builds.
const ENOUGH_BYTES: u64 = 2 << 30;
/// On a small disk, this part of it.
const ENOUGH_PART: u64 = 10;
/// A disk with less is full: no upload of a package of any size is sure of it.
const FULL_BYTES: u64 = 256 << 20;

/// Whether uploads found room; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Room(Arc<AtomicBool>);

impl Room {
    /// Looks at the disks when a master starts: on one that is full, tasks would be built for nothing once more.
    pub fn at_start(config: &Config) -> Room {
        let room = Room::default();
        if folders(config).into_iter().any(is_full) {
            tracing::warn!("there is no room for what nodes make: no task is given out");
            room.ran_out();
        }
        room
    }

    /// Notes that an upload found none.
    pub fn ran_out(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether tasks may be given out, as far as room goes. It looks at the disks only after there was none.
    pub fn is_there(&self, config: &Config) -> bool {
        if !self.0.load(Ordering::Relaxed) {
            return true;
        }
        let is_there = folders(config).into_iter().all(has_room);
        if is_there {
            self.0.store(false, Ordering::Relaxed);
            tracing::info!("there is room for what nodes make again: tasks are given out");
        }
        is_there
    }
}

/// Returns the folders that what nodes make is written to.
fn folders(config: &Config) -> [&Path; 2] {
    let store = match &config.artifacts {
        Address::Folder(folder) => folder.as_path(),
        Address::Bucket(bucket) => bucket.cache.as_path(),
    };
    [store, config.data.as_path()]
}

/// Returns what is free on the disk of a folder, and how large it is. One that cannot be asked is another part's trouble.
fn sizes(folder: &Path) -> Option<(u64, u64)> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some((disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize)))
}

fn has_room(folder: &Path) -> bool {
    sizes(folder).is_none_or(|(free_bytes, all_bytes)| is_enough(free_bytes, all_bytes))
}

fn is_full(folder: &Path) -> bool {
    sizes(folder).is_some_and(|(free_bytes, all_bytes)| is_too_little(free_bytes, all_bytes))
}

/// What is full never has enough: else tasks would be given out and held in turn.
fn is_too_little(free_bytes: u64, all_bytes: u64) -> bool {
    free_bytes < FULL_BYTES && !is_enough(free_bytes, all_bytes)
}

fn is_enough(free_bytes: u64, all_bytes: u64) -> bool {
    free_bytes >= ENOUGH_BYTES.min(all_bytes / ENOUGH_PART)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_gigabytes_are_enough_and_a_tenth_of_a_small_disk() {
        assert!(is_enough(2 << 30, 1 << 40));
        assert!(!is_enough((2 << 30) - 1, 1 << 40));
        assert!(is_enough(1 << 30, 10 << 30));
        assert!(!is_enough(100 << 20, 10 << 30));
    }

    #[test]
    fn a_disk_is_full_at_the_start_where_little_is_free_and_not_because_it_is_small() {
        assert!(is_too_little(100 << 20, 1 << 40));
        assert!(!is_too_little(300 << 20, 1 << 40));
        assert!(!is_too_little(60 << 20, 500 << 20));
        assert!(is_too_little(0, 500 << 20));
    }

    #[test]
    fn nothing_is_looked_at_before_there_was_no_room() {
        let room = Room::default();
        assert!(!room.0.load(Ordering::Relaxed));
        room.clone().ran_out();
        assert!(room.0.load(Ordering::Relaxed));
    }
}
