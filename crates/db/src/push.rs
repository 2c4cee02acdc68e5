//! Pushes, so that the same one told twice starts nothing twice.

use anima_types::{id::BuildId, push::Push};

use crate::{Connection, Error, Result, Write};

/// Writes a push and the build that it started or joined.
pub async fn insert(write: &mut Write, push: &Push, build: BuildId) -> Result<()> {
    sqlx::query(
        "INSERT INTO push (package, branch, commit_id, subject, pusher, build_id, at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(&push.package)
    .bind(&push.branch)
    .bind(&push.commit)
    .bind(&push.subject)
    .bind(&push.pusher)
    .bind(build.0)
    .bind(write.now.0)
    .execute(&mut **write)
    .await
    .map_err(|error| Error::taken(error, "push", &push.commit))?;
    Ok(())
}

/// Returns the build of a push that was told before.
pub async fn find(connection: &mut Connection, push: &Push) -> Result<Option<BuildId>> {
    let id: Option<i64> =
        sqlx::query_scalar("SELECT build_id FROM push WHERE package = $1 AND branch = $2 AND commit_id = $3")
            .bind(&push.package)
            .bind(&push.branch)
            .bind(&push.commit)
            .fetch_optional(connection)
            .await?;
    Ok(id.map(BuildId))
}
