//! What is kept between runs, and how a finished thing takes its place in one rename.
//!
//! Everything is named by the hash of what it was made from: the sources of this crate (tables, file texts, code), the
//! host's rpmbuild, and the Debian packages. So a change of any of them is noticed, and nothing else is made again.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use sha2::{Digest, Sha256};

use crate::{
    error::{Result, on},
    own,
};

/// The file in a finished seed that says what it was made from. Written last, moved into place with the rest.
pub const MARKER: &str = ".seedling.json";

/// The code and tables that decide what a converted package looks like.
const CONVERSION_SOURCES: &[&str] = &[
    include_str!("arch.rs"),
    include_str!("convert.rs"),
    include_str!("deb.rs"),
    include_str!("licence.rs"),
    include_str!("names.rs"),
    include_str!("own.rs"),
    include_str!("path.rs"),
    include_str!("relations.rs"),
    include_str!("spec.rs"),
    include_str!("tree.rs"),
    include_str!("version.rs"),
];

/// The code that decides what the repository looks like beyond its packages.
const REPOSITORY_SOURCES: &[&str] = &[include_str!("repository.rs"), include_str!("packages.rs")];

/// A SHA-256 in hexadecimal.
pub type Key = String;

/// Returns a key that changes with whatever decides how one package is converted.
pub fn conversion_key(rpmbuild_version: &str) -> Key {
    key(CONVERSION_SOURCES.iter().copied().chain([rpmbuild_version]))
}

/// Returns a key that changes with whatever decides what the seed looks like, but the Debian packages.
pub fn seed_key(rpmbuild_version: &str) -> Key {
    let conversion = conversion_key(rpmbuild_version);
    let own = own::SPECS.iter().chain(&own::SOURCES).flat_map(|(name, text)| [*name, *text]);
    key(REPOSITORY_SOURCES.iter().copied().chain(own).chain([conversion.as_str()]))
}

/// Returns one hash over texts; where one ends and the next begins counts.
pub fn key<'a>(parts: impl IntoIterator<Item = &'a str>) -> Key {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

/// Returns the hash of a file's content.
pub fn file_hash(path: &Path) -> Result<Key> {
    let mut hash = Sha256::new();
    let mut file = fs::File::open(path).map_err(on("open", path))?;
    std::io::copy(&mut file, &mut hash).map_err(on("read", path))?;
    Ok(hex::encode(hash.finalize()))
}

/// What [`MARKER`] holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Marker {
    /// The version of this file's form.
    pub form: u32,
    /// The hash of everything that the seed was made from.
    pub key: Key,
    /// How many packages it has.
    pub package_count: usize,
}

impl Marker {
    /// The form that this program writes; another one is taken for no marker.
    const FORM: u32 = 1;

    /// Makes a marker.
    pub fn new(key: Key, package_count: usize) -> Marker {
        Marker { form: Marker::FORM, key, package_count }
    }

    /// Reads the marker of a finished seed, if there is one.
    pub fn read(seed: &Path) -> Option<Marker> {
        let text = fs::read(seed.join(MARKER)).ok()?;
        serde_json::from_slice(&text).ok().filter(|marker: &Marker| marker.form == Marker::FORM)
    }

    /// Writes the marker into a seed.
    pub fn write(&self, seed: &Path) -> Result<()> {
        let path = seed.join(MARKER);
        let text = serde_json::to_vec(self).unwrap_or_default();
        fs::write(&path, text).map_err(on("write", path))
    }
}

/// Holds a lock on a folder until it is dropped; waits for another run to end.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "closing the file is what unlocks it")] fs::File);

impl Lock {
    /// Takes the lock.
    pub fn take(path: PathBuf) -> Result<Lock> {
        let file = fs::File::create(&path).map_err(on("create", &path))?;
        file.lock().map_err(on("lock", &path))?;
        Ok(Lock(file))
    }
}

/// Puts a finished folder in the place of another, in one step; readers see the one or the other.
pub fn replace(finished: &Path, place: &Path) -> Result<()> {
    match renameat_with(CWD, finished, CWD, place, RenameFlags::EXCHANGE) {
        Ok(()) => remove(finished),
        Err(_) => fs::rename(finished, place).map_err(on("move into place", place)),
    }
}

/// Removes a folder; none there is no error.
pub fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(on("remove", folder)(error)),
        _ => Ok(()),
    }
}

/// Makes a folder empty, also if it was not there.
pub fn empty(folder: &Path) -> Result<()> {
    remove(folder)?;
    fs::create_dir_all(folder).map_err(on("create", folder))
}

/// Removes everything from a folder whose name is not among those kept.
pub fn keep_only(folder: &Path, kept: &std::collections::BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(on("read", folder))?.flatten() {
        if kept.contains(&*entry.file_name().to_string_lossy()) {
            continue;
        }
        match entry.path().is_dir() {
            true => remove(&entry.path())?,
            false => fs::remove_file(entry.path()).map_err(on("remove", entry.path()))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_one_part_of_a_key_ends_counts() {
        assert_ne!(key(["ab", "c"]), key(["a", "bc"]));
        assert_eq!(key(["ab", "c"]), key(["ab", "c"]));
    }

    #[test]
    fn another_rpmbuild_is_another_seed() {
        assert_ne!(seed_key("4.18"), seed_key("4.19"));
    }

    #[test]
    fn a_marker_reads_back_and_one_of_another_form_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let marker = Marker::new("k".into(), 3);

        marker.write(folder.path()).unwrap();
        assert_eq!(Marker::read(folder.path()), Some(marker.clone()));

        Marker { form: 99, ..marker }.write(folder.path()).unwrap();
        assert_eq!(Marker::read(folder.path()), None);
    }

    #[test]
    fn a_finished_folder_takes_an_empty_or_a_used_place() {
        let folder = tempfile::tempdir().unwrap();
        let (new, place) = (folder.path().join("new"), folder.path().join("place"));

        for generation in ["1", "2"] {
            empty(&new).unwrap();
            fs::write(new.join("generation"), generation).unwrap();

            replace(&new, &place).unwrap();

            assert_eq!(fs::read_to_string(place.join("generation")).unwrap(), generation);
            assert!(!new.exists());
        }
    }
}
