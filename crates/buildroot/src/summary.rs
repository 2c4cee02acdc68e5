//! A layer's files in one number: what tells whether something was lost, added or changed since it was made.
//!
//! Contents are not read: a layer has gigabytes, and nobody may change it but who can write anything on the host. What it
//! finds is what happens to layers: a crash, a full disk, a hand that cleaned up.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::io::Errno;
use sha2::{Digest, Sha256};

/// What a program may do besides what who runs it may.
const CAPABILITY: &[u8] = b"security.capability";
/// The most that the kernel has of names of attributes, and of the value of one.
const ATTRIBUTES_BYTES: usize = 64 * 1024;

/// Returns the hash of all names, kinds, modes, owners, sizes, times, attributes and targets of links below `top`.
pub(crate) fn of(top: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut space = Space { names: vec![0; ATTRIBUTES_BYTES], value: vec![0; ATTRIBUTES_BYTES] };
    folder(top, &mut hash, &mut space)?;
    Ok(hex::encode(hash.finalize()))
}

/// Where the kernel writes attributes.
struct Space {
    names: Vec<u8>,
    value: Vec<u8>,
}

fn folder(path: &Path, hash: &mut Sha256, space: &mut Space) -> io::Result<()> {
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
        if it.is_symlink() {
            let target = fs::read_link(&path)?;
            hash.update(target.as_os_str().len().to_le_bytes());
            hash.update(target.as_os_str().as_bytes());
        } else {
            attributes(&path, hash, space)?;
        }
        if it.is_dir() {
            folder(&path, hash, space)?;
        } else {
            hash.update(it.size().to_le_bytes());
            hash.update(it.mtime().to_le_bytes());
            hash.update(it.mtime_nsec().to_le_bytes());
        }
    }
    Ok(())
}

/// Capabilities, lists of who may, and what overlays know; not what the machine gives to files by itself, as labels.
fn attributes(path: &Path, hash: &mut Sha256, space: &mut Space) -> io::Result<()> {
    let length = match fill(&mut space.names, |names| rustix::fs::llistxattr(path, names)) {
        Err(Errno::OPNOTSUPP) => 0,
        listed => listed?,
    };
    let names = space.names[..length].split(|byte| *byte == 0);
    let is_own = |name: &&[u8]| !name.is_empty() && (!name.starts_with(b"security.") || *name == CAPABILITY);
    let mut names: Vec<&[u8]> = names.filter(is_own).collect();
    names.sort();
    hash.update(names.len().to_le_bytes());
    for name in names {
        let length = fill(&mut space.value, |value| rustix::fs::lgetxattr(path, OsStr::from_bytes(name), value))?;
        for bytes in [name, &space.value[..length]] {
            hash.update(bytes.len().to_le_bytes());
            hash.update(bytes);
        }
    }
    Ok(())
}

/// Few need more than a little, and the kernel takes memory for all that it is offered.
fn fill(space: &mut [u8], ask: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<usize> {
    match ask(&mut space[..1024]) {
        Err(Errno::RANGE) => ask(space),
        answer => answer,
    }
}
