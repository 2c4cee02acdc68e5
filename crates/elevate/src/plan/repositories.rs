//! The target's repositories, as they lie in folders.

use std::path::PathBuf;

use anima_repodata::Repomd;
use anima_solver::{DEFAULT_PRIORITY, Pool, RepodataFiles};

use super::{Target, TargetRepository};
use crate::{Error, Result, data::Place};

/// Adds all of them, in the order of their names, so that the order in which they were named changes nothing.
pub fn load(pool: &mut Pool, target: &Target) -> Result<()> {
    let mut repositories: Vec<&TargetRepository> = target.repositories.iter().collect();
    repositories.sort_by(|a, b| a.id.cmp(&b.id));
    for repository in repositories {
        let (primary, filelists) = files(repository)?;
        let files = RepodataFiles { primary: &primary, filelists: filelists.as_deref(), cache: None };
        pool.add_repository(&repository.id, DEFAULT_PRIORITY, &files).map_err(Error::Repositories)?;
    }
    Ok(())
}

fn files(repository: &TargetRepository) -> Result<(PathBuf, Option<PathBuf>)> {
    let path = repository.folder.join("repodata/repomd.xml");
    let bytes = std::fs::read(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
    let wrong = |reason: String| Error::Data { place: Place { file: path.clone(), line: 1, column: 1 }, reason };
    let repomd = Repomd::parse(&bytes).map_err(|error| wrong(error.to_string()))?;
    let primary = repomd.record("primary").map_err(|error| wrong(error.to_string()))?;
    let filelists = repomd.record("filelists").ok();
    // A repository without files of its own has a stub of them.
    Ok((repository.folder.join(&primary.location), filelists.map(|record| repository.folder.join(&record.location))))
}

/// Returns whether a repository has a package of that name.
pub fn has(pool: &mut Pool, name: &str) -> bool {
    let is_it = |nevra: &String| super::fate::name_of(nevra) == name;
    pool.what_provides(name).is_ok_and(|found| found.iter().any(is_it))
}
