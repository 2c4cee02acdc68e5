//! Tells whether a package is whole, unaltered and signed by a key.

use std::path::Path;

use sha2::Digest;

use crate::{
    DigestState, Error, PublicKey, Result,
    header::{BIN, STRING_ARRAY},
    install::{SIGTAG_FILESIGNATURES, SIGTAG_GPG, SIGTAG_PGP, each_piece},
    segments::Segments,
};

/// The tags of signatures over the header: of RSA keys and of all others.
const HEADER_SIGNATURES: [u32; 2] = [268, 267];

/// What has been established of a package.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verified {
    /// The key that signed it, in lower-case hexadecimal digits.
    pub fingerprint: String,
    /// Whether it has a signature over header and payload, too, for old clients; that is by the same key.
    pub has_payload_signature: bool,
}

/// Checks the signature on the package's header, the header's digest, the payload's digest, and, where there is one, the
/// signature over header and payload.
///
/// Stricter than rpm: without a digest of the payload in the header, the signature would not cover
/// the payload, and the package is refused.
pub fn verify(path: &Path, key: &PublicKey) -> Result<Verified> {
    let (segments, mut payload) = Segments::open(path)?;
    segments.check_header_digest()?;
    check_signature(&segments, key)?;
    let wanted = segments.payload_digest().ok_or(Error::NoDigest { part: "payload" })?;
    let old = [SIGTAG_PGP, SIGTAG_GPG].into_iter().find_map(|tag| segments.signature.get(tag, BIN));

    let (mut hasher, mut state) = (sha2::Sha256::new(), DigestState::default());
    state.update(&segments.header.bytes);
    each_piece(&mut payload, |piece| {
        hasher.update(piece);
        if old.is_some() {
            state.update(piece);
        }
    })
    .map_err(Error::Read)?;
    if <[u8; 32]>::from(hasher.finalize()) != wanted.0 {
        return Err(Error::WrongDigest { part: "payload" });
    }
    if let Some(signature) = old {
        key.verify_state(&state, signature)?;
    }
    Ok(Verified { fingerprint: key.fingerprint(), has_payload_signature: old.is_some() })
}

/// Checks the signatures of a package's files, of which each file has to have one.
pub fn verify_files(path: &Path, key: &PublicKey) -> Result<()> {
    let (segments, _) = Segments::open(path)?;
    segments.check_header_digest()?;
    let signatures = match segments.signature.get(SIGTAG_FILESIGNATURES, STRING_ARRAY) {
        Some(_) => segments.signature.texts(SIGTAG_FILESIGNATURES).ok_or(Error::Unsigned)?,
        None => Vec::new(),
    };
    key.verify_file_signatures(&segments.header.bytes, &signatures)
}

/// One good signature by the key is enough; without one, the first failure is told.
pub(crate) fn check_signature(segments: &Segments, key: &PublicKey) -> Result<()> {
    let signatures = HEADER_SIGNATURES.into_iter().filter_map(|tag| segments.signature.get(tag, BIN));
    let mut failure = Error::Unsigned;
    for signature in signatures {
        match key.verify_detached(&segments.header.bytes, signature) {
            Ok(()) => return Ok(()),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}
