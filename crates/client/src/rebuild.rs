//! Mass rebuilds.

use anima_types::{
    id::BuildId,
    rebuild::{CreateRebuild, LeaveOut, LimitRebuild, Rebuild, RebuildReleases},
};
use reqwest::Method;

use crate::{Client, Error};

/// No query.
const NONE: &[(&str, &str); 0] = &[];

impl Client {
    /// Starts a mass rebuild.
    pub async fn create_rebuild(&self, wanted: &CreateRebuild) -> Result<Rebuild, Error> {
        self.post("api/v1/rebuilds", wanted).await
    }

    /// Returns mass rebuilds, the newest first, at most `limit`.
    pub async fn rebuilds(&self, limit: u32) -> Result<Vec<Rebuild>, Error> {
        self.list("api/v1/rebuilds", NONE, Some(limit)).await
    }

    /// Returns a mass rebuild.
    pub async fn rebuild(&self, build: BuildId) -> Result<Rebuild, Error> {
        self.get(&format!("api/v1/rebuilds/{build}"), NONE).await
    }

    /// Begins nothing more of it.
    pub async fn pause_rebuild(&self, build: BuildId) -> Result<(), Error> {
        self.act(Method::POST, &format!("api/v1/rebuilds/{build}/pause")).await
    }

    /// Lets it go on.
    pub async fn resume_rebuild(&self, build: BuildId) -> Result<(), Error> {
        self.act(Method::POST, &format!("api/v1/rebuilds/{build}/resume")).await
    }

    /// Says how many of its tasks are under way at once at most.
    pub async fn limit_rebuild(&self, build: BuildId, limit: Option<u32>) -> Result<Rebuild, Error> {
        self.put_json(&format!("api/v1/rebuilds/{build}/limit"), &LimitRebuild { limit }).await
    }

    /// Tries again what failed.
    pub async fn retry_rebuild(&self, build: BuildId) -> Result<(), Error> {
        self.act(Method::POST, &format!("api/v1/rebuilds/{build}/retry")).await
    }

    /// Lets it go on without packages.
    pub async fn leave_out(&self, build: BuildId, wanted: &LeaveOut) -> Result<Rebuild, Error> {
        self.post(&format!("api/v1/rebuilds/{build}/leave-out"), wanted).await
    }

    /// Stops it.
    pub async fn cancel_rebuild(&self, build: BuildId) -> Result<(), Error> {
        self.act(Method::POST, &format!("api/v1/rebuilds/{build}/cancel")).await
    }

    /// Plans its releases.
    pub async fn release_rebuild(&self, build: BuildId) -> Result<RebuildReleases, Error> {
        self.post(&format!("api/v1/rebuilds/{build}/release"), &()).await
    }
}
