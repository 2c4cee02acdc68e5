//! Each rule with a root in which it fires and with one near it in which it does not, and each rule's edits on the files of the first.

mod common;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anima_elevate::{
    facts::{Facts, Installed, Mount, Service},
    fix,
    probes::{self, Probes},
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

/// A machine, as far as an example needs it.
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
    arch: Option<String>,
    /// Configuration of the first package that somebody changed.
    changed: Vec<String>,
}

impl Small {
    /// Makes a root of it: everything that rules look at has to be found there.
    fn root(&self) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let whole = |path: &String| {
            let path = root.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        self.files.iter().for_each(|(path, text)| fs::write(whole(path), text).unwrap());
        self.links.iter().for_each(|(path, to)| std::os::unix::fs::symlink(to, whole(path)).unwrap());
        self.there.iter().chain(&self.immutable).for_each(|path| fs::write(whole(path), "").unwrap());
        root
    }

    /// Collects the facts of its root; packages, units and file systems are those that it names.
    fn facts(&self, root: &Path) -> (Facts, Release) {
        let (source, target) = self.way.clone().unwrap_or_else(|| ("8.10".into(), "9.4".into()));
        let mut facts = common::facts(self.packages.iter().map(|nevra| package(nevra)).collect());
        facts.os.release = source.parse().unwrap();
        if let Some(arch) = &self.arch {
            facts.arch.clone_from(arch);
        }
        if let Some(first) = facts.packages.first_mut() {
            first.changed_config.clone_from(&self.changed);
        }
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
        let flags: Vec<Flag> =
            self.immutable.iter().map(|path| Flag::set(root.join(path.trim_start_matches('/')))).collect();
        let probes = probes::collect(root, true);
        drop(flags);
        facts.probes = Some(Probes { package_database: self.database.clone(), ..probes });
        (facts, target.parse().unwrap())
    }

    fn found(&self) -> Vec<String> {
        self.found_in(self.root().path())
    }

    fn found_in(&self, root: &Path) -> Vec<String> {
        let (facts, target) = self.facts(root);
        rules::ask(&facts, target).into_iter().map(|found| found.id).collect()
    }
}

/// The flag that nobody may change a file, until it is dropped.
struct Flag(PathBuf);

impl Flag {
    fn set(path: PathBuf) -> Flag {
        assert!(Command::new("chattr").arg("+i").arg(&path).status().unwrap().success());
        Flag(path)
    }
}

impl Drop for Flag {
    fn drop(&mut self) {
        let _ = Command::new("chattr").arg("-i").arg(&self.0).status();
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
        let root = example.fires.root();
        let changes = fix::changes(root.path(), &[rule]).unwrap();
        assert!(!changes.is_empty(), "{id}");

        fix::apply(root.path(), &changes).unwrap();

        assert!(!example.fires.found_in(root.path()).contains(&id), "{id}: {}", fix::preview(&changes));
        fix::undo(root.path()).unwrap().unwrap();
        let whole = |path: &String| root.path().join(path.trim_start_matches('/'));
        for (path, text) in &example.fires.files {
            assert_eq!(fs::read_to_string(whole(path)).unwrap(), *text, "{id}");
        }
        for (path, to) in &example.fires.links {
            assert_eq!(fs::read_link(whole(path)).unwrap(), Path::new(to), "{id}");
        }
    }
}
