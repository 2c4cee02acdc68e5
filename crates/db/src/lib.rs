//! The only crate with SQL: migrations, and one module for each entity.
//!
//! A module offers what its table can do: insert, get, list, and `apply`, which moves a row along its transition
//! table of `anima_types`. A change of status and its row of [`event`] are one transaction, and the change holds only
//! while the row still has the status that the caller saw; otherwise it is an [`Error::Conflict`].
//!
//! It refuses to decide anything: no clock, no randomness, no rules. What should happen next is the master's to say.
//!
//! The SQL is portable (`$1` placeholders, texts and integers, times in microseconds since 1970), so that
//! SQLite and PostgreSQL read the same one; what differs between them is in `engine`.

mod connection;
mod engine;
mod error;
mod listen;
mod many;
mod row;

pub mod account;
pub mod archive;
pub mod artifact;
pub mod audit;
pub mod build;
pub mod enrolment;
pub mod event;
pub mod garbage;
pub mod idempotency;
pub mod identity;
pub mod key;
pub mod last_built;
pub mod lease;
pub mod maintenance;
pub mod node;
pub mod node_load;
pub mod package;
pub mod package_search;
pub mod probe;
pub mod product;
pub mod push;
pub mod rebuild;
pub mod release;
pub mod repository;
pub mod right;
pub mod search;
pub mod session;
pub mod sign_in;
pub mod signature;
pub mod snapshot;
pub mod source;
pub mod tally;
pub mod task;
pub mod task_dependency;
pub mod task_hold;
pub mod task_lease;
pub mod task_list;
pub mod task_news;
pub mod task_queue;
pub mod task_target;
pub mod team;
pub mod token;
pub mod webhook;

pub use connection::{Connection, Counts, Db, Origin, Read, Write};
pub use engine::Address;
pub use error::Error;

/// What the functions of this crate return.
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod testing;
