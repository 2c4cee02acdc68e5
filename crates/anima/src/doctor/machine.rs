//! The machine: its architecture, who we are, memory, disk, limits.

use std::{fs, path::Path};

use anima_types::Arch;

use super::{Check, programs};
use crate::output::size;

/// A build of a small package needs about a gigabyte; below this, the first large one fails.
const LEAST_FREE_BYTES: u64 = 2 << 30;
/// Buildroots, layers and packages of a small distribution.
const GOOD_FREE_BYTES: u64 = 20 << 30;
/// What compilers take when two of them run, beside the roles.
const GOOD_MEMORY_BYTES: u64 = 2 << 30;
/// Sockets, logs and artifacts that a busy master has open at once.
const GOOD_OPEN_FILES: u64 = 4096;

/// The architecture, and which packages it builds.
pub fn architecture() -> Check {
    const NAME: &str = "architecture";
    let machine = rustix::system::uname().machine().to_string_lossy().into_owned();
    match machine.parse::<Arch>() {
        Ok(_) => Check::ok(NAME, machine),
        Err(_) => Check::missing(
            NAME,
            format!("{machine} is not one that packages are built for"),
            "run the build and test nodes on another machine: anima build-node --master URL",
        ),
    }
}

/// Who we are.
pub fn user() -> Check {
    const NAME: &str = "user";
    match rustix::process::geteuid().is_root() {
        true => Check::ok(NAME, "root"),
        false => Check::missing(
            NAME,
            "not root; build and test nodes make namespaces and mounts",
            "run `sudo anima …`, or leave these roles to another machine (`roles` in anima.toml)",
        ),
    }
}

/// The solver's library.
pub fn libsolv() -> Check {
    const NAME: &str = "libsolv";
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let library =
        maps.lines().filter_map(|line| line.split_whitespace().last()).find(|path| path.contains("libsolv.so"));
    match library {
        Some(path) => Check::ok(NAME, path),
        None => Check::warning(NAME, "not loaded as a library", programs::install(["libsolv1 libsolvext1", "libsolv"])),
    }
}

/// The memory.
pub fn memory() -> Check {
    const NAME: &str = "memory";
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    match meminfo_bytes(&text, "MemTotal") {
        Some(bytes) if bytes >= GOOD_MEMORY_BYTES => Check::ok(NAME, size(bytes)),
        Some(bytes) => {
            Check::warning(NAME, size(bytes), format!("large builds want {} and more", size(GOOD_MEMORY_BYTES)))
        }
        None => Check::warning(NAME, "unknown", "mount /proc"),
    }
}

fn meminfo_bytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The disk below the data folder, or below the nearest folder above it that exists.
pub fn disk(data: &Path) -> Check {
    const NAME: &str = "disk";
    let folder = existing(data);
    let free = match rustix::fs::statvfs(&folder) {
        Ok(stat) => stat.f_bavail * stat.f_frsize,
        Err(error) => {
            return Check::missing(NAME, format!("{}: {error}", folder.display()), "name another with --data");
        }
    };
    let detail = format!("{} free in {}", size(free), folder.display());
    let cure = "make room, or name a folder on a larger disk with --data";
    match free {
        _ if free < LEAST_FREE_BYTES => Check::missing(NAME, detail, cure),
        _ if free < GOOD_FREE_BYTES => Check::warning(NAME, detail, cure),
        _ => Check::ok(NAME, detail),
    }
}

/// Returns the path, or the nearest folder above it that exists.
pub fn existing(path: &Path) -> std::path::PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/")).to_path_buf()
}

/// How many files a process may have open.
pub fn open_files() -> Check {
    const NAME: &str = "open files";
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    match limit.maximum {
        Some(most) if most < GOOD_OPEN_FILES => Check::warning(
            NAME,
            format!("at most {most}"),
            format!("ulimit -Hn {GOOD_OPEN_FILES}, or LimitNOFILE= in the unit"),
        ),
        Some(most) => Check::ok(NAME, format!("at most {most}")),
        None => Check::ok(NAME, "no limit"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(meminfo_bytes("MemTotal:        2048 kB\nMemFree: 1 kB\n", "MemTotal"), Some(2 << 20));
        assert_eq!(meminfo_bytes("", "MemTotal"), None);
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_judged_by_the_one_above() {
        assert_eq!(existing(Path::new("/proc/none/at/all")), Path::new("/proc"));
    }
}
