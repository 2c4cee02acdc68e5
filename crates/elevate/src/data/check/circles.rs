//! Packages that become one another within one release: for leapp, one or the other is left, by the order of the file.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Level, finding};
use crate::{
    data::{Action, Event},
    release::Release,
};

/// What each package becomes in a release, with the event that says so.
type Successors<'a> = BTreeMap<&'a str, Vec<(&'a str, &'a Event)>>;

/// Finds each circle once, by its members.
pub fn check(events: &[&Event], findings: &mut Vec<Finding>) {
    let mut releases: BTreeMap<Release, Successors<'_>> = BTreeMap::new();
    for event in events.iter().copied() {
        if !matches!(event.action, Action::Renamed | Action::Replaced | Action::Moved | Action::Split | Action::Merged)
        {
            continue;
        }
        let successors = releases.entry(event.to).or_default();
        for (input, output) in event.inputs.iter().flat_map(|i| event.outputs.iter().map(move |o| (i, o))) {
            // What stays under its name goes round no circle.
            let stays = event.outputs.iter().any(|other| other.name == input.name);
            if !stays && input.name != output.name {
                successors.entry(&input.name).or_default().push((&output.name, event));
            }
        }
    }
    for (release, successors) in &releases {
        of_release(*release, successors, findings);
    }
}

/// Walks from each package without returning to one that is finished; a package that is still on the way closes a circle.
fn of_release(release: Release, successors: &Successors<'_>, findings: &mut Vec<Finding>) {
    let mut finished: BTreeSet<&str> = BTreeSet::new();
    let mut told: BTreeSet<Vec<&str>> = BTreeSet::new();
    for start in successors.keys().copied() {
        let mut path: Vec<(&str, usize)> = vec![(start, 0)];
        while let Some((name, next)) = path.last_mut() {
            let of = successors.get(*name).map(Vec::as_slice).unwrap_or_default();
            let Some(&(to, event)) = of.get(*next).filter(|_| !finished.contains(*name)) else {
                finished.insert(name);
                path.pop();
                continue;
            };
            *next += 1;
            let Some(from) = path.iter().position(|(on_way, _)| *on_way == to) else {
                path.push((to, 0));
                continue;
            };
            let members: Vec<&str> = path[from..].iter().map(|(name, _)| *name).collect();
            let mut sorted = members.clone();
            sorted.sort_unstable();
            if told.insert(sorted) {
                let way = members.iter().chain([&to]).copied().collect::<Vec<_>>().join(" → ");
                let message = format!("in {release}, packages become one another: {way}");
                findings.push(finding(Level::Error, "circle", event, None, message));
            }
        }
    }
}
