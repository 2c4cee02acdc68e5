//! A simulated node: it asks for a task, works on it for a while, says that it lives, sends what it made, and begins again.
//! It tries again what was not answered, as `client::lease` does, and drops what it is told to have lost.

use std::collections::VecDeque;

use anima_types::{
    Timestamp,
    lease::{LEASE_SECS, Lease},
    task::Kind,
};
use axum::http::Method;
use serde_json::json;

use crate::{master::Call, work::role};

/// Without an answer for so long, a node asks again.
pub const PATIENCE_SECS: i64 = 10;
/// How often a node says that it lives.
pub const HEARTBEAT_SECS: i64 = LEASE_SECS / 3;

/// Which call of which life of which node: an answer to another is nobody's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Id {
    pub node: usize,
    pub life: u64,
    pub call: u64,
}

/// A node.
pub struct Node {
    pub name: String,
    kinds: Vec<Kind>,
    /// Counts its starts.
    pub life: u64,
    /// When it was started last, by its own clock.
    pub started_at: i64,
    /// How often it was told that another has its name, without a better answer since.
    pub refused_count: u32,
    pub is_alive: bool,
    /// Until then nothing of it reaches the master, nor the other way round.
    pub cut_off_until: i64,
    /// Until then it does nothing.
    pub stands_still_until: i64,
    pub task: Option<Held>,
    /// With nothing to do, it asks for a task at this time.
    pub asks_at: i64,
    calls: u64,
    /// The call that it waits for.
    pub waits_for: Option<u64>,
}

/// The task that a node works on.
pub struct Held {
    pub lease: Lease,
    /// When it has made what it makes.
    pub done_at: i64,
    /// What it has to send; nothing before it is done.
    pub calls: Option<VecDeque<Call>>,
}

impl Node {
    pub fn new(name: &str, kinds: &[Kind]) -> Node {
        Node {
            name: name.to_string(),
            kinds: kinds.to_vec(),
            life: 1,
            started_at: 1,
            refused_count: 0,
            is_alive: true,
            cut_off_until: 0,
            stands_still_until: 0,
            task: None,
            asks_at: 0,
            calls: 0,
            waits_for: None,
        }
    }

    /// Returns the role whose token it has.
    pub fn role(&self) -> &'static str {
        role(self.kinds[0])
    }

    /// Ends it, with all that it knew.
    pub fn kill(&mut self) {
        self.is_alive = false;
        self.task = None;
        self.waits_for = None;
    }

    /// Starts it again.
    pub fn begin(&mut self, now: i64) {
        self.life += 1;
        self.started_at = now;
        self.refused_count = 0;
        self.asks_at = 0;
        self.is_alive = true;
    }

    /// Returns the number of a new call.
    pub fn next_call(&mut self) -> u64 {
        self.calls += 1;
        self.calls
    }

    /// Returns what asks for a task.
    pub fn claim(&self, token: String) -> Call {
        let claim = json!({
            "node": self.name, "kinds": self.kinds, "architectures": ["x86_64"], "slots": 1, "version": "1",
            "instance": format!("{}-{}", self.name, self.life), "started_at": Timestamp(self.started_at), "wait_secs": 0,
        });
        Call { method: Method::POST, path: "/api/v1/leases".to_string(), token, body: claim.to_string().into_bytes() }
    }
}

/// Returns what says that a task's holder lives.
pub fn heartbeat(lease: &Lease) -> Call {
    let path = format!("/api/v1/tasks/{}/heartbeat", lease.task);
    Call { method: Method::POST, path, token: lease.secret.clone(), body: Vec::new() }
}
