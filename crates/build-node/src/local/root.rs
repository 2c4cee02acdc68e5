//! Roots without a build: locked, made, entered.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anima_environment::{Journal, Lock, Phases, Replay, blocking, sha256_of};
use anima_rpm_file::PackageInfo;
use anima_types::artifact::Kind;
use anima_types::platform::Platform;
use anima_types::work::Failure;
use anima_types::{Arch, Sha256};
use anyhow::Context;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::results::copy;
use super::worktree::{Place, WorkTree};
use super::{Event, Local, Origin, Refusal, Watch, inputs};
use crate::build_task::SrpmFile;
use crate::engine::{Around, Artifacts};
use crate::entry::Entry;
use crate::job::Target;
use crate::trouble::Trouble;
use crate::workroot::Workroot;

/// What a root is to have.
#[derive(Clone, Debug)]
pub struct RootOrder {
    /// The platform, whose base packages every root has.
    pub platform: Platform,
    /// The architecture.
    pub arch: Arch,
    /// A package whose BuildRequires are installed, those among them that its sources ask for.
    pub origin: Option<Origin>,
    /// Where its large sources are looked for, if they are to be asked.
    pub places: Vec<Place>,
    /// What else is installed.
    pub requires: Vec<String>,
    /// A locked list, in place of all this.
    pub replay: Option<Replay>,
}

/// A mounted root. Dropping it unmounts it and removes what was written in it.
#[derive(Debug)]
pub struct LocalRoot(Workroot);

/// Takes a source package that is made only to be asked what it needs; lists of its root and its provenance are nobody's.
#[derive(Debug)]
struct Scratch<'a>(&'a Path);

impl Artifacts for Scratch<'_> {
    fn keep<'a>(&'a self, path: &'a Path, _: Kind, name: &'a str) -> BoxFuture<'a, Result<Sha256, Trouble>> {
        let (from, to) = (path.to_owned(), self.0.join(name));
        Box::pin(blocking(move || {
            let kept = copy(&from, &to).and_then(|()| sha256_of(&mut File::open(&to)?));
            Ok(kept.map_err(anima_environment::Error::file("write", &to))?)
        }))
    }

    fn keep_text<'a>(&'a self, text: String, _: Kind, name: &'a str) -> BoxFuture<'a, Result<Sha256, Trouble>> {
        let path = self.0.join(name);
        Box::pin(blocking(move || {
            let kept = fs::write(&path, text).and_then(|()| sha256_of(&mut File::open(&path)?));
            Ok(kept.map_err(anima_environment::Error::file("write", &path))?)
        }))
    }
}

impl Local {
    /// Returns exactly what a root would have, and makes none but those that sources are asked in what they need. A failure is the
    /// platform's or the package's.
    pub async fn lock(
        &self,
        order: &RootOrder,
        watch: Arc<dyn Watch>,
        cancel: &CancellationToken,
    ) -> anyhow::Result<Result<Lock, Failure>> {
        let (journal, scratch) = (journal(watch), self.scratch()?);
        let artifacts = Scratch(&scratch);
        let around = around(&artifacts, &journal, None, cancel);
        let (package, requires) = match self.wanted(order, around, &scratch).await? {
            Ok(wanted) => wanted,
            Err(failure) => return Ok(Err(failure)),
        };
        let inputs = inputs(&order.platform, order.arch);
        let target = Target { platform: &order.platform, package: &package, arch: order.arch, inputs: &inputs };
        told(self.engine.lock(around, &target, &requires).await)
    }

    /// Makes a root.
    pub async fn root(
        &self,
        order: &RootOrder,
        watch: Arc<dyn Watch>,
        cancel: &CancellationToken,
    ) -> anyhow::Result<Result<LocalRoot, Failure>> {
        let (journal, scratch) = (journal(watch), self.scratch()?);
        let artifacts = Scratch(&scratch);
        let around = around(&artifacts, &journal, order.replay.as_ref(), cancel);
        let wanted = match &order.replay {
            Some(_) => Ok((String::new(), Vec::new())),
            None => self.wanted(order, around, &scratch).await?,
        };
        let (package, requires) = match wanted {
            Ok(wanted) => wanted,
            Err(failure) => return Ok(Err(failure)),
        };
        let inputs = inputs(&order.platform, order.arch);
        let target = Target { platform: &order.platform, package: &package, arch: order.arch, inputs: &inputs };
        let made = self.engine.root(around, &mut Phases::new(), &target, &requires).await;
        Ok(told(made)?.map(LocalRoot))
    }

    /// Makes a folder for what is made only to be looked at.
    fn scratch(&self) -> anyhow::Result<PathBuf> {
        let number = self.engine.folder_count.fetch_add(1, Ordering::Relaxed);
        let folder = self.run.folder().join(format!("scratch-{number}"));
        fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
        Ok(folder)
    }

    /// Returns the package, and what its build needs beside the base.
    async fn wanted(
        &self,
        order: &RootOrder,
        around: Around<'_>,
        scratch: &Path,
    ) -> anyhow::Result<Result<(String, Vec<String>), Failure>> {
        let found = match &order.origin {
            None => Ok((String::new(), Vec::new())),
            Some(Origin::Srpm(path)) => {
                let info = PackageInfo::read(path).with_context(|| format!("could not read {}", path.display()))?;
                if !info.is_source {
                    let why = format!("could not use {}: it is no source package", path.display());
                    return Err(Refusal::Asked(why).into());
                }
                let requires = self.of_srpm(order, around, &info.nevra.name, path).await;
                told(requires)?.map(|requires| (info.nevra.name, requires))
            }
            Some(Origin::Folder(folder)) => {
                let tree = WorkTree { folder: folder.clone(), places: order.places.clone() };
                let package = tree.package().map_err(Refusal::Asked)?;
                let requires = self.of_folder(order, around, &package, &tree, scratch).await;
                told(requires)?.map(|requires| (package, requires))
            }
        };
        Ok(found.map(|(package, mut requires)| {
            requires.extend(order.requires.iter().cloned());
            (package, requires)
        }))
    }

    async fn of_srpm(
        &self,
        order: &RootOrder,
        around: Around<'_>,
        package: &str,
        path: &Path,
    ) -> Result<Vec<String>, Trouble> {
        let inputs = inputs(&order.platform, order.arch);
        let target = Target { platform: &order.platform, package, arch: order.arch, inputs: &inputs };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let srpm = SrpmFile { name: &name, path };
        self.engine.all_requires(around, &mut Phases::new(), &target, srpm).await
    }

    /// A spec alone tells it in a second, without large sources; only where sources ask for more a source package is made of them.
    async fn of_folder(
        &self,
        order: &RootOrder,
        around: Around<'_>,
        package: &str,
        tree: &WorkTree,
        scratch: &Path,
    ) -> Result<Vec<String>, Trouble> {
        let inputs = inputs(&order.platform, order.arch);
        let target = Target { platform: &order.platform, package, arch: order.arch, inputs: &inputs };
        let said = self.engine.requires(around, &mut Phases::new(), &target, tree).await?;
        if !said.is_dynamic {
            return Ok(said.named);
        }
        let made = self.engine.src(around, &mut Phases::new(), &target, tree).await?;
        let path = scratch.join(made.nevra.file_name());
        self.of_srpm(order, around, package, &path).await
    }
}

impl LocalRoot {
    /// Returns how a person enters it.
    pub fn entry(&self, local: &Local) -> Entry {
        self.0.entry(&local.engine.helper)
    }

    /// Copies it as it is into a folder that is empty or not there.
    pub async fn copy_to(&self, folder: &Path) -> anyhow::Result<()> {
        Ok(self.0.copy_to(folder).await?)
    }

    /// Unmounts it and removes what was written in it.
    pub async fn remove(self) -> anyhow::Result<()> {
        match self.0.remove().await {
            Ok(()) => Ok(()),
            Err(Trouble::Stopped) => Err(Refusal::Cancelled.into()),
            Err(Trouble::Failed(failure)) => Err(anyhow::Error::msg(failure.message)),
        }
    }
}

fn journal(watch: Arc<dyn Watch>) -> Journal {
    Journal::new(move |bytes| watch.see(Event::Log(bytes)))
}

fn around<'a>(
    artifacts: &'a dyn Artifacts,
    journal: &'a Journal,
    replay: Option<&'a Replay>,
    cancel: &'a CancellationToken,
) -> Around<'a> {
    let (root_journal, about) = (None, None);
    Around { name: "root", master_url: "", replay, artifacts, aftermath: None, journal, root_journal, about, cancel }
}

fn told<T>(result: Result<T, Trouble>) -> anyhow::Result<Result<T, Failure>> {
    match result {
        Ok(done) => Ok(Ok(done)),
        Err(Trouble::Failed(failure)) => Ok(Err(*failure)),
        Err(Trouble::Stopped) => Err(Refusal::Cancelled.into()),
    }
}
