//! Why something could not be read, collected or planned.

use std::path::PathBuf;

use crate::data::Place;

/// Why something could not be read, collected or planned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("could not read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("could not write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is not as it was when it was looked at.
    #[error("could not change {}: somebody else changed it meanwhile; nothing was touched", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A file is not what it should be.
    #[error("could not understand {place}: {reason}")]
    Data {
        /// Where.
        place: Place,
        /// What is wrong.
        reason: String,
    },
    /// A root has no package database, or rpm cannot read it.
    #[error("could not list the packages of {}: {reason}", root.display())]
    Packages {
        /// The root.
        root: PathBuf,
        /// What rpm says.
        reason: String,
    },
    /// A document was written by a newer program.
    #[error("could not use the {what}: it has version {found}, this program knows up to {known}")]
    Version {
        /// What document.
        what: &'static str,
        /// Its version.
        found: u32,
        /// The newest version that is known.
        known: u32,
    },
    /// A repository of the target is not whole.
    #[error("could not use the repository {id}: {reason}")]
    Repository {
        /// The repository.
        id: String,
        /// What is wrong.
        reason: String,
    },
    /// The target's repositories cannot be used.
    #[error("could not use the target's repositories: {0}")]
    Repositories(#[source] anima_solver::Error),
}
