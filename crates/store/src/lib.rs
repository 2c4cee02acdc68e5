//! Artifacts by SHA-256: put, get, verify; and the growing logs of tasks.
//!
//! A file is there whole and right, or it is not there: bytes are hashed while they are written to a temporary file,
//! which is synced and then linked under its hash. What is there is never written again. [`Store`] holds the
//! artifacts, [`LogStore`] the logs of tasks.
//!
//! It refuses to know what an artifact is for, who may read it, and when it may go. All is in one folder, which
//! several masters may share:
//!
//! ```text
//! DIR/ab/cdef…      the artifact abcdef…
//! DIR/tmp/          what is being written
//! DIR/logs/17       the log of task 17 (17.root and 17.state: its others; 17@2: of its second attempt)
//! DIR/logs/17.zst   the same, compressed, when the task has ended
//! ```

mod blob;
mod error;
mod garbage;
mod log;
mod seekable;
mod splice;
mod upload;

pub use blob::Store;
pub use error::Error;
pub use log::{LOG_READ_BYTES, LogReader, LogStore};
pub use splice::Piece;
pub use upload::Stored;
