//! A disk of its own that is small enough to be filled: a file system in a file.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::PathBuf,
    process::Command,
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// Left out when room is taken at once, and then written: what the file system needs for its own lists comes out of it.
const WRITTEN_BYTES: u64 = 8 * 1024 * 1024;
const BALLAST: &str = ".ballast";

/// A small disk; it takes of the machine's own only what is written to it. Unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Makes one of so many MiB and mounts it.
    pub fn new(mib: u64) -> Result<SmallDisk> {
        let folder = tempfile::tempdir()?;
        let image = folder.path().join("image");
        File::create(&image)?.set_len(mib * 1024 * 1024)?;
        must(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
        let disk = SmallDisk { folder };
        fs::create_dir(disk.path())?;
        must(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(disk.path()))?;
        Ok(disk)
    }

    /// Returns where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// Takes all the room that is left, also what is kept for root.
    pub fn fill(&self) -> Result<()> {
        let free = rustix::fs::statvfs(self.path())?;
        let bytes = (free.f_bfree * free.f_frsize).saturating_sub(WRITTEN_BYTES);
        let mut ballast = File::create(self.path().join(BALLAST))?;
        if bytes > 0 {
            // Somebody else may take room at the same time; the rest is taken below.
            let _ = rustix::fs::fallocate(&ballast, rustix::fs::FallocateFlags::KEEP_SIZE, 0, bytes);
        }
        let piece = vec![1; 4096];
        ballast = File::options().append(true).create(true).open(self.path().join(format!("{BALLAST}-2")))?;
        loop {
            match ballast.write_all(&piece) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error).context("could not fill the disk"),
            }
        }
    }

    /// Gives back what [`SmallDisk::fill`] took.
    pub fn make_room(&self) -> Result<()> {
        for name in [BALLAST.to_string(), format!("{BALLAST}-2")] {
            fs::remove_file(self.path().join(name))?;
        }
        Ok(())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What somebody still has open goes with the last of it.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

fn must(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("could not run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
