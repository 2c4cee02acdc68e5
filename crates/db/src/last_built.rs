//! What the last builds of packages gave: what the next order goes by, beside what source packages say of themselves.

use std::collections::BTreeMap;

use anima_types::{
    Sha256,
    task::{Kind, Status},
    work::Outcome,
};
use sqlx::any::AnyRow;

use crate::{Connection, Result, many, row::Columns, task::Query};

/// A binary package.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Binary {
    /// The source package.
    pub package: String,
    /// The artifact.
    pub sha256: Sha256,
    /// What it provides, one a line, and which triples of bytes are in its paths; none where that was not computed yet.
    pub searchable: Option<(String, String)>,
}

/// The newest build tasks of packages on a platform that succeeded, one for each architecture; `$4` and on are the packages.
macro_rules! newest {
    () => {
        "SELECT id, package, result FROM (
             SELECT id, package, result, ROW_NUMBER() OVER (PARTITION BY package, arch ORDER BY id DESC) AS place
             FROM task
             WHERE kind = $1 AND status = $2 AND platform = $3 AND package IN ({})) AS built
         WHERE place = 1"
    };
}

/// Returns the binary packages that the last builds of packages on a platform made.
pub async fn binaries(connection: &mut Connection, packages: &[&str], platform: &str) -> Result<Vec<Binary>> {
    let mut binaries = Vec::new();
    for piece in many::pieces(packages) {
        // Indices: task_package, the primary keys of task_artifact, package and package_search.
        let newest = format!(newest!(), many::list(piece.len(), 3));
        let sql = format!(
            "SELECT DISTINCT newest.package, package.sha256, provides, files FROM ({newest}) AS newest
             JOIN task_artifact ON task_artifact.task_id = newest.id
             JOIN package ON package.sha256 = task_artifact.sha256
             LEFT JOIN package_search ON package_search.header_sha256 = package.header_sha256
             WHERE is_source = 0
             ORDER BY newest.package, package.sha256"
        );
        let rows = of_platform(sqlx::query(sqlx::AssertSqlSafe(sql)), piece, platform).fetch_all(&mut *connection);
        for row in &rows.await? {
            binaries.push(binary(row)?);
        }
    }
    Ok(binaries)
}

/// Returns the binary packages of source packages that users of a product see.
pub async fn released(connection: &mut Connection, sources: &[&str], product: &str) -> Result<Vec<Binary>> {
    let mut binaries = Vec::new();
    for piece in many::pieces(sources) {
        // Indices: package_source, snapshot_package_sha256, the primary keys of repository and package_search.
        let sql = format!(
            "SELECT DISTINCT package.source AS package, package.sha256, provides, files FROM package
             JOIN snapshot_package ON snapshot_package.sha256 = package.sha256
             JOIN repository ON repository.id = snapshot_package.repository_id
             LEFT JOIN package_search ON package_search.header_sha256 = package.header_sha256
             WHERE package.source IN ({}) AND is_source = 0 AND repository.product = $1
               AND since <= repository.current AND (until IS NULL OR until > repository.current)
             ORDER BY package.source, package.sha256",
            many::list(piece.len(), 1)
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(product);
        for source in piece {
            query = query.bind(*source);
        }
        for row in &query.fetch_all(&mut *connection).await? {
            binaries.push(binary(row)?);
        }
    }
    Ok(binaries)
}

/// Returns what the sources of packages asked for in their last builds on a platform beyond what the source package says;
/// nothing for packages that asked for nothing.
pub async fn dynamic_requires(
    connection: &mut Connection,
    packages: &[&str],
    platform: &str,
) -> Result<BTreeMap<String, Vec<String>>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for piece in many::pieces(packages) {
        // Index: task_package.
        let sql = format!(newest!(), many::list(piece.len(), 3));
        let rows = of_platform(sqlx::query(sqlx::AssertSqlSafe(sql)), piece, platform).fetch_all(&mut *connection);
        for row in &rows.await? {
            if let Some(Outcome::Build(made)) = row.maybe_json("result")?
                && !made.dynamic_requires.is_empty()
            {
                let of_package = all.entry(row.text("package")?).or_default();
                of_package.extend(made.dynamic_requires);
                of_package.sort_unstable();
                of_package.dedup();
            }
        }
    }
    Ok(all)
}

fn of_platform<'a>(query: Query<'a>, packages: &[&'a str], platform: &'a str) -> Query<'a> {
    let query = query.bind(Kind::Build.name()).bind(Status::Succeeded.name()).bind(platform);
    packages.iter().fold(query, |query, package| query.bind(*package))
}

fn binary(row: &AnyRow) -> Result<Binary> {
    let searchable = match row.maybe_text("provides")? {
        None => None,
        Some(provides) => Some((provides, row.text("files")?)),
    };
    Ok(Binary { package: row.text("package")?, sha256: row.parsed("sha256")?, searchable })
}
