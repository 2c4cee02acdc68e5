//! ELevate: what would become of an installed machine if it were upgraded to the next major version of its distribution, or
//! moved to another one of the same family.
//!
//! [`facts::Facts`] is a document about a root. [`data::Data`] is what is known of the way: package evolution events,
//! repository maps, drivers, as leapp's users have them. [`plan::plan`] makes one [`plan::Plan`] of both and of the target's
//! repositories: a fate for each package, with its chain of reasons. The same input has the same plan.
//!
//! [`rules`] are what is looked at besides, as data, and [`fix`] makes the edits that they propose and takes them back.
//!
//! Nothing but `fix` changes anything: collecting facts reads, planning computes.

pub mod collect;
pub mod data;
mod database;
mod error;
pub mod evolve;
pub mod facts;
pub mod fix;
pub mod fleet;
mod pattern;
pub mod plan;
pub mod probes;
pub mod release;
pub mod report;
pub mod rules;

pub use error::Error;

/// What the functions of this crate return.
pub type Result<T> = std::result::Result<T, Error>;
