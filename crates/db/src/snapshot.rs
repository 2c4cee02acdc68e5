//! Snapshots: immutable states of repositories.
//!
//! A package's row says since which snapshot of the repository it is in and until which, so that a snapshot costs
//! as much as changed, not as much as there is. After a release was taken back, the next snapshot is made from an
//! older one; that is why a snapshot knows its base.

use anima_types::{
    Nevra, Sha256,
    id::{ReleaseId, RepositoryId},
    repository::{RepositoryPackage, Snapshot},
};
use sqlx::any::AnyRow;

use crate::{
    Connection, Result, Write,
    package::{self, Package},
    row::Columns,
};

/// Questions about one package of many. `CROSS JOIN` has SQLite begin with the package, by package_nevra or package_file_name, and
/// go on by its hash ([SQLite's rule](https://sqlite.org/optoverview.html#manual_control_of_query_plans_using_cross_join));
/// by itself it would look at all that the repository has. To PostgreSQL it is a join like others.
const OF_NEVRA: &str = "SELECT package.sha256, package.nevra, package.source, package.header_sha256
     FROM package CROSS JOIN snapshot_package
     WHERE package.nevra = $3 AND snapshot_package.sha256 = package.sha256
       AND repository_id = $1 AND since <= $2 AND (until IS NULL OR until > $2)";
const FIND_PACKAGE: &str = "SELECT package.sha256 FROM package CROSS JOIN snapshot_package
     WHERE package.file_name = $3 AND snapshot_package.sha256 = package.sha256
       AND repository_id = $1 AND since <= $2 AND (until IS NULL OR until > $2)
     LIMIT 1";
const FIND_PACKAGE_EVER: &str = "SELECT package.sha256 FROM package CROSS JOIN snapshot_package
     WHERE package.file_name = $2 AND snapshot_package.sha256 = package.sha256 AND repository_id = $1
     ORDER BY since DESC
     LIMIT 1";

/// A snapshot that is about to be written.
#[derive(Clone, Debug)]
pub struct NewSnapshot {
    /// The repository.
    pub repository: RepositoryId,
    /// The snapshot that it was made from; 0 for none.
    pub base: i64,
    /// The release that makes it.
    pub release: ReleaseId,
    /// The packages that come to what the base has.
    pub added: Vec<Sha256>,
    /// The packages of the base that go.
    pub removed: Vec<Sha256>,
    /// The files of its metadata: path under the repository, and artifact.
    pub files: Vec<(String, Sha256)>,
    /// How the first of these are laid out, where that is known.
    pub layout: Option<Sha256>,
}

/// Writes a snapshot and returns its number. Users do not see it by that.
pub async fn insert(write: &mut Write, new: &NewSnapshot) -> Result<i64> {
    let repository = new.repository.0;
    let newest: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(number), 0) FROM snapshot WHERE repository_id = $1")
        .bind(repository)
        .fetch_one(&mut **write)
        .await?;
    let number = newest + 1;
    if newest != new.base {
        go_back(write, new.repository, new.base, number).await?;
    }
    let difference = change(write, new, number).await?;
    let base_count: Option<i64> =
        sqlx::query_scalar("SELECT package_count FROM snapshot WHERE repository_id = $1 AND number = $2")
            .bind(repository)
            .bind(new.base)
            .fetch_optional(&mut **write)
            .await?;
    sqlx::query(
        "INSERT INTO snapshot (repository_id, number, base, release_id, package_count, created_at, layout)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(repository)
    .bind(number)
    .bind(new.base)
    .bind(new.release.0)
    .bind(base_count.unwrap_or(0) + difference)
    .bind(write.now.0)
    .bind(new.layout.map(|layout| layout.to_string()))
    .execute(&mut **write)
    .await?;
    for (path, sha256) in &new.files {
        sqlx::query("INSERT INTO snapshot_file (repository_id, number, path, sha256) VALUES ($1, $2, $3, $4)")
            .bind(repository)
            .bind(number)
            .bind(path)
            .bind(sha256.to_string())
            .execute(&mut **write)
            .await?;
    }
    Ok(number)
}

/// Lets the snapshot `number`, which comes next, have what `base` had: releases since then were taken back.
async fn go_back(write: &mut Write, repository: RepositoryId, base: i64, number: i64) -> Result<()> {
    sqlx::query("UPDATE snapshot_package SET until = $3 WHERE repository_id = $1 AND until IS NULL AND since > $2")
        .bind(repository.0)
        .bind(base)
        .bind(number)
        .execute(&mut **write)
        .await?;
    sqlx::query(
        "INSERT INTO snapshot_package (repository_id, sha256, since)
         SELECT repository_id, sha256, $3 FROM snapshot_package
         WHERE repository_id = $1 AND since <= $2 AND until > $2",
    )
    .bind(repository.0)
    .bind(base)
    .bind(number)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Writes what comes and goes; returns how many packages there are more than before.
async fn change(write: &mut Write, new: &NewSnapshot, number: i64) -> Result<i64> {
    let mut difference = 0;
    for gone in &new.removed {
        let updated = sqlx::query(
            "UPDATE snapshot_package SET until = $3 WHERE repository_id = $1 AND sha256 = $2 AND until IS NULL",
        )
        .bind(new.repository.0)
        .bind(gone.to_string())
        .bind(number)
        .execute(&mut **write)
        .await?;
        difference -= i64::try_from(updated.rows_affected()).unwrap_or(0);
    }
    for come in &new.added {
        let there: Option<i64> = sqlx::query_scalar(
            "SELECT since FROM snapshot_package WHERE repository_id = $1 AND sha256 = $2 AND until IS NULL",
        )
        .bind(new.repository.0)
        .bind(come.to_string())
        .fetch_optional(&mut **write)
        .await?;
        if there.is_none() {
            sqlx::query("INSERT INTO snapshot_package (repository_id, sha256, since) VALUES ($1, $2, $3)")
                .bind(new.repository.0)
                .bind(come.to_string())
                .bind(number)
                .execute(&mut **write)
                .await?;
            difference += 1;
        }
    }
    Ok(difference)
}

/// Returns what a plan has to know of all packages of a snapshot; 0 has none.
pub async fn listed(
    connection: &mut Connection,
    repository: RepositoryId,
    number: i64,
) -> Result<Vec<RepositoryPackage>> {
    let rows = sqlx::query(
        "SELECT package.sha256, package.nevra, package.source, package.header_sha256 FROM snapshot_package
         JOIN package ON package.sha256 = snapshot_package.sha256
         WHERE repository_id = $1 AND since <= $2 AND (until IS NULL OR until > $2)
         ORDER BY package.name, package.nevra",
    )
    .bind(repository.0)
    .bind(number)
    .fetch_all(connection)
    .await?;
    rows.iter().map(listed_row).collect()
}

/// Returns the packages of a snapshot that have this NEVRA.
pub async fn of_nevra(
    connection: &mut Connection,
    repository: RepositoryId,
    number: i64,
    nevra: &Nevra,
) -> Result<Vec<RepositoryPackage>> {
    let rows =
        sqlx::query(OF_NEVRA).bind(repository.0).bind(number).bind(nevra.to_string()).fetch_all(connection).await?;
    rows.iter().map(listed_row).collect()
}

pub(crate) fn listed_row(row: &AnyRow) -> Result<RepositoryPackage> {
    Ok(RepositoryPackage {
        nevra: row.parsed("nevra")?,
        artifact: row.parsed("sha256")?,
        source: row.text("source")?,
        header_sha256: Some(row.parsed("header_sha256")?),
    })
}

/// Returns the packages that those of a snapshot were made from, as they were before anybody here signed them.
pub async fn originals(
    connection: &mut Connection,
    repository: RepositoryId,
    number: i64,
) -> Result<Vec<RepositoryPackage>> {
    // Index: signed_package_signed.
    let rows = sqlx::query(
        "SELECT snapshot_package.sha256 AS there, package.sha256, package.nevra, package.source, package.header_sha256
         FROM snapshot_package
         LEFT JOIN signed_package ON signed_package.signed = snapshot_package.sha256
         JOIN package ON package.sha256 = COALESCE(signed_package.sha256, snapshot_package.sha256)
         WHERE repository_id = $1 AND since <= $2 AND (until IS NULL OR until > $2)
         ORDER BY package.name, package.nevra, snapshot_package.sha256, signed_package.signed_at, package.sha256",
    )
    .bind(repository.0)
    .bind(number)
    .fetch_all(connection)
    .await?;
    let (mut originals, mut before) = (Vec::with_capacity(rows.len()), None);
    for row in &rows {
        // Two files that become one by a signature are the same package: the first of them is meant.
        let there = row.text("there")?;
        if before.as_ref() != Some(&there) {
            originals.push(listed_row(row)?);
        }
        before = Some(there);
    }
    Ok(originals)
}

/// How the metadata of a snapshot is laid out, and its files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Metadata {
    /// The layout.
    pub layout: Sha256,
    /// The files: path under the repository, and artifact.
    pub files: Vec<(String, Sha256)>,
}

/// Returns the metadata of a snapshot, where its layout is known.
pub async fn metadata(connection: &mut Connection, repository: RepositoryId, number: i64) -> Result<Option<Metadata>> {
    let layout: Option<Option<String>> =
        sqlx::query_scalar("SELECT layout FROM snapshot WHERE repository_id = $1 AND number = $2")
            .bind(repository.0)
            .bind(number)
            .fetch_optional(&mut *connection)
            .await?;
    let Some(layout) = layout.flatten() else { return Ok(None) };
    let files = files(connection, repository, number).await?;
    Ok(Some(Metadata { layout: crate::row::parse("layout", &layout)?, files }))
}

/// Returns the package of that file name in a snapshot.
pub async fn find_package(
    connection: &mut Connection,
    repository: RepositoryId,
    number: i64,
    file_name: &str,
) -> Result<Option<Sha256>> {
    let row =
        sqlx::query(FIND_PACKAGE).bind(repository.0).bind(number).bind(file_name).fetch_optional(connection).await?;
    row.map(|row| row.parsed("sha256")).transpose()
}

/// Returns all files of a snapshot's metadata with their paths.
pub async fn files(
    connection: &mut Connection,
    repository: RepositoryId,
    number: i64,
) -> Result<Vec<(String, Sha256)>> {
    let rows =
        sqlx::query("SELECT path, sha256 FROM snapshot_file WHERE repository_id = $1 AND number = $2 ORDER BY path")
            .bind(repository.0)
            .bind(number)
            .fetch_all(connection)
            .await?;
    rows.iter().map(|row| Ok((row.text("path")?, row.parsed("sha256")?))).collect()
}

/// Returns a file of a snapshot's metadata.
pub async fn find_file(
    connection: &mut Connection,
    repository: RepositoryId,
    number: i64,
    path: &str,
) -> Result<Option<Sha256>> {
    let row = sqlx::query("SELECT sha256 FROM snapshot_file WHERE repository_id = $1 AND number = $2 AND path = $3")
        .bind(repository.0)
        .bind(number)
        .bind(path)
        .fetch_optional(connection)
        .await?;
    row.map(|row| row.parsed("sha256")).transpose()
}

/// Returns the newest package of that file name that a repository ever had: a client that read an older state may still
/// come for it.
pub async fn find_package_ever(
    connection: &mut Connection,
    repository: RepositoryId,
    file_name: &str,
) -> Result<Option<Sha256>> {
    let row = sqlx::query(FIND_PACKAGE_EVER).bind(repository.0).bind(file_name).fetch_optional(connection).await?;
    row.map(|row| row.parsed("sha256")).transpose()
}

/// Returns a file of the metadata of any snapshot. Only for files that are named by their content: all snapshots that
/// have it have the same.
pub async fn find_file_ever(
    connection: &mut Connection,
    repository: RepositoryId,
    path: &str,
) -> Result<Option<Sha256>> {
    let row = sqlx::query(
        "SELECT sha256 FROM snapshot_file WHERE repository_id = $1 AND path = $2 ORDER BY number DESC LIMIT 1",
    )
    .bind(repository.0)
    .bind(path)
    .fetch_optional(connection)
    .await?;
    row.map(|row| row.parsed("sha256")).transpose()
}

/// Returns whether a repository has a snapshot of that number.
pub async fn exists(connection: &mut Connection, repository: RepositoryId, number: i64) -> Result<bool> {
    let found: Option<i64> = sqlx::query_scalar("SELECT number FROM snapshot WHERE repository_id = $1 AND number = $2")
        .bind(repository.0)
        .bind(number)
        .fetch_optional(connection)
        .await?;
    Ok(found.is_some())
}

/// Returns the packages that are in one snapshot and not in another, which may be of another repository.
pub async fn only_in(
    connection: &mut Connection,
    (repository, number): (RepositoryId, i64),
    (other, other_number): (RepositoryId, i64),
) -> Result<Vec<Package>> {
    let rows = sqlx::query(
        "SELECT package.* FROM snapshot_package AS has
         JOIN package ON package.sha256 = has.sha256
         WHERE has.repository_id = $1 AND has.since <= $2 AND (has.until IS NULL OR has.until > $2)
           AND NOT EXISTS (
               SELECT 1 FROM snapshot_package AS had
               WHERE had.repository_id = $3 AND had.sha256 = has.sha256
                 AND had.since <= $4 AND (had.until IS NULL OR had.until > $4))
         ORDER BY package.name, package.nevra",
    )
    .bind(repository.0)
    .bind(number)
    .bind(other.0)
    .bind(other_number)
    .fetch_all(connection)
    .await?;
    rows.iter().map(package::from_row).collect()
}

/// Returns a repository's snapshots, the newest first, with what each changed against its base.
pub async fn list(
    connection: &mut Connection,
    repository: RepositoryId,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<Snapshot>> {
    let rows = sqlx::query(
        "SELECT snapshot.*, repository.current FROM snapshot
         JOIN repository ON repository.id = snapshot.repository_id
         WHERE repository_id = $1 AND number < $2
         ORDER BY number DESC
         LIMIT $3",
    )
    .bind(repository.0)
    .bind(before.unwrap_or(i64::MAX))
    .bind(i64::from(limit))
    .fetch_all(&mut *connection)
    .await?;
    let mut snapshots = Vec::new();
    for row in &rows {
        let (number, base) = (row.int("number")?, row.int("base")?);
        // Against a base that was dropped, everything would be new.
        let is_comparable = base == 0 || exists(connection, repository, base).await?;
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        if is_comparable {
            added = difference(connection, repository, number, base).await?;
            removed = difference(connection, repository, base, number).await?;
        }
        snapshots.push(Snapshot {
            repository,
            number,
            base: if is_comparable { base } else { 0 },
            release: ReleaseId(row.int("release_id")?),
            created_at: row.time("created_at")?,
            package_count: row.int("package_count")?,
            added,
            removed,
            is_current: row.int("current")? == number,
            pin: row.maybe_text("pin")?,
        });
    }
    Ok(snapshots)
}

/// A snapshot that a release made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Made {
    /// The repository.
    pub repository: RepositoryId,
    /// Its address within the product.
    pub path: String,
    /// The snapshot.
    pub number: i64,
    /// What it was made from.
    pub base: i64,
    /// What users see now.
    pub current: i64,
}

/// Returns the snapshots that a release made.
pub async fn of_release(connection: &mut Connection, release: ReleaseId) -> Result<Vec<Made>> {
    // Index: snapshot_release.
    let rows = sqlx::query(
        "SELECT snapshot.*, repository.path, repository.current FROM snapshot
         JOIN repository ON repository.id = snapshot.repository_id
         WHERE release_id = $1
         ORDER BY repository_id, number",
    )
    .bind(release.0)
    .fetch_all(connection)
    .await?;
    rows.iter().map(made).collect()
}

fn made(row: &AnyRow) -> Result<Made> {
    Ok(Made {
        repository: RepositoryId(row.int("repository_id")?),
        path: row.text("path")?,
        number: row.int("number")?,
        base: row.int("base")?,
        current: row.int("current")?,
    })
}

/// Returns the NEVRAs that are in snapshot `a` and not in snapshot `b`.
async fn difference(connection: &mut Connection, repository: RepositoryId, a: i64, b: i64) -> Result<Vec<String>> {
    let rows = sqlx::query(
        "SELECT DISTINCT package.nevra FROM snapshot_package AS has
         JOIN package ON package.sha256 = has.sha256
         WHERE has.repository_id = $1 AND has.since <= $2 AND (has.until IS NULL OR has.until > $2)
           AND NOT EXISTS (
               SELECT 1 FROM snapshot_package AS had
               WHERE had.repository_id = $1 AND had.sha256 = has.sha256
                 AND had.since <= $3 AND (had.until IS NULL OR had.until > $3))
         ORDER BY package.nevra",
    )
    .bind(repository.0)
    .bind(a)
    .bind(b)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| row.text("nevra")).collect()
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
