//! Why a task stands where it stands: what a person would otherwise ask on a chat.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Timestamp,
    id::{ReleaseId, TaskId},
    release,
    task::Status,
};

/// `GET /api/v1/tasks/{task}/why`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Why {
    /// The task.
    pub task: TaskId,
    /// Where it stands.
    pub status: Status,
    /// The answer in one sentence.
    pub summary: String,
    /// What it rests on, the most telling first.
    pub facts: Vec<Fact>,
    /// When it should begin, as far as what is known allows to say it.
    pub starts_at: Option<Timestamp>,
    /// When it should end.
    pub ends_at: Option<Timestamp>,
    /// What a person can do about it.
    pub hint: Option<String>,
}

/// `GET /api/v1/releases/{release}/why`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReleaseWhy {
    /// The release.
    pub release: ReleaseId,
    /// Where it stands.
    pub status: release::Status,
    /// The answer in one sentence.
    pub summary: String,
    /// What it rests on: tasks that are not done, what gates found, approvals.
    pub facts: Vec<Fact>,
    /// When it goes to users, where that was said.
    pub starts_at: Option<Timestamp>,
    /// What a person can do about it.
    pub hint: Option<String>,
}

/// One fact.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Fact {
    /// What it is about: `waits_for`, `queue`, `nodes`, `share`, `lease`, `failure`, `key`, `hold`, and of a release
    /// `gate`, `approvals`.
    pub about: String,
    /// One sentence.
    pub text: String,
    /// The task that it speaks of.
    pub task: Option<TaskId>,
}
