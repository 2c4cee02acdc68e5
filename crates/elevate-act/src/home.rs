//! Where the journal is: old and new system have to see the same one.

use std::path::{Path, PathBuf};

use crate::{
    clones::{Clones, btrfs},
    error::Error,
    journal::STORE,
    mounts::FileSystems,
};

/// Journals beside logical volumes are there: it is a file system of its own.
pub(crate) const BOOT: &str = "boot";

/// A folder for a journal, and what keeps it mounted.
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    _top: Option<btrfs::Top>,
}

impl Home {
    /// Returns the one of a clone, or of an upgrade in place.
    pub fn of(root: &Path, clones: Option<&Clones>) -> Result<Home, Error> {
        match clones {
            None => Ok(Home { path: root.join(STORE), _top: None }),
            Some(Clones::Lvm(_)) => Ok(Home { path: root.join(BOOT).join(STORE), _top: None }),
            Some(Clones::Btrfs(subvolumes)) => Home::at_top(&subvolumes.source),
        }
    }

    fn at_top(source: &str) -> Result<Home, Error> {
        let top = btrfs::Top::open(source)?;
        Ok(Home { path: top.path().join(STORE), _top: Some(top) })
    }

    /// Returns all places where one of this root may be.
    pub fn all(root: &Path, state: &Path) -> Result<Vec<Home>, Error> {
        let mut homes = vec![Home::of(root, None)?];
        let systems = FileSystems::of(root, state)?;
        let own = systems.own()?;
        if own.kind == btrfs::KIND && rustix::process::geteuid().is_root() {
            homes.push(Home::at_top(&own.source)?);
        }
        if systems.covered.iter().any(|system| system.place == Path::new(BOOT)) {
            homes.push(Home { path: root.join(BOOT).join(STORE), _top: None });
        }
        Ok(homes)
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
