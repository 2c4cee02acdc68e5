//! OpenPGP keys that verify.

use std::io::Cursor;

use pgp::{
    armor::Dearmor,
    composed::{ArmorOptions, CleartextSignedMessage, Deserializable, DetachedSignature, SignedPublicKey},
    crypto::{hash::HashAlgorithm, public_key::PublicKeyAlgorithm},
    packet::{Packet, PacketParser, Signature, SignatureConfig, SignatureType},
    ser::Serialize,
    types::{KeyDetails, Mpi, PublicParams, SignatureBytes, VerifyingKey},
};
use rsa::{pkcs1::EncodeRsaPublicKey, pkcs8::EncodePublicKey};

use crate::{Algorithm, Error, Result, digest_state::DigestState, key::MAX_KEY_BYTES};

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

    pub(crate) fn inner(&self) -> &SignedPublicKey {
        &self.0
    }

    /// Returns what the key signs with; nothing where it is neither RSA nor Ed25519.
    pub fn algorithm(&self) -> Option<Algorithm> {
        match self.0.primary_key.algorithm() {
            PublicKeyAlgorithm::RSA | PublicKeyAlgorithm::RSASign => Some(Algorithm::Rsa4096),
            PublicKeyAlgorithm::EdDSALegacy => Some(Algorithm::Ed25519),
            _ => None,
        }
    }

    /// Returns when the key was made, in seconds since 1970.
    pub fn created_at_secs(&self) -> i64 {
        i64::from(self.0.primary_key.created_at().as_secs())
    }

    /// Returns when the key expires, in seconds since 1970; nothing where it never does. Its newest certification counts.
    pub fn expires_at_secs(&self) -> Option<i64> {
        let valid = std::time::Duration::from(self.certification()?.key_expiration_time()?);
        // OpenPGP writes "never" as no time at all, too.
        (!valid.is_zero()).then(|| self.created_at_secs() + valid.as_secs() as i64)
    }

    /// Returns whether the key says of itself that it is not to be used any more.
    pub fn is_revoked(&self) -> bool {
        !self.0.details.revocation_signatures.is_empty()
    }

    /// Returns whether the primary key may sign documents.
    pub(crate) fn may_sign(&self) -> bool {
        self.certification().is_some_and(|signature| signature.key_flags().sign())
    }

    fn certification(&self) -> Option<&Signature> {
        let own = self.0.details.users.iter().flat_map(|user| &user.signatures);
        own.chain(&self.0.details.direct_signatures).max_by_key(|signature| signature.created())
    }

    /// Returns the key with the revocation in `text`: a certificate as `gpg --gen-revoke` writes it, or the revoked key.
    pub fn with_revocation(&self, text: &str) -> Result<PublicKey> {
        let wrong = |reason: &str| Error::Key(reason.to_string());
        if text.len() > MAX_KEY_BYTES {
            return Err(wrong("the revocation is too long"));
        }
        let parts = PacketParser::new(std::io::BufReader::new(Dearmor::new(Cursor::new(text.as_bytes()))));
        let revocation = parts.filter_map(|packet| match packet {
            Ok(Packet::Signature(signature)) if signature.typ() == Some(SignatureType::KeyRevocation) => {
                Some(signature)
            }
            _ => None,
        });
        let mut revoked = self.0.clone();
        for signature in revocation {
            signature
                .verify_key(&self.0.primary_key)
                .map_err(|error| wrong(&format!("the revocation is not by this key: {error}")))?;
            if !revoked.details.revocation_signatures.contains(&signature) {
                revoked.details.revocation_signatures.push(signature);
            }
        }
        match revoked.details.revocation_signatures.is_empty() {
            true => Err(wrong("there is no revocation of a key in it")),
            false => Ok(PublicKey(revoked)),
        }
    }

    /// Returns an RSA key as PEM of its `SubjectPublicKeyInfo`, as `openssl` and `evmctl` read it.
    pub fn to_pem(&self) -> Result<String> {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let der = self.rsa()?.to_public_key_der().map_err(|error| Error::Key(error.to_string()))?;
        let text = STANDARD.encode(der.as_bytes());
        let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
        Ok(format!("-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n"))
    }

    /// Returns an RSA key's two numbers as PKCS #1 has them.
    pub(crate) fn to_pkcs1(&self) -> Result<Vec<u8>> {
        let der = self.rsa()?.to_pkcs1_der().map_err(|error| Error::Key(error.to_string()))?;
        Ok(der.as_bytes().to_vec())
    }

    fn rsa(&self) -> Result<&rsa::RsaPublicKey> {
        match self.0.primary_key.public_params() {
            PublicParams::RSA(params) => Ok(&params.key),
            _ => Err(Error::Key("it is no RSA key".to_string())),
        }
    }

    /// Checks a bare RSA signature (PKCS #1 v1.5) on a SHA-256 digest.
    pub(crate) fn verify_digest(&self, digest: &[u8; 32], signature: &[u8]) -> Result<()> {
        let signature = SignatureBytes::Mpis(vec![Mpi::from_slice(signature)]);
        self.0.primary_key.verify(HashAlgorithm::Sha256, digest, &signature).map_err(|error| self.bad(error))
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

    /// Checks a signature packet over what `state` has gone through.
    pub fn verify_state(&self, state: &DigestState, signature: &[u8]) -> Result<()> {
        let signature = parse_signature(signature)?;
        let (Some(config), Some(bytes)) = (signature.config(), signature.signature()) else {
            return Err(Error::Signature("it is of a version that rpm does not know".to_string()));
        };
        if config.typ() != SignatureType::Binary || config.hash_alg != HashAlgorithm::Sha256 {
            return Err(Error::Signature("it is not one over binary data by SHA-256".to_string()));
        }
        let mut state = state.clone();
        state.update(&trailer(config)?);
        self.0.primary_key.verify(HashAlgorithm::Sha256, &state.finish(), bytes).map_err(|error| self.bad(error))
    }

    /// Checks a text with a signature around it, and returns the text that was signed.
    pub fn verify_clear(&self, signed: &str) -> Result<String> {
        let wrong = |error: pgp::errors::Error| Error::Signature(error.to_string());
        let (message, _) = CleartextSignedMessage::from_string(signed).map_err(wrong)?;
        message.verify(&self.0.primary_key).map_err(|error| self.bad(error))?;
        Ok(message.signed_text().replace("\r\n", "\n"))
    }

    fn bad(&self, error: pgp::errors::Error) -> Error {
        Error::BadSignature { fingerprint: self.fingerprint(), reason: error.to_string() }
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
            false => Err(self.bad(failed)),
        }
    }
}

/// Whether rpm keeps a signature among those of RSA keys or among all others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Family {
    Rsa,
    Other,
}

/// Returns what is hashed behind the document: the frame of a version 4 signature
/// ([RFC 9580, 5.2.4](https://www.rfc-editor.org/rfc/rfc9580.html#section-5.2.4)).
pub(crate) fn trailer(config: &SignatureConfig) -> Result<Vec<u8>> {
    let wrong = |error: pgp::errors::Error| Error::Signature(error.to_string());
    let mut hashed = Vec::new();
    for subpacket in &config.hashed_subpackets {
        subpacket.to_writer(&mut hashed).map_err(wrong)?;
    }
    let length = u16::try_from(hashed.len()).map_err(|_| Error::Signature("its frame is too long".to_string()))?;
    let mut frame = vec![4, config.typ().into(), config.pub_alg.into(), config.hash_alg.into()];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&hashed);
    let total = frame.len() as u32;
    frame.extend_from_slice(&[4, 0xff]);
    frame.extend_from_slice(&total.to_be_bytes());
    Ok(frame)
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
