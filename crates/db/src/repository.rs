//! Repositories of products, and which snapshot of each users see.

use std::collections::BTreeMap;

use anima_types::{
    Arch,
    id::RepositoryId,
    repository::{Attachment, Compression, Kind, Repository},
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

/// Returns how a repository's metadata is packed.
pub async fn compression(connection: &mut Connection, id: RepositoryId) -> Result<Compression> {
    let row =
        sqlx::query("SELECT compression FROM repository WHERE id = $1").bind(id.0).fetch_optional(connection).await?;
    row.ok_or_else(|| Error::missing("repository", id))?.word("compression", Compression::from_name)
}

/// Writes how a repository's metadata is packed from its next snapshot on.
pub async fn set_compression(write: &mut Write, id: RepositoryId, compression: Compression) -> Result<()> {
    sqlx::query("UPDATE repository SET compression = $2 WHERE id = $1")
        .bind(id.0)
        .bind(compression.name())
        .execute(&mut **write)
        .await?;
    Ok(())
}

/// Writes metadata that a repository has beside that of its packages, in place of what it had of that kind. The artifact
/// has to be there.
pub async fn set_attachment(write: &mut Write, id: RepositoryId, attachment: &Attachment) -> Result<()> {
    remove_attachment(write, id, &attachment.kind).await?;
    sqlx::query(
        "INSERT INTO repository_attachment
             (repository_id, kind, path, sha256, size_bytes, open_sha256, open_size_bytes, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(id.0)
    .bind(&attachment.kind)
    .bind(&attachment.path)
    .bind(attachment.sha256.to_string())
    .bind(i64::try_from(attachment.size_bytes).unwrap_or(i64::MAX))
    .bind(attachment.open_sha256.to_string())
    .bind(i64::try_from(attachment.open_size_bytes).unwrap_or(i64::MAX))
    .bind(write.now.0)
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Takes metadata of a kind away from a repository; returns whether there was any.
pub async fn remove_attachment(write: &mut Write, id: RepositoryId, kind: &str) -> Result<bool> {
    let removed = sqlx::query("DELETE FROM repository_attachment WHERE repository_id = $1 AND kind = $2")
        .bind(id.0)
        .bind(kind)
        .execute(&mut **write)
        .await?;
    Ok(removed.rows_affected() > 0)
}

/// Returns what a repository has beside the metadata of its packages.
pub async fn attachments(connection: &mut Connection, id: RepositoryId) -> Result<Vec<Attachment>> {
    let rows = sqlx::query("SELECT * FROM repository_attachment WHERE repository_id = $1 ORDER BY kind")
        .bind(id.0)
        .fetch_all(connection)
        .await?;
    let attachment = |row: &AnyRow| {
        Ok(Attachment {
            kind: row.text("kind")?,
            path: row.text("path")?,
            sha256: row.parsed("sha256")?,
            size_bytes: row.int("size_bytes")?.unsigned_abs(),
            open_sha256: row.parsed("open_sha256")?,
            open_size_bytes: row.int("open_size_bytes")?.unsigned_abs(),
        })
    };
    rows.iter().map(attachment).collect()
}

/// Returns for all source packages at once in which repositories users find a package of them now.
pub async fn holding_sources(connection: &mut Connection) -> Result<BTreeMap<String, Vec<String>>> {
    let rows = sqlx::query(
        "SELECT DISTINCT package.source, repository.id, repository.product, repository.path
         FROM repository
         JOIN snapshot_package ON snapshot_package.repository_id = repository.id
         JOIN package ON package.sha256 = snapshot_package.sha256
         WHERE snapshot_package.since <= repository.current
           AND (snapshot_package.until IS NULL OR snapshot_package.until > repository.current)
         ORDER BY repository.id",
    )
    .fetch_all(connection)
    .await?;
    let mut holding: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in &rows {
        let address = format!("{}/{}", row.text("product")?, row.text("path")?);
        holding.entry(row.text("source")?).or_default().push(address);
    }
    Ok(holding)
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
