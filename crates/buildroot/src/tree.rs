//! Walks over the files of a layer, and their removal.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, openat, renameat_with, statat, unlinkat};
use rustix::io::Errno;

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

/// Removes a tree that may be gone already, however deep it is. Whoever filled it must have ended.
pub(crate) fn remove(top: &Path) -> io::Result<()> {
    let folder = match openat(CWD, top, FOLDER, Mode::empty()) {
        Ok(folder) => folder,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut removal = Removal { top: folder, lifted_count: 0 };
    loop {
        let names = names(&removal.top)?;
        if names.is_empty() {
            return ignore_missing(fs::remove_dir(top));
        }
        for (name, is_folder) in names {
            let top = removal.top.try_clone()?;
            removal.one(&top, &name, is_folder, 0)?;
        }
    }
}

/// Each level takes an open file and some of the stack.
const MAX_DEPTH: usize = 128;
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

struct Removal {
    top: OwnedFd,
    lifted_count: u64,
}

impl Removal {
    fn one(&mut self, parent: &OwnedFd, name: &CStr, is_folder: bool, depth: usize) -> io::Result<()> {
        if !is_folder {
            return Ok(unlinkat(parent, name, AtFlags::empty())?);
        }
        if depth == MAX_DEPTH {
            // No deeper from here: it is removed when its turn comes at the top.
            return self.lift(parent, name);
        }
        let folder = openat(parent, name, FOLDER, Mode::empty())?;
        for (name, is_folder) in names(&folder)? {
            self.one(&folder, &name, is_folder, depth + 1)?;
        }
        Ok(unlinkat(parent, name, AtFlags::REMOVEDIR)?)
    }
}

impl Removal {
    /// Moves a folder to the top, under a name that nothing has there.
    fn lift(&mut self, parent: &OwnedFd, name: &CStr) -> io::Result<()> {
        loop {
            let lifted = format!(".anima-lifted-{}", self.lifted_count);
            self.lifted_count += 1;
            match renameat_with(parent, name, &self.top, lifted, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                other => return Ok(other?),
            }
        }
    }
}

/// Lists a folder, and which of its entries are folders themselves.
fn names(folder: &OwnedFd) -> io::Result<Vec<(CString, bool)>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => FileType::from_raw_mode(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode),
            known => known,
        };
        names.push((name.to_owned(), kind == FileType::Directory));
    }
    Ok(names)
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_tree_of_any_depth_is_removed_and_what_its_links_name_is_not() {
        let outside = tempfile::tempdir().expect("make a directory");
        fs::write(outside.path().join("kept"), "").expect("write");
        let top = tempfile::tempdir().expect("make a directory");
        let tree = top.path().join("tree");
        fs::create_dir(&tree).expect("make a directory");
        symlink(outside.path(), tree.join("link")).expect("link");
        let mut folder = openat(CWD, &tree, FOLDER, Mode::empty()).expect("open");
        for _ in 0..MAX_DEPTH * 8 {
            rustix::fs::mkdirat(&folder, "d", Mode::from_raw_mode(0o755)).expect("make a directory");
            folder = openat(&folder, "d", FOLDER, Mode::empty()).expect("open");
        }

        remove(&tree).expect("remove");
        remove(&tree).expect("remove again");

        assert!(!tree.exists() && outside.path().join("kept").exists());
    }
}
