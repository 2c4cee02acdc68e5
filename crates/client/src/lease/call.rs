//! The calls that a lease's secret allows.

use std::time::Duration;

use anima_types::{
    Sha256,
    artifact::{Artifact, UploadQuery},
    id::TaskId,
    lease::{Heartbeat, HeartbeatQuery, LOG_GAP, Lease, LogQuery, LogSize, Report, STALE_LEASE},
    task_log::LogName,
};
use bytes::Bytes;
use reqwest::{Method, header::CONTENT_LENGTH};

use crate::{error::Error, http::Client};

const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// A heartbeat's answer is this late at most after the time that it was asked to wait.
const HEARTBEAT_SLACK: Duration = Duration::from_secs(5);
/// The largest packages (kernel debuginfo) over a slow line.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(2 * 3600);

/// The master, as the holder of one lease sees it. Nothing here repeats itself.
#[derive(Clone, Debug)]
pub(crate) struct Holder {
    client: Client,
    pub(crate) task: TaskId,
    /// How long an upload waits while the master's disk is full.
    pub(crate) room_patience: Duration,
}

impl Holder {
    pub(crate) fn new(client: &Client, lease: &Lease, room_patience: Duration) -> Holder {
        Holder { client: client.with_token(Some(lease.secret.clone())), task: lease.task, room_patience }
    }

    pub(crate) async fn heartbeat(&self, wait_secs: u64) -> Result<Heartbeat, Error> {
        let call = self.client.call(Method::POST, &format!("api/v1/tasks/{}/heartbeat", self.task));
        let call = call.query(&HeartbeatQuery { wait_secs }).limited(Duration::from_secs(wait_secs) + HEARTBEAT_SLACK);
        self.client.json(call).await
    }

    pub(crate) async fn append_log(&self, name: LogName, offset: u64, piece: Bytes) -> Result<LogSize, Error> {
        let call = self.client.call(Method::PUT, &format!("api/v1/tasks/{}/log", self.task));
        self.client.json(call.query(&LogQuery { offset, name }).body(piece).limited(CALL_TIMEOUT)).await
    }

    pub(crate) async fn put_artifact(
        &self,
        sha256: Sha256,
        query: &UploadQuery,
        size_bytes: u64,
        body: reqwest::Body,
    ) -> Result<Artifact, Error> {
        let call = self.client.call(Method::PUT, &format!("api/v1/tasks/{}/artifacts/{sha256}", self.task));
        let call = call.query(query).header(CONTENT_LENGTH, size_bytes).body(body).limited(UPLOAD_TIMEOUT);
        self.client.json(call).await
    }

    pub(crate) async fn splice(&self, body: Bytes) -> Result<Artifact, Error> {
        let call = self.client.call(Method::POST, &format!("api/v1/tasks/{}/splices", self.task));
        self.client.json(call.body(body).limited(UPLOAD_TIMEOUT)).await
    }

    pub(crate) async fn report(&self, report: &Report) -> Result<(), Error> {
        let call = self.client.call(Method::POST, &format!("api/v1/tasks/{}/report", self.task));
        self.client.send(call.json(report).limited(CALL_TIMEOUT)).await.map(drop)
    }
}

/// Returns whether the error says that the lease is no longer ours.
pub(crate) fn is_lost(error: &Error) -> bool {
    match error.status() {
        Some(401 | 403 | 404 | 410) => true,
        _ => error.code() == Some(STALE_LEASE),
    }
}

/// Returns whether the error says that the master's disk is full.
pub(crate) fn is_full(error: &Error) -> bool {
    error.status() == Some(507)
}

/// Returns whether the error says that the master's log is shorter than ours.
pub(crate) fn is_gap(error: &Error) -> bool {
    error.code() == Some(LOG_GAP)
}
