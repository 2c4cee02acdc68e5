//! Many machines at once: their facts are planned on one machine, equal plans are one group, and who differs from the others is
//! named with what differs. A plan is a function of facts, so no agent is needed on any of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde::{Deserialize, Serialize};

use crate::{
    Result,
    data::Data,
    facts::Facts,
    plan::{Level, Plan, Repositories, Target, Verdict, Wishes, plan_with},
};

/// The newest form of the document.
pub const FLEET_VERSION: u32 = 1;
/// A group with less than one in so many machines is of outliers.
const OUTLIER_SHARE: usize = 50;
/// Of each group, one in so many machines goes with the first wave after the pilots.
const FIRST_WAVE_SHARE: usize = 10;
/// Differences that are named of each kind.
const MAX_NAMED: usize = 20;

/// What becomes of a fleet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fleet {
    /// The form.
    pub version: u32,
    /// Machines with equal plans, the largest group first.
    pub groups: Vec<Group>,
    /// Who goes when: pilots, a tenth, the rest. Machines that something blocks are in none.
    pub waves: Vec<Wave>,
    /// Machines that could not be planned, with the reason.
    pub failed: BTreeMap<String, String>,
}

/// Machines with equal plans.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Its number, by which waves and people name it.
    pub number: usize,
    /// The machines, by name.
    pub hosts: Vec<String>,
    /// What can be done now.
    pub verdict: Verdict,
    /// What is in the way or to be decided: level, code and message.
    pub findings: BTreeSet<(Level, String, String)>,
    /// How many packages come and how many go.
    pub counts: (usize, usize),
    /// What this group differs in from the largest one with the same release; none for that.
    pub differs: Option<Difference>,
    /// Whether so few machines are in it that somebody should look.
    pub is_outlier: bool,
}

/// What one group has and another does not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The other group.
    pub from: usize,
    /// Packages that are only here afterwards.
    pub more: Vec<String>,
    /// Packages that are only there afterwards.
    pub less: Vec<String>,
    /// Findings that are only here.
    pub findings: Vec<String>,
}

/// Machines that go together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wave {
    /// Its name.
    pub name: String,
    /// The machines.
    pub hosts: Vec<String>,
}

/// One machine's facts, or why they cannot be read.
type Read = std::result::Result<Facts, String>;
/// What was found out about one machine: its name, and what its plan is like, or why there is none.
type Found = (Option<String>, std::result::Result<Signature, String>);

/// Plans all machines on so many threads; `done` is told how many of all are. Each machine has a label, of which `facts_of`
/// makes its facts when they are needed: those of a thousand machines are not in the memory at once, nor are their plans.
/// A machine is called by its own name, and by its label where it has none or another has it, too.
pub fn plan_all(
    labels: &[String],
    facts_of: impl Fn(&str) -> Read + Sync,
    data: &Data,
    target: &Target,
    wishes: &Wishes,
    threads: usize,
    done: impl Fn(usize) + Sync,
) -> Result<Fleet> {
    let repositories = Repositories::read(target)?;
    let (next, finished) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let all: Mutex<BTreeMap<&String, Found>> = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, labels.len().max(1)) {
            scope.spawn(|| {
                while let Some(label) = labels.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = find(facts_of(label), data, &repositories, wishes);
                    all.lock().unwrap_or_else(PoisonError::into_inner).insert(label, found);
                    done(finished.fetch_add(1, Ordering::Relaxed) + 1);
                }
            });
        }
    });
    Ok(group(all.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

fn find(facts: Read, data: &Data, repositories: &Repositories, wishes: &Wishes) -> Found {
    match facts {
        Err(reason) => (None, Err(reason)),
        Ok(facts) => {
            let plan = plan_with(&facts, data, repositories, wishes).map_err(|error| error.to_string());
            (facts.host, plan.map(|plan| Signature::of(&plan)))
        }
    }
}

/// What makes two plans equal: the release, what comes and goes, and what is in the way.
#[derive(Clone, Eq, PartialEq, Ord, PartialOrd)]
struct Signature {
    source: String,
    verdict: Verdict,
    comes: BTreeSet<String>,
    goes: BTreeSet<String>,
    findings: BTreeSet<(Level, String, String)>,
}

impl Signature {
    fn of(plan: &Plan) -> Signature {
        let findings = plan.findings.iter().filter(|finding| finding.level != Level::Tell);
        Signature {
            source: format!("{} {}", plan.source.id, plan.source.release),
            verdict: plan.verdict(),
            comes: plan.transaction.install.iter().map(|install| install.nevra.clone()).collect(),
            goes: plan.transaction.erase.iter().cloned().collect(),
            findings: findings.map(|found| (found.level, found.code.clone(), found.message.clone())).collect(),
        }
    }
}

fn group(all: BTreeMap<&String, Found>) -> Fleet {
    let mut failed = BTreeMap::new();
    let mut names = BTreeSet::new();
    let mut groups: BTreeMap<Signature, Vec<String>> = BTreeMap::new();
    for (label, (host, signature)) in all {
        let name = host.filter(|host| names.insert(host.clone())).unwrap_or_else(|| label.clone());
        match signature {
            Ok(signature) => groups.entry(signature).or_default().push(name),
            Err(reason) => drop(failed.insert(name, reason)),
        }
    }
    groups.values_mut().for_each(|hosts| hosts.sort());
    let count: usize = groups.values().map(Vec::len).sum();
    let mut sorted: Vec<(Signature, Vec<String>)> = groups.into_iter().collect();
    sorted.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.1.cmp(&b.1)));
    let described: Vec<Group> = sorted
        .iter()
        .enumerate()
        .map(|(at, (signature, hosts))| {
            let largest = sorted.iter().position(|(other, _)| other.source == signature.source).unwrap_or(at);
            Group {
                number: at + 1,
                hosts: hosts.clone(),
                verdict: signature.verdict,
                findings: signature.findings.clone(),
                counts: (signature.comes.len(), signature.goes.len()),
                differs: (largest != at).then(|| difference(largest + 1, &sorted[largest].0, signature)),
                is_outlier: at > 0 && hosts.len() * OUTLIER_SHARE < count.max(OUTLIER_SHARE + 1),
            }
        })
        .collect();
    let waves = waves(&described);
    Fleet { version: FLEET_VERSION, groups: described, waves, failed }
}

fn difference(from: usize, other: &Signature, own: &Signature) -> Difference {
    let named = |all: Vec<&String>| {
        let count = all.len();
        let mut named: Vec<String> = all.into_iter().take(MAX_NAMED).cloned().collect();
        if count > MAX_NAMED {
            named.push(format!("and {} more", count - MAX_NAMED));
        }
        named
    };
    Difference {
        from,
        more: named(own.comes.difference(&other.comes).collect()),
        less: named(other.comes.difference(&own.comes).collect()),
        findings: own.findings.difference(&other.findings).map(|found| format!("{} [{}]", found.2, found.1)).collect(),
    }
}

/// One machine of each group that can go first, then a tenth of each, then the rest.
fn waves(groups: &[Group]) -> Vec<Wave> {
    let ready = || groups.iter().filter(|group| group.verdict == Verdict::Ready);
    let first = |group: &Group| 1 + (group.hosts.len() - 1).div_ceil(FIRST_WAVE_SHARE);
    let of = |name: &str, hosts: Vec<String>| Wave { name: name.to_string(), hosts };
    let waves = [
        of("pilot", ready().flat_map(|group| group.hosts.iter().take(1)).cloned().collect()),
        of("first", ready().flat_map(|group| &group.hosts[1..first(group)]).cloned().collect()),
        of("rest", ready().flat_map(|group| &group.hosts[first(group)..]).cloned().collect()),
    ];
    waves.into_iter().filter(|wave| !wave.hosts.is_empty()).collect()
}
