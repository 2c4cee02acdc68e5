//! One file on its way into the store: hashed while it is written, and gone if it does not arrive.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use anima_types::Sha256;
use sha2::{Digest, Sha256 as Hasher};
use tempfile::NamedTempFile;

use crate::error::Error;

/// Everybody reads an artifact, nobody writes it.
const MODE: u32 = 0o444;

/// A file that is in the store now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stored {
    /// Its name.
    pub sha256: Sha256,
    /// Its size.
    pub size_bytes: u64,
    /// Whether it was not there before.
    pub is_new: bool,
}

/// A file that is being written. Dropping it leaves nothing behind.
pub(crate) struct Upload {
    file: NamedTempFile,
    hasher: Hasher,
    written_bytes: u64,
    max_bytes: u64,
}

impl Upload {
    pub(crate) fn begin(temporary_dir: &Path, max_bytes: u64) -> Result<Upload, Error> {
        let file = NamedTempFile::new_in(temporary_dir).map_err(|error| Error::io("store artifact", error))?;
        // Says that somebody writes it: what has no lock was left by a process that is gone.
        file.as_file().lock().map_err(|error| Error::io("store artifact", error))?;
        Ok(Upload { file, hasher: Hasher::new(), written_bytes: 0, max_bytes })
    }

    pub(crate) fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let total = self.written_bytes + bytes.len() as u64;
        if total > self.max_bytes {
            return Err(Error::TooLong { max_bytes: self.max_bytes });
        }
        write_to(self.file.as_file_mut(), bytes)?;
        self.hasher.update(bytes);
        self.written_bytes = total;
        Ok(())
    }

    /// Returns the file, what its bytes hash to, and how many they are.
    pub(crate) fn into_parts(self) -> (NamedTempFile, Sha256, u64) {
        (self.file, Sha256(self.hasher.finalize().into()), self.written_bytes)
    }

    /// Returns the same, unless it is not what was expected.
    pub(crate) fn checked(self, expected: Option<Sha256>) -> Result<(NamedTempFile, Sha256, u64), Error> {
        let (file, actual, size_bytes) = self.into_parts();
        match expected.filter(|expected| *expected != actual) {
            Some(expected) => Err(Error::WrongHash { expected, actual }),
            None => Ok((file, actual, size_bytes)),
        }
    }
}

/// Gives a file its place in a folder.
pub(crate) fn place(file: NamedTempFile, sha256: Sha256, size_bytes: u64, place: &Path) -> Result<Stored, Error> {
    let is_new = persist(file, place).map_err(|error| Error::io(format!("store artifact {sha256}"), error))?;
    Ok(Stored { sha256, size_bytes, is_new })
}

fn write_to(file: &mut File, bytes: &[u8]) -> Result<(), Error> {
    file.write_all(bytes).map_err(|error| Error::io("store artifact", error))
}

/// Syncs the file, then its name: after a power cut it is there whole or not at all. Returns whether it is new.
fn persist(file: NamedTempFile, place: &Path) -> io::Result<bool> {
    if is_there(place) {
        return Ok(false);
    }
    file.as_file().set_permissions(Permissions::from_mode(MODE))?;
    file.as_file().sync_all()?;
    let dir = place.parent().ok_or(io::ErrorKind::InvalidFilename)?;
    make_dir(dir)?;
    let is_new = match file.persist_noclobber(place) {
        Ok(_) => true,
        // Somebody else stored the same bytes at the same time.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(error.error),
    };
    sync_dir(dir)?;
    Ok(is_new)
}

/// Returns whether the artifact is there, and if so makes it young, so that it is not collected as garbage before a row
/// names it. What is taken away at this moment is not there.
fn is_there(place: &Path) -> bool {
    let touched = File::open(place).and_then(|file| file.set_modified(std::time::SystemTime::now()));
    touched.is_ok() && place.exists()
}

fn make_dir(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Ok(()) => dir.parent().map_or(Ok(()), sync_dir),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_has_its_own_error() {
        let mut full = File::options().write(true).open("/dev/full").unwrap();

        let error = write_to(&mut full, b"x").unwrap_err();

        assert!(matches!(error, Error::DiskFull { .. }));
        assert_eq!(error.to_string(), "could not store artifact: the disk is full");
    }
}
