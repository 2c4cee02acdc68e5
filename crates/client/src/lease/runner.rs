//! Claims tasks, as many at once as the node has slots, until it is told to stop.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anima_types::{
    Timestamp,
    lease::{Claim, Condition, Lease, MAX_WAIT_SECS, NAME_TAKEN, NODE_ENDS, NODE_TOO_OLD, PROTOCOL},
};
use reqwest::{Method, StatusCode};
use tokio::{sync::Semaphore, task::JoinSet};

use super::{Handler, cancel::Cancel, hold::hold};
use crate::{error::Error, http::Client, retry::Backoff};

/// A claim's answer is this late at most after the time that it was asked to wait.
const CLAIM_SLACK: Duration = Duration::from_secs(10);
/// A node looks this often for a master that is away.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// A process whose name another one took, or that is too old, says so this often.
const REFUSED_WAIT: Duration = Duration::from_secs(60);
/// A node that can take nothing looks this often whether it can again.
const UNFIT_WAIT_SECS: u64 = 5;
/// A node that stops waits so long for tasks that are nearly done.
const GRACE: Duration = Duration::from_secs(5);

/// A node's life: claim, work, report, again.
pub struct Runner {
    client: Client,
    claim: Claim,
    grace: Duration,
    takes_one: bool,
    /// Says how the node is, before each claim.
    look: Option<Look>,
}

type Look = Box<dyn Fn() -> Condition + Send + Sync>;

/// Why no more is claimed.
enum NoMore {
    /// This process was asked to stop: soon.
    Stopped,
    /// What it has is to be done, for as long as it takes.
    Enough,
}

impl Runner {
    /// Returns a runner that asks with the claim's words; its `wait_secs` is set to the longest, its `instance` to a new one.
    pub fn new(client: Client, claim: Claim) -> Runner {
        let instance = format!("{:032x}", rand::random::<u128>());
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started_at = i64::try_from(since.as_micros()).ok().map(Timestamp);
        Runner {
            client,
            claim: Claim { wait_secs: MAX_WAIT_SECS, instance, started_at, ..claim },
            grace: GRACE,
            takes_one: false,
            look: None,
        }
    }

    /// Sets how long tasks may go on after `shutdown`. Then they are given up, and done by another node.
    pub fn with_grace(self, grace: Duration) -> Runner {
        Runner { grace, ..self }
    }

    /// Takes one task, does it, and ends.
    pub fn once(self) -> Runner {
        Runner { takes_one: true, ..self }
    }

    /// Says how the node is with each claim, as `look` finds it.
    pub fn with_condition(self, look: impl Fn() -> Condition + Send + Sync + 'static) -> Runner {
        Runner { look: Some(Box::new(look)), ..self }
    }

    /// Works until `shutdown` is triggered, or the master wants it to end. An error means that the master will never give this node a task: its token
    /// is wrong, or its claim is.
    pub async fn run<H: Handler>(self, handler: Arc<H>, shutdown: Cancel) -> Result<(), Error> {
        let (abandon, mut tasks) = (Cancel::new(), JoinSet::new());
        let result = self.work(&handler, &shutdown, &abandon, &mut tasks).await;
        if let Ok(NoMore::Enough) = result {
            tokio::select! {
                () = drain(&mut tasks) => {}
                () = shutdown.cancelled() => {}
            }
        }
        let in_time = tokio::time::timeout(self.grace, drain(&mut tasks)).await;
        if in_time.is_err() {
            abandon.trigger();
            drain(&mut tasks).await;
        }
        result.map(drop)
    }

    async fn work<H: Handler>(
        &self,
        handler: &Arc<H>,
        shutdown: &Cancel,
        abandon: &Cancel,
        tasks: &mut JoinSet<()>,
    ) -> Result<NoMore, Error> {
        let slots = Arc::new(Semaphore::new(self.claim.slots.max(1) as usize));
        loop {
            let next = async {
                let slot = slots.clone().acquire_owned().await.expect("this semaphore is never closed");
                self.next().await.map(|lease| (lease, slot))
            };
            let (lease, slot) = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(NoMore::Stopped),
                next = next => match next {
                    Err(error) if error.code() == Some(NODE_ENDS) => {
                        tracing::info!("no more tasks are taken: {error}");
                        return Ok(NoMore::Enough);
                    }
                    next => next?,
                },
            };
            while tasks.try_join_next().is_some() {}
            tracing::info!(task = lease.task.0, "task {} is taken ({})", lease.task, lease.work.kind().name());
            let held = hold(self.client.clone(), lease, handler.clone(), abandon.child());
            tasks.spawn(async move {
                held.await;
                drop(slot);
            });
            if self.takes_one {
                return Ok(NoMore::Enough);
            }
        }
    }

    /// Waits for a task for as long as it takes.
    async fn next(&self) -> Result<Lease, Error> {
        let (mut backoff, mut is_away) = (Backoff::up_to(LONGEST_WAIT), false);
        loop {
            match self.claim().await {
                Ok(lease) => {
                    if std::mem::replace(&mut is_away, false) {
                        tracing::info!("the master is there again");
                    }
                    backoff.reset();
                    match lease {
                        Some(lease) => return Ok(lease),
                        None => continue,
                    }
                }
                // Ending would start another process, which would take the name back, and so on for ever.
                Err(error) if matches!(error.code(), Some(NAME_TAKEN | NODE_TOO_OLD)) => {
                    tracing::error!(%error, "no tasks are taken: {error}");
                    tokio::time::sleep(REFUSED_WAIT).await;
                }
                Err(error) if !error.is_temporary() => return Err(error),
                Err(error) if !std::mem::replace(&mut is_away, true) => {
                    tracing::warn!(%error, "waiting for the master: {error}")
                }
                Err(_) => (),
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }

    async fn claim(&self) -> Result<Option<Lease>, Error> {
        let condition = self.look.as_ref().map_or_else(Condition::default, |look| look());
        let wait_secs = match condition.problem {
            Some(_) => self.claim.wait_secs.min(UNFIT_WAIT_SECS),
            None => self.claim.wait_secs,
        };
        let timeout = Duration::from_secs(wait_secs) + CLAIM_SLACK;
        let condition = Condition { protocol: PROTOCOL, ..condition };
        let claim = Claim { condition, wait_secs, ..self.claim.clone() };
        let call = self.client.call(Method::POST, "api/v1/leases").json(&claim).limited(timeout);
        let what = call.what.clone();
        let response = self.client.send(call).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        let bytes = self.client.read(&what, response, MAX_LEASE_BYTES).await?;
        serde_json::from_slice(&bytes).map(Some).map_err(|error| Error::Answer { what, reason: error.to_string() })
    }
}

/// A lease at most: the plan of a release carries whole repositories.
const MAX_LEASE_BYTES: u64 = 256 * 1024 * 1024;

async fn drain(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}
