//! Which waiting tasks of a build have to be looked at because of what was told since the last look: a build has thousands, and at
//! the end of one of them it is those few that need it.

use std::collections::{BTreeMap, BTreeSet};

use anima_types::{
    id::{BuildId, EventId, TaskId},
    task::{Kind, Status},
};

use crate::{
    Connection, Result, many,
    row::Columns,
    task::{About, STANDING, Task, list},
};

/// A task that another one waits for in vain, or still.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Need {
    /// Where it stands.
    pub status: Status,
    /// What it is for.
    pub about: About,
}

/// Returns the waiting tasks of a build that something was told of after an event, or of what they need; all that wait where there
/// is none.
pub async fn waiting(connection: &mut Connection, build: BuildId, after: Option<EventId>) -> Result<Vec<Task>> {
    let Some(after) = after else {
        // Index: task_build_status.
        let sql = format!("SELECT {STANDING} FROM task WHERE build_id = $1 AND status = $2 ORDER BY id");
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(build.0).bind(Status::Waiting.name());
        return list(query, connection).await;
    };
    // Index: event_build, and then task_dependency_needs.
    let rows = sqlx::query("SELECT task_id, status FROM event WHERE build_id = $1 AND id > $2 AND noun = 'task'")
        .bind(build.0)
        .bind(after.0)
        .fetch_all(&mut *connection)
        .await?;
    let (mut waiting, mut ended) = (BTreeSet::new(), BTreeSet::new());
    for row in &rows {
        let status = row.maybe_word("status", Status::from_name)?;
        let id = row.maybe_int("task_id")?.map(TaskId);
        match status {
            Some(Status::Waiting) => waiting.extend(id),
            Some(status) if status.is_ended() => ended.extend(id),
            _ => {}
        }
    }
    let ended: Vec<TaskId> = ended.into_iter().collect();
    waiting.extend(dependants(connection, &ended).await?);
    waiting_of(connection, &waiting.into_iter().collect::<Vec<_>>()).await
}

/// Returns the waiting tasks that need some of these.
pub async fn waiting_dependants(connection: &mut Connection, tasks: &[TaskId]) -> Result<Vec<Task>> {
    let ids = dependants(connection, tasks).await?;
    waiting_of(connection, &ids.into_iter().collect::<Vec<_>>()).await
}

async fn dependants(connection: &mut Connection, tasks: &[TaskId]) -> Result<BTreeSet<TaskId>> {
    let mut dependants = BTreeSet::new();
    for piece in many::pieces(tasks) {
        // Index: task_dependency_needs.
        let sql =
            format!("SELECT DISTINCT task_id FROM task_dependency WHERE needs_id IN ({})", many::list(piece.len(), 0));
        let query = sqlx::query(sqlx::AssertSqlSafe(sql));
        let query = piece.iter().fold(query, |query, id| query.bind(id.0));
        for row in query.fetch_all(&mut *connection).await? {
            dependants.insert(TaskId(row.int("task_id")?));
        }
    }
    Ok(dependants)
}

async fn waiting_of(connection: &mut Connection, ids: &[TaskId]) -> Result<Vec<Task>> {
    let mut tasks = Vec::new();
    for piece in many::pieces(ids) {
        // Index: the primary key. SQLite would else go through all that wait.
        let sql = format!(
            "SELECT {STANDING} FROM task WHERE id IN ({}) AND +release_id IS NULL AND status || '' = $1 ORDER BY id",
            many::list(piece.len(), 1)
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(Status::Waiting.name());
        tasks.extend(list(piece.iter().fold(query, |query, id| query.bind(id.0)), &mut *connection).await?);
    }
    Ok(tasks)
}

/// Returns what tasks need that is not there: what has not ended, and what did not end well. Those that have all are left out.
pub async fn needs(connection: &mut Connection, tasks: &[TaskId]) -> Result<BTreeMap<TaskId, Vec<Need>>> {
    let mut needs: BTreeMap<TaskId, Vec<Need>> = BTreeMap::new();
    for piece in many::pieces(tasks) {
        // Indices: the primary keys.
        let sql = format!(
            "SELECT task_dependency.task_id, task.status, task.kind, task.package, task.platform, task.arch
             FROM task_dependency JOIN task ON task.id = task_dependency.needs_id
             WHERE task_dependency.task_id IN ({}) AND task.status || '' NOT IN ($1, $2)
             ORDER BY task_dependency.task_id, task_dependency.needs_id",
            many::list(piece.len(), 2)
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql));
        let query = query.bind(Status::Succeeded.name()).bind(Status::Excluded.name());
        for row in piece.iter().fold(query, |query, id| query.bind(id.0)).fetch_all(&mut *connection).await? {
            let about = About {
                package: row.maybe_text("package")?,
                platform: row.maybe_text("platform")?,
                arch: row.maybe_parsed("arch")?,
                ..About::new(row.word("kind", Kind::from_name)?)
            };
            let need = Need { status: row.word("status", Status::from_name)?, about };
            needs.entry(TaskId(row.int("task_id")?)).or_default().push(need);
        }
    }
    Ok(needs)
}

/// Returns whether the bounds of a build, which are a mass rebuild's, were changed after an event.
pub async fn is_of_bounds(connection: &mut Connection, build: BuildId, after: EventId) -> Result<bool> {
    // Index: event_build.
    let row = sqlx::query(
        "SELECT id FROM event
         WHERE build_id = $1 AND id > $2 AND noun = 'build' AND verb IN ('paused', 'resumed', 'limited') LIMIT 1",
    )
    .bind(build.0)
    .bind(after.0)
    .fetch_optional(connection)
    .await?;
    Ok(row.is_some())
}

#[cfg(test)]
mod tests {
    use anima_types::task::Event;

    use super::*;
    use crate::{
        Write, event, task, task_dependency, task_queue,
        testing::{Scratch, build},
    };

    #[tokio::test]
    async fn at_the_end_of_a_task_those_are_looked_at_that_need_it_and_no_others() {
        let scratch = Scratch::new().await;
        let mut write = scratch.write().await;
        let build = build(&mut write).await;
        let about = |at: usize| {
            (About { build: Some(build), package: Some(format!("p{at}")), ..About::new(Kind::Build) }, None)
        };
        let made: Vec<_> = (0..5).map(about).collect();
        let made = task_queue::insert_all(&mut write, &made, ("Waits.", "Waits.")).await.unwrap();
        let edges = [(made[1], made[0]), (made[2], made[0]), (made[2], made[3]), (made[4], made[3])];
        task_dependency::insert_all(&mut write, &edges).await.unwrap();
        assert_eq!(seen(&mut write, build, None).await, made);
        assert_eq!(seen(&mut write, build, Some(EventId(0))).await, made, "all were just made");

        let after = event::newest_of_build(&mut write, build).await.unwrap();
        assert_eq!(seen(&mut write, build, Some(after)).await, []);
        let first = task::get(&mut write, made[0]).await.unwrap();
        task::apply(&mut write, &first, Event::Cancelled, "Stopped.").await.unwrap();
        assert_eq!(seen(&mut write, build, Some(after)).await, [made[1], made[2]]);
        let dependants = waiting_dependants(&mut write, &[made[3]]).await.unwrap();
        assert_eq!(dependants.iter().map(|task| task.id).collect::<Vec<_>>(), [made[2], made[4]]);
        let told = needs(&mut write, &made).await.unwrap();
        let told: Vec<_> =
            told.iter().map(|(id, needs)| (*id, needs.iter().map(|need| need.status).collect())).collect();
        let (cancelled, waiting) = (Status::Cancelled, Status::Waiting);
        let expected: Vec<(TaskId, Vec<Status>)> =
            vec![(made[1], vec![cancelled]), (made[2], vec![cancelled, waiting]), (made[4], vec![waiting])];
        assert_eq!(told, expected);
        assert!(!is_of_bounds(&mut write, build, EventId(0)).await.unwrap());
    }

    async fn seen(write: &mut Write, build: BuildId, after: Option<EventId>) -> Vec<TaskId> {
        waiting(write, build, after).await.unwrap().iter().map(|task| task.id).collect()
    }
}
