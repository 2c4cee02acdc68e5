//! Reads, verifies and signs RPM and SRPM files.
//!
//! [`PackageInfo`] is what a package says of itself; [`header_bytes`] is what a signature covers;
//! [`SigningKey`] signs it; [`install_signatures`] puts the signatures into the package;
//! [`verify`] tells whether a package is whole and signed by a key. Old clients want a signature over header and payload,
//! for which a [`DigestState`] stands in; the kernel's integrity measurement wants one for each file
//! ([`SigningKey::sign_files`]). [`differences`] tells two builds of a package apart.
//!
//! It refuses to read a payload into memory, to trust a length that a file claims, to evaluate a
//! spec, and to let the types of the `rpm` and `pgp` crates out.

mod difference;
mod digest_state;
mod error;
mod extract;
mod file_signatures;
mod head;
mod header;
mod info;
mod install;
mod key;
mod public_key;
mod segments;
mod verify;

pub use difference::differences;
pub use digest_state::DigestState;
pub use error::Error;
pub use head::PackageHead;
pub use info::{
    ChangelogEntry, Comparison, Dependency, DigestAlgorithm, File, FileKind, PackageInfo, Scriptlet, ScriptletKind,
};
pub use install::{Signatures, install_signature, install_signatures};
pub use key::{Algorithm, NewKey, Revocation, SigningKey, Token};
pub use public_key::PublicKey;
pub use segments::{HeaderBytes, check_header_bytes, digest_state, header_bytes, header_nevra, is_package};
pub use verify::{Verified, verify, verify_files};

/// What can be asked of a package and a key, or why it could not be had.
pub type Result<T> = std::result::Result<T, Error>;
