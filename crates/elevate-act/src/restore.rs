//! The way back: every old file is renamed to its place, with its own inode, so that nothing of it can differ. What the new
//! system had in that place, with what was changed in it since, stays in the store under `left`.

use std::{fs, path::Path};

use crate::{
    Watch,
    clones::Side,
    commit::{is_same, remove_if_there, switch},
    entry::Entry,
    error::{At, Error},
    journal::{Event, Journal, Phase},
    layer::Change,
    mounts::Places,
    place::dress,
};

/// Takes back what was done, as far as it was done.
pub(crate) fn backward(journal: &mut Journal, watch: &mut dyn Watch) -> Result<(), Error> {
    if journal.phase == Phase::Restored {
        return Ok(());
    }
    journal.event(Event::TakenBack, watch)?;
    if let Some(trial) = &journal.record.trial {
        watch.step();
        trial.guard(&journal.root, watch)?;
    }
    switch(journal, Side::Old, watch)?;
    let count = journal.record.changes.len();
    let numbered = || journal.record.changes.iter().enumerate().rev();
    for (done, (number, change)) in numbered().enumerate() {
        watch.step();
        watch.progress(done, count);
        restore(journal, number, change)?;
    }
    for (_, change) in numbered() {
        if let Some(before) = change.before.as_ref().filter(|before| before.is_folder()) {
            watch.step();
            if !journal.place_of(change).is_bare {
                dress(before, &journal.place(change))?;
            }
        }
    }
    if let Some(trial) = &journal.record.trial {
        watch.step();
        trial.disarm(&journal.root, watch)?;
    }
    journal.event(Event::Finished, watch)
}

fn restore(journal: &Journal, number: usize, change: &Change) -> Result<(), Error> {
    let (place, old) = (journal.place(change), journal.old_file(number));
    let is_kept = fs::symlink_metadata(&old).is_ok();
    match &change.before {
        Some(before) if before.is_folder() && !is_kept => Ok(()),
        Some(before) if is_kept && is_still(journal, change, before, &old)? => remove_if_there(&old),
        Some(_) if is_kept => {
            leave(journal, number, &place)?;
            fs::rename(&old, &place).at("restore", &place)
        }
        // It was restored before, or never replaced.
        Some(_) => Ok(()),
        None => {
            let is_ours = fs::symlink_metadata(journal.new_file(number)).is_err();
            let is_left = fs::symlink_metadata(journal.left_file(number)).is_ok();
            match is_ours && !is_left && fs::symlink_metadata(&place).is_ok() {
                true => fs::rename(&place, journal.left_file(number)).at("take away", &place),
                false => Ok(()),
            }
        }
    }
}

/// Returns whether the old file is in its place, and not only in the store.
fn is_still(journal: &Journal, change: &Change, before: &Entry, old: &Path) -> Result<bool, Error> {
    let place = journal.place(change);
    match journal.place_of(change).is_bare {
        // It is kept as a copy.
        true => Ok(Entry::read(&place)?.as_ref() == Some(before)),
        false => Ok(is_same(&place, old)),
    }
}

/// Puts what is in a place aside. A file keeps its name until the old one takes it.
fn leave(journal: &Journal, number: usize, place: &Path) -> Result<(), Error> {
    let left = journal.left_file(number);
    let Ok(data) = fs::symlink_metadata(place) else { return Ok(()) };
    let is_bare = journal.place_of(&journal.record.changes[number]).is_bare;
    let must_go =
        is_bare || data.is_dir() || fs::symlink_metadata(journal.old_file(number)).is_ok_and(|old| old.is_dir());
    match fs::symlink_metadata(&left).is_ok() {
        true => Ok(()),
        false if must_go => fs::rename(place, &left).at("take away", place),
        false => fs::hard_link(place, &left).at("take away", place),
    }
}

/// Returns paths of a root that are not as they were before.
pub(crate) fn not_as_before(
    root: &Path,
    changes: &[Change],
    places: &Places,
) -> Result<Vec<std::path::PathBuf>, Error> {
    let mut paths = Vec::new();
    for change in changes.iter().filter(|change| !places.is_top(&change.path)) {
        let is_as = match (Entry::read(&root.join(&change.path))?, &change.before) {
            (None, None) => true,
            (Some(is), Some(before)) => is.is_as(before, places.of(&change.path).is_bare),
            _ => false,
        };
        if !is_as {
            paths.push(change.path.clone());
        }
    }
    Ok(paths)
}
