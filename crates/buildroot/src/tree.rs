//! Walks over the files of a layer, and their removal.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, openat, renameat_with, statat, unlinkat};
use rustix::io::Errno;

/// A disk block as `stat` counts it.
const BLOCK_BYTES: u64 = 512;

/// What a tree takes on the disk.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub bytes: u64,
    /// Files and folders below its top.
    pub files: u64,
}

/// Returns what a tree takes on the disk; a file with several names in it is counted once for each. It is walked by open
/// folders, as paths of what a build leaves may be longer than the kernel takes; what is deeper than anybody needs is an
/// error.
pub(crate) fn size(top: &Path) -> io::Result<Size> {
    let mut size = Size::default();
    add_size_below(&openat(CWD, top, FOLDER, Mode::empty())?, 0, &mut size)?;
    Ok(size)
}

/// The same in bytes.
pub(crate) fn size_bytes(top: &Path) -> io::Result<u64> {
    Ok(size(top)?.bytes)
}

fn add_size_below(folder: &OwnedFd, depth: usize, size: &mut Size) -> io::Result<()> {
    if depth == MAX_COUNTED_DEPTH {
        return Err(io::Error::other(format!("it has more than {MAX_COUNTED_DEPTH} folders in one another")));
    }
    for (name, is_folder) in names(folder)? {
        let Some(stat) = unless_gone(statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW))? else { continue };
        size.bytes = size.bytes.saturating_add((stat.st_blocks as u64).saturating_mul(BLOCK_BYTES));
        size.files += 1;
        if is_folder && let Some(below) = unless_gone(openat(folder, &name, FOLDER, Mode::empty()))? {
            add_size_below(&below, depth + 1, size)?;
        }
    }
    Ok(())
}

/// What goes away while it is counted counts no more.
fn unless_gone<T>(found: rustix::io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(Errno::NOENT) => Ok(None),
        other => Ok(Some(other?)),
    }
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

/// Installed files are some twenty deep, and what tests of builds leave some hundred.
const MAX_COUNTED_DEPTH: usize = 256;
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

    /// Makes folders in one another; returns the last.
    fn deepen(tree: &Path, name: &str, count: usize) -> OwnedFd {
        let mut folder = openat(CWD, tree, FOLDER, Mode::empty()).expect("open");
        for _ in 0..count {
            rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(0o755)).expect("make a directory");
            folder = openat(&folder, name, FOLDER, Mode::empty()).expect("open");
        }
        folder
    }

    #[test]
    fn what_lies_deeper_than_a_path_can_say_is_counted() {
        let top = tempfile::tempdir().expect("make a directory");
        let folder = deepen(top.path(), &"n".repeat(200), 40);
        let flags = OFlags::CREATE | OFlags::WRONLY;
        let file = openat(&folder, "file", flags, Mode::from_raw_mode(0o644)).expect("make a file");
        rustix::io::write(&file, &[1; 1 << 20]).expect("write");

        assert!(size_bytes(top.path()).expect("count") >= 1 << 20);
        remove(top.path()).expect("remove");
    }

    #[test]
    fn a_tree_of_any_depth_is_removed_and_what_its_links_name_is_not() {
        let outside = tempfile::tempdir().expect("make a directory");
        fs::write(outside.path().join("kept"), "").expect("write");
        let top = tempfile::tempdir().expect("make a directory");
        let tree = top.path().join("tree");
        fs::create_dir(&tree).expect("make a directory");
        symlink(outside.path(), tree.join("link")).expect("link");
        drop(deepen(&tree, "d", MAX_DEPTH * 8));

        assert!(size_bytes(&tree).unwrap_err().to_string().contains("256 folders"));
        remove(&tree).expect("remove");
        remove(&tree).expect("remove again");

        assert!(!tree.exists() && outside.path().join("kept").exists());
    }
}
