//! Leases that were given out: which secret was for which task, and the how-many-th claim that was.

use anima_types::{
    id::TaskId,
    task::{Attempt, Event},
};

use sqlx::any::AnyRow;

use crate::{Connection, Result, Write, many, row::Columns, task::Task};

/// A row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lease {
    /// The task.
    pub task: TaskId,
    /// Counts the claims on the task.
    pub number: i64,
    /// The node.
    pub node: String,
}

/// Writes leases, each by the hash of its secret.
pub async fn insert_all(write: &mut Write, leases: &[(String, Lease)]) -> Result<()> {
    const COLUMNS: usize = 5;
    for piece in many::pieces(leases) {
        let rows = many::rows(piece.len(), COLUMNS, 0);
        let sql = format!("INSERT INTO lease (hash, task_id, number, node, granted_at) VALUES {rows}");
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for (hash, lease) in piece {
            query = query.bind(hash).bind(lease.task.0).bind(lease.number).bind(&lease.node).bind(write.now.0);
        }
        query.execute(&mut **write).await?;
    }
    Ok(())
}

/// Returns the lease whose secret has this hash, whether it still holds or not.
pub async fn find(connection: &mut Connection, hash: &str) -> Result<Option<Lease>> {
    let row = sqlx::query("SELECT * FROM lease WHERE hash = $1").bind(hash).fetch_optional(connection).await?;
    row.map(|row| Ok(Lease { task: TaskId(row.int("task_id")?), number: row.int("number")?, node: row.text("node")? }))
        .transpose()
}

/// Notes how the lease on a task ended.
pub(crate) async fn end(write: &mut Write, task: &Task, event: Event, why: &str) -> Result<()> {
    // Index: the unique one on the task and the number.
    sqlx::query("UPDATE lease SET ended_at = $3, ending = $4, why = $5 WHERE task_id = $1 AND number = $2")
        .bind(task.id.0)
        .bind(task.lease_number)
        .bind(write.now.0)
        .bind(event.name())
        .bind(why)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Returns what became of a task each time that it was given out, the newest first, at most `limit`.
pub async fn history(connection: &mut Connection, task: TaskId, limit: u32) -> Result<Vec<Attempt>> {
    // Index: the unique one on the task and the number.
    let rows = sqlx::query("SELECT * FROM lease WHERE task_id = $1 ORDER BY number DESC LIMIT $2")
        .bind(task.0)
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    rows.iter().map(attempt).collect()
}

/// Returns what became of the newest attempts on a task, the newest first: of the times that it was given out, those that count.
pub async fn attempts(connection: &mut Connection, task: TaskId, limit: u32) -> Result<Vec<Attempt>> {
    // Index: the unique one on the task and the number.
    let rows = sqlx::query("SELECT * FROM lease WHERE task_id = $1 AND is_uncounted = 0 ORDER BY number DESC LIMIT $2")
        .bind(task.0)
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    rows.iter().map(attempt).collect()
}

/// Notes that the last lease on a task was no attempt.
pub(crate) async fn uncount_last(write: &mut Write, task: TaskId) -> Result<()> {
    // Index: the unique one on the task and the number.
    sqlx::query(
        "UPDATE lease SET is_uncounted = 1
         WHERE task_id = $1 AND number = (SELECT MAX(number) FROM lease WHERE task_id = $1)",
    )
    .bind(task.0)
    .execute(&mut **write)
    .await?;
    Ok(())
}

fn attempt(row: &AnyRow) -> Result<Attempt> {
    Ok(Attempt {
        attempt: row.int("number")?,
        node: row.text("node")?,
        started_at: row.time("granted_at")?,
        ended_at: row.maybe_time("ended_at")?,
        ending: row.maybe_text("ending")?,
        why: row.maybe_text("why")?,
    })
}
