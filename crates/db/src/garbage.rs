//! What nothing names any more: snapshots that go by their rule, artifacts of builds that came to nothing. Deciding is
//! the master's; here is who names what.

use std::collections::BTreeSet;

use anima_types::{
    Sha256, Timestamp,
    id::{BuildId, EventId, RepositoryId, TaskId},
    retention::{DroppedArtifact, SnapshotFacts, SnapshotRule},
};

use crate::{Connection, Error, Result, Write, event, many, row::Columns};

/// Writes which snapshots of a repository stay.
pub async fn set_rule(write: &mut Write, id: RepositoryId, rule: Option<SnapshotRule>) -> Result<()> {
    sqlx::query("UPDATE repository SET keep = $2 WHERE id = $1")
        .bind(id.0)
        .bind(rule.map(|rule| crate::row::to_json("keep", &rule)).transpose()?)
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Returns which snapshots of a repository stay.
pub async fn rule(connection: &mut Connection, id: RepositoryId) -> Result<Option<SnapshotRule>> {
    let row = sqlx::query("SELECT keep FROM repository WHERE id = $1").bind(id.0).fetch_optional(connection).await?;
    row.ok_or_else(|| Error::missing("repository", id))?.maybe_json("keep")
}

/// Says why a snapshot stays whatever the rule says, or that nobody wants that any more.
pub async fn set_pin(write: &mut Write, id: RepositoryId, number: i64, reason: Option<&str>) -> Result<()> {
    let updated = sqlx::query("UPDATE snapshot SET pin = $3 WHERE repository_id = $1 AND number = $2")
        .bind(id.0)
        .bind(number)
        .bind(reason)
        .execute(&mut **write)
        .await?;
    match updated.rows_affected() {
        0 => Err(Error::missing("snapshot", number)),
        _ => Ok(()),
    }
}

/// Returns what is to be known of each snapshot of a repository.
pub async fn snapshots(connection: &mut Connection, id: RepositoryId) -> Result<Vec<SnapshotFacts>> {
    let rows =
        sqlx::query("SELECT number, base, created_at, pin FROM snapshot WHERE repository_id = $1 ORDER BY number")
            .bind(id.0)
            .fetch_all(connection)
            .await?;
    let facts = rows.iter().map(|row| {
        Ok(SnapshotFacts {
            number: row.int("number")?,
            base: row.int("base")?,
            created_at: row.time("created_at")?,
            pin: row.maybe_text("pin")?,
        })
    });
    facts.collect()
}

/// Drops a snapshot. Its packages stay in those that have them, and are in no other by that.
pub async fn drop_snapshot(write: &mut Write, id: RepositoryId, number: i64) -> Result<()> {
    for sql in [
        "DELETE FROM snapshot_file WHERE repository_id = $1 AND number = $2",
        "DELETE FROM snapshot WHERE repository_id = $1 AND number = $2",
    ] {
        sqlx::query(sql).bind(id.0).bind(number).execute(&mut **write).await?;
    }
    // A range of snapshots that are all gone says nothing any more, nor does one without a snapshot: of a package that came back with
    // what it was gone back to, and went in the same snapshot. A range without an end goes on in those to come.
    sqlx::query(
        "DELETE FROM snapshot_package
         WHERE repository_id = $1 AND until IS NOT NULL AND (since <= $2 AND until > $2 OR until = since)
           AND NOT EXISTS (
               SELECT 1 FROM snapshot
               WHERE snapshot.repository_id = snapshot_package.repository_id
                 AND snapshot.number >= snapshot_package.since AND snapshot.number < snapshot_package.until)",
    )
    .bind(id.0)
    .bind(number)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// From when on things are old that came to nothing.
#[derive(Clone, Copy, Debug)]
pub struct Ages {
    /// Builds that failed or were cancelled, and imports that were given up, ended before.
    pub came_to_nothing: Timestamp,
    /// Releases made their metadata and signatures before: what snapshots have of it stays by that.
    pub made_metadata: Timestamp,
}

/// What a task made, and why nothing needs it by that any more.
#[derive(Clone, Debug)]
pub struct Forgotten {
    task: TaskId,
    /// What.
    pub sha256: Sha256,
    /// Why.
    pub why: String,
}

impl Ages {
    /// Of builds: all that its tasks made goes.
    fn build(self) -> String {
        format!(
            "build.status IN ('failed', 'cancelled') AND build.ended_at < {}
             AND NOT EXISTS (SELECT 1 FROM release_plan WHERE release_plan.build_id = build.id)",
            self.came_to_nothing.0
        )
    }

    /// Of tasks of releases: all that one fetched goes. What was made of it and is in a snapshot keeps its original.
    fn import(self) -> String {
        format!(
            "task.kind = 'import' AND task.ended_at < {} AND release_plan.status = 'abandoned'",
            self.came_to_nothing.0
        )
    }

    /// Of tasks of releases: metadata and signatures go.
    fn metadata(self) -> String {
        format!(
            "task.ended_at < {} AND release_plan.status IN ('released', 'reverted', 'failed', 'abandoned')",
            self.made_metadata.0
        )
    }
}

/// Returns what tasks made that came to nothing.
pub async fn find_forgotten(connection: &mut Connection, ages: Ages) -> Result<Vec<Forgotten>> {
    let of_releases = "FROM task
         JOIN task_artifact ON task_artifact.task_id = task.id
         JOIN release_plan ON release_plan.id = task.release_id";
    let all = [
        format!(
            "SELECT task_artifact.task_id, task_artifact.sha256, build.id AS whose,
                    CASE build.status WHEN 'failed' THEN 'build # failed' ELSE 'build # was cancelled' END AS why
             FROM build
             JOIN task ON task.build_id = build.id
             JOIN task_artifact ON task_artifact.task_id = task.id
             WHERE {}",
            ages.build()
        ),
        format!(
            "SELECT task_artifact.task_id, task_artifact.sha256, task.release_id AS whose,
                    'release # made it, and no snapshot has it' AS why
             {of_releases}
             WHERE task_artifact.kind IN ('repodata', 'signature') AND {}",
            ages.metadata()
        ),
        format!(
            "SELECT task_artifact.task_id, task_artifact.sha256, task.release_id AS whose,
                    'release # imported it, and was abandoned' AS why
             {of_releases}
             WHERE {}",
            ages.import()
        ),
    ];
    let mut forgotten = Vec::new();
    for sql in all {
        for row in sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut *connection).await? {
            let why = row.text("why")?.replace('#', &row.int("whose")?.to_string());
            forgotten.push(Forgotten { task: TaskId(row.int("task_id")?), sha256: row.parsed("sha256")?, why });
        }
    }
    Ok(forgotten)
}

/// Forgets that tasks made it.
pub async fn forget(write: &mut Write, forgotten: &[Forgotten]) -> Result<()> {
    for Forgotten { task, sha256, .. } in forgotten {
        sqlx::query("DELETE FROM task_artifact WHERE task_id = $1 AND sha256 = $2")
            .bind(task.0)
            .bind(sha256.to_string())
            .execute(&mut **write)
            .await?;
    }
    Ok(())
}

/// Returns builds after one that succeeded and ended before a moment and that no release carries, the oldest first, at most `limit`.
pub async fn list_unreleased(
    connection: &mut Connection,
    before: Timestamp,
    after: BuildId,
    limit: u32,
) -> Result<Vec<BuildId>> {
    // Indices: build_status, release_build.
    let rows = sqlx::query(
        "SELECT id FROM build
         WHERE status = 'succeeded' AND ended_at < $1 AND deleted_at IS NULL AND id > $2
           AND NOT EXISTS (
               SELECT 1 FROM release_plan
               WHERE release_plan.build_id = build.id AND release_plan.status <> 'abandoned')
         ORDER BY id LIMIT $3",
    )
    .bind(before.0)
    .bind(after.0)
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| row.int("id").map(BuildId)).collect()
}

/// Returns tasks whose logs may go, with the number of the last lease, at most `limit`: those that ended before a moment, and those
/// of builds that somebody deleted.
pub async fn list_old_logs(
    connection: &mut Connection,
    before: Option<Timestamp>,
    limit: u32,
) -> Result<Vec<(TaskId, i64)>> {
    // Index: task_logs.
    let rows = sqlx::query(
        "SELECT task.id, task.lease_number FROM task
         LEFT JOIN build ON build.id = task.build_id AND task.release_id IS NULL
         WHERE task.logs_dropped_at IS NULL AND task.lease_number > 0
           AND (task.ended_at < $1 OR task.ended_at IS NOT NULL AND build.deleted_at IS NOT NULL)
         ORDER BY task.ended_at LIMIT $2",
    )
    .bind(before.map_or(i64::MIN, |before| before.0))
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((TaskId(row.int("id")?), row.int("lease_number")?))).collect()
}

/// Writes that the logs of tasks were dropped, of those that did not begin anew meanwhile.
pub async fn set_logs_dropped(write: &mut Write, tasks: &[(TaskId, i64)]) -> Result<()> {
    for piece in many::pieces(tasks) {
        let sql = format!(
            "UPDATE task SET logs_dropped_at = $1, log_size_bytes = 0
             FROM (VALUES {}) AS given
             WHERE task.id = given.column1 AND task.lease_number = given.column2",
            many::rows(piece.len(), 2, 1)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(write.now.0);
        for (task, number) in piece {
            query = query.bind(task.0).bind(number);
        }
        query.execute(&mut **write).await?;
    }
    Ok(())
}

/// Of events: no message to a webhook is of them.
const NO_MESSAGE: &str = "NOT EXISTS (SELECT 1 FROM webhook_delivery WHERE webhook_delivery.event_id = event.id)";

/// Returns up to which event those go that happened before a moment, and how many that are, of the `limit` oldest at most. The
/// newest stays: who asks for what came after it goes on there. Those that messages to webhooks are of stay, too, and hide none
/// after them.
pub async fn find_old_events(
    connection: &mut Connection,
    before: Timestamp,
    limit: u32,
) -> Result<Option<(EventId, usize)>> {
    let newest = event::newest(connection).await?;
    // Indices: the primary key, webhook_delivery_event. Their times are in its order, but for what a clock was set back by.
    let sql = format!("SELECT id, at FROM event WHERE id < $1 AND {NO_MESSAGE} ORDER BY id LIMIT $2");
    let rows =
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(newest.0).bind(i64::from(limit)).fetch_all(connection).await?;
    let mut old = None;
    for (count, row) in (1..).zip(&rows) {
        if row.time("at")? >= before {
            break;
        }
        old = Some((EventId(row.int("id")?), count));
    }
    Ok(old)
}

/// Drops the events up to one, but those that messages to webhooks are of; returns how many.
pub async fn drop_events(write: &mut Write, last: EventId) -> Result<u64> {
    // Indices: the primary key, webhook_delivery_event.
    let sql = format!("DELETE FROM event WHERE id <= $1 AND {NO_MESSAGE}");
    let dropped = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(last.0).execute(&mut **write).await?;
    Ok(dropped.rows_affected())
}

/// The artifacts made before a moment that nothing names: no task, no snapshot, no repository, and no package that is itself
/// named.
///
/// A signed package stays with the unsigned one that is still some build's: it is released later. And the other way round: what
/// users have keeps what it was made from, which is signed anew when the key changes. Indexes: `task_artifact_sha256`,
/// `snapshot_file_sha256`, `snapshot_layout`, `snapshot_package_sha256`, `repository_attachment_sha256`, `signed_package_signed`.
fn unnamed(without: Without) -> String {
    let Without { tasks, files, snapshots, packages } = without;
    format!(
        "SELECT artifact.sha256, artifact.size_bytes, COALESCE(package.file_name, '') AS name FROM artifact
         LEFT JOIN package ON package.sha256 = artifact.sha256
         WHERE artifact.created_at < $1
           AND NOT EXISTS (SELECT 1 FROM task_artifact WHERE task_artifact.sha256 = artifact.sha256 {tasks})
           AND NOT EXISTS (SELECT 1 FROM snapshot_file WHERE snapshot_file.sha256 = artifact.sha256 {files})
           AND NOT EXISTS (SELECT 1 FROM snapshot WHERE snapshot.layout = artifact.sha256 {snapshots})
           AND NOT EXISTS (SELECT 1 FROM snapshot_package WHERE snapshot_package.sha256 = artifact.sha256 {packages})
           AND NOT EXISTS (SELECT 1 FROM repository_attachment WHERE repository_attachment.sha256 = artifact.sha256)
           AND NOT EXISTS (
               SELECT 1 FROM signed_package
               JOIN task_artifact ON task_artifact.sha256 = signed_package.sha256
               WHERE signed_package.signed = artifact.sha256 {tasks})
           AND NOT EXISTS (
               SELECT 1 FROM signed_package
               JOIN snapshot_package ON snapshot_package.sha256 = signed_package.signed
               WHERE signed_package.sha256 = artifact.sha256 {packages})"
    )
}

/// Which rows count for naming something, as the ends of conditions: all of them, or those that stay.
#[derive(Clone, Copy, Default)]
struct Without {
    tasks: &'static str,
    files: &'static str,
    snapshots: &'static str,
    packages: &'static str,
}

/// As if what goes was gone: it is in `going_task`, `going_metadata` and `going_snapshot`.
const WITHOUT_GOING: Without = Without {
    tasks: "AND task_artifact.task_id NOT IN (SELECT id FROM going_task)
            AND NOT (task_artifact.kind IN ('repodata', 'signature')
                     AND task_artifact.task_id IN (SELECT id FROM going_metadata))",
    files: "AND (snapshot_file.repository_id, snapshot_file.number) NOT IN (SELECT repository_id, number FROM going_snapshot)",
    snapshots: "AND (snapshot.repository_id, snapshot.number) NOT IN (SELECT repository_id, number FROM going_snapshot)",
    packages: "AND (snapshot_package.until IS NULL OR EXISTS (
                   SELECT 1 FROM snapshot
                   WHERE snapshot.repository_id = snapshot_package.repository_id
                     AND snapshot.number >= snapshot_package.since AND snapshot.number < snapshot_package.until
                     AND (snapshot.repository_id, snapshot.number) NOT IN (
                         SELECT repository_id, number FROM going_snapshot)))",
};

/// What would go before it is looked for what nothing names: so that it can be said without a change.
#[derive(Clone, Debug)]
pub struct Going {
    /// What came to nothing before.
    pub ages: Ages,
    /// Builds that are deleted.
    pub builds: Vec<BuildId>,
    /// Snapshots that are dropped.
    pub snapshots: Vec<(RepositoryId, i64)>,
}

impl Going {
    /// Returns the tables that [`WITHOUT_GOING`] asks, as a statement begins with them. There is no build and no repository 0.
    fn tables(&self) -> String {
        let builds: String = self.builds.iter().map(|id| format!(", {id}")).collect();
        let snapshots: String = self.snapshots.iter().map(|(id, number)| format!(", ({id}, {number})")).collect();
        format!(
            "WITH going_task (id) AS (
                 SELECT task.id FROM build JOIN task ON task.build_id = build.id WHERE {build}
                 UNION ALL
                 SELECT task.id FROM task JOIN release_plan ON release_plan.id = task.release_id WHERE {import}
                 UNION ALL
                 SELECT task.id FROM task WHERE task.build_id IN (0{builds}) AND task.release_id IS NULL),
             going_metadata (id) AS (
                 SELECT task.id FROM task JOIN release_plan ON release_plan.id = task.release_id WHERE {metadata}),
             going_snapshot (repository_id, number) AS (VALUES (0, 0){snapshots}) ",
            build = self.ages.build(),
            import = self.ages.import(),
            metadata = self.ages.metadata(),
        )
    }
}

/// Finds artifacts that nothing names, the largest first: at most `limit`, made before a moment and not in `wanted`. With `going`,
/// those that nothing would name then.
pub async fn find_unnamed(
    connection: &mut Connection,
    before: Timestamp,
    wanted: &BTreeSet<Sha256>,
    going: Option<&Going>,
    limit: u32,
) -> Result<Vec<DroppedArtifact>> {
    // What is wanted takes nobody's place.
    let asked = i64::from(limit) + i64::try_from(wanted.len()).unwrap_or(0);
    let (tables, unnamed) = match going {
        Some(going) => (going.tables(), unnamed(WITHOUT_GOING)),
        None => (String::new(), unnamed(Without::default())),
    };
    let sql = format!("{tables}{unnamed} ORDER BY artifact.size_bytes DESC LIMIT $2");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(before.0).bind(asked).fetch_all(connection).await?;
    let mut found = Vec::new();
    for row in &rows {
        let sha256: Sha256 = row.parsed("sha256")?;
        if wanted.contains(&sha256) || found.len() >= limit as usize {
            continue;
        }
        found.push(DroppedArtifact {
            sha256,
            name: row.text("name")?,
            size_bytes: row.int("size_bytes")?.unsigned_abs(),
            reason: "nothing names it any more".to_string(),
        });
    }
    Ok(found)
}

/// Drops the rows of artifacts that were found unnamed before, of those that still are and that nobody wants by now. Returns
/// which they were.
pub async fn drop_unnamed(
    write: &mut Write,
    before: Timestamp,
    wanted: &BTreeSet<Sha256>,
    found: Vec<DroppedArtifact>,
) -> Result<Vec<DroppedArtifact>> {
    let sql = format!("{} AND artifact.sha256 = $2", unnamed(Without::default()));
    let mut dropped = Vec::new();
    for artifact in found {
        let sha256 = artifact.sha256;
        let still = sqlx::query(sqlx::AssertSqlSafe(sql.clone())).bind(before.0).bind(sha256.to_string());
        if wanted.contains(&sha256) || still.fetch_optional(&mut **write).await?.is_none() {
            continue;
        }
        for sql in [
            "DELETE FROM signed_package WHERE sha256 = $1 OR signed = $1",
            "DELETE FROM package_state WHERE sha256 = $1",
            "DELETE FROM package_search WHERE header_sha256 = (SELECT header_sha256 FROM package WHERE sha256 = $1)
               AND NOT EXISTS (
                   SELECT 1 FROM package WHERE package.header_sha256 = package_search.header_sha256 AND sha256 <> $1)",
            "DELETE FROM package WHERE sha256 = $1",
            "DELETE FROM artifact WHERE sha256 = $1",
        ] {
            sqlx::query(sql).bind(sha256.to_string()).execute(&mut **write).await?;
        }
        dropped.push(artifact);
    }
    Ok(dropped)
}

/// Returns which of these artifacts have a row.
pub async fn known(connection: &mut Connection, wanted: &[Sha256]) -> Result<BTreeSet<Sha256>> {
    let mut known = BTreeSet::new();
    for sha256 in wanted {
        let found: Option<i64> = sqlx::query_scalar("SELECT size_bytes FROM artifact WHERE sha256 = $1")
            .bind(sha256.to_string())
            .fetch_optional(&mut *connection)
            .await?;
        known.extend(found.map(|_| *sha256));
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use anima_types::webhook::CreateWebhook;

    use super::*;
    use crate::{artifact, event::NewEvent, testing::Scratch, webhook};

    #[tokio::test]
    async fn what_nothing_names_is_looked_for_without_a_look_at_all_of_another_table() {
        let scratch = Scratch::new().await;
        if scratch.db.is_shared() {
            // PostgreSQL decides by what it knows of the tables: of empty ones it says nothing.
            return;
        }
        let mut read = scratch.db.read().await.unwrap();

        let plan = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", unnamed(Without::default()))));
        let plan = plan.bind(1_i64).fetch_all(&mut *read).await.unwrap();

        let steps: Vec<String> = plan.iter().map(|row| row.text("detail").unwrap()).collect();
        let scans: Vec<&String> = steps.iter().filter(|step| step.starts_with("SCAN")).collect();
        assert_eq!(scans, ["SCAN artifact"], "{steps:?}");
    }

    #[tokio::test]
    async fn events_that_a_stopped_webhook_has_messages_of_hide_none_after_them_that_go() {
        let scratch = Scratch::new().await;
        let mut write = scratch.write().await;
        let wanted = CreateWebhook { name: "chat".into(), url: "http://h".into(), events: Vec::new() };
        let hook = webhook::insert(&mut write, &wanted, "secret").await.unwrap();
        let tell = async |write: &mut Write| {
            event::record(write, NewEvent { noun: "build", verb: "created", ..NewEvent::default() }).await.unwrap()
        };
        for _ in 0..3 {
            tell(&mut write).await;
        }
        while webhook::make_deliveries(&mut write, 10).await.unwrap() {}
        let hook = webhook::get(&mut write, hook).await.unwrap();
        webhook::set_stopped(&mut write, &hook, Some("it is tired")).await.unwrap();
        for _ in 0..4 {
            tell(&mut write).await;
        }
        let before = write.now.plus_secs(1);

        let mut dropped = 0;
        while let Some((last, count)) = find_old_events(&mut write, before, 2).await.unwrap() {
            assert_eq!(drop_events(&mut write, last).await.unwrap(), count as u64);
            dropped += count;
        }

        let left = event::list(&mut write, EventId(0), None, 100).await.unwrap();
        assert_eq!((left.len(), dropped > 4), (4, true), "three that are still to be told, and the newest: {left:?}");
        assert_eq!(webhook::forget(&mut write, before).await.unwrap(), 3, "nobody waits for them for ever");
        assert!(find_old_events(&mut write, before, 9).await.unwrap().is_some_and(|(_, count)| count == 3));
    }

    #[tokio::test]
    async fn what_is_wanted_takes_no_place_of_what_may_go_and_what_is_wanted_since_stays() {
        let scratch = Scratch::new().await;
        let mut write = scratch.write().await;
        let all: Vec<Sha256> = (1..=4).map(|byte| Sha256([byte; 32])).collect();
        for (sha256, size_bytes) in all.iter().zip([40, 30, 20, 10]) {
            artifact::insert(&mut write, *sha256, size_bytes).await.unwrap();
        }
        let before = Timestamp(0).plus_secs(2);
        let hashes = |found: &[DroppedArtifact]| found.iter().map(|artifact| artifact.sha256).collect::<Vec<_>>();

        let found = find_unnamed(&mut write, before, &[all[0], all[1]].into(), None, 1).await.unwrap();
        assert_eq!(hashes(&found), [all[2]], "the largest that nobody wants");
        let found = find_unnamed(&mut write, before, &BTreeSet::new(), None, 9).await.unwrap();
        let dropped = drop_unnamed(&mut write, before, &[all[3]].into(), found).await.unwrap();

        assert_eq!(hashes(&dropped), all[..3]);
        assert_eq!(known(&mut write, &all).await.unwrap(), [all[3]].into());
    }
}
