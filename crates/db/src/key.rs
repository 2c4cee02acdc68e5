//! Signing keys by their public half.

use anima_types::{
    id::KeyId,
    key::{Algorithm, CreateKey, Key},
};
use sqlx::any::AnyRow;

use crate::{
    Connection, Error, Result, Write,
    event::{self, NewEvent},
    row::Columns,
};

/// Writes a key that the Sign Server has still to make.
pub async fn insert(write: &mut Write, key: &CreateKey) -> Result<KeyId> {
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO signing_key (name, algorithm, user_id, created_at) VALUES ($1, $2, $3, $4) RETURNING id",
    )
    .bind(&key.name)
    .bind(key.algorithm.name())
    .bind(&key.user_id)
    .bind(write.now.0)
    .fetch_one(&mut **write)
    .await
    .map_err(|error| Error::taken(error, "key", &key.name))?;
    let message = format!("Key {} was asked for.", key.name);
    event::record(write, NewEvent { noun: "key", verb: "created", message, ..NewEvent::default() }).await?;
    Ok(KeyId(id))
}

/// Writes what the Sign Server made; a key is made once.
pub async fn made(write: &mut Write, id: KeyId, fingerprint: &str, public_key: &str) -> Result<()> {
    let updated =
        sqlx::query("UPDATE signing_key SET fingerprint = $2, public_key = $3 WHERE id = $1 AND fingerprint IS NULL")
            .bind(id.0)
            .bind(fingerprint)
            .bind(public_key)
            .execute(&mut **write)
            .await?;
    if updated.rows_affected() == 0 {
        return Err(Error::Conflict { noun: "key", id: id.0, status: "still to be made" });
    }
    let message = format!("Key {id} was made: {fingerprint}.");
    event::record(write, NewEvent { noun: "key", verb: "made", message, ..NewEvent::default() }).await?;
    Ok(())
}

/// Returns a key.
pub async fn get(connection: &mut Connection, id: KeyId) -> Result<Key> {
    let row = sqlx::query("SELECT * FROM signing_key WHERE id = $1").bind(id.0).fetch_optional(connection).await?;
    from_row(&row.ok_or_else(|| Error::missing("key", id))?)
}

/// Returns the key of that name.
pub async fn find(connection: &mut Connection, name: &str) -> Result<Option<Key>> {
    let row = sqlx::query("SELECT * FROM signing_key WHERE name = $1").bind(name).fetch_optional(connection).await?;
    row.as_ref().map(from_row).transpose()
}

/// Returns all keys.
pub async fn list(connection: &mut Connection) -> Result<Vec<Key>> {
    let rows = sqlx::query("SELECT * FROM signing_key ORDER BY id").fetch_all(connection).await?;
    rows.iter().map(from_row).collect()
}

fn from_row(row: &AnyRow) -> Result<Key> {
    Ok(Key {
        id: KeyId(row.int("id")?),
        key: CreateKey {
            name: row.text("name")?,
            algorithm: row.word("algorithm", Algorithm::from_name)?,
            user_id: row.text("user_id")?,
        },
        fingerprint: row.maybe_text("fingerprint")?,
        public_key: row.maybe_text("public_key")?,
        created_at: row.time("created_at")?,
    })
}
