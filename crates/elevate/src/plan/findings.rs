//! What is to be said about a plan before anything is done: all of it at once.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Costs, Fate, Planned, Target, Way, Wishes};
use crate::{
    data::{Data, check, repository_map, signatures::Known},
    evolve::Evolved,
    facts::Facts,
    rules,
};

/// A service loses its program.
pub const SERVICE_GONE: &str = "service_gone";
/// The group of what the plan itself finds.
const OF_PLAN: &str = "plan";
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
    /// What it is about: what a rule looks at, or `plan`.
    #[serde(default)]
    pub group: String,
    /// Why it matters.
    #[serde(default)]
    pub explanation: Option<String>,
    /// What it was found in.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// Whether `fix` can do it.
    #[serde(default)]
    pub can_be_fixed: bool,
}

/// Makes a finding of the plan itself.
pub fn finding(level: Level, code: &str, message: impl Into<String>, remedy: &str) -> Finding {
    let remedy = Some(remedy.to_string()).filter(|remedy| !remedy.is_empty());
    let (code, message, group) = (code.to_string(), message.into(), OF_PLAN.to_string());
    Finding { level, code, message, remedy, group, explanation: None, evidence: Vec::new(), can_be_fixed: false }
}

/// What the rules found.
pub fn of_rules(facts: &Facts, target: &Target, findings: &mut Vec<Finding>) {
    if facts.probes.is_none() {
        findings.push(finding(
            Level::Ask,
            "no_probes",
            "the facts were written by a program that knew no rules, so that none was asked",
            "collect the facts again",
        ));
    }
    for found in rules::ask(facts, target.release) {
        let Some(rule) = rules::by_id(&found.id) else { continue };
        findings.push(Finding {
            level: rule.level,
            code: found.id,
            message: rule.title.clone(),
            remedy: Some(rule.remedy.clone()),
            group: rule.group.clone(),
            explanation: Some(rule.explanation.clone()),
            evidence: found.evidence,
            can_be_fixed: !rule.edits.is_empty(),
        });
    }
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
    paths(facts, data, target, &mut findings);
    repositories(facts, data, target, &mut findings);
    packages_of_others(facts, data, &mut findings);
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
    if !evolved.out_of_modules.is_empty() {
        let names = evolved.out_of_modules.iter().map(|key| key.0.as_str());
        let message = format!(
            "{} packages leave their modules, of which no event speaks: {}",
            evolved.out_of_modules.len(),
            some(names)
        );
        findings.push(finding(
            Level::Tell,
            "out_of_modules",
            message,
            "enable the target's streams after the upgrade, if you need them",
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

/// A target that the data knows no way to.
fn paths(facts: &Facts, data: &Data, target: &Target, findings: &mut Vec<Finding>) {
    let source = facts.os.release;
    for targets in data.upgrade_paths.iter().filter_map(|paths| paths.targets(source)) {
        if source.major != target.release.major && !targets.contains(&target.release) {
            let known: Vec<String> = targets.iter().map(ToString::to_string).collect();
            let message =
                format!("the data knows no way from {source} to {}, but to {}", target.release, known.join(", "));
            findings.push(finding(Level::Ask, "unknown_path", message, "go to one of these"));
        }
    }
}

/// Packages that no key of the distribution or of an active vendor has signed: no event speaks of them.
fn packages_of_others(facts: &Facts, data: &Data, findings: &mut Vec<Finding>) {
    let known = Known::new(&data.signatures);
    let others = facts.packages.iter().filter(|package| !known.is_ours(package) && !package.key_id.is_empty());
    let others: Vec<String> = others.map(|package| format!("{} (key {})", package.nevra(), package.key_id)).collect();
    if others.is_empty() {
        return;
    }
    let message = format!("{} packages are signed by keys that the data does not know", others.len());
    let remedy =
        "they stay if they can; give the vendor's files in vendors.d, or ask its maker for the target's packages";
    findings.push(Finding { evidence: others, ..finding(Level::Ask, "third_party", message, remedy) });
}

fn repositories(facts: &Facts, data: &Data, target: &Target, findings: &mut Vec<Finding>) {
    let named: BTreeSet<&str> = target.repositories.iter().map(|repository| repository.id.as_str()).collect();
    for wanted in repository_map::wanted(&data.repository_maps, facts, target.release) {
        if !named.contains(wanted.repoid.as_str()) {
            let message = format!(
                "the map wants \"{}\" for \"{}\", and it is not among the target's",
                wanted.repoid, wanted.follows
            );
            findings.push(finding(Level::Ask, "repository_not_named", message, "name it with --repository"));
        }
    }
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
pub fn after(facts: &Facts, packages: &[Planned], costs: &Costs, findings: &mut Vec<Finding>) {
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
    space(facts, costs, findings);
}

/// What was to be installed again, and is not installed, or is in no repository in this version.
pub fn not_again(packages: &[Planned], again: &BTreeSet<String>, findings: &mut Vec<Finding>) {
    for name in again {
        let installed: Vec<&Planned> =
            packages.iter().filter(|package| package.name == *name && package.before.is_some()).collect();
        let is_left = |package: &&Planned| !package.is_again && package.before.as_ref() == package.after.first();
        let message = match installed.as_slice() {
            [] => format!("{name} is not installed, and so cannot be installed again"),
            packages if packages.iter().any(is_left) => {
                format!("{name} was to be installed again, and no repository of the target has this version")
            }
            _ => continue,
        };
        findings.push(finding(Level::Tell, "not_installed_again", message, "nothing, if it does without"));
    }
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
                    SERVICE_GONE,
                    message,
                    "disable the service, or install what takes its place",
                ));
            }
        }
    }
}

fn space(facts: &Facts, costs: &Costs, findings: &mut Vec<Finding>) {
    for mount in
        facts.mounts.iter().filter(|mount| !mount.is_writable && matches!(mount.path.as_str(), "/" | "/usr" | "/boot"))
    {
        let message = format!("{} cannot be written", mount.path);
        findings.push(finding(Level::Block, "read_only", message, "mount it for writing"));
    }
    for room in costs.rooms.iter().filter(|room| room.free_bytes < room.needed_bytes) {
        let (path, free, needed) = (&room.path, room.free_bytes >> 20, room.needed_bytes >> 20);
        let message = format!("{path} has {free} MiB free, and {needed} MiB are needed");
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
