//! Tasks that could begin and are held back: by the bounds of their own build, or until it is their team's turn. They wait, and
//! stand in lists of their own, so that the next of thousands is found by one step along an index. Which are held is the master's
//! to say.

use anima_types::{
    Timestamp,
    id::{BuildId, TaskId},
    task::{Kind, Status},
};

use crate::{
    Connection, Result, Write, many,
    row::Columns,
    task::{STANDING, Task, list},
    task_queue::open_builds,
};

/// The kinds that a build's bounds and a team's are about: signing is of what is built already, and a release's tasks are its own.
pub const KINDS: [Kind; 3] = [Kind::Src, Kind::Build, Kind::Test];

/// How many tasks of a build have begun, or begin when it is their team's turn.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Begun {
    /// Those that wait for a node.
    pub ready: u64,
    /// Those that nodes have.
    pub leased: u64,
    /// Those that wait for their team's turn.
    pub for_team: u64,
}

/// Lets tasks wait for the bounds of their build, and says so.
pub async fn hold_for_build(write: &mut Write, tasks: &[TaskId], why: &str) -> Result<()> {
    for piece in many::pieces(tasks) {
        // Index: the primary key. SQLite would else go through all that wait.
        let sql = format!(
            "UPDATE task SET is_held = 1, held_team = NULL, why = $1 WHERE status || '' = $2 AND id IN ({})",
            many::list(piece.len(), 2)
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(why).bind(Status::Waiting.name());
        piece.iter().fold(query, |query, id| query.bind(id.0)).execute(&mut **write).await?;
    }
    Ok(())
}

/// Lets tasks wait for their team's turn, each at its place, and says so. A place that one had before and that is earlier stays its
/// place.
pub async fn hold_for_team(write: &mut Write, tasks: &[(TaskId, Timestamp)], team: &str, why: &str) -> Result<()> {
    for piece in many::pieces(tasks) {
        let sql = format!(
            "UPDATE task
             SET is_held = 0, held_team = $1, why = $2, is_placed = 1,
                 queued_for = CASE WHEN task.is_placed = 1 AND task.queued_for < given.column2 THEN task.queued_for
                                   ELSE given.column2 END
             FROM (VALUES {}) AS given
             WHERE task.id = given.column1 AND task.status = $3",
            many::rows(piece.len(), 2, 3)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(team).bind(why).bind(Status::Waiting.name());
        for (id, place) in piece {
            query = query.bind(id.0).bind(place.0);
        }
        query.execute(&mut **write).await?;
    }
    Ok(())
}

/// Says in other words why the tasks wait that the bounds of a build hold.
pub async fn say(write: &mut Write, build: BuildId, why: &str) -> Result<()> {
    // Index: task_held.
    sqlx::query("UPDATE task SET why = $2 WHERE build_id = $1 AND is_held = 1 AND why <> $2")
        .bind(build.0)
        .bind(why)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Returns tasks that the bounds of a build hold: what the longest chain waits for comes first.
pub async fn held_by_build(connection: &mut Connection, build: BuildId, limit: usize) -> Result<Vec<Task>> {
    // Index: task_held.
    let sql = format!(
        "SELECT {STANDING} FROM task WHERE build_id = $1 AND is_held = 1 ORDER BY chain_secs DESC, id LIMIT $2"
    );
    list(sqlx::query(sqlx::AssertSqlSafe(sql)).bind(build.0).bind(rows(limit)), connection).await
}

/// Returns tasks that wait for a team's turn, whichever builds they are of: in the order of their places.
pub async fn held_for_team(connection: &mut Connection, team: &str, limit: usize) -> Result<Vec<Task>> {
    // Index: task_held_team.
    let sql = format!("SELECT {STANDING} FROM task WHERE held_team = $1 ORDER BY queued_for, id LIMIT $2");
    list(sqlx::query(sqlx::AssertSqlSafe(sql)).bind(team).bind(rows(limit)), connection).await
}

/// Returns the teams whose turn some task waits for.
pub async fn teams(connection: &mut Connection) -> Result<Vec<String>> {
    // Index: task_held_team, one step for each team, however many tasks wait for it.
    let mut teams: Vec<String> = Vec::new();
    loop {
        let next = sqlx::query("SELECT MIN(held_team) AS team FROM task WHERE held_team > $1")
            .bind(teams.last().map_or("", String::as_str))
            .fetch_one(&mut *connection)
            .await?;
        match next.maybe_text("team")? {
            Some(team) => teams.push(team),
            None => return Ok(teams),
        }
    }
}

/// Returns how many tasks wait for a team's turn, before a task or all.
pub async fn count_for_team(connection: &mut Connection, team: &str, before: Option<&Task>) -> Result<u64> {
    // Index: task_held_team.
    let (place, id) = before.map_or((i64::MAX, i64::MAX), |task| (task.queued_for.0, task.id.0));
    let query = sqlx::query_scalar("SELECT COUNT(*) FROM task WHERE held_team = $1 AND (queued_for, id) < ($2, $3)");
    let count: i64 = query.bind(team).bind(place).bind(id).fetch_one(connection).await?;
    Ok(count.try_into().unwrap_or_default())
}

/// Returns the tasks of a team that wait for a node or have one, of builds that have not ended.
pub async fn under_way_of_team(connection: &mut Connection, team: &str) -> Result<Vec<Task>> {
    // Indices: build_status, task_build_status.
    let open = open_builds();
    let sql = format!(
        "SELECT task.* FROM build JOIN task ON task.build_id = build.id
         WHERE build.team = $1 AND task.status IN ($2, $3) AND task.kind IN ({}) AND +task.release_id IS NULL
           AND build.status IN ({})",
        many::list(KINDS.len(), 3),
        many::list(open.len(), 3 + KINDS.len())
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(team);
    let query = query.bind(Status::Ready.name()).bind(Status::Leased.name());
    let query = KINDS.into_iter().fold(query, |query, kind| query.bind(kind.name()));
    list(open.iter().fold(query, |query, status| query.bind(status.name())), connection).await
}

/// Returns the ready tasks of a team whose turn comes last, the last first.
pub async fn last_of_team(connection: &mut Connection, team: &str, limit: usize) -> Result<Vec<Task>> {
    // Indices: build_status, task_build_status.
    let open = open_builds();
    let sql = format!(
        "SELECT task.* FROM build JOIN task ON task.build_id = build.id
         WHERE build.team = $1 AND task.status = $2 AND task.kind IN ({}) AND +task.release_id IS NULL AND build.status IN ({})
         ORDER BY task.queued_for DESC, task.id DESC LIMIT ${}",
        many::list(KINDS.len(), 2),
        many::list(open.len(), 2 + KINDS.len()),
        3 + KINDS.len() + open.len()
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(team).bind(Status::Ready.name());
    let query = KINDS.into_iter().fold(query, |query, kind| query.bind(kind.name()));
    let query = open.iter().fold(query, |query, status| query.bind(status.name()));
    list(query.bind(rows(limit)), connection).await
}

/// Counts the tasks of a build that have begun, or begin when it is their team's turn.
pub async fn begun(connection: &mut Connection, build: BuildId) -> Result<Begun> {
    let mut begun = Begun::default();
    // Index: task_build_status.
    let sql = format!(
        "SELECT status, COUNT(*) AS count FROM task
         WHERE build_id = $1 AND status IN ($2, $3) AND kind IN ({}) AND +release_id IS NULL
         GROUP BY status",
        many::list(KINDS.len(), 3)
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(build.0);
    let query = query.bind(Status::Ready.name()).bind(Status::Leased.name());
    let query = KINDS.into_iter().fold(query, |query, kind| query.bind(kind.name()));
    for row in query.fetch_all(&mut *connection).await? {
        let count = u64::try_from(row.int("count")?).unwrap_or_default();
        match row.word("status", Status::from_name)? {
            Status::Ready => begun.ready = count,
            _ => begun.leased = count,
        }
    }
    // Index: task_held_team_build.
    let for_team: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM task WHERE build_id = $1 AND held_team IS NOT NULL")
        .bind(build.0)
        .fetch_one(connection)
        .await?;
    begun.for_team = for_team.try_into().unwrap_or_default();
    Ok(begun)
}

/// Returns the tasks of a build that wait for a node, or for their team's turn.
pub async fn in_line(connection: &mut Connection, build: BuildId) -> Result<Vec<Task>> {
    // Indices: task_build_status, task_held_team_build.
    let sql = format!(
        "SELECT {STANDING} FROM task
         WHERE build_id = $1 AND status = $2 AND kind IN ({}) AND +release_id IS NULL",
        many::list(KINDS.len(), 2)
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(build.0).bind(Status::Ready.name());
    let query = KINDS.into_iter().fold(query, |query, kind| query.bind(kind.name()));
    let mut tasks = list(query, connection).await?;
    let sql = format!("SELECT {STANDING} FROM task WHERE build_id = $1 AND held_team IS NOT NULL");
    tasks.extend(list(sqlx::query(sqlx::AssertSqlSafe(sql)).bind(build.0), connection).await?);
    Ok(tasks)
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "task_hold_tests.rs"]
mod tests;
