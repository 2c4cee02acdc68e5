//! Events: what happened, in the order of its commits.

use anima_types::{
    Timestamp,
    event::Event,
    id::{BuildId, EventId, ReleaseId, TaskId},
};
use sqlx::any::AnyRow;

use anima_types::event::PRIVATE;

use crate::{Connection, Error, Result, Write, many, row::Columns};

/// An event that is about to be written; when, through what and, unless it is said, by whom is the transaction's.
#[derive(Clone, Debug, Default)]
pub struct NewEvent {
    /// What kind of thing it happened to.
    pub noun: &'static str,
    /// What happened.
    pub verb: &'static str,
    /// The status after it.
    pub status: Option<&'static str>,
    /// The build that it concerns.
    pub build: Option<BuildId>,
    /// The task that it concerns.
    pub task: Option<TaskId>,
    /// The release that it concerns.
    pub release: Option<ReleaseId>,
    /// One sentence.
    pub message: String,
    /// Who did it, in a transaction that several have a part in.
    pub actor: Option<String>,
}

/// Writes an event.
pub async fn record(write: &mut Write, new: NewEvent) -> Result<EventId> {
    record_all(write, vec![new]).await?;
    Ok(write.events.last().expect("it was written").id)
}

/// Writes events, in their order.
pub async fn record_all(write: &mut Write, new: Vec<NewEvent>) -> Result<()> {
    const COLUMNS: usize = 12;
    let (now, origin) = (write.now, write.origin.clone());
    for piece in many::pieces(&new) {
        let sql = format!(
            "INSERT INTO event (at, noun, verb, status, actor, build_id, task_id, release_id, message, via, address, request)
             VALUES {} RETURNING id",
            many::rows(piece.len(), COLUMNS, 0)
        );
        let mut query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql));
        for new in piece {
            query = query
                .bind(now.0)
                .bind(new.noun)
                .bind(new.verb)
                .bind(new.status)
                .bind(new.actor.as_ref().unwrap_or(&origin.actor))
                .bind(new.build.map(|id| id.0))
                .bind(new.task.map(|id| id.0))
                .bind(new.release.map(|id| id.0))
                .bind(&new.message)
                .bind(&origin.via)
                .bind(&origin.address)
                .bind(&origin.request);
        }
        let mut ids: Vec<i64> = query.fetch_all(&mut **write).await?;
        // Ids are counted in the order of the rows; that they come back so is promised by nobody.
        ids.sort_unstable();
        let events = ids.into_iter().zip(piece).map(|(id, new)| Event {
            id: EventId(id),
            at: now,
            noun: new.noun.to_string(),
            verb: new.verb.to_string(),
            status: new.status.map(String::from),
            actor: new.actor.clone().unwrap_or_else(|| origin.actor.clone()),
            build: new.build,
            task: new.task,
            release: new.release,
            message: new.message.clone(),
        });
        write.events.extend(events);
    }
    Ok(())
}

/// Returns events after `after`, the oldest first, of one build or of all, without those that are for the audit only.
pub async fn list(
    connection: &mut Connection,
    after: EventId,
    build: Option<BuildId>,
    limit: u32,
) -> Result<Vec<Event>> {
    // Indices: the primary key, event_build.
    let rows = match build {
        Some(build) => {
            sqlx::query("SELECT * FROM event WHERE build_id = $1 AND id > $2 ORDER BY id LIMIT $3")
                .bind(build.0)
                .bind(after.0)
                .bind(i64::from(limit))
                .fetch_all(connection)
                .await?
        }
        None => {
            let private = PRIVATE.map(|noun| format!("'{noun}'")).join(", ");
            let sql = format!("SELECT * FROM event WHERE id > $1 AND noun NOT IN ({private}) ORDER BY id LIMIT $2");
            sqlx::query(sqlx::AssertSqlSafe(sql)).bind(after.0).bind(i64::from(limit)).fetch_all(connection).await?
        }
    };
    rows.iter().map(from_row).collect()
}

/// Returns events after `after`, the oldest first, with those that are for the audit only.
pub(crate) async fn list_all(connection: &mut Connection, after: EventId, limit: u32) -> Result<Vec<Event>> {
    let query = sqlx::query("SELECT * FROM event WHERE id > $1 ORDER BY id LIMIT $2");
    let rows = query.bind(after.0).bind(i64::from(limit)).fetch_all(connection).await?;
    rows.iter().map(from_row).collect()
}

/// Returns an event.
pub async fn get(connection: &mut Connection, id: EventId) -> Result<Event> {
    let row = sqlx::query("SELECT * FROM event WHERE id = $1").bind(id.0).fetch_optional(connection).await?;
    from_row(&row.ok_or_else(|| Error::missing("event", id))?)
}

/// Returns the newest event's id, or 0 where nothing ever happened.
pub async fn newest(connection: &mut Connection) -> Result<EventId> {
    let id: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(id), 0) FROM event").fetch_one(connection).await?;
    Ok(EventId(id))
}

/// Returns the newest event of a build, or 0 where nothing was told of it.
pub async fn newest_of_build(connection: &mut Connection, build: BuildId) -> Result<EventId> {
    // Index: event_build.
    let query = sqlx::query_scalar("SELECT COALESCE(MAX(id), 0) FROM event WHERE build_id = $1");
    let id: i64 = query.bind(build.0).fetch_one(connection).await?;
    Ok(EventId(id))
}

/// What was told after an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct News {
    /// The newest event.
    pub newest: EventId,
    /// Whether something was told of a release.
    pub is_of_release: bool,
    /// Whether something was told of a key, or of a task that is no build's and no release's: builds and releases may wait for it.
    pub is_of_key: bool,
}

/// Returns what was told after an event.
pub async fn news(connection: &mut Connection, after: EventId) -> Result<News> {
    // Index: the primary key.
    let row = sqlx::query(
        "SELECT COALESCE(MAX(id), $1) AS newest, COUNT(release_id) AS releases,
             COUNT(CASE WHEN noun IN ('task', 'key') AND build_id IS NULL AND release_id IS NULL THEN 1 END) AS keys
         FROM event WHERE id > $1",
    )
    .bind(after.0)
    .fetch_one(connection)
    .await?;
    Ok(News {
        newest: EventId(row.int("newest")?),
        is_of_release: row.int("releases")? > 0,
        is_of_key: row.int("keys")? > 0,
    })
}

/// What other clocks say than that of the caller.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Clock {
    /// The database's own, where it is a server.
    pub database: Option<Timestamp>,
    /// When the newest event happened, by the clock of the master that wrote it.
    pub newest_event: Option<Timestamp>,
}

/// Returns what other clocks say; `is_shared` says that the database is a server.
pub async fn clock(connection: &mut Connection, is_shared: bool) -> Result<Clock> {
    let newest: Option<i64> = sqlx::query_scalar("SELECT at FROM event WHERE id = (SELECT MAX(id) FROM event)")
        .fetch_optional(&mut *connection)
        .await?;
    let database: Option<i64> = match is_shared {
        false => None,
        true => {
            let sql = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";
            Some(sqlx::query_scalar(sql).fetch_one(connection).await?)
        }
    };
    Ok(Clock { database: database.map(Timestamp), newest_event: newest.map(Timestamp) })
}

pub(crate) fn from_row(row: &AnyRow) -> Result<Event> {
    Ok(Event {
        id: EventId(row.int("id")?),
        at: row.time("at")?,
        noun: row.text("noun")?,
        verb: row.text("verb")?,
        status: row.maybe_text("status")?,
        actor: row.text("actor")?,
        build: row.maybe_int("build_id")?.map(BuildId),
        task: row.maybe_int("task_id")?.map(TaskId),
        release: row.maybe_int("release_id")?.map(ReleaseId),
        message: row.text("message")?,
    })
}
