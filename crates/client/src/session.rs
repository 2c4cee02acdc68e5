//! One's own sessions, and who people are elsewhere.

use anima_types::{account::Session, id::SessionId, identity::Identity};
use reqwest::Method;

use crate::{Client, Error, http::segment};

/// No query.
const NONE: &[(&str, &str); 0] = &[];

impl Client {
    /// Returns where the owner of this client's token is signed in, the session used last first.
    pub async fn sessions(&self) -> Result<Vec<Session>, Error> {
        self.list("api/v1/sessions", NONE, None).await
    }

    /// Ends one of them.
    pub async fn end_session(&self, session: SessionId) -> Result<(), Error> {
        self.act(Method::DELETE, &format!("api/v1/sessions/{session}")).await
    }

    /// Returns who an account's person is at a provider.
    pub async fn identities(&self, account: &str) -> Result<Vec<Identity>, Error> {
        self.list(&format!("api/v1/accounts/{}/identities", segment(account)), NONE, None).await
    }
}
