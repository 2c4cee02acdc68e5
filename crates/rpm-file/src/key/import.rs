//! Keys that others made: what is taken, and why another is not.

use std::sync::Arc;

use pgp::{
    composed::{Deserializable, SignedPublicKey, SignedSecretKey},
    crypto::public_key::PublicKeyAlgorithm,
    types::{KeyDetails, KeyVersion, Password, SecretParams, Tag},
};

use super::{Algorithm, MAX_KEY_BYTES, SigningKey, Token, signer, signer::Signer};
use crate::{Error, PublicKey, Result};

/// Bits of an RSA key that is taken: what lives for years as the root of all trust is not smaller, and what is larger is
/// not read everywhere.
const RSA_BITS: usize = 4096;

impl SigningKey {
    /// Reads an armoured secret key that is locked with `passphrase` (or not locked, if that is empty).
    pub fn from_armoured_secret(text: &str, passphrase: &str) -> Result<SigningKey> {
        let mut secret = parse(text)?;
        secret.verify_bindings().map_err(reading)?;
        unlock(&mut secret, passphrase)?;
        SigningKey::unlocked(secret)
    }

    /// Reads a secret key that another program made, as [`SigningKey::from_armoured_secret`] does, and keeps of it what a
    /// Sign Server needs: the primary key with its own names. `now_secs` tells whether it has expired.
    ///
    /// Anything but RSA with 4096 bits or Ed25519, in the form that rpm 4.18 verifies, is refused with a reason; so is a key
    /// that signs by a subkey, that is revoked, or that has expired.
    pub fn import(text: &str, passphrase: &str, now_secs: u32) -> Result<SigningKey> {
        let mut secret = parse(text)?;
        check_form(&secret)?;
        // Subkeys encrypt, or sign in a form that rpm 4.18 does not look for; other people's certifications are theirs to publish.
        secret.public_subkeys.clear();
        secret.secret_subkeys.clear();
        let public = secret.primary_key.public_key().clone();
        for user in &mut secret.details.users {
            user.signatures.retain(|signature| signature.verify_certification(&public, Tag::UserId, &user.id).is_ok());
        }
        secret.details.users.retain(|user| !user.signatures.is_empty());
        secret.details.user_attributes.clear();
        if secret.details.users.is_empty() {
            return Err(refused("it has no name that it certified itself"));
        }
        secret.verify_bindings().map_err(reading)?;
        let checked = PublicKey::new(secret.to_public_key());
        if checked.is_revoked() {
            return Err(refused("it is revoked"));
        }
        if let Some(at_secs) = checked.expires_at_secs().filter(|&at_secs| at_secs <= i64::from(now_secs)) {
            return Err(refused(&format!("it expired {} days ago", (i64::from(now_secs) - at_secs) / 86_400)));
        }
        if !checked.may_sign() {
            return Err(refused(
                "its primary key may not sign (it signs by a subkey, which rpm 4.18 does not look for)",
            ));
        }
        unlock(&mut secret, passphrase)?;
        SigningKey::unlocked(secret)
    }

    /// Puts a public key together with the token that has its secret numbers.
    pub fn from_token(public: &PublicKey, token: Arc<dyn Token>) -> Result<SigningKey> {
        let public: SignedPublicKey = public.inner().clone();
        let algorithm = match public.primary_key.algorithm() {
            PublicKeyAlgorithm::RSA => Algorithm::Rsa4096,
            PublicKeyAlgorithm::EdDSALegacy => Algorithm::Ed25519,
            _ => return Err(refused("it is neither RSA nor Ed25519")),
        };
        let signer = Signer::of_token(public.primary_key.clone(), algorithm, token);
        Ok(SigningKey { public, secret: None, signer })
    }

    fn unlocked(secret: SignedSecretKey) -> Result<SigningKey> {
        let signer = Signer::new(&secret.primary_key)?;
        Ok(SigningKey { public: secret.to_public_key(), secret: Some(secret), signer })
    }
}

fn parse(text: &str) -> Result<SignedSecretKey> {
    if text.len() > MAX_KEY_BYTES {
        return Err(Error::Key(format!("it is longer than {MAX_KEY_BYTES} bytes")));
    }
    if text.contains("BEGIN PGP PUBLIC KEY BLOCK") {
        return Err(refused("it is a public key; export the secret one (gpg --armor --export-secret-keys)"));
    }
    let (secret, _) = SignedSecretKey::from_string(text).map_err(reading)?;
    Ok(secret)
}

fn check_form(secret: &SignedSecretKey) -> Result<()> {
    let key = &secret.primary_key;
    if key.version() != KeyVersion::V4 {
        return Err(refused("it is not of version 4, which is what rpm reads"));
    }
    match key.algorithm() {
        PublicKeyAlgorithm::RSA | PublicKeyAlgorithm::RSASign => {}
        PublicKeyAlgorithm::EdDSALegacy => return Ok(()),
        PublicKeyAlgorithm::Ed25519 => {
            return Err(refused("it is Ed25519 in the form of RFC 9580, which neither rpm 4.18 nor gpg 2.2 reads"));
        }
        other => return Err(refused(&format!("it is {other:?}; RSA with {RSA_BITS} bits and Ed25519 are taken"))),
    }
    match signer::rsa_bits(key.public_params()) {
        Some(RSA_BITS) => Ok(()),
        Some(bits) => Err(refused(&format!("it is RSA with {bits} bits; {RSA_BITS} are taken"))),
        None => Err(refused("its public part is no RSA key")),
    }
}

fn unlock(secret: &mut SignedSecretKey, passphrase: &str) -> Result<()> {
    if let (SecretParams::Encrypted(_), "") = (secret.primary_key.secret_params(), passphrase) {
        return Err(refused("it is locked, and no passphrase was given"));
    }
    let unlocking = |error: pgp::errors::Error| match error.to_string() {
        words if words.contains("nsupported") || words.contains("nimplemented") => {
            refused(&format!("its secret numbers are not in it, or locked in a way that is not known: {words}"))
        }
        _ => refused("its passphrase is another"),
    };
    secret.primary_key.remove_password(&Password::from(passphrase)).map_err(unlocking)
}

fn reading(error: pgp::errors::Error) -> Error {
    Error::Key(error.to_string())
}

fn refused(reason: &str) -> Error {
    Error::Key(reason.to_string())
}
