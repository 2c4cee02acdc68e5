//! Leases on tasks: given out, made longer, found to be over; as many at once as come together.

use std::collections::BTreeSet;

use anima_types::{
    Timestamp,
    id::TaskId,
    task::{Event, Status, next},
};

use crate::{
    Connection, Error, Result, Write,
    event::{self, NewEvent},
    many,
    row::Columns,
    task::{Task, list},
};

/// A ready task that a node gets.
#[derive(Clone, Debug)]
pub struct Claimed<'a> {
    /// The task as it was read in this transaction.
    pub task: &'a Task,
    /// Who gets it.
    pub node: &'a str,
    /// Whether the node emulates its architecture.
    pub is_emulated: bool,
    /// One sentence.
    pub why: String,
}

/// Gives ready tasks to nodes. The number of each lease is its task's last one and one more.
pub async fn claim_all(write: &mut Write, claimed: &[Claimed<'_>], expires_at: Timestamp) -> Result<()> {
    const COLUMNS: usize = 5;
    let refused = |task: &Task| Error::Transition {
        noun: "task",
        id: task.id.0,
        status: task.status.name(),
        event: Event::Claimed.name(),
    };
    for Claimed { task, .. } in claimed {
        next(task.status, Event::Claimed).ok_or_else(|| refused(task))?;
    }
    for piece in many::pieces(claimed) {
        let sql = format!(
            "UPDATE task
             SET status = $1, why = given.column3, node = given.column4, lease_number = task.lease_number + 1,
                 lease_expires_at = $2, attempts = task.attempts + 1, started_at = $3, is_emulated = given.column5,
                 ended_at = NULL, logs_dropped_at = NULL, log_size_bytes = NULL, status_since = $3
             FROM (VALUES {}) AS given
             WHERE task.id = given.column1 AND task.status = $4 AND task.lease_number = given.column2",
            many::rows(piece.len(), COLUMNS, 4)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(Status::Leased.name())
            .bind(expires_at.0)
            .bind(write.now.0)
            .bind(Status::Ready.name());
        for Claimed { task, node, is_emulated, why } in piece {
            query = query.bind(task.id.0).bind(task.lease_number).bind(why).bind(*node).bind(i64::from(*is_emulated));
        }
        let updated = query.execute(&mut **write).await?;
        if updated.rows_affected() != piece.len() as u64 {
            return Err(conflict(write, piece).await?);
        }
    }
    let events = claimed.iter().map(|Claimed { task, node, why, .. }| NewEvent {
        noun: "task",
        verb: Event::Claimed.name(),
        status: Some(Status::Leased.name()),
        build: task.about.build,
        task: Some(task.id),
        release: task.about.release,
        message: why.clone(),
        actor: Some(node.to_string()),
    });
    event::record_all(write, events.collect()).await
}

/// Finds the task that was not as it was read.
async fn conflict(write: &mut Write, piece: &[Claimed<'_>]) -> Result<Error> {
    let mut other = piece[0].task;
    for Claimed { task, node, .. } in piece {
        let now = crate::task::get(write, task.id).await?;
        if now.status != Status::Leased || now.node.as_deref() != Some(node) {
            other = task;
        }
    }
    Ok(Error::Conflict { noun: "task", id: other.id.0, status: other.status.name() })
}

/// Lets leases last longer, each told by its task and number; returns those that still are leases.
pub async fn extend_all(
    write: &mut Write,
    leases: &[(TaskId, i64)],
    expires_at: Timestamp,
) -> Result<BTreeSet<(TaskId, i64)>> {
    let mut extended = BTreeSet::new();
    for piece in many::pieces(leases) {
        let sql = format!(
            "UPDATE task SET lease_expires_at = $1
             FROM (VALUES {}) AS held
             WHERE task.id = held.column1 AND task.lease_number = held.column2 AND task.status = $2
             RETURNING id, lease_number",
            many::rows(piece.len(), 2, 2)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(expires_at.0).bind(Status::Leased.name());
        for (task, number) in piece {
            query = query.bind(task.0).bind(number);
        }
        for row in query.fetch_all(&mut **write).await? {
            extended.insert((TaskId(row.int("id")?), row.int("lease_number")?));
        }
    }
    Ok(extended)
}

/// Lets all leases last until a moment.
pub async fn renew_all(write: &mut Write, expires_at: Timestamp) -> Result<()> {
    // Index: task_queue.
    sqlx::query("UPDATE task SET lease_expires_at = $1 WHERE status = $2")
        .bind(expires_at.0)
        .bind(Status::Leased.name())
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Lets all leases last until a moment at least.
pub async fn prolong_all(write: &mut Write, expires_at: Timestamp) -> Result<()> {
    // Index: task_lease.
    sqlx::query("UPDATE task SET lease_expires_at = $1 WHERE lease_expires_at < $1 AND status = $2")
        .bind(expires_at.0)
        .bind(Status::Leased.name())
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Returns the tasks whose leases are over, the oldest first, at most `limit`.
pub async fn list_expired(connection: &mut Connection, now: Timestamp, limit: u32) -> Result<Vec<TaskId>> {
    // Index: task_lease.
    let rows = sqlx::query(
        "SELECT id FROM task WHERE lease_expires_at IS NOT NULL AND lease_expires_at <= $1
         ORDER BY lease_expires_at, id LIMIT $2",
    )
    .bind(now.0)
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| row.int("id").map(TaskId)).collect()
}

/// Returns the tasks that a node holds.
pub async fn list_of_node(connection: &mut Connection, node: &str) -> Result<Vec<Task>> {
    // Index: task_node.
    let query = sqlx::query("SELECT * FROM task WHERE node = $1 AND status = $2 ORDER BY id");
    list(query.bind(node).bind(Status::Leased.name()), connection).await
}

/// Returns how many tasks nodes hold.
pub async fn count(connection: &mut Connection) -> Result<u64> {
    // Index: task_queue.
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM task WHERE status = $1")
        .bind(Status::Leased.name())
        .fetch_one(connection)
        .await?;
    Ok(count.try_into().unwrap_or_default())
}

#[cfg(test)]
#[path = "task_lease_tests.rs"]
mod tests;
