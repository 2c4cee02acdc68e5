//! The journal: in which phase an upgrade is, and what it changes, on the root's own file system.
//!
//! The list of changes is written once, before anything else. After that, what is done of it can be seen from the files:
//! a new file that is no longer in the store was put in its place. So the journal itself is one word.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    Watch,
    error::{At, Error},
    layer::Change,
};

/// The folder below the root that has journal, new files and old files.
pub const STORE: &str = ".anima-elevate";
/// The newest form of both documents.
pub const JOURNAL_VERSION: u32 = 1;

const JOURNAL: &str = "journal.json";
const CHANGES: &str = "changes.json";

/// In which phase an upgrade is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// New files are copied into the store. The root is as it was.
    Staging,
    /// Old files get a second name in the store. The root is as it was.
    Keeping,
    /// New files take their places. The root is neither old nor new.
    Replacing,
    /// The root is new; the old files are in the store.
    Done,
    /// Old files take their places again. The root is neither old nor new.
    Restoring,
    /// The root is old; what was new is in the store.
    Restored,
}

/// What happens to an upgrade.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// All that the phase does is done.
    Finished,
    /// It is to be taken back.
    TakenBack,
}

impl Phase {
    /// All of them.
    pub const ALL: [Phase; 6] =
        [Phase::Staging, Phase::Keeping, Phase::Replacing, Phase::Done, Phase::Restoring, Phase::Restored];

    /// Returns the phase that follows, if the event can be in this one.
    pub const fn next(self, event: Event) -> Option<Phase> {
        match (self, event) {
            (Phase::Staging, Event::Finished) => Some(Phase::Keeping),
            (Phase::Keeping, Event::Finished) => Some(Phase::Replacing),
            (Phase::Replacing, Event::Finished) => Some(Phase::Done),
            (Phase::Restoring, Event::Finished) => Some(Phase::Restored),
            (Phase::Staging | Phase::Keeping | Phase::Replacing | Phase::Done, Event::TakenBack)
            | (Phase::Restoring, Event::TakenBack) => Some(Phase::Restoring),
            (Phase::Done | Phase::Restored, Event::Finished) | (Phase::Restored, Event::TakenBack) => None,
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

/// An open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    pub root: PathBuf,
    pub store: PathBuf,
    pub phase: Phase,
    pub changes: Vec<Change>,
}

impl Journal {
    /// Returns the store's folder in a root.
    pub fn store_of(root: &Path) -> PathBuf {
        root.join(STORE)
    }

    /// Begins an upgrade: from here on there is something to resume or to take back.
    pub fn begin(root: &Path, changes: Vec<Change>, watch: &mut dyn Watch) -> Result<Journal, Error> {
        let store = Journal::store_of(root);
        for name in ["", "new", "old", "left"] {
            let folder = store.join(name);
            fs::create_dir_all(&folder).at("make", &folder)?;
        }
        watch.step();
        write(&store, CHANGES, &changes)?;
        watch.step();
        write(&store, JOURNAL, &Phase::Staging)?;
        sync_folder(root)?;
        Ok(Journal { root: root.to_owned(), store, phase: Phase::Staging, changes })
    }

    /// Reads what a process before this one began; none if there is nothing, or it did not come as far as a journal.
    pub fn read(root: &Path) -> Result<Option<Journal>, Error> {
        let store = Journal::store_of(root);
        let Some(phase) = read_if_there(&store.join(JOURNAL))? else { return Ok(None) };
        let path = store.join(CHANGES);
        let changes = read_if_there(&path)?
            .ok_or_else(|| Error::Document { path, reason: "it is not there, though there is a journal".to_owned() })?;
        Ok(Some(Journal { root: root.to_owned(), store, phase, changes }))
    }

    /// Goes to the next phase, after all that was done has reached the disk.
    pub fn event(&mut self, event: Event, watch: &mut dyn Watch) -> Result<(), Error> {
        let next = self.phase.next(event).ok_or(Error::Phase {
            verb: "go on",
            phase: self.phase.name(),
            hint: "there is nothing left to do",
        })?;
        watch.step();
        sync(&self.root)?;
        write(&self.store, JOURNAL, &next)?;
        self.phase = next;
        watch.phase(next);
        watch.step();
        Ok(())
    }

    pub fn new_file(&self, number: usize) -> PathBuf {
        self.store.join("new").join(number.to_string())
    }

    pub fn old_file(&self, number: usize) -> PathBuf {
        self.store.join("old").join(number.to_string())
    }

    pub fn left_file(&self, number: usize) -> PathBuf {
        self.store.join("left").join(number.to_string())
    }

    pub fn place(&self, change: &Change) -> PathBuf {
        // Joining an empty path would add a slash.
        if change.path.as_os_str().is_empty() { self.root.clone() } else { self.root.join(&change.path) }
    }
}

/// Removes the store. Its journal goes first: a store without a journal is rubbish that the next one clears.
pub(crate) fn remove_store(root: &Path, watch: &mut dyn Watch) -> Result<(), Error> {
    let store = Journal::store_of(root);
    let journal = store.join(JOURNAL);
    if journal.exists() {
        fs::remove_file(&journal).at("remove", &journal)?;
        sync_folder(&store)?;
    }
    watch.step();
    match fs::remove_dir_all(&store) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.at("remove", &store),
    }
}

/// Writes a document whole or not at all.
pub(crate) fn write<T: Serialize>(folder: &Path, name: &str, what: &T) -> Result<(), Error> {
    let (path, new) = (folder.join(name), folder.join(format!("{name}.new")));
    let text = serde_json::to_vec(&Written { version: JOURNAL_VERSION, what }).expect("our own types are always JSON");
    let mut file = File::create(&new).at("write", &new)?;
    file.write_all(&text).at("write", &new)?;
    file.sync_all().at("write", &new)?;
    fs::rename(&new, &path).at("rename", &new)?;
    sync_folder(folder)
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
    if version > JOURNAL_VERSION {
        return Err(document(format!(
            "it has version {version}, and this program knows {JOURNAL_VERSION}; use a newer one"
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
        }
    }

    #[test]
    fn a_journal_of_a_newer_program_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.json");
        fs::write(&path, r#"{"version":99,"what":"done"}"#).unwrap();

        let error = read_if_there::<Phase>(&path).unwrap_err().to_string();

        assert!(error.contains("version 99"), "{error}");
    }
}
