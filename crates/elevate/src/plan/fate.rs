//! From the solver's answer to a fate for each package, with its reasons.

use std::collections::{BTreeMap, BTreeSet};

use anima_solver::{Solution, Step};
use anima_types::Evr;

use super::{Fate, Planned, Reason, Way, Wishes};
use crate::{
    data::{Action, Event},
    evolve::{Evolved, Key},
    facts::{Facts, Installed},
};

/// Returns what becomes of each package, by name.
pub fn fates(facts: &Facts, evolved: &Evolved<'_>, wishes: &Wishes, way: &Way, solution: &Solution) -> Vec<Planned> {
    let goes: BTreeMap<&str, &Step> =
        solution.steps.iter().filter(|step| !step.is_installed).map(|step| (step.nevra.as_str(), step)).collect();
    let mut comes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for step in solution.steps.iter().filter(|step| step.is_installed) {
        comes.entry(name_of(&step.nevra)).or_default().push(&step.nevra);
    }
    let mut planned: Vec<Planned> = facts
        .packages
        .iter()
        .map(|package| installed(package, evolved, wishes, way, goes.get(package.nevra().as_str()).copied(), &comes))
        .collect();
    let explained: BTreeSet<String> = planned.iter().flat_map(|package| package.after.iter().cloned()).collect();
    for step in solution.steps.iter().filter(|step| step.is_installed && !explained.contains(&step.nevra)) {
        planned.push(new(step, wishes));
    }
    planned.sort_by(|a, b| (&a.name, &a.before, &a.after).cmp(&(&b.name, &b.before, &b.after)));
    planned
}

fn installed(
    package: &Installed,
    evolved: &Evolved<'_>,
    wishes: &Wishes,
    way: &Way,
    step: Option<&Step>,
    comes: &BTreeMap<&str, Vec<&str>>,
) -> Planned {
    let key: Key = (package.name.clone(), package.module.clone());
    let none = Vec::new();
    let events = evolved.history.get(&key).unwrap_or(&none);
    let mut planned = Planned {
        name: package.name.clone(),
        before: Some(package.nevra()),
        after: Vec::new(),
        fate: Fate::Keep,
        is_again: false,
        reasons: events.iter().map(|event| of_event(event)).collect(),
    };
    let Some(step) = step else {
        stays(package, way, &mut planned);
        return planned;
    };
    planned.after.clone_from(&step.counterparts);
    // What events brought for it takes its place, though the solver sees only an erasure and an installation.
    let outputs: BTreeSet<&str> =
        events.iter().flat_map(|event| &event.outputs).map(|output| output.name.as_str()).collect();
    let brought = outputs.iter().filter_map(|name| comes.get(name)).flatten();
    planned.after.extend(brought.map(ToString::to_string));
    planned.after.sort();
    planned.after.dedup();
    planned.fate = went(package, events, &planned.after);
    planned.is_again = planned.fate == Fate::Keep;
    planned.reasons.extend(reasons(package, wishes, step, &planned));
    planned
}

/// A package that no step speaks of.
fn stays(package: &Installed, way: &Way, planned: &mut Planned) {
    planned.after = vec![package.nevra()];
    let (fate, text) = match way.available.contains(&package.name) {
        true => (Fate::Keep, "The target has this version, or nothing that could take its place.".to_string()),
        false => {
            (Fate::Orphan, format!("No repository of the target has {}; what it needs is still there.", package.name))
        }
    };
    planned.fate = fate;
    planned.reasons.push(Reason { about: "repository".into(), text, place: None });
    if way.spared.contains(&package.name) {
        let text = "It would have gone, and stays: a machine needs it, or its owner wants it.".to_string();
        planned.reasons.push(Reason { about: "protected".into(), text, place: None });
    }
}

fn went(package: &Installed, events: &[&Event], after: &[String]) -> Fate {
    if after.is_empty() {
        return Fate::Remove;
    }
    let same = after.iter().find(|nevra| name_of(nevra) == package.name);
    let last = events.iter().rev().find(|event| !matches!(event.action, Action::Present | Action::Deprecated));
    match (same, last.map(|event| event.action)) {
        (_, Some(Action::Split)) if after.len() > 1 => Fate::Split,
        // The target built the same version anew.
        (Some(nevra), _) if *nevra == package.nevra() => Fate::Keep,
        (Some(nevra), _) => match evr_of(nevra).cmp(&own_evr(package)) {
            std::cmp::Ordering::Less => Fate::Downgrade,
            _ => Fate::Upgrade,
        },
        (None, Some(Action::Merged)) => Fate::Merge,
        (None, Some(Action::Renamed)) => Fate::Rename,
        (None, _) => Fate::Replace,
    }
}

fn reasons(package: &Installed, wishes: &Wishes, step: &Step, planned: &Planned) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let mut add = |about: &str, text: String| reasons.push(Reason { about: about.to_string(), text, place: None });
    if wishes.remove.contains(&package.name) {
        add("wish", "Its owner wants it to go.".to_string());
    }
    match planned.fate {
        Fate::Remove => {
            if let Some(why) = &step.why {
                add("dependency", sentence(why));
            }
        }
        Fate::Replace | Fate::Rename if planned.reasons.is_empty() => {
            add("repository", format!("{} says that it takes its place (Obsoletes).", step.counterparts.join(", ")));
        }
        Fate::Keep if wishes.reinstall.contains(&package.name) => {
            add("wish", "Its owner wants it installed again.".to_string());
        }
        Fate::Keep => add("repository", "The target has another build of the same version.".to_string()),
        Fate::Upgrade | Fate::Downgrade => {
            add("repository", format!("The target has {}.", planned.after.join(", ")));
        }
        _ => {}
    }
    reasons
}

fn new(step: &Step, wishes: &Wishes) -> Planned {
    let name = name_of(&step.nevra).to_string();
    let reason = match (wishes.install.contains(&name), &step.why) {
        (true, _) => Reason { about: "wish".into(), text: "Its owner wants it.".into(), place: None },
        (false, Some(why)) => Reason { about: "dependency".into(), text: sentence(why), place: None },
        (false, None) => Reason { about: "dependency".into(), text: "Something needs it.".into(), place: None },
    };
    let after = vec![step.nevra.clone()];
    Planned { name, before: None, after, fate: Fate::Install, is_again: false, reasons: vec![reason] }
}

fn of_event(event: &Event) -> Reason {
    let outputs: Vec<&str> = event.outputs.iter().map(|output| output.name.as_str()).collect();
    let became = if outputs.is_empty() { String::new() } else { format!(" → {}", outputs.join(", ")) };
    let inputs: Vec<&str> = event.inputs.iter().map(|input| input.name.as_str()).collect();
    let text = format!("Event {}: {} {} in {}{became}.", event.id, inputs.join(", "), event.action.word(), event.to);
    Reason { about: "event".into(), text, place: Some(event.place.clone()) }
}

fn sentence(text: &str) -> String {
    let mut text = text.to_string();
    if !text.ends_with('.') {
        text.push('.');
    }
    text
}

/// Returns the name in a NEVRA.
pub fn name_of(nevra: &str) -> &str {
    nevra.rsplitn(3, '-').nth(2).unwrap_or(nevra)
}

fn evr_of(nevra: &str) -> Evr {
    let mut parts = nevra.rsplitn(3, '-');
    let release_arch = parts.next().unwrap_or_default();
    let release = release_arch.rsplit_once('.').map_or(release_arch, |(release, _)| release);
    let version = parts.next().unwrap_or_default();
    let (epoch, version) = version.split_once(':').unwrap_or(("0", version));
    Evr::new(epoch.parse().unwrap_or(0), version, release)
}

fn own_evr(package: &Installed) -> Evr {
    Evr::new(package.epoch, package.version.as_str(), package.release.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nevra_is_taken_apart() {
        assert_eq!(name_of("gcc-c++-11.3-1.el9.x86_64"), "gcc-c++");
        assert!(evr_of("a-1:1.0-1.x86_64") > evr_of("a-9.0-1.x86_64"));
        assert!(evr_of("a-1.0-10.el9.noarch") > evr_of("a-1.0-9.el9.noarch"));
    }
}
