//! What can go wrong, in words that finish "could not ...".

use std::path::PathBuf;

use crate::Problem;

/// Every failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The architecture has no name that a package could carry.
    #[error("solve for architecture {arch:?}: it is no architecture's name")]
    Architecture {
        /// What was given.
        arch: String,
    },
    /// A repository of this name is there already, or the name is unusable.
    #[error("add repository {name:?}: {reason}")]
    Repository {
        /// The repository's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file could not be opened, read or written.
    #[error("{action} {path}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A metadata file is not what it should be.
    #[error("read metadata of repository {repository} from {path}: {reason}")]
    Metadata {
        /// The repository's name.
        repository: String,
        /// The file.
        path: PathBuf,
        /// What libsolv or the check of the document says.
        reason: String,
    },
    /// The package database of a root could not be read.
    #[error("read installed packages of {root}: {reason}")]
    Installed {
        /// The root.
        root: PathBuf,
        /// What libsolv says.
        reason: String,
    },
    /// A line of the request is no dependency, name or pattern.
    #[error("understand {text:?} in the request: {reason}")]
    Request {
        /// The line.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The metadata of a chosen package is unusable or dangerous.
    #[error("use package {package} of repository {repository}: {reason}")]
    Package {
        /// The package's NEVRA.
        package: String,
        /// The repository's name.
        repository: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The wishes cannot be met together.
    #[error("find packages for the request: {0}")]
    Unsolvable(Problem),
    /// A lock document is unreadable.
    #[error("read lock: {reason}")]
    Lock {
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// The explanation, when the wishes cannot be met.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Unsolvable(problem) => Some(problem),
            _ => None,
        }
    }
}
