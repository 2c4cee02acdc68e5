//! What the Git Service tells the Master Service: of a push, and of what else somebody changed there.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::BuildId;

/// `POST /api/v1/pushes`
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Push {
    /// The repository's name, which is the package's.
    pub package: String,
    /// The branch.
    pub branch: String,
    /// The new commit.
    pub commit: String,
    /// The first line of its message.
    pub subject: String,
    /// Who pushed: the account's or the token's name.
    pub pusher: String,
    /// Through which token, for the audit: `token:7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// From which address, for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// What became of it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PushAnswer {
    /// The build that it started or joined; none where the branch belongs to no platform.
    pub build: Option<BuildId>,
    /// One sentence for the pusher's terminal.
    pub message: String,
}

/// Changes in one [`GitChanges`] at most; of more, how many there were is told.
pub const MAX_GIT_CHANGES: usize = 50;

/// `POST /api/v1/git-changes`: what somebody changed in the Git Service and that is no push to a branch. The audit has it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GitChanges {
    /// The repository's name, which is the package's.
    pub package: String,
    /// What, 50 at most.
    pub changes: Vec<GitChange>,
    /// How many more there were.
    #[serde(default)]
    pub more_count: u64,
    /// Who: the account's or the token's name.
    pub pusher: String,
    /// Through which token: `token:7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// From which address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// Something that is not a push to a branch.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum GitChange {
    /// A branch, a tag or another reference is gone.
    Deleted {
        /// Its full name: `refs/tags/v1`.
        reference: String,
        /// What it was.
        old: String,
    },
    /// A reference that is no branch was made or moved.
    Moved {
        /// Its full name.
        reference: String,
        /// What it was, unless it is new.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        old: Option<String>,
        /// What it is.
        new: String,
    },
    /// A file came into the lookaside.
    Uploaded {
        /// What it is called.
        file: String,
        /// Its SHA-512.
        sha512: String,
        /// Its size.
        size_bytes: u64,
    },
}

impl GitChange {
    /// Returns what happened, in one word.
    pub const fn verb(&self) -> &'static str {
        match self {
            GitChange::Deleted { .. } => "deleted",
            GitChange::Moved { .. } => "moved",
            GitChange::Uploaded { .. } => "uploaded",
        }
    }
}

impl fmt::Display for GitChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GitChange::Deleted { reference, old } => write!(f, "{reference} was deleted; it was {old}"),
            GitChange::Moved { reference, old: None, new } => write!(f, "{reference} was made, at {new}"),
            GitChange::Moved { reference, old: Some(old), new } => {
                write!(f, "{reference} was moved from {old} to {new}")
            }
            GitChange::Uploaded { file, sha512, size_bytes } => {
                write!(f, "{file} was uploaded: {size_bytes} bytes, SHA-512 {sha512}")
            }
        }
    }
}
