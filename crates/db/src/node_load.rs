//! How busy nodes were. A row is written only beside another that is written anyway.

use anima_types::{
    Timestamp,
    lease::Claim,
    node_load::{LoadSample, SAMPLE_SECS},
    task::Status,
};

use sqlx::any::AnyRow;

use crate::{Connection, Result, Write, many, row::Columns};

/// Returns when the five minutes of a moment began.
fn begin(at: Timestamp) -> i64 {
    let micros = SAMPLE_SECS * 1_000_000;
    at.0.div_euclid(micros) * micros
}

/// Notes what a node that asks for work says of its machine, the first time in five minutes.
pub async fn note_claim(write: &mut Write, claim: &Claim) -> Result<()> {
    let at = begin(write.now);
    // Index: the primary key.
    let known = sqlx::query("SELECT load_percent FROM node_load WHERE node = $1 AND at = $2")
        .bind(&claim.node)
        .bind(at)
        .fetch_optional(&mut **write)
        .await?;
    let machine = claim.condition.machine;
    if known.is_some_and(|row| machine.is_none() || row.maybe_int("load_percent").is_ok_and(|load| load.is_some())) {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO node_load (node, at, working, slots, load_percent, free_memory_mib, free_disk_mib)
         VALUES ($1, $2, (SELECT COUNT(*) FROM task WHERE status = $3 AND node = $1), $4, $5, $6, $7)
         ON CONFLICT (node, at) DO UPDATE SET load_percent = excluded.load_percent,
             free_memory_mib = excluded.free_memory_mib, free_disk_mib = excluded.free_disk_mib",
    )
    .bind(&claim.node)
    .bind(at)
    .bind(Status::Leased.name())
    .bind(i64::from(claim.slots))
    .bind(machine.map(|machine| i64::from(machine.load_percent)))
    .bind(machine.map(|machine| i64::try_from(machine.free_memory_mib).unwrap_or(i64::MAX)))
    .bind(machine.map(|machine| i64::try_from(machine.free_disk_mib).unwrap_or(i64::MAX)))
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Notes how much nodes that say that they live work on, the first time in five minutes.
pub async fn note_alive(write: &mut Write, names: &[&str]) -> Result<()> {
    for piece in many::pieces(names) {
        // Indices: the primary keys, task_queue.
        let sql = format!(
            "INSERT INTO node_load (node, at, working, slots)
             SELECT name, $1, (SELECT COUNT(*) FROM task WHERE status = $2 AND node = node.name), slots FROM node
             WHERE name IN ({}) AND NOT EXISTS (SELECT 1 FROM node_load WHERE node_load.node = name AND at = $1)",
            many::list(piece.len(), 2)
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(begin(write.now)).bind(Status::Leased.name());
        piece.iter().fold(query, |query, name| query.bind(*name)).execute(&mut **write).await?;
    }
    Ok(())
}

/// Returns how busy a node was since a moment, the oldest first.
pub async fn since(connection: &mut Connection, node: &str, moment: Timestamp) -> Result<Vec<LoadSample>> {
    // Index: the primary key.
    let query = sqlx::query("SELECT * FROM node_load WHERE node = $1 AND at >= $2 ORDER BY at");
    let rows = query.bind(node).bind(moment.0).fetch_all(connection).await?;
    let number = |value: Option<i64>| value.map(|value| value.try_into().unwrap_or_default());
    let sample = |row: &AnyRow| {
        Ok(LoadSample {
            at: row.time("at")?,
            working: row.int("working")?.try_into().unwrap_or_default(),
            slots: row.int("slots")?.try_into().unwrap_or_default(),
            load_percent: row.maybe_int("load_percent")?.map(|value| value.try_into().unwrap_or_default()),
            free_memory_mib: number(row.maybe_int("free_memory_mib")?),
            free_disk_mib: number(row.maybe_int("free_disk_mib")?),
        })
    };
    rows.iter().map(sample).collect()
}

/// Returns whether anything is older.
pub async fn has_before(connection: &mut Connection, moment: Timestamp) -> Result<bool> {
    // Index: node_load_at.
    let query = sqlx::query("SELECT 1 AS one FROM node_load WHERE at < $1 LIMIT 1").bind(moment.0);
    Ok(query.fetch_optional(connection).await?.is_some())
}

/// Forgets what is older.
pub async fn drop_before(write: &mut Write, moment: Timestamp) -> Result<()> {
    // Index: node_load_at.
    sqlx::query("DELETE FROM node_load WHERE at < $1").bind(moment.0).execute(&mut **write).await?;
    Ok(())
}

/// Forgets all of a node.
pub async fn drop_of(write: &mut Write, node: &str) -> Result<()> {
    sqlx::query("DELETE FROM node_load WHERE node = $1").bind(node).execute(&mut **write).await?;
    Ok(())
}

#[cfg(test)]
#[path = "node_load_tests.rs"]
mod tests;
