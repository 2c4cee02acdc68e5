//! Reads, writes and compares rpm-md repository metadata.
//!
//! The XML of a package never changes, so it is rendered once, when the package arrives
//! ([`render`]), and travels as a [`PackageXml`]. Metadata is then composed of such fragments by a
//! pure function ([`RepodataBuilder`]): the packages themselves are not needed. They stand in buckets
//! ([`Layout`]), so that the next state is made of the last one's pieces ([`update()`]) and costs what
//! changed. [`index()`] does both for a folder of packages. What others made is read by [`Repository`],
//! [`Repomd`] and [`PrimaryReader`], within bounds.
//!
//! It refuses to read the clock, to follow a location out of the repository, and to trust a size.

mod advisory;
mod attachment;
mod builder;
mod canonical;
mod changelog;
mod compression;
mod content;
mod diff;
mod error;
mod filelists;
mod fragment;
mod frames;
mod import;
mod index;
mod items;
mod layout;
mod modules;
mod package;
mod part;
mod primary;
mod render;
mod repomd;
mod repository;
mod requires;
mod streams;
mod unpack;
mod update;
mod xml;
mod yaml;

pub use advisory::{Advisory, AdvisoryPackage, Reference};
pub use anima_types::repository::Compression;
pub use attachment::Attachment;
pub use builder::{MetadataFile, Repodata, RepodataBuilder};
pub use compression::{MAX_OPEN_BYTES, unpacked};
pub use content::content_changes;
pub use diff::{Diff, PackageId, diff};
pub use error::Error;
pub use filelists::{FilelistsReader, PackageFiles};
pub use fragment::PackageXml;
pub use index::{IndexOptions, Indexed, index};
pub use items::{Items, ItemsDiff, Tree};
pub use layout::Layout;
pub use modules::{ModuleDocument, Modules};
pub use package::{Package, PackageFile};
pub use part::Part;
pub use primary::PrimaryReader;
pub use render::{PublishedFile, render};
pub use repomd::{Checksum, Record, Repomd};
pub use repository::Repository;
pub use streams::{Stream, StreamError, StreamFilter, Streams};
pub use unpack::unpacked_file;
pub use update::{Change, Gone, Piece, Update, update};

/// What can be had of a repository's metadata, or why it could not.
pub type Result<T> = std::result::Result<T, Error>;
