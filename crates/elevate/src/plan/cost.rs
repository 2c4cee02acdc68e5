//! What a plan takes: room on each file system, and time.

use anima_solver::Solution;
use serde::{Deserialize, Serialize};

use super::fate::name_of;
use crate::facts::{Facts, Mount};

/// The package database and its journals need room besides what packages bring.
const SPARE_BYTES: u64 = 256 << 20;
/// A kernel and its initramfs in /boot; the initramfs is made on the machine, so that no metadata knows its size.
const KERNEL_BYTES: u64 = 150 << 20;
/// A mirror of a company, or a good one of a country.
const DOWNLOAD_BYTES_PER_SEC: u64 = 10 << 20;
/// rpm on ext4 with scripts: 227 packages of 658 MB took 8.2 s on two busy cores, and few machines are slower.
const INSTALL_BYTES_PER_SEC: u64 = 60 << 20;
/// See [`INSTALL_BYTES_PER_SEC`]; scripts, database, syncs.
const PACKAGE_MILLIS: u64 = 30;

/// What a plan takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Room on each file system that grows.
    pub rooms: Vec<Room>,
    /// About how long the download takes.
    pub download_secs: u64,
    /// About how long the installation takes.
    pub install_secs: u64,
}

/// Room on a file system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Room {
    /// Where it is mounted.
    pub path: String,
    /// What is needed while old and new files are there together.
    pub needed_bytes: u64,
    /// What is free.
    pub free_bytes: u64,
}

/// Computes the costs of what the solver decided.
pub fn costs(facts: &Facts, solution: &Solution) -> Costs {
    let comes = || solution.steps.iter().filter(|step| step.is_installed);
    let download_bytes: u64 = solution.packages.iter().map(|package| package.size_bytes).sum();
    let new_bytes: u64 = comes().map(|step| step.installed_size_bytes).sum();
    let kernels = |name: &str| comes().filter(|step| name_of(&step.nevra) == name).count();
    // From 8 on `kernel` has no files, and needs `kernel-core`.
    let kernel_count = if kernels("kernel-core") > 0 { kernels("kernel-core") } else { kernels("kernel") };
    let mut rooms: Vec<Room> = Vec::new();
    let mut add = |path: &str, bytes: u64| {
        let Some(mount) = mount_of(facts, path).filter(|_| bytes > 0) else { return };
        match rooms.iter_mut().find(|room| room.path == mount.path) {
            Some(room) => room.needed_bytes += bytes,
            None => rooms.push(Room { path: mount.path.clone(), needed_bytes: bytes, free_bytes: mount.free_bytes }),
        }
    };
    if !solution.steps.is_empty() {
        // Nearly all files of packages are below /usr; the old ones stay until the new ones are proven.
        add("/usr", new_bytes);
        add("/var", download_bytes + SPARE_BYTES);
        add("/boot", kernel_count as u64 * KERNEL_BYTES);
    }
    rooms.sort_by(|a, b| a.path.cmp(&b.path));
    Costs {
        rooms,
        download_secs: download_bytes.div_ceil(DOWNLOAD_BYTES_PER_SEC),
        install_secs: (solution.steps.len() as u64 * PACKAGE_MILLIS).div_ceil(1000) + new_bytes / INSTALL_BYTES_PER_SEC,
    }
}

/// Returns the file system that a path is on.
fn mount_of<'a>(facts: &'a Facts, path: &str) -> Option<&'a Mount> {
    let is_above =
        |mount: &&Mount| mount.path == "/" || mount.path == path || path.starts_with(&format!("{}/", mount.path));
    facts.mounts.iter().filter(is_above).max_by_key(|mount| mount.path.len())
}
