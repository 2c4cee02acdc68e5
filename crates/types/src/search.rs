//! Search: everywhere, `GET /api/v1/search?q=TEXT`, and within a repository,
//! `GET /api/v1/repositories/{repository}/search?q=TEXT&in=files`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Timestamp, build,
    id::{BuildId, RepositoryId},
};

/// What is searched in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchKind {
    /// Names and summaries.
    #[default]
    Packages,
    /// What packages provide.
    Provides,
    /// Paths that they own.
    Files,
}

impl SearchKind {
    /// All of them.
    pub const ALL: [SearchKind; 3] = [SearchKind::Packages, SearchKind::Provides, SearchKind::Files];

    /// Returns the word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            SearchKind::Packages => "packages",
            SearchKind::Provides => "provides",
            SearchKind::Files => "files",
        }
    }
}

/// What was found.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Search {
    /// Packages, in the order of the repository.
    pub hits: Vec<Hit>,
    /// Whether there are more.
    pub is_cut: bool,
}

/// A package that was found.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Hit {
    /// The package.
    pub nevra: String,
    /// What it is for; empty where only lists of files were read.
    pub summary: String,
    /// What of it was found: provides or paths.
    pub found: Vec<String>,
}

/// `GET /api/v1/search`: what has a text, of each kind the first.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Everything {
    /// Builds of that number, of that person, or of a commit that begins so; the newest first.
    pub builds: Vec<FoundBuild>,
    /// Source packages with it in their names.
    pub packages: Vec<FoundPackage>,
    /// Packages that users see: with it in their name and version, their summary or what they provide, or, where it begins
    /// with a slash, in a path.
    pub rpms: Vec<FoundRpm>,
    /// Accounts with it in their names; only for those who have one.
    pub accounts: Vec<FoundAccount>,
    /// Of which kinds there are more.
    pub more: Vec<FoundKind>,
}

/// A kind of what is found.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FoundKind {
    /// [`Everything::builds`]
    Builds,
    /// [`Everything::packages`]
    Packages,
    /// [`Everything::rpms`]
    Rpms,
    /// [`Everything::accounts`]
    Accounts,
}

/// A build that was found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FoundBuild {
    /// Its id.
    pub id: BuildId,
    /// Where it stands.
    pub status: build::Status,
    /// Who asked for it.
    pub owner: String,
    /// How it came to be.
    pub reason: String,
    /// Its state in one sentence.
    pub summary: String,
    /// When it was asked for.
    pub created_at: Timestamp,
}

/// A source package that was found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FoundPackage {
    /// Its name.
    pub name: String,
    /// Its newest build.
    pub last_build: BuildId,
}

/// A package of a repository that was found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FoundRpm {
    /// Which.
    pub nevra: String,
    /// What it is for.
    pub summary: String,
    /// What of it was found: provides or paths.
    pub found: Vec<String>,
    /// Where users see it.
    pub repositories: Vec<FoundPlace>,
}

/// Where users see a package.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FoundPlace {
    /// The repository.
    pub id: RepositoryId,
    /// Its product and path.
    pub address: String,
}

/// An account that was found.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FoundAccount {
    /// What it is called.
    pub name: String,
    /// The person's name for people.
    pub title: String,
}

/// What is asked of [`Everything`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct EverythingQuery {
    /// The text.
    pub q: String,
    /// How many of each kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}
