//! A file system in a file, for the layer of a root whose state folder is in the root itself: an overlay cannot write into
//! what it lies over, and most machines have one file system for everything.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::{
    command,
    error::{At, Error},
    layer::{LAYER, join},
    mounts::FileSystems,
};

const IMAGE: &str = "layer.img";
/// The file is sparse, so that it takes what is written to it; of what is free it may take all but this part.
const SPARE_PART: u64 = 10;

/// The image, mounted until it is dropped.
#[derive(Debug)]
pub(crate) struct Image {
    folder: PathBuf,
}

impl Image {
    /// Makes and mounts one if the state folder is on one of the root's file systems.
    pub fn make_if_needed(root: &Path, state: &Path, systems: &FileSystems) -> Result<Option<Image>, Error> {
        let device = |path: &Path| fs::metadata(path).at("look at", path).map(|data| data.dev());
        let own = device(state)?;
        let mut is_inside = false;
        for system in &systems.covered {
            is_inside |= device(&join(root, &system.place))? == own;
        }
        if !is_inside || !state.starts_with(root) {
            return Ok(None);
        }
        let path = state.join(IMAGE);
        let room = rustix::fs::statvfs(state).at("look at the room of", state)?;
        let free_bytes = room.f_bavail.saturating_mul(room.f_frsize);
        let file = File::create(&path).at("make", &path)?;
        file.set_len(free_bytes - free_bytes / SPARE_PART).at("make", &path)?;
        let options = ["-q", "-F", "-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard"];
        let mut arguments: Vec<&std::ffi::OsStr> = options.iter().map(std::ffi::OsStr::new).collect();
        arguments.push(path.as_os_str());
        command::run("mkfs.ext4", &arguments)?;
        Image::open(state)
    }

    /// Mounts the one that is there, if one is.
    pub fn open(state: &Path) -> Result<Option<Image>, Error> {
        let (path, folder) = (state.join(IMAGE), state.join(LAYER));
        if !path.exists() {
            return Ok(None);
        }
        fs::create_dir_all(&folder).at("make", &folder)?;
        // A process that was killed left it mounted.
        let device = |path: &Path| fs::metadata(path).at("look at", path).map(|data| data.dev());
        if device(&folder)? == device(state)? {
            command::run("mount", &["-o".as_ref(), "loop".as_ref(), path.as_os_str(), folder.as_os_str()])?;
        }
        Ok(Some(Image { folder }))
    }

    /// Removes the one that is there, which nothing has mounted.
    pub fn remove(state: &Path) -> Result<(), Error> {
        let path = state.join(IMAGE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other.at("remove", &path),
        }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // One that stays mounted is found by the next one who opens it.
        let _ = command::run("umount", &[self.folder.as_os_str()]);
    }
}
