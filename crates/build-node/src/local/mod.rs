//! Builds on a packager's own machine: no server and no lease, the same engine.
//!
//! Sources are folders or source packages of this machine, results a folder of it. Several packages are built in an order
//! computed from what they need of one another, and each sees those that were made before it.

mod chain;
mod report;
mod results;
mod root;
mod run;
mod verify;
mod worktree;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anima_environment::{Budget, Emulators, Environments};
use anima_types::Arch;
use anima_types::platform::{self, PackageOptions, Platform};
use anima_types::work::{Failure, Input};
use anyhow::{Context, bail};
use tokio_util::sync::CancellationToken;

use crate::engine::{Engine, Setup};
use crate::entry::Entry;
use crate::sweep;

pub use anima_environment::{Lock, Replay};
pub use report::{Made, PackageReport, Report, Status, StepReport};
pub use root::{LocalRoot, RootOrder};
pub use verify::{Difference, Verification};
pub use worktree::Place;

/// Where packages of the same order come from, for those that are built after them; taken rather than any other.
const OWN_PRIORITY: i32 = 1;

/// What a machine that builds for its own user has to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// A cache of packages and layers, and a folder for each order.
    pub data: PathBuf,
    /// The program that is run as `helper sandbox-init`: usually this program itself.
    pub helper: PathBuf,
    /// What runs programs of other architectures, slowly.
    pub emulators: Emulators,
    /// What a build may use; all of the machine where nothing is said.
    pub limits: platform::Limits,
    /// How much the cache keeps on the disk.
    pub budget: Budget,
}

/// Where a package is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// A folder as a packager has it: a spec, patches, perhaps a git repository.
    Folder(PathBuf),
    /// A source package.
    Srpm(PathBuf),
}

/// What is to be built, for what, and of what.
#[derive(Clone, Debug)]
pub struct Order {
    /// The packages.
    pub packages: Vec<Origin>,
    /// The platform. Addresses of its repositories may be folders of this machine.
    pub platform: Platform,
    /// The architectures.
    pub arches: Vec<Arch>,
    /// What is different for these packages, beside what the platform says of them.
    pub options: PackageOptions,
    /// Where large sources are looked for.
    pub places: Vec<Place>,
    /// A locked list that roots are made of, in place of what would be solved.
    pub replay: Option<Replay>,
    /// Whether somebody wants to see the root of what failed: see [`Watch::failed`].
    pub shows_failed: bool,
    /// Where results go.
    pub results: PathBuf,
}

/// Why an order is not carried out, where that is nobody's fault but the order's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// What was asked for cannot be.
    Asked(String),
    /// It was stopped.
    Cancelled,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Asked(why) => f.write_str(why),
            Refusal::Cancelled => f.write_str("could not go on: it was cancelled"),
        }
    }
}

impl std::error::Error for Refusal {}

/// Who looks on.
pub trait Watch: fmt::Debug + Send + Sync {
    /// Is told what happens, in order.
    fn see(&self, event: Event<'_>);

    /// May enter the root of what failed, for as long as it takes.
    fn failed(&self, entry: &Entry, failure: &Failure);
}

/// What happens in an order.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The packages are built in this order.
    Ordered(&'a [String]),
    /// A step of a package begins: `src`, or an architecture.
    Begins {
        /// The package.
        package: &'a str,
        /// The step.
        step: &'a str,
    },
    /// Its log goes on.
    Log(&'a [u8]),
    /// The log of how its root is made goes on.
    RootLog(&'a [u8]),
    /// It ended.
    Ends {
        /// The package.
        package: &'a str,
        /// What came of it.
        step: &'a StepReport,
    },
}

/// A machine that builds for its own user.
#[derive(Debug)]
pub struct Local {
    engine: Engine,
    run: run::Run,
}

impl Local {
    /// Opens the machine's cache, and removes what killed processes left in it. Many processes may share it.
    pub fn open(config: &Config) -> anyhow::Result<Local> {
        let run = run::Run::begin(&config.data.join("runs"))?;
        let environments = Environments::open(&config.data.join("environments"), &config.helper)?.with_folders();
        let environments = environments.with_emulators(config.emulators.clone()).with_budget(config.budget);
        environments.sweep_leftovers().context("could not remove what killed processes left")?;
        let (helper, work) = (config.helper.clone(), run.folder().to_owned());
        let engine = Engine::new(Setup { environments, helper, work, slots: 1, limits: config.limits })?;
        Ok(Local { engine, run })
    }

    /// Builds. What a package could not be built for is in the report; an error is this machine's.
    pub async fn build(
        &self,
        order: &Order,
        watch: Arc<dyn Watch>,
        cancel: &CancellationToken,
    ) -> anyhow::Result<Report> {
        chain::Chain::new(self, order, watch, cancel)?.build().await
    }

    /// Builds twice, the second time in other roots with one processor, and compares what comes out.
    pub async fn verify(
        &self,
        order: &Order,
        watch: Arc<dyn Watch>,
        cancel: &CancellationToken,
    ) -> anyhow::Result<(Report, Option<Verification>)> {
        let first = self.build(order, Arc::clone(&watch), cancel).await?;
        if !first.is_success() {
            return Ok((first, None));
        }
        let mut again = order.clone();
        again.options.limits.cores = Some(1);
        again.results = self.run.folder().join("again");
        let second = self.build(&again, watch, cancel).await?;
        let verification = verify::compare(&first, &second)?;
        Ok((first, Some(verification)))
    }

    /// Removes what was least recently used from the cache, and what killed processes left in it.
    pub fn sweep_once(&self, now: SystemTime) -> anyhow::Result<crate::Swept> {
        sweep::once(&self.engine.environments, now)
    }
}

impl Order {
    /// Returns the platform with the order's options for a package.
    fn platform_for(&self, package: &str) -> Platform {
        let mut platform = self.platform.clone();
        let mut own = platform.options(package).clone();
        own.with.extend(self.options.with.iter().cloned());
        own.without.extend(self.options.without.iter().cloned());
        own.macros.extend(self.options.macros.clone());
        own.exclude.extend(self.options.exclude.iter().cloned());
        own.repositories.extend(self.options.repositories.iter().cloned());
        own.limits = self.options.limits.or(own.limits);
        platform.packages.insert(package.to_owned(), own);
        platform
    }
}

/// Returns a platform's repositories, at addresses that this machine reads.
fn inputs(platform: &Platform, arch: Arch) -> Vec<Input> {
    platform.repositories.iter().map(|repository| repository.input(arch, "")).collect()
}

/// Returns the address of a repository in a folder of this machine.
fn address_of(folder: &Path) -> anyhow::Result<String> {
    match url::Url::from_directory_path(folder) {
        Ok(url) => Ok(url.into()),
        Err(()) => bail!("could not use {}: it is no whole path", folder.display()),
    }
}
