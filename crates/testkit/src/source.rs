//! Source packages as a packager has them: a work tree with a spec.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::command::run;

/// A dist-git work tree in a temporary folder.
#[derive(Debug)]
pub struct SourcePackage {
    name: String,
    folder: TempDir,
}

impl SourcePackage {
    /// Returns a noarch package of that version with one file, `/usr/share/NAME/version`.
    pub fn tiny(name: &str, version: &str) -> Result<SourcePackage> {
        SourcePackage::with_spec(name, &tiny_spec(name, version, ""))
    }

    /// Returns a tiny package with more lines in the spec's preamble, such as `BuildRequires: …`.
    pub fn tiny_with(name: &str, version: &str, preamble: &str) -> Result<SourcePackage> {
        SourcePackage::with_spec(name, &tiny_spec(name, version, preamble))
    }

    /// Returns a package with nothing but a spec.
    pub fn with_spec(name: &str, spec: &str) -> Result<SourcePackage> {
        let package = SourcePackage::empty(name)?;
        package.write(&format!("{name}.spec"), spec.as_bytes())?;
        Ok(package)
    }

    /// Returns a copy of a folder, such as one of `examples/`.
    pub fn copy_of(folder: &Path) -> Result<SourcePackage> {
        let name = folder.file_name().context("the folder has no name")?.to_string_lossy().into_owned();
        let package = SourcePackage::empty(&name)?;
        run(Command::new("cp").arg("-rT").arg(folder).arg(package.folder.path()))?;
        Ok(package)
    }

    fn empty(name: &str) -> Result<SourcePackage> {
        let package = SourcePackage { name: name.to_string(), folder: tempfile::tempdir()? };
        package.git(&["init", "--quiet", "--initial-branch=s1"])?;
        Ok(package)
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the path of a file in it.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Writes a file into it.
    pub fn write(&self, file: &str, bytes: &[u8]) -> Result<()> {
        fs::write(self.path(file), bytes).with_context(|| format!("could not write {file}"))
    }

    /// Commits everything, also if nothing changed, and returns the commit.
    pub fn commit(&self, message: &str) -> Result<String> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message])?;
        Ok(self.git(&["rev-parse", "HEAD"])?.trim().to_string())
    }

    /// Pushes the newest commit to a branch of a repository; returns what git printed.
    pub fn push_to(&self, url: &str, branch: &str) -> Result<String> {
        let output = crate::command::output(self.command().args(["push", url, &format!("HEAD:refs/heads/{branch}")]))?;
        let said = crate::command::said(&output);
        anyhow::ensure!(output.status.success(), "git push failed:\n{said}");
        Ok(said)
    }

    fn git(&self, arguments: &[&str]) -> Result<String> {
        run(self.command().args(arguments))
    }

    fn command(&self) -> Command {
        let mut command = Command::new("git");
        command.current_dir(self.folder.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.folder.path());
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0");
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "A Packager")
                .env(format!("GIT_{who}_EMAIL"), "packager@example.org");
        }
        command
    }
}

fn tiny_spec(name: &str, version: &str, preamble: &str) -> String {
    format!(
        "Name: {name}\nVersion: {version}\nRelease: 1%{{?dist}}\nSummary: A tiny package\nLicense: MIT\nBuildArch: noarch\n\
         {preamble}\n%description\nIt has one file.\n\n%install\nmkdir -p %{{buildroot}}/usr/share/%{{name}}\n\
         echo %{{version}} > %{{buildroot}}/usr/share/%{{name}}/version\n\n%files\n/usr/share/%{{name}}\n\n\
         %changelog\n* Mon Nov 02 2026 A Packager <packager@example.org> - {version}-1\n- First\n"
    )
}
