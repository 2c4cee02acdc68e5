//! Ids: one type for each noun, so that no function can be given the wrong one.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<$name, Self::Err> {
                text.parse().map($name)
            }
        }
    )*};
}

ids! {
    /// A build: one request.
    BuildId,
    /// A task of any kind: what a node leases.
    TaskId,
    /// A release, from its plan to its end.
    ReleaseId,
    /// A repository of a product for one architecture.
    RepositoryId,
    /// An event, in the order in which they happened.
    EventId,
    /// An API token.
    TokenId,
    /// A signing key.
    KeyId,
    /// A person's account.
    AccountId,
    /// A session of somebody who signed in.
    SessionId,
    /// Who somebody is at a provider.
    IdentityId,
    /// A right that was given.
    RightId,
    /// An address that is told of events.
    WebhookId,
    /// A message to such an address.
    DeliveryId,
}
