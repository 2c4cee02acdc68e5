//! What leapp does with package evolution events, written plainly after its `peseventsscanner` as of 2024 (its functions are named
//! beside ours), from the file's own JSON, and with no regard to how this program does it.
//!
//! One thing differs, on purpose: the older dialect's `arches` and `module_stream` are read as what they mean, though leapp reads
//! only `architectures` and `modulestream(s)`.

use std::collections::{BTreeMap, BTreeSet};

use anima_elevate::{data::events::Module, evolve::Key};
use serde_json::Value;

type Stream = Option<Module>;
type Release = (u64, u64);

/// `Event`.
#[derive(Clone)]
struct Event {
    action: u64,
    inputs: BTreeSet<Key>,
    outputs: BTreeSet<Key>,
    from: Release,
    to: Release,
    arches: Vec<String>,
}

/// The events of a way, and its releases.
pub struct Model {
    events: Vec<Event>,
    releases: Vec<Release>,
    source_major: u64,
}

impl Model {
    /// `process`, up to where packages are known.
    pub fn new(file: &Value, arch: &str, source: Release, target: Release) -> Model {
        let entries = file["packageinfo"].as_array().unwrap();
        let events: Vec<Event> = entries
            .iter()
            .flat_map(parse_entry)
            .filter(|event| event.arches.is_empty() || event.arches.iter().any(|name| name == arch))
            .collect();
        let releases: BTreeSet<Release> =
            events.iter().map(|event| event.to).filter(|to| *to > source && *to <= target).collect();
        // remove_leapp_related_events
        let framework = ["leapp", "python2-leapp", "python3-leapp", "leapp-deps", "snactor"];
        let ways = ["leapp-upgrade-el7toel8", "leapp-upgrade-el8toel9"];
        let is_way = |name: &str| ways.contains(&name.strip_suffix("-deps").unwrap_or(name));
        let is_of_leapp = |key: &Key| framework.contains(&key.0.as_str()) || is_way(&key.0);
        let events = events.into_iter().filter(|event| !event.inputs.iter().any(is_of_leapp)).collect();
        Model {
            events: remove_undesired_events(events, &releases),
            releases: releases.into_iter().collect(),
            source_major: source.0,
        }
    }

    /// `compute_packages_on_target_system`.
    pub fn apply(&self, installed: &BTreeSet<Key>) -> BTreeSet<Key> {
        let mut seen = installed.clone();
        let mut target = installed.clone();
        let mut demodularize: BTreeSet<Key> = BTreeSet::new();
        let mut crossed = false;
        for release in &self.releases {
            if !crossed && release.0 > self.source_major {
                crossed = true;
                demodularize = target.iter().filter(|key| key.1.is_some()).cloned().collect();
            }
            target = self.release(*release, &target, &seen, &mut demodularize);
            seen.extend(target.iter().cloned());
        }
        let mut result: BTreeSet<Key> = target.difference(&demodularize).cloned().collect();
        result.extend(demodularize.into_iter().map(|key| (key.0, None)));
        result
    }

    /// `compute_pkg_changes_between_consequent_releases`.
    fn release(
        &self,
        release: Release,
        source: &BTreeSet<Key>,
        seen: &BTreeSet<Key>,
        demodularize: &mut BTreeSet<Key>,
    ) -> BTreeSet<Key> {
        let mut target = source.clone();
        for event in self.events.iter().filter(|event| event.to == release) {
            let all = event.inputs.iter().all(|key| source.contains(key));
            let any = event.inputs.iter().any(|key| source.contains(key));
            match event.action {
                0 => target.extend(event.inputs.iter().filter(|key| seen.contains(*key)).cloned()),
                2 if any => target.extend(event.inputs.iter().cloned()),
                2 => {}
                action if all || (action == 5 && any) => {
                    target.retain(|key| !event.inputs.contains(key));
                    target.extend(event.outputs.iter().cloned());
                }
                _ => {}
            }
            demodularize.retain(|key| !event.inputs.contains(key));
        }
        target
    }
}

/// `remove_undesired_events`: a group is as many events as have the same start and the same inputs.
fn remove_undesired_events(events: Vec<Event>, releases: &BTreeSet<Release>) -> Vec<Event> {
    let mut groups: Vec<Vec<Event>> = Vec::new();
    let mut at: BTreeMap<(Release, BTreeSet<Key>), usize> = BTreeMap::new();
    for event in events.into_iter().filter(|event| releases.contains(&event.to)) {
        let index = *at.entry((event.from, event.inputs.clone())).or_insert(groups.len());
        if index == groups.len() {
            groups.push(Vec::new());
        }
        groups[index].push(event);
    }
    let mut cleaned = Vec::new();
    for group in groups {
        let max = group.iter().map(|event| event.to).max().unwrap();
        let with_max: Vec<&Event> = group.iter().filter(|event| event.to == max).collect();
        if with_max.len() == 1 {
            cleaned.push(with_max[0].clone());
        } else {
            cleaned.extend(group);
        }
    }
    cleaned
}

/// `parse_entry`.
fn parse_entry(entry: &Value) -> Vec<Event> {
    let inputs = parse_packageset(&entry["in_packageset"]);
    let outputs = parse_packageset(&entry["out_packageset"]);
    let arches = if entry["architectures"].is_array() { &entry["architectures"] } else { &entry["arches"] };
    let arches = arches.as_array().into_iter().flatten().map(|name| name.as_str().unwrap().to_string()).collect();
    let base = Event {
        action: entry["action"].as_u64().unwrap(),
        inputs: BTreeSet::new(),
        outputs: BTreeSet::new(),
        from: parse_release(&entry["initial_release"]),
        to: parse_release(&entry["release"]),
        arches,
    };
    let mut map: Vec<(Stream, BTreeSet<Stream>)> = Vec::new();
    let mut add = |from: Stream, to: Stream| match map.iter_mut().find(|line| line.0 == from) {
        Some(line) => {
            line.1.insert(to);
        }
        None => map.push((from, BTreeSet::from([to]))),
    };
    for line in entry["modulestream_maps"].as_array().into_iter().flatten() {
        add(parse_stream(&line["in_modulestream"]), parse_stream(&line["out_modulestream"]));
    }
    // event_by_modulestream_mapping
    if entry["modulestream_maps"].as_array().is_none_or(Vec::is_empty) {
        for stream in inputs.iter().flat_map(|(_, streams)| streams) {
            add(stream.clone(), None);
        }
    }
    // generate_event_for_ms_mapping_entry
    map.into_iter()
        .map(|(from, to)| {
            let mut event = base.clone();
            for (name, streams) in &inputs {
                if streams.contains(&from) {
                    event.inputs.insert((name.clone(), from.clone()));
                }
            }
            for (name, streams) in &outputs {
                let matching: BTreeSet<&Stream> = streams.iter().filter(|stream| to.contains(stream)).collect();
                // leapp takes any; so that two can be compared, both take the first.
                if let Some(stream) = matching.first() {
                    event.outputs.insert((name.clone(), (*stream).clone()));
                }
            }
            event
        })
        .collect()
}

/// `parse_packageset`.
fn parse_packageset(set: &Value) -> Vec<(String, Vec<Stream>)> {
    let packages = set.get("package").or_else(|| set.get("packages")).and_then(Value::as_array);
    let streams = |package: &Value| {
        let many = package["modulestreams"].as_array().filter(|list| !list.is_empty());
        many.map(|list| list.iter().map(parse_stream).collect()).unwrap_or_else(|| {
            let one =
                if package["modulestream"].is_null() { &package["module_stream"] } else { &package["modulestream"] };
            vec![parse_stream(one)]
        })
    };
    packages
        .into_iter()
        .flatten()
        .map(|package| (package["name"].as_str().unwrap().to_string(), streams(package)))
        .collect()
}

fn parse_stream(value: &Value) -> Stream {
    let (name, stream) = match value {
        Value::Array(list) => return list.iter().find_map(parse_stream),
        Value::String(text) => text.split_once(':')?,
        value => (value["name"].as_str()?, value["stream"].as_str()?),
    };
    Some(Module { name: name.to_string(), stream: stream.to_string() })
}

/// `parse_release`.
fn parse_release(value: &Value) -> Release {
    (value["major_version"].as_u64().unwrap_or(0), value["minor_version"].as_u64().unwrap_or(0))
}
