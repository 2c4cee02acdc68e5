//! From wanted names and repositories to an exact, locked list of packages, by libsolv.
//!
//! libsolv is what `dnf` uses, so a buildroot gets the packages that a user's machine would get. A [`Pool`] holds what is
//! available (and installed), a [`Request`] says what is wanted, a [`Solution`] is the answer and [`Lock`] its written form.
//! A [`Problem`] explains why there is no answer, and what near names there are.
//!
//! It downloads nothing, verifies no signature and installs nothing: its caller gives it files whose checksums it has verified.
//! libsolv itself never crosses the boundary: the C files in `shim` have the only code that knows its structs.

mod cache;
mod closure;
mod dependency;
mod error;
mod ffi;
mod lock;
mod metadata;
mod near;
mod nevra;
mod pool;
mod problem;
mod request;
mod solve;

pub use cache::CacheUse;
pub use closure::{Broken, Closure, Place};
pub use error::Error;
pub use lock::{LOCK_VERSION, Lock, LockedPackage};
pub use pool::{DEFAULT_PRIORITY, Loaded, Pool, RepodataFiles};
pub use problem::{MissingRequirement, Problem};
pub use request::{Modules, Request};
pub use solve::{Solution, Step};
