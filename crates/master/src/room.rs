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

/// Whether uploads found room; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Room(Arc<AtomicBool>);

impl Room {
    /// Notes that an upload found none.
    pub fn ran_out(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether tasks may be given out, as far as room goes. It looks at the disks only after there was none.
    pub fn is_there(&self, config: &Config) -> bool {
        if !self.0.load(Ordering::Relaxed) {
            return true;
        }
        let store = match &config.artifacts {
            Address::Folder(folder) => folder.as_path(),
            Address::Bucket(bucket) => bucket.cache.as_path(),
        };
        let is_there = [store, config.data.as_path()].into_iter().all(has_room);
        if is_there {
            self.0.store(false, Ordering::Relaxed);
            tracing::info!("there is room for what nodes make again: tasks are given out");
        }
        is_there
    }
}

fn has_room(folder: &Path) -> bool {
    // A disk that cannot be asked is another part's trouble.
    rustix::fs::statvfs(folder).map_or(true, |disk| {
        is_enough(disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize))
    })
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
    fn nothing_is_looked_at_before_there_was_no_room() {
        let room = Room::default();
        assert!(!room.0.load(Ordering::Relaxed));
        room.clone().ran_out();
        assert!(room.0.load(Ordering::Relaxed));
    }
}
