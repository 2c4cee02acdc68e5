//! What is to be said about a plan before anything is done: all of it at once.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Fate, Planned, Target, Transaction, Way, Wishes};
use crate::{
    data::{Data, check},
    evolve::Evolved,
    facts::Facts,
};

/// Files of the package database and its journals need room besides what packages bring.
const SPARE_BYTES: u64 = 256 << 20;
/// Names in a sentence at most.
const NAMED: usize = 15;

/// How much a finding is in the way.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// It cannot be done so.
    Block,
    /// A person has to say that it may be done so.
    Ask,
    /// It is good to know.
    Tell,
}

/// Something that is to be said.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
pub struct Finding {
    /// How much it is in the way.
    pub level: Level,
    /// A word for its kind, which does not change.
    pub code: String,
    /// What is so.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

fn finding(level: Level, code: &str, message: impl Into<String>, remedy: &str) -> Finding {
    let remedy = Some(remedy.to_string()).filter(|remedy| !remedy.is_empty());
    Finding { level, code: code.to_string(), message: message.into(), remedy }
}

/// What can be said before the solver is asked.
pub fn before(
    facts: &Facts,
    data: &Data,
    target: &Target,
    evolved: &Evolved<'_>,
    wishes: &Wishes,
    way: &Way,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    releases(facts, target, &mut findings);
    drivers(facts, data, target, &mut findings);
    repositories(facts, data, &mut findings);
    config(facts, &mut findings);
    for (event, other, key) in &evolved.ambiguous {
        let level = if wishes.strict { Level::Block } else { Level::Tell };
        let message = format!(
            "{}: event {} ({}) brings it, event {} ({}) takes it away in the same release",
            key.0, event.id, event.place, other.id, other.place
        );
        findings.push(finding(
            level,
            "ambiguous",
            message,
            "mend the data, or plan without --strict: then the later in the file wins, as it does for leapp",
        ));
    }
    for (name, inputs) in &way.missing {
        let message =
            format!("{} become {name}, which no repository of the target has", some(inputs.iter().map(String::as_str)));
        findings.push(finding(
            Level::Tell,
            "successor_missing",
            message,
            "add the repository that has it, or do without",
        ));
    }
    let spared = way.spared.iter().filter(|name| check::PROTECTED.contains(&name.as_str()));
    let spared: Vec<&str> = spared.map(String::as_str).collect();
    if !spared.is_empty() {
        let message = format!("the data takes away what a machine needs: {}; it stays", some(spared.into_iter()));
        findings.push(finding(
            Level::Ask,
            "protected",
            message,
            "mend the data: `anima elevate data check` names the events",
        ));
    }
    let unsigned =
        facts.packages.iter().filter(|package| package.key_id.is_empty()).map(|package| package.name.as_str());
    let unsigned: Vec<&str> = unsigned.collect();
    if !unsigned.is_empty() && unsigned.len() < facts.packages.len() {
        let message = format!("{} packages have no signature: {}", unsigned.len(), some(unsigned.into_iter()));
        findings.push(finding(
            Level::Tell,
            "unsigned",
            message,
            "nobody answers for them; remove those that are not yours",
        ));
    }
    findings
}

fn releases(facts: &Facts, target: &Target, findings: &mut Vec<Finding>) {
    let (source, to) = (facts.os.release, target.release);
    if to.major > source.major + 1 {
        let message = format!("from {source} to {to} is more than one major version");
        findings.push(finding(Level::Block, "too_far", message, &format!("go to {}.0 first", source.major + 1)));
    }
    if to < source && to.major != source.major {
        findings.push(finding(
            Level::Block,
            "backwards",
            format!("{to} is older than {source}"),
            "name a newer release",
        ));
    }
}

fn drivers(facts: &Facts, data: &Data, target: &Target, findings: &mut Vec<Finding>) {
    let loaded: BTreeSet<&str> = facts.modules_loaded.iter().map(String::as_str).collect();
    for driver in data.drivers.iter().flat_map(|file| &file.entries) {
        if driver.driver_name.is_empty() || !loaded.contains(driver.driver_name.as_str()) {
            continue;
        }
        if !driver.available_in.contains(&target.release.major) {
            let message = format!("the driver {} is in use, and {} has it no more", driver.driver_name, target.release);
            findings.push(finding(Level::Block, "driver_gone", message, "take the device out of use, or stay"));
        } else if !driver.maintained_in.contains(&target.release.major) {
            let message =
                format!("the driver {} is in use, and nobody maintains it in {}", driver.driver_name, target.release);
            findings.push(finding(Level::Tell, "driver_unmaintained", message, ""));
        }
    }
}

fn repositories(facts: &Facts, data: &Data, findings: &mut Vec<Finding>) {
    let known: BTreeSet<&str> = data
        .repository_maps
        .iter()
        .flat_map(|map| &map.repositories)
        .map(|repository| repository.repoid.as_str())
        .collect();
    if known.is_empty() {
        return;
    }
    for repository in
        facts.repositories.iter().filter(|repository| repository.is_enabled && !known.contains(repository.id.as_str()))
    {
        let message = format!("no map says what follows the repository \"{}\" ({})", repository.id, repository.file);
        findings.push(finding(
            Level::Tell,
            "repository_unmapped",
            message,
            "its packages stay as they are, if they can; name its successor with --repository",
        ));
    }
}

fn config(facts: &Facts, findings: &mut Vec<Finding>) {
    let changed: Vec<&str> =
        facts.packages.iter().flat_map(|package| &package.changed_config).map(String::as_str).collect();
    if !changed.is_empty() {
        let message = format!("{} configuration files were changed: {}", changed.len(), some(changed.into_iter()));
        findings.push(finding(
            Level::Tell,
            "config_changed",
            message,
            "new versions of them come beside them as .rpmnew, or yours are kept as .rpmsave",
        ));
    }
}

/// What can be said once the fates are known.
pub fn after(facts: &Facts, packages: &[Planned], transaction: &Transaction, findings: &mut Vec<Finding>) {
    let of = |fate: Fate| packages.iter().filter(move |package| package.fate == fate);
    for package in of(Fate::Remove).filter(|package| check::PROTECTED.contains(&package.name.as_str())) {
        let message = format!("{} would go, and a machine needs it", package.name);
        findings.push(finding(
            Level::Block,
            "protected",
            message,
            "`anima elevate why` says what is in its way; remove that first",
        ));
    }
    let by_dependency =
        of(Fate::Remove).filter(|package| !package.reasons.iter().any(|reason| reason.about != "dependency"));
    let by_dependency: Vec<&str> = by_dependency.map(|package| package.name.as_str()).collect();
    if !by_dependency.is_empty() {
        let message = format!(
            "{} packages go because what they need is gone: {}",
            by_dependency.len(),
            some(by_dependency.into_iter())
        );
        findings.push(finding(
            Level::Ask,
            "removed_by_dependency",
            message,
            "add a repository that has them, or let them go",
        ));
    }
    let orphans: Vec<&str> = of(Fate::Orphan).map(|package| package.name.as_str()).collect();
    if !orphans.is_empty() {
        let message =
            format!("{} packages stay that the target does not have: {}", orphans.len(), some(orphans.into_iter()));
        findings.push(finding(
            Level::Tell,
            "orphans",
            message,
            "nobody will update them; remove those that you do not need",
        ));
    }
    services(facts, packages, findings);
    space(facts, transaction, findings);
}

/// A service whose program goes with its package.
fn services(facts: &Facts, packages: &[Planned], findings: &mut Vec<Finding>) {
    let removed: BTreeSet<&str> =
        packages.iter().filter(|package| package.fate == Fate::Remove).map(|package| package.name.as_str()).collect();
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for package in &facts.packages {
        owners.extend(package.files.iter().map(|path| (path.as_str(), package.name.as_str())));
    }
    for service in &facts.services {
        for program in &service.programs {
            if let Some(owner) = owners.get(program.as_str()).filter(|owner| removed.contains(*owner)) {
                let message = format!("{} starts {program}, which goes with {owner}", service.unit);
                findings.push(finding(
                    Level::Ask,
                    "service_gone",
                    message,
                    "disable the service, or install what takes its place",
                ));
            }
        }
    }
}

fn space(facts: &Facts, transaction: &Transaction, findings: &mut Vec<Finding>) {
    let Some(mount) = facts.mounts.iter().find(|mount| mount.path == "/") else { return };
    if !mount.is_writable {
        findings.push(finding(Level::Block, "read_only", "/ cannot be written", "mount it for writing"));
    }
    // Old and new files are there together until the transaction ends, and the packages besides.
    let grows = u64::try_from(transaction.grows_bytes).unwrap_or(0);
    let needed = transaction.download_bytes * 2 + grows + SPARE_BYTES;
    if mount.free_bytes < needed && !transaction.install.is_empty() {
        let message = format!("/ has {} MiB free, and {} MiB are needed", mount.free_bytes >> 20, needed >> 20);
        findings.push(finding(Level::Block, "space", message, "make room"));
    }
}

/// What the solver could not do at all.
pub fn unsolvable(sentences: &[String]) -> Finding {
    let message = format!(
        "the packages of the target do not fit together: {}",
        sentences.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ")
    );
    finding(Level::Block, "unsolvable", message, "name all repositories of the target; remove what is in the way")
}

/// What an event or a person wanted, and cannot have.
pub fn left_out(name: &str, sentences: &[String]) -> Finding {
    let why = sentences.iter().find(|sentence| names(sentence, name)).cloned().unwrap_or_default();
    finding(
        Level::Ask,
        "left_out",
        format!("{name} cannot be installed: {why}"),
        "add the repository that has what it needs",
    )
}

/// Returns whether a sentence of the solver speaks of a package of that name.
pub fn names(sentence: &str, name: &str) -> bool {
    sentence.split([' ', ',']).any(|word| word == name || super::fate::name_of(word) == name)
}

fn some<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    let count = names.len();
    names.truncate(NAMED);
    let more = if count > NAMED { format!(" and {} more", count - NAMED) } else { String::new() };
    names.join(", ") + &more
}
