//! Tasks of every kind.

use std::collections::BTreeMap;

use anima_types::{
    Arch, Timestamp,
    id::{BuildId, KeyId, ReleaseId, TaskId},
    task::{Event, Kind, Status, next},
    work::{Failure, Outcome, PhaseTime, SrcOutcome},
};
use sqlx::any::AnyRow;

use crate::{
    Connection, Error, Result, Write,
    event::{self, NewEvent},
    many,
    row::{Columns, to_json},
    task_lease::{self, Claimed},
};

/// What a sign task signs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Subject {
    /// It makes the key itself.
    Key,
    /// The packages of a build.
    Packages,
    /// The metadata of a release's repositories.
    Metadata,
    /// That a key is revoked.
    Revocation,
    /// A file that a person brought.
    File,
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Where it stands.
    pub status: Status,
    /// What it is for.
    pub about: About,
    /// Why it stands there.
    pub why: String,
    /// How often it was given out since it was last restarted.
    pub attempts: u32,
    /// Counts the claims.
    pub lease_number: i64,
    /// When the lease ends.
    pub lease_expires_at: Option<Timestamp>,
    /// The node that has or had it.
    pub node: Option<String>,
    /// Whether that node emulates its architecture.
    pub is_emulated: bool,
    /// How long it is expected to take, in seconds, where that is known.
    pub estimate_secs: Option<i64>,
    /// How long it and the longest chain of those that wait for it take, in seconds.
    pub chain_secs: i64,
    /// Ready tasks are given out in the order of this.
    pub queued_for: Timestamp,
    /// Since when it stands where it stands.
    pub since: Timestamp,
    /// The node that built the same package for the same target last.
    pub home: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last given out.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How long each step took.
    pub phases: Vec<PhaseTime>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// What the work gave.
    pub result: Option<Outcome>,
    /// The hash of the report that ended it.
    pub report_hash: Option<String>,
    /// How long its log is, where it ended with a report; of others the store is asked.
    pub log_size_bytes: Option<u64>,
}

/// What a task is for; it never changes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct About {
    /// What it does.
    pub kind: Kind,
    /// The build.
    pub build: Option<BuildId>,
    /// The release.
    pub release: Option<ReleaseId>,
    /// The key, for sign tasks.
    pub key: Option<KeyId>,
    /// What is signed, for sign tasks.
    pub subject: Option<Subject>,
    /// The source package.
    pub package: Option<String>,
    /// The platform's name.
    pub platform: Option<String>,
    /// The architecture of the nodes that may take it.
    pub arch: Option<Arch>,
}

/// What a report says.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How long each step took.
    pub phases: Vec<PhaseTime>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// What the work gave.
    pub result: Option<Outcome>,
    /// The hash of the report.
    pub report_hash: Option<String>,
}

impl Subject {
    /// All of them.
    pub const ALL: [Subject; 5] =
        [Subject::Key, Subject::Packages, Subject::Metadata, Subject::Revocation, Subject::File];

    /// Returns the word in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Subject::Key => "key",
            Subject::Packages => "packages",
            Subject::Metadata => "metadata",
            Subject::Revocation => "revocation",
            Subject::File => "file",
        }
    }

    fn from_name(name: &str) -> Option<Subject> {
        Subject::ALL.into_iter().find(|subject| subject.name() == name)
    }
}

impl About {
    /// Returns what a task of this kind is for, with nothing more said.
    pub fn new(kind: Kind) -> About {
        About { kind, build: None, release: None, key: None, subject: None, package: None, platform: None, arch: None }
    }
}

/// All columns of a row, with nothing in place of what its work gave.
pub(crate) const STANDING: &str = "id, kind, status, build_id, release_id, key_id, subject, package, platform, arch, why, attempts, lease_number, \
    lease_expires_at, node, is_emulated, estimate_secs, chain_secs, queued_for, status_since, home, created_at, started_at, ended_at, report_hash, log_size_bytes, \
    failure, '[]' AS phases, CAST(NULL AS TEXT) AS result";

/// Writes a task that waits.
pub async fn insert(write: &mut Write, about: &About, why: &str) -> Result<TaskId> {
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO task (kind, status, build_id, release_id, key_id, subject, package, platform, arch, why, created_at, queued_for, status_since)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $11)
         RETURNING id",
    )
    .bind(about.kind.name())
    .bind(Status::Waiting.name())
    .bind(about.build.map(|id| id.0))
    .bind(about.release.map(|id| id.0))
    .bind(about.key.map(|id| id.0))
    .bind(about.subject.map(Subject::name))
    .bind(&about.package)
    .bind(&about.platform)
    .bind(about.arch.map(Arch::name))
    .bind(why)
    .bind(write.now.0)
    .fetch_one(&mut **write)
    .await?;
    let id = TaskId(id);
    record(write, id, about, "created", Status::Waiting, why).await?;
    Ok(id)
}

/// Returns a task.
pub async fn get(connection: &mut Connection, id: TaskId) -> Result<Task> {
    let row = sqlx::query("SELECT * FROM task WHERE id = $1").bind(id.0).fetch_optional(connection).await?;
    from_row(&row.ok_or_else(|| Error::missing("task", id))?)
}

/// Returns a build's tasks in the order in which they were made.
pub async fn of_build(connection: &mut Connection, build: BuildId) -> Result<Vec<Task>> {
    list(sqlx::query("SELECT * FROM task WHERE build_id = $1 ORDER BY id").bind(build.0), connection).await
}

/// Returns a build's tasks in the order in which they were made, without their results and phases: those are long, and a build has
/// thousands.
pub async fn standing_of_build(connection: &mut Connection, build: BuildId) -> Result<Vec<Task>> {
    // Index: task_build_status.
    let sql = format!("SELECT {STANDING} FROM task WHERE build_id = $1 ORDER BY id");
    list(sqlx::query(sqlx::AssertSqlSafe(sql)).bind(build.0), connection).await
}

/// Returns the failed tasks of a build, without those of releases, in the order in which they failed, at most `limit`.
pub async fn failed_of_build(connection: &mut Connection, build: BuildId, limit: u32) -> Result<Vec<Task>> {
    // Index: task_build_status.
    let sql = format!(
        "SELECT {STANDING} FROM task WHERE build_id = $1 AND status = $2 AND release_id IS NULL
         ORDER BY ended_at, id LIMIT $3"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(build.0).bind(Status::Failed.name());
    list(query.bind(i64::from(limit)), connection).await
}

/// Returns a build's tasks of one kind in the order in which they were made.
pub async fn of_kind(connection: &mut Connection, build: BuildId, kind: Kind) -> Result<Vec<Task>> {
    // Index: task_build_status.
    let query = sqlx::query("SELECT * FROM task WHERE build_id = $1 AND kind = $2 ORDER BY id");
    list(query.bind(build.0).bind(kind.name()), connection).await
}

/// Returns a build's tasks of one kind for a package on a platform, in the order in which they were made.
pub async fn of_package(
    connection: &mut Connection,
    build: BuildId,
    kind: Kind,
    package: &str,
    platform: &str,
) -> Result<Vec<Task>> {
    // Index: task_package.
    let query = sqlx::query(
        "SELECT * FROM task WHERE build_id = $1 AND kind = $2 AND package = $3 AND platform = $4 ORDER BY id",
    );
    list(query.bind(build.0).bind(kind.name()).bind(package).bind(platform), connection).await
}

/// What the succeeded build tasks of a build for a platform came to: whatever they made is the same while this is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct BuiltState {
    /// How many there are.
    pub count: i64,
    /// How often they were given out, all together.
    pub lease_count: i64,
    /// When the newest ended.
    pub ended_at: Timestamp,
}

/// Returns what the build tasks of a build came to.
pub async fn built_state(connection: &mut Connection, build: BuildId, platform: &str) -> Result<BuiltState> {
    // Index: task_build_status. PostgreSQL adds BIGINTs up to a NUMERIC.
    let row = sqlx::query(
        "SELECT COUNT(*) AS count, CAST(COALESCE(SUM(lease_number), 0) AS BIGINT) AS lease_count,
             COALESCE(MAX(ended_at), 0) AS ended_at
         FROM task WHERE build_id = $1 AND kind = $2 AND status = $3 AND platform = $4",
    )
    .bind(build.0)
    .bind(Kind::Build.name())
    .bind(Status::Succeeded.name())
    .bind(platform)
    .fetch_one(connection)
    .await?;
    Ok(BuiltState { count: row.int("count")?, lease_count: row.int("lease_count")?, ended_at: row.time("ended_at")? })
}

/// Returns whether a build task of a build succeeded.
pub async fn has_built(connection: &mut Connection, build: BuildId) -> Result<bool> {
    // Index: task_build_status.
    let query = sqlx::query("SELECT id FROM task WHERE build_id = $1 AND kind = $2 AND status = $3 LIMIT 1");
    let query = query.bind(build.0).bind(Kind::Build.name()).bind(Status::Succeeded.name());
    Ok(query.fetch_optional(connection).await?.is_some())
}

/// Returns whether a build has a task of a kind that has not ended.
pub async fn has_open(connection: &mut Connection, build: BuildId, kind: Kind) -> Result<bool> {
    // Index: task_build_status.
    let query = sqlx::query("SELECT id FROM task WHERE build_id = $1 AND kind = $2 AND status IN ($3, $4, $5) LIMIT 1");
    let query = query.bind(build.0).bind(kind.name());
    let query = query.bind(Status::Waiting.name()).bind(Status::Ready.name()).bind(Status::Leased.name());
    Ok(query.fetch_optional(connection).await?.is_some())
}

/// Returns a release's tasks in the order in which they were made.
pub async fn of_release(connection: &mut Connection, release: ReleaseId) -> Result<Vec<Task>> {
    list(sqlx::query("SELECT * FROM task WHERE release_id = $1 ORDER BY id").bind(release.0), connection).await
}

/// Returns the tasks that make a key, or that revoke it, in the order in which they were made.
pub async fn of_key(connection: &mut Connection, key: KeyId, subject: Subject) -> Result<Vec<Task>> {
    let query = sqlx::query("SELECT * FROM task WHERE key_id = $1 AND subject = $2 ORDER BY id");
    list(query.bind(key.0).bind(subject.name()), connection).await
}

/// Returns the sign tasks of a key that are not ended.
pub async fn open_of_key(connection: &mut Connection, key: KeyId) -> Result<Vec<Task>> {
    let query = sqlx::query("SELECT * FROM task WHERE key_id = $1 AND status IN ($2, $3, $4) ORDER BY id").bind(key.0);
    let query = query.bind(Status::Waiting.name()).bind(Status::Ready.name()).bind(Status::Leased.name());
    list(query, connection).await
}

/// Returns all tasks of some kinds, however old, whose logs were not dropped, with what they are, how they stand, and the number of
/// the last lease.
pub async fn all_of_kinds(connection: &mut Connection, kinds: &[Kind]) -> Result<Vec<(TaskId, Kind, Status, i64)>> {
    let mut tasks = Vec::new();
    for kind in kinds {
        let query = sqlx::query(
            "SELECT id, status, lease_number FROM task WHERE kind = $1 AND logs_dropped_at IS NULL ORDER BY id",
        )
        .bind(kind.name());
        for row in query.fetch_all(&mut *connection).await? {
            let status = row.word("status", Status::from_name)?;
            tasks.push((TaskId(row.int("id")?), *kind, status, row.int("lease_number")?));
        }
    }
    Ok(tasks)
}

/// Returns the tasks that nodes hold.
pub async fn list_leased(connection: &mut Connection) -> Result<Vec<Task>> {
    // Index: task_queue.
    list(sqlx::query("SELECT * FROM task WHERE status = $1 ORDER BY id").bind(Status::Leased.name()), connection).await
}

/// Returns the newest build tasks that succeeded for a package on a target, at most `limit`.
pub async fn list_newest_successes(
    connection: &mut Connection,
    package: &str,
    platform: &str,
    arch: Arch,
    limit: u32,
) -> Result<Vec<Task>> {
    // Index: task_package.
    let query = sqlx::query(
        "SELECT * FROM task
         WHERE package = $1 AND kind = $2 AND status = $3 AND platform = $4 AND arch = $5
         ORDER BY id DESC
         LIMIT $6",
    )
    .bind(package)
    .bind(Kind::Build.name())
    .bind(Status::Succeeded.name())
    .bind(platform)
    .bind(arch.name())
    .bind(i64::from(limit));
    list(query, connection).await
}

/// Returns how long, in seconds, the newest build tasks took that succeeded for packages on a target, at most `limit` of each;
/// nothing for packages that have none.
pub async fn newest_durations(
    connection: &mut Connection,
    packages: &[&str],
    platform: &str,
    arch: Arch,
    limit: u32,
) -> Result<BTreeMap<String, Vec<f64>>> {
    let mut durations: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for piece in many::pieces(packages) {
        // Index: task_package.
        let sql = format!(
            "SELECT package, started_at, ended_at FROM (
                 SELECT package, started_at, ended_at, ROW_NUMBER() OVER (PARTITION BY package ORDER BY id DESC) AS place
                 FROM task
                 WHERE package IN ({}) AND kind = $1 AND status = $2 AND platform = $3 AND arch = $4) AS built
             WHERE place <= $5 AND started_at IS NOT NULL AND ended_at IS NOT NULL",
            many::list(piece.len(), 5)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(Kind::Build.name())
            .bind(Status::Succeeded.name())
            .bind(platform)
            .bind(arch.name())
            .bind(i64::from(limit));
        for package in piece {
            query = query.bind(*package);
        }
        for row in query.fetch_all(&mut *connection).await? {
            let took = row.time("ended_at")?.secs_since(row.time("started_at")?);
            durations.entry(row.text("package")?).or_default().push(took);
        }
    }
    Ok(durations)
}

/// Returns the targets that a package was ever built for.
pub async fn targets_of_package(connection: &mut Connection, package: &str) -> Result<Vec<(String, Arch)>> {
    // Index: task_package.
    let rows = sqlx::query(
        "SELECT DISTINCT platform, arch FROM task
         WHERE package = $1 AND kind = $2 AND status = $3 AND platform IS NOT NULL AND arch IS NOT NULL
         ORDER BY platform, arch",
    )
    .bind(package)
    .bind(Kind::Build.name())
    .bind(Status::Succeeded.name())
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((row.text("platform")?, row.parsed("arch")?))).collect()
}

/// Returns what the newest source package of each package on a platform says.
pub async fn newest_sources(connection: &mut Connection, platform: &str) -> Result<BTreeMap<String, SrcOutcome>> {
    // Index: task_queue, and then the primary key: one statement, however many packages there are.
    let rows = sqlx::query(
        "SELECT task.package, task.result FROM task
         JOIN (SELECT MAX(id) AS id FROM task
               WHERE status = $1 AND kind = $2 AND platform = $3 AND package IS NOT NULL
               GROUP BY package) AS newest ON newest.id = task.id",
    )
    .bind(Status::Succeeded.name())
    .bind(Kind::Src.name())
    .bind(platform)
    .fetch_all(connection)
    .await?;
    let mut made = BTreeMap::new();
    for row in &rows {
        if let Some(Outcome::Src(outcome)) = row.maybe_json("result")? {
            made.insert(row.text("package")?, outcome);
        }
    }
    Ok(made)
}

/// Writes how long tasks are expected to take, where that is known, and how long with what waits for them, in seconds.
pub async fn set_estimates(write: &mut Write, estimates: &[(TaskId, Option<i64>, i64)]) -> Result<()> {
    // No task is expected to take less than nothing; of an empty value PostgreSQL does not know that it would be a number.
    const UNKNOWN: i64 = -1;
    for piece in many::pieces(estimates) {
        let sql = format!(
            "UPDATE task SET estimate_secs = NULLIF(given.column2, -1), chain_secs = given.column3
             FROM (VALUES {}) AS given
             WHERE task.id = given.column1",
            many::rows(piece.len(), 3, 0)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for (id, secs, chain_secs) in piece {
            query = query.bind(id.0).bind(secs.unwrap_or(UNKNOWN)).bind(*chain_secs);
        }
        query.execute(&mut **write).await?;
    }
    Ok(())
}

/// Moves a task along its table, if it still stands where `task` says. A restart forgets what the last try gave.
pub async fn apply(write: &mut Write, task: &Task, event: Event, why: &str) -> Result<Status> {
    let next = transition(write, task, event, why).await?;
    if event == Event::Restarted {
        // What it waited for its node the last time counts for its next turn, and not the time that it was over.
        let rested = task.started_at.or(task.ended_at).map_or(0, |at| write.now.0.saturating_sub(at.0));
        sqlx::query(
            "UPDATE task
             SET attempts = 0, started_at = NULL, is_emulated = 0, phases = '[]', failure = NULL, result = NULL, report_hash = NULL,
                 log_size_bytes = NULL,
                 queued_for = CASE WHEN is_placed = 1 THEN queued_for + $2 ELSE queued_for END
             WHERE id = $1",
        )
        .bind(task.id.0)
        .bind(rested)
        .execute(&mut **write)
        .await?;
    }
    Ok(next)
}

/// Moves tasks that wait along their table together, each for a reason of its own.
pub async fn apply_to_waiting(write: &mut Write, made: &[(TaskId, &About, String)], event: Event) -> Result<()> {
    let status = Status::Waiting.name();
    let refused = |id: TaskId| Error::Transition { noun: "task", id: id.0, status, event: event.name() };
    let Some((first, ..)) = made.first() else { return Ok(()) };
    let next = next(Status::Waiting, event).ok_or_else(|| refused(*first))?;
    for piece in many::pieces(made) {
        let sql = format!(
            "UPDATE task SET status = $1, why = given.column2, ended_at = $2, status_since = $3, is_held = 0, held_team = NULL
             FROM (VALUES {}) AS given
             WHERE task.id = given.column1 AND task.status = $4",
            many::rows(piece.len(), 2, 4)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(next.name())
            .bind(next.is_ended().then_some(write.now.0))
            .bind(write.now.0)
            .bind(status);
        for (id, _, why) in piece {
            query = query.bind(id.0).bind(why);
        }
        if query.execute(&mut **write).await?.rows_affected() != piece.len() as u64 {
            return Err(Error::Conflict { noun: "task", id: piece[0].0.0, status });
        }
    }
    let events = made.iter().map(|(id, about, why)| moved(*id, about, event.name(), next, why));
    event::record_all(write, events.collect()).await
}

/// Gives a ready task to a node, and returns the lease's number.
pub async fn claim(write: &mut Write, task: &Task, node: &str, expires_at: Timestamp, why: &str) -> Result<i64> {
    let claimed = Claimed { task, node, is_emulated: false, why: why.to_string() };
    task_lease::claim_all(write, &[claimed], expires_at).await?;
    Ok(task.lease_number + 1)
}

/// Lets the last lease on a task not count: what ended it was no fault of the task's or a node's.
pub async fn uncount_attempt(write: &mut Write, id: TaskId) -> Result<()> {
    crate::lease::uncount_last(write, id).await?;
    sqlx::query("UPDATE task SET attempts = attempts - 1 WHERE id = $1 AND attempts > 0")
        .bind(id.0)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Ends a leased task with what its node, or its absence, says.
pub async fn end(write: &mut Write, task: &Task, event: Event, why: &str, ended: &Ended) -> Result<Status> {
    let next = transition(write, task, event, why).await?;
    sqlx::query("UPDATE task SET phases = $2, failure = $3, result = $4, report_hash = $5 WHERE id = $1")
        .bind(task.id.0)
        .bind(to_json("phases", &ended.phases)?)
        .bind(ended.failure.as_ref().map(|failure| to_json("failure", failure)).transpose()?)
        .bind(ended.result.as_ref().map(|result| to_json("result", result)).transpose()?)
        .bind(&ended.report_hash)
        .execute(&mut **write)
        .await?;
    Ok(next)
}

/// Notes how long the log of an ended task is.
pub async fn set_log_size(write: &mut Write, id: TaskId, size_bytes: u64) -> Result<()> {
    sqlx::query("UPDATE task SET log_size_bytes = $2 WHERE id = $1")
        .bind(id.0)
        .bind(i64::try_from(size_bytes).unwrap_or(i64::MAX))
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Says why a task stands where it stands in other words, without a change of status.
pub async fn set_why(write: &mut Write, id: TaskId, why: &str) -> Result<()> {
    set_whys(write, &[(id, why.to_string())]).await
}

/// The same of several tasks.
pub async fn set_whys(write: &mut Write, whys: &[(TaskId, String)]) -> Result<()> {
    for piece in many::pieces(whys) {
        let sql = format!(
            "UPDATE task SET why = given.column2 FROM (VALUES {}) AS given WHERE task.id = given.column1",
            many::rows(piece.len(), 2, 0)
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql));
        piece.iter().fold(query, |query, (id, why)| query.bind(id.0).bind(why)).execute(&mut **write).await?;
    }
    Ok(())
}

async fn transition(write: &mut Write, task: &Task, event: Event, why: &str) -> Result<Status> {
    let (id, status) = (task.id, task.status);
    let next = next(status, event).ok_or(Error::Transition {
        noun: "task",
        id: id.0,
        status: status.name(),
        event: event.name(),
    })?;
    let updated = sqlx::query(
        "UPDATE task
         SET status = $4, why = $5, ended_at = $6, lease_expires_at = NULL, status_since = $7, is_held = 0, held_team = NULL
         WHERE id = $1 AND status = $2 AND lease_number = $3",
    )
    .bind(id.0)
    .bind(status.name())
    .bind(task.lease_number)
    .bind(next.name())
    .bind(why)
    .bind(next.is_ended().then_some(write.now.0))
    .bind(write.now.0)
    .execute(&mut **write)
    .await?;
    if updated.rows_affected() == 0 {
        return Err(Error::Conflict { noun: "task", id: id.0, status: status.name() });
    }
    if status == Status::Leased {
        crate::lease::end(write, task, event, why).await?;
    }
    record(write, id, &task.about, event.name(), next, why).await?;
    Ok(next)
}

async fn record(
    write: &mut Write,
    id: TaskId,
    about: &About,
    verb: &'static str,
    status: Status,
    why: &str,
) -> Result<()> {
    event::record(write, moved(id, about, verb, status, why)).await.map(drop)
}

fn moved(id: TaskId, about: &About, verb: &'static str, status: Status, why: &str) -> NewEvent {
    NewEvent {
        noun: "task",
        verb,
        status: Some(status.name()),
        build: about.build,
        task: Some(id),
        release: about.release,
        message: why.to_string(),
        actor: None,
    }
}

pub(crate) type Query<'q> = sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments>;

pub(crate) async fn list(query: Query<'_>, connection: &mut Connection) -> Result<Vec<Task>> {
    query.fetch_all(connection).await?.iter().map(from_row).collect()
}

pub(crate) fn from_row(row: &AnyRow) -> Result<Task> {
    Ok(Task {
        id: TaskId(row.int("id")?),
        status: row.word("status", Status::from_name)?,
        about: About {
            kind: row.word("kind", Kind::from_name)?,
            build: row.maybe_int("build_id")?.map(BuildId),
            release: row.maybe_int("release_id")?.map(ReleaseId),
            key: row.maybe_int("key_id")?.map(KeyId),
            subject: row.maybe_word("subject", Subject::from_name)?,
            package: row.maybe_text("package")?,
            platform: row.maybe_text("platform")?,
            arch: row.maybe_parsed("arch")?,
        },
        why: row.text("why")?,
        attempts: row.int("attempts")?.try_into().unwrap_or(u32::MAX),
        lease_number: row.int("lease_number")?,
        lease_expires_at: row.maybe_time("lease_expires_at")?,
        node: row.maybe_text("node")?,
        is_emulated: row.flag("is_emulated")?,
        estimate_secs: row.maybe_int("estimate_secs")?,
        chain_secs: row.int("chain_secs")?,
        queued_for: row.time("queued_for")?,
        since: row.time("status_since")?,
        home: row.maybe_text("home")?,
        created_at: row.time("created_at")?,
        started_at: row.maybe_time("started_at")?,
        ended_at: row.maybe_time("ended_at")?,
        phases: row.json("phases")?,
        failure: row.maybe_json("failure")?,
        result: row.maybe_json("result")?,
        report_hash: row.maybe_text("report_hash")?,
        log_size_bytes: row.maybe_int("log_size_bytes")?.map(|bytes| bytes.try_into().unwrap_or_default()),
    })
}

#[cfg(test)]
#[path = "task_tests.rs"]
mod tests;
