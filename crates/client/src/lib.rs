//! Typed HTTP client of the Master Service.
//!
//! [`Client`] has a method for each route of `/api/v1` but few, which a test names with their reasons. Calls that are safe to repeat are repeated a few times when
//! the master cannot be reached; others only when they certainly did not arrive. [`lease`] is what all nodes share:
//! claim, heartbeat, log, upload, report.
//!
//! It refuses to know what any task is about, and to decide what a person wants: it asks and tells.

mod api;
mod download;
mod error;
mod http;
pub mod lease;
mod look;
mod lookaside;
mod maintenance;
mod rebuild;
mod retry;
mod session;
mod sse;
mod stream;
mod webhook;

pub use error::Error;
pub use http::Client;
pub use stream::LogPiece;
