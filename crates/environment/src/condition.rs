//! How this machine is: whether it can take a task, and what it has.

use std::fs;
use std::path::Path;

use anima_types::lease::{Condition, Machine};

const MIB: u64 = 1024 * 1024;
/// Kept free of what tasks write: for the master's data on the same disk, and for the node's own.
pub const KEEP_FREE_BYTES: u64 = 1024 * MIB;
/// The same in files and folders: a file system as ext4 has so many as were made with it, and when none is left nothing can be made
/// on it, whatever room it has.
pub const KEEP_FREE_FILES: u64 = 20_000;
/// What the smallest build or test writes, with the layers that it may need first; on less, tasks would only fail.
const SMALLEST_TASK_BYTES: u64 = 1024 * MIB;
/// The same in files and folders: the base root of a distribution has some 25,000.
const SMALLEST_TASK_FILES: u64 = 30_000;
/// Where less is free, caches give back what they keep elsewhere: twice what is the least for a task, so that it is done before the
/// node can take nothing.
const ROOMY: Free =
    Free { bytes: 2 * (KEEP_FREE_BYTES + SMALLEST_TASK_BYTES), files: 2 * (KEEP_FREE_FILES + SMALLEST_TASK_FILES) };

/// What is free on a file system.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Free {
    /// Room.
    pub bytes: u64,
    /// How many more files and folders can be made.
    pub files: u64,
}

/// Returns whether the disk of a folder has so little room that caches have to give some back. A folder that cannot be looked at
/// has room: its fault is told by [`look`].
pub(crate) fn is_short_of_room(data: &Path) -> bool {
    free(data).is_ok_and(|free| free.bytes < ROOMY.bytes || free.files < ROOMY.files)
}

/// Looks at the disk of a folder.
pub fn free(data: &Path) -> rustix::io::Result<Free> {
    let disk = rustix::fs::statvfs(data)?;
    // A file system without a table of files, as btrfs, says that it has none.
    let files = if disk.f_files == 0 { u64::MAX } else { disk.f_favail };
    Ok(Free { bytes: disk.f_bavail * disk.f_frsize, files })
}

/// Looks at this machine; `data` is where tasks write.
pub fn look(data: &Path) -> Condition {
    let free = free(data);
    let machine = machine(free.map_or(0, |free| free.bytes));
    let problem = match free {
        Ok(free) => problem(free),
        Err(errno) => Some(format!("its folder {} cannot be looked at: {errno}", data.display())),
    };
    Condition { problem, machine: Some(machine), ..Condition::default() }
}

fn problem(free: Free) -> Option<String> {
    let wanted_bytes = KEEP_FREE_BYTES + SMALLEST_TASK_BYTES;
    let wanted_files = KEEP_FREE_FILES + SMALLEST_TASK_FILES;
    if free.bytes < wanted_bytes {
        let (free_mib, wanted_mib) = (free.bytes / MIB, wanted_bytes / MIB);
        return Some(format!("its disk is too full: {free_mib} MiB are free, and {wanted_mib} have to be"));
    }
    (free.files < wanted_files).then(|| {
        format!(
            "its disk is too full: it has room for {} files more, and has to have it for {wanted_files}",
            free.files
        )
    })
}

/// Returns the memory that this machine has for the node and its tasks: the host's, or what the node's own control group may
/// have of it, as in a container.
pub fn memory_bytes() -> u64 {
    let memory = rustix::system::sysinfo();
    let hosts = memory.totalram as u64 * u64::from(memory.mem_unit);
    anima_sandbox::memory_limit_bytes().map_or(hosts, |limit| limit.min(hosts))
}

fn machine(free_disk_bytes: u64) -> Machine {
    let memory = rustix::system::sysinfo();
    let unit = u64::from(memory.mem_unit);
    let memory_mib = memory_bytes() / MIB;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // The kernel counts load in parts of 65,536.
    let load_percent = memory.loads[0] as u64 * 100 / 65_536;
    Machine {
        cores: cores.try_into().unwrap_or(u32::MAX),
        memory_mib,
        free_memory_mib: free_memory_mib().unwrap_or(memory.freeram as u64 * unit / MIB).min(memory_mib),
        free_disk_mib: free_disk_bytes / MIB,
        load_percent: load_percent.try_into().unwrap_or(u32::MAX),
    }
}

/// What programs could have, caches given back.
fn free_memory_mib() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_a_reason_to_take_nothing() {
        let told = |bytes, files| problem(Free { bytes, files });

        assert_eq!(told(3 << 30, u64::MAX), None);
        let told_of_bytes = told(512 * MIB, u64::MAX).unwrap();
        assert_eq!(told_of_bytes, "its disk is too full: 512 MiB are free, and 2048 have to be");
        let told_of_files = told(3 << 30, 49_999).unwrap();
        assert_eq!(
            told_of_files,
            "its disk is too full: it has room for 49999 files more, and has to have it for 50000"
        );
    }

    #[test]
    fn this_machine_has_cores_memory_and_a_disk() {
        let machine = look(Path::new("/")).machine.unwrap();

        assert!(machine.cores > 0 && machine.memory_mib > 0 && machine.free_disk_mib > 0, "{machine:?}");
        assert!(machine.free_memory_mib <= machine.memory_mib, "{machine:?}");
        assert!(look(Path::new("/nonexistent")).problem.is_some());
    }
}
