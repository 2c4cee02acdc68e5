//! Circles: packages that wait for one another, and a way out.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
    fmt,
};

use crate::Graph;

/// Packages that wait for one another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Circle {
    /// The names of all that can reach each other, in alphabetical order.
    pub members: Vec<String>,
    /// One way round, in the order of waiting; the first stands at the end again.
    pub path: Vec<String>,
    /// A way out: who takes what from the platform first, and is built again when all are there.
    pub bootstrap: Vec<(String, String)>,
}

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not order the packages: {} wait for one another", self.path.join(" → "))
    }
}

impl std::error::Error for Circle {}

impl Graph {
    /// Returns all circles, one for each set of packages that can reach each other.
    pub fn circles(&self) -> Vec<Circle> {
        let mut circles: Vec<Circle> =
            self.components().iter().map(|members| self.circle(members, &self.way_out(members))).collect();
        circles.sort_by(|a, b| a.members.cmp(&b.members));
        circles
    }

    /// Returns the graph without what the circles' ways out leave to the platform, and the circles.
    pub fn without_circles(&self) -> (Graph, Vec<Circle>) {
        let (mut circles, mut cuts) = (Vec::new(), HashSet::new());
        for members in self.components() {
            let way_out = self.way_out(&members);
            circles.push(self.circle(&members, &way_out));
            cuts.extend(way_out);
        }
        circles.sort_by(|a, b| a.members.cmp(&b.members));
        (self.without(&cuts), circles)
    }

    fn circle(&self, members: &[usize], way_out: &[(usize, usize)]) -> Circle {
        let mut names: Vec<String> = members.iter().map(|at| self.name(*at).to_string()).collect();
        names.sort_unstable();
        let name = |at: usize| self.name(at).to_string();
        let bootstrap = way_out.iter().map(|&(first, other)| (name(first), name(other))).collect();
        Circle { members: names, path: self.way_round(members), bootstrap }
    }

    /// Finds the shortest way from the first member back to itself.
    fn way_round(&self, members: &[usize]) -> Vec<String> {
        let inside: HashSet<usize> = members.iter().copied().collect();
        let start = *members.iter().min_by_key(|at| self.name(**at)).expect("a circle has members");
        let mut came_from = std::collections::HashMap::new();
        let mut queue = std::collections::VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            for &next in self.needs(at).iter().filter(|next| inside.contains(next)) {
                if next == start {
                    let mut path = vec![start, at];
                    while path[path.len() - 1] != start {
                        path.push(came_from[&path[path.len() - 1]]);
                    }
                    path.reverse();
                    path.push(start);
                    path.dedup();
                    return path.into_iter().map(|at| self.name(at).to_string()).collect();
                }
                if let std::collections::hash_map::Entry::Vacant(entry) = came_from.entry(next) {
                    entry.insert(at);
                    queue.push_back(next);
                }
            }
        }
        unreachable!("every member of a strongly connected set reaches every other")
    }

    /// Chooses what to take from the platform first: again and again, of those that wait, the one that the most others wait
    /// for and that waits for the fewest (the greedy way of Eades, Lin and Smyth for feedback arc sets).
    fn way_out(&self, members: &[usize]) -> Vec<(usize, usize)> {
        let mut left = Left::new(self, members);
        let mut cuts = Vec::new();
        while let Some(first) = left.take_first() {
            let needed = self.needs(first).iter().filter(|other| left.has(**other));
            cuts.extend(needed.map(|other| (first, *other)));
        }
        cuts
    }

    /// Finds the strongly connected components with more than one member (Tarjan, without recursion: chains of packages
    /// are longer than stacks).
    fn components(&self) -> Vec<Vec<usize>> {
        const UNSEEN: usize = usize::MAX;
        let (mut index, mut low) = (vec![UNSEEN; self.len()], vec![0; self.len()]);
        let (mut on_stack, mut stack, mut found, mut counter) = (vec![false; self.len()], Vec::new(), Vec::new(), 0);
        for root in 0..self.len() {
            if index[root] != UNSEEN {
                continue;
            }
            let mut work = vec![(root, 0)];
            while let Some(&mut (at, ref mut edge)) = work.last_mut() {
                if *edge == 0 && index[at] == UNSEEN {
                    (index[at], low[at], on_stack[at]) = (counter, counter, true);
                    counter += 1;
                    stack.push(at);
                }
                if let Some(&next) = self.needs(at).get(*edge) {
                    *edge += 1;
                    if index[next] == UNSEEN {
                        work.push((next, 0));
                    } else if on_stack[next] {
                        low[at] = low[at].min(index[next]);
                    }
                    continue;
                }
                work.pop();
                if let Some(&(parent, _)) = work.last() {
                    low[parent] = low[parent].min(low[at]);
                }
                if low[at] == index[at] {
                    let from = stack.iter().rposition(|member| *member == at).expect("it was pushed");
                    let members = stack.split_off(from);
                    members.iter().for_each(|member| on_stack[*member] = false);
                    if members.len() > 1 {
                        found.push(members);
                    }
                }
            }
        }
        found
    }
}

/// The members of a circle that are not taken yet. Each edge is looked at once for each of its ends.
struct Left<'a> {
    graph: &'a Graph,
    /// How many of those that are left each waits for, and is waited for by.
    degrees: HashMap<usize, (i64, i64)>,
    /// Those that wait for none of them, and are still among them.
    free: Vec<usize>,
    /// By weight; an entry whose weight is not its own any more says nothing.
    by_weight: BinaryHeap<(i64, Reverse<&'a str>, usize)>,
}

impl<'a> Left<'a> {
    fn new(graph: &'a Graph, members: &[usize]) -> Left<'a> {
        let inside: HashSet<usize> = members.iter().copied().collect();
        let count = |list: &[usize]| list.iter().filter(|at| inside.contains(at)).count() as i64;
        let degrees = inside.iter().map(|&at| (at, (count(graph.needs(at)), count(graph.needed_by(at)))));
        let mut left = Left { graph, degrees: degrees.collect(), free: Vec::new(), by_weight: BinaryHeap::new() };
        inside.iter().for_each(|&at| left.note(at));
        left
    }

    fn has(&self, at: usize) -> bool {
        self.degrees.contains_key(&at)
    }

    /// Writes down what a member weighs by now.
    fn note(&mut self, at: usize) {
        let (own, others) = self.degrees[&at];
        match own {
            0 => self.free.push(at),
            _ => self.by_weight.push((others - own, Reverse(self.graph.name(at)), at)),
        }
    }

    /// Takes the member that goes first out of those that wait, once those are gone that need not wait.
    fn take_first(&mut self) -> Option<usize> {
        while let Some(at) = self.free.pop() {
            self.remove(at);
        }
        while let Some((weight, _, at)) = self.by_weight.pop() {
            if self.degrees.get(&at).is_some_and(|(own, others)| *own > 0 && others - own == weight) {
                self.remove(at);
                return Some(at);
            }
        }
        None
    }

    fn remove(&mut self, at: usize) {
        if self.degrees.remove(&at).is_none() {
            return;
        }
        for &waiting in self.graph.needed_by(at) {
            if let Some((own, _)) = self.degrees.get_mut(&waiting) {
                *own -= 1;
                self.note(waiting);
            }
        }
        for &needed in self.graph.needs(at) {
            if let Some((own, others)) = self.degrees.get_mut(&needed) {
                *others -= 1;
                if *own > 0 {
                    self.note(needed);
                }
            }
        }
    }
}
