//! Maintenance: the routes of `/api/v1/maintenance`.

use anima_types::maintenance::{BeginMaintenance, MaintenanceState};

use crate::{error::Error, http::Client};

const PATH: &str = "api/v1/maintenance";

impl Client {
    /// Returns whether tasks are given out, and how many nodes work on.
    pub async fn maintenance(&self) -> Result<MaintenanceState, Error> {
        self.get(PATH, &[("", ""); 0]).await
    }

    /// Gives out no task from now on.
    pub async fn begin_maintenance(&self, wanted: &BeginMaintenance) -> Result<MaintenanceState, Error> {
        self.put_json(PATH, wanted).await
    }

    /// Gives out tasks again.
    pub async fn end_maintenance(&self) -> Result<(), Error> {
        self.act(reqwest::Method::DELETE, PATH).await
    }
}
