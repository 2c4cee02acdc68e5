//! How far a build is with one of its targets, without a look at each of its tasks.

use anima_types::{
    Arch,
    id::BuildId,
    task::{Kind, Status},
};

use crate::{Connection, Result, many, row::Columns};

/// Returns the targets of a build's test tasks.
pub async fn tested(connection: &mut Connection, build: BuildId) -> Result<Vec<(String, Arch)>> {
    // Index: task_build_status, where every column of it is said.
    let sql = format!(
        "SELECT platform, arch FROM task
         WHERE build_id = $1 AND kind = $2 AND status IN ({}) AND platform IS NOT NULL AND arch IS NOT NULL",
        many::list(Status::ALL.len(), 2)
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(build.0).bind(Kind::Test.name());
    let query = Status::ALL.iter().fold(query, |query, status| query.bind(status.name()));
    let rows = query.fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.text("platform")?, row.parsed("arch")?))).collect()
}

/// Returns whether all is there that a target's test is of: its own packages, of which there is one at least, and what others build
/// for it because it is noarch.
pub async fn is_built(connection: &mut Connection, build: BuildId, (platform, arch): (&str, Arch)) -> Result<bool> {
    let is_done = |status: &Status| matches!(status, Status::Succeeded | Status::Excluded);
    let undone: Vec<Status> = Status::ALL.into_iter().filter(|status| !is_done(status)).collect();
    // Index: task_build_status. Mostly the first row that is looked at says it.
    let own = "task.arch = $4";
    // Index of the inner part: task_package.
    let elsewhere = "EXISTS (SELECT 1 FROM task AS own
                             WHERE own.package = task.package AND own.kind = $2 AND own.status = $5 AND own.platform = $3
                               AND own.arch = $4 AND +own.build_id = $1)";
    for which in [own, elsewhere] {
        let bound = if which == own { 4 } else { 5 };
        let sql = format!(
            "SELECT task.id FROM task
             WHERE task.build_id = $1 AND task.kind = $2 AND task.platform = $3 AND task.status IN ({}) AND {which} LIMIT 1",
            many::list(undone.len(), bound)
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(build.0).bind(Kind::Build.name());
        let mut query = query.bind(platform).bind(arch.name());
        if which == elsewhere {
            query = query.bind(Status::Excluded.name());
        }
        let query = undone.iter().fold(query, |query, status| query.bind(status.name()));
        if query.fetch_optional(&mut *connection).await?.is_some() {
            return Ok(false);
        }
    }
    let built = sqlx::query(
        "SELECT id FROM task WHERE build_id = $1 AND kind = $2 AND status = $3 AND platform = $4 AND arch = $5 LIMIT 1",
    );
    let built = built.bind(build.0).bind(Kind::Build.name()).bind(Status::Succeeded.name());
    Ok(built.bind(platform).bind(arch.name()).fetch_optional(connection).await?.is_some())
}
