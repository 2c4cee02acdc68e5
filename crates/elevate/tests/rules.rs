//! Each rule with facts that make it fire and with facts near them that do not, and each rule's edits on the files of the first.

mod common;

use std::{collections::BTreeMap, fs, path::Path};

use anima_elevate::{
    facts::{Facts, Installed, Mount, Service},
    fix,
    probes::{Probed, ProbedKind, Probes},
    release::Release,
    rules,
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Example {
    fires: Small,
    quiet: Small,
}

/// Facts, as far as an example needs them.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Small {
    way: Option<(String, String)>,
    packages: Vec<String>,
    files: BTreeMap<String, String>,
    links: BTreeMap<String, String>,
    there: Vec<String>,
    immutable: Vec<String>,
    services: Vec<String>,
    modules: Vec<String>,
    mounts: BTreeMap<String, u64>,
    kinds: BTreeMap<String, String>,
    database: Option<String>,
}

impl Small {
    fn facts(&self) -> (Facts, Release) {
        let (source, target) = self.way.clone().unwrap_or_else(|| ("8.10".into(), "9.4".into()));
        let mut facts = common::facts(self.packages.iter().map(|nevra| package(nevra)).collect());
        facts.os.release = source.parse().unwrap();
        facts.services =
            self.services.iter().map(|unit| Service { unit: unit.clone(), programs: Vec::new() }).collect();
        facts.modules_loaded = self.modules.clone();
        let mount = |path: &String, kind: &str, free_mib: u64| Mount {
            path: path.clone(),
            kind: kind.into(),
            total_bytes: 1 << 40,
            free_bytes: free_mib << 20,
            is_writable: true,
        };
        facts.mounts = self.mounts.iter().map(|(path, free)| mount(path, "xfs", *free)).collect();
        facts.mounts.extend(self.kinds.iter().map(|(path, kind)| mount(path, kind, 9000)));
        let mut files = BTreeMap::new();
        let mut add = |path: &String, kind, is_immutable| files.insert(path.clone(), Probed { kind, is_immutable });
        self.files.iter().for_each(|(path, text)| drop(add(path, ProbedKind::Text { text: text.clone() }, false)));
        self.links.iter().for_each(|(path, to)| drop(add(path, ProbedKind::Link { target: to.clone() }, false)));
        self.there.iter().for_each(|path| drop(add(path, ProbedKind::There, false)));
        self.immutable.iter().for_each(|path| drop(add(path, ProbedKind::There, true)));
        facts.probes = Some(Probes { files, package_database: self.database.clone(), ..Probes::default() });
        (facts, target.parse().unwrap())
    }

    fn found(&self) -> Vec<String> {
        let (facts, target) = self.facts();
        rules::ask(&facts, target).into_iter().map(|found| found.id).collect()
    }
}

fn package(nevra: &str) -> Installed {
    let (rest, arch) = nevra.rsplit_once('.').unwrap();
    let mut parts = rest.rsplitn(3, '-');
    let (release, version, name) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    Installed { release: release.into(), arch: arch.into(), ..common::installed(name, version, &[]) }
}

fn examples() -> BTreeMap<String, Example> {
    toml::from_str(include_str!("rules/examples.toml")).unwrap()
}

#[test]
fn every_rule_fires_where_it_should_and_is_quiet_beside_it() {
    let examples = examples();
    let mut wrong = Vec::new();
    for rule in rules::all() {
        let Some(example) = examples.get(&rule.id) else {
            wrong.push(format!("{} has no example", rule.id));
            continue;
        };
        if !example.fires.found().contains(&rule.id) {
            wrong.push(format!("{} does not fire", rule.id));
        }
        if example.quiet.found().contains(&rule.id) {
            wrong.push(format!("{} is not quiet", rule.id));
        }
    }
    let unknown = examples.keys().filter(|id| rules::by_id(id).is_none());
    wrong.extend(unknown.map(|id| format!("{id} is no rule")));

    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rules::all().len() >= 60, "{} rules", rules::all().len());
}

#[test]
fn rules_have_names_of_their_own_and_say_what_to_do() {
    let mut ids: Vec<&str> = rules::all().iter().map(|rule| rule.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();

    assert_eq!(ids.len(), rules::all().len());
    assert!(
        rules::all()
            .iter()
            .all(|rule| !rule.title.is_empty() && !rule.explanation.is_empty() && !rule.remedy.is_empty())
    );
    assert!(rules::all().iter().all(|rule| !rule.is_safe || !rule.edits.is_empty()));
}

/// What an edit is for, it has to do: on the example's files the rule is quiet afterwards, and everything can be taken back.
#[test]
fn the_edits_of_a_rule_make_it_quiet_and_are_taken_back() {
    for (id, example) in examples() {
        let rule = rules::by_id(&id).unwrap();
        // What the running kernel was told stays until it is started again.
        let only_running = example.fires.files.keys().all(|path| path.starts_with("/proc/"));
        if rule.edits.is_empty() || (only_running && example.fires.links.is_empty()) {
            continue;
        }
        let root = tempfile::tempdir().unwrap();
        lay_out(root.path(), &example.fires);
        let changes = fix::changes(root.path(), &[rule]).unwrap();
        assert!(!changes.is_empty(), "{id}");

        fix::apply(root.path(), &changes).unwrap();

        assert!(!read_back(root.path(), &example.fires).found().contains(&id), "{id}: {}", fix::preview(&changes));
        fix::undo(root.path()).unwrap().unwrap();
        let again = read_back(root.path(), &example.fires);
        assert_eq!((again.files, again.links), (example.fires.files, example.fires.links), "{id}");
    }
}

fn lay_out(root: &Path, small: &Small) {
    let whole = |path: &String| {
        let path = root.join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    small.files.iter().for_each(|(path, text)| fs::write(whole(path), text).unwrap());
    small.links.iter().for_each(|(path, to)| std::os::unix::fs::symlink(to, whole(path)).unwrap());
}

/// The example with its files as they are now.
fn read_back(root: &Path, small: &Small) -> Small {
    let whole = |path: &String| root.join(path.trim_start_matches('/'));
    let mut now = small.clone();
    now.files =
        small.files.keys().filter_map(|path| Some((path.clone(), fs::read_to_string(whole(path)).ok()?))).collect();
    let link = |path: &String| Some((path.clone(), fs::read_link(whole(path)).ok()?.to_str()?.to_string()));
    now.links = small.links.keys().filter_map(link).collect();
    now
}
