//! The engine: what is to be built comes in, what was built goes out.
//!
//! It knows neither a master nor a lease. A leased task and a packager's own machine differ in where sources come from
//! ([`Sources`]) and where artifacts go ([`Artifacts`]); everything between is here, once.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use anima_environment::condition::{KEEP_FREE_BYTES, KEEP_FREE_FILES};
use anima_environment::{Environments, Journal, Lock, Phases, Replay, blocking};
use anima_types::artifact::Kind;
use anima_types::diagnosis::Need;
use anima_types::work::{BuildOutcome, Failure, NODE_DISK_FULL, SrcOutcome};
use anima_types::{Sha256, platform};
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::admission::{Admission, Admitted, Room};
use crate::build_task::SrpmFile;
use crate::job::{Job, Target};
use crate::limits::{Limits, MIB, Machine};
use crate::provenance::About;
use crate::sources::Sources;
use crate::src_task::SpecRequires;
use crate::trouble::{Trouble, failed};
use crate::workroot::Workroot;
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
    /// What of the machine is taken.
    pub admission: Admission,
    /// Whether tasks are held to the memory that they may use.
    pub limits_memory: bool,
}

/// Where artifacts go.
pub trait Artifacts: fmt::Debug + Send + Sync {
    /// Keeps a file.
    fn keep<'a>(&'a self, path: &'a Path, kind: Kind, name: &'a str) -> BoxFuture<'a, Result<Sha256, Trouble>>;

    /// Keeps a text.
    fn keep_text<'a>(&'a self, text: String, kind: Kind, name: &'a str) -> BoxFuture<'a, Result<Sha256, Trouble>>;
}

/// Where a source package is.
pub enum SrpmPlace<'a> {
    /// On this machine, for good.
    Here(&'a Path),
    /// Somewhere else, with what brings it here.
    Away(BoxFuture<'a, Result<PathBuf, Trouble>>),
}

/// What becomes of the root of a task that failed; without it, it is removed.
pub trait Aftermath: fmt::Debug + Send + Sync {
    /// Takes the root.
    fn failed<'a>(&'a self, root: Workroot, failure: &'a Failure) -> BoxFuture<'a, Result<(), Trouble>>;
}

/// What one task brings along.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// Names its folder.
    pub name: &'a str,
    /// The master's address, for repositories that are there.
    pub master_url: &'a str,
    /// A locked list that its roots are made of, in place of what would be solved.
    pub replay: Option<&'a Replay>,
    /// Where what it makes goes.
    pub artifacts: &'a dyn Artifacts,
    /// Who takes the root if it fails.
    pub aftermath: Option<&'a dyn Aftermath>,
    /// Its log.
    pub journal: &'a Journal,
    /// The log of how roots are made, where that has one of its own.
    pub root_journal: Option<&'a Journal>,
    /// Whose task it is, for its provenance.
    pub about: Option<About<'a>>,
    /// Whether to stop.
    pub cancel: &'a CancellationToken,
}

/// What an engine is made with.
#[derive(Debug)]
pub struct Setup {
    /// Makes roots.
    pub environments: Environments,
    /// The program that sandboxes are started with.
    pub helper: PathBuf,
    /// Where each task has a folder.
    pub work: PathBuf,
    /// How many tasks share the machine.
    pub slots: u32,
    /// What one task may use.
    pub limits: platform::Limits,
}

impl Engine {
    /// Returns an engine that has nothing to do yet.
    pub fn new(setup: Setup) -> Result<Engine, anima_environment::Error> {
        let Setup { environments, helper, work, slots, limits } = setup;
        let machine = Machine::look(&work, 1).map_err(anima_environment::Error::file("look at", &work))?;
        let memory_mib = Limits::of_node(machine, limits).memory_bytes / MIB;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let clamped = |count: u64| u32::try_from(count).unwrap_or(u32::MAX).max(1);
        let room = Room { memory_mib: clamped(memory_mib), cores: clamped(cores as u64) };
        let (admission, folder_count) = (Admission::new(room, slots), AtomicU64::new(0));
        let limits_memory = anima_environment::limits_memory(&helper, &work);
        Ok(Engine { environments, helper, work, slots, limits, folder_count, admission, limits_memory })
    }

    /// Makes the source package of a package.
    pub async fn src(
        &self,
        around: Around<'_>,
        phases: &mut Phases,
        target: &Target<'_>,
        sources: &dyn Sources,
    ) -> Result<SrcOutcome, Trouble> {
        let (job, held) = self.job(around, target).await?;
        let made = src_task::make(&job, phases, target, sources).await;
        held.give_back().await;
        self.explained(made, around, target).await
    }

    /// Makes the packages of a source package, by a name that people know it by. It is brought to this machine once there is room
    /// for the task: what waits in a cache for that long may be given up to others' needs.
    pub async fn build(
        &self,
        around: Around<'_>,
        phases: &mut Phases,
        target: &Target<'_>,
        name: &str,
        place: SrpmPlace<'_>,
    ) -> Result<BuildOutcome, Trouble> {
        let (job, held) = self.job(around, target).await?;
        let path = match place {
            SrpmPlace::Here(path) => path.to_owned(),
            SrpmPlace::Away(bring) => phases.time("sources", bring).await?,
        };
        let made = build_task::make(&job, phases, target, SrpmFile { name, path: &path }).await;
        held.give_back().await;
        self.explained(made, around, target).await
    }

    /// Gives each failure a finding, and names the packages of the platform that have what findings miss. A failure is
    /// told without them where they cannot be had. It may have to fetch large lists for that: the task's room is others' by then.
    async fn explained<T>(
        &self,
        made: Result<T, Trouble>,
        around: Around<'_>,
        target: &Target<'_>,
    ) -> Result<T, Trouble> {
        let mut failure = match made {
            Err(Trouble::Failed(failure)) => failure,
            made => return made,
        };
        anima_diagnosis::complete(&mut failure);
        let needs: Vec<Need> = failure.findings.iter().filter_map(|finding| finding.need.clone()).collect();
        if needs.is_empty() {
            return Err(Trouble::Failed(failure));
        }
        let inputs = target.all_inputs(around.master_url);
        match self.environments.who_has(target.arch, &inputs, &needs, around.cancel).await {
            Ok(packages) => {
                let missing = failure.findings.iter_mut().filter(|finding| finding.need.is_some());
                missing.zip(packages).for_each(|(finding, packages)| anima_diagnosis::tell_packages(finding, packages));
                failure.hint = failure.findings.first().and_then(|first| first.cure.clone()).or(failure.hint.take());
            }
            Err(error) => tracing::warn!(%error, "who has what a build missed is not known: could not {error}"),
        }
        Err(Trouble::Failed(failure))
    }

    /// Returns what the packages of a source package will provide, as far as its spec says it, and whether all are noarch.
    pub async fn survey(
        &self,
        around: Around<'_>,
        phases: &mut Phases,
        target: &Target<'_>,
        srpm: SrpmFile<'_>,
    ) -> Result<(Vec<String>, bool), Trouble> {
        let (job, _held) = self.job(around, target).await?;
        build_task::survey(&job, phases, target, srpm).await
    }

    /// Returns what the build of sources needs, as far as their spec says it.
    pub async fn requires(
        &self,
        around: Around<'_>,
        phases: &mut Phases,
        target: &Target<'_>,
        sources: &dyn Sources,
    ) -> Result<SpecRequires, Trouble> {
        let (job, _held) = self.job(around, target).await?;
        src_task::requires(&job, phases, target, sources).await
    }

    /// Returns what the build of a source package needs, with what its sources ask for: they are unpacked and asked in roots, as for
    /// a build.
    pub async fn all_requires(
        &self,
        around: Around<'_>,
        phases: &mut Phases,
        target: &Target<'_>,
        srpm: SrpmFile<'_>,
    ) -> Result<Vec<String>, Trouble> {
        let (job, _held) = self.job(around, target).await?;
        let asked = build_task::requires(&job, phases, target, srpm).await;
        self.explained(asked, around, target).await
    }

    /// Returns exactly what a root with these requirements would have.
    pub async fn lock(&self, around: Around<'_>, target: &Target<'_>, requires: &[String]) -> Result<Lock, Trouble> {
        let (job, _held) = self.job(around, target).await?;
        job.lock(target, requires).await
    }

    /// Makes a root with these requirements, or of the locked list.
    pub async fn root(
        &self,
        around: Around<'_>,
        phases: &mut Phases,
        target: &Target<'_>,
        requires: &[String],
    ) -> Result<Workroot, Trouble> {
        let (job, _held) = self.job(around, target).await?;
        job.workroot(phases, target, requires).await
    }

    async fn job<'a>(&'a self, around: Around<'a>, target: &Target<'_>) -> Result<(Job<'a>, Held), Trouble> {
        let (limits, machine) = self.limits_of(target)?;
        let admitted = self.admission.enter(&limits, machine.writable_bytes(), around.journal, around.cancel).await?;
        // Hours may have gone, and with them what was free on the disk.
        let (limits, machine) = self.limits_of(target)?;
        let number = self.folder_count.fetch_add(1, Ordering::Relaxed);
        let folder = self.work.join(format!("{}-{number}", around.name));
        std::fs::create_dir(&folder).map_err(anima_environment::Error::file("make", &folder))?;
        let job = Job {
            environments: &self.environments,
            helper: &self.helper,
            master_url: around.master_url,
            replay: around.replay,
            limits,
            most: limits.of_layers(machine, self.limits),
            limits_memory: self.limits_memory,
            began_at: OnceLock::new(),
            artifacts: around.artifacts,
            aftermath: around.aftermath,
            journal: around.journal.clone(),
            root_journal: around.root_journal.cloned(),
            record: Arc::default(),
            about: around.about,
            taken_at: SystemTime::now(),
            cancel: around.cancel.clone(),
            folder: folder.clone(),
        };
        Ok((job, Held { _admitted: admitted, _folder: Folder(folder) }))
    }

    /// Returns what a task may use as the machine is now, and how it is.
    fn limits_of(&self, target: &Target<'_>) -> Result<(Limits, Machine), Trouble> {
        let machine =
            Machine::look(&self.work, self.slots).map_err(anima_environment::Error::file("look at", &self.work))?;
        if machine.writable_bytes() == 0 {
            let message = format!(
                "the disk of {} is full: {} MiB are free, and {} MiB are kept so",
                self.work.display(),
                machine.free_disk_bytes / MIB,
                KEEP_FREE_BYTES / MIB
            );
            return Err(failed(NODE_DISK_FULL, message, None));
        }
        if machine.free_files <= KEEP_FREE_FILES {
            let (folder, files) = (self.work.display(), machine.free_files);
            let message =
                format!("the disk of {folder} is full: {files} files can be made, and {KEEP_FREE_FILES} are kept so");
            return Err(failed(NODE_DISK_FULL, message, None));
        }
        Ok((Limits::of_task(machine, self.limits, target.platform.limits(target.package)), machine))
    }
}

/// What a job has while it is done.
struct Held {
    _folder: Folder,
    _admitted: Admitted,
}

impl Held {
    /// Gives all of it back, beside the runtime: a task may leave many files.
    async fn give_back(self) {
        blocking(move || drop(self)).await;
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
