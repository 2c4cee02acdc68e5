//! The plan: what becomes of each package, and why. `plan = f(facts, data, repositories, wishes)`; the same input has the same
//! plan, in whatever order things are named.

mod brand;
mod cost;
mod fate;
mod findings;
mod installed;
mod modules;
mod repositories;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anima_solver::{LockedPackage, Modules, Pool, Request};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    data::{Data, Event, Lists, Place, check::PROTECTED, signatures},
    evolve::{self, Evolved, Key, Mode},
    facts::{Facts, Installed, Os},
    release::Release,
};

pub use cost::{Costs, Room};
pub use findings::{Finding, Level, SERVICE_GONE};
pub use repositories::Repositories;

/// The newest form of the document.
pub const PLAN_VERSION: u32 = 1;
/// A plan that cannot be is tried again without what is in its way, so often; each try leaves at least one wish out.
const MAX_TRIES: usize = 20;

/// Where the machine goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The release.
    pub release: Release,
    /// Its repositories.
    pub repositories: Vec<TargetRepository>,
    /// A folder where what was read of them is kept for the next plan.
    #[serde(default)]
    pub cache: Option<PathBuf>,
}

/// A repository of the target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetRepository {
    /// Its name.
    pub id: String,
    /// The folder that has its `repodata`.
    pub folder: PathBuf,
}

/// What the machine's owner says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wishes {
    /// Names of packages to be installed besides.
    pub install: BTreeSet<String>,
    /// Names of packages that stay, whatever the events say.
    pub keep: BTreeSet<String>,
    /// Names of packages that go, if they are not to be kept.
    pub remove: BTreeSet<String>,
    /// Names of packages that are installed again, though the target has the same version.
    pub reinstall: BTreeSet<String>,
    /// Refuse what the data leaves open, in place of doing what leapp does.
    pub strict: bool,
}

impl Wishes {
    /// Returns these wishes and those of the owner's lists.
    #[must_use]
    pub fn with(&self, lists: &Lists) -> Wishes {
        let both =
            |own: &BTreeSet<String>, list: &BTreeMap<String, Place>| own.iter().chain(list.keys()).cloned().collect();
        Wishes {
            install: both(&self.install, &lists.install),
            keep: both(&self.keep, &lists.keep),
            remove: both(&self.remove, &lists.remove),
            reinstall: both(&self.reinstall, &lists.reinstall),
            strict: self.strict,
        }
    }
}

/// The plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The form.
    pub version: u32,
    /// The machine's name, where it has one.
    pub host: Option<String>,
    /// What it is.
    pub source: Os,
    /// What it becomes.
    pub target: Release,
    /// What is to be said first, the worst first.
    pub findings: Vec<Finding>,
    /// What becomes of each package, by name.
    pub packages: Vec<Planned>,
    /// What is done; nothing where the solver found no way.
    pub transaction: Transaction,
    /// What it takes.
    #[serde(default)]
    pub costs: Costs,
}

/// What can be done now.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing blocks.
    Ready,
    /// What blocks can be mended by edits that rules propose.
    Fixable,
    /// Something blocks that only a person can remove.
    Blocked,
}

/// What becomes of a package.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It stays as it is, and the target has it.
    Keep,
    /// A newer version takes its place.
    Upgrade,
    /// The target has an older version.
    Downgrade,
    /// It has another name.
    Rename,
    /// Something else takes its place.
    Replace,
    /// It becomes several.
    Split,
    /// It and others become one.
    Merge,
    /// It goes.
    Remove,
    /// It comes.
    Install,
    /// It stays, and the target does not have it.
    Orphan,
}

/// One package.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// Its name.
    pub name: String,
    /// What is installed; none for one that comes.
    pub before: Option<String>,
    /// What is there in its place; empty for one that goes.
    pub after: Vec<String>,
    /// What becomes of it.
    pub fate: Fate,
    /// Whether the same version is installed again.
    #[serde(default)]
    pub is_again: bool,
    /// Why, step by step.
    pub reasons: Vec<Reason>,
}

/// One step of the way to a fate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// What it rests on: `event`, `dependency`, `repository`, `wish`, `protected`.
    pub about: String,
    /// One sentence.
    pub text: String,
    /// Where that stands.
    pub place: Option<Place>,
}

/// What is done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transaction {
    /// Packages to install, by name; rpm puts them in order.
    pub install: Vec<Install>,
    /// NEVRAs of installed packages that go, also those that something takes the place of.
    pub erase: Vec<String>,
    /// Bytes to download.
    pub download_bytes: u64,
    /// Bytes that the files take more afterwards; negative for less.
    pub grows_bytes: i64,
}

/// A package to install.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Install {
    /// Its NEVRA.
    pub nevra: String,
    /// The repository.
    pub repository: String,
    /// Where it is below the repository.
    pub location: String,
    /// The kind of its checksum, and the checksum.
    pub checksum: (String, String),
    /// Its size.
    pub size_bytes: u64,
}

/// Makes the plan. Repositories are read from their folders; nothing else is looked at but the arguments.
pub fn plan(facts: &Facts, data: &Data, target: &Target, wishes: &Wishes) -> Result<Plan> {
    plan_with(facts, data, &Repositories::read(target)?, wishes)
}

/// Makes the plan of one of many machines, whose target's repositories were read before.
pub fn plan_with(facts: &Facts, data: &Data, repositories: &Repositories, wishes: &Wishes) -> Result<Plan> {
    let target = &repositories.target;
    let data = &data.of_way(facts, target.release);
    let mut pool = Pool::new(&facts.arch).map_err(Error::Repositories)?;
    repositories.load(&mut pool)?;
    let wishes = &brand::with_target(&wishes.with(&data.lists), facts, &mut pool)?;
    let events = evolve::relevant(data.all_events(), &facts.arch, facts.os.release, target.release);
    let set = packages_that_evolve(facts, data, wishes);
    let mode = if wishes.strict { Mode::Strict } else { Mode::Leapp };
    let evolved = evolve::evolve(&set, &events, facts.os.release.major, mode);
    let way = Way::new(facts, &set, &evolved, wishes, |name| repositories::has(&mut pool, name));
    let again = again(&evolved, wishes);
    installed::load(&mut pool, facts, &again)?;

    let mut findings = findings::before(facts, data, target, &evolved, wishes, &way);
    let visible = modules::visible(&repositories.streams, &evolved, &mut findings);
    let solution = solve(&mut pool, &way, &visible, &mut findings)?;
    let packages = match &solution {
        Some(solution) => fate::fates(facts, &evolved, wishes, &way, solution),
        None => Vec::new(),
    };
    let transaction = solution.as_ref().map(|solution| transaction(facts, solution)).unwrap_or_default();
    let costs = solution.as_ref().map(|solution| cost::costs(facts, solution)).unwrap_or_default();
    findings::after(facts, &packages, &costs, &mut findings);
    if solution.is_some() {
        findings::not_again(&packages, &again, &mut findings);
    }
    findings::of_rules(facts, target, &mut findings);
    findings.sort();
    findings.dedup();
    Ok(Plan {
        version: PLAN_VERSION,
        host: facts.host.clone(),
        source: facts.os.clone(),
        target: target.release,
        findings,
        packages,
        transaction,
        costs,
    })
}

/// Returns the packages that events speak of: those of the distribution and of active vendors, as far as keys say which
/// they are, with what the owner wants besides and without what they want to go.
fn packages_that_evolve(facts: &Facts, data: &Data, wishes: &Wishes) -> BTreeSet<Key> {
    let known = signatures::Known::new(&data.signatures);
    let stays = |package: &&Installed| wishes.keep.contains(&package.name) || !wishes.remove.contains(&package.name);
    let of_distribution = facts.packages.iter().filter(|package| known.is_ours(package)).filter(stays);
    let mut set: BTreeSet<Key> =
        of_distribution.map(|package| (package.name.clone(), package.module.clone())).collect();
    let installed: BTreeSet<&str> = facts.packages.iter().map(|package| package.name.as_str()).collect();
    let besides = wishes.install.iter().filter(|name| !installed.contains(name.as_str()));
    set.extend(besides.map(|name| (name.clone(), None)));
    set
}

/// Returns the names of packages that are installed again, though the target has the same version.
fn again(evolved: &Evolved<'_>, wishes: &Wishes) -> BTreeSet<String> {
    wishes.reinstall.iter().chain(evolved.reinstalled.iter().map(|key| &key.0)).cloned().collect()
}

/// What events and wishes ask of the solver.
#[derive(Debug, Default)]
struct Way {
    /// Names to install.
    install: BTreeSet<String>,
    /// NEVRAs of installed packages to remove.
    remove: BTreeSet<String>,
    /// What an event brings and no repository has, with the event's inputs.
    missing: BTreeMap<String, BTreeSet<String>>,
    /// Installed packages that an event would take away, and that stay because they are protected or kept.
    spared: BTreeSet<String>,
    /// Names that some repository of the target has, of those that were asked for.
    available: BTreeSet<String>,
}

impl Way {
    fn new(
        facts: &Facts,
        set: &BTreeSet<Key>,
        evolved: &Evolved<'_>,
        wishes: &Wishes,
        mut has: impl FnMut(&str) -> bool,
    ) -> Way {
        let mut way = Way::default();
        let names: BTreeSet<&str> = facts.packages.iter().map(|package| package.name.as_str()).collect();
        let after: BTreeSet<&str> = evolved.packages.keys().map(|key| key.0.as_str()).collect();
        way.available = names.union(&after).filter(|name| has(name)).map(ToString::to_string).collect();
        for name in after.difference(&names).filter(|name| !wishes.install.contains(**name)) {
            match way.available.contains(*name) {
                true => drop(way.install.insert(name.to_string())),
                false => drop(way.missing.insert(name.to_string(), inputs_of(evolved, name))),
            }
        }
        way.take_away(facts, set, evolved, &after, wishes);
        way.install.extend(wishes.install.iter().cloned());
        way
    }

    fn take_away(
        &mut self,
        facts: &Facts,
        set: &BTreeSet<Key>,
        evolved: &Evolved<'_>,
        after: &BTreeSet<&str>,
        wishes: &Wishes,
    ) {
        for package in &facts.packages {
            let key = (package.name.clone(), package.module.clone());
            let is_gone = set.contains(&key) && !after.contains(package.name.as_str());
            if wishes.remove.contains(&package.name) && !wishes.keep.contains(&package.name) {
                self.remove.insert(package.nevra());
            } else if is_gone {
                let has_successor = evolved.history.get(&key).is_some_and(|events| self.comes_of(events));
                let is_protected = PROTECTED.contains(&package.name.as_str()) && !has_successor;
                match wishes.keep.contains(&package.name) || is_protected {
                    true => drop(self.spared.insert(package.name.clone())),
                    false => drop(self.remove.insert(package.nevra())),
                }
            }
        }
    }

    /// Whether anything that the events bring is there.
    fn comes_of(&self, events: &[&Event]) -> bool {
        events.iter().flat_map(|event| &event.outputs).any(|output| self.available.contains(&output.name))
    }
}

/// Returns the packages of the source that became a package of the target.
fn inputs_of(evolved: &Evolved<'_>, name: &str) -> BTreeSet<String> {
    let brings =
        |events: &Vec<&Event>| events.iter().flat_map(|event| &event.outputs).any(|output| output.name == name);
    evolved.history.iter().filter(|(_, events)| brings(events)).map(|(key, _)| key.0.clone()).collect()
}

/// Asks the solver; what is in the way is left out and told, again and again, as far as that can be.
fn solve(
    pool: &mut Pool,
    way: &Way,
    visible: &Modules,
    findings: &mut Vec<Finding>,
) -> Result<Option<anima_solver::Solution>> {
    let mut install = way.install.clone();
    for _ in 0..MAX_TRIES {
        let request = Request {
            install: install.iter().cloned().collect(),
            remove: way.remove.iter().cloned().collect(),
            modules: visible.clone(),
            upgrade_all: true,
            allow_erasing: true,
            unordered: true,
            ..Request::default()
        };
        let problem = match pool.solve(&request) {
            Ok(solution) => return Ok(Some(solution)),
            Err(anima_solver::Error::Unsolvable(problem)) => problem,
            Err(error) => return Err(Error::Repositories(error)),
        };
        let is_named = |name: &String| problem.problems.iter().any(|sentence| findings::names(sentence, name));
        let left_out: BTreeSet<String> = install.iter().filter(|name| is_named(name)).cloned().collect();
        if left_out.is_empty() {
            findings.push(findings::unsolvable(&problem.problems));
            return Ok(None);
        }
        for name in &left_out {
            findings.push(findings::left_out(name, &problem.problems));
            install.remove(name);
        }
    }
    findings.push(findings::unsolvable(&["what is in the way of each other has no end".to_string()]));
    Ok(None)
}

fn transaction(facts: &Facts, solution: &anima_solver::Solution) -> Transaction {
    let before: BTreeMap<String, u64> =
        facts.packages.iter().map(|package| (package.nevra(), package.size_bytes)).collect();
    let grows: i64 =
        solution.steps.iter().filter(|step| step.is_installed).map(|step| signed(step.installed_size_bytes)).sum();
    let shrinks: i64 = solution.removed.iter().filter_map(|nevra| before.get(nevra)).map(|size| signed(*size)).sum();
    Transaction {
        install: solution.packages.iter().map(install).collect(),
        erase: solution.removed.clone(),
        download_bytes: solution.packages.iter().map(|package| package.size_bytes).sum(),
        grows_bytes: grows - shrinks,
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn install(package: &LockedPackage) -> Install {
    Install {
        nevra: package.nevra(),
        repository: package.repository.clone(),
        location: package.location.clone(),
        checksum: (package.checksum_type.clone(), package.checksum.clone()),
        size_bytes: package.size_bytes,
    }
}

impl Fate {
    /// All of them, those that a person wants to see first before the others.
    pub const ALL: [Fate; 10] = [
        Fate::Remove,
        Fate::Replace,
        Fate::Rename,
        Fate::Split,
        Fate::Merge,
        Fate::Orphan,
        Fate::Downgrade,
        Fate::Install,
        Fate::Upgrade,
        Fate::Keep,
    ];

    /// Returns what becomes of one package, in words.
    pub const fn words(self) -> &'static str {
        match self {
            Fate::Keep => "stays as it is",
            Fate::Upgrade => "gets newer",
            Fate::Downgrade => "gets older",
            Fate::Rename => "gets another name",
            Fate::Replace => "something else takes its place",
            Fate::Split => "becomes several",
            Fate::Merge => "becomes one with others",
            Fate::Remove => "goes",
            Fate::Install => "comes",
            Fate::Orphan => "stays, and nobody updates it",
        }
    }

    /// Returns the word of the document.
    pub const fn name(self) -> &'static str {
        match self {
            Fate::Keep => "keep",
            Fate::Upgrade => "upgrade",
            Fate::Downgrade => "downgrade",
            Fate::Rename => "rename",
            Fate::Replace => "replace",
            Fate::Split => "split",
            Fate::Merge => "merge",
            Fate::Remove => "remove",
            Fate::Install => "install",
            Fate::Orphan => "orphan",
        }
    }
}

impl Plan {
    /// Returns whether something forbids it.
    pub fn is_blocked(&self) -> bool {
        self.findings.iter().any(|finding| finding.level == Level::Block)
    }

    /// Returns what can be done now.
    pub fn verdict(&self) -> Verdict {
        let blocks: Vec<&Finding> = self.findings.iter().filter(|finding| finding.level == Level::Block).collect();
        match blocks.iter().all(|finding| finding.can_be_fixed) {
            _ if blocks.is_empty() => Verdict::Ready,
            true => Verdict::Fixable,
            false => Verdict::Blocked,
        }
    }

    /// Returns what becomes of the packages with a name.
    pub fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Planned> {
        self.packages.iter().filter(move |package| package.name == name)
    }
}
