//! Why a sandbox could not be started or followed. A command that fails is no error: see [`crate::Exit`].

use std::io;
use std::path::PathBuf;

/// Finishes the sentence "could not …".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The spec makes no sense.
    #[error("run sandbox: {0}")]
    Spec(String),
    /// The helper program did not start.
    #[error("start sandbox helper {}: {source}", helper.display())]
    Helper {
        /// The program that was named.
        helper: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A step of the way in was refused by the system.
    #[error("set up sandbox: {step}: {source}")]
    Setup {
        /// What was tried.
        step: String,
        /// What the system said.
        source: io::Error,
    },
    /// The program named is not a helper, or it was killed.
    #[error("follow sandbox: helper ended without a report ({0})")]
    HelperEnded(String),
    /// The helper said something that this version does not understand.
    #[error("follow sandbox: {0}")]
    Wire(#[from] io::Error),
}
