//! Mass rebuilds: how the builds that are some are held in bounds.

use anima_types::{
    Arch,
    id::BuildId,
    task::{Kind, Status},
};
use sqlx::any::AnyRow;

use crate::{
    Connection, Error, Result, Write,
    event::{self, NewEvent},
    row::Columns,
};

/// A row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rebuild {
    /// The build.
    pub build: BuildId,
    /// Nothing is begun.
    pub is_paused: bool,
    /// Tasks that are ready or leased at once, at most.
    pub limit: Option<u32>,
}

/// Makes a build a mass rebuild.
pub async fn insert(write: &mut Write, row: &Rebuild) -> Result<()> {
    sqlx::query("INSERT INTO rebuild (build_id, is_paused, task_limit) VALUES ($1, $2, $3)")
        .bind(row.build.0)
        .bind(i64::from(row.is_paused))
        .bind(row.limit.map(i64::from))
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Returns how a build is held in bounds, where it is a mass rebuild.
pub async fn find(connection: &mut Connection, build: BuildId) -> Result<Option<Rebuild>> {
    let row = sqlx::query("SELECT * FROM rebuild WHERE build_id = $1").bind(build.0).fetch_optional(connection).await?;
    row.as_ref().map(from_row).transpose()
}

/// Returns the mass rebuild that a build has to be.
pub async fn get(connection: &mut Connection, build: BuildId) -> Result<Rebuild> {
    find(connection, build).await?.ok_or_else(|| Error::missing("rebuild", build))
}

/// Returns mass rebuilds, the newest first, at most `limit`, before one where that is said.
pub async fn list(connection: &mut Connection, before: Option<BuildId>, limit: u32) -> Result<Vec<Rebuild>> {
    let rows = sqlx::query("SELECT * FROM rebuild WHERE build_id < $1 ORDER BY build_id DESC LIMIT $2")
        .bind(before.map_or(i64::MAX, |id| id.0))
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    rows.iter().map(from_row).collect()
}

/// The tasks of a build, without those of releases, that stand at the same place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Standing {
    /// Their kind.
    pub kind: Kind,
    /// Their architecture, where they have one.
    pub arch: Option<Arch>,
    /// Where they stand.
    pub status: Status,
    /// How many.
    pub count: usize,
    /// How long those take, all together, of which that is known.
    pub known_secs: i64,
    /// How many it is not known of.
    pub unknown_count: i64,
    /// How long the longest of them takes, or the longest chain of those that wait for one of them.
    pub longest_secs: i64,
}

/// Returns how the tasks of a build stand. The database adds them up: a mass rebuild has a hundred thousand.
pub async fn standing(connection: &mut Connection, build: BuildId) -> Result<Vec<Standing>> {
    // Index: task_build_status. PostgreSQL adds BIGINTs up to a NUMERIC.
    let rows = sqlx::query(
        "SELECT kind, arch, status, COUNT(*) AS count, CAST(COALESCE(SUM(estimate_secs), 0) AS BIGINT) AS known_secs,
             COUNT(*) - COUNT(estimate_secs) AS unknown_count,
             MAX(CASE WHEN estimate_secs > chain_secs THEN estimate_secs ELSE chain_secs END) AS longest_secs
         FROM task WHERE build_id = $1 AND release_id IS NULL
         GROUP BY kind, arch, status
         ORDER BY kind, arch, status",
    )
    .bind(build.0)
    .fetch_all(connection)
    .await?;
    let standing = rows.iter().map(|row| {
        Ok(Standing {
            kind: row.word("kind", Kind::from_name)?,
            arch: row.maybe_parsed("arch")?,
            status: row.word("status", Status::from_name)?,
            count: row.int("count")?.try_into().unwrap_or_default(),
            known_secs: row.int("known_secs")?,
            unknown_count: row.int("unknown_count")?,
            longest_secs: row.int("longest_secs")?,
        })
    });
    standing.collect()
}

/// Changes the bounds; `verb` says what was done: `paused`, `resumed`, `limited`.
pub async fn set(write: &mut Write, row: &Rebuild, verb: &'static str, message: String) -> Result<()> {
    sqlx::query("UPDATE rebuild SET is_paused = $2, task_limit = $3 WHERE build_id = $1")
        .bind(row.build.0)
        .bind(i64::from(row.is_paused))
        .bind(row.limit.map(i64::from))
        .execute(&mut **write)
        .await?;
    let new = NewEvent { noun: "build", verb, build: Some(row.build), message, ..NewEvent::default() };
    event::record(write, new).await.map(drop)
}

fn from_row(row: &AnyRow) -> Result<Rebuild> {
    Ok(Rebuild {
        build: BuildId(row.int("build_id")?),
        is_paused: row.flag("is_paused")?,
        limit: row.maybe_int("task_limit")?.map(|limit| limit.try_into().unwrap_or(u32::MAX)),
    })
}

#[cfg(test)]
mod tests {
    use anima_types::id::EventId;

    use super::*;
    use crate::{
        task,
        testing::{Scratch, build, build_task},
    };

    #[tokio::test]
    async fn the_bounds_of_a_rebuild_are_as_they_were_last_said_and_each_change_is_an_event() {
        let scratch = Scratch::new().await;
        let mut write = scratch.write().await;
        let (plain, id) = (build(&mut write).await, build(&mut write).await);
        let row = Rebuild { build: id, is_paused: true, limit: None };
        insert(&mut write, &row).await.unwrap();
        let changed = Rebuild { is_paused: false, limit: Some(4), ..row };
        set(&mut write, &changed, "resumed", "It goes on.".into()).await.unwrap();

        assert_eq!(find(&mut write, id).await.unwrap(), Some(changed));
        assert_eq!(find(&mut write, plain).await.unwrap(), None);
        assert!(matches!(get(&mut write, plain).await, Err(Error::Missing { .. })));
        assert_eq!(list(&mut write, None, 9).await.unwrap(), [changed]);
        assert_eq!(list(&mut write, Some(id), 9).await.unwrap(), []);
        let events = event::list(&mut write, EventId(0), Some(id), 9).await.unwrap();
        let last = events.last().unwrap();
        assert_eq!((last.noun.as_str(), last.verb.as_str(), last.status.as_deref()), ("build", "resumed", None));
    }

    #[tokio::test]
    async fn the_tasks_of_a_rebuild_are_added_up_by_where_they_stand() {
        let scratch = Scratch::new().await;
        let mut write = scratch.write().await;
        let id = build(&mut write).await;
        let (known, chain) =
            (build_task(&mut write, id, "a", Arch::X86_64).await, build_task(&mut write, id, "b", Arch::X86_64).await);
        build_task(&mut write, id, "c", Arch::X86_64).await;
        build_task(&mut write, id, "c", Arch::Aarch64).await;
        task::set_estimates(&mut write, &[(known, Some(70), 0), (chain, Some(20), 90)]).await.unwrap();

        let standing = standing(&mut write, id).await.unwrap();

        let of = |arch, count, known_secs, unknown_count, longest_secs| Standing {
            kind: Kind::Build,
            arch: Some(arch),
            status: Status::Waiting,
            count,
            known_secs,
            unknown_count,
            longest_secs,
        };
        assert_eq!(standing, [of(Arch::Aarch64, 1, 0, 1, 0), of(Arch::X86_64, 3, 90, 1, 90)]);
    }
}
