//! The queue of ready tasks: who is next, and who is before whom. The places in it are the master's to say.

use anima_types::{
    Arch, Timestamp,
    id::TaskId,
    task::{Kind, Status},
};
use sqlx::any::AnyRow;

use crate::{
    Connection, Result, Write,
    task::{Task, from_row},
};

/// Returns the next task for a node that takes these kinds and runs these architectures: the first of the queue.
pub async fn find_ready(connection: &mut Connection, kinds: &[Kind], archs: &[Arch]) -> Result<Option<Task>> {
    // Index: task_queue. One step down the index for each pair, however long the queues are.
    let mut first: Option<Task> = None;
    for kind in kinds {
        for arch in archs.iter().copied().map(Some).chain([None]) {
            let row = queue_head(connection, *kind, arch).await?;
            let task = row.as_ref().map(from_row).transpose()?;
            let place = |task: &Task| (task.queued_for, task.id);
            if let Some(task) = task.filter(|task| first.as_ref().is_none_or(|first| place(task) < place(first))) {
                first = Some(task);
            }
        }
    }
    Ok(first)
}

async fn queue_head(connection: &mut Connection, kind: Kind, arch: Option<Arch>) -> Result<Option<AnyRow>> {
    let query = match arch {
        Some(arch) => sqlx::query(
            "SELECT * FROM task WHERE status = $1 AND kind = $2 AND arch = $3 ORDER BY queued_for, id LIMIT 1",
        )
        .bind(Status::Ready.name())
        .bind(kind.name())
        .bind(arch.name()),
        None => sqlx::query(
            "SELECT * FROM task WHERE status = $1 AND kind = $2 AND arch IS NULL ORDER BY queued_for, id LIMIT 1",
        )
        .bind(Status::Ready.name())
        .bind(kind.name()),
    };
    Ok(query.fetch_optional(connection).await?)
}

/// Returns how many ready tasks of the same kind and architecture are given out before a task.
pub async fn count_before(connection: &mut Connection, task: &Task) -> Result<i64> {
    // Index: task_queue.
    let arch = task.about.arch.map_or("", Arch::name);
    Ok(sqlx::query_scalar(
        "SELECT COUNT(*) FROM task
         WHERE status = $1 AND kind = $2 AND ($3 = '' OR arch = $3) AND ($3 <> '' OR arch IS NULL)
           AND (queued_for < $4 OR (queued_for = $4 AND id < $5))",
    )
    .bind(Status::Ready.name())
    .bind(task.about.kind.name())
    .bind(arch)
    .bind(task.queued_for.0)
    .bind(task.id.0)
    .fetch_one(connection)
    .await?)
}

/// Returns how many tasks of an owner's builds wait for a node or have one.
pub async fn count_of_owner(connection: &mut Connection, owner: &str) -> Result<i64> {
    Ok(sqlx::query_scalar(
        "SELECT COUNT(*) FROM task JOIN build ON build.id = task.build_id
         WHERE build.owner = $1 AND task.status IN ($2, $3)",
    )
    .bind(owner)
    .bind(Status::Ready.name())
    .bind(Status::Leased.name())
    .fetch_one(connection)
    .await?)
}

/// Gives a task its place in the queue.
pub async fn set_queued_for(write: &mut Write, id: TaskId, moment: Timestamp) -> Result<()> {
    sqlx::query("UPDATE task SET queued_for = $2 WHERE id = $1")
        .bind(id.0)
        .bind(moment.0)
        .execute(&mut **write)
        .await?;
    Ok(())
}

#[cfg(test)]
#[path = "task_queue_tests.rs"]
mod tests;
