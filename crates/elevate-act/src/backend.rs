//! The ways an upgrade can be done, and which is the best one here.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{
    clones::{Clones, btrfs, lvm},
    error::Error,
    mounts::FileSystems,
};

/// A way to upgrade.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// A clone of the root's subvolume is upgraded and becomes the root.
    Btrfs,
    /// A snapshot of the root's logical volume is upgraded and becomes the root.
    Lvm,
    /// The rehearsed layer is committed in place, with an undo store.
    Layer,
}

/// One that was looked at.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// Which.
    pub backend: Backend,
    /// Why it cannot be used here; none if it can.
    pub obstacle: Option<String>,
}

impl Backend {
    /// All of them, the best first.
    pub const ALL: [Backend; 3] = [Backend::Btrfs, Backend::Lvm, Backend::Layer];

    /// Returns the word of commands and documents.
    pub const fn name(self) -> &'static str {
        match self {
            Backend::Btrfs => "btrfs",
            Backend::Lvm => "lvm",
            Backend::Layer => "layer",
        }
    }
}

impl std::str::FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Backend, String> {
        let found = Backend::ALL.into_iter().find(|backend| backend.name() == text);
        found.ok_or_else(|| format!("it is one of {}", Backend::ALL.map(Backend::name).join(", ")))
    }
}

/// Returns how a backend clones the root, or why it cannot; the layer clones nothing.
fn clones(backend: Backend, root: &Path, systems: &FileSystems) -> Result<Result<Option<Clones>, String>, Error> {
    Ok(match backend {
        Backend::Layer => Ok(None),
        Backend::Btrfs => btrfs::find(root, systems)?.map(|found| Some(Clones::Btrfs(found))),
        Backend::Lvm => lvm::find(root, systems)?.map(|found| Some(Clones::Lvm(found))),
    })
}

/// Returns what can be used on a root, the best first.
pub(crate) fn offers(root: &Path, systems: &FileSystems) -> Result<Vec<Offer>, Error> {
    let offer = |backend| Ok(Offer { backend, obstacle: clones(backend, root, systems)?.err() });
    Backend::ALL.into_iter().map(offer).collect()
}

/// Chooses the one that is wished for, or the best.
pub(crate) fn choose(
    wished: Option<Backend>,
    root: &Path,
    systems: &FileSystems,
) -> Result<(Backend, Option<Clones>), Error> {
    if let Some(backend) = wished {
        let found = clones(backend, root, systems)?;
        return found.map(|clones| (backend, clones)).map_err(|why| Error::Backend { backend: backend.name(), why });
    }
    for backend in Backend::ALL {
        if let Ok(clones) = clones(backend, root, systems)? {
            return Ok((backend, clones));
        }
    }
    unreachable!("the layer can always be used")
}
