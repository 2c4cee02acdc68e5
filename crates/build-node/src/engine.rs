//! The engine: what is to be built comes in, what was built goes out.
//!
//! It knows neither a master nor a lease. A leased task and a packager's own machine differ in where sources come from
//! ([`Sources`]) and where artifacts go ([`Artifacts`]); everything between is here, once.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use anima_environment::{Environments, Journal, Phases};
use anima_types::artifact::Kind;
use anima_types::work::{BuildOutcome, SrcOutcome};
use anima_types::{Sha256, platform};
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::build_task::SrpmFile;
use crate::job::{Job, Target};
use crate::limits::{Limits, Machine};
use crate::sources::Sources;
use crate::trouble::Trouble;
use crate::{build_task, src_task};

/// Builds, with nothing around it.
#[derive(Debug)]
pub struct Engine {
    /// Makes roots.
    pub environments: Environments,
    /// The program that sandboxes are started with.
    pub helper: PathBuf,
    /// Each task has a folder in it.
    pub work: PathBuf,
    /// How many tasks share the machine.
    pub slots: u32,
    /// What one task may use, where its configuration says less than the machine has.
    pub limits: platform::Limits,
    /// Tells folders of tasks apart.
    pub folder_count: AtomicU64,
}

/// Where artifacts go.
pub trait Artifacts: fmt::Debug + Send + Sync {
    /// Keeps a file.
    fn keep<'a>(&'a self, path: &'a Path, kind: Kind, name: &'a str) -> BoxFuture<'a, Result<Sha256, Trouble>>;

    /// Keeps a text.
    fn keep_text<'a>(&'a self, text: String, kind: Kind, name: &'a str) -> BoxFuture<'a, Result<Sha256, Trouble>>;
}

/// What one task brings along.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// Names its folder.
    pub name: &'a str,
    /// The master's address, for repositories that are there.
    pub master_url: &'a str,
    /// Where what it makes goes.
    pub artifacts: &'a dyn Artifacts,
    /// Its log.
    pub journal: &'a Journal,
    /// Whether to stop.
    pub cancel: &'a CancellationToken,
}

impl Engine {
    /// Makes the source package of a package.
    pub async fn src(
        &self,
        around: Around<'_>,
        phases: &mut Phases,
        target: &Target<'_>,
        sources: &dyn Sources,
    ) -> Result<SrcOutcome, Trouble> {
        let (job, _folder) = self.job(around, target)?;
        src_task::make(&job, phases, target, sources).await
    }

    /// Makes the packages of a source package that is on this machine.
    pub async fn build(
        &self,
        around: Around<'_>,
        phases: &mut Phases,
        target: &Target<'_>,
        srpm: SrpmFile<'_>,
    ) -> Result<BuildOutcome, Trouble> {
        let (job, _folder) = self.job(around, target)?;
        build_task::make(&job, phases, target, srpm).await
    }

    fn job<'a>(&'a self, around: Around<'a>, target: &Target<'_>) -> Result<(Job<'a>, Folder), Trouble> {
        let number = self.folder_count.fetch_add(1, Ordering::Relaxed);
        let folder = self.work.join(format!("{}-{number}", around.name));
        std::fs::create_dir(&folder).map_err(anima_environment::Error::file("make", &folder))?;
        let job = Job {
            environments: &self.environments,
            helper: &self.helper,
            master_url: around.master_url,
            limits: self.limits_of(target)?,
            began_at: OnceLock::new(),
            artifacts: around.artifacts,
            journal: around.journal.clone(),
            cancel: around.cancel.clone(),
            folder: folder.clone(),
        };
        Ok((job, Folder(folder)))
    }

    fn limits_of(&self, target: &Target<'_>) -> Result<Limits, Trouble> {
        let machine =
            Machine::look(&self.work, self.slots).map_err(anima_environment::Error::file("look at", &self.work))?;
        Ok(Limits::of_node(machine, self.limits).within(target.platform.limits(target.package)))
    }
}

/// A task's folder, removed with all that is in it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "the folder {} of a task is left to the sweep", self.0.display());
        }
    }
}
