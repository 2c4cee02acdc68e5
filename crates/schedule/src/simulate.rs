//! When what would run on so many slots.

use std::{
    cmp::Ordering,
    collections::{BTreeSet, BinaryHeap},
};

use crate::{Circle, Graph};

/// One source's turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// The source.
    pub source: usize,
    /// Which slot it has.
    pub slot: usize,
    /// When it begins, in seconds from the start of all.
    pub start_secs: f64,
    /// When it ends.
    pub end_secs: f64,
}

/// What would happen.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// All runs, in the order of their starts.
    pub runs: Vec<Run>,
    /// When the last one ends, in seconds.
    pub makespan_secs: f64,
    /// No order and no wish ends sooner on so many slots: the longest chain, or all work divided by the slots.
    pub lower_bound_secs: f64,
    /// The same for each pool of slots.
    pub pools: Vec<Pool>,
}

/// What would happen on a pool of slots.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pool {
    /// When the last one ends, in seconds.
    pub makespan_secs: f64,
    /// Nothing ends sooner on so many slots.
    pub lower_bound_secs: f64,
}

/// Runs all sources on `slots` slots (at least one): whenever one is free, it takes, of the sources that wait for nothing
/// more, the one with the longest chain behind it. This list scheduling ends within twice the optimum at worst (Graham
/// 1966), and in practice near the lower bound.
pub fn simulate(graph: &Graph, slots: usize) -> Result<Schedule, Circle> {
    simulate_in_pools(graph, &vec![0; graph.len()], &[slots])
}

/// The same where each source can run on the slots of one pool only, such as an architecture's. `pools` names it for each source,
/// and `slots` says how many each pool has.
pub fn simulate_in_pools(graph: &Graph, pools: &[usize], slots: &[usize]) -> Result<Schedule, Circle> {
    let slots: Vec<usize> = slots.iter().map(|slots| *slots.max(&1)).collect();
    let remaining = graph.remaining_secs()?;
    let mut open: Vec<usize> = (0..graph.len()).map(|at| graph.needs(at).len()).collect();
    let mut ready: Vec<BinaryHeap<Ready>> = slots.iter().map(|_| BinaryHeap::new()).collect();
    for at in (0..graph.len()).filter(|at| open[*at] == 0) {
        ready[pools[at]].push(Ready { weight: remaining[at], source: at });
    }
    let mut free: Vec<BTreeSet<usize>> = slots.iter().map(|slots| (0..*slots).collect()).collect();
    let mut running: BinaryHeap<Ends> = BinaryHeap::new();
    let (mut now, mut runs) = (0.0, Vec::with_capacity(graph.len()));
    loop {
        for (ready, free) in ready.iter_mut().zip(&mut free) {
            while let Some(&slot) = free.first() {
                let Some(Ready { source, .. }) = ready.pop() else { break };
                free.remove(&slot);
                let run = Run { source, slot, start_secs: now, end_secs: now + graph.cost_secs(source) };
                runs.push(run);
                running.push(Ends(run));
            }
        }
        let Some(Ends(run)) = running.pop() else { break };
        now = run.end_secs;
        free[pools[run.source]].insert(run.slot);
        for &waiting in graph.needed_by(run.source) {
            open[waiting] -= 1;
            if open[waiting] == 0 {
                ready[pools[waiting]].push(Ready { weight: remaining[waiting], source: waiting });
            }
        }
    }
    let ends = graph.earliest_ends_secs()?;
    let of_pool = |pool: usize| {
        let its = || (0..graph.len()).filter(|at| pools[*at] == pool);
        let work: f64 = its().map(|at| graph.cost_secs(at)).sum();
        let longest = its().map(|at| ends[at]).fold(0.0, f64::max);
        let last = runs.iter().filter(|run| pools[run.source] == pool).map(|run| run.end_secs).fold(0.0, f64::max);
        Pool { makespan_secs: last, lower_bound_secs: longest.max(work / slots[pool] as f64) }
    };
    let pools: Vec<Pool> = (0..slots.len()).map(of_pool).collect();
    let lower_bound_secs = pools.iter().map(|pool| pool.lower_bound_secs).fold(0.0, f64::max);
    Ok(Schedule { runs, makespan_secs: now, lower_bound_secs, pools })
}

#[derive(PartialEq)]
struct Ready {
    weight: f64,
    source: usize,
}

impl Eq for Ready {}

impl Ord for Ready {
    fn cmp(&self, other: &Ready) -> Ordering {
        self.weight.total_cmp(&other.weight).then(other.source.cmp(&self.source))
    }
}

impl PartialOrd for Ready {
    fn partial_cmp(&self, other: &Ready) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The one that ends first is the greatest.
#[derive(PartialEq)]
struct Ends(Run);

impl Eq for Ends {}

impl Ord for Ends {
    fn cmp(&self, other: &Ends) -> Ordering {
        other.0.end_secs.total_cmp(&self.0.end_secs).then(other.0.slot.cmp(&self.0.slot))
    }
}

impl PartialOrd for Ends {
    fn partial_cmp(&self, other: &Ends) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
