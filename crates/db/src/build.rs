//! Builds.

use std::collections::BTreeMap;

use anima_types::{
    Arch, Timestamp,
    build::{Circle, Event, Options, Priority, Status, next},
    id::{BuildId, EventId},
    task,
};
use sqlx::any::AnyRow;

use crate::{
    Connection, Error, Result, Write,
    event::{self, NewEvent},
    row::{Columns, to_json},
};

/// A row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Build {
    /// Its id.
    pub id: BuildId,
    /// Where it stands.
    pub status: Status,
    /// Who asked for it.
    pub owner: String,
    /// The team that it is for, where it is one's.
    pub team: Option<String>,
    /// How it came to be.
    pub reason: String,
    /// The platforms' names.
    pub platforms: Vec<String>,
    /// The architectures.
    pub architectures: Vec<Arch>,
    /// How much it is hurried.
    pub priority: Priority,
    /// Its state in one sentence.
    pub summary: String,
    /// Pushes join it until then; none once it is closed.
    pub gather_until: Option<Timestamp>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it differs from others.
    pub options: Options,
    /// When somebody deleted what it made.
    pub deleted_at: Option<Timestamp>,
    /// Packages that wait for one another, once the order is known.
    pub circles: Vec<Circle>,
}

/// A build that is about to be written.
#[derive(Clone, Debug)]
pub struct NewBuild {
    /// Who asked for it.
    pub owner: String,
    /// How it came to be.
    pub reason: String,
    /// The platforms' names.
    pub platforms: Vec<String>,
    /// The architectures.
    pub architectures: Vec<Arch>,
    /// How much it is hurried.
    pub priority: Priority,
    /// Its state in one sentence.
    pub summary: String,
    /// Pushes of this key join it until that moment.
    pub gather: Option<(String, Timestamp)>,
}

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only builds before this one.
    pub before: Option<BuildId>,
    /// Only builds of this package.
    pub package: Option<String>,
    /// Only builds on this platform.
    pub platform: Option<String>,
    /// Only builds that this person asked for.
    pub owner: Option<String>,
    /// Only builds of this status.
    pub status: Option<Status>,
}

/// Writes a build in its first status.
pub async fn insert(write: &mut Write, new: &NewBuild) -> Result<BuildId> {
    let (gather_key, gather_until) = new.gather.as_ref().map(|(key, until)| (key.as_str(), until.0)).unzip();
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO build (status, owner, reason, platforms, architectures, summary, gather_key, gather_until, created_at, priority)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         RETURNING id",
    )
    .bind(Status::Sources.name())
    .bind(&new.owner)
    .bind(&new.reason)
    .bind(to_json("platforms", &new.platforms)?)
    .bind(to_json("architectures", &new.architectures)?)
    .bind(&new.summary)
    .bind(gather_key)
    .bind(gather_until)
    .bind(write.now.0)
    .bind(new.priority.name())
    .fetch_one(&mut **write)
    .await?;
    let id = BuildId(id);
    let message = format!("Build {id} was {}.", new.reason);
    record(write, id, "created", Status::Sources, message).await?;
    Ok(id)
}

/// Returns a build.
pub async fn get(connection: &mut Connection, id: BuildId) -> Result<Build> {
    let row = sqlx::query("SELECT * FROM build WHERE id = $1").bind(id.0).fetch_optional(connection).await?;
    from_row(&row.ok_or_else(|| Error::missing("build", id))?)
}

/// Returns builds, the newest first.
pub async fn list(connection: &mut Connection, filter: &Filter, limit: u32) -> Result<Vec<Build>> {
    // Indices: the primary key backwards, source_package for the package.
    let rows = sqlx::query(
        "SELECT build.* FROM build
         WHERE build.id < $1
           AND ($2 = '' OR build.owner = $2)
           AND ($3 = '' OR build.status = $3)
           AND ($4 = '' OR EXISTS (SELECT 1 FROM source WHERE source.build_id = build.id AND source.package = $4))
           AND ($5 = '' OR build.platforms LIKE '%' || $5 || '%' ESCAPE '!')
         ORDER BY build.id DESC
         LIMIT $6",
    )
    .bind(filter.before.map_or(i64::MAX, |id| id.0))
    .bind(filter.owner.as_deref().unwrap_or_default())
    .bind(filter.status.map_or("", Status::name))
    .bind(filter.package.as_deref().unwrap_or_default())
    .bind(filter.platform.as_deref().map_or(Ok(String::new()), listed)?)
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    rows.iter().map(from_row).collect()
}

/// Returns how a platform stands in a list of them, for LIKE.
fn listed(platform: &str) -> Result<String> {
    let quoted = to_json("platform", platform)?;
    Ok(quoted.replace('!', "!!").replace('%', "!%").replace('_', "!_"))
}

/// Returns the ids of all builds that have not ended.
pub async fn list_open(connection: &mut Connection) -> Result<Vec<BuildId>> {
    let rows = sqlx::query("SELECT id FROM build WHERE status IN ($1, $2, $3, $4) ORDER BY id")
        .bind(Status::Sources.name())
        .bind(Status::Building.name())
        .bind(Status::Testing.name())
        .bind(Status::Signing.name())
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| row.int("id").map(BuildId)).collect()
}

/// Returns the builds that have not ended and of which something was told since they were last moved on, each with the event up
/// to which that was done. That a task may be taken, and that a node took it, moves nothing on.
pub async fn list_with_news(connection: &mut Connection) -> Result<BTreeMap<BuildId, EventId>> {
    // Indices: build_status, event_build: one step for each open build, however many events and tasks it has.
    let rows = sqlx::query(
        "SELECT id, advanced_event FROM build
         WHERE status IN ($1, $2, $3, $4)
           AND EXISTS (
               SELECT 1 FROM event
               WHERE event.build_id = build.id AND event.id > build.advanced_event AND event.verb NOT IN ($5, $6))",
    )
    .bind(Status::Sources.name())
    .bind(Status::Building.name())
    .bind(Status::Testing.name())
    .bind(Status::Signing.name())
    .bind(task::Event::Claimed.name())
    .bind(task::Event::DependenciesMet.name())
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((BuildId(row.int("id")?), EventId(row.int("advanced_event")?)))).collect()
}

/// Returns the event up to which a build was moved on; none where all of it has to be looked at.
pub async fn advanced(connection: &mut Connection, id: BuildId) -> Result<Option<EventId>> {
    let query = sqlx::query_scalar("SELECT advanced_event FROM build WHERE id = $1");
    let advanced: Option<i64> = query.bind(id.0).fetch_optional(connection).await?;
    Ok(advanced.filter(|id| *id > 0).map(EventId))
}

/// Notes that a build was moved on by all that was told of it so far.
pub async fn set_advanced(write: &mut Write, id: BuildId) -> Result<()> {
    let newest = event::newest_of_build(write, id).await?;
    sqlx::query("UPDATE build SET advanced_event = $2 WHERE id = $1 AND advanced_event <> $2")
        .bind(id.0)
        .bind(newest.0)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Moves a build along its table, if it still stands where `build` says.
pub async fn apply(write: &mut Write, build: &Build, event: Event, summary: &str) -> Result<Status> {
    let (id, status) = (build.id, build.status);
    let next = next(status, event).ok_or(Error::Transition {
        noun: "build",
        id: id.0,
        status: status.name(),
        event: event.name(),
    })?;
    let updated =
        sqlx::query("UPDATE build SET status = $3, summary = $4, ended_at = $5 WHERE id = $1 AND status = $2")
            .bind(id.0)
            .bind(status.name())
            .bind(next.name())
            .bind(summary)
            .bind(next.is_ended().then_some(write.now.0))
            .execute(&mut **write)
            .await?;
    if updated.rows_affected() == 0 {
        return Err(Error::Conflict { noun: "build", id: id.0, status: status.name() });
    }
    record(write, id, event.name(), next, summary.to_string()).await?;
    Ok(next)
}

/// Says which team a build is for.
pub async fn set_team(write: &mut Write, id: BuildId, team: &str) -> Result<()> {
    sqlx::query("UPDATE build SET team = $2 WHERE id = $1").bind(id.0).bind(team).execute(&mut **write).await?;
    Ok(())
}

/// Says how a build that was just made differs from others.
pub async fn set_options(write: &mut Write, id: BuildId, options: &Options) -> Result<()> {
    sqlx::query("UPDATE build SET options = $2 WHERE id = $1")
        .bind(id.0)
        .bind(to_json("options", options)?)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Says which packages of a build wait for one another.
pub async fn set_circles(write: &mut Write, id: BuildId, circles: &[Circle]) -> Result<()> {
    sqlx::query("UPDATE build SET circles = $2 WHERE id = $1")
        .bind(id.0)
        .bind(to_json("circles", circles)?)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Forgets what the tasks of a build made: nothing names it any more by that, and it goes with the next collection.
pub async fn delete(write: &mut Write, build: &Build, summary: &str) -> Result<()> {
    sqlx::query(
        "DELETE FROM task_artifact
         WHERE task_id IN (SELECT id FROM task WHERE build_id = $1 AND release_id IS NULL)",
    )
    .bind(build.id.0)
    .execute(&mut **write)
    .await?;
    sqlx::query("UPDATE build SET deleted_at = $2, summary = $3 WHERE id = $1")
        .bind(build.id.0)
        .bind(write.now.0)
        .bind(summary)
        .execute(&mut **write)
        .await?;
    let message = summary.to_string();
    let new = NewEvent { noun: "build", verb: "deleted", build: Some(build.id), message, ..NewEvent::default() };
    event::record(write, new).await.map(drop)
}

/// Returns a build that has not ended and is linked to another.
pub async fn find_linked_to(connection: &mut Connection, id: BuildId) -> Result<Option<BuildId>> {
    Ok(linked(connection).await?.remove(&id))
}

/// Returns the builds that others are linked to that have not ended, each with one of those.
pub async fn linked(connection: &mut Connection) -> Result<BTreeMap<BuildId, BuildId>> {
    let mut linked = BTreeMap::new();
    for open in list_open(connection).await? {
        linked.extend(get(connection, open).await?.options.linked.into_iter().map(|to| (to, open)));
    }
    Ok(linked)
}

/// Says a build's state in other words, without a change of status.
pub async fn set_summary(write: &mut Write, id: BuildId, summary: &str) -> Result<()> {
    sqlx::query("UPDATE build SET summary = $2 WHERE id = $1 AND summary <> $2")
        .bind(id.0)
        .bind(summary)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Returns the build that pushes of this key join at `now`.
pub async fn find_gathering(connection: &mut Connection, key: &str, now: Timestamp) -> Result<Option<Build>> {
    // Index: build_gather.
    let row = sqlx::query("SELECT * FROM build WHERE gather_key = $1 AND gather_until > $2 ORDER BY id DESC LIMIT 1")
        .bind(key)
        .bind(now.0)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(from_row).transpose()
}

/// Lets pushes join a build for longer.
pub async fn extend_gathering(write: &mut Write, id: BuildId, until: Timestamp) -> Result<()> {
    sqlx::query("UPDATE build SET gather_until = $2 WHERE id = $1 AND gather_key IS NOT NULL")
        .bind(id.0)
        .bind(until.0)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Lets no more pushes join a build, which has to be looked at for that: no event tells of it.
pub async fn close_gathering(write: &mut Write, id: BuildId) -> Result<()> {
    sqlx::query("UPDATE build SET gather_key = NULL, gather_until = NULL, advanced_event = 0 WHERE id = $1")
        .bind(id.0)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Returns the builds that pushes may no longer join at `now` though nobody closed them yet, and the moment when the
/// next one closes.
pub async fn list_gathered(connection: &mut Connection, now: Timestamp) -> Result<(Vec<BuildId>, Option<Timestamp>)> {
    let rows = sqlx::query("SELECT id, gather_until FROM build WHERE gather_key IS NOT NULL ORDER BY gather_until")
        .fetch_all(connection)
        .await?;
    let mut due = Vec::new();
    for row in &rows {
        let until = row.time("gather_until")?;
        if until > now {
            return Ok((due, Some(until)));
        }
        due.push(BuildId(row.int("id")?));
    }
    Ok((due, None))
}

async fn record(write: &mut Write, id: BuildId, verb: &'static str, status: Status, message: String) -> Result<()> {
    let status = Some(status.name());
    event::record(write, NewEvent { noun: "build", verb, status, build: Some(id), message, ..NewEvent::default() })
        .await
        .map(drop)
}

pub(crate) fn from_row(row: &AnyRow) -> Result<Build> {
    Ok(Build {
        id: BuildId(row.int("id")?),
        status: row.word("status", Status::from_name)?,
        owner: row.text("owner")?,
        team: row.maybe_text("team")?,
        reason: row.text("reason")?,
        platforms: row.json("platforms")?,
        architectures: row.json("architectures")?,
        priority: row.word("priority", Priority::from_name)?,
        summary: row.text("summary")?,
        gather_until: row.maybe_time("gather_until")?,
        created_at: row.time("created_at")?,
        ended_at: row.maybe_time("ended_at")?,
        options: row.json("options")?,
        deleted_at: row.maybe_time("deleted_at")?,
        circles: row.json("circles")?,
    })
}

#[cfg(test)]
#[path = "build_tests.rs"]
mod tests;
