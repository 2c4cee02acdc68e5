//! What the Git Service tells the Master Service of a push.

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
