//! What is searched for everywhere: builds, source packages, the packages that users see, accounts. Each answer has a bound, and a
//! text is looked for in small letters.

use anima_types::{
    account::Account,
    id::{BuildId, RepositoryId},
};

use crate::{
    Connection, Result, account,
    build::{self, Build},
    many,
    package_search::{Candidate, candidate},
    row::Columns,
};

/// A source package.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FoundPackage {
    /// Its name.
    pub name: String,
    /// Its newest build.
    pub build: BuildId,
}

/// Where users see a package.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shown {
    /// The package.
    pub sha256: String,
    /// The repository.
    pub repository: RepositoryId,
    /// Its address within `/repos`.
    pub address: String,
}

/// That users see a package in some repository now.
macro_rules! seen {
    () => {
        "EXISTS (SELECT 1 FROM snapshot_package JOIN repository ON repository.id = snapshot_package.repository_id
             WHERE snapshot_package.sha256 = package.sha256 AND since <= repository.current
               AND (until IS NULL OR until > repository.current))"
    };
}

/// Returns the builds that somebody asked for, the newest first.
pub async fn builds_of_owner(connection: &mut Connection, owner: &str, limit: u32) -> Result<Vec<Build>> {
    // Index: build_owner.
    let query = sqlx::query("SELECT * FROM build WHERE owner = $1 ORDER BY id DESC LIMIT $2");
    let rows = query.bind(owner).bind(i64::from(limit)).fetch_all(connection).await?;
    rows.iter().map(build::from_row).collect()
}

/// Returns the builds of commits that begin so, the newest first.
pub async fn builds_of_commit(connection: &mut Connection, begin: &str, limit: u32) -> Result<Vec<Build>> {
    // Index: source_commit. Behind all commits that begin so: "g" comes after the last of their digits.
    let query = sqlx::query(
        "SELECT * FROM build WHERE id IN (SELECT build_id FROM source WHERE commit_id >= $1 AND commit_id < $2)
         ORDER BY id DESC LIMIT $3",
    );
    let query = query.bind(begin).bind(format!("{begin}g")).bind(i64::from(limit));
    query.fetch_all(connection).await?.iter().map(build::from_row).collect()
}

/// Returns source packages with the text in their names: first the one of that name, then those that begin so.
pub async fn packages(connection: &mut Connection, text: &str, limit: u32) -> Result<Vec<FoundPackage>> {
    // Index: source_package, which has all that is asked for.
    let query = sqlx::query(
        "SELECT package, MAX(build_id) AS build_id FROM source
         WHERE replace(lower(package), $1, '') <> lower(package)
         GROUP BY package
         ORDER BY CASE WHEN lower(package) = $1 THEN 0 WHEN substr(lower(package), 1, length($1)) = $1 THEN 1 ELSE 2 END,
             package
         LIMIT $2",
    );
    let rows = query.bind(text).bind(i64::from(limit)).fetch_all(connection).await?;
    rows.iter()
        .map(|row| Ok(FoundPackage { name: row.text("package")?, build: BuildId(row.int("build_id")?) }))
        .collect()
}

/// Returns packages that users see and that have the text in their name with version, in their summary, or in what they provide:
/// first those of that name, then those that begin so. People leave the epoch out, as names of files do. `text` has small letters, `provided` is as it was typed.
pub async fn rpms(connection: &mut Connection, text: &str, provided: &str, limit: u32) -> Result<Vec<Candidate>> {
    // Indices: package_search's primary key, snapshot_package_sha256. Both databases tell upper from lower case here.
    let query = sqlx::query(concat!(
        "SELECT package.sha256, package.nevra, summary, words, provides, files FROM package
         LEFT JOIN package_search ON package_search.header_sha256 = package.header_sha256
         WHERE (replace(lower(package.nevra), $1, '') <> lower(package.nevra)
             OR replace(lower(package.file_name), $1, '') <> lower(package.file_name)
             OR replace(words, $1, '') <> words OR replace(provides, $2, '') <> provides)
           AND ",
        seen!(),
        " ORDER BY CASE WHEN lower(package.name) = $1 THEN 0
             WHEN substr(lower(package.file_name), 1, length($1)) = $1 THEN 1 ELSE 2 END,
             package.name, package.nevra
         LIMIT $3",
    ));
    let query = query.bind(text).bind(provided).bind(i64::from(limit));
    query.fetch_all(connection).await?.iter().map(candidate).collect()
}

/// Returns packages that users see, in the order of their hashes after one.
pub async fn seen_after(connection: &mut Connection, after: &str, limit: u32) -> Result<Vec<Candidate>> {
    // Indices: the primary keys, snapshot_package_sha256.
    let query = sqlx::query(concat!(
        "SELECT package.sha256, package.nevra, summary, words, provides, files FROM package
         LEFT JOIN package_search ON package_search.header_sha256 = package.header_sha256
         WHERE package.sha256 > $1 AND ",
        seen!(),
        " ORDER BY package.sha256 LIMIT $2",
    ));
    query.bind(after).bind(i64::from(limit)).fetch_all(connection).await?.iter().map(candidate).collect()
}

/// Returns in which repositories users see packages.
pub async fn shown(connection: &mut Connection, packages: &[String]) -> Result<Vec<Shown>> {
    let mut shown = Vec::new();
    for piece in many::pieces(packages) {
        // Index: snapshot_package_sha256.
        let sql = format!(
            "SELECT snapshot_package.sha256, repository.id, repository.product, repository.path FROM snapshot_package
             JOIN repository ON repository.id = snapshot_package.repository_id
             WHERE snapshot_package.sha256 IN ({}) AND since <= repository.current
               AND (until IS NULL OR until > repository.current)
             ORDER BY repository.id",
            many::list(piece.len(), 0)
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for row in &piece.iter().fold(query, |query, one| query.bind(one)).fetch_all(&mut *connection).await? {
            shown.push(Shown {
                sha256: row.text("sha256")?,
                repository: RepositoryId(row.int("id")?),
                address: format!("{}/{}", row.text("product")?, row.text("path")?),
            });
        }
    }
    Ok(shown)
}

/// Returns accounts with the text in their names, or in their names for people.
pub async fn accounts(connection: &mut Connection, text: &str, limit: u32) -> Result<Vec<Account>> {
    let query = sqlx::query(
        "SELECT * FROM account
         WHERE replace(lower(name), $1, '') <> lower(name) OR replace(lower(title), $1, '') <> lower(title)
         ORDER BY CASE WHEN lower(name) = $1 THEN 0 ELSE 1 END, name LIMIT $2",
    );
    let rows = query.bind(text).bind(i64::from(limit)).fetch_all(connection).await?;
    rows.iter().map(account::from_row).collect()
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
