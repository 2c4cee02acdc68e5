//! What can go wrong between a program and the master.

use std::path::PathBuf;

use anima_types::{Sha256, error::ErrorBody};

/// Why a call did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The master's address is not one.
    #[error("could not use \"{url}\" as the master's address: {reason}")]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The master said no.
    #[error("could not {what}: {} ({status})", body.message)]
    Api {
        /// The call: `GET /api/v1/builds/3`.
        what: String,
        /// The answer's status.
        status: u16,
        /// What the master says about it.
        body: ErrorBody,
    },
    /// The master, or whoever else was asked, was not reached, or the line broke.
    #[error("could not reach {server} ({what}): {reason}")]
    Unreachable {
        /// The server's address.
        server: String,
        /// The call.
        what: String,
        /// Why.
        reason: String,
    },
    /// What came is not of the form that was expected: the two programs are of different versions.
    #[error("could not read the answer to {what}: {reason}")]
    Answer {
        /// The call.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What came hashes to something else than was asked for.
    #[error("could not fetch {name}: its bytes hash to {actual} instead of {expected}")]
    WrongHash {
        /// The file.
        name: String,
        /// What its bytes must hash to.
        expected: Sha256,
        /// What they hash to.
        actual: Sha256,
    },
    /// More came than was asked for.
    #[error("could not read the answer to {what}: it is longer than {max_bytes} bytes")]
    TooLong {
        /// The call.
        what: String,
        /// The bound.
        max_bytes: u64,
    },
    /// A file of this machine.
    #[error("could not {what} {path}: {source}", path = path.display())]
    File {
        /// What was being done with it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it went wrong.
        source: std::io::Error,
    },
    /// The task was cancelled, or its lease is lost.
    #[error("could not {what}: the task was cancelled, or another node has it")]
    LeaseLost {
        /// What was being done.
        what: String,
    },
}

impl Error {
    /// Returns the master's stable word for what is wrong, if it was the master who said so.
    pub fn code(&self) -> Option<&str> {
        match self {
            Error::Api { body, .. } => Some(&body.code),
            _ => None,
        }
    }

    /// Returns the status of the master's answer, if it gave one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Error::Api { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Returns whether the same call may succeed later without anything being changed: the master restarts, its disk
    /// is full for now, the line broke.
    pub fn is_temporary(&self) -> bool {
        match self {
            Error::Unreachable { .. } => true,
            Error::Api { status, .. } => *status >= 500 || matches!(status, 408 | 429),
            _ => false,
        }
    }

    pub(crate) fn file(what: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Error {
        Error::File { what, path: path.into(), source }
    }
}
