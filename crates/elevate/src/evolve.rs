//! What package evolution events make of a set of packages.
//!
//! The events of one release are applied to the set as it stood at the release's start, release by release, from those after
//! the source's up to the target's. An event applies when all of its inputs are in the set; one that merges, when any is. Of
//! events with the same start and the same inputs, the one that leads to the highest release not above the target's counts.
//! This is what leapp does (`peseventsscanner`), as design note 8 has it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    data::{
        Action, Event,
        events::{Module, Package},
    },
    release::Release,
};

/// A package in a set: its name, and its stream where it is of a module.
pub type Key = (String, Option<Module>);

/// What became of a set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evolved<'a> {
    /// The set in the target, with the repository that the last event named.
    pub packages: BTreeMap<Key, String>,
    /// What happened to each package of the source that an event spoke of: the events, in their order.
    pub history: BTreeMap<Key, Vec<&'a Event>>,
    /// Events that bring what another event of the same release takes away: leapp brings it, and a strict reader asks.
    pub ambiguous: Vec<(&'a Event, &'a Event, Key)>,
}

/// Returns the events that speak of a way, of an architecture, and of nothing that a later event says otherwise.
pub fn relevant<'a>(
    events: impl IntoIterator<Item = &'a Event>,
    arch: &str,
    source: Release,
    target: Release,
) -> Vec<&'a Event> {
    let mut newest: BTreeMap<(Option<Release>, Vec<Key>), Release> = BTreeMap::new();
    let of_way: Vec<&Event> = events
        .into_iter()
        .filter(|event| event.architectures.is_empty() || event.architectures.iter().any(|name| name == arch))
        .filter(|event| source < event.to && event.to <= target)
        .collect();
    let group = |event: &Event| {
        let mut inputs: Vec<Key> = event.inputs.iter().map(key).collect();
        inputs.sort();
        (event.from, inputs)
    };
    for event in &of_way {
        if !event.inputs.is_empty() {
            let to = newest.entry(group(event)).or_insert(event.to);
            *to = event.to.max(*to);
        }
    }
    of_way.into_iter().filter(|event| event.inputs.is_empty() || newest[&group(event)] == event.to).collect()
}

/// Applies relevant events to the packages of the source.
pub fn evolve<'a>(installed: &BTreeSet<Key>, events: &[&'a Event]) -> Evolved<'a> {
    let mut evolved =
        Evolved { packages: installed.iter().map(|key| (key.clone(), String::new())).collect(), ..Evolved::default() };
    // Where a package of the set came from, so that a chain of events is one history.
    let mut origins: BTreeMap<Key, BTreeSet<Key>> =
        installed.iter().map(|key| (key.clone(), BTreeSet::from([key.clone()]))).collect();
    let releases: BTreeSet<Release> = events.iter().map(|event| event.to).collect();
    for release in releases {
        let of_release: Vec<&Event> = events.iter().copied().filter(|event| event.to == release).collect();
        let start = evolved.packages.clone();
        let applied: Vec<&Event> = of_release.into_iter().filter(|event| applies(event, &start)).collect();
        let mut gone: BTreeMap<Key, &Event> = BTreeMap::new();
        let mut come: BTreeMap<Key, (&Event, String)> = BTreeMap::new();
        let mut came_from: BTreeMap<Key, BTreeSet<Key>> = BTreeMap::new();
        for event in applied {
            let mut roots = BTreeSet::new();
            for input in event.inputs.iter().map(key).filter(|input| start.contains_key(input)) {
                roots.extend(origins.get(&input).cloned().unwrap_or_default());
            }
            for root in &roots {
                evolved.history.entry(root.clone()).or_default().push(event);
            }
            if takes_inputs(event.action) {
                for input in event.inputs.iter().map(key) {
                    gone.entry(input).or_insert(event);
                }
            }
            for output in outputs(event) {
                came_from.entry(key(output)).or_default().extend(roots.iter().cloned());
                come.insert(key(output), (event, output.repository.clone()));
            }
        }
        for key in gone.keys().filter(|key| !come.contains_key(*key)) {
            evolved.packages.remove(key);
        }
        for (key, (event, repository)) in come {
            if let Some(remover) = gone.get(&key).filter(|remover| remover.action == Action::Removed) {
                evolved.ambiguous.push((event, remover, key.clone()));
            }
            evolved.packages.insert(key, repository);
        }
        for (key, roots) in came_from {
            origins.entry(key).or_default().extend(roots);
        }
    }
    evolved
}

/// Returns what a package is known by.
pub fn key(package: &Package) -> Key {
    (package.name.clone(), package.module.clone())
}

fn applies(event: &Event, set: &BTreeMap<Key, String>) -> bool {
    let mut inputs = event.inputs.iter().map(key);
    match event.action {
        _ if event.inputs.is_empty() => false,
        Action::Merged => inputs.any(|input| set.contains_key(&input)),
        _ => inputs.all(|input| set.contains_key(&input)),
    }
}

/// Whether what an event speaks of is gone after it, unless it brings it again.
const fn takes_inputs(action: Action) -> bool {
    matches!(
        action,
        Action::Removed
            | Action::Replaced
            | Action::Split
            | Action::Merged
            | Action::Moved
            | Action::Renamed
            | Action::Reinstalled
    )
}

/// What is there after an event. One that keeps something, or installs it again, keeps its inputs.
fn outputs(event: &Event) -> &[Package] {
    match event.action {
        Action::Removed => &[],
        Action::Present | Action::Deprecated | Action::Reinstalled if event.outputs.is_empty() => &event.inputs,
        _ => &event.outputs,
    }
}
