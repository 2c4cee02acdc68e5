//! What can go wrong, with what to do about it.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Finishes the sentence "could not …".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be worked on.
    #[error("{step} {path}: {source}")]
    File {
        /// What was tried.
        step: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A document of ours cannot be read.
    #[error("read {path}: {reason}")]
    Document {
        /// Which.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A package of the transaction is not what was planned.
    #[error(
        "use {path}: it has the SHA-256 {found}, and the plan says {planned}; the repository changed or the download was cut off: plan again"
    )]
    Package {
        /// The package.
        path: PathBuf,
        /// What the plan says.
        planned: String,
        /// What is there.
        found: String,
    },
    /// rpm refused the transaction.
    #[error("rehearse the transaction: rpm ended with {exit}; nothing was changed. It said:\n{said}")]
    Refused {
        /// How rpm ended.
        exit: String,
        /// The end of what it said.
        said: String,
    },
    /// Packages are not signed by a key that the root trusts.
    #[error(
        "take {count} packages, such as {example}; nothing was changed. Import their key if you trust it (`rpm --import`), or say --unsigned"
    )]
    Signatures {
        /// How many.
        count: usize,
        /// One of them, and what is the matter with it.
        example: String,
    },
    /// rpm cannot read the root's database.
    #[error("read the rpm database of {root}: {said}\nTry `rpmdb --rebuilddb` first; nothing was changed")]
    Database {
        /// The root.
        root: PathBuf,
        /// What rpm said.
        said: String,
    },
    /// The root changed while it was rehearsed, or since.
    #[error("act: {count} files are not as they were when it was rehearsed, such as {example}; rehearse again")]
    Changed {
        /// How many.
        count: usize,
        /// One of them.
        example: PathBuf,
    },
    /// What was committed is not what was rehearsed.
    #[error("verify {path}: it is not as it was rehearsed; `rollback` takes everything back")]
    NotAsRehearsed {
        /// Which.
        path: PathBuf,
    },
    /// There is nothing to act with.
    #[error("act: nothing is rehearsed; `rehearse` first")]
    NotRehearsed,
    /// A verb that cannot be in this phase.
    #[error("{verb}: it is {phase}; {hint}")]
    Phase {
        /// What was asked.
        verb: &'static str,
        /// What it is.
        phase: &'static str,
        /// What can be done.
        hint: &'static str,
    },
    /// Another process works on the same root.
    #[error("work on {root}: another process does; wait for it, and look with `status`")]
    Busy {
        /// The root.
        root: PathBuf,
    },
    /// Too little room for the new files and the undo store.
    #[error(
        "act: {needed_bytes} bytes are needed on the file system of {root}, {free_bytes} are free; nothing was changed: make room, and act again"
    )]
    Space {
        /// The root.
        root: PathBuf,
        /// How much it takes.
        needed_bytes: u64,
        /// How much there is.
        free_bytes: u64,
    },
    /// A program of the system failed.
    #[error("run {program}: {said}")]
    Program {
        /// Which.
        program: &'static str,
        /// What it said.
        said: String,
    },
    /// A way to upgrade that was asked for cannot be used here.
    #[error("upgrade by {backend}: {why}")]
    Backend {
        /// Which.
        backend: &'static str,
        /// Why not.
        why: String,
    },
    /// The root has something that this backend cannot work with.
    #[error("{0}")]
    Unsupported(String),
    /// The sandbox around rpm failed.
    #[error("run rpm: could not {0}")]
    Sandbox(#[from] anima_sandbox::Error),
    /// The tree around rpm failed.
    #[error("run rpm: could not {0}")]
    Rpm(#[from] anima_buildroot::Error),
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
