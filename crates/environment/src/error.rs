//! Why an environment could not be made.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anima_sandbox::Exit;

/// Finishes the sentence "could not …".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("{action} {}: {source}", path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file it was tried on.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The address is not one that a node reads from.
    #[error("fetch {url}: {reason}")]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The server could not be reached, or the connection broke, after all attempts.
    #[error("fetch {url}: {reason}")]
    Network {
        /// The address.
        url: String,
        /// The last attempt's error.
        reason: String,
    },
    /// The server answered, but not with the file.
    #[error("fetch {url}: the server answered {status}")]
    Status {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The file is larger than it may be.
    #[error("fetch {url}: it is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The address.
        url: String,
        /// The bound.
        limit_bytes: u64,
    },
    /// The file is not what its hash says.
    #[error("accept {url}: its {algorithm} is {actual} and should be {expected}")]
    Hash {
        /// The address.
        url: String,
        /// Which hash.
        algorithm: &'static str,
        /// What the file has.
        actual: String,
        /// What it should have.
        expected: String,
    },
    /// The description of a repository makes no sense.
    #[error("read metadata of repository {name}: {reason}")]
    Metadata {
        /// The repository.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A package or an index is not signed by who should have signed it.
    #[error("trust {what}: {reason}")]
    Signature {
        /// The package or the index.
        what: String,
        /// Why not.
        reason: String,
    },
    /// Packages of a locked list are nowhere.
    #[error("find {count} packages of the lock: {}", names.join(", "))]
    Missing {
        /// How many.
        count: usize,
        /// Some of them.
        names: Vec<String>,
    },
    /// Streams of modules cannot be enabled.
    #[error("solve: {0}")]
    Modules(#[from] anima_repodata::StreamError),
    /// The solver has no answer.
    #[error("{0}")]
    Solver(#[from] anima_solver::Error),
    /// The root could not be made.
    #[error("{0}")]
    Buildroot(#[from] anima_buildroot::Error),
    /// The sandbox could not be used.
    #[error("{0}")]
    Sandbox(#[from] anima_sandbox::Error),
    /// The machine runs no programs of this architecture, and no emulator does it for it.
    #[error("run programs of {arch} on this machine: it is of another architecture, and there is no emulator")]
    Foreign {
        /// The architecture.
        arch: anima_types::Arch,
    },
    /// A command of ours in the root failed.
    #[error("run {command} in the root: {how}")]
    Command {
        /// The command.
        command: String,
        /// How it ended.
        how: String,
    },
    /// The path inside a root leads out of it, or is no plain file.
    #[error("use {path} of the root: {reason}")]
    Inside {
        /// The path inside the root.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The time was over.
    #[error("{action} within {} s", limit.as_secs())]
    TimedOut {
        /// What was done.
        action: String,
        /// The bound.
        limit: Duration,
    },
    /// Somebody stopped the task.
    #[error("go on: the task was cancelled")]
    Cancelled,
}

impl Error {
    /// Makes the error of a file from the system's.
    pub fn file(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
        let path = path.as_ref().to_owned();
        move |source| Error::File { action, path, source }
    }

    /// Returns how installing into a root ended, where it reached a limit.
    pub fn limit_of_layers(&self) -> Option<Exit> {
        match self {
            Error::Buildroot(error) => error.limit(),
            _ => None,
        }
    }

    /// Returns whether the disk is full.
    pub fn is_disk_full(&self) -> bool {
        if let Error::Buildroot(anima_buildroot::Error::Install { log, .. }) = self
            && (log.contains("No space left on device") || log.contains("Disk quota exceeded"))
        {
            return true;
        }
        let mut error: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(this) = error {
            if this.downcast_ref::<io::Error>().is_some_and(is_disk_full) {
                return true;
            }
            error = this.source();
        }
        matches!(self, Error::File { source, .. } if is_disk_full(source))
    }
}

/// Returns whether the disk, or what is allowed of it, is full.
pub fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
