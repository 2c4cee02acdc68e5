//! Signing keys as everybody but the Sign Server knows them: by their public half.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Timestamp, id::KeyId, key_policy::Policy, signature::Record, words::words};

/// What kind of key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Ed25519: small and fast; Enterprise Linux 8 and later read it.
    Ed25519,
    /// RSA with 4,096 bits: every client reads it.
    Rsa4096,
}

words!(Algorithm {
    Ed25519 = "ed25519",
    Rsa4096 = "rsa4096",
});

/// Where a key stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = KeyStatus)]
pub enum Status {
    /// The Sign Server has still to make it, or to say that it has it.
    Asked,
    /// It signs.
    Active,
    /// Another took its place: what it signed is good, and it signs nothing new.
    Retired,
    /// Its time is over: what it signed before is good, and it signs nothing new.
    Expired,
    /// It is not to be trusted any more.
    Revoked,
}

/// What happens to a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = KeyEvent)]
pub enum Event {
    /// The Sign Server has it.
    Made,
    /// Another took its place.
    Rotated,
    /// Its time is over.
    Expired,
    /// Somebody took it out of trust.
    Revoked,
}

words!(Status {
    Asked = "asked",
    Active = "active",
    Retired = "retired",
    Expired = "expired",
    Revoked = "revoked",
});

impl Status {
    /// Returns whether users still trust what it signed.
    pub const fn verifies(self) -> bool {
        matches!(self, Status::Active | Status::Retired | Status::Expired)
    }
}

words!(Event {
    Made = "made",
    Rotated = "rotated",
    Expired = "expired",
    Revoked = "revoked",
});

/// Returns the status after `event`, or `None` where it cannot happen.
pub const fn next(status: Status, event: Event) -> Option<Status> {
    use Status::*;
    Some(match (status, event) {
        (Asked, Event::Made) => Active,
        (Active | Expired, Event::Rotated) => Retired,
        (Active, Event::Expired) => Expired,
        (Active | Retired | Expired, Event::Revoked) => Revoked,
        _ => return None,
    })
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
    /// What else is said of it.
    #[serde(flatten)]
    pub options: Options,
}

/// What may be said of a key besides.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = KeyOptions)]
pub struct Options {
    /// For how many seconds it is good; for ever where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_secs: Option<u32>,
    /// Packages get a second signature, over header and payload, for clients of before Enterprise Linux 8. RSA only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub signs_payload: bool,
    /// Files of packages are signed for the kernel's integrity measurement (IMA), by an RSA key of their own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub signs_files: bool,
    /// The fingerprint of a key that the Sign Server has already: imported, or in a token. It has to be that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopt: Option<String>,
}

/// A key as the API shows it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// As it was asked for.
    #[serde(flatten)]
    pub key: CreateKey,
    /// Where it stands.
    pub status: Status,
    /// The fingerprint in upper-case hexadecimal; none until the Sign Server has made the key.
    pub fingerprint: Option<String>,
    /// The public key, ASCII-armoured; with its revocation, where it is revoked.
    pub public_key: Option<String>,
    /// The public key that its file signatures are by, where it has one.
    #[serde(default)]
    pub file_key: Option<String>,
    /// What it may sign.
    #[serde(default)]
    pub policy: Policy,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it expires.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// When it was retired, expired or revoked.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// Why it was revoked.
    #[serde(default)]
    pub reason: Option<String>,
}

impl Key {
    /// Returns why nothing can be signed with it now, or `None` where it can.
    pub fn refuses(&self, now: Timestamp) -> Option<String> {
        let name = &self.key.name;
        Some(match self.status {
            Status::Active if self.expires_at.is_some_and(|at| at <= now) => format!("key {name} is expired"),
            Status::Active => return None,
            Status::Asked => format!("the Sign Server has not made key {name} yet"),
            Status::Retired => format!("key {name} is retired: another took its place"),
            Status::Expired => format!("key {name} is expired"),
            Status::Revoked => format!("key {name} is revoked"),
        })
    }

    /// Returns in how many whole days it expires, where it does.
    pub fn days_left(&self, now: Timestamp) -> Option<i64> {
        let at = self.expires_at.filter(|_| self.status == Status::Active)?;
        Some((at.epoch_secs() - now.epoch_secs()).div_euclid(24 * 60 * 60))
    }
}

/// Why a key is revoked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Revocation {
    /// Nothing is said.
    #[default]
    Unsaid,
    /// Another key took its place.
    Superseded,
    /// Somebody else may have it: nothing that it ever signed is to be trusted.
    Compromised,
    /// It is not used any more.
    Retired,
}

impl Revocation {
    /// Returns the word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Revocation::Unsaid => "unsaid",
            Revocation::Superseded => "superseded",
            Revocation::Compromised => "compromised",
            Revocation::Retired => "retired",
        }
    }
}

/// `POST /api/v1/keys/{key}/revoke`
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RevokeKey {
    /// Why, in OpenPGP's words.
    #[serde(default)]
    pub why: Revocation,
    /// Why, in words of a person. They stand in the public key.
    #[serde(default)]
    pub reason: String,
    /// A revocation that was made before, in armour: for a key that the Sign Server does not have any more. Without one,
    /// the Sign Server makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

/// `POST /api/v1/products/{product}/key`: another key takes the place of a product's.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RotateKey {
    /// What kind of key; that of the old one where nothing is said.
    #[serde(default)]
    pub algorithm: Option<Algorithm>,
    /// Whose key it is; as the old one's where nothing is said.
    #[serde(default)]
    pub user_id: Option<String>,
    /// The new key's name; the product's with a number where nothing is said.
    #[serde(default)]
    pub name: Option<String>,
    /// What else is said of it.
    #[serde(flatten)]
    pub options: Options,
}

/// A key with what it is used for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KeyDetail {
    /// The key.
    #[serde(flatten)]
    pub key: Key,
    /// The products that are signed with it.
    pub products: Vec<String>,
    /// The products that were signed with it before another took its place.
    pub former_products: Vec<String>,
    /// How much of each kind it signed.
    pub signed: Vec<SignedCount>,
    /// How many packages with its signature users see now.
    #[serde(default)]
    pub seen_count: i64,
    /// What it signed last, the newest first.
    pub newest: Vec<Record>,
}

/// How much of one kind a key signed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SignedCount {
    /// What kind.
    pub kind: crate::signature::Kind,
    /// How many signatures.
    pub count: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_status_and_event_is_decided() {
        let mut table = String::new();
        for status in Status::ALL {
            for event in Event::ALL {
                if let Some(next) = next(status, event) {
                    table += &format!("{} {} {}\n", status.name(), event.name(), next.name());
                }
            }
        }

        assert_eq!(
            table,
            "asked made active\nactive rotated retired\nactive expired expired\nactive revoked revoked\n\
             retired revoked revoked\nexpired rotated retired\nexpired revoked revoked\n"
        );
    }

    #[test]
    fn nothing_leads_back_to_signing() {
        for status in Status::ALL {
            for event in Event::ALL {
                if next(status, event) == Some(Status::Active) {
                    assert_eq!(status, Status::Asked);
                }
            }
        }
    }

    #[test]
    fn names_read_back() {
        assert!(Status::ALL.into_iter().all(|status| Status::from_name(status.name()) == Some(status)));
    }

    #[test]
    fn only_an_active_key_signs_and_that_until_it_expires() {
        let mut key = Key {
            id: KeyId(1),
            key: CreateKey {
                name: "k".into(),
                algorithm: Algorithm::Ed25519,
                user_id: "K <k@example.org>".into(),
                options: Options::default(),
            },
            status: Status::Active,
            fingerprint: None,
            public_key: None,
            file_key: None,
            policy: Policy::default(),
            created_at: Timestamp(0),
            expires_at: Some(Timestamp(100_000_000)),
            ended_at: None,
            reason: None,
        };

        assert_eq!(key.refuses(Timestamp(99_999_999)), None);
        assert_eq!(key.refuses(Timestamp(100_000_000)).as_deref(), Some("key k is expired"));
        for status in Status::ALL.into_iter().filter(|&status| status != Status::Active) {
            key.status = status;
            assert!(key.refuses(Timestamp(0)).is_some(), "{}", status.name());
        }
    }
}
