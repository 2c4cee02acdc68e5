//! What files say of one another: repositories of events and maps, keys of repositories, the owner's lists.

use std::collections::BTreeSet;

use super::{Finding, Level, PROTECTED, finding};
use crate::data::{Data, Place};

fn at(level: Level, code: &str, place: &Place, other: Option<&Place>, message: String) -> Finding {
    Finding { level, code: code.to_string(), message, place: place.clone(), other: other.cloned() }
}

/// Repositories of events that no map knows; each is told once.
pub fn repositories(data: &Data, known: &BTreeSet<&str>, findings: &mut Vec<Finding>) {
    let mut told = BTreeSet::new();
    for event in data.all_events() {
        for package in event.outputs.iter().chain(&event.inputs) {
            let name = package.repository.as_str();
            if !name.is_empty() && !known.contains(name) && told.insert(name) {
                let message = format!("no repository map knows the repository \"{name}\" (of {})", package.name);
                findings.push(finding(Level::Warning, "unknown_repository", event, None, message));
            }
        }
    }
}

/// Names in maps that are described nowhere.
pub fn maps(data: &Data, known: &BTreeSet<&str>, findings: &mut Vec<Finding>) {
    for mapping in data.repository_maps.iter().flat_map(|map| &map.mappings) {
        for (source, targets) in &mapping.targets {
            for name in targets.iter().chain([source]).filter(|name| !known.contains(name.as_str())) {
                let message = format!("the map from {source} names \"{name}\", which is described nowhere");
                findings.push(at(Level::Error, "unmapped", &mapping.place, None, message));
            }
        }
    }
}

/// Repositories whose packages are checked with a key that is not there, or not at all.
pub fn keys(data: &Data, findings: &mut Vec<Finding>) {
    let there: BTreeSet<String> = data
        .key_files
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        // `epel.gpg.el9` is `epel.gpg` for ways to 9.
        .flat_map(|name| [name.rsplit_once(".el").map(|(stem, _)| stem.to_string()), Some(name)])
        .flatten()
        .collect();
    for repository in data.repository_files.iter().flat_map(|file| &file.repositories) {
        if !repository.wants_signatures() {
            let message = format!("packages of the repository \"{}\" are not checked (gpgcheck=0)", repository.id);
            findings.push(at(Level::Warning, "unsigned_repository", &repository.place, None, message));
            continue;
        }
        for path in repository.key_paths() {
            let name = path.rsplit('/').next().unwrap_or(path);
            if !there.is_empty() && !there.contains(name) && !name.contains('$') {
                let message = format!("the key {path} of the repository \"{}\" is in no rpm-gpg folder", repository.id);
                findings.push(at(Level::Warning, "missing_key", &repository.place, None, message));
            }
        }
    }
}

/// What the owner wants and does not want, or cannot do without.
pub fn lists(data: &Data, findings: &mut Vec<Finding>) {
    for (name, place, other) in data.lists.contradictions() {
        let message = format!("{name} is to be removed, and to be there; it is not removed");
        findings.push(at(Level::Error, "list_contradiction", place, Some(other), message));
    }
    for (name, place) in data.lists.remove.iter().filter(|(name, _)| PROTECTED.contains(&name.as_str())) {
        let message = format!("{name} is to be removed, and a machine needs it");
        findings.push(at(Level::Error, "protected", place, None, message));
    }
}
