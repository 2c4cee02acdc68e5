//! Package files: what their headers say, and the same files with a signature.

use std::collections::{BTreeMap, BTreeSet};

use anima_types::{
    Arch, Nevra, Sha256,
    id::{BuildId, KeyId, TaskId},
    repository::RepositoryPackage,
};
use sqlx::{AssertSqlSafe, any::AnyRow};

use crate::{Connection, Error, Result, Write, row::Columns, snapshot::listed_row};

/// A row.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Package {
    /// The artifact.
    pub sha256: Sha256,
    /// Name, version, release, architecture; `src` for a source package.
    pub nevra: Nevra,
    /// The file's name.
    pub file_name: String,
    /// The name of its source package.
    pub source: String,
    /// Whether it is a source package.
    pub is_source: bool,
    /// Its part of repository metadata, as JSON.
    pub xml: String,
    /// The hash of its header, which is what gets signed.
    pub header_sha256: Sha256,
}

impl Package {
    /// Returns what plans have to know of it.
    pub fn listed(self) -> RepositoryPackage {
        let Package { sha256, nevra, source, header_sha256, .. } = self;
        RepositoryPackage { nevra, artifact: sha256, source, header_sha256: Some(header_sha256) }
    }
}

/// Writes what a package's header says; twice is once. The artifact has to be there.
pub async fn insert(write: &mut Write, package: &Package) -> Result<()> {
    sqlx::query(
        "INSERT INTO package (sha256, nevra, name, file_name, source, is_source, xml, header_sha256)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (sha256) DO NOTHING",
    )
    .bind(package.sha256.to_string())
    .bind(package.nevra.to_string())
    .bind(&package.nevra.name)
    .bind(&package.file_name)
    .bind(&package.source)
    .bind(i64::from(package.is_source))
    .bind(&package.xml)
    .bind(package.header_sha256.to_string())
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// Returns a package.
pub async fn get(connection: &mut Connection, sha256: Sha256) -> Result<Package> {
    let row = sqlx::query("SELECT * FROM package WHERE sha256 = $1")
        .bind(sha256.to_string())
        .fetch_optional(connection)
        .await?;
    from_row(&row.ok_or_else(|| Error::missing("package", sha256))?)
}

/// Returns the packages that the tasks of a build made, with their tasks.
pub async fn of_build(connection: &mut Connection, build: BuildId) -> Result<Vec<(TaskId, RepositoryPackage)>> {
    let rows = sqlx::query(
        "SELECT task.id AS task_id, package.sha256, package.nevra, package.source, package.header_sha256
         FROM task
         JOIN task_artifact ON task_artifact.task_id = task.id
         JOIN package ON package.sha256 = task_artifact.sha256
         WHERE task.build_id = $1
         ORDER BY task.id, package.file_name",
    )
    .bind(build.0)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((TaskId(row.int("task_id")?), listed_row(row)?))).collect()
}

/// A package that a build task made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Built {
    /// The task's architecture.
    pub arch: Option<Arch>,
    /// The package.
    pub package: RepositoryPackage,
}

/// What build tasks that succeeded made for a platform. A question about one name begins with that, see `snapshot`'s.
const BUILT: &str =
    "SELECT DISTINCT task.id, task.arch, package.file_name, package.sha256, package.nevra, package.source,
         package.header_sha256
     FROM task
     JOIN task_artifact ON task_artifact.task_id = task.id
     JOIN package ON package.sha256 = task_artifact.sha256
     WHERE task.build_id = $1 AND task.platform = $2 AND task.kind = 'build' AND task.status = 'succeeded'
     ORDER BY task.id, package.file_name";
const BUILT_AS: &str =
    "SELECT DISTINCT task.id, task.arch, package.file_name, package.sha256, package.nevra, package.source,
         package.header_sha256
     FROM package
     CROSS JOIN task_artifact
     CROSS JOIN task
     WHERE package.file_name = $3 AND task_artifact.sha256 = package.sha256 AND task.id = task_artifact.task_id
       AND task.build_id = $1 AND task.platform = $2 AND task.kind = 'build' AND task.status = 'succeeded'
     ORDER BY task.id";

/// Returns what the build tasks of a build made for a platform.
pub async fn built(connection: &mut Connection, build: BuildId, platform: &str) -> Result<Vec<Built>> {
    // Index: task_build_status.
    let query = sqlx::query(BUILT).bind(build.0).bind(platform);
    query.fetch_all(connection).await?.iter().map(built_from_row).collect()
}

/// Returns what of [`built`] has a file name: it may be there for several architectures.
pub async fn built_as(
    connection: &mut Connection,
    build: BuildId,
    platform: &str,
    file_name: &str,
) -> Result<Vec<Built>> {
    // Indices: package_file_name, task_artifact_sha256.
    let query = sqlx::query(BUILT_AS).bind(build.0).bind(platform).bind(file_name);
    query.fetch_all(connection).await?.iter().map(built_from_row).collect()
}

fn built_from_row(row: &AnyRow) -> Result<Built> {
    Ok(Built { arch: row.maybe_parsed("arch")?, package: listed_row(row)? })
}

/// Returns the packages of a build that have no signature by a key, in the order of their hashes, at most `limit`.
pub async fn unsigned_of_build(
    connection: &mut Connection,
    build: BuildId,
    key: KeyId,
    limit: u32,
) -> Result<Vec<RepositoryPackage>> {
    // Indices: task_build_status, the primary keys of task_artifact, package and signed_package.
    let rows = sqlx::query(
        "SELECT DISTINCT package.sha256, package.nevra, package.source, package.header_sha256
         FROM task
         JOIN task_artifact ON task_artifact.task_id = task.id
         JOIN package ON package.sha256 = task_artifact.sha256
         WHERE task.build_id = $1 AND NOT EXISTS (
             SELECT 1 FROM signed_package WHERE signed_package.sha256 = package.sha256 AND signed_package.key_id = $2)
         ORDER BY package.sha256
         LIMIT $3",
    )
    .bind(build.0)
    .bind(key.0)
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    rows.iter().map(listed_row).collect()
}

/// Returns the parts of repository metadata of packages, as JSON.
pub async fn xml_of(connection: &mut Connection, wanted: &BTreeSet<Sha256>) -> Result<BTreeMap<Sha256, String>> {
    let mut xml = BTreeMap::new();
    for some in chunks(wanted) {
        let sql = format!("SELECT sha256, xml FROM package WHERE sha256 IN ({some})");
        for row in &sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *connection).await? {
            xml.insert(row.parsed("sha256")?, row.text("xml")?);
        }
    }
    Ok(xml)
}

/// Returns the names of all binary packages that were ever built from a source package.
pub async fn names_of_source(connection: &mut Connection, source: &str) -> Result<Vec<String>> {
    // Index: package_source.
    let rows = sqlx::query("SELECT DISTINCT name FROM package WHERE source = $1 AND is_source = 0 ORDER BY name")
        .bind(source)
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| row.text("name")).collect()
}

/// Returns the packages that a task uploaded.
pub async fn of_task(connection: &mut Connection, task: TaskId) -> Result<Vec<Package>> {
    let rows = sqlx::query(
        "SELECT DISTINCT package.* FROM task_artifact JOIN package ON package.sha256 = task_artifact.sha256
         WHERE task_artifact.task_id = $1
         ORDER BY package.file_name",
    )
    .bind(task.0)
    .fetch_all(connection)
    .await?;
    rows.iter().map(from_row).collect()
}

/// Returns the package that a signed one was made from; itself where nobody here signed it.
pub async fn original(connection: &mut Connection, signed: Sha256) -> Result<Sha256> {
    // Index: signed_package_signed.
    let row = sqlx::query("SELECT sha256 FROM signed_package WHERE signed = $1 ORDER BY signed_at LIMIT 1")
        .bind(signed.to_string())
        .fetch_optional(connection)
        .await?;
    row.map_or(Ok(signed), |row| row.parsed("sha256"))
}

/// Returns which artifact is a package with a key's signature.
pub async fn signed(connection: &mut Connection, sha256: Sha256, key: KeyId) -> Result<Option<Sha256>> {
    let row = sqlx::query("SELECT signed FROM signed_package WHERE sha256 = $1 AND key_id = $2")
        .bind(sha256.to_string())
        .bind(key.0)
        .fetch_optional(connection)
        .await?;
    row.map(|row| row.parsed("signed")).transpose()
}

/// Returns which artifacts are which packages with a key's signature, of those that are wanted.
pub async fn signed_of(
    connection: &mut Connection,
    wanted: &BTreeSet<Sha256>,
    key: KeyId,
) -> Result<BTreeMap<Sha256, Sha256>> {
    let mut signed = BTreeMap::new();
    for some in chunks(wanted) {
        let sql = format!("SELECT sha256, signed FROM signed_package WHERE key_id = {key} AND sha256 IN ({some})");
        for row in &sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *connection).await? {
            signed.insert(row.parsed("sha256")?, row.parsed("signed")?);
        }
    }
    Ok(signed)
}

/// Returns for each package the first task that uploaded it and came to a good end; nothing for one that has none.
pub async fn makers(connection: &mut Connection, wanted: &BTreeSet<Sha256>) -> Result<BTreeMap<Sha256, TaskId>> {
    let mut makers = BTreeMap::new();
    for some in chunks(wanted) {
        // Index: task_artifact_sha256.
        let sql = format!(
            "SELECT task_artifact.sha256, MIN(task.id) AS id FROM task_artifact
             JOIN task ON task.id = task_artifact.task_id
             WHERE task.status = 'succeeded' AND task_artifact.sha256 IN ({some})
             GROUP BY task_artifact.sha256"
        );
        for row in &sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *connection).await? {
            makers.insert(row.parsed("sha256")?, TaskId(row.int("id")?));
        }
    }
    Ok(makers)
}

/// Returns for each package the builds whose tasks made it, in their order.
pub async fn builds(
    connection: &mut Connection,
    wanted: &BTreeSet<Sha256>,
) -> Result<BTreeMap<Sha256, BTreeSet<BuildId>>> {
    let mut builds: BTreeMap<Sha256, BTreeSet<BuildId>> = BTreeMap::new();
    for some in chunks(wanted) {
        // Index: task_artifact_sha256.
        let sql = format!(
            "SELECT DISTINCT task_artifact.sha256, task.build_id FROM task_artifact
             JOIN task ON task.id = task_artifact.task_id
             WHERE task.build_id IS NOT NULL AND task_artifact.sha256 IN ({some})"
        );
        for row in &sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *connection).await? {
            builds.entry(row.parsed("sha256")?).or_default().insert(BuildId(row.int("build_id")?));
        }
    }
    Ok(builds)
}

/// Hashes that one question names at most: both databases read that in a moment.
const CHUNK: usize = 500;

/// Returns lists of hashes as SQL has them: a hash is hexadecimal and nothing else.
fn chunks(wanted: &BTreeSet<Sha256>) -> Vec<String> {
    let quoted: Vec<String> = wanted.iter().map(|sha256| format!("'{sha256}'")).collect();
    quoted.chunks(CHUNK).map(|some| some.join(", ")).collect()
}

/// Writes that `signed` is a package with a key's signature; twice is once.
pub async fn insert_signed(write: &mut Write, sha256: Sha256, key: KeyId, signed: Sha256) -> Result<()> {
    sqlx::query(
        "INSERT INTO signed_package (sha256, key_id, signed, signed_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (sha256, key_id) DO NOTHING",
    )
    .bind(sha256.to_string())
    .bind(key.0)
    .bind(signed.to_string())
    .bind(write.now.0)
    .execute(&mut **write)
    .await?;
    Ok(())
}

pub(crate) fn from_row(row: &AnyRow) -> Result<Package> {
    Ok(Package {
        sha256: row.parsed("sha256")?,
        nevra: row.parsed("nevra")?,
        file_name: row.text("file_name")?,
        source: row.text("source")?,
        is_source: row.flag("is_source")?,
        xml: row.text("xml")?,
        header_sha256: row.parsed("header_sha256")?,
    })
}
