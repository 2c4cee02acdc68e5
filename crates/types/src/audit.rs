//! The audit: who changed what, when, from where, and through which token or session.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Timestamp, event::Event, id::EventId};

/// Something that a person or an operator did.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// What happened, when, and who did it.
    #[serde(flatten)]
    pub event: Event,
    /// Through what: `token:7`, `session:3`, or `nothing` where somebody was refused before they had either.
    pub via: String,
    /// From which address.
    pub address: Option<String>,
    /// By which request: its method and path.
    pub request: Option<String>,
}

/// Which entries are wanted; what is not said is not asked about.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    /// Of this account or token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// About this kind of thing, such as `release`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noun: Option<String>,
    /// From this address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Through this token or session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// Not before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// `GET /api/v1/audit`: newest first; the next page is what is `before` the last entry's id.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ListQuery {
    /// Which.
    #[serde(flatten)]
    pub filter: Filter,
    /// Those before this entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<EventId>,
    /// At most so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}
