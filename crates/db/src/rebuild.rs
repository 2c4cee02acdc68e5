//! Mass rebuilds: how the builds that are some are held in bounds.

use anima_types::{id::BuildId, task::Status};
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

/// Returns mass rebuilds, the newest first, at most `limit`.
pub async fn list(connection: &mut Connection, limit: u32) -> Result<Vec<Rebuild>> {
    let rows = sqlx::query("SELECT * FROM rebuild ORDER BY build_id DESC LIMIT $1")
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    rows.iter().map(from_row).collect()
}

/// Returns how many tasks of a build are ready or leased.
pub async fn count_open(connection: &mut Connection, build: BuildId) -> Result<u64> {
    // Index: task_build_status.
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM task WHERE build_id = $1 AND status IN ($2, $3)")
        .bind(build.0)
        .bind(Status::Ready.name())
        .bind(Status::Leased.name())
        .fetch_one(connection)
        .await?;
    Ok(count.try_into().unwrap_or_default())
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
    use crate::testing::{Scratch, build};

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
        assert_eq!(list(&mut write, 9).await.unwrap(), [changed]);
        let events = event::list(&mut write, EventId(0), Some(id), 9).await.unwrap();
        let last = events.last().unwrap();
        assert_eq!((last.noun.as_str(), last.verb.as_str(), last.status.as_deref()), ("build", "resumed", None));
    }
}
