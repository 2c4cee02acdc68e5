//! What a plan is made from, as arguments say it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anima_elevate::{
    collect,
    data::{Data, Lists},
    facts::Facts,
    plan::{self, Plan, Target, TargetRepository, Wishes},
    release::Release,
};
use anima_elevate_act::Watch as _;
use anyhow::Context as _;
use clap::Args;

use super::watch::Bar;
use crate::{
    exit::{Exit, Failure, Result},
    output::Output,
};

/// From where to where.
#[derive(Args, Debug)]
pub struct PlanArgs {
    /// The root
    #[arg(long, default_value = "/", value_name = "FOLDER", conflicts_with = "facts")]
    root: PathBuf,
    /// What `anima elevate facts --json` wrote, in place of a root; several files are a fleet
    #[arg(long, value_name = "FILE", num_args = 1..)]
    facts: Vec<PathBuf>,
    /// The folder of the data
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// The folder of the owner's lists: to_install, to_keep, to_remove, to_reinstall
    #[arg(long, value_name = "FOLDER")]
    transaction: Option<PathBuf>,
    /// The release to go to, such as 9.4
    #[arg(long, value_name = "RELEASE")]
    target: Release,
    /// A repository of the target, in a folder that has its repodata; repeat it for more
    #[arg(long = "repository", value_name = "ID=FOLDER", required = true, value_parser = parse_repository)]
    repositories: Vec<TargetRepository>,
    /// Where what was read of repositories is kept for the next plan; none is kept where it cannot be written
    #[arg(long, value_name = "FOLDER", default_value = "/var/cache/anima-elevate")]
    cache: PathBuf,
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

/// All that a plan is made from.
pub struct Inputs {
    pub data: Data,
    pub target: Target,
    pub wishes: Wishes,
}

impl PlanArgs {
    /// Returns whether they name many machines.
    pub fn is_fleet(&self) -> bool {
        self.facts.len() > 1
    }

    /// Reads what is the same for all machines.
    pub fn inputs(&self) -> Result<Inputs> {
        let failed = |error: anima_elevate::Error| Failure::user(error.to_string());
        let mut data = match &self.data {
            Some(folder) => read_data(folder)?,
            None => Data::default(),
        };
        if let Some(folder) = &self.transaction {
            data.lists = Lists::read(folder).map_err(failed)?;
        }
        let cache = fs::create_dir_all(&self.cache).is_ok().then(|| self.cache.clone());
        let target = Target { release: self.target, repositories: self.repositories.clone(), cache };
        let set = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
        let wishes = Wishes {
            install: set(&self.install),
            keep: set(&self.keep),
            remove: set(&self.remove),
            reinstall: BTreeSet::new(),
            strict: self.strict,
        };
        Ok(Inputs { data, target, wishes })
    }

    /// Reads or collects the facts of one machine.
    pub fn facts(&self, bar: &mut Bar) -> Result<Facts> {
        match self.facts.as_slice() {
            [] => {
                bar.tell("facts");
                collect(&self.root)
            }
            [path] => read_facts(path),
            _ => Err(Failure::user("this is about one machine, and several files of facts were named")),
        }
    }

    /// Returns the files of many machines' facts.
    pub fn labels(&self) -> Vec<String> {
        self.facts.iter().map(|path| path.display().to_string()).collect()
    }

    /// Reads the facts of one of many machines.
    pub fn facts_of(label: &str) -> std::result::Result<Facts, String> {
        read_facts(Path::new(label)).map_err(|error| error.message)
    }

    /// Makes the plan of one machine.
    pub fn plan(&self, output: Output) -> Result<(Facts, Inputs, Plan)> {
        let mut bar = Bar::new(output);
        let facts = self.facts(&mut bar)?;
        bar.tell("data");
        let inputs = self.inputs()?;
        bar.tell("plan");
        let plan = plan::plan(&facts, &inputs.data, &inputs.target, &inputs.wishes)
            .map_err(|error| Failure::user(error.to_string()))?;
        Ok((facts, inputs, plan))
    }
}

/// Collects the facts of a root.
pub fn collect(root: &Path) -> Result<Facts> {
    collect::collect(root).map_err(|error| {
        let hint = match (&error, is_root()) {
            (anima_elevate::Error::Packages { .. } | anima_elevate::Error::Read { .. }, false) => {
                "run it as root: others may not read all of a system"
            }
            _ => "name the root of an rpm-based system with --root",
        };
        Failure::user(error.to_string()).hint(hint)
    })
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn read_facts(path: &Path) -> Result<Facts> {
    let text = fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
    Facts::from_json(&text).map_err(|error| Failure::user(format!("{}: {error}", path.display())))
}

/// Reads the data of a folder.
pub fn read_data(folder: &Path) -> Result<Data> {
    Data::read(folder).map_err(|error| Failure::user(error.to_string()))
}

/// Says how a plan ended, as the exit code does.
pub fn verdict(verdict: plan::Verdict) -> Result {
    match verdict {
        plan::Verdict::Ready => Ok(()),
        plan::Verdict::Fixable => Err(Failure::new(Exit::Fixable, "what is in the way can be mended by edits")
            .hint("`anima elevate fix --preview` shows them, and `anima elevate fix --undo` takes them back")),
        plan::Verdict::Blocked => Err(Failure::new(Exit::Unsuccessful, "something forbids the upgrade")
            .hint("do what stands beside each finding that blocks, and plan again")),
    }
}
