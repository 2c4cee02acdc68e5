//! A package as its page shows it: what was pushed, built and released under one name.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Arch, Timestamp,
    build::{self, Build},
    id::{BuildId, TaskId},
    work::PhaseTime,
};

/// One line of `GET /api/v1/packages`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PackageSummary {
    /// Its name.
    pub name: String,
    /// Its newest build.
    pub last_build: Option<BuildId>,
    /// Where that build stands.
    pub status: Option<build::Status>,
    /// The version and release that its newest source package has, such as `1.6-1.s1`.
    pub version: Option<String>,
    /// Where users find it, such as `seed-1/BaseOS/x86_64`.
    pub released_to: Vec<String>,
    /// When something last happened to it.
    pub changed_at: Option<Timestamp>,
}

/// `GET /api/v1/packages/{name}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PackageDetail {
    /// The package.
    #[serde(flatten)]
    pub package: PackageSummary,
    /// Its builds with their commits and releases, the newest first.
    pub builds: Vec<Build>,
    /// What its builds took, for each target that it was ever built for.
    #[serde(default)]
    pub statistics: Vec<TargetStatistics>,
}

/// The last builds of a package for a target that succeeded are looked at, so many: older ones say little of the next.
pub const MEASURED_BUILDS: u32 = 5;

/// What builds of a package for one target take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TargetStatistics {
    /// The platform's name.
    pub platform: String,
    /// The architecture.
    pub arch: Arch,
    /// How many of its last builds this is from, at most [`MEASURED_BUILDS`].
    pub build_count: u32,
    /// How long a build takes, in the middle of these: what the next is expected to take.
    pub secs: f64,
    /// The task of the newest.
    pub task: TaskId,
    /// Its steps, with what they used.
    pub phases: Vec<PhaseTime>,
}
