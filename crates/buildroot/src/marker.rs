//! What is written beside a layer's tree, and how it tells a whole layer from a broken one.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{At, Error};
use crate::{summary, tree};

/// The version of the file, and of the layout around it.
const VERSION: u32 = 3;
/// The name of the file.
const FILE: &str = "layer.json";
/// The files of the layer.
pub(crate) const TREE: &str = "tree";
/// What rpm said while it was made.
pub(crate) const LOG: &str = "install.log";
/// A file whose time of change tells when the layer was used last.
const USED: &str = "used";

/// What is known of a layer that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marker {
    version: u32,
    pub name: String,
    pub parent: Option<String>,
    pub configuration: String,
    /// Everything installed, the parent's packages included, as rpm tells it.
    pub installed: Vec<String>,
    pub size_bytes: u64,
    /// What [`summary::of`] told of the tree when it was made.
    summary: String,
    /// The boot in which it was made, until it is known to be on the disk.
    unwritten_since_boot: Option<String>,
}

impl Marker {
    /// Measures the tree in `layer` and describes it.
    pub(crate) fn of(
        layer: &Path,
        name: &str,
        parent: Option<&str>,
        configuration: &str,
        installed: Vec<String>,
    ) -> Result<Marker, Error> {
        let files = layer.join(TREE);
        Ok(Marker {
            version: VERSION,
            name: name.to_owned(),
            parent: parent.map(str::to_owned),
            configuration: configuration.to_owned(),
            installed,
            size_bytes: tree::size_bytes(&files).at("measure files of", &files)?,
            summary: summary::of(&files).at("read", &files)?,
            unwritten_since_boot: Some(boot_id()),
        })
    }

    pub(crate) fn write(&self, layer: &Path) -> Result<(), Error> {
        self.store(layer)?;
        touch(layer).at("touch", layer)
    }

    fn store(&self, layer: &Path) -> Result<(), Error> {
        let (new, path) = (layer.join("layer.json.new"), layer.join(FILE));
        let json = serde_json::to_vec_pretty(self).expect("plain data can be written");
        fs::write(&new, json).at("write", &new)?;
        fs::rename(&new, &path).at("rename", &new)
    }

    /// Reads the marker of a layer. A layer that cannot be relied on has none.
    pub(crate) fn read(layer: &Path, name: &str) -> Option<Marker> {
        let marker: Marker = serde_json::from_slice(&fs::read(layer.join(FILE)).ok()?).ok()?;
        let survived = marker.unwritten_since_boot.as_ref().is_none_or(|boot| *boot == boot_id());
        (marker.version == VERSION && marker.name == name && survived).then_some(marker)
    }

    /// Returns whether the tree is still as it was made.
    pub(crate) fn is_true_of(&self, layer: &Path) -> bool {
        summary::of(&layer.join(TREE)).is_ok_and(|found| found == self.summary)
    }

    /// Sees to it that the layer outlives a loss of power.
    pub(crate) fn write_out(&mut self, layer: &Path) -> Result<(), Error> {
        if self.unwritten_since_boot.is_none() {
            return Ok(());
        }
        let dir = File::open(layer).at("open", layer)?;
        rustix::fs::syncfs(&dir).at("write out", layer)?;
        self.unwritten_since_boot = None;
        self.store(layer)
    }
}

/// Notes that the layer is used now.
pub(crate) fn touch(layer: &Path) -> io::Result<()> {
    File::create(layer.join(USED))?.set_modified(std::time::SystemTime::now())
}

/// Returns when the layer was used last; long ago if that is not known.
pub(crate) fn used_at(layer: &Path) -> std::time::SystemTime {
    fs::metadata(layer.join(USED)).and_then(|it| it.modified()).unwrap_or(std::time::UNIX_EPOCH)
}

/// Removes the marker, so that what is left is no layer.
pub(crate) fn remove(layer: &Path) -> io::Result<()> {
    match fs::remove_file(layer.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Where the kernel tells none, all boots look alike, and the sweep's writing out is what is left.
fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}
