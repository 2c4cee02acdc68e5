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
use tokio::{task::JoinSet, time::Instant};

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
/// What was built in hours is not thrown away because the master's disk is full: somebody who is told of it makes room in this time.
const ROOM_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// A node's life: claim, work, report, again.
pub struct Runner {
    client: Client,
    claim: Claim,
    grace: Duration,
    room_patience: Duration,
    takes_one: bool,
    /// Says how the node is, before each claim.
    look: Option<Look>,
}

type Look = Box<dyn Fn() -> Condition + Send + Sync>;

/// What became of a node that takes one task and ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Once {
    /// There was no task in its time, or it was asked to end before there was one.
    Nothing,
    /// The task is done.
    Succeeded,
    /// The task failed, and would have failed on another node. The master knows why.
    Failed,
    /// This node could not do it, or was asked to end: it is ready for another.
    GivenBack,
    /// Nothing was said of it, because it was cancelled or its lease was lost: another does it.
    Abandoned,
}

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
            room_patience: ROOM_PATIENCE,
            takes_one: false,
            look: None,
        }
    }

    /// Sets how long tasks may go on after `shutdown`. Then they are given back, and done by another node.
    pub fn with_grace(self, grace: Duration) -> Runner {
        Runner { grace, ..self }
    }

    /// Sets how long an upload waits while the master's disk is full, before its task is given back.
    pub fn with_room_patience(self, room_patience: Duration) -> Runner {
        Runner { room_patience, ..self }
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
        self.end(&mut tasks, &abandon).await;
        result.map(drop)
    }

    /// Takes one task, does it, and ends; also when there was none for `wait`, where that is said. An error means what it
    /// means for [`Runner::run`].
    pub async fn run_once<H: Handler>(
        mut self,
        handler: Arc<H>,
        wait: Option<Duration>,
        shutdown: Cancel,
    ) -> Result<Once, Error> {
        self.takes_one = true;
        let lease = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(Once::Nothing),
            lease = self.next(wait.map(|wait| Instant::now() + wait)) => match lease {
                Err(error) if error.code() == Some(NODE_ENDS) => return Ok(Once::Nothing),
                lease => lease?,
            },
        };
        let Some(lease) = lease else { return Ok(Once::Nothing) };
        let (abandon, mut tasks) = (Cancel::new(), JoinSet::new());
        self.begin(lease, &handler, &abandon, &mut tasks);
        let ended = tokio::select! {
            ended = tasks.join_next() => ended,
            () = shutdown.cancelled() => match tokio::time::timeout(self.grace, tasks.join_next()).await {
                Ok(ended) => ended,
                Err(_) => {
                    abandon.trigger();
                    tasks.join_next().await
                }
            },
        };
        Ok(ended.and_then(Result::ok).unwrap_or(Once::Abandoned))
    }

    /// Waits for what is nearly done, and gives the rest back.
    async fn end(&self, tasks: &mut JoinSet<Once>, abandon: &Cancel) {
        if tokio::time::timeout(self.grace, drain(tasks)).await.is_err() {
            abandon.trigger();
            drain(tasks).await;
        }
    }

    /// Begins a task beside whatever else is done.
    fn begin<H: Handler>(&self, lease: Lease, handler: &Arc<H>, abandon: &Cancel, tasks: &mut JoinSet<Once>) {
        tracing::info!(task = lease.task.0, "task {} is taken ({})", lease.task, lease.work.kind().name());
        let patience = self.room_patience;
        tasks.spawn(hold(self.client.clone(), lease, handler.clone(), abandon.clone(), patience));
    }

    async fn work<H: Handler>(
        &self,
        handler: &Arc<H>,
        shutdown: &Cancel,
        abandon: &Cancel,
        tasks: &mut JoinSet<Once>,
    ) -> Result<NoMore, Error> {
        let slots = self.claim.slots.max(1) as usize;
        loop {
            let next = async {
                while tasks.len() >= slots {
                    tasks.join_next().await;
                }
                self.next(None).await
            };
            let lease = tokio::select! {
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
            if let Some(lease) = lease {
                self.begin(lease, handler, abandon, tasks);
            }
        }
    }

    /// Waits for a task for as long as it takes, or until a moment.
    async fn next(&self, until: Option<Instant>) -> Result<Option<Lease>, Error> {
        let (mut backoff, mut is_away) = (Backoff::up_to(LONGEST_WAIT), false);
        let mut is_first = true;
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) && !std::mem::take(&mut is_first) {
                return Ok(None);
            }
            is_first = false;
            match self.claim(left).await {
                Ok(lease) => {
                    if std::mem::replace(&mut is_away, false) {
                        tracing::info!("the master is there again");
                    }
                    backoff.reset();
                    match lease {
                        Some(lease) => return Ok(Some(lease)),
                        None => continue,
                    }
                }
                // Ending would start another process, which would take the name back, and so on for ever.
                Err(error) if matches!(error.code(), Some(NAME_TAKEN | NODE_TOO_OLD)) => {
                    tracing::error!(%error, "no tasks are taken: {error}");
                    sleep_until(REFUSED_WAIT, until).await;
                }
                Err(error) if !error.is_temporary() => return Err(error),
                Err(error) if !std::mem::replace(&mut is_away, true) => {
                    tracing::warn!(%error, "waiting for the master: {error}")
                }
                Err(_) => (),
            }
            sleep_until(backoff.next(), until).await;
        }
    }

    /// Asks for a task once; for so long at most.
    async fn claim(&self, most: Option<Duration>) -> Result<Option<Lease>, Error> {
        let condition = self.look.as_ref().map_or_else(Condition::default, |look| look());
        let wait_secs = match condition.problem {
            Some(_) => self.claim.wait_secs.min(UNFIT_WAIT_SECS),
            None => self.claim.wait_secs,
        };
        let wait_secs = most.map_or(wait_secs, |most| wait_secs.min(most.as_secs_f64().ceil() as u64));
        let timeout = Duration::from_secs(wait_secs) + CLAIM_SLACK;
        let condition = Condition { protocol: PROTOCOL, takes_one: self.takes_one, ..condition };
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

async fn drain(tasks: &mut JoinSet<Once>) {
    while tasks.join_next().await.is_some() {}
}

/// Sleeps, but not beyond a moment.
async fn sleep_until(wait: Duration, until: Option<Instant>) {
    let end = Instant::now() + wait;
    tokio::time::sleep_until(until.map_or(end, |until| until.min(end))).await;
}
