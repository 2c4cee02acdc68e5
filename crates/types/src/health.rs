//! `GET /readyz`: whether a master can do its work, and which part keeps it from that.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a master found when it last looked, a second ago at most. The status is 200 if it is ready, and 503 otherwise.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Whether all parts are good.
    pub is_ready: bool,
    /// The parts: `database`, `store`, `disk` (the master's own folder), `clock`.
    pub parts: Vec<Part>,
}

/// A part that a master stands on.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: PartState,
    /// A sentence for people.
    pub message: String,
}

/// How a part is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartState {
    /// It works.
    Good,
    /// It does not answer. What needs it waits or is refused, and goes on when it is back.
    Away,
    /// There is no room on it.
    Full,
    /// It takes nothing.
    ReadOnly,
    /// It is of another time than the others.
    WrongClock,
    /// Something else is wrong with it.
    Faulty,
}
