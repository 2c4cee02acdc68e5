//! The heads of the queues, as one transaction sees them: which task is for which node.
//!
//! A queue is read as far as the claims that came reach, and a little further, so that a node may get one that is nearly its turn:
//! see [`HOME_SECS`]. Only where all of that is not for a node is more read.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use anima_db::{
    Connection,
    node::Node,
    task::Task,
    task_queue::{self, FRONT, Place},
};
use anima_types::{Arch, Timestamp, lease::Claim, task::Kind};

use crate::{
    app::App,
    error::ApiResult,
    fit::{self, Asks},
    node,
};

/// Tasks that are looked at beside those that all claims could take: among them is the one that a node has the layers for, and
/// one that fits it.
const WINDOW: usize = 16;
/// So many tasks of a queue are looked at for one that fits, at most. More that fit no node would be packages by the thousand.
const MAX_LOOKED_AT: usize = 1_024;
/// A node gets a task whose package it built last so much before its turn, for it has its layers. No task waits for its node.
const HOME_SECS: i64 = 30;

/// A queue: tasks of one kind and architecture.
pub type Pair = (Kind, Option<Arch>);

/// Queues as far as they were read.
pub struct Queues<'a> {
    app: &'a App,
    now: Timestamp,
    /// All nodes, once they were wanted.
    nodes: Arc<Vec<Node>>,
    by_pair: BTreeMap<Pair, Queue>,
}

/// A task that waits, and for whom it is.
struct Waits {
    task: Task,
    asks: Asks,
    /// The nodes that lost it.
    lost_by: Vec<String>,
}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<Waits>,
    /// Claims that may take from it.
    claim_count: usize,
    /// The place of the last that was read.
    read_to: Option<Place>,
    read_count: usize,
    /// There is no more of it.
    is_whole: bool,
}

impl<'a> Queues<'a> {
    /// Returns the queues that claims take from, of which nothing is read yet.
    pub fn new(app: &'a App, now: Timestamp, nodes: Arc<Vec<Node>>, wanted: &[Vec<Pair>]) -> Queues<'a> {
        let mut by_pair: BTreeMap<Pair, Queue> = BTreeMap::new();
        wanted.iter().flatten().for_each(|pair| by_pair.entry(*pair).or_default().claim_count += 1);
        Queues { app, now, nodes, by_pair }
    }

    /// Takes out the task that is a claim's: of those that fit its node, the one whose turn it is first.
    pub async fn take(
        &mut self,
        connection: &mut Connection,
        claim: &Claim,
        wanted: &[Pair],
    ) -> ApiResult<Option<Task>> {
        let mut first: Option<((Place, Pair), usize)> = None;
        for pair in wanted {
            let found = loop {
                let found = self.best(pair, claim);
                if found.is_some() || !self.read_on(connection, *pair).await? {
                    break found;
                }
            };
            let found = found.map(|(place, at)| ((place, *pair), at));
            first = first.into_iter().chain(found).min();
        }
        let Some(((_, pair), at)) = first else { return Ok(None) };
        Ok(self.by_pair.get_mut(&pair).and_then(|queue| queue.tasks.remove(at)).map(|waits| waits.task))
    }

    /// Returns whether tasks are left that were read of these queues.
    pub fn have_any(&self, wanted: &[Pair]) -> bool {
        wanted.iter().any(|pair| self.by_pair.get(pair).is_some_and(|queue| !queue.tasks.is_empty()))
    }

    /// Finds the best of a queue for a claim, as far as it is read.
    fn best(&self, pair: &Pair, claim: &Claim) -> Option<(Place, usize)> {
        let tasks = self.by_pair.get(pair)?.tasks.iter().enumerate();
        let fits = tasks
            .filter(|(_, waits)| waits.asks.lacks(&claim.condition).is_none() && !self.is_for_another(waits, claim));
        fits.map(|(at, waits)| (place_for(&waits.task, &claim.node), at)).min()
    }

    /// Who emulates its architecture leaves it to who runs that. A node that lost it leaves it to one that did not; where all did, the
    /// last leaves it to those before.
    fn is_for_another(&self, Waits { task, asks, lost_by }: &Waits, claim: &Claim) -> bool {
        let emulated = task.about.arch.filter(|arch| !claim.architectures.contains(arch));
        let emulates = emulated.is_some();
        let about = emulated.map(|arch| (arch, task.about.kind));
        if about.is_some_and(|about| node::is_for_native(&self.nodes, self.now, about, asks)) {
            return true;
        }
        let Some(at) = lost_by.iter().position(|node| *node == claim.node) else { return false };
        let fits = |names: &[String]| fit::fits_another(&self.nodes, self.now, task, asks, (names, emulates));
        fits(lost_by) || (at == 0 && fits(&lost_by[..1]))
    }

    /// Reads more of a queue; returns whether there was any.
    async fn read_on(&mut self, connection: &mut Connection, pair: Pair) -> ApiResult<bool> {
        let Some(queue) = self.by_pair.get_mut(&pair) else { return Ok(false) };
        if queue.is_whole || queue.read_count >= MAX_LOOKED_AT {
            return Ok(false);
        }
        // Where no task asks anything, as many as there are claims are enough.
        let window = if pair.0 == Kind::Build { WINDOW } else { 0 };
        // Twice as much each time: of a thousand that do not fit, some few looks are enough.
        let limit = queue.read_count.max(queue.claim_count + window);
        let tasks = task_queue::behind(connection, pair, queue.read_to.unwrap_or(FRONT), limit).await?;
        queue.is_whole = tasks.len() < limit;
        queue.read_count += tasks.len();
        queue.read_to = tasks.last().map(|task| (task.queued_for, task.id)).or(queue.read_to);
        let is_read = !tasks.is_empty();
        let was_lost = tasks.iter().any(|task| fit::was_lost(task, self.now));
        for task in tasks {
            let asks = Asks::of(self.app, connection, &task).await?;
            let lost_by = fit::avoided(connection, &task, self.now).await?;
            queue.tasks.push_back(Waits { task, asks, lost_by });
        }
        if was_lost && self.nodes.is_empty() {
            self.nodes = self.app.roster.get(connection, self.now).await?;
        }
        Ok(is_read)
    }
}

/// Returns when it is a task's turn at a node.
fn place_for(task: &Task, node: &str) -> Place {
    let is_home = task.home.as_deref() == Some(node);
    (task.queued_for.plus_secs(if is_home { -HOME_SECS } else { 0 }), task.id)
}
