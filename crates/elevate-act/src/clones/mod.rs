//! Backends that upgrade a clone of the root: the root itself is never written to, and what changes is which of the two is
//! started. Going back is the same switch the other way.

pub(crate) mod apply;
pub(crate) mod btrfs;
pub(crate) mod lvm;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{error::Error, layer::Change};

/// A clone, and what is changed in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cloned {
    /// How it is made and becomes the root.
    pub clones: Clones,
    /// What is changed in it.
    pub changes: Vec<Change>,
}

/// How a clone is made and becomes the root.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Clones {
    /// By subvolumes.
    Btrfs(btrfs::Subvolumes),
    /// By logical volumes.
    Lvm(lvm::Volumes),
}

/// One of the two systems.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    /// As it was.
    Old,
    /// The clone.
    New,
}

/// A clone that can be worked on.
pub(crate) enum Opened {
    /// Below the top of a btrfs.
    Btrfs {
        /// Keeps it mounted.
        _top: btrfs::Top,
        /// The clone.
        path: PathBuf,
    },
    /// A volume that is mounted.
    Lvm(lvm::Mounted),
}

impl Opened {
    /// Returns its root.
    pub fn path(&self) -> &Path {
        match self {
            Opened::Btrfs { path, .. } => path,
            Opened::Lvm(mounted) => mounted.path(),
        }
    }
}

impl Clones {
    /// Makes a fresh clone of the root, in place of one that was begun.
    pub fn make(&self, state: &Path) -> Result<Opened, Error> {
        match self {
            Clones::Btrfs(subvolumes) => subvolumes.make().map(|(top, path)| Opened::Btrfs { _top: top, path }),
            Clones::Lvm(volumes) => volumes.make(state).map(Opened::Lvm),
        }
    }

    /// Makes one of the two systems the one that starts when nobody says another. Again it does nothing.
    pub fn switch(&self, to: Side) -> Result<(), Error> {
        match self {
            Clones::Btrfs(subvolumes) => subvolumes.switch(to),
            // Its name is in the boot loader's entries only.
            Clones::Lvm(_) => Ok(()),
        }
    }

    /// Removes the system that is not wanted any more. It is refused while that is mounted.
    pub fn remove(&self, side: Side) -> Result<(), Error> {
        match self {
            Clones::Btrfs(subvolumes) => subvolumes.remove(side),
            Clones::Lvm(volumes) => volumes.remove(side),
        }
    }

    /// Tells the new system in a folder that it is the root, where it has to know.
    pub fn name_in(&self, root: &Path) -> Result<(), Error> {
        match self {
            Clones::Btrfs(_) => Ok(()),
            Clones::Lvm(volumes) => volumes.name_in_fstab(root),
        }
    }

    /// Returns options of the kernel that start one of the two, in place of those that are there.
    pub fn boot_options(&self, options: &str, side: Side) -> String {
        match self {
            Clones::Btrfs(subvolumes) => subvolumes.boot_options(options, side),
            Clones::Lvm(volumes) => volumes.boot_options(options, side),
        }
    }

    /// Returns options of the kernel that start the new system when it is kept.
    pub fn kept_options(&self, options: &str) -> String {
        match self {
            Clones::Btrfs(subvolumes) => subvolumes.kept_options(options),
            Clones::Lvm(volumes) => volumes.boot_options(options, Side::New),
        }
    }
}
