//! Maintenance: no task is given out, so that the whole can be stopped or updated with nothing under way.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;

/// `PUT /api/v1/maintenance`
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BeginMaintenance {
    /// Why, for others who look.
    #[serde(default)]
    pub reason: Option<String>,
}

/// That no task is given out, and who wanted it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Maintenance {
    /// Since when.
    pub since: Timestamp,
    /// Who wanted it.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

impl Maintenance {
    /// Says it in a sentence without its point.
    pub fn sentence(&self) -> String {
        let because = self.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
        format!("{} began maintenance{because}", self.by)
    }
}

/// `GET /api/v1/maintenance`
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MaintenanceState {
    /// That it is so, where it is.
    pub maintenance: Option<Maintenance>,
    /// Tasks that nodes work on still; where there is maintenance and this is 0, all can be stopped.
    pub running_count: u64,
}
