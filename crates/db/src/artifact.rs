//! Artifacts, and which task made them.

use std::collections::{BTreeMap, BTreeSet};

use anima_types::{
    Sha256,
    artifact::{Artifact, Kind},
    id::{BuildId, ReleaseId, TaskId},
    release,
};
use sqlx::any::AnyRow;

use crate::{Connection, Result, Write, many, row::Columns};

/// Writes that an artifact is in the store; twice is once.
pub async fn insert(write: &mut Write, sha256: Sha256, size_bytes: u64) -> Result<()> {
    sqlx::query(
        "INSERT INTO artifact (sha256, size_bytes, created_at) VALUES ($1, $2, $3) ON CONFLICT (sha256) DO NOTHING",
    )
    .bind(sha256.to_string())
    .bind(i64::try_from(size_bytes).unwrap_or(i64::MAX))
    .bind(write.now.0)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Writes that a task made an artifact; twice is once.
pub async fn link(write: &mut Write, task: TaskId, sha256: Sha256, kind: Kind, name: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO task_artifact (task_id, sha256, kind, name) VALUES ($1, $2, $3, $4)
         ON CONFLICT (task_id, sha256, name) DO NOTHING",
    )
    .bind(task.0)
    .bind(sha256.to_string())
    .bind(kind.name())
    .bind(name)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Forgets what a task made, because it is tried again.
pub async fn unlink_all(write: &mut Write, task: TaskId) -> Result<()> {
    sqlx::query("DELETE FROM task_artifact WHERE task_id = $1").bind(task.0).execute(&mut **write).await?;
    Ok(())
}

/// Returns artifacts with their sizes in the order of their hashes, those after one, at most `limit`.
pub async fn list_after(connection: &mut Connection, after: Option<Sha256>, limit: u32) -> Result<Vec<(Sha256, u64)>> {
    let rows = sqlx::query("SELECT sha256, size_bytes FROM artifact WHERE sha256 > $1 ORDER BY sha256 LIMIT $2")
        .bind(after.map(|sha256| sha256.to_string()).unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok((row.parsed("sha256")?, row.int("size_bytes")?.unsigned_abs()))).collect()
}

/// Returns the sizes of artifacts, of those that are known.
pub async fn sizes(connection: &mut Connection, wanted: &BTreeSet<Sha256>) -> Result<BTreeMap<Sha256, u64>> {
    let wanted: Vec<Sha256> = wanted.iter().copied().collect();
    let mut sizes = BTreeMap::new();
    for piece in many::pieces(&wanted) {
        let sql = format!("SELECT sha256, size_bytes FROM artifact WHERE sha256 IN ({})", many::list(piece.len(), 0));
        let query = sqlx::query(sqlx::AssertSqlSafe(sql));
        let query = piece.iter().fold(query, |query, sha256| query.bind(sha256.to_string()));
        for row in &query.fetch_all(&mut *connection).await? {
            sizes.insert(row.parsed("sha256")?, row.int("size_bytes")?.unsigned_abs());
        }
    }
    Ok(sizes)
}

/// Returns an artifact's size, if it is known.
pub async fn size(connection: &mut Connection, sha256: Sha256) -> Result<Option<u64>> {
    let size: Option<i64> = sqlx::query_scalar("SELECT size_bytes FROM artifact WHERE sha256 = $1")
        .bind(sha256.to_string())
        .fetch_optional(connection)
        .await?;
    Ok(size.map(i64::unsigned_abs))
}

/// Returns how many bytes the files of the packages have that users see in a product now, each counted once.
pub async fn bytes_of_product(connection: &mut Connection, product: &str) -> Result<u64> {
    let bytes: Option<i64> = sqlx::query_scalar(
        "SELECT CAST(SUM(size_bytes) AS BIGINT) FROM artifact WHERE sha256 IN (
             SELECT snapshot_package.sha256 FROM snapshot_package
             JOIN repository ON repository.id = snapshot_package.repository_id
             WHERE repository.product = $1 AND since <= repository.current
               AND (until IS NULL OR until > repository.current))",
    )
    .bind(product)
    .fetch_one(connection)
    .await?;
    Ok(bytes.unwrap_or(0).unsigned_abs())
}

/// Returns how many bytes the builds of a team keep that are not released, by who asked for them, the most first. What several of
/// one person's builds have counts once.
pub async fn kept_by_team(connection: &mut Connection, team: &str) -> Result<Vec<(String, u64)>> {
    // Indices: build_team, release_build, task_build_status, the primary keys. PostgreSQL adds BIGINTs up to a NUMERIC.
    let rows = sqlx::query(
        "SELECT owner, CAST(SUM(size_bytes) AS BIGINT) AS bytes FROM (
             SELECT DISTINCT build.owner, artifact.sha256, artifact.size_bytes FROM build
             JOIN task ON task.build_id = build.id
             JOIN task_artifact ON task_artifact.task_id = task.id
             JOIN artifact ON artifact.sha256 = task_artifact.sha256
             WHERE build.team = $1 AND build.deleted_at IS NULL
               AND NOT EXISTS (SELECT 1 FROM release_plan
                               WHERE release_plan.build_id = build.id AND release_plan.status = $2)) AS kept
         GROUP BY owner ORDER BY bytes DESC, owner",
    )
    .bind(team)
    .bind(release::Status::Released.name())
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((row.text("owner")?, u64::try_from(row.int("bytes")?).unwrap_or_default()))).collect()
}

/// Returns what an artifact is and how it is called, by the first task that made it.
pub async fn find(connection: &mut Connection, sha256: Sha256) -> Result<Option<Artifact>> {
    // Index: task_artifact_sha256.
    let row = sqlx::query(
        "SELECT task_artifact.*, artifact.size_bytes, NULL AS signed
         FROM task_artifact JOIN artifact ON artifact.sha256 = task_artifact.sha256
         WHERE task_artifact.sha256 = $1
         ORDER BY task_id LIMIT 1",
    )
    .bind(sha256.to_string())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(from_row).transpose()
}

/// Returns how artifacts are called, and how large they are, as [`find`] does for one.
pub async fn find_all(connection: &mut Connection, wanted: &[Sha256]) -> Result<BTreeMap<Sha256, Artifact>> {
    let mut found = BTreeMap::new();
    for piece in many::pieces(wanted) {
        // Index: task_artifact_sha256.
        let sql = format!(
            "SELECT task_artifact.*, artifact.size_bytes, NULL AS signed
             FROM task_artifact JOIN artifact ON artifact.sha256 = task_artifact.sha256
             WHERE task_artifact.sha256 IN ({})
             ORDER BY task_id",
            many::list(piece.len(), 0)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for sha256 in piece {
            query = query.bind(sha256.to_string());
        }
        for row in query.fetch_all(&mut *connection).await? {
            let artifact = from_row(&row)?;
            found.entry(artifact.sha256).or_insert(artifact);
        }
    }
    Ok(found)
}

/// Returns what a task made.
pub async fn of_task(connection: &mut Connection, task: TaskId) -> Result<Vec<Artifact>> {
    let rows = sqlx::query(
        "SELECT task_artifact.*, artifact.size_bytes,
                (SELECT signed FROM signed_package WHERE signed_package.sha256 = task_artifact.sha256
                 ORDER BY signed_at DESC LIMIT 1) AS signed
         FROM task_artifact JOIN artifact ON artifact.sha256 = task_artifact.sha256
         WHERE task_id = $1
         ORDER BY kind, name",
    )
    .bind(task.0)
    .fetch_all(connection)
    .await?;
    rows.iter().map(from_row).collect()
}

/// Returns what each task of a build made.
pub async fn of_build(connection: &mut Connection, build: BuildId) -> Result<BTreeMap<TaskId, Vec<Artifact>>> {
    let rows = sqlx::query(
        "SELECT task_artifact.*, artifact.size_bytes,
                (SELECT signed FROM signed_package WHERE signed_package.sha256 = task_artifact.sha256
                 ORDER BY signed_at DESC LIMIT 1) AS signed
         FROM task
         JOIN task_artifact ON task_artifact.task_id = task.id
         JOIN artifact ON artifact.sha256 = task_artifact.sha256
         WHERE task.build_id = $1
         ORDER BY task_id, kind, name",
    )
    .bind(build.0)
    .fetch_all(connection)
    .await?;
    grouped(&rows)
}

/// Returns what each task of a release made.
pub async fn of_release(connection: &mut Connection, release: ReleaseId) -> Result<BTreeMap<TaskId, Vec<Artifact>>> {
    let rows = sqlx::query(
        "SELECT task_artifact.*, artifact.size_bytes, NULL AS signed
         FROM task
         JOIN task_artifact ON task_artifact.task_id = task.id
         JOIN artifact ON artifact.sha256 = task_artifact.sha256
         WHERE task.release_id = $1
         ORDER BY task_id, kind, name",
    )
    .bind(release.0)
    .fetch_all(connection)
    .await?;
    grouped(&rows)
}

fn grouped(rows: &[AnyRow]) -> Result<BTreeMap<TaskId, Vec<Artifact>>> {
    let mut artifacts: BTreeMap<TaskId, Vec<Artifact>> = BTreeMap::new();
    for row in rows {
        artifacts.entry(TaskId(row.int("task_id")?)).or_default().push(from_row(row)?);
    }
    Ok(artifacts)
}

fn from_row(row: &AnyRow) -> Result<Artifact> {
    Ok(Artifact {
        sha256: row.parsed("sha256")?,
        kind: row.word("kind", Kind::from_name)?,
        name: row.text("name")?,
        size_bytes: row.int("size_bytes")?.unsigned_abs(),
        signed: row.maybe_parsed("signed")?,
    })
}
