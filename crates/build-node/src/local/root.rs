//! Roots without a build: locked, made, entered.

use std::path::Path;
use std::sync::Arc;

use anima_environment::{Journal, Lock, Phases, Replay};
use anima_rpm_file::PackageInfo;
use anima_types::platform::Platform;
use anima_types::work::Failure;
use anima_types::{Arch, Sha256};
use anyhow::Context;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::worktree::WorkTree;
use super::{Event, Local, Origin, Refusal, Watch, inputs};
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
    /// A package whose BuildRequires are installed.
    pub origin: Option<Origin>,
    /// What else is installed.
    pub requires: Vec<String>,
    /// A locked list, in place of all this.
    pub replay: Option<Replay>,
}

/// A mounted root. Dropping it unmounts it and removes what was written in it.
#[derive(Debug)]
pub struct LocalRoot(Workroot);

/// Nothing is made where no build is.
#[derive(Debug)]
struct NoArtifacts;

impl Artifacts for NoArtifacts {
    fn keep<'a>(
        &'a self,
        path: &'a Path,
        _: anima_types::artifact::Kind,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Sha256, Trouble>> {
        unreachable!("{} is of no build", path.display())
    }

    fn keep_text<'a>(
        &'a self,
        _: String,
        _: anima_types::artifact::Kind,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Sha256, Trouble>> {
        unreachable!("{name} is of no build")
    }
}

impl Local {
    /// Returns exactly what a root would have, and makes none. A failure is the platform's or the package's.
    pub async fn lock(
        &self,
        order: &RootOrder,
        watch: Arc<dyn Watch>,
        cancel: &CancellationToken,
    ) -> anyhow::Result<Result<Lock, Failure>> {
        let journal = journal(watch);
        let around = around(&journal, None, cancel);
        let (package, requires) = match self.wanted(order, around).await? {
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
        let journal = journal(watch);
        let around = around(&journal, order.replay.as_ref(), cancel);
        let wanted = match &order.replay {
            Some(_) => Ok((String::new(), Vec::new())),
            None => self.wanted(order, around).await?,
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

    /// Returns the package, and what its build needs beside the base.
    async fn wanted(
        &self,
        order: &RootOrder,
        around: Around<'_>,
    ) -> anyhow::Result<Result<(String, Vec<String>), Failure>> {
        let (package, mut requires) = match &order.origin {
            None => (String::new(), Vec::new()),
            Some(Origin::Srpm(path)) => {
                let info = PackageInfo::read(path).with_context(|| format!("could not read {}", path.display()))?;
                if !info.is_source {
                    let why = format!("could not use {}: it is no source package", path.display());
                    return Err(Refusal::Asked(why).into());
                }
                let requires = info.build_requires().map(ToString::to_string).collect();
                (info.nevra.name, requires)
            }
            Some(Origin::Folder(folder)) => {
                let tree = WorkTree { folder: folder.clone(), places: Vec::new() };
                let package = tree.package().map_err(Refusal::Asked)?;
                let inputs = inputs(&order.platform, order.arch);
                let target = Target { platform: &order.platform, package: &package, arch: order.arch, inputs: &inputs };
                match told(self.engine.requires(around, &mut Phases::new(), &target, &tree).await)? {
                    Ok(requires) => (package, requires),
                    Err(failure) => return Ok(Err(failure)),
                }
            }
        };
        requires.extend(order.requires.iter().cloned());
        Ok(Ok((package, requires)))
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

fn around<'a>(journal: &'a Journal, replay: Option<&'a Replay>, cancel: &'a CancellationToken) -> Around<'a> {
    let (artifacts, root_journal) = (&NoArtifacts, None);
    let about = None;
    Around { name: "root", master_url: "", replay, artifacts, aftermath: None, journal, root_journal, about, cancel }
}

fn told<T>(result: Result<T, Trouble>) -> anyhow::Result<Result<T, Failure>> {
    match result {
        Ok(done) => Ok(Ok(done)),
        Err(Trouble::Failed(failure)) => Ok(Err(*failure)),
        Err(Trouble::Stopped) => Err(Refusal::Cancelled.into()),
    }
}
