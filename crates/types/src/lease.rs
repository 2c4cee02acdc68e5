//! A lease: a node's time-limited, numbered claim on a task. The protocol is in `docs/ARCHITECTURE.md`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Arch, Timestamp,
    id::TaskId,
    task,
    task_log::LogName,
    work::{Failure, Outcome, PhaseTime, Work},
};

/// A node that is not heard of for so long has lost its task. Heartbeats come every third of it.
pub const LEASE_SECS: i64 = 30;
/// How leases and what is in them are formed. Raised when a node that does not know of something would misunderstand a lease: 2
/// has roots that are made by the platform's own rpm.
pub const PROTOCOL: u32 = 2;
/// The oldest form that a master still speaks: that of nodes that do not say which they speak. One that cannot read a lease of a
/// platform that makes use of more says so, and fails the task.
pub const OLDEST_PROTOCOL: u32 = 1;
/// A claim waits so long for a task before it answers "nothing"; below the idle limit of common proxies.
pub const MAX_WAIT_SECS: u64 = 50;

/// A heartbeat waits at most so long for bad news; a third of [`LEASE_SECS`], so that one is always under way.
pub const MAX_HEARTBEAT_WAIT_SECS: u64 = LEASE_SECS as u64 / 3;
/// Bytes of a task's log at most: the longest real build logs (compilers, browsers) stay below it.
pub const MAX_LOG_BYTES: u64 = 256 * 1024 * 1024;
/// Bytes of one piece of a log at most.
pub const MAX_LOG_PIECE_BYTES: usize = 1024 * 1024;
/// The `code` of the answer (409) to a call whose lease is lost, or whose task was cancelled.
pub const STALE_LEASE: &str = "stale_lease";
/// The `code` of the answer (409) to a claim of a process whose name another one took since.
pub const NAME_TAKEN: &str = "name_taken";
/// The `code` of the answer (409) to a claim of a node whose program is too old for this master.
pub const NODE_TOO_OLD: &str = "node_too_old";
/// The `code` of the answer (409) to a claim of a node that shall end when what it works on is done.
pub const NODE_ENDS: &str = "node_ends";
/// The `code` of the answer (409) to a piece of a log that begins after the log's end.
pub const LOG_GAP: &str = "log_gap";
/// The `code` of the answer (413) to a piece of a log that would pass [`MAX_LOG_BYTES`].
pub const LOG_FULL: &str = "log_full";

/// `POST /api/v1/leases`: waits until there is a task, and answers [`Lease`] or 204.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Claim {
    /// The node's name.
    pub node: String,
    /// Which tasks it takes.
    pub kinds: Vec<task::Kind>,
    /// The architectures that it runs.
    pub architectures: Vec<Arch>,
    /// The architectures that it emulates: it gets their tasks only where no other node runs them by itself.
    #[serde(default)]
    pub emulated: Vec<Arch>,
    /// How many tasks it takes at once.
    pub slots: u32,
    /// Its program's version.
    pub version: String,
    /// Random, and another at each start of the node's program. A new one says that whatever the node worked on before is
    /// lost, so that nobody waits for it; an earlier one than the newest is refused with [`NAME_TAKEN`].
    #[serde(default)]
    pub instance: String,
    /// When the node's program was started, by its own clock: tells a late word of an earlier process from the newest one.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// How long to wait, at most [`MAX_WAIT_SECS`].
    pub wait_secs: u64,
    /// How it is.
    #[serde(default)]
    pub condition: Condition,
}

/// How a node is, as it says with each claim.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Condition {
    /// The [`PROTOCOL`] that its program speaks; 1 for one that does not say it.
    pub protocol: u32,
    /// Why it can take nothing just now, in one sentence, such as that its disk is full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What its machine has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// Whether it takes one task and ends: its name does not come again, and is soon forgotten.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub takes_one: bool,
    /// What it gives to one task at most, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gives: Option<Gives>,
    /// What its machine has that not all have, such as `kvm`: packages may need it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
}

/// What a node gives to one task at most.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Gives {
    /// Memory.
    pub memory_mib: u64,
    /// Room on the disk that it works on, just now.
    pub disk_mib: u64,
    /// Processors.
    pub cores: u32,
}

impl Default for Condition {
    fn default() -> Condition {
        Condition { protocol: 1, problem: None, machine: None, takes_one: false, gives: None, features: Vec::new() }
    }
}

/// What a node's machine has, and how much of it is free.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Machine {
    /// Processors.
    pub cores: u32,
    /// Memory.
    pub memory_mib: u64,
    /// Memory that is free, or would be if it were wanted.
    pub free_memory_mib: u64,
    /// Room on the disk that it works on.
    pub free_disk_mib: u64,
    /// How many processes wanted a processor in the last minute, in hundredths.
    pub load_percent: u32,
}

/// A task given to a node. Its secret is the only credential for the task's log, artifacts and report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Lease {
    /// The task.
    pub task: TaskId,
    /// Counts the claims on this task: a report with an older number is refused.
    pub number: i64,
    /// What to send as `Authorization: Bearer …` for this task.
    pub secret: String,
    /// When it ends unless a heartbeat comes.
    pub expires_at: Timestamp,
    /// What to do.
    pub work: Work,
}

/// Query of a heartbeat: it is answered at once when the lease is lost, and else after so long.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct HeartbeatQuery {
    /// How long to wait, at most [`MAX_HEARTBEAT_WAIT_SECS`].
    #[serde(default, deserialize_with = "crate::natural::deserialize")]
    pub wait_secs: u64,
}

/// Query of a piece of log: `PUT /api/v1/tasks/{task}/log`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct LogQuery {
    /// Where the piece begins. It may overlap what is there, with equal bytes.
    #[serde(deserialize_with = "crate::natural::deserialize")]
    pub offset: u64,
    /// Which of the task's logs.
    #[serde(default)]
    pub name: LogName,
}

/// The answer to a piece of log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogSize {
    /// How long the log is now.
    #[serde(alias = "size")]
    pub size_bytes: u64,
}

/// The answer to `POST /api/v1/tasks/{task}/heartbeat`. A lost lease is answered with 409 `stale_lease`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Heartbeat {
    /// When the lease ends unless another comes.
    pub expires_at: Timestamp,
}

/// `POST /api/v1/tasks/{task}/report`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// The lease's number.
    pub number: i64,
    /// How long each step took.
    pub phases: Vec<PhaseTime>,
    /// What came of it.
    pub end: End,
}

/// What came of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It is done.
    Succeeded(Outcome),
    /// It could not be done, and would not be on another node.
    Failed(Failure),
    /// This node could not do it for a reason of its own, such as a full disk: the task is given out again, and fails with
    /// this only when that was done [`task::MAX_ATTEMPTS`] times. A master that does not know the word refuses the report, and
    /// takes the task back when the lease is over.
    GivenBack(Failure),
}
