//! Repositories of products, and which snapshot of each users see.

use anima_types::{
    Arch,
    id::RepositoryId,
    repository::{Kind, Repository},
};
use sqlx::any::AnyRow;

use crate::{Connection, Error, Result, Write, row::Columns};

/// Writes a repository that has no snapshot yet.
pub async fn insert(
    write: &mut Write,
    product: &str,
    path: &str,
    kind: Kind,
    arch: Option<Arch>,
) -> Result<RepositoryId> {
    let id: i64 =
        sqlx::query_scalar("INSERT INTO repository (product, path, kind, arch) VALUES ($1, $2, $3, $4) RETURNING id")
            .bind(product)
            .bind(path)
            .bind(kind.name())
            .bind(arch.map(Arch::name))
            .fetch_one(&mut **write)
            .await
            .map_err(|error| Error::taken(error, "repository", path))?;
    Ok(RepositoryId(id))
}

/// Returns a repository.
pub async fn get(connection: &mut Connection, id: RepositoryId) -> Result<Repository> {
    let row = sqlx::query(
        "SELECT repository.*, COALESCE(snapshot.package_count, 0) AS package_count
         FROM repository
         LEFT JOIN snapshot ON snapshot.repository_id = repository.id AND snapshot.number = repository.current
         WHERE repository.id = $1",
    )
    .bind(id.0)
    .fetch_optional(connection)
    .await?;
    from_row(&row.ok_or_else(|| Error::missing("repository", id))?)
}

/// Returns the repository at an address within a product.
pub async fn find(connection: &mut Connection, product: &str, path: &str) -> Result<Option<Repository>> {
    let row = sqlx::query(
        "SELECT repository.*, COALESCE(snapshot.package_count, 0) AS package_count
         FROM repository
         LEFT JOIN snapshot ON snapshot.repository_id = repository.id AND snapshot.number = repository.current
         WHERE repository.product = $1 AND repository.path = $2",
    )
    .bind(product)
    .bind(path)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(from_row).transpose()
}

/// Returns the repositories of a product, or of all, in the order in which they were made.
pub async fn list(connection: &mut Connection, product: Option<&str>) -> Result<Vec<Repository>> {
    let rows = sqlx::query(
        "SELECT repository.*, COALESCE(snapshot.package_count, 0) AS package_count
         FROM repository
         LEFT JOIN snapshot ON snapshot.repository_id = repository.id AND snapshot.number = repository.current
         WHERE ($1 = '' OR repository.product = $1)
         ORDER BY repository.id",
    )
    .bind(product.unwrap_or_default())
    .fetch_all(connection)
    .await?;
    rows.iter().map(from_row).collect()
}

/// Lets users see another snapshot, if they still see the one that the caller saw.
pub async fn set_current(write: &mut Write, id: RepositoryId, from: i64, to: i64) -> Result<()> {
    let updated = sqlx::query("UPDATE repository SET current = $3 WHERE id = $1 AND current = $2")
        .bind(id.0)
        .bind(from)
        .bind(to)
        .execute(&mut **write)
        .await?;
    if updated.rows_affected() == 0 {
        return Err(Error::Conflict { noun: "repository", id: id.0, status: "at the snapshot that was seen" });
    }
    Ok(())
}

/// Returns the addresses of all repositories in which users find a binary package of this source package now.
pub async fn holding_source(connection: &mut Connection, source: &str) -> Result<Vec<String>> {
    // Indices: package_source, snapshot_package_sha256.
    let rows = sqlx::query(
        "SELECT DISTINCT repository.id, repository.product, repository.path
         FROM package
         JOIN snapshot_package ON snapshot_package.sha256 = package.sha256
         JOIN repository ON repository.id = snapshot_package.repository_id
         WHERE package.source = $1
           AND snapshot_package.since <= repository.current
           AND (snapshot_package.until IS NULL OR snapshot_package.until > repository.current)
         ORDER BY repository.id",
    )
    .bind(source)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok(format!("{}/{}", row.text("product")?, row.text("path")?))).collect()
}

fn from_row(row: &AnyRow) -> Result<Repository> {
    Ok(Repository {
        id: RepositoryId(row.int("id")?),
        product: row.text("product")?,
        path: row.text("path")?,
        kind: row.word("kind", Kind::from_name)?,
        arch: row.maybe_text("arch")?,
        current: row.int("current")?,
        package_count: row.int("package_count")?,
    })
}
