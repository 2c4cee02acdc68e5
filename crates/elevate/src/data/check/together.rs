//! What two events of one release say of the same packages.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Level, finding, names, share_architecture};
use crate::{
    data::{Action, Event, events::Module},
    release::Release,
};

/// Events of one start, one release and the same inputs.
type Group<'a> = (Release, Option<Release>, Vec<(&'a str, Option<&'a Module>)>);

/// Two events of one release with the same inputs, of which only one can be meant.
pub fn duplicates(events: &[&Event], findings: &mut Vec<Finding>) {
    let mut groups: BTreeMap<Group<'_>, Vec<&Event>> = BTreeMap::new();
    for event in events.iter().copied().filter(|event| !event.inputs.is_empty()) {
        let mut inputs: Vec<_> =
            event.inputs.iter().map(|package| (package.name.as_str(), package.module.as_ref())).collect();
        inputs.sort_unstable();
        groups.entry((event.to, event.from, inputs)).or_default().push(event);
    }
    for group in groups.values().filter(|group| group.len() > 1) {
        for pair in group.windows(2) {
            let (first, second) = (pair[0], pair[1]);
            if !share_architecture(first, second) {
                continue;
            }
            let is_same = first.action == second.action && outputs(first) == outputs(second);
            let (level, code, how) = match is_same {
                true => (Level::Warning, "duplicate", "says the same as"),
                false => (Level::Error, "contradiction", "contradicts"),
            };
            let message = format!(
                "event {} ({} {}) {how} event {} ({})",
                second.id,
                names(&second.inputs),
                second.action.word(),
                first.id,
                first.action.word()
            );
            findings.push(finding(level, code, second, Some(first), message));
        }
    }
}

fn outputs(event: &Event) -> BTreeSet<(&str, Option<&Module>)> {
    event.outputs.iter().map(|package| (package.name.as_str(), package.module.as_ref())).collect()
}

/// A package that one event takes away in a release, and another brings in it: for leapp, the later in the file wins.
pub fn brought_and_removed(events: &[&Event], findings: &mut Vec<Finding>) {
    let is_kept = |event: &Event| matches!(event.action, Action::Present | Action::Deprecated);
    let mut takers: BTreeMap<(Release, &str, Option<&Module>), Vec<&Event>> = BTreeMap::new();
    for event in events.iter().copied().filter(|event| !is_kept(event)) {
        let outputs = outputs(event);
        let taken = event.inputs.iter().map(|package| (package.name.as_str(), package.module.as_ref()));
        for (name, module) in taken.filter(|package| !outputs.contains(package)) {
            takers.entry((event.to, name, module)).or_default().push(event);
        }
    }
    for event in events.iter().copied().filter(|event| !is_kept(event)) {
        for package in &event.outputs {
            let key = (event.to, package.name.as_str(), package.module.as_ref());
            for taker in takers.get(&key).into_iter().flatten() {
                if taker.place != event.place && share_architecture(event, taker) {
                    let message = format!(
                        "event {} brings {} in {}, and event {} takes it away in the same release: the later in the file wins",
                        event.id, package.name, event.to, taker.id
                    );
                    findings.push(finding(Level::Warning, "brought_and_removed", event, Some(taker), message));
                }
            }
        }
    }
}
