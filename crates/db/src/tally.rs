//! Counts of what is under way, for those who watch over it. Each is one pass over an index, whatever has ended.

use std::collections::BTreeMap;

use anima_types::{
    Arch, Timestamp, build, release,
    task::{Kind, Status},
};
use sqlx::any::AnyRow;

use crate::{Connection, Result, row::Columns};

/// Tasks that stand at the same place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tasks {
    /// Their kind.
    pub kind: Kind,
    /// The architecture that they need, where they need one.
    pub arch: Option<Arch>,
    /// Where they stand.
    pub status: Status,
    /// How many.
    pub count: u64,
    /// Since when the first of them stands there.
    pub since: Timestamp,
}

/// Counts the tasks that have not ended.
pub async fn open_tasks(connection: &mut Connection) -> Result<Vec<Tasks>> {
    // Index: task_queue.
    let rows = sqlx::query(
        "SELECT kind, arch, status, COUNT(*) AS count, MIN(status_since) AS since FROM task
         WHERE status IN ($1, $2, $3)
         GROUP BY kind, arch, status
         ORDER BY kind, arch, status",
    )
    .bind(Status::Waiting.name())
    .bind(Status::Ready.name())
    .bind(Status::Leased.name())
    .fetch_all(connection)
    .await?;
    let tasks = rows.iter().map(|row| {
        Ok(Tasks {
            kind: row.word("kind", Kind::from_name)?,
            arch: row.maybe_parsed("arch")?,
            status: row.word("status", Status::from_name)?,
            count: count(row)?,
            since: row.time("since")?,
        })
    });
    tasks.collect()
}

/// Counts the tasks that have not ended, by where they stand and nothing else.
pub async fn open_by_status(connection: &mut Connection) -> Result<BTreeMap<Status, u64>> {
    // Index: task_order, which has all that is asked for.
    let query = sqlx::query("SELECT status, COUNT(*) AS count FROM task WHERE status IN ($1, $2, $3) GROUP BY status");
    let query = query.bind(Status::Waiting.name()).bind(Status::Ready.name()).bind(Status::Leased.name());
    let rows = query.fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.word("status", Status::from_name)?, count(row)?))).collect()
}

/// Counts the builds that have not ended, by where they stand.
pub async fn open_builds(connection: &mut Connection) -> Result<Vec<(build::Status, u64)>> {
    // Index: build_status.
    let query =
        sqlx::query("SELECT status, COUNT(*) AS count FROM build WHERE status IN ($1, $2, $3, $4) GROUP BY status");
    let open = build::Status::ALL.into_iter().filter(|status| !status.is_ended());
    let rows = open.fold(query, |query, status| query.bind(status.name())).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.word("status", build::Status::from_name)?, count(row)?))).collect()
}

/// Counts the releases by where they stand.
pub async fn releases(connection: &mut Connection) -> Result<Vec<(release::Status, u64)>> {
    // Index: release_status.
    let query = sqlx::query("SELECT status, COUNT(*) AS count FROM release_plan GROUP BY status");
    let rows = query.fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.word("status", release::Status::from_name)?, count(row)?))).collect()
}

fn count(row: &AnyRow) -> Result<u64> {
    Ok(row.int("count")?.try_into().unwrap_or_default())
}

#[cfg(test)]
#[path = "tally_tests.rs"]
mod tests;
