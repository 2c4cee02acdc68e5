//! Limits and one kill for a whole sandbox by control groups, on hosts with the unified hierarchy, with one hierarchy
//! per controller, or with both. Groups are made below the caller's own, so that its limits hold for the sandbox, too.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Limits, Via};

mod hosts;

use hosts::Hierarchies;
pub use hosts::memory_limit_bytes;

/// The start of every group's name; the supervisor's pid follows.
const PREFIX: &str = "anima-sandbox-";
/// The kernel frees a group shortly after its last process: how often and how long to try again.
const REMOVAL_TRIES: u32 = 100;
const REMOVAL_PAUSE: Duration = Duration::from_millis(2);

/// What a group of the unified hierarchy has where that shares processors' time out.
const CPU_V2: &str = "cpu.max";
/// Processors' time is shared out anew this often: the kernel's own default, for both kinds of hierarchy.
const CPU_PERIOD_MICROS: u64 = 100_000;

/// The groups of one sandbox. Dropping it removes them; everything in them must have ended.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    unified: Option<PathBuf>,
    memory: Option<(PathBuf, Via)>,
    pids: Option<(PathBuf, Via)>,
    /// Where processors' time is shared out: between groups, whatever each of them has of processes.
    cpu: Option<(PathBuf, Via)>,
    /// Whether that is held to so many cores, too.
    has_cores: bool,
}

impl Groups {
    /// Makes what this host can give; a limit that no controller holds is missing in the result, which is not an error.
    pub(crate) fn create(limits: &Limits) -> Groups {
        let hierarchies = Hierarchies::of_this_process();
        let name = format!("{PREFIX}{}", std::process::id());
        for parent in hierarchies.all() {
            remove_orphans(parent);
        }
        let mut groups = Groups::default();
        groups.make_unified(&hierarchies, &name, limits);
        groups.make_v1(&hierarchies.v1, &name, limits);
        groups
    }

    fn make_unified(&mut self, hierarchies: &Hierarchies, name: &str, limits: &Limits) {
        let Some(parent) = &hierarchies.v2 else { return };
        let group = parent.join(name);
        if fs::create_dir(&group).is_err() {
            return;
        }
        if write(&group, "pids.max", limits.pids).is_ok() {
            self.pids = Some((group.clone(), Via::CgroupV2));
        }
        if let Some(bytes) = limits.memory_bytes
            && write(&group, "memory.max", bytes).is_ok()
        {
            // Neither file is everywhere, and the limit holds without them.
            let _ = write(&group, "memory.swap.max", 0);
            let _ = write(&group, "memory.oom.group", 0);
            self.memory = Some((group.clone(), Via::CgroupV2));
        }
        if let Some(cores) = limits.cores
            && write(&group, "cpu.max", format!("{} {CPU_PERIOD_MICROS}", quota_micros(cores))).is_ok()
        {
            self.has_cores = true;
        }
        if group.join(CPU_V2).exists() {
            self.cpu = Some((group.clone(), Via::CgroupV2));
        }
        self.unified = Some(group);
    }

    fn make_v1(&mut self, parents: &BTreeMap<String, PathBuf>, name: &str, limits: &Limits) {
        if let (None, Some(parent)) = (&self.pids, parents.get("pids")) {
            self.pids = make_one(&parent.join(name), "pids.max", limits.pids);
        }
        if let (None, Some(parent), Some(bytes)) = (&self.memory, parents.get("memory"), limits.memory_bytes) {
            let group = parent.join(name);
            self.memory = make_one(&group, "memory.limit_in_bytes", bytes);
            // Only hosts with swap accounting have it.
            let _ = write(&group, "memory.memsw.limit_in_bytes", bytes);
        }
        // Even without a limit: whose processes are in no group of their own compete with all others one by one, and who has most of
        // them gets most.
        if let (None, Some(parent)) = (&self.cpu, parents.get("cpu")) {
            let group = parent.join(name);
            self.cpu = fs::create_dir(&group).is_ok().then(|| (group.clone(), Via::CgroupV1));
            self.has_cores =
                limits.cores.is_some_and(|cores| write(&group, "cpu.cfs_quota_us", quota_micros(cores)).is_ok());
        }
    }

    /// Puts a process, and all it will start, under the limits. A group that does not take it is not counted on.
    pub(crate) fn add(&mut self, pid: i32) {
        self.unified = self.unified.take().filter(|group| put(group, pid));
        self.memory = self.memory.take().filter(|(group, _)| put(group, pid));
        self.pids = self.pids.take().filter(|(group, _)| put(group, pid));
        self.cpu = self.cpu.take().filter(|(group, _)| put(group, pid));
    }

    pub(crate) fn memory(&self) -> Option<Via> {
        self.memory.as_ref().map(|(_, via)| *via)
    }

    pub(crate) fn pids(&self) -> Option<Via> {
        self.pids.as_ref().map(|(_, via)| *via)
    }

    pub(crate) fn cores(&self) -> Option<Via> {
        self.cpu.as_ref().filter(|_| self.has_cores).map(|(_, via)| *via)
    }

    pub(crate) fn can_kill(&self) -> bool {
        self.unified.as_ref().is_some_and(|group| group.join("cgroup.kill").exists())
    }

    pub(crate) fn kill(&self) {
        if let Some(group) = &self.unified {
            // The death of pid 1 does the same; this only is faster when there are many processes.
            let _ = write(group, "cgroup.kill", 1);
        }
    }

    /// Returns how many processes the kernel killed because the memory limit was reached.
    pub(crate) fn oom_kills(&self) -> u64 {
        let Some((group, via)) = &self.memory else { return 0 };
        let file = if *via == Via::CgroupV2 { "memory.events" } else { "memory.oom_control" };
        let text = fs::read_to_string(group.join(file)).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
    }

    /// Returns how many processes the kernel refused because there were too many.
    pub(crate) fn refused_processes(&self) -> u64 {
        let Some((group, _)) = &self.pids else { return 0 };
        let text = fs::read_to_string(group.join("pids.events")).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix("max ")?.trim().parse().ok()).unwrap_or(0)
    }

    pub(crate) fn peak_memory_bytes(&self) -> Option<u64> {
        let (group, via) = self.memory.as_ref()?;
        let file = if *via == Via::CgroupV2 { "memory.peak" } else { "memory.max_usage_in_bytes" };
        fs::read_to_string(group.join(file)).ok()?.trim().parse().ok()
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        let own = [self.memory.take(), self.pids.take(), self.cpu.take()].map(|group| group.map(|it| it.0));
        for group in own.into_iter().chain([self.unified.take()]).flatten() {
            remove(&group);
        }
    }
}

fn quota_micros(cores: u32) -> u64 {
    u64::from(cores) * CPU_PERIOD_MICROS
}

fn make_one(group: &Path, file: &str, limit: u64) -> Option<(PathBuf, Via)> {
    fs::create_dir(group).ok()?;
    if write(group, file, limit).is_err() {
        remove(group);
        return None;
    }
    Some((group.to_owned(), Via::CgroupV1))
}

fn put(group: &Path, pid: i32) -> bool {
    let done = write(group, "cgroup.procs", pid).is_ok();
    if !done {
        remove(group);
    }
    done
}

fn write(group: &Path, file: &str, value: impl ToString) -> io::Result<()> {
    fs::write(group.join(file), value.to_string())
}

fn remove(group: &Path) {
    for _ in 0..REMOVAL_TRIES {
        match fs::remove_dir(group) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => std::thread::sleep(REMOVAL_PAUSE),
            _ => return,
        }
    }
}

/// Removes the groups of supervisors that were killed. A group with processes in it cannot be removed, so this is safe.
fn remove_orphans(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<u32>().ok());
        // One with our own pid was left by an earlier process of that number.
        if let Some(pid) = pid
            && (pid == std::process::id() || !Path::new(&format!("/proc/{pid}")).exists())
        {
            let _ = fs::remove_dir(entry.path());
        }
    }
}
