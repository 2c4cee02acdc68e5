//! Many machines at once, from their facts.

use std::collections::BTreeMap;

use anima_elevate::{
    fleet::{self, Fleet, Group},
    plan::{Level, Verdict},
};
use anima_elevate_act::Watch as _;

use super::{inputs::PlanArgs, watch::Bar};
use crate::{
    exit::{Exit, Failure, Result},
    output::Output,
};

/// Hosts of a group that are named; the document has all.
const NAMED: usize = 5;

/// Plans all of them.
pub fn run(arguments: &PlanArgs, output: Output) -> Result {
    let mut bar = Bar::new(output);
    bar.tell("data");
    let inputs = arguments.inputs()?;
    let labels = arguments.labels();
    bar.tell("plans");
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    let bar = std::sync::Mutex::new(bar);
    let done = |count: usize| {
        if let Ok(mut bar) = bar.lock() {
            bar.progress(count, labels.len());
        }
    };
    let fleet =
        fleet::plan_all(&labels, PlanArgs::facts_of, &inputs.data, &inputs.target, &inputs.wishes, threads, done);
    let fleet = fleet.map_err(|error| Failure::user(error.to_string()))?;
    drop(bar);
    output.show(&fleet, describe)?;
    let is_blocked = |group: &Group| group.verdict == Verdict::Blocked;
    match (fleet.failed.is_empty(), fleet.groups.iter().any(is_blocked)) {
        (true, false) => Ok(()),
        (true, true) => Err(Failure::new(Exit::Unsuccessful, "something forbids the upgrade of some machines")),
        (false, _) => Err(Failure::new(Exit::Unsuccessful, "some machines could not be planned")),
    }
}

fn describe(fleet: &Fleet) -> String {
    let count: usize = fleet.groups.iter().map(|group| group.hosts.len()).sum();
    let mut lines = vec![format!("{count} machines in {} groups of equal plans.", fleet.groups.len())];
    fleet.groups.iter().for_each(|group| add_group(group, &mut lines));
    lines.push(String::new());
    for wave in &fleet.waves {
        lines.push(format!("wave {:<6} {} machines: {}", wave.name, wave.hosts.len(), some(&wave.hosts)));
    }
    let failed: &BTreeMap<String, String> = &fleet.failed;
    lines.extend(failed.iter().map(|(host, reason)| format!("FAILED {host}: {reason}")));
    lines.join("\n")
}

fn add_group(group: &Group, lines: &mut Vec<String>) {
    let verdict = match group.verdict {
        Verdict::Ready => "ready",
        Verdict::Fixable => "fixable",
        Verdict::Blocked => "BLOCKED",
    };
    let outlier = if group.is_outlier { ", an outlier" } else { "" };
    lines.push(String::new());
    lines.push(format!(
        "group {}: {} machines, {verdict}{outlier}; {} packages come, {} go: {}",
        group.number,
        group.hosts.len(),
        group.counts.0,
        group.counts.1,
        some(&group.hosts)
    ));
    for (level, code, message) in &group.findings {
        let level = if *level == Level::Block { "BLOCKS" } else { "ask" };
        lines.push(format!("  {level}: {message} [{code}]"));
    }
    if let Some(differs) = &group.differs {
        for (what, list) in [("more", &differs.more), ("less", &differs.less), ("found", &differs.findings)] {
            if !list.is_empty() {
                lines.push(format!("  {what} than group {}: {}", differs.from, some(list)));
            }
        }
    }
}

fn some(names: &[String]) -> String {
    let more = if names.len() > NAMED { format!(" and {} more", names.len() - NAMED) } else { String::new() };
    names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ") + &more
}
