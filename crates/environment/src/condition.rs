//! How this machine is: whether it can take a task, and what it has.

use std::fs;
use std::path::Path;

use anima_types::lease::{Condition, Machine};

const MIB: u64 = 1024 * 1024;
/// Kept free of what tasks write: for the master's data on the same disk, and for the node's own.
pub const KEEP_FREE_BYTES: u64 = 1024 * MIB;
/// What the smallest build or test writes, with the layers that it may need first; on less, tasks would only fail.
const SMALLEST_TASK_BYTES: u64 = 1024 * MIB;
/// Where less is free, caches give back what they keep elsewhere: twice what is the least for a task, so that it is done before the
/// node can take nothing.
const ROOMY_BYTES: u64 = 2 * (KEEP_FREE_BYTES + SMALLEST_TASK_BYTES);

/// Returns whether the disk of a folder has so little room that caches have to give some back. A folder that cannot be looked at
/// has room: its fault is told by [`look`].
pub(crate) fn is_short_of_room(data: &Path) -> bool {
    free_disk_bytes(data).is_ok_and(|free_bytes| free_bytes < ROOMY_BYTES)
}

fn free_disk_bytes(data: &Path) -> rustix::io::Result<u64> {
    rustix::fs::statvfs(data).map(|disk| disk.f_bavail * disk.f_frsize)
}

/// Looks at this machine; `data` is where tasks write.
pub fn look(data: &Path) -> Condition {
    let free_disk_bytes = free_disk_bytes(data);
    let machine = machine(*free_disk_bytes.as_ref().unwrap_or(&0));
    let problem = match free_disk_bytes {
        Ok(free_bytes) => problem(free_bytes),
        Err(errno) => Some(format!("its folder {} cannot be looked at: {errno}", data.display())),
    };
    Condition { problem, machine: Some(machine), ..Condition::default() }
}

fn problem(free_disk_bytes: u64) -> Option<String> {
    let wanted = KEEP_FREE_BYTES + SMALLEST_TASK_BYTES;
    (free_disk_bytes < wanted).then(|| {
        format!("its disk is too full: {} MiB are free, and {} have to be", free_disk_bytes / MIB, wanted / MIB)
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
        assert_eq!(problem(3 << 30), None);
        let told = problem(512 * MIB).unwrap();
        assert_eq!(told, "its disk is too full: 512 MiB are free, and 2048 have to be");
    }

    #[test]
    fn this_machine_has_cores_memory_and_a_disk() {
        let machine = look(Path::new("/")).machine.unwrap();

        assert!(machine.cores > 0 && machine.memory_mib > 0 && machine.free_disk_mib > 0, "{machine:?}");
        assert!(machine.free_memory_mib <= machine.memory_mib, "{machine:?}");
        assert!(look(Path::new("/nonexistent")).problem.is_some());
    }
}
