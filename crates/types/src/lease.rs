//! A lease: a node's time-limited, numbered claim on a task. The protocol is in `docs/ARCHITECTURE.md`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Arch, Timestamp,
    id::TaskId,
    task,
    work::{Failure, Outcome, PhaseTime, Work},
};

/// A node that is not heard of for so long has lost its task. Heartbeats come every third of it.
pub const LEASE_SECS: i64 = 30;
/// A claim waits so long for a task before it answers "nothing"; below the idle limit of common proxies.
pub const MAX_WAIT_SECS: u64 = 50;

/// `POST /api/v1/leases`: waits until there is a task, and answers [`Lease`] or 204.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Claim {
    /// The node's name.
    pub node: String,
    /// Which tasks it takes.
    pub kinds: Vec<task::Kind>,
    /// The architectures that it runs.
    #[schema(value_type = Vec<String>)]
    pub architectures: Vec<Arch>,
    /// How many tasks it takes at once.
    pub slots: u32,
    /// Its program's version.
    pub version: String,
    /// How long to wait, at most [`MAX_WAIT_SECS`].
    pub wait_secs: u64,
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
    #[schema(value_type = String)]
    pub expires_at: Timestamp,
    /// What to do.
    pub work: Work,
}

/// The answer to `POST /api/v1/tasks/{task}/heartbeat`. A lost lease is answered with 409 `stale_lease`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Heartbeat {
    /// When the lease ends unless another comes.
    #[schema(value_type = String)]
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
}
