//! libsolv's binary form of a repository, kept beside the metadata: it loads many times faster than XML.
//!
//! A cache file is libsolv's own format followed by a SHA-256. Without the sum, a file cut by a full disk or changed by a
//! failing one would reach C code that trusts its input.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::IntoRawFd;
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

/// Writes the cache so that a reader sees the old file, the new one, or none. `fill` writes libsolv's bytes and owns the descriptor.
pub(crate) fn write(path: &Path, files: &RepodataFiles<'_>, fill: impl FnOnce(i32) -> Result<(), String>) -> CacheUse {
    match try_write(path, files, fill) {
        Ok(()) => CacheUse::Written,
        Err(reason) => CacheUse::NotWritten(reason),
    }
}

fn try_write(path: &Path, files: &RepodataFiles<'_>, fill: impl FnOnce(i32) -> Result<(), String>) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = NamedTempFile::new_in(folder).map_err(text)?;
    fill(duplicate(temporary.as_file()).map_err(text)?)?;

    let mut bytes = Vec::new();
    temporary.rewind().map_err(text)?;
    temporary.read_to_end(&mut bytes).map_err(text)?;
    temporary.write_all(&sum_of(&bytes, files)).map_err(text)?;
    temporary.persist(path).map_err(|error| error.error.to_string())?;
    Ok(())
}

fn duplicate(file: &File) -> std::io::Result<i32> {
    Ok(file.try_clone()?.into_raw_fd())
}

fn sum_of(bytes: &[u8], files: &RepodataFiles<'_>) -> Vec<u8> {
    let mut sum = Sha256::new();
    sum.update(CACHE_FORMAT);
    sum.update([u8::from(files.filelists.is_some())]);
    sum.update(bytes);
    sum.finalize().to_vec()
}
