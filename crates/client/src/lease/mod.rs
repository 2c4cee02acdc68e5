//! What all nodes share: claim, heartbeat, log, upload, report.
//!
//! A node gives a [`Handler`], which is the middle; [`Runner`] is everything around it. While the master cannot be
//! reached, tasks go on: the log is kept in memory, and heartbeats and the report are repeated for [`PATIENCE`]. When
//! a task is cancelled or its lease is lost, its [`Cancel`] is triggered within a second, and nothing more is sent. A node that is
//! asked to end gives back what it has not done.

mod call;
mod cancel;
mod hold;
mod log_flush;
mod runner;
mod task_log;
mod upload;

use std::{future::Future, time::Duration};

use anima_types::{
    lease::{LEASE_SECS, Lease},
    work::{Failure, MASTER_DISK_FULL, NODE_DISK_FULL, NODE_LAYER_DAMAGED, Outcome, PhaseTime},
};

pub use cancel::Cancel;
pub use hold::Context;
pub use runner::{Once, Runner};
pub use task_log::{LOG_PATIENCE, MAX_BUFFER_BYTES, TaskLog};

use crate::error::Error;

/// So long a node goes on without the master: its restart, or a migration, is shorter, and the lease is kept over it
/// if the master comes back before it looks for expired ones.
pub const PATIENCE: Duration = Duration::from_secs(LEASE_SECS as u64 * 4);

/// The middle of a node: what it does with a task.
pub trait Handler: Send + Sync + 'static {
    /// Does the work. It has to end soon after `context.cancel` is triggered; what it returns then is not sent.
    fn run(
        &self,
        lease: Lease,
        context: Context,
    ) -> impl Future<Output = Result<(Outcome, Vec<PhaseTime>), Stop>> + Send;
}

/// Why a task was not done.
#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    /// It could not be done, and would not be on another node. This is reported.
    Failed {
        /// Why.
        failure: Box<Failure>,
        /// How long the steps up to it took.
        phases: Vec<PhaseTime>,
    },
    /// This node cannot do it, and another may, or this one later. This is reported.
    GivenBack {
        /// Why.
        failure: Box<Failure>,
    },
    /// Nothing can be said of it: the lease is lost, or the task was cancelled. This is not reported; another node does it.
    Abandoned,
}

impl Stop {
    /// Returns a failure as the end of the task, or, where it is the node's own or the master's, as one that gives the task back.
    pub fn of(failure: Box<Failure>, phases: Vec<PhaseTime>) -> Stop {
        match Stop::gives_back(&failure.code) {
            true => Stop::GivenBack { failure },
            false => Stop::Failed { failure, phases },
        }
    }

    /// Returns whether a failure of this code gives the task back.
    pub fn gives_back(code: &str) -> bool {
        [NODE_DISK_FULL, NODE_LAYER_DAMAGED, MASTER_DISK_FULL].contains(&code)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::of(Box::new(failure), Vec::new())
    }
}

/// What the client could not do ends the task with the client's own words.
impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        let code = match &error {
            Error::LeaseLost { .. } => return Stop::Abandoned,
            Error::File { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => NODE_DISK_FULL,
            Error::Api { status: 507, .. } => MASTER_DISK_FULL,
            Error::Unreachable { .. } => "unreachable",
            _ => "internal",
        };
        Failure::new(code, error.to_string()).into()
    }
}
