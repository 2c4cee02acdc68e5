//! The private keys: made or imported here, kept here encrypted, and never given to anybody.
//!
//! `DIR/<name>.asc` is an OpenPGP secret key, encrypted with the passphrase of the keyring, and readable by the Sign Server's
//! user alone; `DIR/<name>.files.asc` is the one that its file signatures are by. `DIR/<name>.token.toml` says where in a
//! token a key's secret numbers are, `DIR/<name>.public.asc` is its public half. `DIR/<name>.revoked.asc` says that a key is
//! revoked, and lets it never sign again.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anima_rpm_file::{NewKey, PublicKey, Revocation, SigningKey};
use anima_types::key::{self, Algorithm, CreateKey};
use zeroize::Zeroizing;

use crate::{file, token};

/// A name longer than this is no name; it becomes a file's name.
const MAX_NAME_BYTES: usize = 64;
/// The folder beside the keys where a revocation of each is put when it is made: to be kept elsewhere, for the day on which
/// the key is lost.
const REVOCATIONS: &str = "revocations";

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name would not be a plain file's name.
    #[error(
        "could not use \"{0}\" as a key's name: lower-case letters, digits, '-', '.' and '_', at most {MAX_NAME_BYTES}, no ending of the keyring's own"
    )]
    Name(String),
    /// A key of that name is there, and is another.
    #[error("could not make key \"{0}\": the keyring has a key of that name with another user id or algorithm")]
    Exists(String),
    /// Nobody has that key.
    #[error("could not find a key with fingerprint {0} in the keyring")]
    Unknown(String),
    /// The key may not sign any more.
    #[error("could not sign with key \"{name}\": it {reason}")]
    Ended {
        /// The key's name.
        name: String,
        /// What became of it.
        reason: &'static str,
    },
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
    /// The token does not have the key, or does not open.
    #[error(transparent)]
    Token(#[from] token::Error),
}

/// A key of the keyring.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The key itself.
    pub key: SigningKey,
    /// The one that its file signatures are by.
    pub files: Option<SigningKey>,
    /// Its public half with the revocation, where it is revoked.
    pub revoked: Option<String>,
}

/// The opened keyring.
pub struct Keyring {
    dir: PathBuf,
    passphrase: Zeroizing<String>,
    tokens: token::Tokens,
    keys: BTreeMap<String, Entry>,
}

impl Entry {
    /// Returns the fingerprint as the API has it, in upper-case hexadecimal.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.key)
    }

    /// Returns what it signs with.
    pub fn algorithm(&self) -> Algorithm {
        algorithm(&self.key)
    }

    /// Returns the first of the names that it goes by.
    pub fn user_id(&self) -> String {
        self.key.public_key().user_ids().into_iter().next().unwrap_or_default()
    }

    /// Says why nothing is to be signed with it at a moment, if that is so.
    pub fn check(&self, now_secs: i64) -> Result<(), Error> {
        let ended = |reason| Err(Error::Ended { name: self.name.clone(), reason });
        if self.revoked.is_some() {
            return ended("is revoked");
        }
        match self.key.public_key().expires_at_secs() {
            Some(at_secs) if at_secs <= now_secs => ended("is expired"),
            _ => Ok(()),
        }
    }
}

impl Keyring {
    /// Opens the keyring in `dir`, which is made where it is absent, and all its keys.
    pub fn open(dir: &Path, passphrase: Zeroizing<String>) -> Result<Keyring, Error> {
        Keyring::open_with(dir, passphrase, token::Tokens::default())
    }

    /// Opens a keyring of which some keys are in tokens.
    pub fn open_with(dir: &Path, passphrase: Zeroizing<String>, tokens: token::Tokens) -> Result<Keyring, Error> {
        file::make_private_dir(dir)?;
        let mut keyring = Keyring { dir: dir.to_path_buf(), passphrase, tokens, keys: BTreeMap::new() };
        keyring.look()?;
        Ok(keyring)
    }

    /// Opens the keys that are in the folder and not in memory: somebody may have imported one.
    fn look(&mut self) -> Result<(), Error> {
        for entry in fs::read_dir(&self.dir).map_err(file::Error::at(&self.dir))? {
            let path = entry.map_err(file::Error::at(&self.dir))?.path();
            let Some(file_name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let name = file_name.strip_suffix(".token.toml").or_else(|| file_name.strip_suffix(".asc"));
            let Some(name) = name.filter(|name| checked(name).is_ok() && !self.keys.contains_key(*name)) else {
                continue;
            };
            let entry = self.load(name)?;
            self.keys.insert(name.to_string(), entry);
        }
        Ok(())
    }

    /// Returns the key that is wanted, which is made where it is absent: asked twice, it is made once.
    ///
    /// A key that is to be adopted has to be there already.
    pub fn create(&mut self, wanted: &CreateKey, now_secs: u32) -> Result<&Entry, Error> {
        if let Some(fingerprint) = &wanted.options.adopt {
            let name = self.find(fingerprint)?.to_string();
            return self.with_files(&name, wanted, now_secs);
        }
        let name = checked(&wanted.name)?;
        if !self.keys.contains_key(name) {
            self.look()?;
        }
        if !self.keys.contains_key(name) {
            let key = self.make(wanted, now_secs)?;
            self.keys.insert(name.to_string(), Entry { name: name.to_string(), key, files: None, revoked: None });
        }
        let key = &self.keys[name].key;
        let is_wanted = algorithm(key) == wanted.algorithm && key.public_key().user_ids().contains(&wanted.user_id);
        if !is_wanted {
            return Err(Error::Exists(name.to_string()));
        }
        self.with_files(name, wanted, now_secs)
    }

    /// Takes in a key that another program made; returns it as it is kept. It is refused where there is one of that name.
    pub fn import(&mut self, name: &str, text: &str, passphrase: &str, now_secs: u32) -> Result<&Entry, Error> {
        let name = checked(name)?;
        self.look()?;
        if self.keys.contains_key(name) {
            return Err(Error::Exists(name.to_string()));
        }
        let wrong = |source| Error::Key { name: name.to_string(), source };
        let key = SigningKey::import(text, passphrase, now_secs).map_err(wrong)?;
        self.keep(name, &key)?;
        self.keep_revocation(name, &key, now_secs)?;
        let entry = Entry { name: name.to_string(), key, files: None, revoked: None };
        Ok(self.keys.entry(name.to_string()).or_insert(entry))
    }

    /// Makes the OpenPGP key of secret numbers in a token, which signs its name.
    pub fn adopt_token(
        &mut self,
        name: &str,
        place: &token::Place,
        user_id: &str,
        valid_secs: Option<u32>,
        now_secs: u32,
    ) -> Result<&Entry, Error> {
        let name = checked(name)?;
        self.look()?;
        if self.keys.contains_key(name) {
            return Err(Error::Exists(name.to_string()));
        }
        let wrong = |source| Error::Key { name: name.to_string(), source };
        let (algorithm, token) = self.tokens.key(place)?;
        let wanted = NewKey { algorithm, user_id, created_at_secs: now_secs, valid_secs };
        let key = SigningKey::of_token(token, &wanted).map_err(wrong)?;
        let public = key.to_armoured_public().map_err(wrong)?;
        file::write_private(&self.path(name, "public.asc"), public.as_bytes())?;
        // Last: it is what says that there is a key.
        file::write_private(&self.path(name, "token.toml"), place.to_toml().as_bytes())?;
        self.keep_revocation(name, &key, now_secs)?;
        let entry = Entry { name: name.to_string(), key, files: None, revoked: None };
        Ok(self.keys.entry(name.to_string()).or_insert(entry))
    }

    /// Returns the key of that fingerprint.
    pub fn by_fingerprint(&mut self, fingerprint: &str) -> Result<&Entry, Error> {
        let name = self.find(fingerprint)?.to_string();
        Ok(&self.keys[&name])
    }

    /// Says of a key that it is not to be used any more, and never signs with it again; returns its public half with that.
    /// Said twice, it is as it was said first.
    pub fn revoke(
        &mut self,
        fingerprint: &str,
        why: key::Revocation,
        reason: &str,
        now_secs: u32,
    ) -> Result<String, Error> {
        let name = self.find(fingerprint)?.to_string();
        if let Some(revoked) = &self.keys[&name].revoked {
            return Ok(revoked.clone());
        }
        let wrong = |source| Error::Key { name: name.clone(), source };
        let why = match why {
            key::Revocation::Unsaid => Revocation::Unsaid,
            key::Revocation::Superseded => Revocation::Superseded,
            key::Revocation::Compromised => Revocation::Compromised,
            key::Revocation::Retired => Revocation::Retired,
        };
        let revoked = self.keys[&name].key.revoke(why, reason, now_secs).map_err(wrong)?;
        let revoked = revoked.to_armoured().map_err(wrong)?;
        file::write_private(&self.path(&name, "revoked.asc"), revoked.as_bytes())?;
        if let Some(entry) = self.keys.get_mut(&name) {
            entry.revoked = Some(revoked.clone());
        }
        Ok(revoked)
    }

    fn find(&mut self, fingerprint: &str) -> Result<&str, Error> {
        let is_it = |entry: &Entry| entry.key.fingerprint().eq_ignore_ascii_case(fingerprint);
        if !self.keys.values().any(is_it) {
            self.look()?;
        }
        let found = self.keys.values().find(|entry| is_it(entry));
        found.map(|entry| entry.name.as_str()).ok_or_else(|| Error::Unknown(fingerprint.chars().take(64).collect()))
    }

    /// Returns a key with one for signatures of files, if that is wanted.
    fn with_files(&mut self, name: &str, wanted: &CreateKey, now_secs: u32) -> Result<&Entry, Error> {
        if wanted.options.signs_files && self.keys[name].files.is_none() {
            // What files are signed with signs nothing else: who gets a file into a package chooses what is signed.
            let user_id = format!("Files of {}", wanted.user_id);
            let files = NewKey {
                algorithm: anima_rpm_file::Algorithm::Rsa4096,
                user_id: &user_id,
                created_at_secs: now_secs,
                valid_secs: None,
            };
            let key = SigningKey::generate(&files).map_err(|source| Error::Key { name: name.to_string(), source })?;
            self.keep(&format!("{name}.files"), &key)?;
            if let Some(entry) = self.keys.get_mut(name) {
                entry.files = Some(key);
            }
        }
        Ok(&self.keys[name])
    }

    fn make(&self, wanted: &CreateKey, now_secs: u32) -> Result<SigningKey, Error> {
        let algorithm = match wanted.algorithm {
            Algorithm::Ed25519 => anima_rpm_file::Algorithm::Ed25519,
            Algorithm::Rsa4096 => anima_rpm_file::Algorithm::Rsa4096,
        };
        let valid_secs = wanted.options.valid_secs;
        let new = NewKey { algorithm, user_id: &wanted.user_id, created_at_secs: now_secs, valid_secs };
        let key = SigningKey::generate(&new).map_err(|source| Error::Key { name: wanted.name.clone(), source })?;
        self.keep(&wanted.name, &key)?;
        self.keep_revocation(&wanted.name, &key, now_secs)?;
        Ok(key)
    }

    fn keep(&self, name: &str, key: &SigningKey) -> Result<(), Error> {
        let secret =
            key.to_armoured_secret(&self.passphrase).map_err(|source| Error::Key { name: name.to_string(), source })?;
        Ok(file::write_private(&self.path(name, "asc"), secret.as_bytes())?)
    }

    fn keep_revocation(&self, name: &str, key: &SigningKey, now_secs: u32) -> Result<(), Error> {
        let wrong = |source| Error::Key { name: name.to_string(), source };
        let revoked = key.revoke(Revocation::Unsaid, "", now_secs).and_then(|key| key.to_armoured()).map_err(wrong)?;
        let dir = self.dir.with_file_name(REVOCATIONS);
        file::make_private_dir(&dir)?;
        Ok(file::write_private(&dir.join(format!("{name}.asc")), revoked.as_bytes())?)
    }

    fn load(&self, name: &str) -> Result<Entry, Error> {
        let wrong = |source| Error::Key { name: name.to_string(), source };
        let read = |path: PathBuf| fs::read_to_string(&path).map_err(file::Error::at(&path));
        let place = self.path(name, "token.toml");
        let key = if place.exists() {
            let place = token::Place::read(&place)?;
            let public = PublicKey::from_armoured(&read(self.path(name, "public.asc"))?).map_err(wrong)?;
            SigningKey::from_token(&public, self.tokens.key(&place)?.1).map_err(wrong)?
        } else {
            SigningKey::from_armoured_secret(&read(self.path(name, "asc"))?, &self.passphrase).map_err(wrong)?
        };
        let files = self.path(name, "files.asc");
        let files = match files.exists() {
            true => Some(SigningKey::from_armoured_secret(&read(files)?, &self.passphrase).map_err(wrong)?),
            false => None,
        };
        let revoked = self.path(name, "revoked.asc");
        let revoked = if revoked.exists() { Some(read(revoked)?) } else { None };
        Ok(Entry { name: name.to_string(), key, files, revoked })
    }

    fn path(&self, name: &str, ending: &str) -> PathBuf {
        self.dir.join(format!("{name}.{ending}"))
    }
}

/// Returns a key's fingerprint as the API has it, in upper-case hexadecimal.
pub fn fingerprint(key: &SigningKey) -> String {
    key.fingerprint().to_uppercase()
}

/// Endings of the keyring's own files.
const OWN_ENDINGS: [&str; 4] = [".files", ".public", ".revoked", ".token"];

fn checked(name: &str) -> Result<&str, Error> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
    let is_name = !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && !name.starts_with('.')
        && name.chars().all(plain)
        && !OWN_ENDINGS.iter().any(|ending| name.ends_with(ending));
    if is_name { Ok(name) } else { Err(Error::Name(name.chars().take(MAX_NAME_BYTES).collect())) }
}

fn algorithm(key: &SigningKey) -> Algorithm {
    match key.algorithm() {
        anima_rpm_file::Algorithm::Ed25519 => Algorithm::Ed25519,
        anima_rpm_file::Algorithm::Rsa4096 => Algorithm::Rsa4096,
    }
}

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
