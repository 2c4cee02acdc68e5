//! API tokens: 32 random bytes, known to the server only by their hash.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Timestamp, id::TokenId, permission::Role};

/// `POST /api/v1/tokens`
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateToken {
    /// Whose it is: a person's or a node's name.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

/// The answer, once: the secret is not kept.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CreatedToken {
    /// Its id.
    pub id: TokenId,
    /// What to send as `Authorization: Bearer …`.
    pub secret: String,
}

/// A token as the API shows it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// Whose it is.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    #[schema(value_type = String)]
    pub created_at: Timestamp,
}

/// The answer to `GET /api/v1/tokens/whoami`: whose token was sent with it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Whoami {
    /// The token's name.
    pub name: String,
    /// What it may do.
    pub role: Role,
}
