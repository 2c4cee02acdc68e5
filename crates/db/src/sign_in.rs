//! Sign-ins that are under way: of a browser that is at a provider, and of a command line that waits for a person's word.
//! Each is known by the hash of a secret, ends once, and is forgotten after a time that the master sets.

use anima_types::{Timestamp, id::AccountId};
use sqlx::any::AnyRow;

use crate::{Connection, Result, Write, row::Columns};

/// A browser that is at a provider.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Flow {
    /// The hash of its cookie.
    pub browser: String,
    /// What the provider is to put into its answer.
    pub nonce: String,
    /// What proves that the answer comes to who asked (PKCE).
    pub verifier: String,
    /// Where the browser goes then.
    pub return_to: String,
    /// The account to which the identity is to be linked; none for a sign-in.
    pub account: Option<AccountId>,
    /// When it was begun.
    pub begun_at: Timestamp,
}

/// Writes a flow by the hash of its state.
pub async fn begin(write: &mut Write, hash: &str, flow: &Flow) -> Result<()> {
    sqlx::query(
        "INSERT INTO sign_in_flow (hash, browser, nonce, verifier, return_to, account_id, begun_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(hash)
    .bind(&flow.browser)
    .bind(&flow.nonce)
    .bind(&flow.verifier)
    .bind(&flow.return_to)
    .bind(flow.account.map(|id| id.0))
    .bind(flow.begun_at.0)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Returns whether there is a flow of that state.
pub async fn is_begun(read: &mut Connection, hash: &str) -> Result<bool> {
    let row = sqlx::query("SELECT 1 AS one FROM sign_in_flow WHERE hash = $1").bind(hash).fetch_optional(&mut *read);
    Ok(row.await?.is_some())
}

/// Takes a flow away, so that it ends once.
pub async fn take(write: &mut Write, hash: &str) -> Result<Option<Flow>> {
    let row = sqlx::query(
        "DELETE FROM sign_in_flow WHERE hash = $1
         RETURNING browser, nonce, verifier, return_to, account_id, begun_at",
    )
    .bind(hash)
    .fetch_optional(&mut **write)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Flow {
        browser: row.text("browser")?,
        nonce: row.text("nonce")?,
        verifier: row.text("verifier")?,
        return_to: row.text("return_to")?,
        account: row.maybe_int("account_id")?.map(AccountId),
        begun_at: row.time("begun_at")?,
    }))
}

/// A command line that waits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Device {
    /// The hash of what it fetches its token with.
    pub hash: String,
    /// The hash of what the person types.
    pub code: String,
    /// What it calls itself.
    pub label: String,
    /// From where it asked.
    pub address: Option<String>,
    /// When.
    pub begun_at: Timestamp,
    /// The person's word.
    pub word: Word,
}

/// What a person said to a command line that waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Word {
    /// Nothing yet.
    None,
    /// It may have a token of this account.
    Approved(AccountId),
    /// It may not.
    Refused,
}

/// Writes a command line that begins to wait.
pub async fn begin_device(write: &mut Write, device: &Device) -> Result<()> {
    sqlx::query("INSERT INTO device_sign_in (hash, code, label, address, begun_at) VALUES ($1, $2, $3, $4, $5)")
        .bind(&device.hash)
        .bind(&device.code)
        .bind(&device.label)
        .bind(&device.address)
        .bind(device.begun_at.0)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Returns the command line that has this secret.
pub async fn device(connection: &mut Connection, hash: &str) -> Result<Option<Device>> {
    let query = sqlx::query("SELECT * FROM device_sign_in WHERE hash = $1").bind(hash);
    query.fetch_optional(connection).await?.as_ref().map(device_from_row).transpose()
}

/// Returns the command line that shows this code.
pub async fn device_by_code(connection: &mut Connection, code: &str) -> Result<Option<Device>> {
    let query = sqlx::query("SELECT * FROM device_sign_in WHERE code = $1").bind(code);
    query.fetch_optional(connection).await?.as_ref().map(device_from_row).transpose()
}

/// Writes a person's word. Returns whether there was none yet.
pub async fn set_word(write: &mut Write, device: &Device, word: Word) -> Result<bool> {
    let (account, is_refused) = match word {
        Word::None => (None, false),
        Word::Approved(account) => (Some(account.0), false),
        Word::Refused => (None, true),
    };
    let changed = sqlx::query(
        "UPDATE device_sign_in SET account_id = $2, is_refused = $3
         WHERE hash = $1 AND account_id IS NULL AND is_refused = 0",
    )
    .bind(&device.hash)
    .bind(account)
    .bind(i64::from(is_refused))
    .execute(&mut **write)
    .await?;
    Ok(changed.rows_affected() > 0)
}

/// Takes a command line away that has its word. Returns whether nobody was faster.
pub async fn end_device(write: &mut Write, hash: &str) -> Result<bool> {
    let deleted = sqlx::query("DELETE FROM device_sign_in WHERE hash = $1").bind(hash).execute(&mut **write).await?;
    Ok(deleted.rows_affected() > 0)
}

/// Forgets what was begun before a moment; returns how many.
pub async fn drop_old(write: &mut Write, before: Timestamp) -> Result<u64> {
    let mut dropped = 0;
    // Indices: sign_in_flow_begun, device_sign_in_begun.
    for sql in ["DELETE FROM sign_in_flow WHERE begun_at < $1", "DELETE FROM device_sign_in WHERE begun_at < $1"] {
        dropped += sqlx::query(sql).bind(before.0).execute(&mut **write).await?.rows_affected();
    }
    Ok(dropped)
}

fn device_from_row(row: &AnyRow) -> Result<Device> {
    let word = match (row.maybe_int("account_id")?, row.flag("is_refused")?) {
        (Some(account), _) => Word::Approved(AccountId(account)),
        (None, true) => Word::Refused,
        (None, false) => Word::None,
    };
    Ok(Device {
        hash: row.text("hash")?,
        code: row.text("code")?,
        label: row.text("label")?,
        address: row.maybe_text("address")?,
        begun_at: row.time("begun_at")?,
        word,
    })
}
