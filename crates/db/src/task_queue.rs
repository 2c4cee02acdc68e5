//! The queue of ready tasks: who is next, and who is before whom. The places in it are the master's to say.

use std::ops::Add;

use anima_types::{
    Arch, Timestamp, build,
    id::TaskId,
    task::{Event, Kind, Status, next},
};

use crate::{
    Connection, Error, Result, Write,
    event::{self, NewEvent},
    many,
    row::Columns as _,
    task::{About, Subject, Task, list},
};

/// A task's place in its queue: the lowest is next.
pub type Place = (Timestamp, TaskId);

/// The place before all others.
pub const FRONT: Place = (Timestamp(i64::MIN), TaskId(0));

/// The head of the queue of an architecture, which is asked for more often than all else.
const BEHIND: &str = "SELECT * FROM task WHERE status = $1 AND kind = $2 AND (queued_for, id) > ($3, $4) AND arch = $5
     ORDER BY queued_for, id LIMIT $6";

/// Returns those of the queue of one kind and architecture that are next behind a place, at most `limit`.
pub async fn behind(
    connection: &mut Connection,
    (kind, arch): (Kind, Option<Arch>),
    (queued_for, id): Place,
    limit: usize,
) -> Result<Vec<Task>> {
    // Index: task_queue. So many steps along the index, however long the queue is.
    let query = match arch {
        Some(_) => sqlx::query(BEHIND),
        None => sqlx::query(
            "SELECT * FROM task WHERE status = $1 AND kind = $2 AND (queued_for, id) > ($3, $4) AND arch IS NULL
             ORDER BY queued_for, id LIMIT $5",
        ),
    };
    let query = query.bind(Status::Ready.name()).bind(kind.name()).bind(queued_for.0).bind(id.0);
    let query = match arch {
        Some(arch) => query.bind(arch.name()),
        None => query,
    };
    list(query.bind(i64::try_from(limit).unwrap_or(i64::MAX)), connection).await
}

/// Writes tasks in the order of the ids that they get: those with a place in the queue wait for nothing but a node, the others
/// for more than that. Says why they were asked for, and why they stand where they stand; returns their ids.
///
/// One that is ready is made so in one step; both are events.
pub async fn insert_all(
    write: &mut Write,
    tasks: &[(About, Option<Timestamp>)],
    (asked, ready): (&str, &str),
) -> Result<Vec<TaskId>> {
    const COLUMNS: usize = 14;
    let status = |place: &Option<Timestamp>| match place {
        Some(_) => next(Status::Waiting, Event::DependenciesMet).expect("what waits for nothing is ready"),
        None => Status::Waiting,
    };
    let (mut made, mut events) = (Vec::with_capacity(tasks.len()), Vec::with_capacity(2 * tasks.len()));
    for piece in many::pieces(tasks) {
        let sql = format!(
            "INSERT INTO task (kind, status, build_id, release_id, key_id, subject, package, platform, arch, why, created_at, queued_for, status_since, is_placed)
             VALUES {} RETURNING id",
            many::rows(piece.len(), COLUMNS, 0)
        );
        let mut query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql));
        for (about, queued_for) in piece {
            query = query
                .bind(about.kind.name())
                .bind(status(queued_for).name())
                .bind(about.build.map(|id| id.0))
                .bind(about.release.map(|id| id.0))
                .bind(about.key.map(|id| id.0))
                .bind(about.subject.map(Subject::name))
                .bind(&about.package)
                .bind(&about.platform)
                .bind(about.arch.map(Arch::name))
                .bind(if queued_for.is_some() { ready } else { asked })
                .bind(write.now.0)
                .bind(queued_for.unwrap_or(write.now).0)
                .bind(write.now.0)
                .bind(i64::from(queued_for.is_some()));
        }
        let mut ids: Vec<i64> = query.fetch_all(&mut **write).await?;
        // Ids are counted in the order of the rows; that they come back so is promised by nobody.
        ids.sort_unstable();
        made.extend(ids.iter().copied().map(TaskId));
        for (id, (about, place)) in ids.into_iter().zip(piece) {
            let event = |verb, status: Status, message: &str| NewEvent {
                noun: "task",
                verb,
                status: Some(status.name()),
                build: about.build,
                task: Some(TaskId(id)),
                release: about.release,
                message: message.to_string(),
                actor: None,
            };
            events.push(event("created", Status::Waiting, asked));
            if place.is_some() {
                events.push(event(Event::DependenciesMet.name(), status(place), ready));
            }
        }
    }
    event::record_all(write, events).await?;
    Ok(made)
}

/// What is given out before a task.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Before {
    /// How many tasks these are.
    pub count: i64,
    /// How long those take, all together, of which that is known.
    pub known_secs: i64,
    /// How many it is not known of.
    pub unknown_count: i64,
}

impl Add for Before {
    type Output = Before;

    fn add(self, other: Before) -> Before {
        Before {
            count: self.count + other.count,
            known_secs: self.known_secs + other.known_secs,
            unknown_count: self.unknown_count + other.unknown_count,
        }
    }
}

/// Returns what ready tasks of the same kind and architecture are given out before a task, and not before `from`: who looks at many
/// tasks of a queue adds up what is between them, and reads each once.
pub async fn between(connection: &mut Connection, (queued_for, id): Place, task: &Task) -> Result<Before> {
    // Index: task_queue. PostgreSQL adds BIGINTs up to a NUMERIC.
    let arch = match task.about.arch {
        Some(_) => "arch = $7",
        None => "arch IS NULL",
    };
    let sql = format!(
        "SELECT COUNT(*) AS count, CAST(COALESCE(SUM(estimate_secs), 0) AS BIGINT) AS known_secs,
             COUNT(*) - COUNT(estimate_secs) AS unknown_count
         FROM task
         WHERE status = $1 AND kind = $2 AND (queued_for, id) >= ($3, $4) AND (queued_for, id) < ($5, $6) AND {arch}"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(Status::Ready.name())
        .bind(task.about.kind.name())
        .bind(queued_for.0)
        .bind(id.0)
        .bind(task.queued_for.0)
        .bind(task.id.0);
    let query = match task.about.arch {
        Some(arch) => query.bind(arch.name()),
        None => query,
    };
    let row = query.fetch_one(connection).await?;
    Ok(Before {
        count: row.int("count")?,
        known_secs: row.int("known_secs")?,
        unknown_count: row.int("unknown_count")?,
    })
}

/// What the people of a team have in the queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Share {
    /// Tasks of one of them, of builds of the team that have not ended, that wait for a node or have one.
    pub owned: i64,
    /// How many people have any, with that one.
    pub people: i64,
}

/// Returns what an owner has in the queue beside others of the same team; more tasks than `limit` are not counted. Who builds for no
/// team is alone.
pub async fn share(connection: &mut Connection, who: (&str, Option<&str>), limit: i64) -> Result<Share> {
    Ok(Share { owned: owned(connection, who, limit).await?, people: people(connection, who).await? })
}

/// Returns how many tasks of builds of the team that have not ended an owner has in the queue; more than `limit` are not counted.
pub async fn owned(connection: &mut Connection, (owner, team): (&str, Option<&str>), limit: i64) -> Result<i64> {
    // Indices: build_status, task_build_status.
    let open = open_builds();
    let sql = format!(
        "SELECT COUNT(*) FROM (
             SELECT task.id FROM build JOIN task ON task.build_id = build.id
             WHERE build.owner = $1 AND COALESCE(build.team, '') = $2 AND task.status IN ($3, $4) AND build.status IN ({})
             LIMIT $5
         ) AS counted",
        many::list(open.len(), 5)
    );
    let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(owner)
        .bind(team.unwrap_or_default())
        .bind(Status::Ready.name())
        .bind(Status::Leased.name())
        .bind(limit);
    let owned = open.iter().fold(query, |query, status| query.bind(status.name())).fetch_one(&mut *connection).await?;
    Ok(owned)
}

/// Returns how many people of a team, with this one, have anything in the queue.
pub async fn people(connection: &mut Connection, (owner, team): (&str, Option<&str>)) -> Result<i64> {
    // Indices: build_status, task_build_status.
    let Some(team) = team else { return Ok(1) };
    let open = open_builds();
    let sql = format!(
        "SELECT COUNT(DISTINCT build.owner) FROM build
         WHERE build.team = $1 AND build.owner <> $2 AND build.status IN ({})
           AND EXISTS (SELECT 1 FROM task WHERE task.build_id = build.id AND task.status IN ($3, $4))",
        many::list(open.len(), 4)
    );
    let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(team)
        .bind(owner)
        .bind(Status::Ready.name())
        .bind(Status::Leased.name());
    let others: i64 = open.iter().fold(query, |query, status| query.bind(status.name())).fetch_one(connection).await?;
    Ok(others + 1)
}

/// Returns how many tasks of a team's builds that have not ended wait for a node or have one.
pub async fn count_of_team(connection: &mut Connection, team: &str) -> Result<i64> {
    // Indices: build_status, task_build_status.
    let open = open_builds();
    let sql = format!(
        "SELECT COUNT(*) FROM build JOIN task ON task.build_id = build.id
         WHERE build.team = $1 AND task.status IN ($2, $3) AND build.status IN ({})",
        many::list(open.len(), 3)
    );
    let query =
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(team).bind(Status::Ready.name()).bind(Status::Leased.name());
    Ok(open.iter().fold(query, |query, status| query.bind(status.name())).fetch_one(connection).await?)
}

pub(crate) fn open_builds() -> Vec<build::Status> {
    build::Status::ALL.into_iter().filter(|status| !status.is_ended()).collect()
}

/// A task that waits for nothing but a node from now on.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The task, which waits.
    pub task: Task,
    /// Its place in the queue; one that it had before and that is earlier stays its place.
    pub queued_for: Timestamp,
    /// Why it stands there.
    pub why: String,
}

/// Lets tasks that wait stand in the queue, and notes which node built the package of each for its target last.
pub async fn begin_all(write: &mut Write, begun: &[Begun]) -> Result<()> {
    let (status, event) = (Status::Waiting.name(), Event::DependenciesMet);
    let ready = next(Status::Waiting, event).expect("what waits for nothing is ready");
    for piece in many::pieces(begun) {
        // Index: task_package, for the builds of one package.
        let sql = format!(
            "UPDATE task
             SET status = $1, why = given.column3, status_since = $2, is_held = 0, held_team = NULL, is_placed = 1,
                 queued_for = CASE WHEN task.is_placed = 1 AND task.queued_for < given.column2 THEN task.queued_for
                                   ELSE given.column2 END,
                 home = (SELECT last.node FROM task AS last
                         WHERE last.package = task.package AND last.kind = $3 AND last.status = $4
                           AND last.platform = task.platform AND last.arch = task.arch AND task.kind = $3
                         ORDER BY last.id DESC LIMIT 1)
             FROM (VALUES {}) AS given
             WHERE task.id = given.column1 AND task.status = $5",
            many::rows(piece.len(), 3, 5)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(ready.name())
            .bind(write.now.0)
            .bind(Kind::Build.name())
            .bind(Status::Succeeded.name())
            .bind(status);
        for Begun { task, queued_for, why } in piece {
            query = query.bind(task.id.0).bind(queued_for.0).bind(why);
        }
        if query.execute(&mut **write).await?.rows_affected() != piece.len() as u64 {
            return Err(Error::Conflict { noun: "task", id: piece[0].task.id.0, status });
        }
    }
    let events = begun.iter().map(|Begun { task, why, .. }| NewEvent {
        noun: "task",
        verb: event.name(),
        status: Some(ready.name()),
        build: task.about.build,
        task: Some(task.id),
        release: task.about.release,
        message: why.clone(),
        actor: None,
    });
    event::record_all(write, events.collect()).await
}

#[cfg(test)]
#[path = "task_queue_tests.rs"]
mod tests;
