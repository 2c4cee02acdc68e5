//! A mounted root: what a build runs in.

use std::path::{Path, PathBuf};

use crate::layers::Layer;
use crate::work::Work;
use crate::{Error, tree};

/// A clean root over a layer. Dropping it unmounts it and removes what was written.
#[derive(Debug)]
pub struct Root {
    work: Work,
    path: PathBuf,
    /// Dropped after the mount: its layers must not be swept before.
    layer: Layer,
}

impl Root {
    pub(crate) fn mount(layer: &Layer) -> Result<Root, Error> {
        let work = Work::mount(&layer.dirs().works, &layer.trees())?;
        Ok(Root { path: work.root(), work, layer: layer.clone() })
    }

    /// Returns where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the folder of the host that everything goes to that is written in it.
    pub fn written(&self) -> PathBuf {
        self.work.upper()
    }

    /// Returns what was written or removed in it since it was mounted, as paths from the root, folders left out.
    pub fn changed(&self) -> Result<Vec<PathBuf>, Error> {
        let upper = self.work.upper();
        tree::files(&upper).map_err(|source| Error::File { step: "read", path: upper, source })
    }

    pub(crate) fn into_parts(self) -> (Work, Layer) {
        (self.work, self.layer)
    }

    /// Unmounts it and removes what was written, and tells when that was not possible.
    pub fn remove(self) -> Result<(), Error> {
        self.work.remove()
    }
}
