//! Fetches what another distribution has where. A repository that was read once is not read again while it is the same.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use anima_environment::{Downloads, Error, Result, blocking, read_indexes};
use anima_repodata::{Package, PrimaryReader, Repository, unpacked_file};
use anima_types::{
    Nevra,
    work::{Input, ReferenceInput},
};
use tokio_util::sync::CancellationToken;

use crate::{import::folder, reference::Reference};

/// Repositories that are remembered: those of two distributions with five architectures.
const MAX_KEPT: usize = 64;

/// The packages of a repository with the names of their sources.
type Packages = Arc<Vec<(Nevra, String)>>;

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct References(Mutex<BTreeMap<String, Packages>>);

impl References {
    /// Reads all repositories.
    pub async fn read(
        &self,
        inputs: &[ReferenceInput],
        downloads: &Downloads,
        cancel: &CancellationToken,
    ) -> Result<Reference> {
        let mut reference = Reference::default();
        for input in inputs {
            let packages = self.one(input, downloads, cancel).await?;
            reference.add(&input.path, packages.iter().cloned());
        }
        Ok(reference)
    }

    async fn one(&self, input: &ReferenceInput, downloads: &Downloads, cancel: &CancellationToken) -> Result<Packages> {
        let wrong =
            |error: anima_repodata::Error| Error::Metadata { name: input.url.clone(), reason: error.to_string() };
        if let Some(folder) = folder(&input.url) {
            let opened = Repository::open(&folder).map_err(wrong)?;
            let key = opened.repomd.record("primary").map_err(wrong)?.checksum.hex.clone();
            let read = move || Ok(sources(opened.read_packages()?));
            return self.kept(&key, read).await.map_err(wrong);
        }
        let input_of = Input { name: input.path.clone(), url: input.url.clone(), ..Input::default() };
        let indexes = read_indexes(downloads, std::slice::from_ref(&input_of), cancel).await?;
        let index = &indexes[0];
        let files = index.fetch(downloads, false, cancel).await?;
        let name = input.url.clone();
        let read = move || {
            let packages: anima_repodata::Result<Vec<Package>> =
                PrimaryReader::new(unpacked_file(&files.primary)?, &name).collect();
            Ok(sources(packages?))
        };
        self.kept(index.key(), read).await.map_err(wrong)
    }

    async fn kept(
        &self,
        key: &str,
        read: impl FnOnce() -> anima_repodata::Result<Vec<(Nevra, String)>> + Send + 'static,
    ) -> anima_repodata::Result<Packages> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(packages) = lock().get(key) {
            return Ok(packages.clone());
        }
        let packages = Arc::new(blocking(read).await?);
        let mut kept = lock();
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(key.to_string(), packages.clone());
        Ok(packages)
    }
}

fn sources(packages: Vec<Package>) -> Vec<(Nevra, String)> {
    let source = |package: &Package| {
        let mut parts = package.source_rpm.rsplitn(3, '-');
        let (_release, _version) = (parts.next(), parts.next());
        parts.next().unwrap_or(&package.nevra.name).to_string()
    };
    packages.into_iter().map(|package| (package.nevra.clone(), source(&package))).collect()
}
