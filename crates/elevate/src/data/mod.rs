//! What is known of the way from one release to another, in the files that leapp's users have.

pub mod check;
pub mod drivers;
pub mod events;
pub mod place;
pub mod repository_map;

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Error, Result};

pub use drivers::Drivers;
pub use events::{Action, Event, Events};
pub use place::Place;
pub use repository_map::RepositoryMap;

/// All files of a folder: its own, and those of its vendors.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// Package evolution events; each vendor's file is one.
    pub events: Vec<Events>,
    /// Repository maps.
    pub repository_maps: Vec<RepositoryMap>,
    /// Drivers and devices that are gone.
    pub drivers: Vec<Drivers>,
}

/// What a file of the folder is, by its name, as leapp has them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    Events,
    RepositoryMap,
    Drivers,
}

impl Data {
    /// Reads a folder: `pes-events.json` (and `*pes*.json` of vendors), `repomap*.json` (and `*_map.json` of vendors),
    /// `device_driver_deprecation_data.json`; the same below `vendors.d/`. Other files are left alone.
    pub fn read(folder: &Path) -> Result<Data> {
        let mut data = Data::default();
        data.read_folder(folder)?;
        let vendors = folder.join("vendors.d");
        if vendors.is_dir() {
            data.read_folder(&vendors)?;
        }
        Ok(data)
    }

    fn read_folder(&mut self, folder: &Path) -> Result<()> {
        let failed = |source| Error::Read { path: folder.to_path_buf(), source };
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            paths.push(entry.map_err(failed)?.path());
        }
        // Folders have no order of their own.
        paths.sort();
        for path in paths {
            match path.file_name().and_then(|name| role(&name.to_string_lossy())) {
                Some(Role::Events) => self.events.push(Events::parse(&path, &read(&path)?)?),
                Some(Role::RepositoryMap) => self.repository_maps.push(RepositoryMap::parse(&path, &read(&path)?)?),
                Some(Role::Drivers) => self.drivers.push(Drivers::parse(&path, &read(&path)?)?),
                None => {}
            }
        }
        Ok(())
    }

    /// Returns how many events there are.
    pub fn event_count(&self) -> usize {
        self.events.iter().map(|file| file.events.len()).sum()
    }
}

fn role(name: &str) -> Option<Role> {
    let stem = name.strip_suffix(".json")?;
    if stem.contains("pes") {
        return Some(Role::Events);
    }
    if stem.starts_with("repomap") || stem.ends_with("_map") {
        return Some(Role::RepositoryMap);
    }
    stem.contains("driver_deprecation").then_some(Role::Drivers)
}

fn read(path: &PathBuf) -> Result<String> {
    fs::read_to_string(path).map_err(|source| Error::Read { path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_names() {
        assert_eq!(role("pes-events.json"), Some(Role::Events));
        assert_eq!(role("epel_pes.json"), Some(Role::Events));
        assert_eq!(role("repomap.el9.json"), Some(Role::RepositoryMap));
        assert_eq!(role("epel_map.json"), Some(Role::RepositoryMap));
        assert_eq!(role("device_driver_deprecation_data.json"), Some(Role::Drivers));
        assert_eq!((role("LICENSE"), role("epel.repo")), (None, None));
    }
}
