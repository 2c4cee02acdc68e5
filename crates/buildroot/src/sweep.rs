//! The sweep: removes what is too much and in nobody's hands.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::error::At;
use crate::hold::Hold;
use crate::layers::{Dirs, Layers};
use crate::marker::{self, Marker};
use crate::{Error, kept, work};

/// A layer that was used this recently is kept even when there is too much: its task may only be between two steps.
const JUST_USED: Duration = Duration::from_secs(10 * 60);

/// What a sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Layers.
    pub layer_count: u64,
    /// What they took on the disk.
    pub layer_bytes: u64,
    /// Roots and unfinished layers of processes that are gone.
    pub leftover_count: u64,
}

/// A layer that a sweep looks at.
struct Candidate {
    name: String,
    used_at: SystemTime,
    size_bytes: u64,
}

impl Layers {
    /// Removes what processes left that are gone, layers that are not whole, and then the layers that were used longest
    /// ago until the rest takes no more than `keep_bytes`. What is in use stays. Sees to it that the rest outlives a loss of power.
    pub fn sweep(&self, now: SystemTime, keep_bytes: u64) -> Result<Swept, Error> {
        self.remove(now, keep_bytes, JUST_USED)
    }

    /// The same for a disk that is short of room: removes all layers that were not used for so long.
    pub fn sweep_unused(&self, now: SystemTime, unused_for: Duration) -> Result<Swept, Error> {
        self.remove(now, 0, unused_for.max(JUST_USED))
    }

    /// Removes the working folders of processes that are gone; returns how many.
    pub fn sweep_leftovers(&self) -> Result<u64, Error> {
        work::sweep(&self.dirs.works)
    }

    fn remove(&self, now: SystemTime, keep_bytes: u64, spared: Duration) -> Result<Swept, Error> {
        let mut swept = Swept { leftover_count: self.sweep_leftovers()?, ..Swept::default() };
        let kept = kept::layers(&self.dirs)?;
        let mut layers = look(&self.dirs, &mut swept)?;
        // What is kept takes no part in the budget.
        layers.retain(|layer| !kept.contains(&layer.name));
        layers.sort_by_key(|layer| layer.used_at);
        let mut total_bytes: u64 = layers.iter().map(|layer| layer.size_bytes).sum();
        for layer in &layers {
            let is_recent = now.duration_since(layer.used_at).is_ok_and(|age| age < spared);
            if total_bytes <= keep_bytes || is_recent {
                break;
            }
            if remove(&self.dirs, &layer.name)? {
                total_bytes -= layer.size_bytes;
                swept.layer_count += 1;
                swept.layer_bytes += layer.size_bytes;
            }
        }
        sweep_locks(&self.dirs)?;
        Ok(swept)
    }
}

/// Lists whole layers, and removes the others.
fn look(dirs: &Dirs, swept: &mut Swept) -> Result<Vec<Candidate>, Error> {
    let mut layers = Vec::new();
    for entry in fs::read_dir(&dirs.layers).at("read", &dirs.layers)? {
        let Ok(name) = entry.at("read", &dirs.layers)?.file_name().into_string() else { continue };
        let dir = dirs.layer(&name);
        match Marker::read(&dir, &name) {
            Some(marker) => {
                write_out(dirs, &name)?;
                layers.push(Candidate { used_at: marker::used_at(&dir), size_bytes: marker.size_bytes, name });
            }
            None => swept.leftover_count += u64::from(remove(dirs, &name)?),
        }
    }
    Ok(layers)
}

/// Whoever makes or removes it just now is not waited for.
fn write_out(dirs: &Dirs, name: &str) -> Result<(), Error> {
    let Some(_hold) = Hold::try_shared(&dirs.lock_of(name))? else { return Ok(()) };
    let dir = dirs.layer(name);
    Marker::read(&dir, name).map_or(Ok(()), |mut marker| marker.write_out(&dir))
}

/// Returns whether the layer is gone; one that is used stays, and so does one below a root that was kept since the sweep began:
/// whoever keeps a root holds its layers until it is written down.
fn remove(dirs: &Dirs, name: &str) -> Result<bool, Error> {
    let Some(hold) = Hold::exclusive_soon(&dirs.lock_of(name))? else { return Ok(false) };
    if kept::layers(dirs)?.contains(name) {
        return Ok(false);
    }
    dirs.remove_layer(name)?;
    hold.remove()?;
    Ok(true)
}

/// Locks of layers that were looked for and never made.
fn sweep_locks(dirs: &Dirs) -> Result<(), Error> {
    for entry in fs::read_dir(&dirs.locks).at("read", &dirs.locks)? {
        let entry = entry.at("read", &dirs.locks)?;
        if dirs.layers.join(entry.file_name()).exists() {
            continue;
        }
        if let Some(hold) = Hold::try_exclusive(&entry.path())? {
            // Its layer may have been made meanwhile.
            if !dirs.layers.join(entry.file_name()).exists() {
                hold.remove()?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_below_a_root_that_was_kept_while_the_sweep_was_on_stays() {
        let folder = tempfile::tempdir().unwrap();
        let layers = Layers::open(folder.path().join("roots"), std::path::Path::new("/helper")).unwrap();
        let dirs = &layers.dirs;
        for name in ["used", "unused"] {
            fs::create_dir_all(dirs.layer(name).join(marker::TREE)).unwrap();
        }
        let document = r#"{"version": 1, "layers": ["used"], "about": ""}"#;
        fs::create_dir(dirs.kept.join("task-1")).unwrap();
        fs::write(dirs.kept.join("task-1/kept.json"), document).unwrap();

        let removed = ["used", "unused"].map(|name| remove(dirs, name).unwrap());

        assert_eq!(removed, [false, true]);
        assert!(dirs.layer("used").exists() && !dirs.layer("unused").exists());
    }
}
