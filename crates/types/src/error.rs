//! The one form in which the API tells of an error.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of every answer of 400 and above.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// A stable word for programs, such as `not_found` or `stale_lease`.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// What to do about it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
