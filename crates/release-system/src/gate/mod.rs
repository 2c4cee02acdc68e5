//! What each gate finds in a plan. Pure functions over the work that the plan was made from and the evidence that was
//! gathered for it: whether a finding stops anything is decided by [`anima_types::gate::decide`].

mod change;

use std::collections::{BTreeMap, BTreeSet};

use anima_types::{
    Nevra,
    gate::{Answer, Finding, Gate},
    release::{PlanEntry, Trust},
    repository::{Kind, Repository},
    work::{PlanPackage, PlanWork},
};

use crate::{
    evidence::{Asked, Evidence},
    plan::{Plan, kind},
    there::{There, new_ones},
};

/// Returns the answer of every gate, those that found nothing too, so that a reader sees what was asked.
pub fn answers(work: &PlanWork, plan: &Plan, evidence: &Evidence) -> Vec<Answer> {
    Gate::ALL.into_iter().map(|gate| answer(gate, work, plan, evidence)).collect()
}

fn answer(gate: Gate, work: &PlanWork, plan: &Plan, evidence: &Evidence) -> Answer {
    let level = gate.level(&work.gates);
    let found = |found| Answer::new(gate, level, found);
    let asked = |asked: Asked<Vec<Finding>>| match asked {
        Asked::Found(list) => found(list),
        // What could not be asked is not known to be well.
        Asked::Failed(why) => found(vec![Finding { text: format!("could not be asked: {why}"), ..Finding::default() }]),
        Asked::Not(why) => found(Vec::new()).with_note(why),
    };
    match gate {
        Gate::Duplicate => found(duplicates(work, &plan.entries)),
        Gate::Closure => match &evidence.closure {
            Asked::Found(closure) => {
                let note = format!("packages asked: {}, in {:.1} s", closure.asked_count, closure.secs);
                found(closure.broken.clone()).with_known(closure.known.clone()).with_note(note)
            }
            Asked::Failed(why) => asked(Asked::Failed(why.clone())),
            Asked::Not(why) => asked(Asked::Not(why.clone())),
        },
        Gate::Signature => asked(evidence.with_heads(|heads| change::unsigned(work, heads))),
        Gate::Quota => asked(evidence.with_heads(|heads| change::over_quota(work, plan, heads))),
        Gate::Verdict if work.packages_url.is_some() => found(untested(work, plan)),
        Gate::Verdict => asked(Asked::Not("the master does not tell verdicts".to_string())),
        Gate::FileConflict => asked(evidence.conflicts.clone()),
        Gate::Downgrade => found(downgrades(&plan.entries)),
        Gate::Privilege => asked(evidence.with_heads(|heads| change::privileges(work, plan, heads))),
        Gate::Licence => asked(evidence.with_heads(|heads| change::licences(work, plan, heads))),
        Gate::MissingSource => found(missing_sources(work)),
        Gate::MissingDebug => found(missing_debug(work)),
        Gate::Size => asked(evidence.with_heads(|heads| change::sizes(work, plan, heads))),
        Gate::Placement => found(unplaced(&plan.entries)),
    }
}

/// The same NEVRA with other content, in any repository of the product: what is there is what users have installed. The same
/// package with another signature is the same content.
fn duplicates(work: &PlanWork, entries: &[PlanEntry]) -> Vec<Finding> {
    let there = There::new(work);
    let mut found = BTreeMap::new();
    for entry in entries {
        for (Repository { path, current, .. }, package) in there.others(entry) {
            let text = format!("{} is another file in {path}@{current}: give it a higher release", entry.nevra);
            let finding = Finding::of(&entry.nevra, text.clone()).at(path);
            found.insert(text, finding.with("released", entry.artifact).with("there", package.artifact));
        }
    }
    found.into_values().collect()
}

fn downgrades(entries: &[PlanEntry]) -> Vec<Finding> {
    let newer = entries.iter().flat_map(|entry| {
        let newer = entry.replaces.iter().filter(|old| old.evr > entry.nevra.evr);
        newer.map(move |old| {
            let text = format!("{} would replace {old} in {}", entry.nevra, entry.repository_path);
            Finding::of(&entry.nevra, text).at(&entry.repository_path).with("replaces", old)
        })
    });
    newer.collect()
}

/// What goes out, without what it is tested with: sources and debug packages.
fn untested(work: &PlanWork, plan: &Plan) -> Vec<Finding> {
    let goes: BTreeSet<&Nevra> = plan.entries.iter().map(|entry| &entry.nevra).collect();
    let mut verdicts: BTreeMap<&Nevra, Option<bool>> = BTreeMap::new();
    for package in new_ones(work).into_iter().filter(|package| goes.contains(&package.package.nevra)) {
        let nevra = &package.package.nevra;
        if kind(nevra) == Kind::Binary {
            let known = verdicts.entry(nevra).or_insert(package.is_green);
            // Of a package that several targets made, the worst counts.
            *known = [*known, package.is_green]
                .into_iter()
                .min_by_key(|green| green.map_or(1, |green| if green { 2 } else { 0 }))
                .flatten();
        }
    }
    let found = verdicts.into_iter().filter_map(|(nevra, green)| match green {
        Some(true) => None,
        Some(false) => Some(Finding::of(nevra, format!("the tests did not find {nevra} good")).with("verdict", "red")),
        None => Some(Finding::of(nevra, format!("{nevra} was never tested")).with("verdict", "none")),
    });
    found.collect()
}

fn missing_sources(work: &PlanWork) -> Vec<Finding> {
    let of_release = work.packages.iter().map(|package| &package.package.nevra);
    let of_product = work.repositories.iter().filter(|each| each.repository.kind == Kind::Source);
    let of_product = of_product.flat_map(|each| each.packages.iter().map(|package| &package.nevra));
    let sources: BTreeSet<&str> = of_release
        .chain(of_product)
        .filter(|nevra| kind(nevra) == Kind::Source)
        .map(|nevra| nevra.name.as_str())
        .collect();
    let binaries = new_ones(work).into_iter().filter(|package| kind(&package.package.nevra) != Kind::Source);
    let lost = binaries.filter(|package| !sources.contains(package.package.source.as_str()));
    let lost = lost.map(|package| {
        let (nevra, source) = (&package.package.nevra, &package.package.source);
        Finding::of(nevra, format!("{nevra} has no source package {source}")).with("source", source)
    });
    lost.collect()
}

fn missing_debug(work: &PlanWork) -> Vec<Finding> {
    let is_native = |package: &&PlanPackage| !matches!(package.package.nevra.arch.as_str(), "noarch" | "src" | "nosrc");
    let native = |packages: Vec<_>| packages.into_iter().filter(is_native).collect::<Vec<&PlanPackage>>();
    let (new, all) = (native(new_ones(work)), native(work.packages.iter().collect()));
    let of_kind = |packages: &[&PlanPackage], wanted: Kind| -> BTreeSet<_> {
        let of_kind = packages.iter().filter(|package| kind(&package.package.nevra) == wanted);
        of_kind.map(|package| (package.package.source.clone(), package.package.nevra.arch.clone())).collect()
    };
    let (binary, debug) = (of_kind(&new, Kind::Binary), of_kind(&all, Kind::Debug));
    let lacking = binary.difference(&debug);
    let lacking = lacking.map(|(source, arch)| {
        let text = format!("{source} has packages for {arch}, and no debug package");
        Finding { text, ..Finding::default() }.with("source", source).with("arch", arch)
    });
    lacking.collect()
}

fn unplaced(entries: &[PlanEntry]) -> Vec<Finding> {
    let by_default = entries.iter().filter(|entry| entry.trust == Trust::Default);
    let found = by_default.map(|entry| {
        let text = format!("{} goes to {}", entry.nevra, entry.repository_path);
        Finding::of(&entry.nevra, text).at(&entry.repository_path)
    });
    found.collect()
}

#[cfg(test)]
mod tests;
