//! The folder of one order: locked while its process lives, removed by it or by the next one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};

/// The end of a lock's name.
const LOCK_END: &str = ".lock";

/// A folder that is this process's own.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    lock: PathBuf,
    _held: File,
}

impl Run {
    /// Makes a folder, after removing those whose processes are gone.
    pub fn begin(runs: &Path) -> anyhow::Result<Run> {
        fs::create_dir_all(runs).with_context(|| format!("could not make {}", runs.display()))?;
        sweep(runs)?;
        for number in 0.. {
            let folder = runs.join(format!("{}-{number}", std::process::id()));
            if let Some(run) = Run::take(&folder)? {
                fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
                return Ok(run);
            }
        }
        unreachable!("a process has only so many orders")
    }

    /// Returns where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes a folder, if nobody has it.
    fn take(folder: &Path) -> anyhow::Result<Option<Run>> {
        let lock = lock_of(folder);
        let held = File::create(&lock).with_context(|| format!("could not open {}", lock.display()))?;
        if flock(&held, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(None);
        }
        Ok(Some(Run { folder: folder.to_owned(), lock, _held: held }))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // What cannot be removed here is left to the next one. The lock goes last.
        let _ = fs::remove_dir_all(&self.folder);
        let _ = fs::remove_file(&self.lock);
    }
}

fn lock_of(folder: &Path) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(LOCK_END);
    name.into()
}

fn sweep(runs: &Path) -> anyhow::Result<()> {
    let step = || format!("could not read {}", runs.display());
    for entry in fs::read_dir(runs).with_context(step)? {
        let path = entry.with_context(step)?.path();
        if path.is_dir() {
            // Dropped at once, and with it the folder of a process that is gone.
            Run::take(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_lives_is_not() {
        let runs = tempfile::tempdir().unwrap();
        let living = Run::begin(runs.path()).unwrap();
        fs::write(living.folder().join("file"), "x").unwrap();
        fs::create_dir_all(runs.path().join("99999999-0/build")).unwrap();

        let next = Run::begin(runs.path()).unwrap();

        assert_ne!(next.folder(), living.folder());
        assert!(living.folder().join("file").exists() && !runs.path().join("99999999-0").exists());
        drop((living, next));
        assert_eq!(fs::read_dir(runs.path()).unwrap().count(), 0);
    }
}
