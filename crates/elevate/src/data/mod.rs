//! What is known of the way from one release to another, in the files that leapp's users have.

pub mod check;
pub mod drivers;
pub mod events;
pub mod lists;
mod origin;
pub mod place;
pub mod repository_file;
pub mod repository_map;
pub mod signatures;
pub mod upgrade_paths;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::{Error, Result, facts::Facts, release::Release};

pub use drivers::Drivers;
pub use events::{Action, Event, Events};
pub use lists::Lists;
pub use origin::Origin;
use origin::Role;
pub use place::Place;
pub use repository_file::RepositoryFile;
pub use repository_map::RepositoryMap;
pub use signatures::Signatures;
pub use upgrade_paths::UpgradePaths;

/// The largest file that is read. The largest known is 2 MiB; a hostile one shall not fill the memory.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// All files of a folder: its own, and those of its vendors.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// Package evolution events; each vendor's file is one.
    pub events: Vec<Events>,
    /// Repository maps.
    pub repository_maps: Vec<RepositoryMap>,
    /// Drivers and devices that are gone.
    pub drivers: Vec<Drivers>,
    /// Keys of the distribution and of vendors, by which their packages are known.
    pub signatures: Vec<Signatures>,
    /// Repositories of the target.
    pub repository_files: Vec<RepositoryFile>,
    /// Files of public keys (`rpm-gpg/`).
    pub key_files: Vec<PathBuf>,
    /// Which releases lead to which.
    pub upgrade_paths: Vec<UpgradePaths>,
    /// What the machine's owner wants installed, kept and removed.
    pub lists: Lists,
}

impl Data {
    /// Reads a folder: `pes-events.json`, `repomap.json`, `device_driver_deprecation_data.json`, `gpg-signatures.json`,
    /// `upgrade_paths.json`, `*.repo`, `rpm-gpg/`; in `vendors.d/` the files of vendors (`NAME_pes.json`, `NAME_map.json`,
    /// `NAME.sigs`, `NAME.repo`, `rpm-gpg/`); in `transaction/` the owner's lists. A file whose name has `.el9` in it is for
    /// ways to 9 only. Other files are left alone.
    pub fn read(folder: &Path) -> Result<Data> {
        let mut data = Data::default();
        data.read_folder(folder, false)?;
        let vendors = folder.join("vendors.d");
        if vendors.is_dir() {
            data.read_folder(&vendors, true)?;
        }
        data.lists = Lists::read(&folder.join("transaction"))?;
        Ok(data)
    }

    fn read_folder(&mut self, folder: &Path, is_of_vendors: bool) -> Result<()> {
        for path in list(folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name == "rpm-gpg" && path.is_dir() {
                self.key_files.extend(list(&path)?);
            } else if let Some((role, origin)) = origin::of(&name, is_of_vendors).filter(|_| path.is_file()) {
                self.read_file(role, origin, &path)?;
            }
        }
        Ok(())
    }

    fn read_file(&mut self, role: Role, origin: Origin, path: &Path) -> Result<()> {
        let text = read(path)?;
        match role {
            Role::Events => self.events.push(Events { origin, ..Events::parse(path, &text)? }),
            Role::RepositoryMap => {
                self.repository_maps.push(RepositoryMap { origin, ..RepositoryMap::parse(path, &text)? });
            }
            Role::Drivers => self.drivers.push(Drivers::parse(path, &text)?),
            Role::Signatures => self.signatures.push(Signatures { origin, ..Signatures::parse(path, &text)? }),
            Role::SignatureList => self.signatures.push(Signatures { origin, ..Signatures::parse_list(path, &text)? }),
            Role::RepositoryFile => {
                self.repository_files.push(RepositoryFile { origin, ..RepositoryFile::parse(path, &text)? });
            }
            Role::UpgradePaths => self.upgrade_paths.push(UpgradePaths::parse(path, &text)?),
        }
        Ok(())
    }

    /// Returns the vendors whose repositories a machine uses. As leapp has it, a vendor's files count only then.
    pub fn active_vendors(&self, facts: &Facts) -> BTreeSet<&str> {
        let enabled: BTreeSet<&str> = facts
            .repositories
            .iter()
            .filter(|repository| repository.is_enabled)
            .map(|repository| repository.id.as_str())
            .collect();
        let major = facts.os.release.major.to_string();
        let is_used = |map: &&RepositoryMap| {
            map.repositories
                .iter()
                .any(|repository| repository.major_version == major && enabled.contains(repository.repoid.as_str()))
        };
        self.repository_maps.iter().filter(is_used).filter_map(|map| map.origin.vendor.as_deref()).collect()
    }

    /// Returns the part of the data that counts for a machine and its way.
    pub fn of_way(&self, facts: &Facts, target: Release) -> Data {
        let active = self.active_vendors(facts);
        let counts = |origin: &Origin| origin.counts(&active, target.major);
        let mut data = self.clone();
        data.events.retain(|file| counts(&file.origin));
        data.repository_maps.retain(|file| counts(&file.origin));
        data.signatures.retain(|file| counts(&file.origin));
        data.repository_files.retain(|file| counts(&file.origin));
        data
    }

    /// Returns all events, the distribution's own first, then its vendors', each in the order of its file.
    pub fn all_events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().flat_map(|file| &file.events)
    }

    /// Returns how many events there are.
    pub fn event_count(&self) -> usize {
        self.events.iter().map(|file| file.events.len()).sum()
    }
}

/// Returns what is in a folder, by name: folders have no order of their own.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| Error::Read { path: folder.to_path_buf(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Reads a text. Some editors put a mark of three bytes before it, which is no part of it.
fn read(path: &Path) -> Result<String> {
    let failed = |source| Error::Read { path: path.to_path_buf(), source };
    if fs::metadata(path).map_err(failed)?.len() > MAX_FILE_BYTES {
        return Err(failed(std::io::Error::other(format!("it is larger than {} MiB", MAX_FILE_BYTES >> 20))));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text))
}
