//! One task: what both kinds of task have at hand.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use anima_environment::{Environment, Environments, Journal, Lock, Most, Phases, Replay, Wishes};
use anima_types::artifact::Kind;
use anima_types::work::{BuildWork, Input, SrcWork};
use anima_types::{Arch, Sha256, platform::Platform};
use tokio_util::sync::CancellationToken;

use crate::engine::{Aftermath, Artifacts};
use crate::limits::{Limits, hint_of_layers};
use crate::provenance::About;
use crate::record::Record;
use crate::trouble::Trouble;
use crate::workroot::Workroot;

/// A locked list is an artifact under this name.
const LOCK_NAME: &str = "buildroot.lock.json";

/// What is built for what.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The platform.
    pub platform: &'a Platform,
    /// The package: it may have options of its own there.
    pub package: &'a str,
    /// The architecture.
    pub arch: Arch,
    /// The repositories of the platform and of the build.
    pub inputs: &'a [Input],
}

impl Target<'_> {
    /// Returns all repositories, with those that the package has for itself.
    pub fn all_inputs(&self, master_url: &str) -> Vec<Input> {
        let own = &self.platform.options(self.package).repositories;
        let own = own.iter().map(|repository| repository.input(self.arch, master_url));
        self.inputs.iter().cloned().chain(own).collect()
    }
}

impl<'a> From<&'a SrcWork> for Target<'a> {
    fn from(work: &'a SrcWork) -> Target<'a> {
        Target { platform: &work.platform, package: &work.package, arch: work.arch, inputs: &work.inputs }
    }
}

impl<'a> From<&'a BuildWork> for Target<'a> {
    fn from(work: &'a BuildWork) -> Target<'a> {
        Target { platform: &work.platform, package: &work.package, arch: work.arch, inputs: &work.inputs }
    }
}

/// A task that is being done.
#[derive(Debug)]
pub struct Job<'a> {
    /// Makes roots.
    pub environments: &'a Environments,
    /// The program that sandboxes are started with.
    pub helper: &'a Path,
    /// The master's address, for repositories that are there.
    pub master_url: &'a str,
    /// A locked list that its roots are made of, in place of what would be solved.
    pub replay: Option<&'a Replay>,
    /// What it may use.
    pub limits: Limits,
    /// What filling the layers of its roots may take.
    pub most: Most,
    /// Whether it is held to the memory of them.
    pub limits_memory: bool,
    /// When its first root was there: how long packages take to come is not a build's fault.
    pub began_at: OnceLock<Instant>,
    /// Where what it makes goes.
    pub artifacts: &'a dyn Artifacts,
    /// Who takes the root if it fails.
    pub aftermath: Option<&'a dyn Aftermath>,
    /// The log.
    pub journal: Journal,
    /// The log of how roots are made, where that has one of its own.
    pub root_journal: Option<Journal>,
    /// What was run in them.
    pub record: Arc<Record>,
    /// Whose task it is.
    pub about: Option<About<'a>>,
    /// When it was taken.
    pub taken_at: SystemTime,
    /// Whether to stop.
    pub cancel: CancellationToken,
    /// An empty folder that is removed at the end.
    pub folder: PathBuf,
}

impl Job<'_> {
    /// Makes a root with the platform's base packages and `extra`, or of the locked list.
    pub async fn workroot(
        &self,
        phases: &mut Phases,
        target: &Target<'_>,
        extra: &[String],
    ) -> Result<Workroot, Trouble> {
        let environment = match self.replay {
            Some(replay) => {
                let environments = self.environments;
                let name = &target.platform.name;
                environments.replay(replay, name, self.most, self.of_root(), phases, &self.cancel).await
            }
            None => self.solved(phases, target, extra).await,
        };
        let environment = environment.map_err(|error| self.no_root(error, target.package))?;
        if let Some(root) = &self.root_journal {
            for package in &environment.lock.packages {
                root.say(format!("  {} {} {}", package.nevra(), package.repository, package.checksum));
            }
            self.journal.say(&environment.summary);
        }
        let unlimited = if self.limits_memory { "" } else { "; nothing on this machine holds it to the memory" };
        self.journal.say(format!("limits: {}{unlimited}", self.limits.in_words()));
        let began_at = *self.began_at.get_or_init(Instant::now);
        Workroot::new(environment, target, (self.limits, began_at), Arc::clone(&self.record))
    }

    /// Returns why there is no root, with what to do about a limit that filling its layers reached.
    fn no_root(&self, error: anima_environment::Error, package: &str) -> Trouble {
        if let Some(root) = &self.root_journal {
            root.say(format!("could not {error}"));
        }
        let hint = error.limit_of_layers().and_then(|exit| hint_of_layers(&self.most, exit, package));
        match (Trouble::from(error), hint) {
            (Trouble::Failed(failure), Some(hint)) => failure.with_hint(Some(hint)).into(),
            (trouble, _) => trouble,
        }
    }

    fn of_root(&self) -> &Journal {
        self.root_journal.as_ref().unwrap_or(&self.journal)
    }

    async fn solved(
        &self,
        phases: &mut Phases,
        target: &Target<'_>,
        extra: &[String],
    ) -> Result<Environment, anima_environment::Error> {
        let asked = self.asked(target);
        let wishes = asked.wishes(target, extra);
        self.environments.prepare(wishes, self.of_root(), phases, &self.cancel).await
    }

    /// Returns what a root with the platform's base packages and `extra` would have, and makes none.
    pub async fn lock(&self, target: &Target<'_>, extra: &[String]) -> Result<Lock, Trouble> {
        let asked = self.asked(target);
        Ok(self.environments.solve(asked.wishes(target, extra), &self.cancel).await?)
    }

    fn asked(&self, target: &Target<'_>) -> Asked {
        let Target { platform, package, .. } = *target;
        let options = platform.options(package);
        Asked {
            inputs: target.all_inputs(self.master_url),
            exclude: platform.buildroot.exclude.iter().chain(&options.exclude).cloned().collect(),
            modules: platform.modules(package),
            most: self.most,
        }
    }

    /// Leaves a root after what was done in it: it is removed, or taken over when that failed.
    pub async fn leave<T>(&self, workroot: Workroot, result: Result<T, Trouble>) -> Result<T, Trouble> {
        match (&result, self.aftermath) {
            (Err(Trouble::Failed(failure)), Some(aftermath)) => aftermath.failed(workroot, failure).await?,
            _ => workroot.remove().await?,
        }
        result
    }

    /// Keeps the list of what was in the root.
    pub async fn keep_lock(&self, workroot: &Workroot) -> Result<Sha256, Trouble> {
        let lock = workroot.environment().lock_json.clone();
        self.artifacts.keep_text(lock, Kind::Lock, LOCK_NAME).await
    }
}

/// What a root is asked for, beside what the platform's file says.
struct Asked {
    inputs: Vec<Input>,
    exclude: Vec<String>,
    modules: Vec<String>,
    most: Most,
}

impl Asked {
    fn wishes<'a>(&'a self, target: &Target<'a>, extra: &'a [String]) -> Wishes<'a> {
        Wishes {
            platform: &target.platform.name,
            arch: target.arch,
            inputs: &self.inputs,
            base: &target.platform.buildroot.packages,
            extra,
            exclude: &self.exclude,
            modules: &self.modules,
            without_docs: true,
            bootstrap: target.platform.buildroot.bootstrap,
            most: self.most,
        }
    }
}
