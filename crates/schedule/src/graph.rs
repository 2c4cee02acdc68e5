//! Who waits for whom.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::{circle::Circle, names};

/// What is known of a source package before it is built.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// What its binary packages provide; versions may follow the names.
    pub provides: Vec<String>,
    /// What it needs to be built; versions may follow the names.
    pub build_requires: Vec<String>,
    /// How long its build takes, in seconds.
    pub cost_secs: f64,
}

/// Sources, and who waits for whom. Sources are known by their place in the list that it was made from.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    names: Vec<String>,
    costs: Vec<f64>,
    needs: Vec<Vec<usize>>,
    needed_by: Vec<Vec<usize>>,
}

impl Graph {
    /// Reads what sources need of one another. A package that needs what it provides itself takes it from the platform, and
    /// so does one that needs what no other source provides.
    pub fn new(sources: &[Source]) -> Graph {
        let mut providers: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, source) in sources.iter().enumerate() {
            for name in source.provides.iter().flat_map(|text| names(text)) {
                let list = providers.entry(name).or_default();
                if list.last() != Some(&at) {
                    list.push(at);
                }
            }
        }
        let mut graph = Graph {
            names: sources.iter().map(|source| source.name.clone()).collect(),
            costs: sources.iter().map(|source| cost(source.cost_secs)).collect(),
            needs: vec![Vec::new(); sources.len()],
            needed_by: vec![Vec::new(); sources.len()],
        };
        for (at, source) in sources.iter().enumerate() {
            let needed =
                source.build_requires.iter().flat_map(|text| names(text)).filter_map(|name| providers.get(name));
            let needed: BTreeSet<usize> = needed.flatten().copied().filter(|other| *other != at).collect();
            for &other in &needed {
                graph.needed_by[other].push(at);
            }
            graph.needs[at] = needed.into_iter().collect();
        }
        graph
    }

    /// Takes what somebody else found out: names with costs in seconds, and for each the places of those that it waits for.
    pub fn from_needs(nodes: Vec<(String, f64)>, needs: Vec<Vec<usize>>) -> Graph {
        assert_eq!(nodes.len(), needs.len(), "everybody waits for somebody or for none");
        let mut needed_by = vec![Vec::new(); needs.len()];
        for (at, needed) in needs.iter().enumerate() {
            needed.iter().for_each(|&other| needed_by[other].push(at));
        }
        let (names, costs): (Vec<String>, Vec<f64>) = nodes.into_iter().unzip();
        Graph { names, costs: costs.into_iter().map(cost).collect(), needs, needed_by }
    }

    /// Says how long the builds take otherwise, in seconds, in the order of the sources.
    pub fn set_costs(&mut self, costs: impl IntoIterator<Item = f64>) {
        self.costs.iter_mut().zip(costs).for_each(|(old, new)| *old = cost(new));
    }

    /// Returns how many sources there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Returns a source's name.
    pub fn name(&self, at: usize) -> &str {
        &self.names[at]
    }

    /// Returns how long a source's build takes, in seconds.
    pub fn cost_secs(&self, at: usize) -> f64 {
        self.costs[at]
    }

    /// Returns the sources that one waits for.
    pub fn needs(&self, at: usize) -> &[usize] {
        &self.needs[at]
    }

    /// Returns the sources that wait for one.
    pub fn needed_by(&self, at: usize) -> &[usize] {
        &self.needed_by[at]
    }

    /// Returns how many pairs of sources wait for each other's.
    pub fn edge_count(&self) -> usize {
        self.needs.iter().map(Vec::len).sum()
    }

    /// Returns what each source waits for, by names.
    pub fn waits(&self) -> BTreeMap<String, BTreeSet<String>> {
        let waits = |at: usize| self.needs[at].iter().map(|other| self.names[*other].clone()).collect();
        (0..self.len()).map(|at| (self.names[at].clone(), waits(at))).collect()
    }

    /// Returns the same without these pairs: the first of each waits no more for the second, and takes what the platform has.
    pub(crate) fn without(&self, pairs: &HashSet<(usize, usize)>) -> Graph {
        let mut graph = self.clone();
        for at in pairs.iter().map(|(at, _)| *at).collect::<HashSet<_>>() {
            graph.needs[at].retain(|needed| !pairs.contains(&(at, *needed)));
        }
        for other in pairs.iter().map(|(_, other)| *other).collect::<HashSet<_>>() {
            graph.needed_by[other].retain(|waiting| !pairs.contains(&(*waiting, other)));
        }
        graph
    }

    /// Returns an order in which nobody comes before what it waits for, or the first circle that forbids one.
    pub fn order(&self) -> Result<Vec<usize>, Circle> {
        let mut open: Vec<usize> = self.needs.iter().map(Vec::len).collect();
        let mut order: Vec<usize> = (0..self.len()).filter(|at| open[*at] == 0).collect();
        let mut next = 0;
        while next < order.len() {
            for &waiting in &self.needed_by[order[next]] {
                open[waiting] -= 1;
                if open[waiting] == 0 {
                    order.push(waiting);
                }
            }
            next += 1;
        }
        match order.len() == self.len() {
            true => Ok(order),
            false => Err(self.circles().into_iter().next().expect("what is left waits for itself")),
        }
    }

    /// Returns sources in waves: those of a wave wait for none but those of earlier waves. An error is a circle.
    pub fn waves(&self) -> Result<Vec<Vec<usize>>, Circle> {
        let mut level = vec![0; self.len()];
        let mut waves: Vec<Vec<usize>> = Vec::new();
        for at in self.order()? {
            level[at] = self.needs[at].iter().map(|other| level[*other] + 1).max().unwrap_or(0);
            if waves.len() <= level[at] {
                waves.resize(level[at] + 1, Vec::new());
            }
            waves[level[at]].push(at);
        }
        waves.iter_mut().for_each(|wave| wave.sort_unstable());
        Ok(waves)
    }

    /// Returns how many seconds pass at least from the start of all to the end of each source.
    pub fn earliest_ends_secs(&self) -> Result<Vec<f64>, Circle> {
        let mut ends = vec![0.0; self.len()];
        for at in self.order()? {
            let before = self.needs[at].iter().map(|other| ends[*other]).fold(0.0, f64::max);
            ends[at] = self.costs[at] + before;
        }
        Ok(ends)
    }

    /// Returns how many seconds pass at least from the start of each source to the end of all that waits for it.
    pub fn remaining_secs(&self) -> Result<Vec<f64>, Circle> {
        let mut remaining = vec![0.0; self.len()];
        for at in self.order()?.into_iter().rev() {
            let after = self.needed_by[at].iter().map(|other| remaining[*other]).fold(0.0, f64::max);
            remaining[at] = self.costs[at] + after;
        }
        Ok(remaining)
    }

    /// Returns the chain that takes longest, in its order: nothing ends sooner, however many nodes there are.
    pub fn critical_path(&self) -> Result<Vec<usize>, Circle> {
        let remaining = self.remaining_secs()?;
        let longest = |list: &mut dyn Iterator<Item = usize>| {
            // Of equals the first, so that the answer is always the same.
            list.fold(None, |best: Option<usize>, at| match best {
                Some(best) if remaining[best] >= remaining[at] => Some(best),
                _ => Some(at),
            })
        };
        let mut path = Vec::new();
        let mut next = longest(&mut (0..self.len()));
        while let Some(at) = next {
            path.push(at);
            next = longest(&mut self.needed_by[at].iter().copied());
        }
        Ok(path)
    }

    /// Returns all that waits for one of these, directly or through others, without them.
    pub fn dependants(&self, of: &[usize]) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut next: Vec<usize> = of.to_vec();
        while let Some(at) = next.pop() {
            next.extend(self.needed_by[at].iter().copied().filter(|other| found.insert(*other)));
        }
        found.retain(|at| !of.contains(at));
        found
    }

    /// Returns the place of the source with that name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|other| other == name)
    }
}

/// A cost that is no number would spoil every sum that it is in.
fn cost(secs: f64) -> f64 {
    if secs > 0.0 { secs } else { 0.0 }
}
