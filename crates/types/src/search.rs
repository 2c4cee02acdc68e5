//! Search within a repository: `GET /api/v1/repositories/{repository}/search?q=TEXT&in=files`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
