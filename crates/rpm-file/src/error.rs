//! What can go wrong with a package or a key.

use std::{io, path::PathBuf};

/// Why a package or a key could not be read, signed or verified.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("could not {action} {path}: {source}")]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file it was tried on.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The reader that was given failed.
    #[error("could not read the package: {0}")]
    Read(#[source] io::Error),
    /// The package ends too early.
    #[error("could not read the package: it is cut off in its {part}")]
    CutOff {
        /// The part that is not whole.
        part: &'static str,
    },
    /// The file has not the length that its signature header names.
    #[error("could not accept the package: it has {actual} bytes and should have {expected}")]
    WrongLength {
        /// What the package says.
        expected: u64,
        /// What the file has.
        actual: u64,
    },
    /// The file is something else.
    #[error("could not read the package: it is not an RPM file")]
    NotRpm,
    /// A header breaks the format's rules or our bounds.
    #[error("could not read the package: its {part} is malformed: {reason}")]
    Malformed {
        /// The header it is about.
        part: &'static str,
        /// The rule that is broken.
        reason: String,
    },
    /// The header or payload is not what its digest says.
    #[error("could not accept the package: its {part} does not match its digest")]
    WrongDigest {
        /// The part that was altered.
        part: &'static str,
    },
    /// The package names no digest of its payload, so a header signature would not cover it.
    #[error("could not accept the package: it names no SHA-256 digest of its {part}")]
    NoDigest {
        /// The part without one.
        part: &'static str,
    },
    /// There is nothing to verify.
    #[error("could not verify the package: it is not signed")]
    Unsigned,
    /// No signature of the package was made by the key.
    #[error("could not verify the package: no signature on it is by key {fingerprint}: {reason}")]
    BadSignature {
        /// The key that was asked for.
        fingerprint: String,
        /// The OpenPGP library's words.
        reason: String,
    },
    /// The bytes are not one OpenPGP signature.
    #[error("could not read the OpenPGP signature: {0}")]
    Signature(String),
    /// The text is not a key that we can use.
    #[error("could not read the OpenPGP key: {0}")]
    Key(String),
    /// Making a key or a signature failed.
    #[error("could not {action}: {reason}")]
    Sign {
        /// What was tried, as a verb.
        action: &'static str,
        /// The library's words.
        reason: String,
    },
}

impl Error {
    pub(crate) fn file(action: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::File { action, path, source }
    }

    pub(crate) fn malformed(part: &'static str, reason: impl Into<String>) -> Error {
        Error::Malformed { part, reason: reason.into() }
    }

    pub(crate) fn sign(action: &'static str, reason: impl ToString) -> Error {
        Error::Sign { action, reason: reason.to_string() }
    }
}
