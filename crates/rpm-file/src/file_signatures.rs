//! Signatures of single files, which the kernel's integrity measurement (IMA) checks when a file is opened.
//!
//! The form is the second one of `evmctl` (ima-evm-utils, `struct signature_v2_hdr`), with the byte before it that says what
//! the attribute `security.ima` holds. All that is signed stands in the package's header: the digests of its files.
//!
//! It refuses a key that anything else is signed with: who gets a file into a package chooses what is signed here, and
//! could choose the words of another document.

use sha1::Digest as _;

use crate::{
    Algorithm, Error, PublicKey, Result, SigningKey,
    header::{Header, Part},
};

const TAG_FILEDIGESTS: u32 = 1035;
const TAG_FILEDIGESTALGO: u32 = 5011;
/// OpenPGP's number of SHA-256, by which packages name it.
const DIGEST_SHA256: u64 = 8;

/// The attribute holds a signature.
const XATTR_DIGSIG: u8 = 3;
/// The form of the signature.
const VERSION: u8 = 2;
/// The kernel's number of SHA-256.
const HASH_SHA256: u8 = 4;
/// What stands before the signature: the kind, the form, the hash, the key's id, the signature's length.
const PREFIX_BYTES: usize = 1 + 1 + 1 + 4 + 2;
/// Files of one package at most: each is a signature to make. The largest known package has 100,000.
const MAX_FILES: usize = 300_000;

impl SigningKey {
    /// Returns a signature for each file of the package with this header, in hexadecimal and in the header's order; an
    /// empty text for what has no content.
    pub fn sign_files(&self, header: &[u8]) -> Result<Vec<String>> {
        let refused = |reason: &str| Error::sign("sign files", reason);
        if self.algorithm() != Algorithm::Rsa4096 {
            return Err(refused("the kernel takes RSA keys only"));
        }
        let prefix = prefix(&self.public_key())?;
        file_digests(header)?
            .into_iter()
            .map(|digest| {
                let Some(digest) = digest else { return Ok(String::new()) };
                let signature = self.sign_digest(&digest)?;
                let length = (signature.len() as u16).to_be_bytes();
                Ok(hex::encode([&prefix[..], &length, &signature].concat()))
            })
            .collect()
    }
}

impl PublicKey {
    /// Checks the signatures of a package's files, in the order of its header.
    pub fn verify_file_signatures<S: AsRef<str>>(&self, header: &[u8], signatures: &[S]) -> Result<()> {
        let wrong = |at: usize, reason: &str| Error::Signature(format!("of file {at}: {reason}"));
        let prefix = prefix(self)?;
        let digests = file_digests(header)?;
        if digests.len() != signatures.len() {
            let counts = format!("there are {} for {} files", signatures.len(), digests.len());
            return Err(Error::Signature(counts));
        }
        for (at, (digest, signature)) in digests.iter().zip(signatures).enumerate() {
            let bytes = hex::decode(signature.as_ref()).map_err(|_| wrong(at, "it is not hexadecimal"))?;
            let Some(digest) = digest else {
                if bytes.is_empty() {
                    continue;
                }
                return Err(wrong(at, "the file has no content"));
            };
            let (head, signature) =
                bytes.split_at_checked(PREFIX_BYTES).ok_or_else(|| wrong(at, "it is cut off or missing"))?;
            let length = u16::from_be_bytes([head[PREFIX_BYTES - 2], head[PREFIX_BYTES - 1]]);
            if head[..PREFIX_BYTES - 2] != prefix || usize::from(length) != signature.len() {
                return Err(wrong(at, "it is of another key, form or hash"));
            }
            self.verify_digest(digest, signature)?;
        }
        Ok(())
    }
}

/// Returns what stands before each signature by a key, but its length.
fn prefix(key: &PublicKey) -> Result<[u8; PREFIX_BYTES - 2]> {
    // The end of the key's identifier as X.509 certificates have it, which is how the kernel finds the key.
    let identifier = sha1::Sha1::digest(key.to_pkcs1()?);
    let mut prefix = [XATTR_DIGSIG, VERSION, HASH_SHA256, 0, 0, 0, 0];
    prefix[3..].copy_from_slice(&identifier[16..]);
    Ok(prefix)
}

/// Returns the SHA-256 of each file of a package; none for folders, links and ghosts.
fn file_digests(header: &[u8]) -> Result<Vec<Option<[u8; 32]>>> {
    let header = Header::read(&mut &header[..], Part::Main)?;
    let malformed = |reason: &str| Error::malformed(Part::Main.name(), reason);
    let Some(texts) = header.texts(TAG_FILEDIGESTS) else { return Ok(Vec::new()) };
    if texts.len() > MAX_FILES {
        return Err(malformed(&format!("it has {} files; {MAX_FILES} at most can be signed", texts.len())));
    }
    if header.number(TAG_FILEDIGESTALGO) != Some(DIGEST_SHA256) {
        return Err(malformed("it names its files by another digest than SHA-256, which cannot be signed"));
    }
    let parse = |text: &str| {
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest).map_err(|_| malformed("a file's digest is no SHA-256"))?;
        Ok(digest)
    };
    texts.into_iter().map(|text| if text.is_empty() { Ok(None) } else { parse(text).map(Some) }).collect()
}
