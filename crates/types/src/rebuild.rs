//! A mass rebuild: a build of many packages that is held in bounds while it goes on, and released as one when it is done.
//!
//! It is a build and has its id. Its packages see one another in the build's own repository; the world sees none of them before
//! they are released.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Arch,
    build::{Build, Priority},
    id::{BuildId, ReleaseId, TaskId},
    task::Kind,
};

/// Packages of a mass rebuild at most: more than any distribution has. What is looked at as a whole (its beginning, its page) is
/// to stay within seconds for five architectures.
pub const MAX_PACKAGES: usize = 20_000;

/// `POST /api/v1/rebuilds`
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateRebuild {
    /// The platform's name.
    pub platform: String,
    /// The packages; empty means all that the platform ever had.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Also rebuilds all that is built with one of the packages, directly or through others.
    #[serde(default)]
    pub with_dependants: bool,
    /// The branch or tag whose commits are built; none means the commits that were built last.
    #[serde(default)]
    pub reference: Option<String>,
    /// The architectures; empty means all that the platform has.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub architectures: Vec<Arch>,
    /// How much it is hurried.
    #[serde(default = "background")]
    pub priority: Priority,
    /// Tasks that are ready or at nodes at once, at most; none means no bound.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Makes it, and begins nothing before it is resumed.
    #[serde(default)]
    pub is_paused: bool,
}

const fn background() -> Priority {
    Priority::Background
}

/// `PUT /api/v1/rebuilds/{build}/limit`
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LimitRebuild {
    /// Tasks that are ready or at nodes at once, at most; none takes the bound away.
    pub limit: Option<u32>,
}

/// `POST /api/v1/rebuilds/{build}/leave-out`
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LeaveOut {
    /// The packages; empty means all that failed.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Why.
    pub reason: String,
}

/// A mass rebuild as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rebuild {
    /// The build that it is, without its sources.
    pub build: Build,
    /// How many packages it has.
    pub package_count: usize,
    /// Nothing is begun until somebody resumes it.
    pub is_paused: bool,
    /// Tasks that are ready or at nodes at once, at most.
    pub limit: Option<u32>,
    /// How far it is, by kind of task and architecture.
    pub progress: Vec<Progress>,
    /// About how long it goes on, in seconds, if nothing fails and nodes stay as they are; not known before the order is.
    pub secs_left: Option<f64>,
    /// What failed, in the order in which it did.
    pub failed: Vec<FailedTask>,
    /// How many failed.
    pub failed_count: usize,
    /// Releases that carry it.
    pub releases: Vec<ReleaseId>,
}

/// How far tasks of one kind and architecture are.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// Their kind.
    pub kind: Kind,
    /// Their architecture; none for source packages.
    #[schema(value_type = Option<String>)]
    pub arch: Option<Arch>,
    /// Tasks that wait for others, for the bound or for somebody to resume.
    pub waiting: usize,
    /// Tasks that wait for a node.
    pub ready: usize,
    /// Tasks that nodes work on.
    pub leased: usize,
    /// Tasks that are done, or are not for this architecture or left out.
    pub done: usize,
    /// Tasks that failed, were cancelled, or wait for one that did.
    pub failed: usize,
}

/// A task that failed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FailedTask {
    /// Its id.
    pub task: TaskId,
    /// What it does.
    pub kind: Kind,
    /// The package.
    pub package: Option<String>,
    /// The architecture.
    #[schema(value_type = Option<String>)]
    pub arch: Option<Arch>,
    /// Why, in one sentence.
    pub why: String,
}

/// The answer to `POST /api/v1/rebuilds/{build}/release`: one release for each product.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RebuildReleases {
    /// The build.
    pub build: BuildId,
    /// Its releases.
    pub releases: Vec<ReleaseId>,
}
