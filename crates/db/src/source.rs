//! Sources of builds: which commit of which package.

use anima_types::{build::Source, id::BuildId};
use sqlx::any::AnyRow;

use crate::{Connection, Error, Result, Write, row::Columns};

/// Writes a source of a build; a build has each package once.
pub async fn insert(write: &mut Write, build: BuildId, source: &Source) -> Result<()> {
    sqlx::query("INSERT INTO source (build_id, package, reference, commit_id) VALUES ($1, $2, $3, $4)")
        .bind(build.0)
        .bind(&source.package)
        .bind(&source.reference)
        .bind(&source.commit)
        .execute(&mut **write)
        .await
        .map_err(|error| Error::taken(error, "source", &source.package))?;
    Ok(())
}

/// Returns a build's sources by name.
pub async fn list(connection: &mut Connection, build: BuildId) -> Result<Vec<Source>> {
    let rows = sqlx::query("SELECT * FROM source WHERE build_id = $1 ORDER BY package")
        .bind(build.0)
        .fetch_all(connection)
        .await?;
    rows.iter().map(from_row).collect()
}

/// Returns the names of all packages that were ever built or pushed, with the newest build of each.
pub async fn newest_builds(connection: &mut Connection) -> Result<Vec<(String, BuildId)>> {
    // Index: source_package.
    let rows = sqlx::query("SELECT package, MAX(build_id) AS build_id FROM source GROUP BY package ORDER BY package")
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok((row.text("package")?, BuildId(row.int("build_id")?)))).collect()
}

fn from_row(row: &AnyRow) -> Result<Source> {
    Ok(Source { package: row.text("package")?, reference: row.text("reference")?, commit: row.text("commit_id")? })
}
