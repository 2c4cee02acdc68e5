//! Why a root could not be had.

use std::io;
use std::path::{Path, PathBuf};

use anima_sandbox::Exit;

/// Finishes the sentence "could not …".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A step with a file or folder failed.
    #[error("{step} {}: {source}", path.display())]
    File {
        /// What was done.
        step: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A kept root is mounted already.
    #[error("enter {name}: somebody is in it")]
    InUse {
        /// The root.
        name: String,
    },
    /// A root of that name was kept before, and somebody is in it.
    #[error("take the place of the earlier {name}: somebody is in it")]
    StillEntered {
        /// The root.
        name: String,
    },
    /// A layer is not as it was made, and cannot be made again under who uses it.
    #[error(
        "use layer {name}: its files were changed or lost, and somebody uses it still; when the tasks and shells in it have \
         ended, it is made again"
    )]
    Damaged {
        /// The layer.
        name: String,
    },
    /// The locked list makes no sense.
    #[error("use locked list: {0}")]
    Lock(String),
    /// A package is not the one that was locked.
    #[error("install {nevra}: {} has SHA-256 {found}, locked is {locked}", path.display())]
    Checksum {
        /// The package.
        nevra: String,
        /// The file.
        path: PathBuf,
        /// What the lock says.
        locked: String,
        /// What the file has.
        found: String,
    },
    /// rpm refused, or did something else than it was told.
    #[error("install {package_count} packages: {why}\n{log}")]
    Install {
        /// How many were to be installed.
        package_count: usize,
        /// What went wrong.
        why: String,
        /// How rpm ended.
        exit: Exit,
        /// The end of rpm's output.
        log: String,
    },
    /// Whoever wanted the layer wants it no more.
    #[error("install packages: it was stopped")]
    Stopped,
    /// The sandbox around rpm failed.
    #[error("install packages: could not {0}")]
    Sandbox(#[from] anima_sandbox::Error),
}

impl Error {
    /// Returns how rpm and its scripts ended, where they reached a limit: that is no word on the packages, which may install where there
    /// is more.
    pub fn limit(&self) -> Option<Exit> {
        match self {
            Error::Install { exit: Exit::Exited(_) | Exit::Signaled(_) | Exit::Canceled, .. } => None,
            Error::Install { exit, .. } => Some(*exit),
            _ => None,
        }
    }
}

/// Adds to an error what was done to which file.
pub(crate) trait At<T> {
    fn at(self, step: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, step: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::File { step, path: path.to_owned(), source: source.into() })
    }
}
