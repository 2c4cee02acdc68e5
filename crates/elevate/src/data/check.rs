//! What is wrong with data, before anybody upgrades with it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Action, Data, Event, Place, events::Package};
use crate::release::Release;

/// Packages without which a machine does not start, cannot be reached, or cannot be repaired. The plan never takes one away
/// without putting something in its place.
pub const PROTECTED: [&str; 18] = [
    "bash",
    "coreutils",
    "dnf",
    "glibc",
    "grub2-common",
    "kernel",
    "kernel-core",
    "NetworkManager",
    "openssh-server",
    "pam",
    "passwd",
    "python3",
    "rpm",
    "setup",
    "shadow-utils",
    "sudo",
    "systemd",
    "util-linux",
];

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The data means two things, or something that nobody can want.
    Error,
    /// It is probably a mistake.
    Warning,
}

/// Something that is wrong.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// A word for its kind, which does not change.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// Where.
    pub place: Place,
    /// Where the other half stands, of what contradicts itself.
    pub other: Option<Place>,
}

/// Returns everything that is wrong, errors first, then in the order of the files.
pub fn check(data: &Data) -> Vec<Finding> {
    let mut findings = Vec::new();
    let known: BTreeSet<&str> = data
        .repository_maps
        .iter()
        .flat_map(|map| &map.repositories)
        .map(|repository| repository.pesid.as_str())
        .collect();
    for file in &data.events {
        alone(&file.events, &mut findings);
        duplicates(&file.events, &mut findings);
        contradictions(&file.events, &mut findings);
        circles(&file.events, &mut findings);
        if !known.is_empty() {
            repositories(&file.events, &known, &mut findings);
        }
    }
    maps(data, &known, &mut findings);
    findings.sort_by(|a, b| (a.level, &a.place, &a.code).cmp(&(b.level, &b.place, &b.code)));
    findings.dedup();
    findings
}

fn finding(level: Level, code: &str, event: &Event, other: Option<&Event>, message: String) -> Finding {
    let other = other.map(|other| other.place.clone());
    Finding { level, code: code.to_string(), message, place: event.place.clone(), other }
}

fn names(packages: &[Package]) -> String {
    packages.iter().map(|package| package.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// What can be seen from one event.
fn alone(events: &[Event], findings: &mut Vec<Finding>) {
    for event in events {
        let what = format!("event {} ({} {})", event.id, names(&event.inputs), event.action.word());
        let ends =
            matches!(event.action, Action::Replaced | Action::Split | Action::Merged | Action::Moved | Action::Renamed);
        if ends && event.outputs.is_empty() {
            findings.push(finding(
                Level::Error,
                "no_outputs",
                event,
                None,
                format!("{what} says of nothing what it became"),
            ));
        }
        if event.inputs.is_empty() && event.outputs.is_empty() {
            findings.push(finding(
                Level::Warning,
                "empty",
                event,
                None,
                format!("event {} speaks of no package", event.id),
            ));
        }
        let same = |a: &Package, b: &Package| a.name == b.name && a.module == b.module;
        let is_itself = |input: &Package| event.outputs.iter().any(|output| same(input, output));
        if matches!(event.action, Action::Renamed | Action::Replaced) && event.inputs.iter().any(is_itself) {
            findings.push(finding(Level::Error, "self_reference", event, None, format!("{what} leads to itself")));
        }
        if event.from.is_some_and(|from| from >= event.to) {
            let (from, to) = (event.from.unwrap_or(event.to), event.to);
            findings.push(finding(
                Level::Error,
                "backwards",
                event,
                None,
                format!("{what} leads from {from} back to {to}"),
            ));
        }
        let lost = event.inputs.iter().filter(|package| PROTECTED.contains(&package.name.as_str()));
        let lost: Vec<&str> = lost.map(|package| package.name.as_str()).collect();
        if event.action == Action::Removed && !lost.is_empty() {
            let message = format!("{what} takes away what a machine needs: {}", lost.join(", "));
            findings.push(finding(Level::Error, "protected", event, None, message));
        }
    }
}

/// Two events of one release with the same inputs, of which only one can be meant.
fn duplicates(events: &[Event], findings: &mut Vec<Finding>) {
    type Key<'a> = (Release, Option<Release>, Vec<(&'a str, Option<&'a super::events::Module>)>);
    let mut groups: BTreeMap<Key<'_>, Vec<&Event>> = BTreeMap::new();
    for event in events.iter().filter(|event| !event.inputs.is_empty()) {
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

fn outputs(event: &Event) -> BTreeSet<(&str, Option<&super::events::Module>)> {
    event.outputs.iter().map(|package| (package.name.as_str(), package.module.as_ref())).collect()
}

fn share_architecture(a: &Event, b: &Event) -> bool {
    a.architectures.is_empty()
        || b.architectures.is_empty()
        || a.architectures.iter().any(|arch| b.architectures.contains(arch))
}

/// A package that one event takes away in a release, and another brings in it.
fn contradictions(events: &[Event], findings: &mut Vec<Finding>) {
    let mut removed: BTreeMap<(Release, &str), &Event> = BTreeMap::new();
    for event in events.iter().filter(|event| event.action == Action::Removed) {
        for package in event.inputs.iter().filter(|package| package.module.is_none()) {
            removed.entry((event.to, &package.name)).or_insert(event);
        }
    }
    for event in events.iter().filter(|event| event.action != Action::Removed) {
        for package in event.outputs.iter().filter(|package| package.module.is_none()) {
            let Some(remover) = removed.get(&(event.to, package.name.as_str())) else { continue };
            if share_architecture(event, remover) {
                let message = format!(
                    "event {} brings {} in {}, and event {} takes it away in the same release",
                    event.id, package.name, event.to, remover.id
                );
                findings.push(finding(Level::Warning, "brought_and_removed", event, Some(remover), message));
            }
        }
    }
}

/// Packages that become one another within one release.
fn circles(events: &[Event], findings: &mut Vec<Finding>) {
    let mut next: BTreeMap<(Release, &str), (&str, &Event)> = BTreeMap::new();
    for event in events.iter().filter(|event| matches!(event.action, Action::Renamed | Action::Replaced)) {
        for (input, output) in event.inputs.iter().flat_map(|i| event.outputs.iter().map(move |o| (i, o))) {
            if input.name != output.name {
                next.entry((event.to, &input.name)).or_insert((&output.name, event));
            }
        }
    }
    let mut told = BTreeSet::new();
    for &(release, start) in next.keys() {
        let (mut path, mut at) = (vec![start], start);
        while let Some(&(to, event)) = next.get(&(release, at)) {
            if let Some(from) = path.iter().position(|name| *name == to) {
                let mut members = path[from..].to_vec();
                members.sort_unstable();
                if told.insert((release, members)) {
                    let way = path[from..].iter().chain([&to]).copied().collect::<Vec<_>>().join(" → ");
                    let message = format!("in {release}, packages become one another: {way}");
                    findings.push(finding(Level::Error, "circle", event, None, message));
                }
                break;
            }
            path.push(to);
            at = to;
        }
    }
}

fn repositories(events: &[Event], known: &BTreeSet<&str>, findings: &mut Vec<Finding>) {
    let mut told = BTreeSet::new();
    for event in events {
        for package in event.outputs.iter().chain(&event.inputs) {
            if !package.repository.is_empty()
                && !known.contains(package.repository.as_str())
                && told.insert(&package.repository)
            {
                let message =
                    format!("no repository map knows the repository \"{}\" (of {})", package.repository, package.name);
                findings.push(finding(Level::Warning, "unknown_repository", event, None, message));
            }
        }
    }
}

fn maps(data: &Data, known: &BTreeSet<&str>, findings: &mut Vec<Finding>) {
    for mapping in data.repository_maps.iter().flat_map(|map| &map.mappings) {
        for (source, targets) in &mapping.targets {
            for name in targets.iter().chain([source]).filter(|name| !known.contains(name.as_str())) {
                let message = format!("the map from {source} names \"{name}\", which is described nowhere");
                let place = mapping.place.clone();
                findings.push(Finding { level: Level::Error, code: "unmapped".into(), message, place, other: None });
            }
        }
    }
}
