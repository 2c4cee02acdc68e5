//! A root from a locked list alone: nothing is solved, and no repository has to be there.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anima_buildroot::{LayerPackage, LockInput, Most};
use anima_solver::{Lock, LockedPackage};
use anima_types::dist_git::Algorithm;
use anima_types::platform::Bootstrap;
use anima_types::work::{Input, Usage};
use tokio_util::sync::CancellationToken;

use crate::environments::{BOOTSTRAP, Source, source};
use crate::run::blocking;
use crate::{Environment, Environments, Error, FileHash, Journal, Phases, Result, hash_file};

/// Folders of packages are searched so deep: a mirror has its packages three folders down.
const MAX_DEPTH: usize = 8;
/// An error names so many missing packages.
const NAMED: usize = 5;

/// A locked list, and where its packages may be.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// The list.
    pub lock: Lock,
    /// Folders with packages, whatever their files are called.
    pub folders: Vec<PathBuf>,
    /// Repositories that are asked for what is in no folder, by the names that the list has for them.
    pub inputs: Vec<Input>,
    /// Whose rpm installs them.
    pub bootstrap: Bootstrap,
}

impl Environments {
    /// Makes an environment of exactly the packages of a list. Each comes from the cache or a folder, by its hash, or else
    /// from the repository that the list names.
    pub async fn replay(
        &self,
        replay: &Replay,
        platform: &str,
        most: Most,
        journal: &Journal,
        phases: &mut Phases,
        cancel: &CancellationToken,
    ) -> Result<Environment> {
        let making = self.make_locked(replay, platform, most, journal, cancel);
        let (mut made, usage) = phases.time("buildroot", making).await?;
        phases.used("buildroot", usage);
        let hit = if made.layers_hit { "layer hit" } else { "layer made" };
        let count = replay.lock.packages.len();
        made.summary = format!("buildroot: {count} packages as locked, {hit}, {:.2} s", phases.secs("buildroot"));
        journal.say(&made.summary);
        Ok(made)
    }

    async fn make_locked(
        &self,
        replay: &Replay,
        platform: &str,
        most: Most,
        journal: &Journal,
        cancel: &CancellationToken,
    ) -> Result<(Environment, Usage)> {
        let mut usage = Usage::default();
        let hashes = replay.lock.packages.iter().map(hash_of).collect::<Result<Vec<_>>>()?;
        let emulators = self.emulators_for(&replay.lock)?;
        let emulated = |input: LockInput| LockInput { emulators: emulators.clone(), ..input };
        // Where the files are is asked only when the layer is not there.
        let nowhere = vec![PathBuf::new(); hashes.len()];
        let looked_for = input(replay, platform, nowhere)?;
        let (layer, layers_hit) = match self.find_layer_on(&looked_for, None).await? {
            Some(layer) => (layer, true),
            None => {
                let paths = self.locked_files(replay, &hashes, cancel).await?;
                journal.say(format!("buildroot: installing {} packages into a new layer", paths.len()));
                let _maker = match replay.bootstrap {
                    Bootstrap::Host => None,
                    Bootstrap::Own => {
                        let maker = emulated(bootstrap_input(replay, platform, paths.clone()));
                        let (maker, used) = self.make_layer(maker, None, most, cancel).await?;
                        usage = usage.and(used);
                        Some(maker)
                    }
                };
                let input = emulated(input(replay, platform, paths)?);
                let (layer, used) = self.make_layer(input, None, most, cancel).await?;
                usage = usage.and(used);
                (layer, false)
            }
        };
        Ok((self.mount(layer, replay.lock.clone(), layers_hit).await?, usage))
    }

    async fn locked_files(
        &self,
        replay: &Replay,
        hashes: &[FileHash],
        cancel: &CancellationToken,
    ) -> Result<Vec<PathBuf>> {
        let folders = replay.folders.clone();
        let by_size = blocking(move || files_by_size(&folders)).await;
        let mut paths = Vec::with_capacity(hashes.len());
        let mut missing = Vec::new();
        for (package, hash) in replay.lock.packages.iter().zip(hashes) {
            if let Some(path) = self.downloads().kept(hash, package.size_bytes).await? {
                paths.push(path);
                continue;
            }
            let (candidates, wanted) = (by_size.get(&package.size_bytes).cloned().unwrap_or_default(), hash.clone());
            if let Some(path) = blocking(move || candidates.into_iter().find(|path| has_hash(path, &wanted))).await {
                paths.push(path);
                continue;
            }
            match replay.inputs.iter().any(|input| input.name == package.repository) {
                true => {
                    let Source { wanted, .. } = source(package, &replay.inputs)?;
                    paths.push(self.downloads().get(&wanted, cancel).await?);
                }
                false => missing.push(package.nevra()),
            }
        }
        match missing.is_empty() {
            true => Ok(paths),
            false => Err(Error::Missing { count: missing.len(), names: missing.into_iter().take(NAMED).collect() }),
        }
    }
}

fn hash_of(package: &LockedPackage) -> Result<FileHash> {
    FileHash::of_metadata(&package.checksum_type, &package.checksum)
        .filter(|hash| hash.algorithm == Algorithm::Sha256)
        .ok_or_else(|| Error::Metadata {
            name: package.repository.clone(),
            reason: format!("{} has no SHA-256, but a \"{}\"", package.nevra(), package.checksum_type),
        })
}

fn input(replay: &Replay, platform: &str, paths: Vec<PathBuf>) -> Result<LockInput> {
    let made_by = match replay.bootstrap {
        Bootstrap::Host => None,
        Bootstrap::Own => Some(bootstrap_input(replay, platform, paths.clone()).layer_name(None)?),
    };
    Ok(LockInput { made_by, ..plain_input(replay, platform, paths) })
}

/// Returns what the root is made from whose rpm makes the other.
fn bootstrap_input(replay: &Replay, platform: &str, paths: Vec<PathBuf>) -> LockInput {
    let plain = plain_input(replay, platform, paths);
    LockInput { configuration: plain.configuration + BOOTSTRAP, ..plain }
}

fn plain_input(replay: &Replay, platform: &str, paths: Vec<PathBuf>) -> LockInput {
    let packages = replay.lock.packages.iter().zip(paths).map(|(package, path)| LayerPackage {
        nevra: package.nevra(),
        sha256: package.checksum.clone(),
        path,
    });
    LockInput {
        packages: packages.collect(),
        configuration: format!("{platform} {}", replay.lock.arch),
        macros: crate::environments::macros(true),
        made_by: None,
        emulators: Vec::new(),
    }
}

/// Returns the packages below folders, by their sizes: only what has the right one is hashed.
fn files_by_size(folders: &[PathBuf]) -> HashMap<u64, Vec<PathBuf>> {
    let mut found = HashMap::new();
    folders.iter().for_each(|folder| collect(folder, 0, &mut found));
    found
}

fn collect(folder: &Path, depth: usize, found: &mut HashMap<u64, Vec<PathBuf>>) {
    let entries = if depth < MAX_DEPTH { std::fs::read_dir(folder).ok() } else { None };
    for entry in entries.into_iter().flatten().flatten() {
        let path = entry.path();
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => collect(&path, depth + 1, found),
            Ok(metadata) if metadata.is_file() => found.entry(metadata.len()).or_default().push(path),
            // What cannot be looked at is not there: what is missing is told.
            _ => {}
        }
    }
}

fn has_hash(path: &Path, wanted: &FileHash) -> bool {
    let hashed = File::open(path).and_then(|mut file| hash_file(&mut file, wanted.algorithm));
    hashed.is_ok_and(|hash| hash == *wanted)
}
