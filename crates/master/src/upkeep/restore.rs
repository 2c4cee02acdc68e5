//! Restores a backup: on another machine, to another kind of database or store, where it was made by another version.
//!
//! The rows come last, in one transaction: a restore that was interrupted has none, and goes on when it is asked for again.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown, symlink},
    path::{Component, Path, PathBuf},
};

use anima_db::archive::Reader;
use anima_store::{Address as StoreAddress, LogStore, Store};
use anima_types::task_log::LogId;
use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use super::{
    Tell,
    backup::{self, Content, File, Log, Manifest},
    copy,
};

const TELL_EVERY: u64 = 1_000;

/// What was restored.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Restored {
    /// Rows of all tables.
    pub row_count: u64,
    /// Artifacts.
    pub artifact_count: u64,
    /// Logs.
    pub log_count: u64,
    /// Files of other roles.
    pub file_count: u64,
}

/// Puts the files of a backup back below a data folder. What is there is replaced.
pub async fn files(folder: &Path, manifest: &Manifest, data: &Path) -> Result<u64> {
    let store = Store::open(backup::blobs(folder)).await?;
    let is_root = rustix_is_root();
    let mut count = 0;
    let files = backup::lines::<File>(&store, manifest.files).await?;
    for file in &files {
        let is_inside = file.path.components().all(|part| matches!(part, Component::Normal(_)));
        ensure!(is_inside, "the backup has a file outside of the data folder: {}", file.path.display());
        let place = data.join(&file.path);
        one(&store, file, &place).await.with_context(|| format!("could not restore {}", place.display()))?;
        if is_root && !matches!(file.content, Content::Link(_)) {
            chown(&place, Some(file.owner.0), Some(file.owner.1))?;
        }
        count += 1;
    }
    // Last, because a folder may be one that nothing can be put into.
    for file in files.iter().rev().filter(|file| file.content == Content::Folder) {
        fs::set_permissions(data.join(&file.path), fs::Permissions::from_mode(file.mode))?;
    }
    Ok(count)
}

async fn one(store: &Store, file: &File, place: &Path) -> Result<()> {
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent)?;
    }
    match &file.content {
        Content::Folder => {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(place)?;
        }
        Content::Link(to) => {
            if fs::read_link(place).ok().as_ref() != Some(to) {
                symlink(to, place)?;
            }
        }
        Content::Bytes(sha256) => {
            store.verify(*sha256).await?;
            let from = store.local(*sha256).await?;
            let to = tempfile::NamedTempFile::new_in(place.parent().context("it has no folder")?)?;
            fs::copy(&from, to.path())?;
            to.as_file().set_permissions(fs::Permissions::from_mode(file.mode))?;
            to.as_file().sync_all()?;
            to.persist(place)?;
        }
    }
    Ok(())
}

fn rustix_is_root() -> bool {
    // The owner of one's own process is told by the file system, too.
    fs::metadata("/proc/self").is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0)
}

/// Fills an empty database and a store with what a backup holds.
pub async fn rows_and_artifacts(
    folder: &Path,
    manifest: &Manifest,
    database: &anima_db::Address,
    artifacts: &StoreAddress,
    tell: Tell<'_>,
) -> Result<Restored> {
    let from = Store::open(backup::blobs(folder)).await?;
    let (to, logs) = (Store::open(artifacts).await?, LogStore::open(artifacts).await?);
    let mut restored = Restored::default();
    for (sha256, size_bytes) in backup::artifacts(&from, manifest).await? {
        let copied = copy::artifact(&from, &to, sha256, size_bytes).await?;
        ensure!(copied.is_some(), "artifact {sha256} is missing in the backup");
        restored.artifact_count += 1;
        if restored.artifact_count.is_multiple_of(TELL_EVERY) {
            tell(&format!("{} artifacts", restored.artifact_count));
        }
    }
    tell(&format!("{} artifacts", restored.artifact_count));
    for log in backup::lines::<Log>(&from, manifest.logs).await? {
        restore_log(&from, &logs, &log).await.with_context(|| format!("could not restore log {}", log.name))?;
        restored.log_count += 1;
    }
    tell(&format!("{} logs", restored.log_count));
    from.verify(manifest.rows).await?;
    let rows = fs::File::open(&*from.local(manifest.rows).await?)?;
    let mut reader = Reader::new(database.clone());
    for line in BufReader::new(zstd::Decoder::new(rows)?).lines() {
        reader.line(&line?).await?;
    }
    restored.row_count = reader.finish().await?.row_count();
    ensure!(restored.row_count == manifest.row_count, "the backup has other rows than its manifest says");
    tell(&format!("{} rows", restored.row_count));
    Ok(restored)
}

async fn restore_log(from: &Store, to: &LogStore, log: &Log) -> Result<()> {
    let id = LogId::parse(&log.name).context("this is no name of a log")?;
    from.verify(log.sha256).await?;
    let packed: PathBuf = from.local(log.sha256).await?.to_path_buf();
    let bytes = tokio::task::spawn_blocking(move || zstd::decode_all(fs::File::open(packed)?)).await??;
    let mut at = to.size(id).await?;
    while at < bytes.len() as u64 {
        let end = bytes.len().min(at as usize + anima_store::LOG_READ_BYTES);
        at = to.append(id, at, bytes[at as usize..end].to_vec()).await?;
    }
    if log.is_sealed() {
        to.seal(id).await?;
    }
    Ok(())
}
