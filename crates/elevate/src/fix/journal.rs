//! What was there before fixes, in the root itself.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Change, State, place, state};
use crate::{Error, Result};

/// The newest form of the document.
const JOURNAL_VERSION: u32 = 1;
/// Where the documents are, in the root.
const FOLDER: &str = "var/lib/anima-elevate-fix";

/// Changes that were made together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Applied {
    /// The form.
    pub version: u32,
    /// The changes, in the order in which they were made.
    pub changes: Vec<Change>,
}

/// Writes down what is about to change.
pub fn write(root: &Path, changes: &[Change]) -> Result<()> {
    let folder = root.join(FOLDER);
    let failed = |source| Error::Write { path: folder.clone(), source };
    fs::create_dir_all(&folder).map_err(failed)?;
    let applied = Applied { version: JOURNAL_VERSION, changes: changes.to_vec() };
    let text = serde_json::to_string_pretty(&applied).expect("our own types are always JSON");
    let number = last(root)?.map_or(1, |(number, _)| number + 1);
    let mut file = tempfile::NamedTempFile::new_in(&folder).map_err(failed)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(folder.join(format!("{number:04}.json"))).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Takes back what was done last, and returns it; nothing where there is nothing left. Nothing is touched where a file was
/// changed since by somebody else.
pub fn undo(root: &Path) -> Result<Option<Applied>> {
    let Some((_, path)) = last(root)? else { return Ok(None) };
    let text = fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
    let place_of = |error: &serde_json::Error| crate::data::Place {
        file: path.clone(),
        line: error.line(),
        column: error.column(),
    };
    let applied: Applied = serde_json::from_str(&text)
        .map_err(|error| Error::Data { place: place_of(&error), reason: error.to_string() })?;
    if applied.version > JOURNAL_VERSION {
        return Err(Error::Version { what: "journal of fixes", found: applied.version, known: JOURNAL_VERSION });
    }
    let mut left = Vec::new();
    for change in &applied.changes {
        let now: State = state(root, &change.path)?;
        if now == change.after {
            left.push(change);
        } else if now != change.before {
            return Err(Error::Changed { path: PathBuf::from(&change.path) });
        }
    }
    left.into_iter().rev().try_for_each(|change| place(root, &change.path, &change.before))?;
    fs::remove_file(&path).map_err(|source| Error::Write { path, source })?;
    Ok(Some(applied))
}

/// Returns the newest document.
fn last(root: &Path) -> Result<Option<(u32, PathBuf)>> {
    let folder = root.join(FOLDER);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        entries => entries.map_err(|source| Error::Read { path: folder, source })?,
    };
    let numbered = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        let number = path.file_name()?.to_str()?.strip_suffix(".json")?.parse().ok()?;
        Some((number, path))
    });
    Ok(numbered.max_by_key(|(number, _)| *number))
}
