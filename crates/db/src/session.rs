//! Sessions, known by the hash of their cookie's secret. When one is over is the master's to say.

use anima_types::{
    Timestamp,
    account::Session,
    id::{AccountId, SessionId},
};
use sqlx::any::AnyRow;

use crate::{Connection, Error, Result, Write, row::Columns};

/// A session with whose it is.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The session.
    pub session: Session,
    /// Whose.
    pub account: AccountId,
}

/// Writes a session.
pub async fn insert(
    write: &mut Write,
    account: AccountId,
    hash: &str,
    address: Option<&str>,
    agent: Option<&str>,
) -> Result<SessionId> {
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO session (hash, account_id, address, agent, created_at, seen_at) VALUES ($1, $2, $3, $4, $5, $5)
         RETURNING id",
    )
    .bind(hash)
    .bind(account.0)
    .bind(address)
    .bind(agent)
    .bind(write.now.0)
    .fetch_one(&mut **write)
    .await?;
    Ok(SessionId(id))
}

/// Returns the session whose secret has this hash.
pub async fn find(connection: &mut Connection, hash: &str) -> Result<Option<Stored>> {
    let row = sqlx::query("SELECT * FROM session WHERE hash = $1").bind(hash).fetch_optional(connection).await?;
    row.as_ref().map(from_row).transpose()
}

/// Returns an account's sessions, the one used last first.
pub async fn of_account(connection: &mut Connection, account: AccountId) -> Result<Vec<Session>> {
    let rows = sqlx::query("SELECT * FROM session WHERE account_id = $1 ORDER BY seen_at DESC, id DESC")
        .bind(account.0)
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok(from_row(row)?.session)).collect()
}

/// Writes that a session is used now.
pub async fn touch(write: &mut Write, id: SessionId) -> Result<()> {
    sqlx::query("UPDATE session SET seen_at = $2 WHERE id = $1")
        .bind(id.0)
        .bind(write.now.0)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Ends a session of an account.
pub async fn delete(write: &mut Write, account: AccountId, id: SessionId) -> Result<()> {
    let deleted = sqlx::query("DELETE FROM session WHERE id = $1 AND account_id = $2")
        .bind(id.0)
        .bind(account.0)
        .execute(&mut **write)
        .await?;
    if deleted.rows_affected() == 0 {
        return Err(Error::missing("session", id));
    }
    Ok(())
}

/// Ends all sessions of an account but one; returns how many.
pub async fn delete_others(write: &mut Write, account: AccountId, but: Option<SessionId>) -> Result<u64> {
    let deleted = sqlx::query("DELETE FROM session WHERE account_id = $1 AND id <> $2")
        .bind(account.0)
        .bind(but.map_or(0, |id| id.0))
        .execute(&mut **write)
        .await?;
    Ok(deleted.rows_affected())
}

/// Drops sessions that were not used since `seen_before`, or are older than `made_before`; returns how many.
pub async fn drop_old(write: &mut Write, seen_before: Timestamp, made_before: Timestamp) -> Result<u64> {
    // Index: session_seen.
    let deleted = sqlx::query("DELETE FROM session WHERE seen_at < $1 OR created_at < $2")
        .bind(seen_before.0)
        .bind(made_before.0)
        .execute(&mut **write)
        .await?;
    Ok(deleted.rows_affected())
}

fn from_row(row: &AnyRow) -> Result<Stored> {
    let session = Session {
        id: SessionId(row.int("id")?),
        address: row.maybe_text("address")?,
        agent: row.maybe_text("agent")?,
        created_at: row.time("created_at")?,
        seen_at: row.time("seen_at")?,
    };
    Ok(Stored { session, account: AccountId(row.int("account_id")?) })
}
