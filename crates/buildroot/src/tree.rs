//! Walks over the files of a layer, and their removal.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A disk block as `stat` counts it.
const BLOCK_BYTES: u64 = 512;

/// Returns what a tree takes on the disk; a file with several names in it is counted once for each.
pub(crate) fn size_bytes(top: &Path) -> io::Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(top)? {
        let entry = entry?;
        total += entry.metadata()?.blocks() * BLOCK_BYTES;
        if entry.file_type()?.is_dir() {
            total += size_bytes(&entry.path())?;
        }
    }
    Ok(total)
}

/// Lists everything but folders below `top`, as paths from it, sorted; looks into nothing but folders.
pub(crate) fn files(top: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(top.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}

/// Removes a tree that may be gone already.
pub(crate) fn remove(top: &Path) -> io::Result<()> {
    match fs::remove_dir_all(top) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
