//! From the upper folder of an overlay to the list of changes that it is.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    entry::{Entry, is_whiteout, names},
    error::{At, Error},
};

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

/// Returns what an upper folder changes in a root, folders before what is in them.
pub(crate) fn changes(root: &Path, upper: &Path) -> Result<Vec<Change>, Error> {
    let mut reader = Reader { root, upper, changes: Vec::new(), inodes: BTreeMap::new() };
    reader.folder(Path::new(""), false)?;
    Ok(reader.changes)
}

struct Reader<'a> {
    root: &'a Path,
    upper: &'a Path,
    changes: Vec<Change>,
    inodes: BTreeMap<u64, usize>,
}

impl Reader<'_> {
    /// A folder of the upper one. `is_hidden`: nothing of the root shines through.
    fn folder(&mut self, path: &Path, is_hidden: bool) -> Result<(), Error> {
        let whole = self.upper.join(path);
        let before = Entry::read(&self.root.join(path))?;
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
        self.changes.push(Change { path: path.to_owned(), before, after, link_of });
    }
}
