//! Reads, writes and compares rpm-md repository metadata.
//!
//! The XML of a package never changes, so it is rendered once, when the package arrives
//! ([`render`]), and travels as a [`PackageXml`]. Metadata is then composed of such fragments by a
//! pure function ([`RepodataBuilder`]): the packages themselves are not needed. What others made is
//! read by [`Repository`], [`Repomd`] and [`PrimaryReader`], within bounds.
//!
//! It refuses to read the clock, to follow a location out of the repository, and to trust a size.

mod builder;
mod changelog;
mod compression;
mod content;
mod diff;
mod error;
mod fragment;
mod package;
mod primary;
mod render;
mod repomd;
mod repository;
mod requires;
mod xml;

pub use builder::{MetadataFile, Repodata, RepodataBuilder};
pub use compression::{Compression, MAX_OPEN_BYTES};
pub use content::content_changes;
pub use diff::{Diff, PackageId, diff};
pub use error::Error;
pub use fragment::PackageXml;
pub use package::{Package, PackageFile};
pub use primary::PrimaryReader;
pub use render::{PublishedFile, render};
pub use repomd::{Checksum, Record, Repomd};
pub use repository::Repository;

/// What can be had of a repository's metadata, or why it could not.
pub type Result<T> = std::result::Result<T, Error>;
