//! Signatures that were made, files that people want signed, and who approved that something is.

use anima_types::{
    Sha256,
    id::{KeyId, TaskId},
    key::SignedCount,
    signature::{Form, Kind, Record},
};
use sqlx::any::AnyRow;

use crate::{
    Connection, Error, Result, Write,
    event::{self, NewEvent},
    row::Columns,
    task::Task,
};

/// A signature that is about to be written down.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct New {
    /// What was signed.
    pub artifact: Sha256,
    /// What it is.
    pub kind: Kind,
    /// What kind of signature.
    pub form: Form,
    /// The package, or the file's name.
    pub name: String,
    /// The hash of the bytes that the signature covers.
    pub bytes_sha256: Sha256,
}

/// A file that a person wants signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct File {
    /// The product whose key signs it.
    pub product: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// What kind of signature.
    pub form: Form,
    /// Its content.
    pub sha256: Sha256,
    /// Who asked for it.
    pub asked_by: String,
}

/// Writes that a key signed something; the same again is once.
pub async fn insert(write: &mut Write, key: KeyId, task: TaskId, new: &New) -> Result<()> {
    sqlx::query(
        "INSERT INTO signature (key_id, task_id, artifact, kind, form, name, bytes_sha256, signed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (key_id, artifact, form) DO NOTHING",
    )
    .bind(key.0)
    .bind(task.0)
    .bind(new.artifact.to_string())
    .bind(new.kind.name())
    .bind(new.form.name())
    .bind(&new.name)
    .bind(new.bytes_sha256.to_string())
    .bind(write.now.0)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Returns the signatures by a key after a number, in the order in which they came.
pub async fn list(connection: &mut Connection, key: KeyId, after: i64, limit: u32) -> Result<Vec<Record>> {
    let rows = sqlx::query("SELECT * FROM signature WHERE key_id = $1 AND id > $2 ORDER BY id LIMIT $3")
        .bind(key.0)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    rows.iter().map(from_row).collect()
}

/// Returns the newest signatures by a key.
pub async fn newest(connection: &mut Connection, key: KeyId, limit: u32) -> Result<Vec<Record>> {
    let rows = sqlx::query("SELECT * FROM signature WHERE key_id = $1 ORDER BY id DESC LIMIT $2")
        .bind(key.0)
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    rows.iter().map(from_row).collect()
}

/// Returns how much of each kind a key signed.
pub async fn counts(connection: &mut Connection, key: KeyId) -> Result<Vec<SignedCount>> {
    let rows =
        sqlx::query("SELECT kind, COUNT(*) AS count FROM signature WHERE key_id = $1 GROUP BY kind ORDER BY kind")
            .bind(key.0)
            .fetch_all(connection)
            .await?;
    rows.iter()
        .map(|row| Ok(SignedCount { kind: row.word("kind", Kind::from_name)?, count: row.int("count")? }))
        .collect()
}

/// Writes the file that a task signs.
pub async fn insert_file(write: &mut Write, task: TaskId, file: &File) -> Result<()> {
    sqlx::query(
        "INSERT INTO sign_file (task_id, product, name, kind, form, sha256, asked_by) VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(task.0)
    .bind(&file.product)
    .bind(&file.name)
    .bind(file.kind.name())
    .bind(file.form.name())
    .bind(file.sha256.to_string())
    .bind(&file.asked_by)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Returns the file that a task signs.
pub async fn file(connection: &mut Connection, task: TaskId) -> Result<File> {
    let row = sqlx::query("SELECT * FROM sign_file WHERE task_id = $1").bind(task.0).fetch_optional(connection).await?;
    let row = row.ok_or_else(|| Error::missing("file of task", task))?;
    Ok(File {
        product: row.text("product")?,
        name: row.text("name")?,
        kind: row.word("kind", Kind::from_name)?,
        form: row.word("form", Form::from_name)?,
        sha256: row.parsed("sha256")?,
        asked_by: row.text("asked_by")?,
    })
}

/// Returns the tasks that wait for people or for a key, and that belong to no build and no release.
pub async fn waiting_files(connection: &mut Connection) -> Result<Vec<TaskId>> {
    let rows = sqlx::query(
        "SELECT task.id FROM sign_file JOIN task ON task.id = sign_file.task_id WHERE task.status = 'waiting' ORDER BY task.id",
    )
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok(TaskId(row.int("id")?))).collect()
}

/// Writes that somebody approves of a sign task; twice is once.
pub async fn approve(write: &mut Write, task: &Task, reason: &str) -> Result<()> {
    let who = write.actor().to_string();
    sqlx::query(
        "INSERT INTO sign_approval (task_id, who, reason, at) VALUES ($1, $2, $3, $4) ON CONFLICT (task_id, who) DO NOTHING",
    )
    .bind(task.id.0)
    .bind(&who)
    .bind(reason)
    .bind(write.now.0)
    .execute(&mut **write)
    .await?;
    let words = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let new = NewEvent {
        noun: "task",
        verb: "approved",
        build: task.about.build,
        task: Some(task.id),
        release: task.about.release,
        message: format!("{who} approves that it is signed{words}."),
        ..NewEvent::default()
    };
    event::record(write, new).await?;
    Ok(())
}

/// Returns who approved of a sign task.
pub async fn approvals(connection: &mut Connection, task: TaskId) -> Result<Vec<String>> {
    let rows = sqlx::query("SELECT who FROM sign_approval WHERE task_id = $1 ORDER BY at, who")
        .bind(task.0)
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| row.text("who")).collect()
}

/// Writes what SHA-256 remembers of a package's header and payload; twice is once.
pub async fn insert_state(write: &mut Write, package: Sha256, state: &str, digest: Sha256) -> Result<()> {
    sqlx::query(
        "INSERT INTO package_state (sha256, state, digest) VALUES ($1, $2, $3) ON CONFLICT (sha256) DO NOTHING",
    )
    .bind(package.to_string())
    .bind(state)
    .bind(digest.to_string())
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Returns what SHA-256 remembers of a package's header and payload, and the digest of both, if that was computed.
pub async fn state(connection: &mut Connection, package: Sha256) -> Result<Option<(String, Sha256)>> {
    let row = sqlx::query("SELECT * FROM package_state WHERE sha256 = $1")
        .bind(package.to_string())
        .fetch_optional(connection)
        .await?;
    row.map(|row| Ok((row.text("state")?, row.parsed("digest")?))).transpose()
}

fn from_row(row: &AnyRow) -> Result<Record> {
    Ok(Record {
        id: row.int("id")?,
        key: KeyId(row.int("key_id")?),
        task: TaskId(row.int("task_id")?),
        artifact: row.parsed("artifact")?,
        kind: row.word("kind", Kind::from_name)?,
        form: row.word("form", Form::from_name)?,
        name: row.text("name")?,
        bytes_sha256: row.parsed("bytes_sha256")?,
        signed_at: row.time("signed_at")?,
    })
}
