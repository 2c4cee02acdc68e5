//! OpenPGP keys that sign.
//!
//! Version 4 keys without subkeys, in the forms that gpg 2.2 and rpm 4.18 read. The arithmetic is
//! aws-lc's; the `rsa` crate, whose timing leaks, only turns one form of a key into another.

use std::{fmt, io::Cursor};

use aws_lc_rs::{
    digest::{Digest, SHA256},
    encoding::AsDer,
    rand, rsa as aws_rsa,
    signature::{Ed25519KeyPair, RSA_PKCS1_SHA256},
};
use pgp::{
    composed::{ArmorOptions, Deserializable, DetachedSignature, SignedKeyDetails, SignedSecretKey},
    crypto::{ed25519, eddsa_legacy, hash::HashAlgorithm, public_key::PublicKeyAlgorithm, sym::SymmetricKeyAlgorithm},
    packet::{
        KeyFlags, PacketTrait, PubKeyInner, PublicKey as PublicKeyPacket, SecretKey as SecretKeyPacket, Signature,
        SignatureConfig, SignatureType, Subpacket, SubpacketData, UserId,
    },
    types::{
        Fingerprint, KeyDetails, KeyId, KeyVersion, Mpi, PacketHeaderVersion, Password, PlainSecretParams,
        PublicParams, S2kParams, SecretParams, SignatureBytes, StringToKey, Tag, Timestamp,
    },
};
use rsa::{
    pkcs1::EncodeRsaPrivateKey,
    pkcs8::DecodePrivateKey,
    traits::{PrivateKeyParts, PublicKeyParts},
};
use zeroize::Zeroizing;

use crate::{Error, PublicKey, Result};

/// How often the passphrase is hashed: OpenPGP's largest coded count, 65 million bytes, 0.1 s.
const PASSPHRASE_HASH_COUNT: u8 = 0xff;
/// The largest armoured key that is read: an RSA-4096 key with a few certifications has 10 KiB.
pub(crate) const MAX_KEY_BYTES: usize = 1 << 20;
const MAX_USER_ID_BYTES: usize = 512;

/// What a key signs with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Algorithm {
    /// Small, fast; understood by EL 9 and later.
    Ed25519,
    /// What every RPM understands.
    Rsa4096,
}

/// A secret key that signs packages and metadata. It is never printed.
pub struct SigningKey {
    secret: SignedSecretKey,
    signer: Signer,
}

impl SigningKey {
    /// Makes a new Ed25519 key for `user_id`, such as `Anima <keys@example.org>`.
    pub fn generate_ed25519(user_id: &str, created_at_secs: u32) -> Result<SigningKey> {
        let mut seed = Zeroizing::new([0; 32]);
        rand::fill(&mut *seed).map_err(|error| Error::sign("make an Ed25519 key", error))?;
        let secret = ed25519::SecretKey::try_from_bytes(*seed, ed25519::Mode::EdDSALegacy).map_err(making)?;
        let secret = PlainSecretParams::EdDSALegacy(eddsa_legacy::SecretKey::Ed25519(secret));
        certify(PublicKeyAlgorithm::EdDSALegacy, secret, user_id, created_at_secs)
    }

    /// Makes a new RSA key of 4096 bits for `user_id`; this takes about a second.
    pub fn generate_rsa4096(user_id: &str, created_at_secs: u32) -> Result<SigningKey> {
        let pair = aws_rsa::KeyPair::generate(aws_rsa::KeySize::Rsa4096).map_err(making)?;
        let pkcs8 = pair.as_der().map_err(making)?;
        let key = rsa::RsaPrivateKey::from_pkcs8_der(pkcs8.as_ref()).map_err(making)?;
        let public = mpis([key.n(), key.e()].map(|number| number.to_bytes_be()))?;
        let public =
            PublicParams::try_from_reader(PublicKeyAlgorithm::RSA, None, Cursor::new(&*public)).map_err(making)?;
        // The fourth number is computed from the others by the reader.
        let parts = [key.d(), &key.primes()[0], &key.primes()[1], key.e()].map(|number| number.to_bytes_be());
        let secret = PlainSecretParams::try_from_reader_no_checksum(
            Cursor::new(&*mpis(parts)?),
            KeyVersion::V4,
            PublicKeyAlgorithm::RSA,
            &public,
        );
        certify(PublicKeyAlgorithm::RSA, secret.map_err(making)?, user_id, created_at_secs)
    }

    /// Reads an armoured secret key that is locked with `passphrase` (or not locked, if that is empty).
    pub fn from_armoured_secret(text: &str, passphrase: &str) -> Result<SigningKey> {
        if text.len() > MAX_KEY_BYTES {
            return Err(Error::Key(format!("it is longer than {MAX_KEY_BYTES} bytes")));
        }
        let reading = |error: pgp::errors::Error| Error::Key(error.to_string());
        let (mut secret, _) = SignedSecretKey::from_string(text).map_err(reading)?;
        secret.verify_bindings().map_err(reading)?;
        let unlocking = |_| Error::Key("its passphrase is another".to_string());
        secret.primary_key.remove_password(&Password::from(passphrase)).map_err(unlocking)?;
        let signer = Signer::new(&secret.primary_key)?;
        Ok(SigningKey { secret, signer })
    }

    /// Returns the secret key in armour, locked with `passphrase`, in the form that gpg imports.
    pub fn to_armoured_secret(&self, passphrase: &str) -> Result<String> {
        let locking = |reason: &dyn ToString| Error::sign("lock the secret key", reason.to_string());
        if passphrase.is_empty() {
            return Err(locking(&"the passphrase is empty"));
        }
        let (mut salt, mut iv) = ([0; 8], [0; 16]);
        rand::fill(&mut salt).and_then(|()| rand::fill(&mut iv)).map_err(|error| locking(&error))?;
        let s2k =
            StringToKey::IteratedAndSalted { hash_alg: HashAlgorithm::Sha256, salt, count: PASSPHRASE_HASH_COUNT };
        let params = S2kParams::Cfb { sym_alg: SymmetricKeyAlgorithm::AES256, s2k, iv: iv.to_vec().into() };
        let mut locked = self.secret.clone();
        locked
            .primary_key
            .set_password_with_s2k(&Password::from(passphrase), params)
            .map_err(|error| locking(&error))?;
        locked.to_armored_string(ArmorOptions::default()).map_err(|error| locking(&error))
    }

    /// Returns the public key, which may go anywhere.
    pub fn public_key(&self) -> PublicKey {
        PublicKey::new(self.secret.to_public_key())
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
        match self.signer.pair {
            Pair::Ed25519(_) => Algorithm::Ed25519,
            Pair::Rsa(_) => Algorithm::Rsa4096,
        }
    }

    /// Returns a signature packet over `data`, as packages carry it.
    pub fn sign_detached(&self, data: &[u8], signed_at_secs: u32) -> Result<Vec<u8>> {
        let mut packet = Vec::new();
        self.sign(data, signed_at_secs)?.to_writer_with_header(&mut packet).map_err(signing)?;
        Ok(packet)
    }

    /// Returns a signature over `data` in armour, as `repomd.xml.asc` is.
    pub fn sign_armoured(&self, data: &[u8], signed_at_secs: u32) -> Result<String> {
        let signature = DetachedSignature::new(self.sign(data, signed_at_secs)?);
        signature.to_armored_string(ArmorOptions::default()).map_err(signing)
    }

    fn sign(&self, data: &[u8], signed_at_secs: u32) -> Result<Signature> {
        let config = self.signer.config(SignatureType::Binary, signed_at_secs).map_err(signing)?;
        config.sign(&self.signer, &Password::empty(), data).map_err(signing)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?}, {})", self.algorithm(), self.fingerprint())
    }
}

fn making(reason: impl ToString) -> Error {
    Error::sign("make a key", reason)
}

fn signing(reason: impl ToString) -> Error {
    Error::sign("sign", reason)
}

/// Writes numbers as OpenPGP does.
fn mpis<const N: usize>(numbers: [Vec<u8>; N]) -> Result<Zeroizing<Vec<u8>>> {
    use pgp::ser::Serialize;
    let mut out = Zeroizing::new(Vec::new());
    for number in numbers.map(Zeroizing::new) {
        Mpi::from_slice(&number).to_writer(&mut *out).map_err(making)?;
    }
    Ok(out)
}

/// Makes a whole key of secret numbers: the packet, the user's name, and the key's own signature on both.
fn certify(
    algorithm: PublicKeyAlgorithm,
    secret: PlainSecretParams,
    user_id: &str,
    created_at_secs: u32,
) -> Result<SigningKey> {
    if user_id.is_empty() || user_id.len() > MAX_USER_ID_BYTES || user_id.contains(char::is_control) {
        return Err(making("the user id is empty, too long or has control characters"));
    }
    let public = PublicParams::try_from(&secret).map_err(making)?;
    let created_at = Timestamp::from_secs(created_at_secs);
    let inner = PubKeyInner::new(KeyVersion::V4, algorithm, created_at, None, public).map_err(making)?;
    let packet = PublicKeyPacket::from_inner(inner).map_err(making)?;
    let primary_key = SecretKeyPacket::new(packet, SecretParams::Plain(secret)).map_err(making)?;
    let signer = Signer::new(&primary_key)?;

    let user_id = UserId::from_str(PacketHeaderVersion::New, user_id).map_err(making)?;
    let mut config = signer.config(SignatureType::CertPositive, created_at_secs).map_err(making)?;
    let mut flags = KeyFlags::default();
    flags.set_certify(true);
    flags.set_sign(true);
    config.hashed_subpackets.push(Subpacket::regular(SubpacketData::KeyFlags(flags)).map_err(making)?);
    let signature = config
        .sign_certification(&signer, primary_key.public_key(), &Password::empty(), Tag::UserId, &user_id)
        .map_err(making)?;
    let details = SignedKeyDetails::new(vec![], vec![], vec![user_id.into_signed(signature)], vec![]);
    Ok(SigningKey { secret: SignedSecretKey::new(primary_key, details, vec![], vec![]), signer })
}

/// A key as the OpenPGP library asks for it, with aws-lc behind it.
struct Signer {
    public: PublicKeyPacket,
    pair: Pair,
}

enum Pair {
    Ed25519(Box<Ed25519KeyPair>),
    Rsa(Box<aws_rsa::KeyPair>),
}

impl Signer {
    fn new(key: &SecretKeyPacket) -> Result<Signer> {
        let refused = |reason: &str| Error::Key(reason.to_string());
        let SecretParams::Plain(secret) = key.secret_params() else {
            return Err(refused("it is locked"));
        };
        let pair = match secret {
            PlainSecretParams::EdDSALegacy(eddsa_legacy::SecretKey::Ed25519(key)) => {
                let pair = Ed25519KeyPair::from_seed_unchecked(key.as_bytes());
                Pair::Ed25519(Box::new(pair.map_err(|error| Error::Key(error.to_string()))?))
            }
            PlainSecretParams::RSA(secret) => Pair::Rsa(Box::new(rsa_pair(key.public_params(), secret)?)),
            _ => return Err(refused("it is neither RSA nor Ed25519 in the form that rpm 4.18 verifies")),
        };
        Ok(Signer { public: key.public_key().clone(), pair })
    }

    /// Returns the frame of a signature with its time and issuer, the same bytes for the same input.
    fn config(&self, kind: SignatureType, at_secs: u32) -> pgp::errors::Result<SignatureConfig> {
        let mut config = SignatureConfig::v4(kind, self.public.algorithm(), HashAlgorithm::Sha256);
        config.hashed_subpackets = vec![
            Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::from_secs(at_secs)))?,
            Subpacket::regular(SubpacketData::IssuerFingerprint(self.public.fingerprint()))?,
        ];
        // gpg and rpm look here for the key to ask for.
        config.unhashed_subpackets = vec![Subpacket::regular(SubpacketData::IssuerKeyId(self.public.legacy_key_id()))?];
        Ok(config)
    }
}

fn rsa_pair(public: &PublicParams, secret: &pgp::crypto::rsa::SecretKey) -> Result<aws_rsa::KeyPair> {
    let refused = |reason: &dyn ToString| Error::Key(reason.to_string());
    let PublicParams::RSA(public) = public else {
        return Err(refused(&"its public part is no RSA key"));
    };
    let (d, p, q, _) = secret.to_bytes();
    let [d, p, q] = [d, p, q].map(Zeroizing::new);
    let number = rsa::BigUint::from_bytes_be;
    let key = rsa::RsaPrivateKey::from_components(
        public.key.n().clone(),
        public.key.e().clone(),
        number(&d),
        vec![number(&p), number(&q)],
    );
    let der = key.map_err(|error| refused(&error))?.to_pkcs1_der().map_err(|error| refused(&error))?;
    aws_rsa::KeyPair::from_der(der.as_bytes()).map_err(|error| refused(&error))
}

impl pgp::types::SigningKey for Signer {
    fn sign(&self, _: &Password, hash: HashAlgorithm, digest: &[u8]) -> pgp::errors::Result<SignatureBytes> {
        let failed = |reason: String| pgp::errors::Error::Message { message: reason, backtrace: None };
        if hash != HashAlgorithm::Sha256 {
            return Err(failed(format!("{hash:?} is not what this key signs")));
        }
        let parts = match &self.pair {
            Pair::Ed25519(pair) => {
                let signature = pair.try_sign(digest).map_err(|error| failed(error.to_string()))?;
                let (r, s) = signature.as_ref().split_at(32);
                vec![Mpi::from_slice(r), Mpi::from_slice(s)]
            }
            Pair::Rsa(pair) => {
                let digest = Digest::import_less_safe(digest, &SHA256).map_err(|error| failed(error.to_string()))?;
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign_digest(&RSA_PKCS1_SHA256, &digest, &mut signature)
                    .map_err(|error| failed(error.to_string()))?;
                vec![Mpi::from_slice(&signature)]
            }
        };
        Ok(SignatureBytes::Mpis(parts))
    }

    fn hash_alg(&self) -> HashAlgorithm {
        HashAlgorithm::Sha256
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({:?})", self.public.fingerprint())
    }
}

impl KeyDetails for Signer {
    fn version(&self) -> KeyVersion {
        self.public.version()
    }

    fn legacy_key_id(&self) -> KeyId {
        self.public.legacy_key_id()
    }

    fn fingerprint(&self) -> Fingerprint {
        self.public.fingerprint()
    }

    fn algorithm(&self) -> PublicKeyAlgorithm {
        self.public.algorithm()
    }

    fn created_at(&self) -> Timestamp {
        self.public.created_at()
    }

    fn legacy_v3_expiration_days(&self) -> Option<u16> {
        self.public.legacy_v3_expiration_days()
    }

    fn public_params(&self) -> &PublicParams {
        self.public.public_params()
    }
}
