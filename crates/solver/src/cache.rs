//! libsolv's binary form of a repository, kept beside the metadata: it loads many times faster than XML.
//!
//! A cache file is libsolv's own format followed by a SHA-256. Without the sum, a file cut by a full disk or changed by a
//! failing one would reach C code that trusts its input.

use std::io::Write;
use std::path::Path;

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::RepodataFiles;

/// Changes whenever the way the repository is read changes what its cache holds.
const CACHE_FORMAT: &[u8] = b"anima-solver-cache-1";

const SUM_BYTES: usize = 32;

/// What became of the cache file of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheUse {
    /// None was asked for.
    None,
    /// The repository came from the cache; the metadata files were not opened.
    Read,
    /// The repository came from the metadata, and the cache was written.
    Written,
    /// The repository came from the metadata; the cache could not be written, for this reason. The repository is usable.
    NotWritten(String),
}

/// Returns libsolv's bytes when the cache is whole and was made from the same kinds of files.
pub(crate) fn read(path: &Path, files: &RepodataFiles<'_>) -> Option<Vec<u8>> {
    let mut bytes = std::fs::read(path).ok()?;
    let length = bytes.len().checked_sub(SUM_BYTES)?;
    let sum = bytes.split_off(length);
    (sum == sum_of(&bytes, files)).then_some(bytes)
}

/// Writes the cache so that a reader sees the old file, the new one, or none.
pub(crate) fn write(path: &Path, files: &RepodataFiles<'_>, bytes: &[u8]) -> CacheUse {
    match try_write(path, files, bytes) {
        Ok(()) => CacheUse::Written,
        Err(error) => CacheUse::NotWritten(error.to_string()),
    }
}

fn try_write(path: &Path, files: &RepodataFiles<'_>, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = NamedTempFile::new_in(folder)?;
    temporary.write_all(bytes)?;
    temporary.write_all(&sum_of(bytes, files))?;
    temporary.persist(path)?;
    Ok(())
}

fn sum_of(bytes: &[u8], files: &RepodataFiles<'_>) -> Vec<u8> {
    let mut sum = Sha256::new();
    sum.update(CACHE_FORMAT);
    sum.update([u8::from(files.filelists.is_some())]);
    sum.update(bytes);
    sum.finalize().to_vec()
}
