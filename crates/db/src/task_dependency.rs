//! Which tasks have to succeed before which.

use std::collections::BTreeMap;

use anima_types::id::{BuildId, ReleaseId, TaskId};
use sqlx::any::AnyRow;

use crate::{Connection, Result, Write, many, row::Columns};

/// Writes what a task waits for, in place of what it waited for before.
pub async fn replace(write: &mut Write, task: TaskId, needs: &[TaskId]) -> Result<()> {
    sqlx::query("DELETE FROM task_dependency WHERE task_id = $1").bind(task.0).execute(&mut **write).await?;
    for needed in needs {
        sqlx::query("INSERT INTO task_dependency (task_id, needs_id) VALUES ($1, $2)")
            .bind(task.0)
            .bind(needed.0)
            .execute(&mut **write)
            .await?;
    }
    Ok(())
}

/// Writes what tasks that were just made wait for: the first of each pair for the second.
pub async fn insert_all(write: &mut Write, needs: &[(TaskId, TaskId)]) -> Result<()> {
    for piece in many::pieces(needs) {
        let rows = many::rows(piece.len(), 2, 0);
        let sql = format!("INSERT INTO task_dependency (task_id, needs_id) VALUES {rows}");
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for (task, needed) in piece {
            query = query.bind(task.0).bind(needed.0);
        }
        query.execute(&mut **write).await?;
    }
    Ok(())
}

/// Returns what each task of a build waits for.
pub async fn of_build(connection: &mut Connection, build: BuildId) -> Result<BTreeMap<TaskId, Vec<TaskId>>> {
    let rows = sqlx::query(
        "SELECT task_dependency.* FROM task_dependency
         JOIN task ON task.id = task_dependency.task_id
         WHERE task.build_id = $1
         ORDER BY task_id, needs_id",
    )
    .bind(build.0)
    .fetch_all(connection)
    .await?;
    grouped(&rows)
}

/// Returns what each task of a release waits for.
pub async fn of_release(connection: &mut Connection, release: ReleaseId) -> Result<BTreeMap<TaskId, Vec<TaskId>>> {
    let rows = sqlx::query(
        "SELECT task_dependency.* FROM task_dependency
         JOIN task ON task.id = task_dependency.task_id
         WHERE task.release_id = $1
         ORDER BY task_id, needs_id",
    )
    .bind(release.0)
    .fetch_all(connection)
    .await?;
    grouped(&rows)
}

/// Returns what a task waits for.
pub async fn of_task(connection: &mut Connection, task: TaskId) -> Result<Vec<TaskId>> {
    let rows = sqlx::query("SELECT needs_id FROM task_dependency WHERE task_id = $1 ORDER BY needs_id")
        .bind(task.0)
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| row.int("needs_id").map(TaskId)).collect()
}

fn grouped(rows: &[AnyRow]) -> Result<BTreeMap<TaskId, Vec<TaskId>>> {
    let mut needs: BTreeMap<TaskId, Vec<TaskId>> = BTreeMap::new();
    for row in rows {
        needs.entry(TaskId(row.int("task_id")?)).or_default().push(TaskId(row.int("needs_id")?));
    }
    Ok(needs)
}
