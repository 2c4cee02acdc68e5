//! The package database of a root, and questions to it. Of a root that does not run a copy is asked: rpm writes beside a
//! database even when it only reads, and a backup may be mounted so that nobody can.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::{Error, Result};

/// Where package databases are: of Enterprise Linux 9 and later, of 8 and before, of roots that Debian's dnf made.
const FOLDERS: [&str; 3] = ["usr/lib/sysimage/rpm", "var/lib/rpm", "root/.rpmdb"];
/// Their files and their kinds.
const KINDS: [(&str, &str); 3] = [("rpmdb.sqlite", "sqlite"), ("Packages.db", "ndb"), ("Packages", "bdb")];
/// What dnf knows of a system.
const DNF: &str = "var/lib/dnf";

/// A package database.
#[derive(Debug)]
pub(crate) struct Database {
    root: PathBuf,
    /// As rpm wants it: seen from the root.
    path: String,
    kind: &'static str,
    /// A root with nothing but copies, for one that does not run.
    copy: Option<TempDir>,
}

impl Database {
    /// Finds the one of a root.
    pub fn of(root: &Path) -> Result<Database> {
        let failed = |reason: String| Error::Packages { root: root.to_path_buf(), reason };
        let whole = root.canonicalize().map_err(|error| failed(error.to_string()))?;
        let kind = |folder: &Path| KINDS.iter().find(|(file, _)| folder.join(file).exists()).map(|(_, kind)| *kind);
        let found = FOLDERS.iter().find_map(|folder| Some((*folder, kind(&whole.join(folder))?)));
        // rpm would make a database where there is none.
        let Some((folder, kind)) = found else { return Err(failed("it has no package database".to_string())) };
        let mut database = Database { path: format!("/{folder}"), kind, copy: None, root: whole };
        if database.root != Path::new("/") {
            database.take_copy(folder).map_err(|error| failed(format!("it could not be copied: {error}")))?;
        }
        Ok(database)
    }

    /// Copies it to where the host's own programs look for one in a root.
    fn take_copy(&mut self, folder: &str) -> std::io::Result<()> {
        let copy = tempfile::tempdir()?;
        let said = Command::new("rpm").args(["--eval", "%{_dbpath}"]).output()?;
        let usual = String::from_utf8_lossy(&said.stdout).trim().trim_start_matches('/').to_string();
        let to = copy.path().join(if usual.is_empty() { folder } else { usual.as_str() });
        copy_files(&self.root.join(folder), &to)?;
        let up = "/..".repeat(self.root.components().count() - 1);
        self.path = format!("{up}{}", to.canonicalize()?.display());
        self.copy = Some(copy);
        Ok(())
    }

    /// Returns `sqlite`, `ndb` or `bdb`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Asks rpm.
    pub fn ask(&self, arguments: &[&str]) -> std::io::Result<Output> {
        let mut rpm = Command::new("rpm");
        rpm.arg("--root").arg(&self.root).arg("--dbpath").arg(&self.path).args(arguments);
        rpm.env("LC_ALL", "C").output()
    }

    /// Asks dnf what it noted of the packages, where it noted anything.
    pub fn ask_dnf(&self, arguments: &[&str]) -> Option<String> {
        let notes = self.root.join(DNF);
        if !notes.join("history.sqlite").exists() {
            return None;
        }
        let root = match &self.copy {
            None => &self.root,
            Some(copy) => {
                copy_files(&notes, &copy.path().join(DNF)).ok()?;
                copy.path()
            }
        };
        let mut dnf = Command::new("dnf");
        dnf.arg("--installroot").arg(root).args(["--quiet", "--cacheonly", "--disableplugin=*", "--disablerepo=*"]);
        // It asks a root for its release, and this one has only what rpm and dnf know.
        dnf.args(["--releasever=1"]).args(arguments);
        let output = dnf.env("LC_ALL", "C").output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Copies the files of a folder.
fn copy_files(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
