//! What the headers of packages say, compared with those that they take the place of.

use std::collections::{BTreeMap, BTreeSet};

use anima_types::{Nevra, Sha256, gate::Finding, repository::Kind, work::PlanWork};

use crate::{
    evidence::{Head, Heads},
    plan::{Plan, kind},
    there::There,
};

/// A package that is so many times larger, or smaller, is told.
const JUMP_FACTOR: u64 = 2;
/// Small packages double for small reasons.
const MIN_JUMP_BYTES: u64 = 1 << 20;

/// A package that goes out, and the newest one that it takes the place of.
struct Change<'a> {
    nevra: &'a Nevra,
    head: &'a Head,
    old: Option<(&'a Nevra, &'a Head)>,
}

/// Returns what changes, each file once.
fn changes<'a>(work: &'a PlanWork, plan: &'a Plan, heads: &'a Heads) -> Vec<Change<'a>> {
    let there: BTreeMap<_, Sha256> = work
        .repositories
        .iter()
        .flat_map(|each| each.packages.iter().map(|package| ((each.repository.id, &package.nevra), package.artifact)))
        .collect();
    let known = There::new(work);
    let mut changes: BTreeMap<Sha256, Change<'a>> = BTreeMap::new();
    for entry in &plan.entries {
        let Some(head) = heads.get(&entry.artifact) else { continue };
        // The same package is there already: nothing changes.
        let is_known = known.has(entry);
        let newest = entry.replaces.iter().max_by(|a, b| a.evr.cmp(&b.evr));
        let old = newest.and_then(|old| Some((old, heads.get(there.get(&(entry.repository, old))?)?)));
        if is_known && old.is_none() {
            continue;
        }
        let change = changes.entry(entry.artifact).or_insert(Change { nevra: &entry.nevra, head, old: None });
        change.old = change.old.or(old);
    }
    changes.into_values().collect()
}

pub(super) fn unsigned(work: &PlanWork, heads: &Heads) -> Vec<Finding> {
    let found = work.packages.iter().filter_map(|package| {
        let nevra = &package.package.nevra;
        let why = heads.get(&package.package.artifact)?.signature.as_ref().err()?;
        Some(Finding::of(nevra, format!("{nevra}: {why}")).with("artifact", package.package.artifact))
    });
    found.collect()
}

pub(super) fn sizes(work: &PlanWork, plan: &Plan, heads: &Heads) -> Vec<Finding> {
    let mut found = Vec::new();
    for Change { nevra, head, old } in changes(work, plan, heads) {
        let Some((old, old_head)) = old else { continue };
        for (what, new_bytes, old_bytes) in [
            ("file", head.size_bytes, old_head.size_bytes),
            ("installed", head.installed_size_bytes, old_head.installed_size_bytes),
        ] {
            let (small, large) = (new_bytes.min(old_bytes), new_bytes.max(old_bytes));
            if large - small < MIN_JUMP_BYTES || large < small.saturating_mul(JUMP_FACTOR) {
                continue;
            }
            let text = format!("{nevra} has {new_bytes} bytes ({what}), {old} had {old_bytes}");
            let finding = Finding::of(nevra, text).with("what", what).with("replaces", old);
            found.push(finding.with("bytes", new_bytes).with("bytes_before", old_bytes));
        }
    }
    found
}

pub(super) fn licences(work: &PlanWork, plan: &Plan, heads: &Heads) -> Vec<Finding> {
    let found = changes(work, plan, heads).into_iter().filter_map(|Change { nevra, head, old }| {
        let (old, old_head) = old?;
        let (is, was) = (&head.licence, &old_head.licence);
        let text = || format!("{nevra} has the licence \"{is}\", {old} had \"{was}\"");
        (is != was).then(|| Finding::of(nevra, text()).with("licence", is).with("licence_before", was))
    });
    found.collect()
}

/// Scripts of a package that users have in no version yet are what every new package has: only those are told that run what
/// the one before did not. Rights are told of new packages, too.
pub(super) fn privileges(work: &PlanWork, plan: &Plan, heads: &Heads) -> Vec<Finding> {
    let mut found = Vec::new();
    for Change { nevra, head, old } in changes(work, plan, heads) {
        if kind(nevra) == Kind::Source {
            continue;
        }
        let newly = |is: &BTreeSet<String>, was: fn(&Head) -> &BTreeSet<String>| -> Vec<String> {
            is.iter().filter(|one| old.is_none_or(|(_, old)| !was(old).contains(*one))).cloned().collect()
        };
        if let Some((old, _)) = old {
            for script in newly(&head.scripts, |old| &old.scripts) {
                let text = format!("{nevra} runs a {script} script, which {old} did not");
                found.push(Finding::of(nevra, text).with("script", &script).with("replaces", old));
            }
        }
        for right in newly(&head.privileges, |old| &old.privileges) {
            found.push(Finding::of(nevra, format!("{nevra} brings {right}")).with("right", &right));
        }
    }
    found
}

pub(super) fn over_quota(work: &PlanWork, plan: &Plan, heads: &Heads) -> Vec<Finding> {
    let quota = work.usage.quota;
    let mut there: BTreeSet<_> = BTreeSet::new();
    for each in &work.repositories {
        there.extend(each.packages.iter().map(|package| (each.repository.id, &package.nevra, package.artifact)));
    }
    let before: BTreeSet<Sha256> = there.iter().map(|(_, _, artifact)| *artifact).collect();
    let gone =
        |id, nevra: &Nevra| plan.removals.iter().any(|removal| removal.repository == id && removal.nevra == *nevra);
    let comes: BTreeMap<_, _> = plan.entries.iter().map(|entry| ((entry.repository, &entry.nevra), entry)).collect();
    let replaced: BTreeSet<_> =
        plan.entries.iter().flat_map(|entry| entry.replaces.iter().map(|old| (entry.repository, old))).collect();
    there.retain(|(id, nevra, _)| {
        !replaced.contains(&(*id, *nevra)) && !comes.contains_key(&(*id, *nevra)) && !gone(*id, nevra)
    });
    there.extend(plan.entries.iter().map(|entry| (entry.repository, &entry.nevra, entry.artifact)));
    let after: BTreeSet<Sha256> = there.iter().map(|(_, _, artifact)| *artifact).collect();
    let bytes_of = |artifact: &Sha256| heads.get(artifact).map_or(0, |head| head.size_bytes);
    let come: u64 = after.difference(&before).map(bytes_of).sum();
    let go: u64 = before.difference(&after).map(bytes_of).sum();
    let (packages, bytes) = (there.len() as u64, (work.usage.bytes + come).saturating_sub(go));
    let over = [("packages", packages, quota.packages), ("bytes", bytes, quota.bytes)];
    let found = over.into_iter().filter_map(|(what, would, may)| {
        let may = may.filter(|may| would > *may)?;
        let text = format!("the product would hold {would} {what}, and may hold {may}");
        Some(Finding { text, ..Finding::default() }.with("would_hold", would).with("may_hold", may).with("what", what))
    });
    found.collect()
}
