//! Leases that were given out: which secret was for which task, and the how-many-th claim that was.

use anima_types::id::TaskId;

use crate::{Connection, Result, Write, many, row::Columns};

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
