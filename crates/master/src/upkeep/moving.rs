//! Moves an installation to another database and another store: from one machine to servers that several masters share,
//! or back.
//!
//! Artifacts and logs come first, and what is there is not copied again, so that a move that was interrupted goes on. The rows
//! come last, in one transaction, and are read back and compared. Nothing of the old installation is changed.

use std::io::{BufRead as _, BufReader, Seek as _};

use anima_db::archive::Reader;
use anima_store::{Address as StoreAddress, LogStore, Store};
use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use super::{Installation, Tell, copy};

/// Progress is told after so many artifacts.
const TELL_EVERY: u64 = 1_000;

/// What was moved, or would be.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Moved {
    /// Rows of all tables.
    pub row_count: u64,
    /// Artifacts.
    pub artifact_count: u64,
    /// Their bytes.
    pub artifact_bytes: u64,
    /// Those bytes that had to be copied this time.
    pub copied_bytes: u64,
    /// Logs.
    pub log_count: u64,
}

/// Moves everything. With `is_dry_run` nothing is written, and what would be copied is counted.
pub async fn everything(
    from: &Installation,
    database: &anima_db::Address,
    artifacts: &StoreAddress,
    is_dry_run: bool,
    tell: Tell<'_>,
) -> Result<Moved> {
    let mut rows = tempfile::tempfile().context("could not make a temporary file")?;
    let (summary, mut read) = copy::rows(&from.db, &mut rows).await?;
    let mut moved = Moved { row_count: summary.row_count(), ..Moved::default() };
    let (store, logs) = (Store::open(artifacts).await?, LogStore::open(artifacts).await?);
    store.probe().await.context("the new store does not take anything")?;
    let mut missing = 0_u64;
    copy::artifacts(&mut read, async |sha256, size_bytes| {
        moved.artifact_count += 1;
        moved.artifact_bytes += size_bytes;
        if is_dry_run {
            moved.copied_bytes += if store.contains(sha256).await? { 0 } else { size_bytes };
        } else {
            match copy::artifact(&from.store, &store, sha256, size_bytes).await? {
                Some(copied) => moved.copied_bytes += copied,
                None => missing += 1,
            }
        }
        if moved.artifact_count.is_multiple_of(TELL_EVERY) {
            tell(&format!("{} artifacts", moved.artifact_count));
        }
        Ok(())
    })
    .await?;
    ensure!(missing == 0, "{missing} artifacts are missing in the store that is moved: `anima fsck` says which");
    tell(&format!("{} artifacts are there", moved.artifact_count));
    for entry in from.logs.list().await? {
        moved.log_count += 1;
        if !is_dry_run {
            copy::log(&from.logs, &logs, entry.log, entry.sealed.is_some()).await?;
        }
    }
    tell(&format!("{} logs are there", moved.log_count));
    if is_dry_run {
        return Ok(moved);
    }
    rows.rewind()?;
    let mut reader = Reader::new(database.clone());
    for line in BufReader::new(zstd::Decoder::new(rows)?).lines() {
        reader.line(&line?).await?;
    }
    let there = reader.finish().await?;
    ensure!(there == summary, "the rows in {database} are not those that were moved");
    tell(&format!("{} rows are there", moved.row_count));
    Ok(moved)
}
