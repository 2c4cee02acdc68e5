//! A rehearsed layer takes its place in the root, step by step. Each step can be done twice.
//!
//! The order matters while the root is neither old nor new: folders come first, then new and changed files, each by one
//! rename, and only then goes what the new system does not have.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use crate::{
    Watch,
    clones::{Side, apply},
    entry::Entry,
    error::{At, Error},
    journal::{Event, Journal, Phase},
    layer::{Change, layered},
    place::{copy, copy_bare, dress},
    restore,
};

/// Does what is left to do until the root is the new system, or is tried as such at the next start.
pub(crate) fn forward(journal: &mut Journal, state: &Path, watch: &mut dyn Watch) -> Result<(), Error> {
    loop {
        match journal.phase {
            Phase::Staging => {
                make_clone(journal, state, watch)?;
                if let Some(trial) = &journal.record.trial {
                    watch.step();
                    trial.prepare(&journal.root, watch)?;
                }
                stage(journal, state, watch)?;
            }
            Phase::Keeping => keep(journal, watch)?,
            Phase::Replacing => {
                if let Some(trial) = &journal.record.trial {
                    watch.step();
                    trial.guard(&journal.root, watch)?;
                }
                replace(journal, watch)?;
                verify(journal)?;
                if journal.record.trial.is_some() {
                    // First it is known to be tried, and then it is: what starts between the two is the old system.
                    journal.event(Event::Armed, watch)?;
                    continue;
                }
                switch(journal, Side::New, watch)?;
            }
            Phase::Trying => return arm(journal, watch),
            Phase::Done => return Ok(()),
            Phase::Restoring | Phase::Restored => {
                return Err(Error::Phase {
                    verb: "go on",
                    phase: journal.phase.name(),
                    hint: "it is being taken back, or was: `rollback`, then `rehearse` anew",
                });
            }
        }
        journal.event(Event::Finished, watch)?;
    }
}

fn arm(journal: &Journal, watch: &mut dyn Watch) -> Result<(), Error> {
    watch.step();
    match &journal.record.trial {
        Some(trial) => trial.arm(&journal.root, watch),
        None => Ok(()),
    }
}

/// The clone is compared with what was rehearsed, and not the root, which may change at any time.
fn make_clone(journal: &Journal, state: &Path, watch: &mut dyn Watch) -> Result<(), Error> {
    let Some(cloned) = &journal.record.cloned else { return Ok(()) };
    watch.step();
    let clone = cloned.clones.make(state)?;
    let changed = restore::not_as_before(clone.path(), &cloned.changes, &journal.record.places)?;
    if let Some(example) = changed.first() {
        return Err(Error::Changed { count: changed.len(), example: example.clone() });
    }
    apply::apply(clone.path(), &cloned.changes, state, watch)?;
    cloned.clones.name_in(clone.path())
}

/// Makes one of the two systems the one that starts.
pub(crate) fn switch(journal: &Journal, to: Side, watch: &mut dyn Watch) -> Result<(), Error> {
    match &journal.record.cloned {
        Some(cloned) => {
            watch.step();
            cloned.clones.switch(to)
        }
        None => Ok(()),
    }
}

fn stage(journal: &Journal, state: &Path, watch: &mut dyn Watch) -> Result<(), Error> {
    for (number, change) in journal.record.changes.iter().enumerate() {
        let Some(after) = change.after.as_ref().filter(|after| !after.is_folder()) else { continue };
        watch.step();
        watch.progress(number, journal.record.changes.len());
        let new = journal.new_file(number);
        // What was cut off is copied again.
        remove_if_there(&new)?;
        match change.link_of {
            Some(first) => fs::hard_link(journal.new_file(first), &new).at("link", &new)?,
            None if journal.place_of(change).is_bare => {
                copy_bare(&layered(&journal.record.places, change, state), &new)?
            }
            None => copy(&layered(&journal.record.places, change, state), after, &new)?,
        }
        if !is_as(journal, change, &new, after)? {
            return Err(Error::NotAsRehearsed { path: change.path.clone() });
        }
    }
    Ok(())
}

fn is_as(journal: &Journal, change: &Change, path: &Path, expected: &Entry) -> Result<bool, Error> {
    let is_bare = journal.place_of(change).is_bare;
    Ok(Entry::read(path)?.is_some_and(|is| is.is_as(expected, is_bare)))
}

fn keep(journal: &Journal, watch: &mut dyn Watch) -> Result<(), Error> {
    for (number, change) in journal.record.changes.iter().enumerate() {
        // A folder is kept by a rename, when it goes.
        if change.before.as_ref().is_none_or(Entry::is_folder) {
            continue;
        }
        watch.step();
        watch.progress(number, journal.record.changes.len());
        let old = journal.old_file(number);
        if journal.place_of(change).is_bare {
            remove_if_there(&old)?;
            if let Some(before) = &change.before {
                copy(&journal.place(change), before, &old)?;
            }
        } else if fs::symlink_metadata(&old).is_err() {
            fs::hard_link(journal.place(change), &old).at("keep", &journal.place(change))?;
        }
    }
    Ok(())
}

fn replace(journal: &Journal, watch: &mut dyn Watch) -> Result<(), Error> {
    let numbered = || journal.record.changes.iter().enumerate();
    let mut done = 0;
    let mut step = || {
        watch.step();
        done += 1;
        watch.progress(done, journal.record.changes.len());
    };
    for (number, change) in numbered().filter(|(_, change)| change.after.as_ref().is_some_and(Entry::is_folder)) {
        step();
        make_folder(journal, number, change)?;
    }
    for (number, change) in numbered().filter(|(_, change)| change.after.as_ref().is_some_and(|it| !it.is_folder())) {
        step();
        put(journal, number, change)?;
    }
    for (number, change) in numbered().filter(|(_, change)| change.after.is_none()) {
        step();
        take_away(journal, number, change)?;
    }
    // Times of folders are last: everything above changed them.
    for (_, change) in numbered().rev() {
        if let Some(after) = change.after.as_ref().filter(|after| after.is_folder()) {
            step();
            dress_in(journal, change, after, &journal.place(change))?;
        }
    }
    Ok(())
}

fn dress_in(journal: &Journal, change: &Change, entry: &Entry, path: &Path) -> Result<(), Error> {
    if journal.place_of(change).is_bare { Ok(()) } else { dress(entry, path) }
}

fn make_folder(journal: &Journal, number: usize, change: &Change) -> Result<(), Error> {
    let place = journal.place(change);
    if fs::symlink_metadata(&place).is_ok_and(|data| data.is_dir()) {
        return Ok(());
    }
    // A file is in its place, and in the store.
    if fs::symlink_metadata(journal.old_file(number)).is_ok() {
        remove_if_there(&place)?;
    }
    fs::create_dir(&place).at("make", &place)?;
    match &change.after {
        Some(after) => dress_in(journal, change, after, &place),
        None => Ok(()),
    }
}

fn put(journal: &Journal, number: usize, change: &Change) -> Result<(), Error> {
    let (place, new, old) = (journal.place(change), journal.new_file(number), journal.old_file(number));
    if fs::symlink_metadata(&new).is_err() {
        return Ok(());
    }
    let is_folder = fs::symlink_metadata(&place).is_ok_and(|data| data.is_dir());
    if is_folder {
        fs::rename(&place, &old).at("keep", &place)?;
    }
    fs::rename(&new, &place).at("replace", &place)
}

fn take_away(journal: &Journal, number: usize, change: &Change) -> Result<(), Error> {
    let (place, old) = (journal.place(change), journal.old_file(number));
    let Ok(data) = fs::symlink_metadata(&place) else { return Ok(()) };
    match data.is_dir() {
        true => fs::rename(&place, &old).at("keep", &place),
        false => fs::remove_file(&place).at("remove", &place),
    }
}

/// Looks whether each changed path is as it was rehearsed.
fn verify(journal: &Journal) -> Result<(), Error> {
    let differs = |change: &&Change| match (Entry::read(&journal.place(change)), &change.after) {
        // The store is in the file system's own folder, so the time of that one is not the rehearsed one for long.
        _ if journal.record.places.is_top(&change.path) => false,
        (Ok(None), None) => false,
        (Ok(Some(is)), Some(after)) => !is.is_as(after, journal.place_of(change).is_bare),
        _ => true,
    };
    match journal.record.changes.iter().find(differs) {
        Some(change) => Err(Error::NotAsRehearsed { path: change.path.clone() }),
        None => Ok(()),
    }
}

pub(crate) fn remove_if_there(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.at("remove", path),
    }
}

/// Returns whether two paths are one file.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| fs::symlink_metadata(path).ok().map(|data| (data.dev(), data.ino()));
    id(one).is_some() && id(one) == id(other)
}
