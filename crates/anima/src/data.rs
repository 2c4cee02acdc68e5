//! The data folder: everything that a running Anima keeps, and where.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure, Result};

/// Where a system-wide installation keeps its data.
const SYSTEM_FOLDER: &str = "/var/lib/anima";
/// Where anybody else does: below the current folder.
const OWN_FOLDER: &str = "data";

/// A folder, and the names in it.
#[derive(Clone, Debug)]
pub struct DataFolder(PathBuf);

/// What a running `anima up` says of itself, so that the command line on the same machine finds it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// The supervisor's process.
    pub pid: u32,
    pub master_url: String,
    pub git_url: String,
}

impl DataFolder {
    /// Returns the folder that was asked for, or else the default: `/var/lib/anima` for root, `./data` for others.
    pub fn new(asked: Option<&Path>) -> DataFolder {
        match asked {
            Some(path) => DataFolder(path.to_path_buf()),
            None if rustix::process::geteuid().is_root() => DataFolder(SYSTEM_FOLDER.into()),
            None => DataFolder(OWN_FOLDER.into()),
        }
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn config_file(&self) -> PathBuf {
        self.0.join("anima.toml")
    }

    /// An operator's own platform files.
    pub fn platforms(&self) -> PathBuf {
        self.0.join("platforms")
    }

    /// The tokens that the master makes for the roles beside it, one file a role.
    pub fn tokens(&self) -> PathBuf {
        self.0.join("tokens")
    }

    pub fn token(&self, role: &str) -> PathBuf {
        self.tokens().join(role)
    }

    /// A role's own folder.
    pub fn of_role(&self, role: &str) -> PathBuf {
        self.0.join(role)
    }

    pub fn log(&self, role: &str) -> PathBuf {
        self.0.join("logs").join(format!("{role}.log"))
    }

    pub fn pid(&self, role: &str) -> PathBuf {
        self.0.join("run").join(format!("{role}.pid"))
    }

    pub fn running(&self) -> PathBuf {
        self.0.join("run").join("anima.json")
    }

    /// Which backup is being restored here; it is there until all of it is.
    pub fn restoring(&self) -> PathBuf {
        self.0.join("restoring.json")
    }

    pub fn lock(&self) -> PathBuf {
        self.0.join("anima.lock")
    }

    /// Makes the folder and those below it that the supervisor writes to. Nobody else may look into `run` and `logs`.
    pub fn create(&self) -> Result {
        let failed = |path: &Path, error: io::Error| {
            Failure::new(Exit::Config, format!("could not create data folder {}: {error}", path.display()))
                .hint("name a folder that you may write to with --data")
        };
        fs::create_dir_all(&self.0).map_err(|error| failed(&self.0, error))?;
        for name in ["logs", "run"] {
            let path = self.0.join(name);
            fs::DirBuilder::new().recursive(true).mode(0o750).create(&path).map_err(|error| failed(&path, error))?;
        }
        Ok(())
    }

    /// Returns what a running supervisor has written, if one has.
    pub fn read_running(&self) -> Option<Running> {
        serde_json::from_str(&fs::read_to_string(self.running()).ok()?).ok()
    }

    /// Returns a role's token, if the master has made it and we may read it.
    pub fn read_token(&self, role: &str) -> Option<String> {
        let text = fs::read_to_string(self.token(role)).ok()?;
        Some(text.trim().to_string()).filter(|token| !token.is_empty())
    }
}

/// Writes a file that is either the old one or the new one, whole, whatever happens; only the owner may read it.
pub fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o600))?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_supervisor_wrote_is_found_and_nothing_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::new(Some(folder.path()));
        data.create().unwrap();
        let running = Running { pid: 7, master_url: "http://m".into(), git_url: "http://g".into() };

        write_whole(&data.running(), &serde_json::to_string(&running).unwrap()).unwrap();

        assert_eq!(data.read_running(), Some(running));
        assert_eq!(data.read_token("admin"), None);
    }

    #[test]
    fn a_data_folder_that_cannot_be_made_is_a_configuration_error_with_a_hint() {
        let failure = DataFolder::new(Some(Path::new("/proc/none/data"))).create().unwrap_err();

        assert_eq!(failure.exit, Exit::Config);
        assert!(failure.hint.is_some());
    }
}
