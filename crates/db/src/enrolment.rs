//! Codes with which nodes get their tokens, known by their hash.

use anima_types::{Timestamp, permission::Role};

use crate::{
    Result, Write,
    event::{self, NewEvent},
    row::Columns,
};

/// What a code is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Enrolment {
    /// The node.
    pub node: String,
    /// What it is.
    pub role: Role,
    /// Until when the code is good.
    pub expires_at: Timestamp,
}

/// Writes a code, and forgets those whose time is over.
pub async fn insert(write: &mut Write, hash: &str, enrolment: &Enrolment) -> Result<()> {
    sqlx::query("DELETE FROM enrolment WHERE expires_at < $1").bind(write.now.0).execute(&mut **write).await?;
    sqlx::query("INSERT INTO enrolment (hash, node, role, expires_at) VALUES ($1, $2, $3, $4)")
        .bind(hash)
        .bind(&enrolment.node)
        .bind(enrolment.role.name())
        .bind(enrolment.expires_at.0)
        .execute(&mut **write)
        .await?;
    let message = format!("A code for {} {} was made.", enrolment.role.name(), enrolment.node);
    record(write, "created", message).await
}

/// Takes a code away, so that it is good once, and returns what it was for.
pub async fn take(write: &mut Write, hash: &str) -> Result<Option<Enrolment>> {
    let row = sqlx::query("DELETE FROM enrolment WHERE hash = $1 RETURNING node, role, expires_at")
        .bind(hash)
        .fetch_optional(&mut **write)
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Enrolment {
        node: row.text("node")?,
        role: row.word("role", Role::from_name)?,
        expires_at: row.time("expires_at")?,
    }))
}

/// Writes what happened to codes, which only those see who may read the audit.
pub async fn record(write: &mut Write, verb: &'static str, message: String) -> Result<()> {
    event::record(write, NewEvent { noun: "enrolment", verb, message, ..NewEvent::default() }).await.map(drop)
}
