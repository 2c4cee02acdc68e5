//! The target's repositories, as they lie in folders.

use std::path::{Path, PathBuf};

use anima_repodata::{Checksum, Record, Repomd, Streams};
use anima_solver::{DEFAULT_PRIORITY, Pool, RepodataFiles};

use super::{Target, TargetRepository};
use crate::{Error, Result, data::Place};

/// The target with its repositories, which were compared with what their indexes say.
#[derive(Debug)]
pub struct Repositories {
    /// The target.
    pub(super) target: Target,
    /// What they say of modules.
    pub(super) streams: Streams,
    found: Vec<(String, Files)>,
}

impl Repositories {
    /// Reads all of them, in the order of their names, so that the order in which they were named changes nothing.
    pub fn read(target: &Target) -> Result<Repositories> {
        let mut read = Repositories { target: target.clone(), streams: Streams::default(), found: Vec::new() };
        let mut repositories: Vec<&TargetRepository> = target.repositories.iter().collect();
        repositories.sort_by(|a, b| a.id.cmp(&b.id));
        for repository in repositories {
            let mut found = files(repository, target.cache.as_deref())?;
            if let Some(modules) = found.modules.take() {
                read.streams.merge(modules);
            }
            read.found.push((repository.id.clone(), found));
        }
        Ok(read)
    }

    /// Gives them to the solver.
    pub(super) fn load(&self, pool: &mut Pool) -> Result<()> {
        for (id, Files { primary, filelists, cache, .. }) in &self.found {
            let files = RepodataFiles { primary, filelists: filelists.as_deref(), cache: cache.as_deref() };
            pool.add_repository(id, DEFAULT_PRIORITY, &files).map_err(Error::Repositories)?;
        }
        Ok(())
    }
}

/// The files of a repository that count, verified.
#[derive(Debug)]
struct Files {
    primary: PathBuf,
    filelists: Option<PathBuf>,
    cache: Option<PathBuf>,
    modules: Option<Streams>,
}

fn files(repository: &TargetRepository, cache: Option<&Path>) -> Result<Files> {
    let path = repository.folder.join("repodata/repomd.xml");
    let bytes = read(&path)?;
    let wrong = |reason: String| Error::Data { place: Place { file: path.clone(), line: 1, column: 1 }, reason };
    let repomd = Repomd::parse(&bytes).map_err(|error| wrong(error.to_string()))?;
    let primary = repomd.record("primary").map_err(|error| wrong(error.to_string()))?;
    let primary_path = verified(repository, primary)?;
    // A repository without files of its own has a stub of them.
    let filelists = repomd.record("filelists").ok();
    let filelists_path = filelists.map(|record| verified(repository, record)).transpose()?;
    // Named by what is in it, so that a repository that changed is read anew.
    let name = |folder: &Path| {
        let filelists = filelists.map(|record| record.checksum.hex.as_str()).unwrap_or_default();
        folder.join(format!("{}-{:.16}.solv", primary.checksum.hex, filelists))
    };
    let modules = repomd.record("modules").ok().map(|record| streams(repository, record)).transpose()?;
    Ok(Files { primary: primary_path, filelists: filelists_path, cache: cache.map(name), modules })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })
}

/// Returns the path of a file that the index names, once it is what the index says: a mirror may have been cut off.
fn verified(repository: &TargetRepository, record: &Record) -> Result<PathBuf> {
    let path = repository.folder.join(&record.location);
    let refused = |reason: String| Error::Repository { id: repository.id.clone(), reason };
    if record.location.split('/').any(|part| part == "..") || record.location.starts_with('/') {
        return Err(refused(format!("its index names a file outside of it: {}", record.location)));
    }
    let bytes = read(&path)?;
    if record.size_bytes.is_some_and(|size| size != bytes.len() as u64) {
        let size = record.size_bytes.unwrap_or_default();
        let reason = format!("{} has {} of {size} bytes; fetch it again", record.location, bytes.len());
        return Err(refused(reason));
    }
    if record.checksum.kind == "sha256" && Checksum::sha256(&bytes) != record.checksum {
        return Err(refused(format!("{} is not what the index says; fetch it again", record.location)));
    }
    Ok(path)
}

/// Returns the modules that a file of the index has.
fn streams(repository: &TargetRepository, record: &Record) -> Result<Streams> {
    let bytes = read(&verified(repository, record)?)?;
    let refused =
        |error: anima_repodata::Error| Error::Repository { id: repository.id.clone(), reason: error.to_string() };
    Streams::read(&record.location, bytes.as_slice()).map_err(refused)
}

/// Returns whether a repository has a package of that name.
pub fn has(pool: &mut Pool, name: &str) -> bool {
    let is_it = |nevra: &String| super::fate::name_of(nevra) == name;
    pool.what_provides(name).is_ok_and(|found| found.iter().any(is_it))
}
