//! What packages are searched by. It is computed from their headers when they come; one that has no row yet can be found all
//! the same, by looking into it.

use anima_types::{Nevra, Sha256, id::RepositoryId};
use sqlx::any::AnyRow;

use crate::{
    Connection, Result, Write,
    package::{self, Package},
    row::Columns,
};

/// A row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Searchable {
    /// What it is for, in a line.
    pub summary: String,
    /// Its name and that, in lower case.
    pub words: String,
    /// What it provides, one a line.
    pub provides: String,
    /// Which triples of bytes are in its paths, as the master writes it.
    pub files: String,
}

/// A package of a snapshot that may be what is searched for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Candidate {
    /// The artifact.
    pub sha256: Sha256,
    /// The package.
    pub nevra: Nevra,
    /// What it is searched by; none where that was not computed yet.
    pub searchable: Option<Searchable>,
}

/// A column that has the text itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Column {
    /// Name and summary.
    Words,
    /// What it provides.
    Provides,
}

/// The packages of a snapshot with their rows.
macro_rules! select {
    ($condition:literal, $end:literal) => {
        concat!(
            "SELECT package.sha256, package.nevra, summary, words, provides, files FROM snapshot_package
             JOIN package ON package.sha256 = snapshot_package.sha256
             LEFT JOIN package_search ON package_search.header_sha256 = package.header_sha256
             WHERE repository_id = $1 AND since <= $2 AND (until IS NULL OR until > $2) ",
            $condition,
            " ORDER BY package.name, package.nevra ",
            $end
        )
    };
}

/// Writes what a package is searched by; twice is once.
pub async fn insert(write: &mut Write, header: Sha256, row: &Searchable) -> Result<()> {
    sqlx::query(
        "INSERT INTO package_search (header_sha256, summary, words, provides, files) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (header_sha256) DO NOTHING",
    )
    .bind(header.to_string())
    .bind(&row.summary)
    .bind(&row.words)
    .bind(&row.provides)
    .bind(&row.files)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Returns packages that have no row yet, each header once.
pub async fn missing(connection: &mut Connection, limit: u32) -> Result<Vec<Package>> {
    // Indices: package_header, the primary key of package_search.
    let rows = sqlx::query(
        "SELECT package.* FROM package WHERE package.sha256 IN (
             SELECT MIN(package.sha256) FROM package
             LEFT JOIN package_search ON package_search.header_sha256 = package.header_sha256
             WHERE package_search.header_sha256 IS NULL
             GROUP BY package.header_sha256
             LIMIT $1)",
    )
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    rows.iter().map(package::from_row).collect()
}

/// Returns the packages of a snapshot whose column has the text, and those that have no row yet, in the order of names.
pub async fn with_text(
    connection: &mut Connection,
    (repository, number): (RepositoryId, i64),
    column: Column,
    text: &str,
    limit: u32,
) -> Result<Vec<Candidate>> {
    // Both databases tell upper from lower case here, and neither takes any character for another.
    let sql = match column {
        Column::Words => select!("AND (summary IS NULL OR replace(words, $3, '') <> words)", "LIMIT $4"),
        Column::Provides => select!("AND (summary IS NULL OR replace(provides, $3, '') <> provides)", "LIMIT $4"),
    };
    let query = sqlx::query(sql).bind(repository.0).bind(number).bind(text).bind(i64::from(limit));
    query.fetch_all(connection).await?.iter().map(candidate).collect()
}

/// Returns all packages of a snapshot, in the order of names.
pub async fn all(connection: &mut Connection, (repository, number): (RepositoryId, i64)) -> Result<Vec<Candidate>> {
    let rows = sqlx::query(select!("", "")).bind(repository.0).bind(number).fetch_all(connection).await?;
    rows.iter().map(candidate).collect()
}

pub(crate) fn candidate(row: &AnyRow) -> Result<Candidate> {
    let searchable = match row.maybe_text("summary")? {
        None => None,
        Some(summary) => Some(Searchable {
            summary,
            words: row.text("words")?,
            provides: row.text("provides")?,
            files: row.text("files")?,
        }),
    };
    Ok(Candidate { sha256: row.parsed("sha256")?, nevra: row.parsed("nevra")?, searchable })
}
