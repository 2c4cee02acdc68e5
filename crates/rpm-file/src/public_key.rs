//! OpenPGP keys that verify.

use std::io::Cursor;

use pgp::{
    composed::{ArmorOptions, Deserializable, DetachedSignature, SignedPublicKey},
    crypto::public_key::PublicKeyAlgorithm,
    packet::{Packet, PacketParser, Signature, SignatureType},
    types::KeyDetails,
};

use crate::{Error, Result, key::MAX_KEY_BYTES};

/// The largest signature packet: one by an RSA key of 16384 bits takes 2.1 KiB.
const MAX_SIGNATURE_BYTES: usize = 16 << 10;

/// A key that signatures are checked with; its own certifications have been verified.
#[derive(Clone, Debug)]
pub struct PublicKey(SignedPublicKey);

impl PublicKey {
    pub(crate) fn new(key: SignedPublicKey) -> PublicKey {
        PublicKey(key)
    }

    /// Reads an armoured public key and verifies that its parts belong together.
    pub fn from_armoured(text: &str) -> Result<PublicKey> {
        if text.len() > MAX_KEY_BYTES {
            return Err(Error::Key(format!("it is longer than {MAX_KEY_BYTES} bytes")));
        }
        let reading = |error: pgp::errors::Error| Error::Key(error.to_string());
        let (key, _) = SignedPublicKey::from_string(text).map_err(reading)?;
        key.verify_bindings().map_err(reading)?;
        Ok(PublicKey(key))
    }

    /// Returns the key in armour.
    pub fn to_armoured(&self) -> Result<String> {
        self.0.to_armored_string(ArmorOptions::default()).map_err(|error| Error::Key(error.to_string()))
    }

    /// Returns the fingerprint in lower-case hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        hex::encode(self.0.fingerprint().as_bytes())
    }

    /// Returns the names that the key goes by.
    pub fn user_ids(&self) -> Vec<String> {
        self.0.details.users.iter().filter_map(|user| user.id.as_str().map(str::to_string)).collect()
    }

    /// Checks a signature packet over `data`.
    pub fn verify_detached(&self, data: &[u8], signature: &[u8]) -> Result<()> {
        self.check(data, &parse_signature(signature)?)
    }

    /// Checks an armoured signature over `data`, such as `repomd.xml.asc`.
    pub fn verify_armoured(&self, data: &[u8], signature: &str) -> Result<()> {
        if signature.len() > 2 * MAX_SIGNATURE_BYTES {
            return Err(Error::Signature("it is too long".to_string()));
        }
        let (signature, _) =
            DetachedSignature::from_string(signature).map_err(|error| Error::Signature(error.to_string()))?;
        self.check(data, &signature.signature)
    }

    /// Tries the key and its subkeys that may sign.
    fn check(&self, data: &[u8], signature: &Signature) -> Result<()> {
        if signature.typ() != Some(SignatureType::Binary) {
            return Err(Error::Signature("it is not one over binary data".to_string()));
        }
        let subkeys = self.0.public_subkeys.iter();
        let may_sign = |signatures: &[Signature]| signatures.iter().any(|signature| signature.key_flags().sign());
        let failed = match signature.verify(&self.0.primary_key, data) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let by_subkey = subkeys
            .filter(|subkey| may_sign(&subkey.signatures))
            .any(|subkey| signature.verify(&subkey.key, data).is_ok());
        match by_subkey {
            true => Ok(()),
            false => Err(Error::BadSignature { fingerprint: self.fingerprint(), reason: failed.to_string() }),
        }
    }
}

/// Whether rpm keeps a signature among those of RSA keys or among all others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Family {
    Rsa,
    Other,
}

/// Reads the packet and tells the tag under which rpm looks for it.
pub(crate) fn signature_family(packet: &[u8]) -> Result<Family> {
    let signature = parse_signature(packet)?;
    match signature.config().map(|config| config.pub_alg) {
        Some(PublicKeyAlgorithm::RSA | PublicKeyAlgorithm::RSASign) => Ok(Family::Rsa),
        Some(_) => Ok(Family::Other),
        None => Err(Error::Signature("it is of a version that rpm does not know".to_string())),
    }
}

fn parse_signature(bytes: &[u8]) -> Result<Signature> {
    if bytes.len() > MAX_SIGNATURE_BYTES {
        return Err(Error::Signature(format!("it is longer than {MAX_SIGNATURE_BYTES} bytes")));
    }
    let mut packets = PacketParser::new(Cursor::new(bytes));
    let signature = match packets.next() {
        Some(Ok(Packet::Signature(signature))) => signature,
        Some(Ok(_)) => return Err(Error::Signature("it is another kind of packet".to_string())),
        Some(Err(error)) => return Err(Error::Signature(error.to_string())),
        None => return Err(Error::Signature("it is empty".to_string())),
    };
    match packets.next() {
        None => Ok(signature),
        Some(_) => Err(Error::Signature("something follows it".to_string())),
    }
}
