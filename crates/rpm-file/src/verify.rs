//! Tells whether a package is whole, unaltered and signed by a key.

use std::{io::Read, path::Path};

use sha2::Digest;

use crate::{Error, PublicKey, Result, header::BIN, segments::Segments};

/// The tags of signatures over the header: of RSA keys and of all others.
const HEADER_SIGNATURES: [u32; 2] = [268, 267];
const READ_BUFFER_BYTES: usize = 256 << 10;

/// What has been established of a package.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verified {
    /// The key that signed it, in lower-case hexadecimal digits.
    pub fingerprint: String,
}

/// Checks the signature on the package's header, the header's digest, and the payload's digest.
///
/// Stricter than rpm: without a digest of the payload in the header, the signature would not cover
/// the payload, and the package is refused.
pub fn verify(path: &Path, key: &PublicKey) -> Result<Verified> {
    let (segments, mut payload) = Segments::open(path)?;
    segments.check_header_digest()?;
    check_signature(&segments, key)?;
    let wanted = segments.payload_digest().ok_or(Error::NoDigest { part: "payload" })?;
    if digest(&mut payload).map_err(Error::Read)? != wanted.0 {
        return Err(Error::WrongDigest { part: "payload" });
    }
    Ok(Verified { fingerprint: key.fingerprint() })
}

/// One good signature by the key is enough; without one, the first failure is told.
fn check_signature(segments: &Segments, key: &PublicKey) -> Result<()> {
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

fn digest(reader: &mut impl Read) -> std::io::Result<[u8; 32]> {
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; READ_BUFFER_BYTES];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().into()),
            read => hasher.update(&buffer[..read]),
        }
    }
}
