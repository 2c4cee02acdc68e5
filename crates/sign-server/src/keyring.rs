//! The private keys: made here, kept here encrypted, and never given to anybody.
//!
//! `DIR/<name>.asc` is an OpenPGP secret key, encrypted with the passphrase of the keyring, and readable by the Sign Server's user alone.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anima_rpm_file::SigningKey;
use anima_types::key::{Algorithm, CreateKey};
use zeroize::Zeroizing;

use crate::file;

/// A name longer than this is no name; it becomes a file's name.
const MAX_NAME_BYTES: usize = 64;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name would not be a plain file's name.
    #[error(
        "could not use \"{0}\" as a key's name: lower-case letters, digits, '-', '.' and '_', at most {MAX_NAME_BYTES}"
    )]
    Name(String),
    /// A key of that name is there, and is another.
    #[error("could not make key \"{0}\": the keyring has a key of that name with another user id or algorithm")]
    Exists(String),
    /// Nobody has that key.
    #[error("could not find a key with fingerprint {0} in the keyring")]
    Unknown(String),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] file::Error),
    /// The key is damaged, or the passphrase is not its own.
    #[error("could not open key \"{name}\": {source}")]
    Key {
        /// The key's name.
        name: String,
        /// What is wrong.
        source: anima_rpm_file::Error,
    },
}

/// The opened keyring.
pub struct Keyring {
    dir: PathBuf,
    passphrase: Zeroizing<String>,
    keys: BTreeMap<String, SigningKey>,
}

impl Keyring {
    /// Opens the keyring in `dir`, which is made where it is absent, and all its keys.
    pub fn open(dir: &Path, passphrase: Zeroizing<String>) -> Result<Keyring, Error> {
        file::make_private_dir(dir)?;
        let mut keyring = Keyring { dir: dir.to_path_buf(), passphrase, keys: BTreeMap::new() };
        for entry in fs::read_dir(dir).map_err(file::Error::at(dir))? {
            let path = entry.map_err(file::Error::at(dir))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".asc"))
            else {
                continue;
            };
            let key = keyring.load(name, &path)?;
            keyring.keys.insert(name.to_string(), key);
        }
        Ok(keyring)
    }

    /// Returns the key that is wanted, which is made where it is absent: asked twice, it is made once.
    pub fn create(&mut self, wanted: &CreateKey, now_secs: u32) -> Result<&SigningKey, Error> {
        let name = checked(&wanted.name)?;
        if !self.keys.contains_key(name) {
            let key = self.make(wanted, now_secs)?;
            self.keys.insert(name.to_string(), key);
        }
        let key = &self.keys[name];
        let is_wanted = algorithm(key) == wanted.algorithm && key.public_key().user_ids().contains(&wanted.user_id);
        if is_wanted { Ok(key) } else { Err(Error::Exists(name.to_string())) }
    }

    /// Returns the key of that fingerprint.
    pub fn by_fingerprint(&self, fingerprint: &str) -> Result<&SigningKey, Error> {
        let found = self.keys.values().find(|key| key.fingerprint().eq_ignore_ascii_case(fingerprint));
        found.ok_or_else(|| Error::Unknown(fingerprint.chars().take(64).collect()))
    }

    fn make(&self, wanted: &CreateKey, now_secs: u32) -> Result<SigningKey, Error> {
        let wrong = |source| Error::Key { name: wanted.name.clone(), source };
        let key = match wanted.algorithm {
            Algorithm::Ed25519 => SigningKey::generate_ed25519(&wanted.user_id, now_secs),
            Algorithm::Rsa4096 => SigningKey::generate_rsa4096(&wanted.user_id, now_secs),
        };
        let key = key.map_err(wrong)?;
        let secret = key.to_armoured_secret(&self.passphrase).map_err(wrong)?;
        file::write_private(&self.dir.join(format!("{}.asc", wanted.name)), secret.as_bytes())?;
        Ok(key)
    }

    fn load(&self, name: &str, path: &Path) -> Result<SigningKey, Error> {
        let text = fs::read_to_string(path).map_err(file::Error::at(path))?;
        SigningKey::from_armoured_secret(&text, &self.passphrase)
            .map_err(|source| Error::Key { name: name.to_string(), source })
    }
}

/// Returns a key's fingerprint as the API has it, in upper-case hexadecimal.
pub fn fingerprint(key: &SigningKey) -> String {
    key.fingerprint().to_uppercase()
}

fn checked(name: &str) -> Result<&str, Error> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
    let is_name = !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.starts_with('.') && name.chars().all(plain);
    if is_name { Ok(name) } else { Err(Error::Name(name.chars().take(MAX_NAME_BYTES).collect())) }
}

fn algorithm(key: &SigningKey) -> Algorithm {
    match key.algorithm() {
        anima_rpm_file::Algorithm::Ed25519 => Algorithm::Ed25519,
        anima_rpm_file::Algorithm::Rsa4096 => Algorithm::Rsa4096,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn wanted(name: &str) -> CreateKey {
        CreateKey { name: name.into(), algorithm: Algorithm::Ed25519, user_id: "Test <test@example.org>".into() }
    }

    fn keyring(dir: &Path) -> Keyring {
        Keyring::open(&dir.join("keys"), Zeroizing::new("secret".into())).unwrap()
    }

    #[test]
    fn a_key_asked_for_twice_is_made_once_and_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = keyring(dir.path());

        let made = fingerprint(first.create(&wanted("seed-1"), 1_700_000_000).unwrap());
        let again = fingerprint(first.create(&wanted("seed-1"), 1_700_000_999).unwrap());
        let reopened = keyring(dir.path());

        assert_eq!(made, again);
        assert_eq!(fingerprint(reopened.by_fingerprint(&made).unwrap()), made);
    }

    #[test]
    fn a_key_file_is_encrypted_and_readable_by_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        keyring(dir.path()).create(&wanted("seed-1"), 1_700_000_000).unwrap();

        let path = dir.path().join("keys/seed-1.asc");

        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Keyring::open(&dir.path().join("keys"), Zeroizing::new("wrong".into())).is_err());
    }

    #[test]
    fn another_key_of_the_same_name_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut keyring = keyring(dir.path());
        keyring.create(&wanted("seed-1"), 1_700_000_000).unwrap();

        let other = CreateKey { user_id: "Other <other@example.org>".into(), ..wanted("seed-1") };

        assert!(matches!(keyring.create(&other, 1_700_000_000), Err(Error::Exists(_))));
    }

    #[test]
    fn a_name_that_leaves_the_keyring_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut keyring = keyring(dir.path());

        for name in ["", "../up", ".hidden", "a/b", "UPPER", &"x".repeat(65)] {
            assert!(matches!(keyring.create(&wanted(name), 0), Err(Error::Name(_))), "{name}");
        }
    }
}
