//! Accounts, and their passwords as hashes.

use anima_types::{
    account::{Account, CreateAccount},
    id::AccountId,
};
use sqlx::any::AnyRow;

use crate::{
    Connection, Error, Result, Write,
    event::{self, NewEvent},
    row::Columns,
};

/// An account with what nobody is shown.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The account.
    pub account: Account,
    /// Its password's hash, as a PHC string.
    pub password: Option<String>,
}

/// Writes an account; `password` is the hash of its password.
pub async fn insert(write: &mut Write, account: &CreateAccount, password: Option<&str>) -> Result<AccountId> {
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO account (name, title, password, created_at) VALUES ($1, $2, $3, $4) RETURNING id",
    )
    .bind(&account.name)
    .bind(&account.title)
    .bind(password)
    .bind(write.now.0)
    .fetch_one(&mut **write)
    .await
    .map_err(|error| Error::taken(error, "account", &account.name))?;
    record(write, "created", format!("Account {} was made.", account.name)).await?;
    Ok(AccountId(id))
}

/// Returns the account of that name.
pub async fn get(connection: &mut Connection, name: &str) -> Result<Account> {
    Ok(find(connection, name).await?.ok_or_else(|| Error::missing("account", name))?.account)
}

/// Returns the account of that name with its password's hash, if there is one.
pub async fn find(connection: &mut Connection, name: &str) -> Result<Option<Stored>> {
    let row = sqlx::query("SELECT * FROM account WHERE name = $1").bind(name).fetch_optional(connection).await?;
    row.as_ref().map(stored).transpose()
}

/// Returns an account.
pub async fn by_id(connection: &mut Connection, id: AccountId) -> Result<Account> {
    let row = sqlx::query("SELECT * FROM account WHERE id = $1").bind(id.0).fetch_optional(connection).await?;
    from_row(&row.ok_or_else(|| Error::missing("account", id))?)
}

/// Returns all accounts by name.
pub async fn list(connection: &mut Connection) -> Result<Vec<Account>> {
    let rows = sqlx::query("SELECT * FROM account ORDER BY name").fetch_all(connection).await?;
    rows.iter().map(from_row).collect()
}

/// Writes another password's hash.
pub async fn set_password(write: &mut Write, account: &Account, password: &str) -> Result<()> {
    sqlx::query("UPDATE account SET password = $2 WHERE id = $1")
        .bind(account.id.0)
        .bind(password)
        .execute(&mut **write)
        .await?;
    record(write, "password", format!("The password of account {} was changed.", account.name)).await
}

/// Writes that an account may not be used, or may be again.
pub async fn set_disabled(write: &mut Write, account: &Account, is_disabled: bool) -> Result<()> {
    sqlx::query("UPDATE account SET is_disabled = $2 WHERE id = $1")
        .bind(account.id.0)
        .bind(i64::from(is_disabled))
        .execute(&mut **write)
        .await?;
    let (verb, word) = if is_disabled { ("disabled", "disabled") } else { ("enabled", "enabled again") };
    record(write, verb, format!("Account {} was {word}.", account.name)).await
}

/// Writes that somebody signed in with it; `how` ends the sentence.
pub async fn signed_in(write: &mut Write, account: &Account, how: &str) -> Result<()> {
    sqlx::query("UPDATE account SET signed_in_at = $2 WHERE id = $1")
        .bind(account.id.0)
        .bind(write.now.0)
        .execute(&mut **write)
        .await?;
    record(write, "signed_in", format!("{} signed in {how}.", account.name)).await
}

/// Writes what happened to accounts, which only those see who may read the audit.
pub async fn record(write: &mut Write, verb: &'static str, message: String) -> Result<()> {
    event::record(write, NewEvent { noun: "account", verb, message, ..NewEvent::default() }).await.map(drop)
}

fn stored(row: &AnyRow) -> Result<Stored> {
    Ok(Stored { account: from_row(row)?, password: row.maybe_text("password")? })
}

pub(crate) fn from_row(row: &AnyRow) -> Result<Account> {
    Ok(Account {
        id: AccountId(row.int("id")?),
        name: row.text("name")?,
        title: row.text("title")?,
        is_disabled: row.flag("is_disabled")?,
        has_password: !row.is_null("password")?,
        created_at: row.time("created_at")?,
        signed_in_at: row.maybe_time("signed_in_at")?,
    })
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
