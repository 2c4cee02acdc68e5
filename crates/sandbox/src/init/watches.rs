//! How many watches on files (inotify) may be had inside.
//!
//! The kernel counts them for who asks, and again for who made the user namespace, which is root: without a bound, one sandbox
//! could have all that the host gives root, and no service of the host would watch anything any more.

use std::fs;
use std::path::PathBuf;

use crate::wire::{Failure, Step};

/// The kernel's bounds of a user namespace. It has others, for more namespaces and for fanotify, which nobody inside can make.
const BOUNDS: [&str; 2] = ["max_inotify_instances", "max_inotify_watches"];
/// A sandbox gets one in so many of what the host gives root: 16 instances of the kernel's own 128. Eight at once are the most
/// that a node does unless it is told to do more, and all of them would have to be hostile. The kernel holds each user inside to it:
/// a build is one, and only packages' scripts, as root, could become others.
const SHARE: u64 = 8;

/// A sandbox's bounds, as the host's are shared out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watches([Option<u64>; BOUNDS.len()]);

impl Watches {
    /// Looks at the bounds of this process's own user namespace. A kernel without inotify has none.
    pub(super) fn share_of_the_hosts() -> Watches {
        Watches(BOUNDS.map(|name| {
            let hosts: u64 = fs::read_to_string(path_of(name)).ok()?.trim().parse().ok()?;
            Some((hosts / SHARE).max(1))
        }))
    }

    /// Sets them for the user namespace that this process has just come into, as its root: for good, where `/proc/sys` is
    /// read-only after that.
    pub(super) fn bound(self) -> Result<(), Failure> {
        for (name, most) in BOUNDS.iter().zip(self.0).filter_map(|(name, most)| Some((name, most?))) {
            fs::write(path_of(name), most.to_string()).step(|| format!("set {name}"))?;
        }
        Ok(())
    }
}

fn path_of(name: &str) -> PathBuf {
    PathBuf::from("/proc/sys/user").join(name)
}
