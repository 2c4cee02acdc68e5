//! Working folders: each is locked while the process that made it lives.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::mount::{UnmountFlags, unmount};

use crate::error::At;
use crate::hold::Hold;
use crate::overlay::{Folders, Overlay};
use crate::{Error, tree};

/// The end of the name of a working folder's lock.
const LOCK_END: &str = ".lock";
/// Where the overlay is mounted.
const MOUNT: &str = "root";

/// Tells the working folders of this process apart.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A working folder with an overlay in it. Dropping it unmounts and removes all of it.
#[derive(Debug)]
pub(crate) struct Work {
    overlay: Option<Overlay>,
    dir: PathBuf,
    /// Removed last: as long as it is held, the sweep stays away.
    hold: Option<Hold>,
}

impl Work {
    /// Mounts the trees `lowers`, from the top down, below an empty upper.
    pub(crate) fn mount(works: &Path, lowers: &[PathBuf]) -> Result<Work, Error> {
        let name = format!("{}-{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let dir = works.join(&name);
        let hold = Hold::exclusive(&lock_of(works, &name))?;
        let mut work = Work { overlay: None, dir, hold: Some(hold) };
        // An earlier process of the same number may have been killed.
        work.empty()?;
        for path in [work.dir.clone(), work.upper(), work.dir.join("work"), work.root(), work.dir.join("empty")] {
            fs::create_dir(&path).at("make", &path)?;
        }
        let empty = [work.dir.join("empty")];
        let lowers = if lowers.is_empty() { &empty } else { lowers };
        let (upper, scratch, target) = (work.upper(), work.dir.join("work"), work.root());
        let folders = Folders { lowers, upper: &upper, work: &scratch, target: &target };
        work.overlay = Some(Overlay::mount(folders).at("mount overlay at", &target)?);
        Ok(work)
    }

    /// The folder, for what else the work needs.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The whole tree.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.join(MOUNT)
    }

    /// What was written.
    pub(crate) fn upper(&self) -> PathBuf {
        self.dir.join("upper")
    }

    pub(crate) fn unmount(&mut self) -> Result<(), Error> {
        let root = self.root();
        self.overlay.take().map_or(Ok(()), Overlay::unmount).at("unmount", &root)
    }

    pub(crate) fn remove(mut self) -> Result<(), Error> {
        self.clear()
    }

    fn clear(&mut self) -> Result<(), Error> {
        self.unmount()?;
        self.empty()?;
        self.hold.take().map_or(Ok(()), Hold::remove)
    }

    fn empty(&self) -> Result<(), Error> {
        detach(&self.dir.join(MOUNT))?;
        tree::remove(&self.dir).at("remove", &self.dir)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if self.hold.is_some() {
            // What cannot be removed here is left to the sweep.
            let _ = self.clear();
        }
    }
}

/// Removes the working folders of processes that are gone; returns how many.
pub(crate) fn sweep(works: &Path) -> Result<u64, Error> {
    let mut removed_count = 0;
    for entry in fs::read_dir(works).at("read", works)? {
        let name = entry.at("read", works)?.file_name();
        let Some(name) = name.to_str() else { continue };
        let name = name.strip_suffix(LOCK_END).unwrap_or(name);
        let Some(hold) = Hold::try_exclusive(&lock_of(works, name))? else { continue };
        let dead = Work { overlay: None, dir: works.join(name), hold: Some(hold) };
        removed_count += u64::from(dead.dir.exists());
        dead.remove()?;
    }
    Ok(removed_count)
}

fn lock_of(works: &Path, name: &str) -> PathBuf {
    works.join(format!("{name}{LOCK_END}"))
}

/// Unmounts what a killed process left mounted; more than once if it was mounted more than once.
pub(crate) fn detach(target: &Path) -> Result<(), Error> {
    use rustix::io::Errno;
    loop {
        match unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) => {}
            // Nothing is mounted there, or there is nothing.
            Err(Errno::INVAL | Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(error) => return Err(error).at("unmount", target),
        }
    }
}
