//! What can be seen from one file, event by event.

use super::{Finding, Level, PROTECTED, describe, finding, names};
use crate::data::{
    Action, Event, Events,
    events::{Oddity, Package},
};

/// Architectures that leapp knows; it refuses a file that names another one under `architectures`.
const ARCHITECTURES: [&str; 4] = ["x86_64", "aarch64", "ppc64le", "s390x"];

/// Looks at each event of a file.
pub fn check(file: &Events, findings: &mut Vec<Finding>) {
    for (id, place) in &file.idle {
        let message = format!("event {id} has no inputs, so that it never applies");
        let (code, place) = ("idle".to_string(), place.clone());
        findings.push(Finding { level: Level::Warning, code, message, place, other: None });
    }
    for event in &file.events {
        outputs(event, findings);
        releases(event, findings);
        protected(event, findings);
        oddities(event, findings);
        for arch in event.architectures.iter().filter(|arch| !ARCHITECTURES.contains(&arch.as_str())) {
            let message = format!("{} is for \"{arch}\", which no machine has", describe(event));
            findings.push(finding(Level::Warning, "unknown_architecture", event, None, message));
        }
    }
    arches(file, findings);
}

fn outputs(event: &Event, findings: &mut Vec<Finding>) {
    let what = describe(event);
    let becomes =
        matches!(event.action, Action::Replaced | Action::Split | Action::Merged | Action::Moved | Action::Renamed);
    if becomes && event.outputs.is_empty() {
        let message = format!("{what} says of nothing what it became");
        findings.push(finding(Level::Error, "no_outputs", event, None, message));
    }
    if matches!(event.action, Action::Removed) && !event.outputs.is_empty() {
        let message = format!("{what} removes, and brings {}", names(&event.outputs));
        findings.push(finding(Level::Warning, "removed_with_outputs", event, None, message));
    }
    if event.action == Action::Reinstalled && event.outputs.is_empty() {
        let message = format!("{what} names nothing to install, so that leapp takes it away");
        findings.push(finding(Level::Error, "reinstalled_without_outputs", event, None, message));
    }
    let same = |a: &Package, b: &Package| a.name == b.name && a.module == b.module;
    let is_itself = |input: &Package| event.outputs.iter().any(|output| same(input, output));
    if matches!(event.action, Action::Renamed | Action::Replaced) && event.inputs.iter().any(is_itself) {
        findings.push(finding(Level::Error, "self_reference", event, None, format!("{what} leads to itself")));
    }
    if event.action == Action::Deprecated && event.inputs.len() > 1 {
        let message = format!("{what} speaks of several, and leapp installs all of them where one is installed");
        findings.push(finding(Level::Warning, "deprecated_together", event, None, message));
    }
}

fn releases(event: &Event, findings: &mut Vec<Finding>) {
    let what = describe(event);
    if event.to.major == 0 {
        findings.push(finding(Level::Warning, "no_release", event, None, format!("{what} leads to no release")));
    } else if let Some(from) = event.from.filter(|from| *from >= event.to) {
        let message = format!("{what} leads from {from} back to {}", event.to);
        findings.push(finding(Level::Error, "backwards", event, None, message));
    }
}

fn protected(event: &Event, findings: &mut Vec<Finding>) {
    let is_lost = |package: &&Package| {
        PROTECTED.contains(&package.name.as_str()) && !event.outputs.iter().any(|output| output.name == package.name)
    };
    let takes = !matches!(event.action, Action::Present | Action::Deprecated);
    let lost: Vec<&str> = event.inputs.iter().filter(is_lost).map(|package| package.name.as_str()).collect();
    if takes && !lost.is_empty() && event.outputs.is_empty() {
        let message = format!("{} takes away what a machine needs: {}", describe(event), lost.join(", "));
        findings.push(finding(Level::Error, "protected", event, None, message));
    }
}

fn oddities(event: &Event, findings: &mut Vec<Finding>) {
    let what = describe(event);
    for oddity in &event.oddities {
        let (level, code, message) = match oddity {
            // Told once for the file.
            Oddity::Arches => continue,
            Oddity::NoInputInStream => {
                let message = format!("{what} has a stream that none of its inputs is in: leapp applies it everywhere");
                (Level::Error, "applies_everywhere", message)
            }
            Oddity::SeveralStreams => {
                (Level::Warning, "several_streams", format!("{what} has an output in several streams of its map"))
            }
            Oddity::OutputWithoutStream => {
                let message = format!("{what} has an output in a stream that its map does not lead to; it never comes");
                (Level::Warning, "output_without_stream", message)
            }
        };
        findings.push(finding(level, code, event, None, message));
    }
}

/// What leapp overlooks in a whole file is one finding, not thousands.
fn arches(file: &Events, findings: &mut Vec<Finding>) {
    let is_read_otherwise = |event: &&Event| {
        event.oddities.contains(&Oddity::Arches)
            && ARCHITECTURES.iter().take(2).any(|arch| !event.architectures.iter().any(|own| own == arch))
    };
    let count = file.events.iter().filter(is_read_otherwise).count();
    if let Some(first) = file.events.iter().find(is_read_otherwise) {
        let message = format!(
            "{count} events are for some architectures under \"arches\", which leapp does not read: leapp applies them to all"
        );
        findings.push(finding(Level::Warning, "arches", first, None, message));
    }
}
