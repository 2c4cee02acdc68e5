//! A package as its page shows it: what was pushed, built and released under one name.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Timestamp,
    build::{self, Build},
    id::BuildId,
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
    #[schema(value_type = Option<String>)]
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
}
