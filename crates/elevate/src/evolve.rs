//! What package evolution events make of a set of packages, release by release, from those after the source's up to the
//! target's.
//!
//! In [`Mode::Leapp`] it is what leapp does (`peseventsscanner`), with its surprises: the events of one release are asked whether
//! they apply against the set as it stood at the release's start, and change a copy of it one after the other, in the order of
//! the file. So one that takes away what an earlier one brought wins. An event applies when all of its inputs are there; one
//! that merges, when any is; one that says that a package is present, when the package ever was; one that deprecates several,
//! when any is, and then all of them are there. Of events with the same start and the same inputs the one that leads to the
//! highest release counts; where two lead there, all do. Packages of modules that no event of the new major version speaks of
//! leave their modules.
//!
//! In [`Mode::Strict`] the order of the file means nothing: what an event brings is there, whatever another takes away, and
//! what is only there for leapp is not. Both tell where the data means two things.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    data::{
        Action, Event,
        events::{Module, Package},
    },
    release::Release,
};

/// A package in a set: its name, and its stream where it is of a module.
pub type Key = (String, Option<Module>);

/// Packages of leapp itself, of which leapp reads no events.
const OF_LEAPP: [&str; 9] = [
    "leapp",
    "leapp-deps",
    "leapp-upgrade-el7toel8",
    "leapp-upgrade-el7toel8-deps",
    "leapp-upgrade-el8toel9",
    "leapp-upgrade-el8toel9-deps",
    "python2-leapp",
    "python3-leapp",
    "snactor",
];

/// How events of one release are put together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// As leapp does, by their order in the file.
    Leapp,
    /// By what they say, whatever their order.
    Strict,
}

/// What became of a set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evolved<'a> {
    /// The set in the target, with the repository that the last event named.
    pub packages: BTreeMap<Key, String>,
    /// What happened to each package of the source that an event spoke of: the events, in their order.
    pub history: BTreeMap<Key, Vec<&'a Event>>,
    /// Packages that have to be installed again, though the target has the same version.
    pub reinstalled: BTreeSet<Key>,
    /// Packages that leave their modules.
    pub out_of_modules: BTreeSet<Key>,
    /// Events that bring what another event of the same release takes away: for leapp the later one wins.
    pub ambiguous: Vec<(&'a Event, &'a Event, Key)>,
}

/// Returns the events that speak of a way, of an architecture, and of nothing that a later event says otherwise, in leapp's
/// order: events with the same start and inputs beside the first of them.
pub fn relevant<'a>(
    events: impl IntoIterator<Item = &'a Event>,
    arch: &str,
    source: Release,
    target: Release,
) -> Vec<&'a Event> {
    let is_of_way = |event: &&Event| {
        (event.architectures.is_empty() || event.architectures.iter().any(|name| name == arch))
            && source < event.to
            && event.to <= target
            && !event.inputs.iter().any(|input| OF_LEAPP.contains(&input.name.as_str()))
    };
    let mut at: BTreeMap<(Option<Release>, Vec<Key>), usize> = BTreeMap::new();
    let mut groups: Vec<Vec<&Event>> = Vec::new();
    for event in events.into_iter().filter(is_of_way) {
        let mut inputs: Vec<Key> = event.inputs.iter().map(key).collect();
        inputs.sort();
        let index = *at.entry((event.from, inputs)).or_insert(groups.len());
        match groups.get_mut(index) {
            Some(group) => group.push(event),
            None => groups.push(vec![event]),
        }
    }
    groups.into_iter().flat_map(of_group).collect()
}

/// Of events with the same start and the same inputs, the one that leads furthest; all of them where it is not alone.
fn of_group(group: Vec<&Event>) -> Vec<&Event> {
    let furthest = group.iter().map(|event| event.to).max();
    let last: Vec<&Event> = group.iter().copied().filter(|event| Some(event.to) == furthest).collect();
    if last.len() == 1 { last } else { group }
}

/// Applies relevant events to the packages of a source with that major version.
pub fn evolve<'a>(installed: &BTreeSet<Key>, events: &[&'a Event], source_major: u32, mode: Mode) -> Evolved<'a> {
    let mut walk = Walk {
        evolved: Evolved {
            packages: installed.iter().map(|key| (key.clone(), String::new())).collect(),
            ..Evolved::default()
        },
        origins: installed.iter().map(|key| (key.clone(), BTreeSet::from([key.clone()]))).collect(),
        seen: installed.clone(),
        in_modules: BTreeSet::new(),
        mode,
    };
    let releases: BTreeSet<Release> = events.iter().map(|event| event.to).collect();
    let mut is_beyond = false;
    for release in releases {
        if !is_beyond && release.major > source_major {
            is_beyond = true;
            walk.in_modules = walk.evolved.packages.keys().filter(|key| key.1.is_some()).cloned().collect();
        }
        walk.release(events.iter().copied().filter(|event| event.to == release));
    }
    walk.leave_modules();
    walk.evolved
}

/// The set on its way.
struct Walk<'a> {
    evolved: Evolved<'a>,
    /// Where a package of the set came from, so that a chain of events is one history.
    origins: BTreeMap<Key, BTreeSet<Key>>,
    /// All that was ever there.
    seen: BTreeSet<Key>,
    /// Packages of modules that no event of the new major version has spoken of.
    in_modules: BTreeSet<Key>,
    mode: Mode,
}

/// What one event does to the set.
#[derive(Default)]
struct Effect {
    takes: Vec<Key>,
    brings: Vec<(Key, String)>,
}

impl<'a> Walk<'a> {
    fn release(&mut self, events: impl Iterator<Item = &'a Event>) {
        let start = self.evolved.packages.clone();
        let mut effects = Vec::new();
        for event in events {
            if let Some(effect) = self.effect(event, &start) {
                self.remember(event, &effect, &start);
                effects.push((event, effect));
            }
            if event.action == Action::Reinstalled {
                let there = event.inputs.iter().map(key).filter(|input| start.contains_key(input));
                self.evolved.reinstalled.extend(there);
            }
            for input in event.inputs.iter().map(key) {
                self.in_modules.remove(&input);
            }
        }
        self.find_ambiguous(&effects);
        let (takers, bringers): (Vec<_>, Vec<_>) = match self.mode {
            Mode::Leapp => (effects, Vec::new()),
            // All that is taken goes before anything comes, so that their order means nothing.
            Mode::Strict => effects
                .into_iter()
                .map(|(event, Effect { takes, brings })| {
                    ((event, Effect { takes, brings: Vec::new() }), (event, Effect { takes: Vec::new(), brings }))
                })
                .unzip(),
        };
        for (_, effect) in takers.into_iter().chain(bringers) {
            for key in &effect.takes {
                self.evolved.packages.remove(key);
            }
            self.evolved.packages.extend(effect.brings);
        }
        self.seen.extend(self.evolved.packages.keys().cloned());
    }

    /// What an event does, or nothing where it does not apply.
    fn effect(&self, event: &Event, start: &BTreeMap<Key, String>) -> Option<Effect> {
        let with_repository = |package: &Package| (key(package), package.repository.clone());
        let is_there = |package: &&Package| start.contains_key(&key(package));
        let any = event.inputs.iter().any(|input| is_there(&input));
        match event.action {
            Action::Present => {
                let brings: Vec<_> =
                    event.inputs.iter().filter(|input| self.seen.contains(&key(input))).map(with_repository).collect();
                (!brings.is_empty()).then_some(Effect { takes: Vec::new(), brings })
            }
            Action::Deprecated => {
                let counts = |input: &&Package| self.mode == Mode::Leapp || is_there(input);
                let brings = event.inputs.iter().filter(counts).map(with_repository).collect();
                any.then_some(Effect { takes: Vec::new(), brings })
            }
            action => {
                // An event without inputs is for a stream that none of them is in: leapp applies it to all machines.
                let all = event.inputs.iter().all(|input| is_there(&input));
                let is_strict = self.mode == Mode::Strict;
                let applies = (all && !(is_strict && event.inputs.is_empty())) || (action == Action::Merged && any);
                // leapp takes away what is only to be installed again, where the event does not name it a second time.
                let stays = is_strict && action == Action::Reinstalled && event.outputs.is_empty();
                let outputs = if stays { &event.inputs } else { &event.outputs };
                applies.then(|| Effect {
                    takes: event.inputs.iter().map(key).collect(),
                    brings: outputs.iter().map(with_repository).collect(),
                })
            }
        }
    }

    fn remember(&mut self, event: &'a Event, effect: &Effect, start: &BTreeMap<Key, String>) {
        let mut roots = BTreeSet::new();
        for input in event.inputs.iter().map(key).filter(|input| start.contains_key(input) || self.seen.contains(input))
        {
            roots.extend(self.origins.get(&input).cloned().unwrap_or_default());
        }
        for root in &roots {
            self.evolved.history.entry(root.clone()).or_default().push(event);
        }
        for (output, _) in &effect.brings {
            self.origins.entry(output.clone()).or_default().extend(roots.iter().cloned());
        }
    }

    fn find_ambiguous(&mut self, effects: &[(&'a Event, Effect)]) {
        let mut takers: BTreeMap<&Key, Vec<&'a Event>> = BTreeMap::new();
        for (event, effect) in effects {
            let brings_again = |taken: &&Key| effect.brings.iter().any(|(brought, _)| brought == *taken);
            for taken in effect.takes.iter().filter(|taken| !brings_again(taken)) {
                takers.entry(taken).or_default().push(event);
            }
        }
        for (event, effect) in effects {
            for (brought, _) in &effect.brings {
                for taker in takers.get(brought).into_iter().flatten() {
                    self.evolved.ambiguous.push((event, taker, brought.clone()));
                }
            }
        }
        self.evolved.ambiguous.sort_by(|a, b| (&a.2, &a.0.place, &a.1.place).cmp(&(&b.2, &b.0.place, &b.1.place)));
    }

    fn leave_modules(&mut self) {
        for old in std::mem::take(&mut self.in_modules) {
            let repository = self.evolved.packages.remove(&old).unwrap_or_default();
            let new = (old.0.clone(), None);
            self.evolved.packages.entry(new.clone()).or_insert(repository);
            let roots = self.origins.get(&old).cloned().unwrap_or_default();
            self.origins.entry(new).or_default().extend(roots);
            self.evolved.out_of_modules.insert(old);
        }
    }
}

/// Returns what a package is known by.
pub fn key(package: &Package) -> Key {
    (package.name.clone(), package.module.clone())
}
