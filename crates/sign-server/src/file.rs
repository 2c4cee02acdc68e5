//! Files of the Sign Server's own folder, which nobody else may read.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// A file or folder that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("could not use {path}: {source}", path = path.display())]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

impl Error {
    /// Returns what makes an error of the system's answer about `path`.
    pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> Error {
        move |source| Error { path: path.to_path_buf(), source }
    }

    /// Returns whether there is no room left.
    pub fn is_full(&self) -> bool {
        self.source.kind() == io::ErrorKind::StorageFull
    }
}

/// Makes a folder that only we can enter, where it is absent.
pub(crate) fn make_private_dir(path: &Path) -> Result<(), Error> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(Error::at(path))
}

/// Writes a file that only we can read, whole or not at all, and waits until it is on the disk.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let half = path.with_extension("half");
    let mut options = OpenOptions::new();
    let mut out = options.write(true).create(true).truncate(true).mode(0o600).open(&half).map_err(Error::at(&half))?;
    out.write_all(bytes).and_then(|()| out.sync_all()).map_err(Error::at(&half))?;
    fs::rename(&half, path).map_err(Error::at(path))?;
    match path.parent() {
        Some(dir) => fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::at(dir)),
        None => Ok(()),
    }
}
