//! A rehearsed layer is written into a clone of the root, which nobody uses: killed in the middle, it is thrown away and
//! made anew.

use std::{fs, path::Path};

use crate::{
    Watch,
    entry::Entry,
    error::{At, Error},
    layer::{Change, join, upper},
    place::{copy, dress},
};

/// Makes the clone in `root` the new system. `state` has the layer, whose first file system is the root's.
pub(crate) fn apply(root: &Path, changes: &[Change], state: &Path, watch: &mut dyn Watch) -> Result<(), Error> {
    let upper = upper(state, 0);
    for (number, change) in changes.iter().enumerate() {
        watch.step();
        watch.progress(number, changes.len());
        let place = join(root, &change.path);
        match &change.after {
            None => remove(&place)?,
            Some(after) if after.is_folder() => make_folder(&place)?,
            Some(after) => {
                remove(&place)?;
                match change.link_of {
                    Some(first) => fs::hard_link(root.join(&changes[first].path), &place).at("link", &place)?,
                    None => copy(&upper.join(&change.path), after, &place)?,
                }
            }
        }
    }
    // Times of folders are last: everything above changed them.
    for change in changes.iter().rev() {
        if let Some(after) = change.after.as_ref().filter(|after| after.is_folder()) {
            dress(after, &join(root, &change.path))?;
        }
    }
    let differs = |change: &&Change| Entry::read(&join(root, &change.path)).is_ok_and(|is| is != change.after);
    match changes.iter().find(differs) {
        Some(change) => Err(Error::NotAsRehearsed { path: change.path.clone() }),
        None => Ok(()),
    }
}

fn make_folder(place: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(place) {
        Ok(data) if data.is_dir() => return Ok(()),
        Ok(_) => fs::remove_file(place).at("remove", place)?,
        Err(_) => {}
    }
    fs::create_dir(place).at("make", place)
}

fn remove(place: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(place) {
        Err(_) => Ok(()),
        Ok(data) if data.is_dir() => fs::remove_dir_all(place).at("remove", place),
        Ok(_) => fs::remove_file(place).at("remove", place),
    }
}
