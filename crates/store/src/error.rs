//! What can go wrong with the store.

use std::io;

use anima_types::{Sha256, task_log::LogId};

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such artifact.
    #[error("could not find artifact {0}")]
    NotFound(Sha256),
    /// The bytes are others than they were said to be.
    #[error("could not store artifact {expected}: its bytes hash to {actual}")]
    WrongHash {
        /// What they were said to hash to.
        expected: Sha256,
        /// What they hash to.
        actual: Sha256,
    },
    /// An artifact that was right when it came has changed in the store.
    #[error("could not verify artifact {expected}: its bytes in the store hash to {actual}")]
    Damaged {
        /// Its name.
        expected: Sha256,
        /// What its bytes hash to now.
        actual: Sha256,
    },
    /// There are more bytes than are allowed.
    #[error("could not store artifact: it is longer than {max_bytes} bytes")]
    TooLong {
        /// The bound.
        max_bytes: u64,
    },
    /// A piece is to be taken from where the old artifact has nothing.
    #[error("could not take bytes {start} to {end} of artifact {base}: it has {size_bytes}")]
    NoSuchPiece {
        /// The old artifact.
        base: Sha256,
        /// The piece's first byte.
        start: u64,
        /// The first byte after it.
        end: u64,
        /// What the old artifact has.
        size_bytes: u64,
    },
    /// Whoever sent the bytes stopped in the middle.
    #[error("could not store artifact: its sender stopped after {received_bytes} bytes: {reason}")]
    Interrupted {
        /// How many came.
        received_bytes: u64,
        /// What the sender's side says.
        reason: String,
    },
    /// The piece begins after the log's end.
    #[error("could not append to log {log} at byte {offset}: it has {size_bytes} bytes")]
    LogGap {
        /// The log.
        log: LogId,
        /// Where the piece begins.
        offset: u64,
        /// Where the log ends.
        size_bytes: u64,
    },
    /// The piece overlaps what is there, with other bytes.
    #[error("could not append to log {log} at byte {offset}: other bytes are there already")]
    LogDiffers {
        /// The log.
        log: LogId,
        /// Where the piece begins.
        offset: u64,
    },
    /// The log would be longer than is allowed.
    #[error("could not append to log {log}: it may have at most {max_bytes} bytes")]
    LogFull {
        /// The log.
        log: LogId,
        /// The bound.
        max_bytes: u64,
    },
    /// The log is compressed: its task has ended.
    #[error("could not append to log {log}: it is closed")]
    LogSealed {
        /// The log.
        log: LogId,
    },
    /// The object store does not answer, or does not do what it is asked.
    #[error("could not {what}: the object store says: {source}")]
    Away {
        /// What was being done.
        what: String,
        /// What it says, or why nothing is heard of it.
        source: Box<object_store::Error>,
    },
    /// There is no room.
    #[error("could not {what}: the disk is full")]
    DiskFull {
        /// What was being done.
        what: String,
    },
    /// The disk or its file system.
    #[error("could not {what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it went wrong.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn away(what: impl Into<String>, source: object_store::Error) -> Error {
        Error::Away { what: what.into(), source: Box::new(source) }
    }

    /// Returns the error of an operation on disk; a full disk has its own.
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Error {
        let what = what.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull { what },
            _ => Error::Io { what, source },
        }
    }
}

/// Runs blocking work on the file system outside of the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(Error::io("finish work on disk", io::Error::other(error))),
        },
    }
}
