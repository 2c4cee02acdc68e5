//! Signing keys by their public half.

use anima_types::{
    Timestamp,
    id::KeyId,
    key::{Algorithm, CreateKey, Event, Key, Options, Status, next},
    key_policy::Policy,
};
use sqlx::any::AnyRow;

use crate::{
    Connection, Error, Result, Write,
    event::{self, NewEvent},
    row::{Columns, to_json},
};

/// What the Sign Server says of a key that it has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Made {
    /// The fingerprint in upper-case hexadecimal.
    pub fingerprint: String,
    /// The public key, ASCII-armoured.
    pub public_key: String,
    /// The public key of file signatures.
    pub file_key: Option<String>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
}

/// Writes a key that the Sign Server has still to make.
pub async fn insert(write: &mut Write, key: &CreateKey, policy: &Policy) -> Result<KeyId> {
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO signing_key (name, algorithm, user_id, options, status, policy, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
    )
    .bind(&key.name)
    .bind(key.algorithm.name())
    .bind(&key.user_id)
    .bind(to_json("options", &key.options)?)
    .bind(Status::Asked.name())
    .bind(to_json("policy", policy)?)
    .bind(write.now.0)
    .fetch_one(&mut **write)
    .await
    .map_err(|error| Error::taken(error, "key", &key.name))?;
    record(write, "created", Some(Status::Asked), format!("Key {} was asked for.", key.name)).await?;
    Ok(KeyId(id))
}

/// Moves a key along its table, if it still stands where `key` says.
pub async fn apply(write: &mut Write, key: &Key, event: Event, message: &str) -> Result<Status> {
    let (id, status) = (key.id.0, key.status);
    let next =
        next(status, event).ok_or(Error::Transition { noun: "key", id, status: status.name(), event: event.name() })?;
    let ended = (next != Status::Active).then_some(write.now.0);
    let updated = sqlx::query("UPDATE signing_key SET status = $3, ended_at = $4 WHERE id = $1 AND status = $2")
        .bind(id)
        .bind(status.name())
        .bind(next.name())
        .bind(ended)
        .execute(&mut **write)
        .await?;
    if updated.rows_affected() == 0 {
        return Err(Error::Conflict { noun: "key", id, status: status.name() });
    }
    record(write, event.name(), Some(next), message.to_string()).await?;
    Ok(next)
}

/// Writes what the Sign Server made; a key is made once.
pub async fn made(write: &mut Write, id: KeyId, made: &Made) -> Result<()> {
    let key = get(write, id).await?;
    let message = format!("Key {} was made: {}.", key.key.name, made.fingerprint);
    apply(write, &key, Event::Made, &message).await?;
    sqlx::query(
        "UPDATE signing_key SET fingerprint = $2, public_key = $3, file_key = $4, expires_at = $5 WHERE id = $1",
    )
    .bind(id.0)
    .bind(&made.fingerprint)
    .bind(&made.public_key)
    .bind(&made.file_key)
    .bind(made.expires_at.map(|at| at.0))
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Writes why a key was revoked.
pub async fn set_reason(write: &mut Write, id: KeyId, reason: &str) -> Result<()> {
    sqlx::query("UPDATE signing_key SET reason = $2 WHERE id = $1")
        .bind(id.0)
        .bind(reason)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Writes the public key with its revocation.
pub async fn set_revoked(write: &mut Write, key: &Key, public_key: &str) -> Result<()> {
    sqlx::query("UPDATE signing_key SET public_key = $2 WHERE id = $1")
        .bind(key.id.0)
        .bind(public_key)
        .execute(&mut **write)
        .await?;
    let message = format!("The public key of {} says that it is revoked.", key.key.name);
    record(write, "certified", Some(key.status), message).await
}

/// Writes a key's policy.
pub async fn set_policy(write: &mut Write, key: &Key, policy: &Policy) -> Result<()> {
    let text = to_json("policy", policy)?;
    sqlx::query("UPDATE signing_key SET policy = $2 WHERE id = $1")
        .bind(key.id.0)
        .bind(&text)
        .execute(&mut **write)
        .await?;
    let message = format!("The policy of key {} is now {text}.", key.key.name);
    record(write, "policy", Some(key.status), message).await
}

/// Writes that people were told of a key that expires within so many days, and returns whether they were not before.
pub async fn warn(write: &mut Write, key: &Key, days: i64, message: &str) -> Result<bool> {
    let updated = sqlx::query(
        "UPDATE signing_key SET warned_days = $2 WHERE id = $1 AND (warned_days IS NULL OR warned_days > $2)",
    )
    .bind(key.id.0)
    .bind(days)
    .execute(&mut **write)
    .await?;
    let is_new = updated.rows_affected() > 0;
    if is_new {
        record(write, "expiring", Some(key.status), message.to_string()).await?;
    }
    Ok(is_new)
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

/// Returns the keys that sign and that expire before that moment.
pub async fn list_expiring(connection: &mut Connection, before: Timestamp) -> Result<Vec<Key>> {
    let rows = sqlx::query("SELECT * FROM signing_key WHERE status = $1 AND expires_at < $2 ORDER BY id")
        .bind(Status::Active.name())
        .bind(before.0)
        .fetch_all(connection)
        .await?;
    rows.iter().map(from_row).collect()
}

/// Returns all keys that a product has or had, the newest first.
pub async fn of_product(connection: &mut Connection, product: &str) -> Result<Vec<Key>> {
    let rows = sqlx::query(
        "SELECT signing_key.* FROM product_key JOIN signing_key ON signing_key.id = product_key.key_id
         WHERE product_key.product = $1
         ORDER BY product_key.since DESC, signing_key.id DESC",
    )
    .bind(product)
    .fetch_all(connection)
    .await?;
    rows.iter().map(from_row).collect()
}

/// Returns the products that have or had a key.
pub async fn products_of(connection: &mut Connection, key: KeyId) -> Result<Vec<String>> {
    let rows = sqlx::query("SELECT product FROM product_key WHERE key_id = $1 ORDER BY product")
        .bind(key.0)
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| row.text("product")).collect()
}

/// Returns how many packages with a key's signature users see now, in all repositories.
pub async fn seen_count(connection: &mut Connection, key: KeyId) -> Result<i64> {
    // Indices: the primary key of snapshot_package, signed_package_signed.
    let count = sqlx::query_scalar(
        "SELECT COUNT(DISTINCT signed_package.signed) FROM repository
         JOIN snapshot_package ON snapshot_package.repository_id = repository.id
         JOIN signed_package ON signed_package.signed = snapshot_package.sha256
         WHERE signed_package.key_id = $1 AND snapshot_package.since <= repository.current
           AND (snapshot_package.until IS NULL OR snapshot_package.until > repository.current)",
    );
    Ok(count.bind(key.0).fetch_one(connection).await?)
}

async fn record(write: &mut Write, verb: &'static str, status: Option<Status>, message: String) -> Result<()> {
    let status = status.map(Status::name);
    event::record(write, NewEvent { noun: "key", verb, status, message, ..NewEvent::default() }).await?;
    Ok(())
}

fn from_row(row: &AnyRow) -> Result<Key> {
    let options: Options = row.json("options")?;
    Ok(Key {
        id: KeyId(row.int("id")?),
        key: CreateKey {
            name: row.text("name")?,
            algorithm: row.word("algorithm", Algorithm::from_name)?,
            user_id: row.text("user_id")?,
            options,
        },
        status: row.word("status", Status::from_name)?,
        fingerprint: row.maybe_text("fingerprint")?,
        public_key: row.maybe_text("public_key")?,
        file_key: row.maybe_text("file_key")?,
        policy: row.json("policy")?,
        created_at: row.time("created_at")?,
        expires_at: row.maybe_time("expires_at")?,
        ended_at: row.maybe_time("ended_at")?,
        reason: row.maybe_text("reason")?,
    })
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
