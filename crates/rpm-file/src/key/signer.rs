//! A key as the OpenPGP library asks for it, with aws-lc or a token behind it.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    digest::{Digest, SHA256},
    rsa as aws_rsa,
    signature::{Ed25519KeyPair, RSA_PKCS1_SHA256},
};
use pgp::{
    crypto::{eddsa_legacy, hash::HashAlgorithm, public_key::PublicKeyAlgorithm},
    packet::{
        PublicKey as PublicKeyPacket, SecretKey as SecretKeyPacket, SignatureConfig, SignatureType, Subpacket,
        SubpacketData,
    },
    types::{
        Fingerprint, KeyDetails, KeyId, KeyVersion, Mpi, Password, PlainSecretParams, PublicParams, SecretParams,
        SignatureBytes, Timestamp,
    },
};
use rsa::{pkcs1::EncodeRsaPrivateKey, traits::PublicKeyParts};
use zeroize::Zeroizing;

use super::Algorithm;
use crate::{Error, Result};

/// Something that keeps a key's secret numbers and signs with them, such as a PKCS #11 token.
pub trait Token: Send + Sync {
    /// Returns the public numbers, big-endian: modulus and exponent of an RSA key, the point of an Ed25519 key.
    fn public_numbers(&self) -> Vec<Vec<u8>>;

    /// Returns the signature on a SHA-256 digest: PKCS #1 v1.5 by an RSA key, 64 bytes by an Ed25519 key. An error is the
    /// token's words.
    fn sign_digest(&self, digest: &[u8; 32]) -> std::result::Result<Vec<u8>, String>;
}

pub(super) struct Signer {
    public: PublicKeyPacket,
    pub(super) algorithm: Algorithm,
    pair: Pair,
}

enum Pair {
    Ed25519(Box<Ed25519KeyPair>),
    Rsa(Box<aws_rsa::KeyPair>),
    Token(Arc<dyn Token>),
}

impl Signer {
    pub(super) fn new(key: &SecretKeyPacket) -> Result<Signer> {
        let refused = |reason: &str| Error::Key(reason.to_string());
        let SecretParams::Plain(secret) = key.secret_params() else {
            return Err(refused("it is locked"));
        };
        let (algorithm, pair) = match secret {
            PlainSecretParams::EdDSALegacy(eddsa_legacy::SecretKey::Ed25519(key)) => {
                let pair = Ed25519KeyPair::from_seed_unchecked(key.as_bytes());
                (Algorithm::Ed25519, Pair::Ed25519(Box::new(pair.map_err(|error| Error::Key(error.to_string()))?)))
            }
            PlainSecretParams::RSA(secret) => {
                (Algorithm::Rsa4096, Pair::Rsa(Box::new(rsa_pair(key.public_params(), secret)?)))
            }
            _ => return Err(refused("it is neither RSA nor Ed25519 in the form that rpm 4.18 verifies")),
        };
        Ok(Signer { public: key.public_key().clone(), algorithm, pair })
    }

    pub(super) fn of_token(public: PublicKeyPacket, algorithm: Algorithm, token: Arc<dyn Token>) -> Signer {
        Signer { public, algorithm, pair: Pair::Token(token) }
    }

    /// Returns the frame of a signature with its time and issuer, the same bytes for the same input.
    pub(super) fn config(&self, kind: SignatureType, at_secs: u32) -> pgp::errors::Result<SignatureConfig> {
        let mut config = SignatureConfig::v4(kind, self.public.algorithm(), HashAlgorithm::Sha256);
        config.hashed_subpackets = vec![
            Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::from_secs(at_secs)))?,
            Subpacket::regular(SubpacketData::IssuerFingerprint(self.public.fingerprint()))?,
        ];
        // gpg and rpm look here for the key to ask for.
        config.unhashed_subpackets = vec![Subpacket::regular(SubpacketData::IssuerKeyId(self.public.legacy_key_id()))?];
        Ok(config)
    }

    /// Returns the bare signature on a SHA-256 digest.
    pub(super) fn raw(&self, digest: &[u8]) -> std::result::Result<Vec<u8>, String> {
        match &self.pair {
            Pair::Ed25519(pair) => {
                pair.try_sign(digest).map(|signature| signature.as_ref().to_vec()).map_err(|error| error.to_string())
            }
            Pair::Rsa(pair) => {
                let digest = Digest::import_less_safe(digest, &SHA256).map_err(|error| error.to_string())?;
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign_digest(&RSA_PKCS1_SHA256, &digest, &mut signature).map_err(|error| error.to_string())?;
                Ok(signature)
            }
            Pair::Token(token) => token.sign_digest(digest.try_into().map_err(|_| "it is no SHA-256 digest")?),
        }
    }
}

/// Returns the bits of an RSA key's modulus; nothing for other keys.
pub(super) fn rsa_bits(public: &PublicParams) -> Option<usize> {
    match public {
        PublicParams::RSA(public) => Some(public.key.n().bits()),
        _ => None,
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
        let signature = self.raw(digest).map_err(failed)?;
        let parts = match self.algorithm {
            Algorithm::Ed25519 => {
                let (r, s) = signature.split_at_checked(32).ok_or_else(|| failed("it is too short".to_string()))?;
                vec![Mpi::from_slice(r), Mpi::from_slice(s)]
            }
            Algorithm::Rsa4096 => vec![Mpi::from_slice(&signature)],
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
