//! A layer's files in one number: what tells whether something was lost, added or changed since it was made.
//!
//! Contents are not read: a layer has gigabytes, and nobody may change it but who can write anything on the host. What it
//! finds is what happens to layers: a crash, a full disk, a hand that cleaned up.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Returns the hash of all names, kinds, modes, owners, sizes and times below `top`.
pub(crate) fn of(top: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    folder(top, &mut hash)?;
    Ok(hex::encode(hash.finalize()))
}

fn folder(path: &Path, hash: &mut Sha256) -> io::Result<()> {
    let mut names: Vec<OsString> =
        fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    names.sort();
    hash.update(names.len().to_le_bytes());
    for name in names {
        let path = path.join(&name);
        let it = fs::symlink_metadata(&path)?;
        hash.update(name.len().to_le_bytes());
        hash.update(name.as_bytes());
        let numbers = [u64::from(it.mode()), u64::from(it.uid()), u64::from(it.gid()), it.rdev()];
        numbers.iter().for_each(|number| hash.update(number.to_le_bytes()));
        if it.is_dir() {
            folder(&path, hash)?;
        } else {
            hash.update(it.size().to_le_bytes());
            hash.update(it.mtime().to_le_bytes());
            hash.update(it.mtime_nsec().to_le_bytes());
        }
    }
    Ok(())
}
