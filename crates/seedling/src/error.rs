//! What can go wrong while a seed is made.

use std::{io, path::PathBuf};

/// An error of `seedling`; its text finishes the sentence "could not ...".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder refused.
    #[error("{action} {}: {source}", path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program is not there or cannot be started.
    #[error("start {program}: {source} (is it installed? scripts/install-system-packages does it)")]
    Start {
        /// The program's name.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// A program ended badly.
    #[error("finish {program}: {status}\n{output}")]
    Failed {
        /// The program and its first arguments.
        program: String,
        /// How it ended.
        status: String,
        /// The end of what it said.
        output: String,
    },
    /// No package lists are there, neither from the network nor from an earlier run.
    #[error("refresh the package lists, and none are cached: {0}")]
    NoPackageLists(String),
    /// apt printed something else than a list of files.
    #[error("read apt's list of files: {0}")]
    AptAnswer(String),
    /// A Debian package does not look like one.
    #[error("read package {package}: {reason}")]
    Package {
        /// The file's name.
        package: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Several packages could not be converted.
    #[error("convert {} package(s):\n{}", .0.len(), .0.join("\n"))]
    Conversion(Vec<String>),
    /// Requirements that nothing in the repository provides.
    #[error("close the repository; {} requirement(s) unmet:\n{}", .0.len(), .0.join("\n"))]
    Unmet(Vec<String>),
    /// Repository metadata that cannot be read back.
    #[error("read {}: {reason}", path.display())]
    Metadata {
        /// The metadata file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// A result of `seedling`.
pub type Result<T> = std::result::Result<T, Error>;

/// Returns a function that wraps an [`io::Error`] with what was tried on which path.
pub fn on<'a>(action: &'static str, path: impl Into<PathBuf> + 'a) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::File { action, path: path.into(), source }
}
