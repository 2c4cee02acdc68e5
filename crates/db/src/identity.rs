//! Who somebody is at an OpenID provider.

use anima_types::{
    account::Account,
    id::{AccountId, IdentityId, RightId},
    identity::Identity,
};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;

use crate::{
    Connection, Error, Result, Write, account,
    row::{self, Columns},
};

/// What an account has because the provider says so.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Granted {
    /// Teams.
    pub teams: Vec<String>,
    /// Rights of its own.
    pub rights: Vec<RightId>,
}

/// An identity with whose it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stored {
    /// The identity.
    pub identity: Identity,
    /// Whose.
    pub account: AccountId,
    /// What was granted by it.
    pub granted: Granted,
}

/// Writes that an account's person is this one at a provider.
pub async fn insert(write: &mut Write, account: &Account, issuer: &str, subject: &str) -> Result<Stored> {
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO identity (account_id, issuer, subject, granted, linked_at) VALUES ($1, $2, $3, $4, $5) RETURNING id",
    )
    .bind(account.id.0)
    .bind(issuer)
    .bind(subject)
    .bind(row::to_json("granted", &Granted::default())?)
    .bind(write.now.0)
    .fetch_one(&mut **write)
    .await
    .map_err(|error| Error::taken(error, "identity", format!("{subject} at {issuer}")))?;
    let message = format!("{} is \"{subject}\" at {issuer} now.", account.name);
    account::record(write, "linked", message).await?;
    get(write, IdentityId(id)).await
}

/// Returns an identity.
pub async fn get(connection: &mut Connection, id: IdentityId) -> Result<Stored> {
    let row = sqlx::query("SELECT * FROM identity WHERE id = $1").bind(id.0).fetch_optional(connection).await?;
    from_row(&row.ok_or_else(|| Error::missing("identity", id))?)
}

/// Returns the identity that a provider calls so.
pub async fn find(connection: &mut Connection, issuer: &str, subject: &str) -> Result<Option<Stored>> {
    let query = sqlx::query("SELECT * FROM identity WHERE issuer = $1 AND subject = $2").bind(issuer).bind(subject);
    query.fetch_optional(connection).await?.as_ref().map(from_row).transpose()
}

/// Returns an account's identities, in the order in which they were linked.
pub async fn of_account(connection: &mut Connection, account: AccountId) -> Result<Vec<Identity>> {
    // Index: identity_account.
    let query = sqlx::query("SELECT * FROM identity WHERE account_id = $1 ORDER BY id").bind(account.0);
    query.fetch_all(connection).await?.iter().map(|row| Ok(from_row(row)?.identity)).collect()
}

/// Writes that somebody signed in by it, and what they have because of what the provider said.
pub async fn signed_in(write: &mut Write, id: IdentityId, granted: &Granted) -> Result<()> {
    sqlx::query("UPDATE identity SET signed_in_at = $2, granted = $3 WHERE id = $1")
        .bind(id.0)
        .bind(write.now.0)
        .bind(row::to_json("granted", granted)?)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Takes an identity away from its account.
pub async fn delete(write: &mut Write, account: &Account, identity: &Identity) -> Result<()> {
    sqlx::query("DELETE FROM identity WHERE id = $1").bind(identity.id.0).execute(&mut **write).await?;
    let message = format!("{} is not \"{}\" at {} any more.", account.name, identity.subject, identity.issuer);
    account::record(write, "unlinked", message).await
}

fn from_row(row: &AnyRow) -> Result<Stored> {
    let identity = Identity {
        id: IdentityId(row.int("id")?),
        issuer: row.text("issuer")?,
        subject: row.text("subject")?,
        linked_at: row.time("linked_at")?,
        signed_in_at: row.maybe_time("signed_in_at")?,
    };
    Ok(Stored { identity, account: AccountId(row.int("account_id")?), granted: row.json("granted")? })
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
