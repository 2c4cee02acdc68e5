//! From a platform's repositories to a mounted root.
//!
//! It refuses to know what the root is for: a build node builds in it, a test node tests in it.

pub mod condition;
mod download;
mod emulation;
mod enforcement;
mod environments;
mod error;
mod failure;
mod hash;
mod inside;
mod journal;
mod makings;
mod metadata;
mod phases;
mod replay;
mod run;
mod solve;
mod trust;
mod who_has;

pub use anima_buildroot::{Kept, Layers, Most, room_beside};
pub use anima_solver::Lock;
pub use download::{Beginning, Downloads, Wanted};
pub use emulation::{Emulators, native_architectures};
pub use enforcement::limits_memory;
pub use environments::{Environment, Environments, Installer, Swept, Wishes};
pub use error::{Error, is_disk_full};
pub use hash::{FileHash, hash_file, sha256_of};
pub use inside::{Inside, Kind, MAX_FOUND};
pub use journal::Journal;
pub use metadata::{Index, MetadataFiles, below, read_indexes};
pub use phases::Phases;
pub use replay::Replay;
pub use run::{MAX_CAPTURED_BYTES, blocking, capture, exit_in_words, run, usage_of};
pub use trust::{check_index, is_signed_by_one};

/// What can be asked of an environment, or why it could not be had.
pub type Result<T> = std::result::Result<T, Error>;
