//! Reads, verifies and signs RPM and SRPM files.
//!
//! [`PackageInfo`] is what a package says of itself; [`header_bytes`] is what a signature covers;
//! [`SigningKey`] signs it; [`install_signature`] puts the signature into the package;
//! [`verify`] tells whether a package is whole and signed by a key;
//! [`differences`] tells two builds of a package apart.
//!
//! It refuses to read a payload into memory, to trust a length that a file claims, to evaluate a
//! spec, and to let the types of the `rpm` and `pgp` crates out.

mod difference;
mod error;
mod extract;
mod header;
mod info;
mod install;
mod key;
mod public_key;
mod segments;
mod verify;

pub use difference::differences;
pub use error::Error;
pub use info::{
    ChangelogEntry, Comparison, Dependency, DigestAlgorithm, File, FileKind, PackageInfo, Scriptlet, ScriptletKind,
};
pub use install::install_signature;
pub use key::{Algorithm, SigningKey};
pub use public_key::PublicKey;
pub use segments::{HeaderBytes, check_header_bytes, header_bytes, is_package};
pub use verify::{Verified, verify};

/// What can be asked of a package and a key, or why it could not be had.
pub type Result<T> = std::result::Result<T, Error>;
