//! One task: what both kinds of task have at hand.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use anima_environment::{Environments, Journal, Phases, Wishes};
use anima_types::artifact::Kind;
use anima_types::work::{BuildWork, Input, SrcWork};
use anima_types::{Arch, Sha256, platform::Platform};
use tokio_util::sync::CancellationToken;

use crate::engine::Artifacts;
use crate::limits::Limits;
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
    /// What it may use.
    pub limits: Limits,
    /// When its first root was there: how long packages take to come is not a build's fault.
    pub began_at: OnceLock<Instant>,
    /// Where what it makes goes.
    pub artifacts: &'a dyn Artifacts,
    /// The log.
    pub journal: Journal,
    /// Whether to stop.
    pub cancel: CancellationToken,
    /// An empty folder that is removed at the end.
    pub folder: PathBuf,
}

impl Job<'_> {
    /// Makes a root with the platform's base packages and `extra`.
    pub async fn workroot(
        &self,
        phases: &mut Phases,
        target: &Target<'_>,
        extra: &[String],
    ) -> Result<Workroot, Trouble> {
        let Target { platform, package, arch, inputs } = *target;
        let options = platform.options(package);
        let own = options.repositories.iter().map(|repository| repository.input(arch, self.master_url));
        let inputs: Vec<Input> = inputs.iter().cloned().chain(own).collect();
        let exclude: Vec<String> = platform.buildroot.exclude.iter().chain(&options.exclude).cloned().collect();
        let wishes = Wishes {
            platform: &platform.name,
            arch,
            inputs: &inputs,
            base: &platform.buildroot.packages,
            extra,
            exclude: &exclude,
            without_docs: true,
        };
        let environment = self.environments.prepare(wishes, &self.journal, phases, &self.cancel).await?;
        self.journal.say(format!("limits: {}", self.limits.in_words()));
        Workroot::new(environment, target, self.limits, *self.began_at.get_or_init(Instant::now))
    }

    /// Keeps the list of what was in the root.
    pub async fn keep_lock(&self, workroot: &Workroot) -> Result<Sha256, Trouble> {
        let lock = workroot.environment().lock_json.clone();
        self.artifacts.keep_text(lock, Kind::Lock, LOCK_NAME).await
    }
}
