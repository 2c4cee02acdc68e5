//! Who somebody is at an OpenID provider, and signing in with a code of a command line.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Timestamp, id::IdentityId, lease};

/// Bytes of a subject at most: OpenID Connect's own bound
/// ([Core 1.0, 2](https://openid.net/specs/openid-connect-core-1_0.html#IDToken)).
pub const MAX_SUBJECT_BYTES: usize = 255;
/// A sign-in with a code takes a person no longer.
pub const DEVICE_SECS: i64 = 600;
/// Whoever waits for a person's word waits so long at once: as a node for a task.
pub const MAX_DEVICE_WAIT_SECS: u64 = lease::MAX_WAIT_SECS;

/// An account's person at a provider.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Identity {
    /// Its id.
    pub id: IdentityId,
    /// The provider, by the address that it calls itself.
    pub issuer: String,
    /// What the provider calls the person; never given to another.
    pub subject: String,
    /// When it was linked to the account.
    pub linked_at: Timestamp,
    /// When somebody signed in by it last.
    pub signed_in_at: Option<Timestamp>,
}

/// `POST /api/v1/accounts/{account}/identities`
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LinkIdentity {
    /// The provider; the one that is configured where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// What the provider calls the person (`sub`).
    pub subject: String,
}

/// `POST /api/v1/sign-in/devices`
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BeginDevice {
    /// What the token is to be called, such as the machine's name.
    #[serde(default)]
    pub label: String,
}

/// A sign-in that waits for a person in a browser.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Device {
    /// What the person types there.
    pub code: String,
    /// What the token is fetched with; the person does not see it.
    pub secret: String,
    /// Where.
    pub url: String,
    /// Until when.
    pub expires_at: Timestamp,
}

/// `POST /api/v1/sign-in/devices/redeem`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct RedeemDevice {
    /// The secret.
    pub secret: String,
    /// How many seconds to wait for the person's word at most.
    #[serde(default)]
    pub wait_secs: u64,
}
