//! The journal: in which phase an upgrade is, and what it changes. It is where old and new system both see it: on the root's
//! own file system, at the top of a btrfs, or in `/boot` beside logical volumes.
//!
//! What is to be done is written once, before anything else. After that, what is done of it can be seen from the files:
//! a new file that is no longer in the store was put in its place. So the journal itself is one word.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    Watch,
    backend::Backend,
    boot::Trial,
    clones::Cloned,
    error::{At, Error},
    health::Sight,
    home::Home,
    layer::{Change, join},
    mounts::{Place, Places},
};

/// The folder that has the journal, and on each file system new files and old files.
pub const STORE: &str = ".anima-elevate";
/// The newest form of both documents.
pub const JOURNAL_VERSION: u32 = 2;

const JOURNAL: &str = "journal.json";
const RECORD: &str = "record.json";

/// In which phase an upgrade is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// New files are copied into the store, and into the clone of the root if there is one. The root is as it was.
    Staging,
    /// Old files get a second name in the store. The root is as it was.
    Keeping,
    /// New files take their places. The root is neither old nor new, unless it is a clone that becomes new.
    Replacing,
    /// The next start tries the new system; until that is found to be well, the start after it is into the old one.
    Trying,
    /// The root is new; the old one is kept.
    Done,
    /// Old files take their places again. The root is neither old nor new, unless it is a clone that was new.
    Restoring,
    /// The root is old; what was new is kept.
    Restored,
}

/// What happens to an upgrade.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// All that the phase does is done.
    Finished,
    /// All is done, and the boot loader is told to try it once.
    Armed,
    /// It is to be taken back.
    TakenBack,
}

impl Phase {
    /// All of them.
    pub const ALL: [Phase; 7] = [
        Phase::Staging,
        Phase::Keeping,
        Phase::Replacing,
        Phase::Trying,
        Phase::Done,
        Phase::Restoring,
        Phase::Restored,
    ];

    /// Returns the phase that follows, if the event can be in this one.
    pub const fn next(self, event: Event) -> Option<Phase> {
        match (self, event) {
            (Phase::Staging, Event::Finished) => Some(Phase::Keeping),
            (Phase::Keeping, Event::Finished) => Some(Phase::Replacing),
            (Phase::Replacing, Event::Armed) => Some(Phase::Trying),
            (Phase::Replacing | Phase::Trying, Event::Finished) => Some(Phase::Done),
            (Phase::Restoring, Event::Finished) => Some(Phase::Restored),
            (Phase::Staging | Phase::Keeping | Phase::Replacing | Phase::Trying | Phase::Done, Event::TakenBack)
            | (Phase::Restoring, Event::TakenBack) => Some(Phase::Restoring),
            (Phase::Done | Phase::Restored, Event::Finished)
            | (Phase::Restored, Event::TakenBack)
            | (
                Phase::Staging | Phase::Keeping | Phase::Trying | Phase::Done | Phase::Restoring | Phase::Restored,
                Event::Armed,
            ) => None,
        }
    }

    /// Returns whether the root is exactly the old or exactly the new system.
    pub const fn is_whole(self) -> bool {
        !matches!(self, Phase::Replacing | Phase::Restoring)
    }

    /// Returns the word of the document.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Staging => "staging",
            Phase::Keeping => "keeping",
            Phase::Replacing => "replacing",
            Phase::Trying => "trying",
            Phase::Done => "done",
            Phase::Restoring => "restoring",
            Phase::Restored => "restored",
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Written<T> {
    version: u32,
    what: T,
}

/// What is to be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// By which way.
    pub backend: Backend,
    /// The file systems of the root.
    pub places: Places,
    /// What is changed in place.
    pub changes: Vec<Change>,
    /// What is changed in a clone of the root.
    pub cloned: Option<Cloned>,
    /// How the new system is tried; none if it is simply there.
    pub trial: Option<Trial>,
    /// What the old system did before; none if it did not run.
    pub sight: Option<Sight>,
}

impl Record {
    /// Returns how many paths change.
    pub fn change_count(&self) -> usize {
        self.changes.len() + self.cloned.as_ref().map_or(0, |cloned| cloned.changes.len())
    }

    /// Returns whether something of a file system is changed in place, so that it has a store.
    fn is_written(&self, place: &Place) -> bool {
        self.changes.iter().any(|change| self.places.of(&change.path) == place)
    }
}

/// An open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    pub root: PathBuf,
    pub phase: Phase,
    pub record: Record,
    home: Home,
}

impl Journal {
    /// Begins an upgrade: from here on there is something to resume or to take back.
    pub fn begin(root: &Path, home: Home, record: Record, watch: &mut dyn Watch) -> Result<Journal, Error> {
        let journal = Journal { root: root.to_owned(), phase: Phase::Staging, record, home };
        for store in journal.stores() {
            for name in ["new", "old", "left"] {
                let folder = store.join(name);
                fs::create_dir_all(&folder).at("make", &folder)?;
            }
        }
        fs::create_dir_all(journal.home.path()).at("make", journal.home.path())?;
        watch.step();
        write(journal.home.path(), RECORD, &journal.record)?;
        watch.step();
        write(journal.home.path(), JOURNAL, &Phase::Staging)?;
        journal.sync()?;
        Ok(journal)
    }

    /// Reads what a process before this one began; none if there is nothing, or it did not come as far as a journal.
    pub fn read(root: &Path, state: &Path) -> Result<Option<Journal>, Error> {
        for home in Home::all(root, state)? {
            let Some(phase) = read_if_there(&home.path().join(JOURNAL))? else { continue };
            let path = home.path().join(RECORD);
            let record = read_if_there(&path)?.ok_or_else(|| Error::Document {
                path,
                reason: "it is not there, though there is a journal".to_owned(),
            })?;
            return Ok(Some(Journal { root: root.to_owned(), phase, record, home }));
        }
        Ok(None)
    }

    /// Goes to the next phase, after all that was done has reached the disk.
    pub fn event(&mut self, event: Event, watch: &mut dyn Watch) -> Result<(), Error> {
        let next = self.phase.next(event).ok_or(Error::Phase {
            verb: "go on",
            phase: self.phase.name(),
            hint: "there is nothing left to do",
        })?;
        watch.step();
        self.sync()?;
        write(self.home.path(), JOURNAL, &next)?;
        self.phase = next;
        watch.phase(next);
        watch.step();
        Ok(())
    }

    /// Looks whether the file systems that have old files are there.
    pub fn must_be_mounted(&self) -> Result<(), Error> {
        match self.stores().into_iter().find(|store| !store.is_dir()) {
            Some(store) => Err(Error::Unsupported(format!(
                "go on: {} is not there; mount the file system that it is on, as it was when this was begun",
                store.display()
            ))),
            None => Ok(()),
        }
    }

    /// The store of each file system that is written to in place.
    fn stores(&self) -> Vec<PathBuf> {
        let written = self.record.places.all().iter().filter(|place| self.record.is_written(place));
        written.map(|place| self.root.join(&place.path).join(STORE)).collect()
    }

    fn store(&self, number: usize) -> PathBuf {
        self.root.join(&self.place_of(&self.record.changes[number]).path).join(STORE)
    }

    /// Where the new file of a change is until it is in its place.
    pub fn new_file(&self, number: usize) -> PathBuf {
        self.store(number).join("new").join(number.to_string())
    }

    /// Where the old file of a change is kept.
    pub fn old_file(&self, number: usize) -> PathBuf {
        self.store(number).join("old").join(number.to_string())
    }

    /// Where is what was new, after it was taken back.
    pub fn left_file(&self, number: usize) -> PathBuf {
        self.store(number).join("left").join(number.to_string())
    }

    /// The path of a change.
    pub fn place(&self, change: &Change) -> PathBuf {
        join(&self.root, &change.path)
    }

    /// The file system of a change.
    pub fn place_of(&self, change: &Change) -> &Place {
        self.record.places.of(&change.path)
    }

    /// Waits until everything is on the disks.
    pub fn sync(&self) -> Result<(), Error> {
        for store in self.stores() {
            sync(&store)?;
        }
        sync(self.home.path())
    }

    /// Removes the journal and all stores.
    pub fn remove(self, watch: &mut dyn Watch) -> Result<(), Error> {
        let stores = self.stores();
        remove_store(self.home.path(), watch)?;
        stores.iter().try_for_each(|store| remove_store(store, watch))
    }
}

/// Removes a store. Its journal goes first: a store without a journal is rubbish that the next one clears.
pub(crate) fn remove_store(store: &Path, watch: &mut dyn Watch) -> Result<(), Error> {
    let journal = store.join(JOURNAL);
    if journal.exists() {
        fs::remove_file(&journal).at("remove", &journal)?;
        sync_folder(store)?;
    }
    watch.step();
    match fs::remove_dir_all(store) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.at("remove", store),
    }
}

/// Writes a document whole or not at all.
pub(crate) fn write<T: Serialize>(folder: &Path, name: &str, what: &T) -> Result<(), Error> {
    let text = serde_json::to_vec(&Written { version: JOURNAL_VERSION, what }).expect("our own types are always JSON");
    write_whole(&folder.join(name), &text)
}

/// Writes a file whole or not at all.
pub(crate) fn write_whole(path: &Path, text: &[u8]) -> Result<(), Error> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file = File::create(&new).at("write", &new)?;
    file.write_all(text).at("write", &new)?;
    file.sync_all().at("write", &new)?;
    fs::rename(&new, path).at("rename", &new)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Reads a document of [`write`].
pub(crate) fn read_if_there<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, Error> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.at("read", path)?,
    };
    let document = |reason: String| Error::Document { path: path.to_owned(), reason };
    let Written::<serde_json::Value> { version, what } =
        serde_json::from_slice(&text).map_err(|error| document(error.to_string()))?;
    if version != JOURNAL_VERSION {
        let which = if version > JOURNAL_VERSION { "a newer" } else { "the older" };
        return Err(document(format!(
            "it has version {version}, and this program knows {JOURNAL_VERSION}; use {which} one"
        )));
    }
    serde_json::from_value(what).map(Some).map_err(|error| document(error.to_string()))
}

/// Waits until all of a file system is on the disk.
pub(crate) fn sync(path: &Path) -> Result<(), Error> {
    let folder = File::open(path).at("open", path)?;
    rustix::fs::syncfs(&folder).at("write out", path)
}

fn sync_folder(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|folder| folder.sync_all()).at("write out", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_ends_in_the_old_or_the_new_system() {
        for phase in Phase::ALL {
            let mut forward = phase;
            while let Some(next) = forward.next(Event::Finished) {
                forward = next;
            }
            assert!(forward.is_whole(), "{phase:?}");
            assert_eq!(forward == Phase::Restored, matches!(phase, Phase::Restoring | Phase::Restored));
            let back = phase.next(Event::TakenBack);
            assert_eq!(back, (phase != Phase::Restored).then_some(Phase::Restoring), "{phase:?}");
            let tried = phase.next(Event::Armed);
            assert_eq!(tried, (phase == Phase::Replacing).then_some(Phase::Trying), "{phase:?}");
        }
    }

    #[test]
    fn a_journal_of_another_program_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.json");
        for (version, cure) in [(99, "newer"), (1, "older")] {
            fs::write(&path, format!(r#"{{"version":{version},"what":"done"}}"#)).unwrap();

            let error = read_if_there::<Phase>(&path).unwrap_err().to_string();

            assert!(error.contains(&format!("version {version}")) && error.contains(cure), "{error}");
        }
    }
}
