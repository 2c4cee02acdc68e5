//! Roots that are kept: what was written in them lies there without a mount, until somebody enters them, or the sweep
//! removes them. Their layers stay as long.
//!
//! A root that is kept survives the process that made it, and the machine's restart.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::error::At;
use crate::hold::Hold;
use crate::layers::{Dirs, Layers};
use crate::marker::TREE;
use crate::overlay::{Folders, Overlay};
use crate::work::detach;
use crate::{Error, Root, tree};

/// What a kept root is made of, beside its upper folder.
const FILE: &str = "kept.json";
/// The version of that file.
const VERSION: u32 = 1;
/// The end of the name of a kept root's lock.
const LOCK_END: &str = ".lock";

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u32,
    /// From the top down.
    layers: Vec<String>,
    /// What who keeps it wants to know when it is entered.
    about: String,
}

/// A kept root that is mounted. Dropping it unmounts it; what is written in it stays.
#[derive(Debug)]
pub struct Kept {
    overlay: Option<Overlay>,
    dir: PathBuf,
    about: String,
    /// Dropped after the mount.
    _holds: Vec<Hold>,
}

impl Root {
    /// Unmounts it, and keeps what was written under a name, with a text that who enters it gets.
    pub fn keep(self, name: &str, about: &str) -> Result<(), Error> {
        let (mut work, layer) = self.into_parts();
        let dirs = layer.dirs().clone();
        let dir = dirs.kept.join(name);
        // Whoever is in the earlier one may stay for hours: its task must not wait for that.
        let Some(_hold) = Hold::exclusive_soon(&lock_of(&dirs, name))? else {
            return Err(Error::StillEntered { name: name.to_owned() });
        };
        work.unmount()?;
        empty(&dir)?;
        fs::create_dir(&dir).at("make", &dir)?;
        fs::rename(work.upper(), dir.join("upper")).at("rename", &work.upper())?;
        let document = Document { version: VERSION, layers: layer.names(), about: about.to_owned() };
        let json = serde_json::to_vec(&document).expect("plain data");
        // Last: what has none is no kept root.
        fs::write(dir.join(FILE), json).at("write", &dir)?;
        work.remove()
    }
}

impl Layers {
    /// Mounts a kept root; nothing when there is none of that name. One at a time may be in it.
    pub fn enter_kept(&self, name: &str) -> Result<Option<Kept>, Error> {
        let dir = self.dirs.kept.join(name);
        let Some(document) = read(&dir)? else { return Ok(None) };
        let Some(own) = Hold::try_exclusive(&lock_of(&self.dirs, name))? else {
            return Err(Error::InUse { name: name.to_owned() });
        };
        let mut holds = vec![own];
        for layer in &document.layers {
            holds.push(Hold::shared(&self.dirs.lock_of(layer))?);
            if self.whole(layer).is_none() {
                return Err(Error::Lock(format!("layer {layer} of the kept root {name} is gone")));
            }
        }
        let lowers: Vec<PathBuf> = document.layers.iter().map(|layer| self.dirs.layer(layer).join(TREE)).collect();
        let (upper, work, target) = (dir.join("upper"), dir.join("work"), dir.join("root"));
        // Who was in it last may have been killed: two overlays of one upper folder would spoil it.
        detach(&target)?;
        // A volatile overlay leaves a mark there that forbids to use it again.
        tree::remove(&work).at("remove", &work)?;
        for path in [&work, &target] {
            unless_there(fs::create_dir(path)).at("make", path)?;
        }
        let folders = Folders { lowers: &lowers, upper: &upper, work: &work, target: &target };
        let overlay = Some(Overlay::mount(folders).at("mount overlay at", &target)?);
        Ok(Some(Kept { overlay, dir, about: document.about, _holds: holds }))
    }

    /// Removes kept roots that are older than `keep_for`, and the oldest until the rest takes no more than `keep_bytes`;
    /// returns how many. One that somebody is in stays.
    pub fn sweep_kept(&self, now: SystemTime, keep_for: Duration, keep_bytes: u64) -> Result<u64, Error> {
        let mut roots = Vec::new();
        for name in names(&self.dirs)? {
            let dir = self.dirs.kept.join(&name);
            let kept_at =
                fs::metadata(dir.join(FILE)).and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            // What a build left so that it cannot be counted is too much; what is not there yet is nothing.
            let size_bytes = match tree::size_bytes(&dir.join("upper")) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                counted => counted.unwrap_or(u64::MAX),
            };
            roots.push((kept_at, size_bytes, name));
        }
        roots.sort_by(|one, other| other.cmp(one));
        let (mut total_bytes, mut removed_count) = (0u64, 0);
        for (kept_at, size_bytes, name) in roots {
            let is_old = now.duration_since(kept_at).is_ok_and(|age| age > keep_for);
            let with_it = total_bytes.saturating_add(size_bytes);
            match (is_old || with_it > keep_bytes) && self.remove_kept(&name)? {
                true => removed_count += 1,
                false => total_bytes = with_it,
            }
        }
        Ok(removed_count)
    }

    /// Removes a kept root; returns whether it is gone.
    pub fn remove_kept(&self, name: &str) -> Result<bool, Error> {
        let Some(hold) = Hold::try_exclusive(&lock_of(&self.dirs, name))? else { return Ok(false) };
        empty(&self.dirs.kept.join(name))?;
        hold.remove()?;
        Ok(true)
    }

    /// Returns the names of the roots that are kept.
    pub fn kept(&self) -> Result<Vec<String>, Error> {
        names(&self.dirs)
    }
}

impl Kept {
    /// Returns where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// Returns the folder of the host that everything goes to that is written in it.
    pub fn written(&self) -> PathBuf {
        self.dir.join("upper")
    }

    /// Returns the text that it was kept with.
    pub fn about(&self) -> &str {
        &self.about
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.overlay.take());
    }
}

/// Returns the layers that kept roots stand on.
pub(crate) fn layers(dirs: &Dirs) -> Result<BTreeSet<String>, Error> {
    let mut layers = BTreeSet::new();
    for name in names(dirs)? {
        layers.extend(read(&dirs.kept.join(name))?.into_iter().flat_map(|document| document.layers));
    }
    Ok(layers)
}

/// Removes one whose lock is held, and first what a process that was killed in it left mounted.
fn empty(dir: &Path) -> Result<(), Error> {
    detach(&dir.join("root"))?;
    tree::remove(dir).at("remove", dir)
}

fn names(dirs: &Dirs) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(&dirs.kept).at("read", &dirs.kept)? {
        let Ok(name) = entry.at("read", &dirs.kept)?.file_name().into_string() else { continue };
        if !name.ends_with(LOCK_END) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn read(dir: &Path) -> Result<Option<Document>, Error> {
    let path = dir.join(FILE);
    match fs::read(&path) {
        // One that is half made, or of a version that nobody knows here, is none.
        Ok(json) => Ok(serde_json::from_slice(&json).ok().filter(|document: &Document| document.version == VERSION)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at("read", &path),
    }
}

fn lock_of(dirs: &Dirs, name: &str) -> PathBuf {
    dirs.kept.join(format!("{name}{LOCK_END}"))
}

fn unless_there(made: io::Result<()>) -> io::Result<()> {
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}
