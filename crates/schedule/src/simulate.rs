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
}

/// Runs all sources on `slots` slots (at least one): whenever one is free, it takes, of the sources that wait for nothing
/// more, the one with the longest chain behind it. This list scheduling ends within twice the optimum at worst (Graham
/// 1966), and in practice near the lower bound.
pub fn simulate(graph: &Graph, slots: usize) -> Result<Schedule, Circle> {
    let slots = slots.max(1);
    let remaining = graph.remaining_secs()?;
    let mut open: Vec<usize> = (0..graph.len()).map(|at| graph.needs(at).len()).collect();
    let mut ready: BinaryHeap<Ready> =
        (0..graph.len()).filter(|at| open[*at] == 0).map(|at| Ready { weight: remaining[at], source: at }).collect();
    let mut free: BTreeSet<usize> = (0..slots).collect();
    let mut running: BinaryHeap<Ends> = BinaryHeap::new();
    let (mut now, mut runs) = (0.0, Vec::with_capacity(graph.len()));
    loop {
        while let Some(&slot) = free.first() {
            let Some(Ready { source, .. }) = ready.pop() else { break };
            free.remove(&slot);
            let run = Run { source, slot, start_secs: now, end_secs: now + graph.cost_secs(source) };
            runs.push(run);
            running.push(Ends(run));
        }
        let Some(Ends(run)) = running.pop() else { break };
        now = run.end_secs;
        free.insert(run.slot);
        for &waiting in graph.needed_by(run.source) {
            open[waiting] -= 1;
            if open[waiting] == 0 {
                ready.push(Ready { weight: remaining[waiting], source: waiting });
            }
        }
    }
    let work: f64 = (0..graph.len()).map(|at| graph.cost_secs(at)).sum();
    let longest = remaining.iter().copied().fold(0.0, f64::max);
    Ok(Schedule { runs, makespan_secs: now, lower_bound_secs: longest.max(work / slots as f64) })
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
