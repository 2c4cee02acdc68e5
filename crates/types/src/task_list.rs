//! The list of tasks: what runs and what waits, with why.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Arch, Timestamp,
    id::{BuildId, ReleaseId, TaskId},
    task::{Kind, Status},
};

/// Query of `GET /api/v1/tasks`. Those of a status that has not ended come in the order of the queue, the next first; all others
/// the newest first.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ListQuery {
    /// How many at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Only tasks that stand so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Only tasks for this architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
    /// Only tasks that this node has or had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Only tasks that do this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Only tasks of builds that this person asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// A task in one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ListedTask {
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
    /// The architecture.
    pub arch: Option<Arch>,
    /// Why it stands where it stands, in one sentence: of one that waits for what, of one that is ready how many are before it.
    pub why: String,
    /// The task that it waits for first, where it waits for one.
    pub waits_for: Option<TaskId>,
    /// The node that has or had it.
    pub node: Option<String>,
    /// How often it was given out since it was last restarted, as far as that counts.
    pub attempts: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last given out; of one that is ready, when it should be.
    pub starts_at: Option<Timestamp>,
    /// When it ended; of one that has not, when it should, where that is known.
    pub ends_at: Option<Timestamp>,
}

impl ListedTask {
    /// Returns what people call it: `build jq x86_64`.
    pub fn name(&self) -> String {
        let words = [Some(self.kind.name()), self.package.as_deref(), self.arch.map(Arch::name)];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}
