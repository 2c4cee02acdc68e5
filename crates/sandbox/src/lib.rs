//! Runs a command in a root with limits, mounts, no network and a streamed log.
//!
//! ```text
//!   caller ── Spec ──► supervisor (host's namespaces) ──► pid 1 (sandbox's namespaces) ──► command
//!          ◄─ Outcome ─┘  limits, clock, kill               mounts, reaps, reports           no capability,
//!          ◄──────────────── log: stdout and stderr, one pipe ───────────────────────────┘   seccomp
//! ```
//!
//! Namespaces belong to a process with one thread, so the library starts a program that its caller names (usually the
//! caller's own) with the argument [`HELPER_ARGUMENT`]; that program calls [`init_main`] before anything else. The
//! supervisor lives exactly as long as the caller holds its end of a socket: if the caller dies, however it dies, the
//! kernel closes the socket, and everything inside is killed.
//!
//! The crate refuses to be a container engine: there are no images, no network but loopback, and no way to run as
//! anything but root.

mod cgroup;
mod disk;
mod emulator;
mod error;
mod init;
mod outcome;
mod running;
mod spec;
mod terminal;
mod unlinked;
mod wire;

pub use cgroup::memory_limit_bytes;
pub use emulator::{Emulator, Endian};
pub use error::Error;
pub use init::init_main;
pub use outcome::{Enforced, Exit, Outcome, Via};
pub use running::{Canceller, Log, Running, Sandbox};
pub use spec::{Access, Disk, Identity, Limits, Mount, Spec, UserNamespace};
pub use terminal::Terminal;

/// The one argument that the helper program is started with.
pub const HELPER_ARGUMENT: &str = "sandbox-init";
