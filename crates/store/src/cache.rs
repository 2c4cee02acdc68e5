//! Copies of a bucket's artifacts on this machine's disk: for programs that want a path, and for what is read often.
//!
//! It begins empty, so that nothing that a power cut left half-written is taken for whole, and forgets what was used longest
//! ago. A copy that somebody works with has a second name for as long, so that forgetting does not take it from them.

use std::{
    fs::{self, File},
    io,
    ops::Deref,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use anima_types::Sha256;
use tempfile::{NamedTempFile, TempPath};

/// When it is full, it is emptied to this part of its size, so that not every copy has to look for room.
const KEPT_PARTS: (u64, u64) = (3, 4);
/// A single copy may take this part of it: one large package shall not cost all others their place.
const LARGEST_PART: u64 = 4;
const COPIES_DIR: &str = "copies";

/// A file on this machine's disk that has an artifact's bytes, for as long as this is held.
#[derive(Debug)]
pub struct LocalFile {
    path: PathBuf,
    _name: Option<TempPath>,
}

impl LocalFile {
    pub(crate) fn lasting(path: PathBuf) -> LocalFile {
        LocalFile { path, _name: None }
    }

    fn until_dropped(name: TempPath) -> LocalFile {
        LocalFile { path: name.to_path_buf(), _name: Some(name) }
    }
}

impl Deref for LocalFile {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl AsRef<Path> for LocalFile {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

#[derive(Debug)]
pub(crate) struct Cache {
    copies: PathBuf,
    temporary_dir: PathBuf,
    max_bytes: u64,
    used_bytes: Mutex<u64>,
}

impl Cache {
    pub(crate) fn open(dir: &Path, temporary_dir: &Path, max_bytes: u64) -> io::Result<Cache> {
        let copies = dir.join(COPIES_DIR);
        match fs::remove_dir_all(&copies) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&copies)?,
        }
        Ok(Cache { copies, temporary_dir: temporary_dir.to_path_buf(), max_bytes, used_bytes: Mutex::new(0) })
    }

    /// Returns the copy of an artifact, if there is one.
    pub(crate) fn get(&self, sha256: Sha256) -> io::Result<Option<LocalFile>> {
        let place = self.place(sha256);
        match File::open(&place).and_then(|file| file.set_modified(SystemTime::now())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        }
        match self.name(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    /// Takes in a file that was seen to have an artifact's bytes.
    pub(crate) fn insert(&self, sha256: Sha256, size_bytes: u64, file: NamedTempFile) -> io::Result<LocalFile> {
        if size_bytes > self.max_bytes / LARGEST_PART {
            return Ok(LocalFile::until_dropped(file.into_temp_path()));
        }
        let place = self.place(sha256);
        let is_new = !place.exists();
        file.persist(&place).map_err(|error| error.error)?;
        let held = self.name(&place)?;
        let mut used_bytes = self.used_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        *used_bytes += if is_new { size_bytes } else { 0 };
        if *used_bytes > self.max_bytes {
            *used_bytes = self.forget()?;
        }
        Ok(held)
    }

    /// Forgets one.
    pub(crate) fn remove(&self, sha256: Sha256) {
        // That it stays costs some room, and is found by nobody whom a row does not name it.
        let _ = fs::remove_file(self.place(sha256));
    }

    /// Forgets what was used longest ago; returns what is left, in bytes.
    fn forget(&self) -> io::Result<u64> {
        let mut copies = Vec::new();
        for entry in fs::read_dir(&self.copies)? {
            let entry = entry?;
            if let Ok(metadata) = entry.metadata() {
                copies.push((metadata.modified()?, metadata.len(), entry.path()));
            }
        }
        copies.sort();
        let mut left_bytes = copies.iter().map(|(_, length, _)| length).sum::<u64>();
        for (_, length, path) in copies {
            if left_bytes <= self.max_bytes / KEPT_PARTS.1 * KEPT_PARTS.0 {
                break;
            }
            fs::remove_file(path)?;
            left_bytes -= length;
        }
        Ok(left_bytes)
    }

    fn name(&self, place: &Path) -> io::Result<LocalFile> {
        let name =
            tempfile::Builder::new().prefix("held-").make_in(&self.temporary_dir, |path| fs::hard_link(place, path));
        Ok(LocalFile::until_dropped(name?.into_temp_path()))
    }

    fn place(&self, sha256: Sha256) -> PathBuf {
        self.copies.join(sha256.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, time::Duration};

    use super::*;

    fn cache(folder: &Path, max_bytes: u64) -> Cache {
        fs::create_dir_all(folder.join("tmp")).unwrap();
        Cache::open(folder, &folder.join("tmp"), max_bytes).unwrap()
    }

    fn copy(cache: &Cache, byte: u8, size: usize) -> LocalFile {
        let mut file = NamedTempFile::new_in(&cache.temporary_dir).unwrap();
        file.write_all(&vec![byte; size]).unwrap();
        cache.insert(Sha256([byte; 32]), size as u64, file).unwrap()
    }

    #[test]
    fn what_was_used_longest_ago_is_forgotten_and_what_is_held_stays_readable() {
        let folder = tempfile::TempDir::new().unwrap();
        let cache = cache(folder.path(), 100);
        let long_ago = SystemTime::now() - Duration::from_secs(100);
        let held = copy(&cache, 1, 25);
        for byte in 2..=4 {
            copy(&cache, byte, 25);
        }
        for byte in 1..=4 {
            let file = File::open(cache.place(Sha256([byte; 32]))).unwrap();
            file.set_modified(long_ago + Duration::from_secs(byte.into())).unwrap();
        }
        assert!(cache.get(Sha256([2; 32])).unwrap().is_some(), "this one is used");

        copy(&cache, 5, 25);

        let there: Vec<u8> = (1..=5).filter(|byte| cache.get(Sha256([*byte; 32])).unwrap().is_some()).collect();
        assert_eq!(there, [2, 4, 5]);
        assert_eq!(fs::read(&held).unwrap(), [1; 25]);
        drop(held);
        assert_eq!(fs::read_dir(&cache.temporary_dir).unwrap().count(), 0);
    }

    #[test]
    fn one_that_is_too_large_for_it_is_there_while_it_is_held() {
        let folder = tempfile::TempDir::new().unwrap();
        let cache = cache(folder.path(), 100);

        let held = copy(&cache, 1, 26);

        assert_eq!(fs::read(&held).unwrap(), [1; 26]);
        assert!(cache.get(Sha256([1; 32])).unwrap().is_none());
    }
}
