//! One lease, from the claim to the report.

use std::{path::Path, pin::pin, sync::Arc, time::Duration};

use anima_types::{
    artifact::{Artifact, Kind},
    id::TaskId,
    lease::{End, Lease, MAX_HEARTBEAT_WAIT_SECS, Report},
    splice::Splice,
    task_log::LogName,
    work::{Failure, NODE_STOPS, Outcome, PhaseTime},
};
use bytes::Bytes;
use tokio::{task::JoinHandle, time::Instant};

use super::{
    Handler, Once, PATIENCE, Stop,
    call::{Holder, is_lost},
    cancel::Cancel,
    log_flush::flush,
    task_log::TaskLog,
    upload,
};
use crate::{error::Error, http::Client, retry::patiently};

/// Heartbeats that are answered at once, because the master does not wait or is not there, come this often.
const MIN_HEARTBEAT_INTERVAL: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// So long a report that is on its way may take although the lease is lost or the node stops.
const REPORT_GRACE: Duration = Duration::from_secs(5);

/// What a handler has at hand for its task.
#[derive(Clone, Debug)]
pub struct Context {
    /// The task's log.
    pub log: TaskLog,
    /// The log of how its root was made.
    pub root_log: TaskLog,
    /// The log of which step began and ended when.
    pub state_log: TaskLog,
    /// Whether to stop.
    pub cancel: Cancel,
    client: Client,
    holder: Holder,
}

impl Context {
    /// Returns the client, for what a lease names by its address.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the task's id.
    pub fn task(&self) -> TaskId {
        self.holder.task
    }

    /// Fetches a file that the lease names; see [`Client::fetch`].
    pub async fn fetch(&self, file: &anima_types::work::FileRef, path: &Path) -> Result<(), Error> {
        self.client.fetch(file, path, &self.cancel).await
    }

    /// Uploads a file as an artifact of the task. It is repeated while the master cannot be reached.
    pub async fn upload(&self, path: &Path, kind: Kind, name: &str) -> Result<Artifact, Error> {
        upload::file(&self.holder, &self.cancel, path, kind, name).await
    }

    /// Uploads what is in memory as an artifact of the task.
    pub async fn upload_bytes(&self, bytes: impl Into<Bytes>, kind: Kind, name: &str) -> Result<Artifact, Error> {
        upload::bytes(&self.holder, &self.cancel, bytes.into(), kind, name).await
    }

    /// Makes an artifact of the task out of pieces of one that the master has and of new bytes, which are all that travels.
    pub async fn splice(&self, splice: &Splice, new_bytes: &[u8]) -> Result<Artifact, Error> {
        upload::splice(&self.holder, &self.cancel, splice, new_bytes).await
    }
}

/// Something that runs beside a task, and ends with it.
struct Beside(JoinHandle<()>);

impl Drop for Beside {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Does a task: the handler is the middle. It is given back when the node stops. Uploads wait so long while the master's disk is full.
pub(super) async fn hold<H: Handler>(
    client: Client,
    lease: Lease,
    handler: Arc<H>,
    stops: Cancel,
    room_patience: Duration,
) -> Once {
    let (task, number, cancel) = (lease.task, lease.number, stops.child());
    let holder = Holder::new(&client, &lease, room_patience);
    let (log, root_log, state_log) = (TaskLog::new(), TaskLog::new(), TaskLog::new());
    let _heartbeats = Beside(tokio::spawn(keep(holder.clone(), cancel.clone())));
    let logs = [(&log, LogName::Build), (&root_log, LogName::Root), (&state_log, LogName::State)];
    let _logs = logs.map(|(log, name)| Beside(tokio::spawn(flush(log.clone(), name, holder.clone(), cancel.clone()))));
    let context = Context {
        log: log.clone(),
        root_log: root_log.clone(),
        state_log: state_log.clone(),
        cancel: cancel.clone(),
        client,
        holder: holder.clone(),
    };

    let done = tokio::spawn(async move { handler.run(lease, context).await }).await;
    let ended = match stops.is_cancelled() {
        true => Some((End::GivenBack(stopped()), Vec::new())),
        false => end_of(done.unwrap_or_else(crashed), &cancel),
    };
    let Some((end, phases)) = ended else {
        tracing::info!(task = task.0, "task {task} is given up: it was cancelled, or its lease is lost");
        return Once::Abandoned;
    };
    tokio::join!(log.finish(), root_log.finish(), state_log.finish());
    let once = match end {
        End::Succeeded(_) => Once::Succeeded,
        End::Failed(_) => Once::Failed,
        End::GivenBack(_) => Once::GivenBack,
    };
    match report(&holder, &Report { number, phases, end }, &cancel).await {
        true => once,
        false => Once::Abandoned,
    }
}

fn end_of(done: Result<(Outcome, Vec<PhaseTime>), Stop>, cancel: &Cancel) -> Option<(End, Vec<PhaseTime>)> {
    match done {
        _ if cancel.is_cancelled() => None,
        Ok((outcome, phases)) => Some((End::Succeeded(outcome), phases)),
        Err(Stop::Failed { failure, phases }) => Some((End::Failed(*failure), phases)),
        Err(Stop::GivenBack { failure }) => Some((End::GivenBack(*failure), Vec::new())),
        Err(Stop::Abandoned) => None,
    }
}

/// What was begun is done by another node at once, and not when the lease would be over.
fn stopped() -> Failure {
    Failure::new(NODE_STOPS, "the node was asked to end before the task was done")
}

/// A handler that panicked would do so on the next node too: the task fails, with the reason.
fn crashed(error: tokio::task::JoinError) -> Result<(Outcome, Vec<PhaseTime>), Stop> {
    let reason = match error.try_into_panic() {
        Ok(panic) => match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
            (Some(text), _) => text.to_string(),
            (_, Some(text)) => text.clone(),
            _ => "no reason is known".to_string(),
        },
        Err(_) => return Err(Stop::Abandoned),
    };
    let message = format!("the node's program has a defect: {reason}");
    Err(Failure::new("internal", message).with_hint(Some("Report this as a bug of Anima.")).into())
}

/// Keeps the lease: one heartbeat is always waiting at the master, so that bad news comes at once.
async fn keep(holder: Holder, cancel: Cancel) {
    let mut heard_at = Instant::now();
    let mut is_away = false;
    while !cancel.is_cancelled() {
        let began_at = Instant::now();
        let beat = tokio::select! {
            beat = holder.heartbeat(MAX_HEARTBEAT_WAIT_SECS) => beat,
            () = cancel.cancelled() => return,
        };
        match beat {
            Ok(_) => (heard_at, is_away) = (Instant::now(), false),
            Err(error) if is_lost(&error) => return cancel.trigger(),
            Err(error) if heard_at.elapsed() > PATIENCE => {
                tracing::warn!(task = holder.task.0, %error, "task {} is given up: the master is away for too long", holder.task);
                return cancel.trigger();
            }
            Err(error) if !std::mem::replace(&mut is_away, true) => {
                tracing::warn!(task = holder.task.0, %error, "a heartbeat of task {} failed; it goes on", holder.task);
            }
            Err(_) => (),
        }
        tokio::time::sleep_until(began_at + MIN_HEARTBEAT_INTERVAL).await;
    }
}

/// Reports; returns whether the master took it.
async fn report(holder: &Holder, report: &Report, cancel: &Cancel) -> bool {
    let mut reported = pin!(patiently(PATIENCE, LONGEST_WAIT, Error::is_temporary, || holder.report(report)));
    let result = tokio::select! {
        result = &mut reported => result,
        // The waiting heartbeat hears that the task ended, and the lease with it, before the report's own answer is here.
        () = cancel.cancelled() => match tokio::time::timeout(REPORT_GRACE, reported).await {
            Ok(result) => result,
            Err(_) => return false,
        },
    };
    let is_taken = result.is_ok();
    match result {
        Ok(()) => tracing::info!(task = holder.task.0, "task {} is done and reported", holder.task),
        Err(error) if is_lost(&error) => {
            tracing::info!(
                task = holder.task.0,
                "task {} is done, but another node has it, or its report had arrived",
                holder.task
            );
        }
        Err(error) => {
            tracing::error!(task = holder.task.0, %error, "task {} is done, but its report is refused", holder.task)
        }
    }
    is_taken
}
