//! The passphrase that the keys are encrypted with, and the PIN of tokens: in a file that its owner alone can read, or said
//! by a person when the Sign Server is started.

use std::{
    fs::{self, File},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::file;

/// Bytes of the passphrase that is made where none is given.
const MADE_BYTES: usize = 32;
/// A file longer than this is not a passphrase, but something named by mistake.
const MAX_BYTES: u64 = 4096;
/// What the group and others may do with the file: nothing.
const FOREIGN_BITS: u32 = 0o077;

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Others can read the file.
    #[error("could not trust the passphrase in {path}: others than its owner may open it (mode {mode:04o}); run chmod 600 on it", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file has no passphrase in it.
    #[error("could not use the passphrase in {path}: {reason}", path = path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There are keys, but their passphrase is gone.
    #[error("could not find {path}, the passphrase of the keys in {keys}; restore it from a backup", path = path.display(), keys = keys.display())]
    Lost {
        /// The file.
        path: PathBuf,
        /// The keyring.
        keys: PathBuf,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] file::Error),
}

/// Where a passphrase comes from.
#[derive(Clone)]
pub enum Secret {
    /// A file that its owner alone may read.
    File(PathBuf),
    /// A file in the Sign Server's own folder, which is made at the first start.
    Made,
    /// A person said it.
    Said(Zeroizing<String>),
}

impl Secret {
    /// Returns the passphrase; `made` is the file of [`Secret::Made`], which is not made anew for keys that are there.
    pub fn read(&self, made: &Path, keys: &Path) -> Result<Zeroizing<String>, Error> {
        match self {
            Secret::File(path) => read(path),
            Secret::Made => read_or_make(made, keys),
            Secret::Said(text) if text.is_empty() => {
                Err(Error::Unusable { path: "the answer".into(), reason: "it is empty" })
            }
            Secret::Said(text) => Ok(text.clone()),
        }
    }
}

/// Returns the passphrase in `path`, without the line's end.
pub fn read(path: &Path) -> Result<Zeroizing<String>, Error> {
    let unusable = |reason| Error::Unusable { path: path.to_path_buf(), reason };
    let file = File::open(path).map_err(file::Error::at(path))?;
    let mode = file.metadata().map_err(file::Error::at(path))?.permissions().mode() & 0o7777;
    if mode & FOREIGN_BITS != 0 {
        return Err(Error::Open { path: path.to_path_buf(), mode });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(file::Error::at(path))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(unusable("it is too long"));
    }
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(unusable("it is empty")),
        passphrase => Ok(Zeroizing::new(passphrase.to_string())),
    }
}

/// Returns the passphrase in `path`, which is made at random before there is any key in `keys`.
pub fn read_or_make(path: &Path, keys: &Path) -> Result<Zeroizing<String>, Error> {
    if path.exists() {
        return read(path);
    }
    let has_keys = fs::read_dir(keys).is_ok_and(|mut entries| entries.next().is_some());
    if has_keys {
        return Err(Error::Lost { path: path.to_path_buf(), keys: keys.to_path_buf() });
    }
    let bytes: Zeroizing<[u8; MADE_BYTES]> = Zeroizing::new(rand::random());
    let text = Zeroizing::new(hex::encode(bytes.as_slice()));
    file::write_private(path, text.as_bytes())?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("passphrase");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn a_passphrase_keeps_its_blanks_and_loses_the_end_of_its_line() {
        let (_dir, path) = file(" correct horse \r\n", 0o600);

        assert_eq!(*read(&path).unwrap(), " correct horse ");
    }

    #[test]
    fn a_passphrase_that_others_may_read_is_refused_with_the_cure() {
        for mode in [0o644, 0o640, 0o602, 0o601] {
            let (_dir, path) = file("secret", mode);

            let error = read(&path).unwrap_err().to_string();

            assert!(error.contains(&format!("{mode:04o}")) && error.ends_with("run chmod 600 on it"), "{error}");
        }
    }

    #[test]
    fn an_empty_or_endless_passphrase_is_refused() {
        for content in ["", "\n\n", &"x".repeat(MAX_BYTES as usize + 1)] {
            let (_dir, path) = file(content, 0o600);

            assert!(matches!(read(&path), Err(Error::Unusable { .. })));
        }
    }

    #[test]
    fn a_passphrase_is_made_once_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (path, keys) = (dir.path().join("passphrase"), dir.path().join("keys"));

        let made = read_or_make(&path, &keys).unwrap();
        let again = read_or_make(&path, &keys).unwrap();

        assert_eq!(made, again);
        assert_eq!(made.len(), 2 * MADE_BYTES);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_passphrase_is_not_made_for_keys_that_have_another() {
        let dir = tempfile::tempdir().unwrap();
        let (path, keys) = (dir.path().join("passphrase"), dir.path().join("keys"));
        fs::create_dir(&keys).unwrap();
        fs::write(keys.join("seed-1.asc"), "a key").unwrap();

        assert!(matches!(read_or_make(&path, &keys), Err(Error::Lost { .. })));
        assert!(!path.exists());
    }
}
