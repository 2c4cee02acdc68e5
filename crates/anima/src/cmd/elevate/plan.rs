//! `anima elevate facts | data | plan | why`: what would become of an installed machine. It changes nothing.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anima_elevate::{
    collect,
    data::{Data, check},
    facts::Facts,
    plan::{self, Fate, Finding, Plan, Planned, Target, TargetRepository, Wishes},
    release::Release,
};
use anyhow::Context as _;
use clap::{Args, Subcommand};

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

/// From where to where.
#[derive(Args, Debug)]
pub struct PlanArgs {
    /// The root
    #[arg(long, default_value = "/", value_name = "FOLDER", conflicts_with = "facts")]
    root: PathBuf,
    /// What `anima elevate facts --json` wrote, in place of a root
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// The folder of the data
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// The release to go to, such as 9.4
    #[arg(long, value_name = "RELEASE")]
    target: Release,
    /// A repository of the target, in a folder that has its repodata; repeat it for more
    #[arg(long = "repository", value_name = "ID=FOLDER", required = true, value_parser = parse_repository)]
    repositories: Vec<TargetRepository>,
    /// A package to install besides; repeat it for more
    #[arg(long = "install", value_name = "PACKAGE")]
    install: Vec<String>,
    /// A package that stays, whatever the events say; repeat it for more
    #[arg(long = "keep", value_name = "PACKAGE")]
    keep: Vec<String>,
    /// A package that goes; repeat it for more
    #[arg(long = "remove", value_name = "PACKAGE")]
    remove: Vec<String>,
    /// Refuse what the data leaves open, in place of going by the order of the file as leapp does
    #[arg(long)]
    strict: bool,
}

fn parse_repository(text: &str) -> std::result::Result<TargetRepository, String> {
    let (id, folder) = text.split_once('=').ok_or("it is ID=FOLDER")?;
    Ok(TargetRepository { id: id.to_string(), folder: folder.into() })
}

/// Prints the facts of a root.
pub fn facts(root: &Path, output: Output) -> Result {
    output.show(&collect(root)?, describe_facts)
}

/// Prints a plan; one that something blocks is a failure.
pub fn plan(arguments: &PlanArgs, output: Output) -> Result {
    let plan = arguments.plan()?;
    output.show(&plan, describe)?;
    match plan.is_blocked() {
        true => Err(Failure::new(Exit::Unsuccessful, "something forbids the upgrade")
            .hint("do what stands beside each finding that blocks, and plan again")),
        false => Ok(()),
    }
}

/// Prints what becomes of a package, and why.
pub fn why(name: &str, arguments: &PlanArgs, output: Output) -> Result {
    explain_all(name, &arguments.plan()?, output)
}

impl DataCommand {
    pub fn run(&self, output: Output) -> Result {
        match self {
            DataCommand::Check { folder } => check_data(folder, output),
        }
    }
}

fn collect(root: &Path) -> Result<Facts> {
    collect::collect(root)
        .map_err(|error| Failure::user(error.to_string()).hint("name the root of an rpm-based system with --root"))
}

fn read_data(folder: &Path) -> Result<Data> {
    Data::read(folder).map_err(|error| Failure::user(error.to_string()))
}

fn check_data(folder: &Path, output: Output) -> Result {
    let data = read_data(folder)?;
    let findings = check::check(&data);
    output.show(&findings, |findings| {
        let line = |finding: &check::Finding| {
            let other = finding.other.as_ref().map(|other| format!(" (the other: {other})")).unwrap_or_default();
            let level = if finding.level == check::Level::Error { "error" } else { "warning" };
            format!("{}: {level}: {} [{}]{other}", finding.place, finding.message, finding.code)
        };
        let mut lines: Vec<String> = findings.iter().map(line).collect();
        lines.push(format!("{} events, {} findings.", data.event_count(), findings.len()));
        lines.join("\n")
    })?;
    match findings.iter().any(|finding| finding.level == check::Level::Error) {
        true => Err(Failure::new(Exit::Unsuccessful, "the data has errors")),
        false => Ok(()),
    }
}

impl PlanArgs {
    fn plan(&self) -> Result<Plan> {
        let facts = match &self.facts {
            Some(path) => {
                let text = fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
                Facts::from_json(&text).map_err(|error| Failure::user(error.to_string()))?
            }
            None => collect(&self.root)?,
        };
        let data = self.data.as_deref().map(read_data).transpose()?.unwrap_or_default();
        let target = Target { release: self.target, repositories: self.repositories.clone() };
        let set = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
        let wishes = Wishes {
            install: set(&self.install),
            keep: set(&self.keep),
            remove: set(&self.remove),
            reinstall: BTreeSet::new(),
            strict: self.strict,
        };
        plan::plan(&facts, &data, &target, &wishes).map_err(|error| Failure::user(error.to_string()))
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

/// The plan for a person: what is in the way, what goes, what changes its name; what merely gets newer is counted.
fn describe(plan: &Plan) -> String {
    let mut lines = vec![format!("{} → {}", plan.source.name, plan.target), String::new()];
    for Finding { level, message, remedy, code } in &plan.findings {
        let level = match level {
            plan::Level::Block => "BLOCKS",
            plan::Level::Ask => "ask",
            plan::Level::Tell => "note",
        };
        lines.push(format!("{level}: {message} [{code}]"));
        lines.extend(remedy.as_ref().map(|remedy| format!("    {remedy}")));
    }
    if !plan.findings.is_empty() {
        lines.push(String::new());
    }
    let told = [Fate::Remove, Fate::Replace, Fate::Rename, Fate::Split, Fate::Merge, Fate::Orphan, Fate::Downgrade];
    for package in told.iter().flat_map(|fate| plan.packages.iter().filter(move |package| package.fate == *fate)) {
        let after = if package.after.is_empty() { String::new() } else { format!(" → {}", package.after.join(", ")) };
        let before = package.before.as_deref().unwrap_or(&package.name);
        lines.push(match package.fate {
            Fate::Orphan => format!("orphan     {before}"),
            fate => format!("{:<10} {before}{after}", fate.name()),
        });
    }
    lines.push(String::new());
    let count = |fate: Fate| plan.packages.iter().filter(|package| package.fate == fate).count();
    let counts =
        Fate::ALL.iter().filter(|fate| count(**fate) > 0).map(|fate| format!("{} {}", count(*fate), fate.name()));
    lines.push(counts.collect::<Vec<_>>().join(", "));
    let transaction = &plan.transaction;
    let grows = output::size(transaction.grows_bytes.unsigned_abs());
    lines.push(format!(
        "{} to download, {grows} {} afterwards. `anima elevate why PACKAGE` says why.",
        output::size(transaction.download_bytes),
        if transaction.grows_bytes < 0 { "less" } else { "more" }
    ));
    lines.join("\n")
}
