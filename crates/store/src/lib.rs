//! Artifacts by SHA-256: put, get, verify; and the growing logs of tasks.
//!
//! A file is there whole and right, or it is not there: bytes are hashed while they are written to a temporary file,
//! which is synced and then linked under its hash. What is there is never written again. [`Store`] holds the
//! artifacts, [`LogStore`] the logs of tasks.
//!
//! It refuses to know what an artifact is for, who may read it, and when it may go. All is in one folder or one bucket of an
//! S3 object store ([`Address`]), which several masters may share. A folder:
//!
//! ```text
//! DIR/ab/cdef…      the artifact abcdef…
//! DIR/tmp/          what is being written
//! DIR/logs/17@2     the log of the second attempt at task 17 (17@2.root and 17@2.state: its others)
//! DIR/logs/17@2.zst the same, compressed, when the attempt has ended
//! ```
//!
//! In a bucket the names are the same, but that what is being written is on the machine's own disk, and growing logs are in
//! pieces:
//!
//! ```text
//! PREFIX/ab/cdef…                                the artifact abcdef…
//! PREFIX/going/abcdef…                           somebody takes that artifact away
//! PREFIX/growing/17@2/000000000000-000000001234  a piece of that log
//! PREFIX/logs/17@2.zst                           the log, compressed
//! PREFIX/probe                                   written to see whether the store works
//! ```

mod address;
mod artifact;
mod blob;
mod bucket;
mod cache;
mod error;
mod garbage;
mod log;
mod seekable;
mod splice;
mod tree;
mod upload;

pub use address::{Address, BucketAddress, Credentials};
pub use artifact::Artifact;
pub use blob::Store;
pub use cache::LocalFile;
pub use error::Error;
pub use log::{LOG_READ_BYTES, LogEntry, LogReader, LogStore};
pub use splice::Piece;
pub use tree::Tree;
pub use upload::Stored;
