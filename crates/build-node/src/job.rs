//! One task on this node: what both kinds of task have at hand.

use std::path::{Path, PathBuf};

use anima_client::lease::Context;
use anima_environment::{Environments, Journal, Phases, Wishes};
use anima_types::artifact::Kind;
use anima_types::work::{FileRef, Input};
use anima_types::{Arch, Sha256, platform::Platform};
use tokio_util::sync::CancellationToken;

use crate::trouble::Trouble;
use crate::workroot::Workroot;

/// A locked list is an artifact under this name.
const LOCK_NAME: &str = "buildroot.lock.json";

/// A task that is being done.
#[derive(Debug)]
pub struct Job<'a> {
    /// Makes roots.
    pub environments: &'a Environments,
    /// The program that sandboxes are started with.
    pub helper: &'a Path,
    /// What one task may use of the machine's memory.
    pub memory_bytes: Option<u64>,
    /// The lease's side.
    pub context: &'a Context,
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
        platform: &Platform,
        arch: Arch,
        inputs: &[Input],
        extra: &[String],
    ) -> Result<Workroot, Trouble> {
        let wishes = Wishes {
            platform: &platform.name,
            arch,
            inputs,
            base: &platform.buildroot.packages,
            extra,
            without_docs: true,
        };
        let environment = self.environments.prepare(wishes, &self.journal, phases, &self.cancel).await?;
        Workroot::new(environment, platform, arch, self.memory_bytes)
    }

    /// Uploads the list of what was in the root.
    pub async fn upload_lock(&self, workroot: &Workroot) -> Result<Sha256, Trouble> {
        let lock = workroot.environment().lock_json.clone();
        Ok(self.context.upload_bytes(lock, Kind::Lock, LOCK_NAME).await?.sha256)
    }

    /// Returns a file of the lease on this machine, its hash compared.
    pub async fn fetch(&self, file: &FileRef) -> Result<PathBuf, anima_environment::Error> {
        let wanted = anima_environment::Wanted {
            url: file.url.clone(),
            hash: file.sha256.into(),
            size_bytes: Some(file.size_bytes),
        };
        self.environments.downloads().get(&wanted, &self.cancel).await
    }
}
