//! Lists of tasks in pages, by where they stand and whose they are.

use anima_types::{
    Arch,
    build::Status as BuildStatus,
    id::TaskId,
    task::{Kind, MAX_ATTEMPTS, Status},
};

use crate::{
    Connection, Result, many,
    row::Columns,
    task::{Task, from_row, list},
};

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only tasks that stand so.
    pub status: Option<Status>,
    /// Only tasks for this architecture.
    pub arch: Option<Arch>,
    /// Only tasks that this node has or had.
    pub node: Option<String>,
    /// Only tasks of this kind.
    pub kind: Option<Kind>,
    /// Only tasks of this person's builds.
    pub owner: Option<String>,
}

/// Where a page of a list ends: the key of its last task.
pub type Mark = (i64, i64);

/// Returns whether a list begins with the one that is next, and not with the newest.
fn is_queue(filter: &Filter) -> bool {
    filter.status.is_some_and(|status| !status.is_ended())
}

/// Returns whether a list is in the order in which a node took the tasks: there is an index of that, and none of how the few of
/// one node stand among all that ended so.
fn is_of_node(filter: &Filter) -> bool {
    filter.node.is_some() && !is_queue(filter)
}

/// Returns the mark of a task in a list.
pub fn mark(filter: &Filter, task: &Task) -> Mark {
    match filter.status {
        _ if is_of_node(filter) => (task.started_at.map_or(0, |at| at.0), task.id.0),
        Some(_) => (task.queued_for.0, task.id.0),
        None => (0, task.id.0),
    }
}

/// Returns a page of tasks after a mark: those of a status that has not ended in the order of the queue, those of a node as it
/// took them, others as they were made; the newest first.
pub async fn page(connection: &mut Connection, filter: &Filter, after: Option<Mark>, limit: u32) -> Result<Vec<Task>> {
    // Indices: task_order by status, task_node by node, and the primary key backwards where nothing is said.
    let mut values: Vec<String> = Vec::new();
    let mut conditions = Vec::new();
    let mut only = |condition: &str, value: Option<&str>| {
        if let Some(value) = value {
            values.push(value.to_string());
            conditions.push(condition.replace('?', &format!("${}", values.len() + 3)));
        }
    };
    only("status = ?", filter.status.map(Status::name));
    only("arch = ?", filter.arch.map(Arch::name));
    only("node = ?", filter.node.as_deref());
    only("kind = ?", filter.kind.map(Kind::name));
    only("build_id IN (SELECT id FROM build WHERE owner = ?)", filter.owner.as_deref());
    let (order, rest, begin) = match filter.status {
        _ if is_of_node(filter) => ("started_at DESC, id DESC", "(started_at, id) < ($1, $2)", (i64::MAX, i64::MAX)),
        Some(_) if is_queue(filter) => ("queued_for, id", "(queued_for, id) > ($1, $2)", (i64::MIN, i64::MIN)),
        Some(_) => ("queued_for DESC, id DESC", "(queued_for, id) < ($1, $2)", (i64::MAX, i64::MAX)),
        None => ("id DESC", "$1 = 0 AND id < $2", (0, i64::MAX)),
    };
    conditions.push(rest.to_string());
    let (first, second) = after.unwrap_or(begin);
    let sql = format!("SELECT * FROM task WHERE {} ORDER BY {order} LIMIT $3", conditions.join(" AND "));
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(first).bind(second).bind(i64::from(limit));
    list(values.iter().fold(query, |query, value| query.bind(value)), connection).await
}

/// What a task waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct Waits {
    /// The task that waits.
    pub task: TaskId,
    /// How many others have not succeeded.
    pub count: i64,
    /// The first of them.
    pub first: Task,
}

/// Returns what each of some tasks waits for, if it waits for any.
pub async fn waits_for(connection: &mut Connection, tasks: &[TaskId]) -> Result<Vec<Waits>> {
    let mut waits = Vec::new();
    for piece in many::pieces(tasks) {
        // Indices: the primary keys. `MIN` finds the first of them, which another look reads whole.
        let sql = format!(
            "SELECT waiting.task_id AS waiting_id, waiting.count AS waiting_count, task.* FROM (
                 SELECT task_dependency.task_id, COUNT(*) AS count, MIN(needs.id) AS first
                 FROM task_dependency JOIN task AS needs ON needs.id = task_dependency.needs_id
                 WHERE task_dependency.task_id IN ({}) AND needs.status <> $1
                 GROUP BY task_dependency.task_id
             ) AS waiting JOIN task ON task.id = waiting.first",
            many::list(piece.len(), 1)
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(Status::Succeeded.name());
        for row in &piece.iter().fold(query, |query, id| query.bind(id.0)).fetch_all(&mut *connection).await? {
            let (task, count) = (TaskId(row.int("waiting_id")?), row.int("waiting_count")?);
            waits.push(Waits { task, count, first: from_row(row)? });
        }
    }
    Ok(waits)
}

/// Returns tasks of builds that go on which are blocked by others, the newest first.
pub async fn blocked(connection: &mut Connection, limit: u32) -> Result<Vec<Task>> {
    // Indices: build_status, task_build_status.
    let open: Vec<BuildStatus> = BuildStatus::ALL.into_iter().filter(|status| !status.is_ended()).collect();
    let sql = format!(
        "SELECT task.* FROM build JOIN task ON task.build_id = build.id
         WHERE task.status = $1 AND build.status IN ({}) ORDER BY task.id DESC LIMIT $2",
        many::list(open.len(), 2)
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(Status::Blocked.name()).bind(i64::from(limit));
    list(open.iter().fold(query, |query, status| query.bind(status.name())), connection).await
}

/// Returns those of the newest `looked` failed tasks that were given out as often as a task may be: none is tried again by itself.
pub async fn set_aside(connection: &mut Connection, looked: u32, limit: u32) -> Result<Vec<Task>> {
    // Index: task_order.
    let query = sqlx::query(
        "SELECT * FROM (SELECT * FROM task WHERE status = $1 ORDER BY queued_for DESC, id DESC LIMIT $2) AS failed
         WHERE attempts >= $3 ORDER BY queued_for DESC, id DESC LIMIT $4",
    );
    let query = query.bind(Status::Failed.name()).bind(i64::from(looked));
    list(query.bind(i64::from(MAX_ATTEMPTS)).bind(i64::from(limit)), connection).await
}

#[cfg(test)]
#[path = "task_list_tests.rs"]
mod tests;
