//! Events: what happened, in order. They are the audit trail, a page's timeline and the live stream.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Timestamp,
    id::{BuildId, EventId, ReleaseId, TaskId},
};

/// Nouns whose events only those see who may read the audit.
pub const PRIVATE: [&str; 8] = ["account", "session", "team", "right", "token", "enrolment", "git", "request"];

/// Something that happened.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its place in the order; the `id:` of the stream.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// What kind of thing it happened to: `build`, `task`, `release`, `node`, `key`, `product`.
    pub noun: String,
    /// What happened, such as `succeeded`.
    pub verb: String,
    /// The status after it, where the noun has one.
    pub status: Option<String>,
    /// Who did it: a token's or a node's name, or `anima`.
    pub actor: String,
    /// The build that it concerns.
    pub build: Option<BuildId>,
    /// The task that it concerns.
    pub task: Option<TaskId>,
    /// The release that it concerns.
    pub release: Option<ReleaseId>,
    /// One sentence.
    pub message: String,
}
