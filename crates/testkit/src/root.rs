//! A fresh root that the real `dnf` installs into, as a user's machine would.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;
use tempfile::TempDir;

use crate::command::{output, run, said};

/// A root in a temporary folder, with dnf's configuration beside it.
#[derive(Debug)]
pub struct Root {
    folder: TempDir,
}

impl Root {
    /// Returns an empty root that knows the product's repositories as `PRODUCT.repo` of the master describes them, with
    /// both checks of signatures, and the unsigned base distribution below them.
    pub fn new(master_url: &str, product: &str) -> Result<Root> {
        Root::on(master_url, product, product)
    }

    /// Returns the same on the base distribution of a platform of another name.
    pub fn on(master_url: &str, product: &str, platform: &str) -> Result<Root> {
        Root::on_base(master_url, product, &format!("seed/{platform}/"))
    }

    /// Returns the same on a base distribution in a folder of one of the master's mirrors, one repository for each architecture.
    pub fn on_base(master_url: &str, product: &str, base: &str) -> Result<Root> {
        let root = Root { folder: tempfile::tempdir()? };
        for name in ["repos", "root", "cache", "home"] {
            fs::create_dir(root.path(name))?;
        }
        // Debian's rpm keeps its database in the user's home.
        fs::write(root.path("home/.rpmmacros"), "%_dbpath /var/lib/rpm\n")?;
        fs::write(root.path("repos/product.repo"), repo_file(master_url, product)?)?;
        let base = format!(
            "[base]\nname=base\nbaseurl={master_url}/mirror/{base}{arch}/\ngpgcheck=0\nrepo_gpgcheck=0\nenabled=1\n",
            arch = std::env::consts::ARCH
        );
        fs::write(root.path("repos/base.repo"), base)?;
        let config = format!(
            "[main]\nreposdir={}\ncachedir={}\nlogdir={}\npersistdir={}\nmetadata_expire=1\ninstall_weak_deps=0\ntsflags=nodocs\n",
            root.path("repos").display(),
            root.path("cache").display(),
            root.path("cache").display(),
            root.path("cache").display(),
        );
        fs::write(root.path("dnf.conf"), config)?;
        Ok(root)
    }

    /// Lets it know another product's repositories, too.
    pub fn add(&self, master_url: &str, product: &str) -> Result<()> {
        Ok(fs::write(self.path(&format!("repos/{product}.repo")), repo_file(master_url, product)?)?)
    }

    /// Takes the product's first repository from a folder instead, with the same checks.
    pub fn take_from(&self, product: &str, folder: &Path) -> Result<()> {
        self.take_from_url(product, &format!("file://{}/", folder.display()))
    }

    /// The same from an address.
    pub fn take_from_url(&self, product: &str, url: &str) -> Result<()> {
        let file = self.path("repos/product.repo");
        let text = fs::read_to_string(&file)?;
        anyhow::ensure!(
            text.contains("repo_gpgcheck=1") && text.contains("gpgcheck=1"),
            "{product} is not checked: {text}"
        );
        let mut is_first = true;
        let lines = text.lines().map(|line| match line.starts_with("metalink=") && std::mem::take(&mut is_first) {
            true => format!("baseurl={url}"),
            false => line.to_string(),
        });
        Ok(fs::write(&file, lines.collect::<Vec<_>>().join("\n"))?)
    }

    /// Runs dnf on the root; an error has all that it said.
    pub fn dnf(&self, arguments: &[&str]) -> Result<String> {
        let output = output(
            Command::new("dnf")
                .env("HOME", self.path("home"))
                .arg(format!("--config={}", self.path("dnf.conf").display()))
                .arg(format!("--installroot={}", self.path("root").display()))
                .args(["--assumeyes", "--releasever=1", "--disableplugin=local", "--setopt=keepcache=0"])
                .args(arguments),
        )?;
        let text = said(&output);
        anyhow::ensure!(output.status.success(), "dnf {arguments:?} ended with {}:\n{text}", output.status);
        Ok(text)
    }

    /// Runs a command in the root and returns what it printed.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        run(Command::new("chroot").arg(self.path("root")).args(arguments))
    }

    /// Returns the path of something beside the root: `root/…` is in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Returns a product's `.repo` file, as its users fetch it.
fn repo_file(master_url: &str, product: &str) -> Result<String> {
    run(Command::new("curl").args(["-sSf", &format!("{master_url}/repos/{product}/{product}.repo")]))
}
