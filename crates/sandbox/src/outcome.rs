//! What became of a command.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a run ended and what it took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub exit: Exit,
    /// From the start of the helper's work to the death of the last process.
    pub wall: Duration,
    /// Of all processes together.
    pub user_cpu: Duration,
    /// Of all processes together.
    pub sys_cpu: Duration,
    /// Of the largest single process.
    pub max_rss_bytes: u64,
    /// Of all processes together, where the host counts it.
    pub peak_memory_bytes: Option<u64>,
    /// What they made a disk read; what was in memory already is not among it.
    pub read_bytes: u64,
    /// What they wrote to files on a disk.
    pub written_bytes: u64,
    /// The least room that the file system of [`crate::Disk`] had for them at any look; `None` where nobody looked.
    #[serde(default)]
    pub least_free_bytes: Option<u64>,
    /// Processes that were killed because the memory limit was reached, also where the command went on without them.
    #[serde(default)]
    pub killed_for_memory_count: u64,
    /// Processes that were refused because there were too many, also where the command went on without them.
    #[serde(default)]
    pub refused_process_count: u64,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// The command ended by itself with this code.
    Exited(i32),
    /// A signal from inside ended the command.
    Signaled(i32),
    /// The time was over.
    TimedOut,
    /// The command failed, and processes had been killed because the memory limit was reached.
    OutOfMemory,
    /// Its log is longer than it may be.
    LogTooLong,
    /// It took more room on the disk than it may: [`crate::Disk`]. A disk that others filled is not this: see
    /// [`Outcome::least_free_bytes`].
    DiskFull,
    /// It failed after it had wanted more processes than it may have, or went on wanting them.
    TooManyProcesses,
    /// It was killed through its handle.
    Canceled,
}

impl Exit {
    /// Returns whether the command ended by itself with code 0.
    pub fn is_success(self) -> bool {
        self == Exit::Exited(0)
    }
}

/// What of the isolation this host could give; what is always given is not listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforced {
    /// A user namespace stands between the command and the host.
    pub user_namespace: bool,
    /// What holds the memory limit; `None` when none was asked for or the host has no such controller.
    pub memory: Option<Via>,
    /// What holds the limit on processes.
    pub pids: Option<Via>,
    /// What holds the limit on processors' time; `None` when none was asked for or the host has no such controller.
    pub cores: Option<Via>,
    /// The whole group can be killed by one write, besides by the death of its first process.
    pub cgroup_kill: bool,
}

/// The mechanism behind a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Via {
    /// The unified hierarchy.
    CgroupV2,
    /// A hierarchy of its own.
    CgroupV1,
    /// A limit of the user inside, not of the whole sandbox.
    Rlimit,
}
