//! New keys: their numbers, their names, and their own signature on both.

use std::{io::Cursor, sync::Arc};

use aws_lc_rs::{encoding::AsDer, rand, rsa as aws_rsa};
use pgp::{
    composed::{SignedKeyDetails, SignedPublicKey, SignedSecretKey},
    crypto::{ed25519, eddsa_legacy, public_key::PublicKeyAlgorithm},
    packet::{
        KeyFlags, PubKeyInner, PublicKey as PublicKeyPacket, SecretKey as SecretKeyPacket, SignatureType, Subpacket,
        SubpacketData, UserId,
    },
    types::{
        Duration, KeyVersion, Mpi, PacketHeaderVersion, Password, PlainSecretParams, PublicParams, SecretParams, Tag,
        Timestamp,
    },
};
use rsa::{
    pkcs8::DecodePrivateKey,
    traits::{PrivateKeyParts, PublicKeyParts},
};
use zeroize::Zeroizing;

use super::{Algorithm, SigningKey, Token, making, signer::Signer};
use crate::Result;

const MAX_USER_ID_BYTES: usize = 512;
/// The curve's name before a public number, with its length, as version 4 keys have it.
const ED25519_CURVE: [u8; 10] = [9, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01];
/// Bytes of the public number of an RSA key of 4096 bits.
const RSA4096_BYTES: usize = 512;

/// What a new key is to be.
#[derive(Clone, Copy, Debug)]
pub struct NewKey<'a> {
    /// What it signs with.
    pub algorithm: Algorithm,
    /// Whose it is, such as `Anima <keys@example.org>`.
    pub user_id: &'a str,
    /// When it is made.
    pub created_at_secs: u32,
    /// For how long it is good; for ever where nothing is said.
    pub valid_secs: Option<u32>,
}

impl SigningKey {
    /// Makes a new key. One of RSA takes about a second.
    pub fn generate(wanted: &NewKey<'_>) -> Result<SigningKey> {
        let (algorithm, secret) = match wanted.algorithm {
            Algorithm::Ed25519 => (PublicKeyAlgorithm::EdDSALegacy, ed25519_numbers()?),
            Algorithm::Rsa4096 => (PublicKeyAlgorithm::RSA, rsa_numbers()?),
        };
        let public = PublicParams::try_from(&secret).map_err(making)?;
        let packet = public_packet(algorithm, public, wanted.created_at_secs)?;
        let primary_key = SecretKeyPacket::new(packet.clone(), SecretParams::Plain(secret)).map_err(making)?;
        let signer = Signer::new(&primary_key)?;
        let details = certify(&signer, &packet, wanted)?;
        let secret = SignedSecretKey::new(primary_key, details, vec![], vec![]);
        Ok(SigningKey { public: secret.to_public_key(), secret: Some(secret), signer })
    }

    /// Makes a new Ed25519 key that does not expire.
    pub fn generate_ed25519(user_id: &str, created_at_secs: u32) -> Result<SigningKey> {
        SigningKey::generate(&NewKey { algorithm: Algorithm::Ed25519, user_id, created_at_secs, valid_secs: None })
    }

    /// Makes a new RSA key of 4096 bits that does not expire; this takes about a second.
    pub fn generate_rsa4096(user_id: &str, created_at_secs: u32) -> Result<SigningKey> {
        SigningKey::generate(&NewKey { algorithm: Algorithm::Rsa4096, user_id, created_at_secs, valid_secs: None })
    }

    /// Makes the OpenPGP key of secret numbers that a token keeps; the token signs its name.
    pub fn of_token(token: Arc<dyn Token>, wanted: &NewKey<'_>) -> Result<SigningKey> {
        let public = token.public_numbers();
        let (algorithm, params) = match wanted.algorithm {
            Algorithm::Rsa4096 => {
                let [n, e] = <[Vec<u8>; 2]>::try_from(public).map_err(|_| making("the token's key is not RSA"))?;
                if n.len() != RSA4096_BYTES {
                    return Err(making(format!("the token's key has {} bits; 4096 are wanted", n.len() * 8)));
                }
                let numbers = mpis([n, e])?;
                let params = PublicParams::try_from_reader(PublicKeyAlgorithm::RSA, None, Cursor::new(&*numbers));
                (PublicKeyAlgorithm::RSA, params.map_err(making)?)
            }
            Algorithm::Ed25519 => {
                let [point] = <[Vec<u8>; 1]>::try_from(public).map_err(|_| making("the token's key is not Ed25519"))?;
                let numbers = [&ED25519_CURVE[..], &mpis([[&[0x40][..], &point].concat()])?].concat();
                let params =
                    PublicParams::try_from_reader(PublicKeyAlgorithm::EdDSALegacy, None, Cursor::new(&*numbers));
                (PublicKeyAlgorithm::EdDSALegacy, params.map_err(making)?)
            }
        };
        let packet = public_packet(algorithm, params, wanted.created_at_secs)?;
        let signer = Signer::of_token(packet.clone(), wanted.algorithm, token);
        let details = certify(&signer, &packet, wanted)?;
        Ok(SigningKey { public: SignedPublicKey::new(packet, details, vec![]), secret: None, signer })
    }
}

fn ed25519_numbers() -> Result<PlainSecretParams> {
    let mut seed = Zeroizing::new([0; 32]);
    rand::fill(&mut *seed).map_err(making)?;
    let secret = ed25519::SecretKey::try_from_bytes(*seed, ed25519::Mode::EdDSALegacy).map_err(making)?;
    Ok(PlainSecretParams::EdDSALegacy(eddsa_legacy::SecretKey::Ed25519(secret)))
}

fn rsa_numbers() -> Result<PlainSecretParams> {
    let pair = aws_rsa::KeyPair::generate(aws_rsa::KeySize::Rsa4096).map_err(making)?;
    let pkcs8 = pair.as_der().map_err(making)?;
    let key = rsa::RsaPrivateKey::from_pkcs8_der(pkcs8.as_ref()).map_err(making)?;
    let public = mpis([key.n(), key.e()].map(|number| number.to_bytes_be()))?;
    let public = PublicParams::try_from_reader(PublicKeyAlgorithm::RSA, None, Cursor::new(&*public)).map_err(making)?;
    // The fourth number is computed from the others by the reader.
    let parts = [key.d(), &key.primes()[0], &key.primes()[1], key.e()].map(|number| number.to_bytes_be());
    let secret = PlainSecretParams::try_from_reader_no_checksum(
        Cursor::new(&*mpis(parts)?),
        KeyVersion::V4,
        PublicKeyAlgorithm::RSA,
        &public,
    );
    secret.map_err(making)
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

fn public_packet(algorithm: PublicKeyAlgorithm, params: PublicParams, created_at_secs: u32) -> Result<PublicKeyPacket> {
    let created_at = Timestamp::from_secs(created_at_secs);
    let inner = PubKeyInner::new(KeyVersion::V4, algorithm, created_at, None, params).map_err(making)?;
    PublicKeyPacket::from_inner(inner).map_err(making)
}

/// Makes the key's own signature on its name, which says also what it is for and how long it is good.
fn certify(signer: &Signer, packet: &PublicKeyPacket, wanted: &NewKey<'_>) -> Result<SignedKeyDetails> {
    let user_id = wanted.user_id;
    if user_id.is_empty() || user_id.len() > MAX_USER_ID_BYTES || user_id.contains(char::is_control) {
        return Err(making("the user id is empty, too long or has control characters"));
    }
    if wanted.valid_secs == Some(0) {
        return Err(making("it would never be good"));
    }
    let user_id = UserId::from_str(PacketHeaderVersion::New, user_id).map_err(making)?;
    let mut config = signer.config(SignatureType::CertPositive, wanted.created_at_secs).map_err(making)?;
    let mut flags = KeyFlags::default();
    flags.set_certify(true);
    flags.set_sign(true);
    let mut add = |data| -> Result<()> {
        config.hashed_subpackets.push(Subpacket::regular(data).map_err(making)?);
        Ok(())
    };
    add(SubpacketData::KeyFlags(flags))?;
    if let Some(secs) = wanted.valid_secs {
        add(SubpacketData::KeyExpirationTime(Duration::from_secs(secs)))?;
    }
    let signature =
        config.sign_certification(signer, packet, &Password::empty(), Tag::UserId, &user_id).map_err(making)?;
    Ok(SignedKeyDetails::new(vec![], vec![], vec![user_id.into_signed(signature)], vec![]))
}
