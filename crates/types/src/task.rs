//! A task is what a node leases: a build task, a test task, a sign task, or the release system's plan and publication.
//! All kinds live the same life, which is this table; what differs is the work (see [`crate::work`]).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Timestamp,
    artifact::Artifact,
    id::{BuildId, ReleaseId, TaskId},
    task_log::LogName,
    words::words,
    work::{Failure, PhaseTime},
};

/// A task is given out at most so often: one that kills its nodes must not go round for ever.
pub const MAX_ATTEMPTS: u32 = 3;

/// What a task does, and so which role takes it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TaskKind)]
pub enum Kind {
    /// A build task that makes the source package of a commit.
    Src,
    /// A build task that makes binary packages for one architecture.
    Build,
    /// A test task: one environment for a build on a target.
    Test,
    /// A sign task.
    Sign,
    /// The release system plans a release.
    Plan,
    /// The release system makes the metadata of a release's repositories.
    Publish,
    /// The release system fetches the packages of a repository from elsewhere.
    Import,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TaskStatus)]
pub enum Status {
    /// Other tasks have to end first.
    Waiting,
    /// A node may take it now.
    Ready,
    /// A node has a lease on it.
    Leased,
    /// Done.
    Succeeded,
    /// Done, with a reason.
    Failed,
    /// Something that it needs failed.
    Blocked,
    /// The package is not for this architecture.
    Excluded,
    /// Somebody stopped it.
    Cancelled,
}

/// What happens to a task.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TaskEvent)]
pub enum Event {
    /// All that it waited for has succeeded.
    DependenciesMet,
    /// Something that it waited for will not come.
    DependencyFailed,
    /// The package is not for this architecture.
    Excluded,
    /// It is not to begin yet after all: what it belongs to is paused or has enough under way.
    Held,
    /// A node took it.
    Claimed,
    /// The node did it.
    Succeeded,
    /// The node could not do it.
    Failed,
    /// The node was not heard of in time, and attempts are left.
    LeaseExpired,
    /// The node could not do it for a reason of its own, and attempts are left.
    GivenBack,
    /// The node was not heard of in time, for the last time.
    AttemptsExhausted,
    /// Somebody stopped it.
    Cancelled,
    /// Somebody wants it tried again.
    Restarted,
}

words!(Kind {
    Src = "src",
    Build = "build",
    Test = "test",
    Sign = "sign",
    Plan = "plan",
    Publish = "publish",
    Import = "import",
});

words!(Status {
    Waiting = "waiting",
    Ready = "ready",
    Leased = "leased",
    Succeeded = "succeeded",
    Failed = "failed",
    Blocked = "blocked",
    Excluded = "excluded",
    Cancelled = "cancelled",
});

impl Status {
    /// Returns whether nothing more happens unless somebody restarts it.
    pub const fn is_ended(self) -> bool {
        !matches!(self, Status::Waiting | Status::Ready | Status::Leased)
    }
}

words!(Event {
    DependenciesMet = "dependencies_met",
    DependencyFailed = "dependency_failed",
    Excluded = "excluded",
    Held = "held",
    Claimed = "claimed",
    Succeeded = "succeeded",
    Failed = "failed",
    LeaseExpired = "lease_expired",
    GivenBack = "given_back",
    AttemptsExhausted = "attempts_exhausted",
    Cancelled = "cancelled",
    Restarted = "restarted",
});

/// Returns the status after `event`, or `None` where it cannot happen. A restarted task waits until its
/// dependencies are looked at again.
pub const fn next(status: Status, event: Event) -> Option<Status> {
    use Status::*;
    Some(match (status, event) {
        (Waiting, Event::DependenciesMet) => Ready,
        (Waiting | Ready, Event::DependencyFailed) => Blocked,
        (Waiting | Ready, Event::Excluded) => Excluded,
        (Ready, Event::Held) => Waiting,
        (Ready, Event::Claimed) => Leased,
        (Leased, Event::Succeeded) => Succeeded,
        (Leased, Event::Failed) => Failed,
        (Leased, Event::LeaseExpired | Event::GivenBack) => Ready,
        (Leased, Event::AttemptsExhausted) => Failed,
        (Waiting | Ready | Leased, Event::Cancelled) => Cancelled,
        (Failed | Blocked | Cancelled, Event::Restarted) => Waiting,
        _ => return None,
    })
}

/// A task as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// What it does.
    pub kind: Kind,
    /// Where it stands.
    pub status: Status,
    /// The build that it belongs to.
    pub build: Option<BuildId>,
    /// The release that it belongs to.
    pub release: Option<ReleaseId>,
    /// The source package, for build tasks.
    pub package: Option<String>,
    /// The platform's name.
    pub platform: Option<String>,
    /// The architecture; `src` tasks have that of the node that may take them.
    pub arch: Option<crate::Arch>,
    /// Why it stands where it stands, in one sentence.
    pub why: String,
    /// The tasks that have to succeed first.
    pub waits_for: Vec<TaskId>,
    /// How often it was given out since it was last restarted, as far as that counts: `attempt` counts all times.
    pub attempts: u32,
    /// How long it is expected to take, in seconds, where it was done before.
    #[serde(default)]
    pub estimate_secs: Option<i64>,
    /// The node that has or had it.
    pub node: Option<String>,
    /// Whether that node emulates its architecture: it takes many times as long.
    #[serde(default)]
    pub is_emulated: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last given out.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How long each step took.
    pub phases: Vec<PhaseTime>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// What it made.
    pub artifacts: Vec<Artifact>,
    /// Bytes of its log so far.
    pub log_size_bytes: u64,
    /// The number of its newest attempt's lease, of all times that it was given out: which attempt the log is of.
    #[serde(default)]
    pub attempt: i64,
    /// All its logs, those of earlier attempts too; only where one task is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<TaskLog>,
    /// Each time that it was given out, the newest first; only where one task is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Attempt>,
    /// What the work gave, in the form of its kind ([`crate::work::Outcome`]).
    #[schema(value_type = Option<Object>)]
    pub result: Option<serde_json::Value>,
}

/// One of a task's logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskLog {
    /// Which.
    pub name: LogName,
    /// The number of the attempt's lease.
    pub attempt: i64,
    /// Its size, uncompressed.
    pub size_bytes: u64,
}

/// What became of a task on one of the nodes that it was given to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// The number of the attempt's lease, by which its logs are asked for.
    pub attempt: i64,
    /// The node.
    pub node: String,
    /// When it got it.
    pub started_at: Timestamp,
    /// When that was over.
    pub ended_at: Option<Timestamp>,
    /// The event that it ended with, such as `lease_expired`, where that is known.
    pub ending: Option<String>,
    /// How it ended, in one sentence.
    pub why: Option<String>,
}

/// Says how often a task was given out: of all times, by which its attempts and logs are counted, and how many of these count
/// against `MAX_ATTEMPTS`.
pub fn attempts_in_words(attempt: i64, attempts: u32) -> String {
    match i64::from(attempts) {
        // A master of an earlier version does not say it of all times.
        attempts if attempts >= attempt => attempts.to_string(),
        attempts => format!("{attempt}, of which {attempts} since the last restart count"),
    }
}

impl Attempt {
    /// Returns what became of it, in words.
    pub fn in_words(&self) -> String {
        let Attempt { attempt, node, started_at, .. } = self;
        let how = self.why.as_deref().or(self.ending.as_deref()).unwrap_or("it is not known how it ended");
        match self.ended_at {
            Some(ended_at) => {
                let secs = ended_at.secs_since(*started_at);
                format!("attempt {attempt} on {node} at {started_at}, after {secs:.0} s: {how}")
            }
            None => format!("attempt {attempt} on {node} at {started_at}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_status_and_event_is_decided() {
        let mut table = String::new();
        for status in Status::ALL {
            for event in Event::ALL {
                if let Some(next) = next(status, event) {
                    table += &format!("{} + {} -> {}\n", status.name(), event.name(), next.name());
                }
            }
        }

        assert_eq!(
            table,
            "waiting + dependencies_met -> ready\nwaiting + dependency_failed -> blocked\nwaiting + excluded -> excluded\n\
             waiting + cancelled -> cancelled\nready + dependency_failed -> blocked\nready + excluded -> excluded\nready + held -> waiting\n\
             ready + claimed -> leased\nready + cancelled -> cancelled\nleased + succeeded -> succeeded\n\
             leased + failed -> failed\nleased + lease_expired -> ready\nleased + given_back -> ready\nleased + attempts_exhausted -> failed\n\
             leased + cancelled -> cancelled\nfailed + restarted -> waiting\nblocked + restarted -> waiting\n\
             cancelled + restarted -> waiting\n"
        );
    }

    #[test]
    fn an_ended_task_moves_only_by_a_restart() {
        for status in Status::ALL.into_iter().filter(|status| status.is_ended()) {
            for event in Event::ALL {
                assert!(next(status, event).is_none() || event == Event::Restarted);
            }
        }
    }

    #[test]
    fn attempts_of_all_times_and_those_that_count_are_said_apart() {
        assert_eq!(attempts_in_words(2, 2), "2");
        assert_eq!(attempts_in_words(0, 2), "2");
        assert_eq!(attempts_in_words(7, 1), "7, of which 1 since the last restart count");
    }

    #[test]
    fn names_read_back() {
        assert!(Status::ALL.into_iter().all(|status| Status::from_name(status.name()) == Some(status)));
        assert!(Kind::ALL.into_iter().all(|kind| Kind::from_name(kind.name()) == Some(kind)));
    }
}
