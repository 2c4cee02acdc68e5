//! Copying what a store has, one thing after the other, each compared with its hash.

use std::io::Write;

use anima_db::{Db, archive::Summary};
use anima_store::{Error, LogStore, Store};
use anima_types::{Sha256, task_log::LogId};
use anyhow::{Context as _, Result};

/// Artifacts that are asked for in one statement.
const ARTIFACTS_AT_ONCE: u32 = 1_000;
/// What is appended to a log at once.
const LOG_PIECE_BYTES: usize = anima_store::LOG_READ_BYTES;

/// Calls `each` with every artifact that the database has at one moment.
pub(super) async fn artifacts(
    connection: &mut anima_db::Connection,
    mut each: impl AsyncFnMut(Sha256, u64) -> Result<()>,
) -> Result<()> {
    let mut after = None;
    loop {
        let some = anima_db::artifact::list_after(connection, after, ARTIFACTS_AT_ONCE).await?;
        let Some((last, _)) = some.last() else { return Ok(()) };
        after = Some(*last);
        for (sha256, size_bytes) in some {
            each(sha256, size_bytes).await?;
        }
    }
}

/// Copies an artifact, unless it is there. Returns how many bytes were copied, and nothing if it is missing.
pub(super) async fn artifact(from: &Store, to: &Store, sha256: Sha256, size_bytes: u64) -> Result<Option<u64>> {
    match to.size(sha256).await {
        Ok(there) if there == size_bytes => return Ok(Some(0)),
        Ok(_) | Err(Error::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let artifact = match from.get(sha256).await {
        Err(Error::NotFound(_)) => return Ok(None),
        other => other?,
    };
    let stored = to.put_stream(sha256, artifact.size_bytes(), artifact.bytes()).await;
    Ok(Some(stored.with_context(|| format!("could not copy artifact {sha256}"))?.size_bytes))
}

/// Copies a log, unless it is there. Returns how many bytes were copied.
pub(super) async fn log(from: &LogStore, to: &LogStore, log: LogId, is_sealed: bool) -> Result<u64> {
    let reader = from.reader(log).await?;
    let (size, mut at) = (reader.size().await?, to.size(log).await?);
    let begun = at;
    while at < size {
        let piece = reader.read(at, LOG_PIECE_BYTES).await?;
        anyhow::ensure!(!piece.is_empty(), "log {log} is shorter than it was");
        at = to.append(log, at, piece).await?;
    }
    if is_sealed {
        to.seal(log).await?;
    }
    Ok(size.saturating_sub(begun))
}

/// Writes all rows of a database to a compressed file, as they are at one moment; returns what they are, and the connection
/// that still sees that moment.
pub(super) async fn rows(db: &Db, to: &mut (impl Write + Send)) -> Result<(Summary, anima_db::Read)> {
    let mut read = db.read().await?;
    let mut packed = zstd_writer(to)?;
    let take = |line: &str| {
        packed.write_all(line.as_bytes())?;
        packed.write_all(b"\n")
    };
    let summary = anima_db::archive::write(db.address(), &mut read, take).await?;
    packed.finish()?;
    Ok((summary, read))
}

/// Rows repeat themselves; more effort finds little more.
fn zstd_writer<W: Write>(to: W) -> std::io::Result<zstd::Encoder<'static, W>> {
    let mut encoder = zstd::Encoder::new(to, 5)?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}
