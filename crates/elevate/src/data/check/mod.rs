//! What is wrong with data, before anybody upgrades with it.

mod alone;
mod circles;
mod files;
mod together;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Data, Event, Origin, Place, events::Package};

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
        alone::check(file, &mut findings);
    }
    // A vendor's events are applied beside the distribution's, so they may contradict those, too; not each other's.
    for events in together(data) {
        together::duplicates(&events, &mut findings);
        together::brought_and_removed(&events, &mut findings);
        circles::check(&events, &mut findings);
    }
    if !known.is_empty() {
        files::repositories(data, &known, &mut findings);
    }
    files::maps(data, &known, &mut findings);
    files::keys(data, &mut findings);
    files::lists(data, &mut findings);
    findings.sort_by(|a, b| (a.level, &a.place, &a.code, &a.other).cmp(&(b.level, &b.place, &b.code, &b.other)));
    findings.dedup();
    findings
}

/// Returns the events that can be applied to one machine: the distribution's, alone and with each vendor's.
fn together(data: &Data) -> Vec<Vec<&Event>> {
    let of = |is_it: &dyn Fn(&Origin) -> bool| -> Vec<&Event> {
        data.events.iter().filter(|file| is_it(&file.origin)).flat_map(|file| &file.events).collect()
    };
    let own = of(&|origin| origin.vendor.is_none());
    let vendors: BTreeSet<&str> = data.events.iter().filter_map(|file| file.origin.vendor.as_deref()).collect();
    let mut all: Vec<Vec<&Event>> = vendors
        .into_iter()
        .map(|vendor| [own.clone(), of(&|origin| origin.vendor.as_deref() == Some(vendor))].concat())
        .collect();
    if all.is_empty() {
        all.push(own);
    }
    all
}

fn finding(level: Level, code: &str, event: &Event, other: Option<&Event>, message: String) -> Finding {
    let other = other.map(|other| other.place.clone());
    Finding { level, code: code.to_string(), message, place: event.place.clone(), other }
}

fn names(packages: &[Package]) -> String {
    packages.iter().map(|package| package.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn describe(event: &Event) -> String {
    format!("event {} ({} {})", event.id, names(&event.inputs), event.action.word())
}

fn share_architecture(a: &Event, b: &Event) -> bool {
    a.architectures.is_empty()
        || b.architectures.is_empty()
        || a.architectures.iter().any(|arch| b.architectures.contains(arch))
}
