//! What can go wrong with metadata.

use std::{io, path::PathBuf};

/// Why metadata could not be read, written or trusted.
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
    /// Packing or unpacking failed.
    #[error("could not {action} {name}: {source}")]
    Stream {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file it is about.
        name: String,
        /// The library's words.
        source: io::Error,
    },
    /// The XML is broken.
    #[error("could not read {name}: {reason}")]
    Malformed {
        /// The file it is about.
        name: String,
        /// What is wrong, and where.
        reason: String,
    },
    /// Something is larger than is sane.
    #[error("could not read {name}: {what} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The file it is about.
        name: String,
        /// What is too large.
        what: &'static str,
        /// The bound.
        limit_bytes: u64,
    },
    /// A file is not what the index says.
    #[error("could not accept {name}: its {what} is {actual} and should be {expected}")]
    Mismatch {
        /// The file it is about.
        name: String,
        /// `size` or `checksum`.
        what: &'static str,
        /// What the index says.
        expected: String,
        /// What the file has.
        actual: String,
    },
    /// The index names no such file.
    #[error("could not find \"{kind}\" in the repository's index")]
    NoRecord {
        /// What was asked for, such as `primary`.
        kind: String,
    },
    /// The checksum is of a kind that proves nothing today.
    #[error("could not verify {name}: its checksum is {kind}, and only sha256, sha384 and sha512 are trusted")]
    WeakChecksum {
        /// The file it is about.
        name: String,
        /// The index's word.
        kind: String,
    },
    /// A location leads out of the repository.
    #[error("could not accept the location \"{0}\": it leads out of the repository")]
    UnsafeLocation(String),
}

impl Error {
    pub(crate) fn file(action: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::File { action, path, source }
    }

    pub(crate) fn malformed(name: &str, reason: impl ToString) -> Error {
        Error::Malformed { name: name.to_string(), reason: reason.to_string() }
    }
}
