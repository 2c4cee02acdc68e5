//! Programs of Debian that cannot be installed beside others: unpacked into a folder, with what they need.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{command::run, seed::target_folder};

/// A Debian package that was unpacked with all that it needs and that is not installed.
#[derive(Debug)]
pub struct Unpacked {
    root: PathBuf,
}

impl Unpacked {
    /// Downloads and unpacks a package once; it is kept in the workspace's target folder.
    pub fn of(package: &str) -> Result<Unpacked> {
        let folder = target_folder().join("unpacked");
        let root = folder.join(package);
        fs::create_dir_all(&folder)?;
        // Two tests that want the same at once: the second waits.
        let lock = fs::File::create(folder.join("lock"))?;
        lock.lock()?;
        if !root.exists() {
            let temporary = tempfile::tempdir_in(&folder)?;
            unpack(package, temporary.path())?;
            fs::rename(temporary.path().join("root"), &root)?;
        }
        Ok(Unpacked { root: root.canonicalize()? })
    }

    /// Returns a command that runs one of its programs, such as `usr/bin/zypper`.
    pub fn command(&self, program: &str) -> Command {
        let libraries = ["usr/lib", "lib"].map(|lib| self.root.join(lib).join(multiarch()).display().to_string());
        let mut command = Command::new(self.root.join(program));
        command.env("LD_LIBRARY_PATH", libraries.join(":"));
        command
    }
}

fn multiarch() -> String {
    format!("{}-linux-gnu", std::env::consts::ARCH)
}

fn unpack(package: &str, folder: &Path) -> Result<()> {
    // What would go for it does not matter: nothing is installed.
    let simulate = ["install", "--simulate", "--no-install-recommends", package];
    let plan = run(Command::new("apt-get").args(simulate))?;
    let names: Vec<&str> = plan.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next()).collect();
    ensure!(names.contains(&package), "apt-get would not install {package}:\n{plan}");
    let debs = folder.join("debs");
    fs::create_dir(&debs)?;
    // Its own user may not write there.
    let download = ["-o", "APT::Sandbox::User=root", "download"];
    run(Command::new("apt-get").args(download).args(names).current_dir(&debs))?;
    for deb in fs::read_dir(&debs)? {
        let deb = deb?.path();
        run(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(folder.join("root")))
            .with_context(|| format!("could not unpack {}", deb.display()))?;
    }
    Ok(())
}
