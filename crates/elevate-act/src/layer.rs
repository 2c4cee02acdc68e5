//! The layers that an upgrade is rehearsed in, one over each file system of the root, and what they say was changed.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anima_buildroot::{Folders, Overlay};
use serde::{Deserialize, Serialize};

use crate::{
    command,
    entry::{Entry, is_whiteout, names},
    error::{At, Error},
    image::Image,
    mounts::{FileSystem, FileSystems, Places},
    place::{copy, dress},
};

/// The layers' folder in the state folder.
pub(crate) const LAYER: &str = "layer";

/// One path that becomes something else.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Below the root; empty for the root itself.
    pub path: PathBuf,
    /// What is there.
    pub before: Option<Entry>,
    /// What will be there.
    pub after: Option<Entry>,
    /// An earlier change whose file this is, by a hard link.
    pub link_of: Option<usize>,
}

/// Returns where the layer of the file system with that number is.
pub(crate) fn upper(state: &Path, number: usize) -> PathBuf {
    state.join(LAYER).join(number.to_string()).join("upper")
}

/// Where the layer has the new file of a change.
pub(crate) fn layered(places: &Places, change: &Change, state: &Path) -> PathBuf {
    let number = places.number_of(&change.path);
    let place = &places.all()[number].path;
    join(&upper(state, number), change.path.strip_prefix(place).unwrap_or(&change.path))
}

/// Layers over all file systems of a root, mounted until they are dropped.
pub(crate) struct Layers {
    state: PathBuf,
    covers: Vec<Cover>,
    _image: Option<Image>,
}

/// What is mounted over one of them.
enum Cover {
    Overlay(Overlay),
    /// A copy: the kernel cannot mount an overlay over it.
    Copy(PathBuf),
}

impl Layers {
    /// Mounts a layer over each; the root's is at [`Layers::merged`], and the others in it.
    pub fn mount(root: &Path, state: &Path, systems: &FileSystems) -> Result<Layers, Error> {
        let image = Image::make_if_needed(root, state, systems)?;
        let mut layers = Layers { state: state.to_owned(), covers: Vec::new(), _image: image };
        let merged = layers.merged();
        fs::create_dir_all(&merged).at("make", &merged)?;
        for (number, system) in systems.covered.iter().enumerate() {
            let cover = layers.cover(root, number, system)?;
            layers.covers.push(cover);
        }
        Ok(layers)
    }

    /// Where the new system is.
    pub fn merged(&self) -> PathBuf {
        self.state.join(LAYER).join("merged")
    }

    fn cover(&self, root: &Path, number: usize, system: &FileSystem) -> Result<Cover, Error> {
        let upper = upper(&self.state, number);
        let work = upper.with_file_name("work");
        for path in [&upper, &work] {
            fs::create_dir_all(path).at("make", path)?;
        }
        let lower = join(root, &system.place);
        let target = join(&self.merged(), &system.place);
        if system.is_copied() {
            copy_folder(&lower, &upper)?;
            command::run("mount", &["--bind".as_ref(), upper.as_os_str(), target.as_os_str()])?;
            return Ok(Cover::Copy(target));
        }
        // The top folder of an overlay is the upper one's.
        if let Some(top) = Entry::read(&lower)? {
            dress(&top, &upper)?;
        }
        let lowers = [lower.clone()];
        let overlay = Overlay::mount(Folders { lowers: &lowers, upper: &upper, work: &work, target: &target });
        overlay.map(Cover::Overlay).at("mount a layer over", &lower)
    }

    /// Unmounts all, so that what was written can be read from the upper folders; those stay.
    pub fn unmount(mut self) -> Result<Option<Image>, Error> {
        let merged = self.merged();
        while let Some(cover) = self.covers.pop() {
            match cover {
                Cover::Overlay(overlay) => overlay.unmount().at("unmount", &merged)?,
                Cover::Copy(target) => command::run("umount", &[target.as_os_str()]).map(drop)?,
            }
        }
        Ok(self._image.take())
    }
}

impl Drop for Layers {
    fn drop(&mut self) {
        // The deepest first; what fails here is told of when the next one is mounted.
        while let Some(cover) = self.covers.pop() {
            if let Cover::Copy(target) = &cover {
                let _ = command::run("umount", &[target.as_os_str()]);
            }
        }
    }
}

/// Joining an empty path would add a slash.
pub(crate) fn join(root: &Path, below: &Path) -> PathBuf {
    if below.as_os_str().is_empty() { root.to_owned() } else { root.join(below) }
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), Error> {
    for name in names(from)? {
        let (source, target) = (from.join(&name), to.join(&name));
        let Some(entry) = Entry::read(&source)? else { continue };
        copy(&source, &entry, &target)?;
        if entry.is_folder() {
            copy_folder(&source, &target)?;
            dress(&entry, &target)?;
        }
    }
    Ok(())
}

/// Returns what the layers change in a root, folders before what is in them.
pub(crate) fn changes(root: &Path, state: &Path, systems: &FileSystems) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::new();
    for (number, system) in systems.covered.iter().enumerate() {
        let upper = upper(state, number);
        let (place, root) = (&system.place, join(root, &system.place));
        if system.is_copied() {
            compare(&root, &upper, place, &mut changes)?;
            continue;
        }
        let before_count = changes.len();
        let mut reader = Reader { root: &root, upper: &upper, place, changes, inodes: BTreeMap::new() };
        reader.folder(Path::new(""), false)?;
        changes = reader.changes;
        // The top folder is in every layer, also in one that nobody wrote to.
        let is_only_top = changes.len() == before_count + 1;
        changes.pop_if(|top| is_only_top && top.before == top.after);
    }
    Ok(changes)
}

struct Reader<'a> {
    root: &'a Path,
    upper: &'a Path,
    place: &'a Path,
    changes: Vec<Change>,
    inodes: BTreeMap<u64, usize>,
}

impl Reader<'_> {
    /// A folder of the upper one. `is_hidden`: nothing of the root shines through.
    fn folder(&mut self, path: &Path, is_hidden: bool) -> Result<(), Error> {
        let whole = join(self.upper, path);
        let before = Entry::read(&join(self.root, path))?;
        let opaque = xattr::get(&whole, "trusted.overlay.opaque").at("read the attributes of", &whole)?;
        let is_hidden = is_hidden || opaque.is_some_and(|value| value == b"y");
        let names_now = names(&whole)?;
        let was_folder = before.as_ref().is_some_and(Entry::is_folder);
        self.add(path, before, Entry::read(&whole)?, None);
        for name in &names_now {
            self.one(&path.join(name), is_hidden)?;
        }
        if is_hidden && was_folder {
            for name in names(&self.root.join(path))?.into_iter().filter(|name| !names_now.contains(name)) {
                let gone = path.join(name);
                self.add(&gone, Entry::read(&self.root.join(&gone))?, None, None);
            }
        }
        Ok(())
    }

    fn one(&mut self, path: &Path, is_hidden: bool) -> Result<(), Error> {
        let whole = self.upper.join(path);
        let data = fs::symlink_metadata(&whole).at("look at", &whole)?;
        if data.is_dir() {
            return self.folder(path, is_hidden);
        }
        let before = Entry::read(&self.root.join(path))?;
        if is_whiteout(&data) {
            if before.is_some() {
                self.add(path, before, None, None);
            }
            return Ok(());
        }
        let link_of = (data.nlink() > 1).then(|| *self.inodes.entry(data.ino()).or_insert(self.changes.len()));
        let link_of = link_of.filter(|first| *first != self.changes.len());
        self.add(path, before, Entry::read(&whole)?, link_of);
        Ok(())
    }

    fn add(&mut self, path: &Path, before: Option<Entry>, after: Option<Entry>, link_of: Option<usize>) {
        self.changes.push(Change { path: join(self.place, path), before, after, link_of });
    }
}

/// Adds what differs between a folder and its copy. Only content counts: the file system has no owners of its own.
fn compare(root: &Path, copied: &Path, place: &Path, changes: &mut Vec<Change>) -> Result<(), Error> {
    let mut all = names(copied)?;
    all.extend(if root.is_dir() { names(root)? } else { Vec::new() });
    all.sort();
    all.dedup();
    for name in all {
        let (before, mut after) = (Entry::read(&root.join(&name))?, Entry::read(&copied.join(&name))?);
        if let (Some(before), Some(after)) = (&before, &mut after)
            && before.kind == after.kind
        {
            *after = before.clone();
        }
        let is_folder = after.as_ref().is_some_and(Entry::is_folder);
        let path = place.join(&name);
        if before != after {
            changes.push(Change { path: path.clone(), before, after, link_of: None });
        }
        if is_folder {
            compare(&root.join(&name), &copied.join(&name), &path, changes)?;
        }
    }
    Ok(())
}
