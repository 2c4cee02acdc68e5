//! `anima elevate facts | data | plan | why`: what would become of an installed machine. It changes nothing.

use std::path::{Path, PathBuf};

use anima_elevate::{
    data::check,
    facts::Facts,
    plan::{Plan, Planned},
    report::{self, Report},
};
use clap::Subcommand;

use super::{
    fleet,
    inputs::{self, PlanArgs},
};
use crate::{
    exit::{Exit, Failure, Result},
    output::{self, Output},
};

/// What to do with data.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Find events that contradict each other, lead in a circle or to themselves, or take away what a machine needs
    Check {
        /// The folder, as leapp has it: pes-events.json, repomap*.json, device_driver_deprecation_data.json, vendors.d/
        folder: PathBuf,
    },
}

/// Prints the facts of a root.
pub fn facts(root: &Path, output: Output) -> Result {
    output.show(&inputs::collect(root)?, describe_facts)
}

/// Prints a plan, or those of a fleet; one that something blocks is a failure.
pub fn plan(arguments: &PlanArgs, output: Output) -> Result {
    if arguments.is_fleet() {
        return fleet::run(arguments, output);
    }
    let (facts, inputs, plan) = arguments.plan(output)?;
    let report = Report::new(&facts, &inputs.data, plan);
    // The plan alone: it is what `rehearse` takes.
    output.show(&report.plan, |_| report::text(&report))?;
    inputs::verdict(report.verdict)
}

/// Prints what becomes of a package, and why.
pub fn why(name: &str, arguments: &PlanArgs, output: Output) -> Result {
    let (_, _, plan) = arguments.plan(output)?;
    explain_all(name, &plan, output)
}

impl DataCommand {
    pub fn run(&self, output: Output) -> Result {
        match self {
            DataCommand::Check { folder } => check_data(folder, output),
        }
    }
}

fn check_data(folder: &Path, output: Output) -> Result {
    let data = inputs::read_data(folder)?;
    let findings = check::check(&data);
    output.show(&findings, |findings| {
        let line = |finding: &check::Finding| {
            let other = finding.other.as_ref().map(|other| format!(" (the other: {other})")).unwrap_or_default();
            let level = if finding.level == check::Level::Error { "error" } else { "warning" };
            format!("{}: {level}: {} [{}]{other}", finding.place, finding.message, finding.code)
        };
        let mut lines: Vec<String> = findings.iter().map(line).collect();
        let vendors = data.repository_maps.iter().filter_map(|map| map.origin.vendor.as_deref());
        let vendors: std::collections::BTreeSet<&str> = vendors.collect();
        lines.push(format!("{} events, {} vendors, {} findings.", data.event_count(), vendors.len(), findings.len()));
        lines.join("\n")
    })?;
    match findings.iter().any(|finding| finding.level == check::Level::Error) {
        true => Err(Failure::new(Exit::Unsuccessful, "the data has errors")),
        false => Ok(()),
    }
}

fn explain_all(name: &str, plan: &Plan, output: Output) -> Result {
    let mut found: Vec<&Planned> = plan.of(name).collect();
    // Its successors say whose place they take.
    found.extend(plan.packages.iter().filter(|package| {
        package.name != name && package.after.iter().any(|nevra| nevra.starts_with(&format!("{name}-")))
    }));
    if found.is_empty() {
        return Err(Failure::user(format!("{name} is neither installed nor would it be")));
    }
    output.show(&found, |found| found.iter().map(|package| explain(package)).collect::<Vec<_>>().join("\n\n"))
}

fn explain(package: &Planned) -> String {
    let mut fields = vec![
        ("package", package.name.clone()),
        ("fate", package.fate.name().to_string()),
        ("before", output::or_dash(package.before.as_ref())),
        ("after", if package.after.is_empty() { "-".to_string() } else { package.after.join(", ") }),
    ];
    for reason in &package.reasons {
        let place = reason.place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
        fields.push(("because", format!("{}{place}", reason.text)));
    }
    output::fields(&fields)
}

fn describe_facts(facts: &Facts) -> String {
    let services: Vec<&str> = facts.services.iter().map(|service| service.unit.as_str()).collect();
    let changed: usize = facts.packages.iter().map(|package| package.changed_config.len()).sum();
    let mut fields = vec![
        ("system", format!("{} ({} {}, {})", facts.os.name, facts.os.id, facts.os.release, facts.arch)),
        ("host", output::or_dash(facts.host.as_ref())),
        ("packages", facts.packages.len().to_string()),
        ("changed configuration", changed.to_string()),
        ("services", if services.is_empty() { "-".to_string() } else { services.join(", ") }),
        ("probed files", facts.probes.as_ref().map_or(0, |probes| probes.files.len()).to_string()),
    ];
    for repository in facts.repositories.iter().filter(|repository| repository.is_enabled) {
        fields.push(("repository", format!("{} ({})", repository.id, repository.file)));
    }
    for mount in &facts.mounts {
        let free = output::size(mount.free_bytes);
        fields.push(("file system", format!("{} {}: {free} free", mount.path, mount.kind)));
    }
    output::fields(&fields)
}
