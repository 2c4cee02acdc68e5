//! What one task may use of this machine: what the node gives, and of that what platform and package say.

use std::path::Path;
use std::time::Duration;

use anima_environment::Most;
use anima_environment::condition::{self, KEEP_FREE_BYTES, KEEP_FREE_FILES, memory_bytes};
use anima_sandbox::{Exit, Outcome};
use anima_types::lease::{Gives, MAX_LOG_BYTES};
use anima_types::platform;
use anima_types::work::{Failure, NODE_DISK_FULL};
use serde::{Deserialize, Serialize};

pub(crate) const MIB: u64 = 1024 * 1024;
/// The slowest packages of a distribution (browsers, compilers on slow architectures) take most of a day.
const BUILD_WALL: Duration = Duration::from_secs(24 * 60 * 60);
/// Enough for a parallel build of the largest packages, too few for a fork bomb to hurt the machine.
const PROCESSES: u64 = 16_384;
/// A disk that had less at any look was full: looks come ten times a second, and what fails for want of room gives back what it
/// had written.
const FULL_BYTES: u64 = 16 * MIB;
/// Files and folders of one build, where the disk has so many: the largest source trees have some 100,000, and their tests as many
/// again.
const FILES: u64 = 4_000_000;
/// A layer is shared: whether it can be made must not depend on how little the task may have that comes first. Scripts that build
/// caches of fonts, icons and manuals stay below this.
const LAYER_MEMORY_BYTES: u64 = 1024 * MIB;
/// The same for processes and threads.
const LAYER_PROCESSES: u64 = 1024;
/// The end of a log is ours: why the task failed has to fit, too.
const OWN_LOG_BYTES: u64 = MIB;

/// The bounds of one task, each one a number.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    pub memory_bytes: u64,
    pub disk_bytes: u64,
    /// Files and folders.
    pub files: u64,
    pub cores: Option<u32>,
    pub wall: Duration,
    pub processes: u64,
    pub log_bytes: u64,
}

/// What a node has.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    pub memory_bytes: u64,
    pub free_disk_bytes: u64,
    /// How many more files its disk can have.
    pub free_files: u64,
    pub slots: u32,
}

impl Machine {
    /// Looks at this machine; `data` is where builds write.
    pub fn look(data: &Path, slots: u32) -> std::io::Result<Machine> {
        let free = condition::free(data)?;
        Ok(Machine { memory_bytes: memory_bytes(), free_disk_bytes: free.bytes, free_files: free.files, slots })
    }

    /// Returns what tasks may write on the disk, all together.
    pub fn writable_bytes(&self) -> u64 {
        self.free_disk_bytes.saturating_sub(KEEP_FREE_BYTES)
    }
}

impl Limits {
    /// Returns what a node gives to each of its tasks: its share of the machine, or less where its configuration says so.
    pub fn of_node(machine: Machine, said: platform::Limits) -> Limits {
        let slots = u64::from(machine.slots.max(1));
        // A tenth is for the node itself and the system.
        let memory_bytes = machine.memory_bytes / 10 * 9 / slots;
        let disk_bytes = machine.writable_bytes() / slots;
        let all = Limits {
            memory_bytes,
            disk_bytes,
            files: FILES.min(machine.free_files.saturating_sub(KEEP_FREE_FILES) / slots),
            cores: None,
            wall: BUILD_WALL,
            processes: PROCESSES,
            log_bytes: MAX_LOG_BYTES - OWN_LOG_BYTES,
        };
        all.within(said)
    }

    /// Returns what one task may use: its share of the node, or what its package says. That may be more memory than a share, and more
    /// of the disk, up to all that the node gives: it then waits until others have given it back ([`crate::admission`]).
    pub fn of_task(machine: Machine, node: platform::Limits, said: platform::Limits) -> Limits {
        let limits = Limits::of_node(machine, node).within(said);
        let whole = Limits::of_node(Machine { slots: 1, ..machine }, node);
        let within = |said: Option<u64>, whole: u64| said.map(|mib| mib.saturating_mul(MIB).min(whole));
        Limits {
            memory_bytes: within(said.memory_mib, whole.memory_bytes).unwrap_or(limits.memory_bytes),
            disk_bytes: within(said.disk_mib, whole.disk_bytes).unwrap_or(limits.disk_bytes),
            ..limits
        }
    }

    /// Returns what a node gives to one task at most, as it says to the master: none that asks for more comes.
    pub fn given(machine: Machine, node: platform::Limits, cores: u32) -> Gives {
        let whole = Limits::of_node(Machine { slots: 1, ..machine }, node);
        Gives {
            memory_mib: whole.memory_bytes / MIB,
            disk_mib: whole.disk_bytes / MIB,
            cores: whole.cores.map_or(cores, |said| said.min(cores)),
        }
    }

    /// Returns the lower of both, each by each.
    pub fn within(self, said: platform::Limits) -> Limits {
        let lower =
            |own: u64, said: Option<u64>, unit: u64| said.map_or(own, |said| own.min(said.saturating_mul(unit)));
        Limits {
            memory_bytes: lower(self.memory_bytes, said.memory_mib, MIB),
            disk_bytes: lower(self.disk_bytes, said.disk_mib, MIB),
            files: self.files,
            cores: self.cores.into_iter().chain(said.cores).min(),
            wall: Duration::from_secs(lower(self.wall.as_secs(), said.wall_secs, 1)),
            processes: lower(self.processes, said.processes, 1),
            log_bytes: lower(self.log_bytes, said.log_mib, MIB),
        }
    }

    /// Returns what filling the layers of such a task's root may take: the task's room on the machine is all that it was given, and
    /// where that is less than layers may need, so much of what the node gives. How long packages take to install, and what layers
    /// take on the disk, is no affair of one package; so these are bounded by what the node's configuration says, and by the caches'
    /// own bounds.
    pub fn of_layers(&self, machine: Machine, node: platform::Limits) -> Most {
        let whole = Limits::of_node(Machine { slots: 1, ..machine }, node);
        Most {
            memory_bytes: Some(self.memory_bytes.max(whole.memory_bytes.min(LAYER_MEMORY_BYTES))),
            cores: self.cores,
            processes: Some(self.processes.max(whole.processes.min(LAYER_PROCESSES))),
            wall: node.wall_secs.map(Duration::from_secs),
        }
    }

    /// Returns them in words.
    pub fn in_words(&self) -> String {
        let cores = self.cores.map_or(String::new(), |cores| format!("{cores} cores, "));
        format!(
            "{} MiB of memory, {} MiB of disk, {cores}{} processes, {} MiB of log, {} s",
            self.memory_bytes / MIB,
            self.disk_bytes / MIB,
            self.processes,
            self.log_bytes / MIB,
            self.wall.as_secs()
        )
    }

    /// Returns the failure of a command that was ended because it reached one of them, or that failed on a full disk.
    pub fn failure(&self, outcome: &Outcome, command: &str, package: &str) -> Option<Failure> {
        let exit = outcome.exit;
        let (code, what) = match exit {
            _ if failed_on_full_disk(outcome) => (NODE_DISK_FULL, "failed while the disk of the machine was full"),
            Exit::OutOfMemory => ("out_of_memory", "needed more memory than it may have"),
            Exit::DiskFull => ("out_of_disk", "took more room on the disk than it may"),
            Exit::TimedOut => ("timed_out", "was not done when the time was over"),
            Exit::TooManyProcesses => ("too_many_processes", "started more processes than it may have"),
            Exit::LogTooLong => ("log_too_long", "wrote more than a log may have"),
            Exit::Exited(_) | Exit::Signaled(_) | Exit::Canceled => return None,
        };
        Some(Failure::new(code, format!("{command} {what}")).with_hint(self.hint(exit, package)))
    }

    /// Returns what to do about a run that was ended because it reached one of them.
    pub fn hint(&self, exit: Exit, package: &str) -> Option<String> {
        let (what, key) = match exit {
            Exit::OutOfMemory => (format!("{} MiB of memory", self.memory_bytes / MIB), "memory_mib"),
            Exit::DiskFull => (format!("{} MiB on the disk", self.disk_bytes / MIB), "disk_mib"),
            Exit::TimedOut => (format!("{} s", self.wall.as_secs()), "wall_secs"),
            Exit::TooManyProcesses => (format!("{} processes", self.processes), "processes"),
            Exit::LogTooLong => (format!("{} MiB of log", self.log_bytes / MIB), "log_mib"),
            Exit::Exited(_) | Exit::Signaled(_) | Exit::Canceled => return None,
        };
        Some(format!(
            "It may use {what} here. If it needs more: {key} in [packages.{package}.limits] of the platform's file, up to what the \
             node gives ([build_node.limits] in its anima.toml; fewer slots give each task more)."
        ))
    }
}

/// Returns what to do about packages whose installation into a layer reached one of the bounds of layers.
pub fn hint_of_layers(most: &Most, exit: Exit, package: &str) -> Option<String> {
    let of_package = |what: String, key: &str| {
        format!(
            "Installing the packages of its root may use {what} here. If they need more: {key} in [packages.{package}.limits] of the \
             platform's file, up to what the node gives and to 4 GiB of memory. It may also be that a script of one of them never ends."
        )
    };
    match exit {
        Exit::OutOfMemory => Some(of_package(format!("{} MiB of memory", most.memory_bytes? / MIB), "memory_mib")),
        Exit::TooManyProcesses => Some(of_package(format!("{} processes", most.processes?), "processes")),
        Exit::TimedOut => {
            let hint = "Installing the packages of a root may take an hour, or wall_secs in [build_node.limits] of the node's anima.toml \
                        where that is less. It may also be that a script of one of them never ends.";
            Some(hint.to_owned())
        }
        _ => None,
    }
}

/// Returns whether a command failed, by itself, while the disk had no room: that is the node's fault, whatever the command says.
pub fn failed_on_full_disk(outcome: &Outcome) -> bool {
    let has_failed = matches!(outcome.exit, Exit::Exited(1..) | Exit::Signaled(_));
    has_failed && outcome.least_free_bytes.is_some_and(|bytes| bytes < FULL_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1024 * MIB;

    fn machine(slots: u32) -> Machine {
        Machine { memory_bytes: 10 * GIB, free_disk_bytes: 101 * GIB, free_files: u64::MAX, slots }
    }

    #[test]
    fn tasks_share_the_machine() {
        let limits = Limits::of_node(machine(2), platform::Limits::default());

        assert_eq!((limits.memory_bytes, limits.disk_bytes), (10 * GIB / 10 * 9 / 2, 50 * GIB));
        assert_eq!(Limits::of_node(machine(0), platform::Limits::default()).disk_bytes, 100 * GIB);
        assert!(limits.log_bytes < MAX_LOG_BYTES);
    }

    #[test]
    fn tasks_share_the_files_that_a_disk_can_have() {
        let files = |free_files, slots| {
            Limits::of_task(Machine { free_files, ..machine(slots) }, Default::default(), Default::default()).files
        };

        assert_eq!((files(u64::MAX, 8), files(620_000, 2), files(620_000, 1)), (FILES, 300_000, 600_000));
        assert_eq!(files(KEEP_FREE_FILES, 1), 0);
    }

    #[test]
    fn a_package_gets_what_it_says_but_never_more_than_its_node_gives() {
        let node = Limits::of_node(machine(1), platform::Limits { memory_mib: Some(2048), ..Default::default() });

        let said =
            platform::Limits { memory_mib: Some(512), cores: Some(2), wall_secs: Some(60), ..Default::default() };
        let less = node.within(said);
        let more = node.within(platform::Limits { memory_mib: Some(u64::MAX), ..Default::default() });

        assert_eq!((less.memory_bytes, less.cores, less.wall.as_secs()), (512 * MIB, Some(2), 60));
        assert_eq!(more.memory_bytes, 2 * GIB);
        assert_eq!(
            less.in_words(),
            "512 MiB of memory, 102400 MiB of disk, 2 cores, 16384 processes, 255 MiB of log, 60 s"
        );
    }

    #[test]
    fn a_package_may_have_more_memory_than_a_share_and_never_more_than_the_node() {
        let of_task = |mib| {
            let said = platform::Limits { memory_mib: Some(mib), ..Default::default() };
            Limits::of_task(machine(2), platform::Limits::default(), said).memory_bytes
        };

        assert_eq!((of_task(8 * 1024), of_task(512), of_task(u64::MAX)), (8 * GIB, 512 * MIB, 10 * GIB / 10 * 9));
    }

    #[test]
    fn layers_are_filled_within_what_the_task_got_but_not_in_less_than_they_need_and_in_the_nodes_time() {
        let node = platform::Limits { wall_secs: Some(600), processes: Some(100), ..Default::default() };
        let said = platform::Limits { memory_mib: Some(512), cores: Some(2), wall_secs: Some(5), ..Default::default() };

        let of_task =
            |node, said: platform::Limits| Limits::of_task(machine(1), node, said).of_layers(machine(1), node);

        let wall = Some(Duration::from_secs(600));
        let expected = Most { memory_bytes: Some(GIB), cores: Some(2), processes: Some(100), wall };
        assert_eq!(of_task(node, said), expected);
        let more = platform::Limits { memory_mib: Some(2048), processes: Some(5), ..said };
        let nothing = platform::Limits::default();
        let Most { memory_bytes, processes, wall, .. } = of_task(nothing, more);
        assert_eq!((memory_bytes, processes, wall), (Some(2 * GIB), Some(1024), None));
        let small = platform::Limits { memory_mib: Some(100), ..nothing };
        assert_eq!(of_task(small, said).memory_bytes, Some(100 * MIB), "no more than the node gives");
    }

    #[test]
    fn what_reached_a_limit_while_it_was_installed_is_told_with_what_sets_that() {
        let most = Most { memory_bytes: Some(GIB), processes: Some(10), ..Most::default() };

        let memory = hint_of_layers(&most, Exit::OutOfMemory, "jq").unwrap();

        assert!(
            memory.contains("1024 MiB of memory") && memory.contains("memory_mib in [packages.jq.limits]"),
            "{memory}"
        );
        assert!(hint_of_layers(&most, Exit::TimedOut, "jq").unwrap().contains("wall_secs in [build_node.limits]"));
        assert_eq!(hint_of_layers(&most, Exit::Exited(1), "jq"), None);
    }

    #[test]
    fn a_package_may_have_more_of_the_disk_than_a_share_and_never_more_than_is_free() {
        let of_task = |mib| {
            let said = platform::Limits { disk_mib: Some(mib), ..Default::default() };
            Limits::of_task(machine(2), platform::Limits::default(), said).disk_bytes
        };

        assert_eq!((of_task(80 * 1024), of_task(512), of_task(u64::MAX)), (80 * GIB, 512 * MIB, 100 * GIB));
    }

    #[test]
    fn a_node_says_what_one_task_may_have_of_all_that_it_gives() {
        let node = platform::Limits { memory_mib: Some(4096), cores: Some(2), ..Default::default() };

        let given = Limits::given(machine(4), node, 8);
        let whole = Limits::given(machine(4), platform::Limits::default(), 8);

        assert_eq!(given, Gives { memory_mib: 4096, disk_mib: 100 * 1024, cores: 2 });
        assert_eq!((whole.memory_mib, whole.cores), (10 * GIB / 10 * 9 / MIB, 8));
    }

    #[test]
    fn who_reached_a_limit_learns_its_size_and_where_it_is_set() {
        let limits = Limits::of_node(machine(1), platform::Limits { disk_mib: Some(100), ..Default::default() });

        let hint = limits.hint(Exit::DiskFull, "kernel").unwrap();

        assert!(
            hint.contains("100 MiB on the disk") && hint.contains("disk_mib in [packages.kernel.limits]"),
            "{hint}"
        );
        assert_eq!(limits.hint(Exit::Exited(1), "kernel"), None);
    }
}
