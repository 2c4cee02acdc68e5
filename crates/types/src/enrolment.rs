//! Enrolment of nodes: a code, made by an administrator, that one machine exchanges once and soon for a token of its own.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Timestamp, permission::Role};

/// Minutes that a code is good for, where nothing is said.
pub const DEFAULT_MINUTES: u32 = 30;
/// Minutes that a code is good for at most: a machine is set up on the day on which somebody wanted it.
pub const MAX_MINUTES: u32 = 24 * 60;

/// `POST /api/v1/enrolments`
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateEnrolment {
    /// The node's name; its token is good for a node of that name only.
    pub node: String,
    /// What it is: `build-node`, `test-node`, `sign-server`, `release-system` or `git-service`.
    pub role: Role,
    /// Minutes that the code is good for; 30 where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<u32>,
}

/// The answer, once: the code is not kept.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CreatedEnrolment {
    /// What the node says.
    pub code: String,
    /// Until when.
    pub expires_at: Timestamp,
}

/// `POST /api/v1/enrolments/redeem`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct RedeemEnrolment {
    /// The code.
    pub code: String,
}
