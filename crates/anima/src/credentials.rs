//! Tokens that `anima login` keeps, one for each master, in a file that only its owner may read.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::{
    data::write_whole,
    exit::{Failure, Result},
};

/// What is in the file. A newer program's file is not touched.
const VERSION: u32 = 1;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    version: u32,
    /// By the master's address.
    masters: BTreeMap<String, Login>,
}

/// Somebody's token for a master.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Login {
    /// Whose.
    pub account: String,
    /// The token.
    pub token: String,
}

/// The file.
#[derive(Debug)]
pub struct Credentials(PathBuf);

impl Credentials {
    /// Returns the user's own: in `$XDG_CONFIG_HOME/anima`, or `~/.config/anima`
    /// ([XDG base directories](https://specifications.freedesktop.org/basedir-spec/latest/)). None where there is no home.
    pub fn of_user() -> Option<Credentials> {
        let set = |name: &str| std::env::var_os(name).filter(|value| Path::new(value).is_absolute()).map(PathBuf::from);
        let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
        Some(Credentials(folder.join("anima/tokens.json")))
    }

    /// Returns the login at that master.
    pub fn find(&self, master: &str) -> Option<Login> {
        self.look(master).ok().flatten()
    }

    /// The same for who has to know that the file could not be read.
    pub fn look(&self, master: &str) -> Result<Option<Login>> {
        Ok(self.read()?.masters.remove(&key(master)))
    }

    /// Keeps a login.
    pub fn keep(&self, master: &str, login: Login) -> Result {
        let mut stored = self.read()?;
        stored.masters.insert(key(master), login);
        self.write(&stored)
    }

    /// Forgets the login at that master; returns it, if there was one.
    pub fn forget(&self, master: &str) -> Result<Option<Login>> {
        let mut stored = self.read()?;
        let login = stored.masters.remove(&key(master));
        self.write(&stored)?;
        Ok(login)
    }

    fn read(&self) -> Result<Stored> {
        let path = self.0.display();
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Stored { version: VERSION, ..Stored::default() });
            }
            Err(error) => return Err(Failure::config(format!("could not read {path}: {error}"))),
        };
        let stored: Stored = serde_json::from_str(&text).map_err(|error| {
            Failure::config(format!("could not use {path}: {error}")).hint("remove it, and log in again")
        })?;
        match stored.version {
            VERSION => Ok(stored),
            other => Err(Failure::config(format!("could not use {path}: it is of version {other}"))),
        }
    }

    fn write(&self, stored: &Stored) -> Result {
        let folder = self.0.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .context("could not make the folder of logins")?;
        let text = serde_json::to_string_pretty(stored).map_err(anyhow::Error::new)?;
        Ok(write_whole(&self.0, &text).with_context(|| format!("could not write {}", self.0.display()))?)
    }
}

fn key(master: &str) -> String {
    master.trim_end_matches('/').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_login_is_for_its_own_master_and_read_by_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let credentials = Credentials(folder.path().join("anima/tokens.json"));
        let login = Login { account: "ann".into(), token: "secret".into() };

        credentials.keep("http://a.example/", login).unwrap();

        assert_eq!(credentials.find("http://a.example").unwrap().token, "secret");
        assert!(credentials.find("http://b.example").is_none());
        assert_eq!(fs::metadata(&credentials.0).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(credentials.forget("http://a.example").unwrap().is_some());
        assert!(credentials.find("http://a.example").is_none());
    }
}
