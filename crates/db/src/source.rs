//! Sources of builds: which commit of which package.

use std::collections::BTreeMap;

use anima_types::{
    Timestamp,
    build::{Options, Source, Status},
    id::BuildId,
    task,
    work::Outcome,
};
use sqlx::any::AnyRow;

use crate::{Connection, Error, Result, Write, many, row::Columns};

/// Writes sources of a build; a build has each package once.
pub async fn insert_all(write: &mut Write, build: BuildId, sources: &[Source]) -> Result<()> {
    const COLUMNS: usize = 4;
    for piece in many::pieces(sources) {
        let rows = many::rows(piece.len(), COLUMNS, 0);
        let sql = format!("INSERT INTO source (build_id, package, reference, commit_id) VALUES {rows}");
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for source in piece {
            query = query.bind(build.0).bind(&source.package).bind(&source.reference).bind(&source.commit);
        }
        let named = || piece.iter().map(|source| source.package.as_str()).collect::<Vec<_>>().join(", ");
        query.execute(&mut **write).await.map_err(|error| Error::taken(error, "source", named()))?;
    }
    Ok(())
}

/// Returns a build's source of a package, and how the build differs from others.
pub async fn find(connection: &mut Connection, build: BuildId, package: &str) -> Result<Option<(Source, Options)>> {
    let row = sqlx::query(
        "SELECT source.*, build.options FROM source JOIN build ON build.id = source.build_id
         WHERE source.build_id = $1 AND source.package = $2",
    )
    .bind(build.0)
    .bind(package)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(|row| Ok((from_row(row)?, row.json("options")?))).transpose()
}

/// Returns, of each package on a platform, the source that its newest source package was made of.
pub async fn last_made(connection: &mut Connection, platform: &str) -> Result<BTreeMap<String, Source>> {
    // Indices: task_queue, and then the primary keys.
    let rows = sqlx::query(
        "SELECT source.package, source.reference, source.commit_id FROM task
         JOIN (SELECT MAX(id) AS id FROM task
               WHERE status = $1 AND kind = $2 AND platform = $3 AND package IS NOT NULL
               GROUP BY package) AS newest ON newest.id = task.id
         JOIN source ON source.build_id = task.build_id AND source.package = task.package",
    )
    .bind(task::Status::Succeeded.name())
    .bind(task::Kind::Src.name())
    .bind(platform)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((row.text("package")?, from_row(row)?))).collect()
}

/// Returns what [`find`] does for many packages of builds at once, by build and package.
pub async fn find_all(
    connection: &mut Connection,
    packages: &[(BuildId, &str)],
) -> Result<BTreeMap<(BuildId, String), (Source, Options)>> {
    const COLUMNS: usize = 2;
    let mut found = BTreeMap::new();
    for piece in many::pieces(packages) {
        let sql = format!(
            "SELECT source.*, build.options FROM (VALUES {}) AS wanted
             JOIN source ON source.build_id = wanted.column1 AND source.package = wanted.column2
             JOIN build ON build.id = source.build_id",
            many::rows(piece.len(), COLUMNS, 0)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for (build, package) in piece {
            query = query.bind(build.0).bind(*package);
        }
        for row in query.fetch_all(&mut *connection).await? {
            let source = from_row(&row)?;
            found.insert((BuildId(row.int("build_id")?), source.package.clone()), (source, row.json("options")?));
        }
    }
    Ok(found)
}

/// Returns a build's sources by name.
pub async fn list(connection: &mut Connection, build: BuildId) -> Result<Vec<Source>> {
    let rows = sqlx::query("SELECT * FROM source WHERE build_id = $1 ORDER BY package")
        .bind(build.0)
        .fetch_all(connection)
        .await?;
    rows.iter().map(from_row).collect()
}

/// Returns how many sources a build has.
pub async fn count(connection: &mut Connection, build: BuildId) -> Result<usize> {
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM source WHERE build_id = $1")
        .bind(build.0)
        .fetch_one(connection)
        .await?;
    Ok(count.try_into().unwrap_or_default())
}

/// A package with its newest build, as lists show it.
#[derive(Clone, Debug, PartialEq)]
pub struct Newest {
    /// The package.
    pub package: String,
    /// Its newest build.
    pub build: BuildId,
    /// Where that stands.
    pub status: Status,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What its `src` task said, once it has.
    pub made: Option<Outcome>,
}

/// Returns all packages that were ever built or pushed, by name, each with its newest build.
pub async fn newest(connection: &mut Connection) -> Result<Vec<Newest>> {
    // Indices: source_package, task_package.
    let rows = sqlx::query(
        "SELECT newest.package, newest.build_id, build.status, build.created_at, build.ended_at, task.result
         FROM (SELECT package, MAX(build_id) AS build_id FROM source GROUP BY package) AS newest
         JOIN build ON build.id = newest.build_id
         LEFT JOIN task ON task.package = newest.package AND task.kind = 'src' AND task.status = 'succeeded'
              AND task.build_id = newest.build_id
         ORDER BY newest.package, task.id",
    )
    .fetch_all(connection)
    .await?;
    let mut all: Vec<Newest> = Vec::with_capacity(rows.len());
    for row in &rows {
        let package = row.text("package")?;
        // A package that is built for several platforms has a task for each; the first tells.
        if all.last().is_some_and(|last| last.package == package) {
            continue;
        }
        all.push(Newest {
            package,
            build: BuildId(row.int("build_id")?),
            status: row.word("status", Status::from_name)?,
            created_at: row.time("created_at")?,
            ended_at: row.maybe_time("ended_at")?,
            made: row.maybe_json("result")?,
        });
    }
    Ok(all)
}

fn from_row(row: &AnyRow) -> Result<Source> {
    Ok(Source { package: row.text("package")?, reference: row.text("reference")?, commit: row.text("commit_id")? })
}
