//! What leapp does with events, written as its documentation says it, with no regard to anything else.

use std::collections::BTreeSet;

use anima_elevate::{
    data::{Action, Event, events::Package},
    evolve::Key,
    release::Release,
};

/// What an event says, what it needs, and what it brings.
type Rule = (Action, Vec<Key>, Vec<Key>);

/// The events of each release of a way, in its order.
pub struct Model {
    releases: Vec<Vec<Rule>>,
}

impl Model {
    pub fn new(events: &[Event], arch: &str, source: Release, target: Release) -> Model {
        let is_for_arch =
            |event: &&Event| event.architectures.is_empty() || event.architectures.iter().any(|name| name == arch);
        let of_arch: Vec<(&Event, Vec<Key>)> =
            events.iter().filter(is_for_arch).map(|event| (event, sorted(&event.inputs))).collect();
        let mut releases: Vec<Release> =
            of_arch.iter().map(|(event, _)| event.to).filter(|to| source < *to && *to <= target).collect();
        releases.sort();
        releases.dedup();
        let of_release = |release: Release| {
            let mut list = Vec::new();
            for (event, inputs) in of_arch.iter().filter(|(event, inputs)| event.to == release && !inputs.is_empty()) {
                let is_superseded = of_arch.iter().any(|(other, others)| {
                    other.to > event.to && other.to <= target && other.from == event.from && others == inputs
                });
                if !is_superseded {
                    list.push((event.action, inputs.clone(), sorted(&event.outputs)));
                }
            }
            list
        };
        Model { releases: releases.into_iter().map(of_release).collect() }
    }

    pub fn apply(&self, installed: &BTreeSet<Key>) -> BTreeSet<Key> {
        let mut set = installed.clone();
        for events in &self.releases {
            let (start, mut minus, mut plus) = (set.clone(), BTreeSet::new(), BTreeSet::new());
            for (action, inputs, outputs) in events {
                let count = inputs.iter().filter(|key| start.contains(*key)).count();
                let is_triggered = if *action == Action::Merged { count > 0 } else { count == inputs.len() };
                if !is_triggered {
                    continue;
                }
                let stays =
                    matches!(action, Action::Present | Action::Deprecated | Action::Reinstalled) && outputs.is_empty();
                if *action == Action::Removed {
                    minus.extend(inputs.clone());
                } else if stays {
                    plus.extend(inputs.clone());
                } else {
                    if !matches!(action, Action::Present | Action::Deprecated) {
                        minus.extend(inputs.clone());
                    }
                    plus.extend(outputs.clone());
                }
            }
            set.retain(|key| !minus.contains(key));
            set.extend(plus);
        }
        set
    }
}

fn sorted(packages: &[Package]) -> Vec<Key> {
    let mut keys: Vec<Key> = packages.iter().map(|package| (package.name.clone(), package.module.clone())).collect();
    keys.sort();
    keys
}
