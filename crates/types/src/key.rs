//! Signing keys as everybody but the Sign Server knows them: by their public half.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Timestamp, id::KeyId};

/// What kind of key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Ed25519: small and fast; Enterprise Linux 8 and later read it.
    Ed25519,
    /// RSA with 4,096 bits: every client reads it.
    Rsa4096,
}

impl Algorithm {
    /// Returns the word that is kept in the database and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Ed25519 => "ed25519",
            Algorithm::Rsa4096 => "rsa4096",
        }
    }

    /// Returns the algorithm of that name.
    pub fn from_name(name: &str) -> Option<Algorithm> {
        [Algorithm::Ed25519, Algorithm::Rsa4096].into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// `POST /api/v1/keys`
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateKey {
    /// A short name, such as the product's.
    pub name: String,
    /// What kind of key.
    pub algorithm: Algorithm,
    /// Whose key it is, as OpenPGP writes it: `Seed Linux <security@example.org>`.
    pub user_id: String,
}

/// A key as the API shows it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// As it was asked for.
    #[serde(flatten)]
    pub key: CreateKey,
    /// The fingerprint in upper-case hexadecimal; none until the Sign Server has made the key.
    pub fingerprint: Option<String>,
    /// The public key, ASCII-armoured.
    pub public_key: Option<String>,
    /// When it was asked for.
    #[schema(value_type = String)]
    pub created_at: Timestamp,
}
