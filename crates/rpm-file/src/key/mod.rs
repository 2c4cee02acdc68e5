//! OpenPGP keys that sign.
//!
//! Version 4 keys without subkeys, in the forms that gpg 2.2 and rpm 4.18 read. The arithmetic is
//! aws-lc's or a token's; the `rsa` crate, whose timing leaks, only turns one form of a key into another.

mod import;
mod make;
mod signer;

use std::{fmt, io::Cursor};

use aws_lc_rs::rand;
use pgp::{
    composed::{ArmorOptions, CleartextSignedMessage, DetachedSignature, SignedPublicKey, SignedSecretKey},
    crypto::{hash::HashAlgorithm, sym::SymmetricKeyAlgorithm},
    packet::{PacketTrait, RevocationCode, Signature, SignatureType, Subpacket, SubpacketData},
    types::{Password, S2kParams, SigningKey as _, StringToKey},
};

use crate::{Error, PublicKey, Result, digest_state::DigestState, public_key};
use signer::Signer;

pub use make::NewKey;
pub use signer::Token;

/// How often the passphrase is hashed: OpenPGP's largest coded count, 65 million bytes, 0.1 s.
const PASSPHRASE_HASH_COUNT: u8 = 0xff;
/// The largest armoured key that is read: an RSA-4096 key with a few certifications has 10 KiB.
pub(crate) const MAX_KEY_BYTES: usize = 1 << 20;
/// Words of a person on why a key is revoked: they go into the public key.
const MAX_REASON_BYTES: usize = 512;

/// What a key signs with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Algorithm {
    /// Small, fast; understood by EL 9 and later.
    Ed25519,
    /// What every RPM understands.
    Rsa4096,
}

/// Why a key is revoked, as OpenPGP has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Revocation {
    /// Nothing is said.
    Unsaid,
    /// Another key took its place.
    Superseded,
    /// Somebody else may have it: nothing that it ever signed is to be trusted.
    Compromised,
    /// It is not used any more.
    Retired,
}

/// A secret key that signs packages and metadata. It is never printed.
pub struct SigningKey {
    public: SignedPublicKey,
    /// None where the secret numbers are in a token.
    secret: Option<SignedSecretKey>,
    signer: Signer,
}

impl SigningKey {
    /// Returns the secret key in armour, locked with `passphrase`, in the form that gpg imports.
    ///
    /// The secret numbers of a key in a token cannot be had.
    pub fn to_armoured_secret(&self, passphrase: &str) -> Result<String> {
        let locking = |reason: &dyn ToString| Error::sign("lock the secret key", reason.to_string());
        let Some(secret) = &self.secret else { return Err(locking(&"it is in a token")) };
        if passphrase.is_empty() {
            return Err(locking(&"the passphrase is empty"));
        }
        let (mut salt, mut iv) = ([0; 8], [0; 16]);
        rand::fill(&mut salt).and_then(|()| rand::fill(&mut iv)).map_err(|error| locking(&error))?;
        let s2k =
            StringToKey::IteratedAndSalted { hash_alg: HashAlgorithm::Sha256, salt, count: PASSPHRASE_HASH_COUNT };
        let params = S2kParams::Cfb { sym_alg: SymmetricKeyAlgorithm::AES256, s2k, iv: iv.to_vec().into() };
        let mut locked = secret.clone();
        locked
            .primary_key
            .set_password_with_s2k(&Password::from(passphrase), params)
            .map_err(|error| locking(&error))?;
        locked.to_armored_string(ArmorOptions::default()).map_err(|error| locking(&error))
    }

    /// Returns the public key, which may go anywhere.
    pub fn public_key(&self) -> PublicKey {
        PublicKey::new(self.public.clone())
    }

    /// Returns the public key in armour, as `rpmkeys --import` and `gpgkey=` take it.
    pub fn to_armoured_public(&self) -> Result<String> {
        self.public_key().to_armoured()
    }

    /// Returns the fingerprint in 40 lower-case hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        self.public_key().fingerprint()
    }

    /// Returns what the key signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.signer.algorithm
    }

    /// Returns a signature packet over `data`, as packages carry it.
    pub fn sign_detached(&self, data: &[u8], signed_at_secs: u32) -> Result<Vec<u8>> {
        packet(&self.sign(data, signed_at_secs)?)
    }

    /// Returns a signature packet over the bytes that `state` has gone through, of which nothing else is known here: who
    /// asks for it decides what is signed. It is always a signature over a document, never one over a key.
    pub fn sign_state(&self, state: &DigestState, signed_at_secs: u32) -> Result<Vec<u8>> {
        let config = self.signer.config(SignatureType::Binary, signed_at_secs).map_err(signing)?;
        let mut state = state.clone();
        state.update(&public_key::trailer(&config)?);
        let digest = state.finish();
        let signature = self.signer.sign(&Password::empty(), HashAlgorithm::Sha256, &digest).map_err(signing)?;
        packet(&Signature::from_config(config, [digest[0], digest[1]], signature).map_err(signing)?)
    }

    /// Returns a signature over `data` in armour, as `repomd.xml.asc` is.
    pub fn sign_armoured(&self, data: &[u8], signed_at_secs: u32) -> Result<String> {
        let signature = DetachedSignature::new(self.sign(data, signed_at_secs)?);
        signature.to_armored_string(ArmorOptions::default()).map_err(signing)
    }

    /// Returns the text with a signature around it, as lists of checksums are published.
    pub fn sign_clear(&self, text: &str, signed_at_secs: u32) -> Result<String> {
        let config = self.signer.config(SignatureType::Text, signed_at_secs).map_err(signing)?;
        // What is signed has no blanks at the ends of its lines: readers take them away before they verify.
        let text = text.lines().map(|line| line.trim_end_matches([' ', '\t', '\r'])).collect::<Vec<_>>().join("\n");
        let message = CleartextSignedMessage::new(&text, config, &self.signer, &Password::empty()).map_err(signing)?;
        message.to_armored_string(ArmorOptions::default()).map_err(signing)
    }

    /// Returns the bare RSA signature (PKCS #1 v1.5) on a SHA-256 digest, as the kernel's integrity measurement has it.
    pub(crate) fn sign_digest(&self, digest: &[u8; 32]) -> Result<Vec<u8>> {
        self.signer.raw(digest).map_err(signing)
    }

    /// Returns the public key with the key's own statement that it is not to be used any more.
    pub fn revoke(&self, why: Revocation, words: &str, revoked_at_secs: u32) -> Result<PublicKey> {
        let refused = |reason: &str| Error::sign("revoke the key", reason);
        if words.len() > MAX_REASON_BYTES || words.contains(char::is_control) {
            return Err(refused("the reason is too long or has control characters"));
        }
        let code = match why {
            Revocation::Unsaid => RevocationCode::NoReason,
            Revocation::Superseded => RevocationCode::KeySuperseded,
            Revocation::Compromised => RevocationCode::KeyCompromised,
            Revocation::Retired => RevocationCode::KeyRetired,
        };
        let mut config = self.signer.config(SignatureType::KeyRevocation, revoked_at_secs).map_err(signing)?;
        let reason = SubpacketData::RevocationReason(code, words.as_bytes().to_vec().into());
        config.hashed_subpackets.push(Subpacket::regular(reason).map_err(signing)?);
        let signature = config.sign_key(&self.signer, &Password::empty(), &self.public.primary_key).map_err(signing)?;
        let mut revoked = self.public.clone();
        revoked.details.revocation_signatures.push(signature);
        Ok(PublicKey::new(revoked))
    }

    fn sign(&self, data: &[u8], signed_at_secs: u32) -> Result<Signature> {
        let config = self.signer.config(SignatureType::Binary, signed_at_secs).map_err(signing)?;
        config.sign(&self.signer, &Password::empty(), Cursor::new(data)).map_err(signing)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?}, {})", self.algorithm(), self.fingerprint())
    }
}

fn packet(signature: &Signature) -> Result<Vec<u8>> {
    let mut packet = Vec::new();
    signature.to_writer_with_header(&mut packet).map_err(signing)?;
    Ok(packet)
}

fn making(reason: impl ToString) -> Error {
    Error::sign("make a key", reason)
}

fn signing(reason: impl ToString) -> Error {
    Error::sign("sign", reason)
}
