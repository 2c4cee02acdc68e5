//! What a file is, in all that an upgrade must bring back: kind, content, mode, owner, time, extended attributes, links.

use std::{
    collections::BTreeMap,
    fs::{self, File, Metadata},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    error::{At, Error},
    layer::join,
};

/// The overlay's own notes, which are in no root.
const OVERLAY_NOTES: &[u8] = b"trusted.overlay.";

/// A file, a folder, or something else with a name.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is, with its content.
    pub kind: Kind,
    /// Permissions, with setuid, setgid and sticky.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// When its content changed: seconds and nanoseconds.
    pub modified: (i64, i64),
    /// Extended attributes: names and values, both in hexadecimal.
    pub attributes: BTreeMap<String, String>,
}

/// What kinds there are.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A folder.
    Folder,
    /// A regular file.
    File {
        /// Of its content.
        sha256: String,
        /// Of its content.
        size_bytes: u64,
    },
    /// A symbolic link; its target in hexadecimal, as it may be no text.
    Link(String),
    /// A device, a pipe or a socket.
    Special {
        /// The file type's bits.
        file_type: u32,
        /// The device's number.
        device: u64,
    },
}

/// All files below a folder, by their paths in it; the folder itself is the empty path.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Manifest {
    /// What is there.
    pub entries: BTreeMap<PathBuf, Entry>,
    /// Files that are one file by hard links: the first path of each other path.
    pub links: BTreeMap<PathBuf, PathBuf>,
}

impl Entry {
    /// Reads what is at a path, without following a link; none if nothing is there.
    pub fn read(path: &Path) -> Result<Option<Entry>, Error> {
        match fs::symlink_metadata(path) {
            Ok(data) => match Entry::of(path, &data) {
                Err(Error::File { source, .. }) if is_gone(&source) => Ok(None),
                other => other.map(Some),
            },
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error).at("look at", path),
        }
    }

    fn of(path: &Path, data: &Metadata) -> Result<Entry, Error> {
        let kind = match data.file_type() {
            kind if kind.is_dir() => Kind::Folder,
            kind if kind.is_file() => Kind::File { sha256: sha256(path)?, size_bytes: data.len() },
            kind if kind.is_symlink() => {
                Kind::Link(hex::encode(fs::read_link(path).at("read", path)?.as_os_str().as_bytes()))
            }
            _ => Kind::Special { file_type: data.mode() & 0o170_000, device: data.rdev() },
        };
        Ok(Entry {
            kind,
            mode: data.mode() & 0o7777,
            uid: data.uid(),
            gid: data.gid(),
            modified: (data.mtime(), data.mtime_nsec()),
            attributes: attributes(path)?,
        })
    }

    /// Returns whether it is what was expected. Where files have no owners and modes of their own, only content counts;
    /// the time of a folder changes with whatever a running system puts there.
    pub(crate) fn is_as(&self, expected: &Entry, is_bare: bool) -> bool {
        match (&self.kind, &expected.kind) {
            _ if is_bare => self.kind == expected.kind,
            (Kind::Folder, Kind::Folder) => Entry { modified: expected.modified, ..self.clone() } == *expected,
            _ => self == expected,
        }
    }

    /// Returns whether it is a folder.
    pub fn is_folder(&self) -> bool {
        self.kind == Kind::Folder
    }
}

impl Manifest {
    /// Reads everything below a folder that is on its file system, but for what is in `without`.
    pub fn read(root: &Path, without: &[PathBuf]) -> Result<Manifest, Error> {
        Manifest::read_all(root, &[PathBuf::new()], without, &mut |_, _| {})
    }

    /// Reads everything of several file systems of a root, which are mounted at these paths below it. `follow` is told how
    /// many files are read, and of how many.
    pub fn read_all(
        root: &Path,
        places: &[PathBuf],
        without: &[PathBuf],
        follow: &mut dyn FnMut(usize, usize),
    ) -> Result<Manifest, Error> {
        let mut found = BTreeMap::new();
        for place in places {
            walk(root, place, without, &mut found)?;
        }
        let mut manifest = Manifest::default();
        let mut first = BTreeMap::new();
        let count = found.len();
        for (number, (path, data)) in found.into_iter().enumerate() {
            follow(number, count);
            if data.nlink() > 1 && !data.is_dir() {
                first.entry((data.dev(), data.ino())).or_insert_with(Vec::new).push(path.clone());
            }
            // What is gone since it was listed is not there.
            if let Some(entry) = Entry::read(&join(root, &path))? {
                manifest.entries.insert(path, entry);
            }
        }
        for mut group in first.into_values().filter(|group| group.len() > 1) {
            group.sort();
            let head = group[0].clone();
            manifest.links.extend(group.into_iter().skip(1).map(|path| (path, head.clone())));
        }
        Ok(manifest)
    }

    /// Returns paths that are not the same in both.
    pub fn differences(&self, other: &Manifest) -> Vec<PathBuf> {
        let paths: std::collections::BTreeSet<&PathBuf> = self.entries.keys().chain(other.entries.keys()).collect();
        let differs = |path: &&PathBuf| {
            self.entries.get(*path) != other.entries.get(*path) || self.links.get(*path) != other.links.get(*path)
        };
        paths.into_iter().filter(differs).cloned().collect()
    }
}

/// Lists what is on the file system at a place of a root.
fn walk(root: &Path, place: &Path, without: &[PathBuf], found: &mut BTreeMap<PathBuf, Metadata>) -> Result<(), Error> {
    let top = join(root, place);
    let top = fs::symlink_metadata(&top).at("look at", &top)?;
    let mut folders = vec![place.to_owned()];
    found.insert(place.to_owned(), top.clone());
    while let Some(folder) = folders.pop() {
        for name in names(&join(root, &folder))? {
            let path = folder.join(name);
            let whole = root.join(&path);
            if without.contains(&path) {
                continue;
            }
            let data = match fs::symlink_metadata(&whole) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.at("look at", &whole)?,
            };
            if data.is_dir() && data.dev() != top.dev() {
                // Another file system is mounted there, and what is seen is its own.
                continue;
            }
            if data.is_dir() {
                folders.push(path.clone());
            }
            found.insert(path, data);
        }
    }
    Ok(())
}

/// Returns whether a file is the overlay's sign that something was removed.
pub(crate) fn is_whiteout(data: &Metadata) -> bool {
    data.file_type().is_char_device() && data.rdev() == 0
}

/// Returns the names in a folder, in order.
pub(crate) fn names(folder: &Path) -> Result<Vec<std::ffi::OsString>, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).at("list", folder)? {
        names.push(entry.at("list", folder)?.file_name());
    }
    names.sort();
    Ok(names)
}

/// Returns the SHA-256 of a file.
pub(crate) fn sha256(path: &Path) -> Result<String, Error> {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path).at("read", path)?, &mut hash).at("read", path)?;
    Ok(hex::encode(hash.finalize()))
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn attributes(path: &Path) -> Result<BTreeMap<String, String>, Error> {
    let names = match xattr::list(path) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(BTreeMap::new()),
        other => other.at("list the attributes of", path)?,
    };
    let mut attributes = BTreeMap::new();
    for name in names.filter(|name| !name.as_bytes().starts_with(OVERLAY_NOTES)) {
        if let Some(value) = xattr::get(path, &name).at("read the attributes of", path)? {
            attributes.insert(hex::encode(name.as_bytes()), hex::encode(value));
        }
    }
    Ok(attributes)
}
