//! Fixes: edits of a root's files that a rule proposes, shown before they are made, and taken back.
//!
//! This is the only part of the crate that writes to a root. What a file was is written down first, in the root itself, so that
//! a kill at any instant leaves what `undo` needs.

mod edit;
mod journal;
mod preview;

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{MetadataExt as _, symlink},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{Error, Result, rules::Rule};

pub use edit::Edit;
pub use journal::{Applied, undo};
pub use preview::preview;

/// What a path is before or after a change.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum State {
    /// Nothing.
    Absent,
    /// A file with this text.
    Text {
        /// What is in it.
        text: String,
    },
    /// A link.
    Link {
        /// Where it leads.
        target: String,
    },
}

/// One path that changes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The path, as the root has it.
    pub path: String,
    /// The rules that want it.
    pub rules: Vec<String>,
    /// What is there.
    pub before: State,
    /// What is there afterwards.
    pub after: State,
}

/// Returns what the edits of rules would change in a root, by path. An edit of what is as it should be changes nothing.
pub fn changes(root: &Path, rules: &[&Rule]) -> Result<Vec<Change>> {
    let mut changes: BTreeMap<String, Change> = BTreeMap::new();
    for rule in rules {
        for edit in &rule.edits {
            for (from, to) in edit.paths(root) {
                let mut after_of = |path: &str, after: &dyn Fn(&State) -> State| -> Result<()> {
                    if !changes.contains_key(path) {
                        let before = state(root, path)?;
                        let change = Change { path: path.to_string(), rules: vec![], after: before.clone(), before };
                        changes.insert(path.to_string(), change);
                    }
                    let change = changes.get_mut(path).expect("it was inserted");
                    let new = after(&change.after);
                    if new != change.after {
                        change.after = new;
                        change.rules.push(rule.id.clone());
                    }
                    Ok(())
                };
                match to {
                    None => after_of(&from, &|state| edit.apply(&from, state))?,
                    Some(to) => {
                        let old = state(root, &from)?;
                        after_of(&to, &|_| old.clone())?;
                        after_of(&from, &|_| State::Absent)?;
                    }
                }
            }
        }
    }
    let mut changes: Vec<Change> = changes.into_values().filter(|change| change.before != change.after).collect();
    changes.iter_mut().for_each(|change| {
        change.rules.sort();
        change.rules.dedup();
    });
    Ok(changes)
}

/// Makes the changes. What was there is written down first.
pub fn apply(root: &Path, changes: &[Change]) -> Result<()> {
    for change in changes {
        expect(root, &change.path, &change.before)?;
    }
    journal::write(root, changes)?;
    changes.iter().try_for_each(|change| place(root, &change.path, &change.after))
}

fn expect(root: &Path, path: &str, expected: &State) -> Result<()> {
    match state(root, path)? == *expected {
        true => Ok(()),
        false => Err(Error::Changed { path: PathBuf::from(path) }),
    }
}

fn whole(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Returns what a path is. What is no text (a folder, a device, a program) cannot be edited.
fn state(root: &Path, path: &str) -> Result<State> {
    let whole = whole(root, path);
    let failed = |source| Error::Read { path: whole.clone(), source };
    let metadata = match fs::symlink_metadata(&whole) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Absent),
        metadata => metadata.map_err(failed)?,
    };
    if metadata.is_symlink() {
        let target = fs::read_link(&whole).map_err(failed)?;
        let target = target.into_os_string().into_string().map_err(|_| failed(io::ErrorKind::InvalidData.into()))?;
        return Ok(State::Link { target });
    }
    Ok(State::Text { text: fs::read_to_string(&whole).map_err(failed)? })
}

/// Puts a state at a path, in one step: a reader sees what was there or what will be.
fn place(root: &Path, path: &str, state: &State) -> Result<()> {
    let whole = whole(root, path);
    let failed = |source| Error::Write { path: whole.clone(), source };
    let Some(folder) = whole.parent() else { return Err(failed(io::ErrorKind::InvalidInput.into())) };
    match state {
        State::Absent => match fs::remove_file(&whole) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done.map_err(failed),
        },
        State::Link { target } => {
            let beside = whole.with_extension("anima-new");
            let _ = fs::remove_file(&beside);
            symlink(target, &beside).and_then(|()| fs::rename(&beside, &whole)).map_err(failed)
        }
        State::Text { text } => {
            let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
            io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)?;
            like(&whole, file.path()).map_err(failed)?;
            file.as_file().sync_all().map_err(failed)?;
            file.persist(&whole).map_err(|error| failed(error.error)).map(drop)
        }
    }
}

/// Gives a new file the mode, the owner and the attributes (SELinux's label) of the one that it replaces.
fn like(old: &Path, new: &Path) -> io::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(old) else {
        return fs::set_permissions(new, std::os::unix::fs::PermissionsExt::from_mode(0o644));
    };
    fs::set_permissions(new, metadata.permissions())?;
    std::os::unix::fs::lchown(new, Some(metadata.uid()), Some(metadata.gid()))?;
    for name in xattr::list(old).into_iter().flatten() {
        if let Some(value) = xattr::get(old, &name)? {
            xattr::set(new, &name, &value)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::rules;

    /// A root with a configuration that two rules speak of.
    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/firewalld")).unwrap();
        let path = root.path().join("etc/firewalld/firewalld.conf");
        fs::write(&path, "# ours\nDefaultZone=public\nAllowZoneDrifting=yes\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("/usr/bin", root.path().join("bin")).unwrap();
        root
    }

    fn found() -> Vec<&'static Rule> {
        ["firewalld_zone_drifting", "absolute_root_links"].map(|id| rules::by_id(id).unwrap()).to_vec()
    }

    #[test]
    fn edits_are_shown_made_and_taken_back() {
        let root = root();
        let path = root.path().join("etc/firewalld/firewalld.conf");
        let changes = changes(root.path(), &found()).unwrap();

        assert!(preview(&changes).contains("-AllowZoneDrifting=yes\n+AllowZoneDrifting=no\n"), "{}", preview(&changes));
        apply(root.path(), &changes).unwrap();

        assert_eq!(fs::read_to_string(&path).unwrap(), "# ours\nDefaultZone=public\nAllowZoneDrifting=no\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_link(root.path().join("bin")).unwrap(), Path::new("usr/bin"));
        assert!(super::changes(root.path(), &found()).unwrap().is_empty(), "a second time there is nothing to do");

        let undone = undo(root.path()).unwrap().unwrap();
        assert_eq!(undone.changes.len(), 2);
        assert!(fs::read_to_string(&path).unwrap().contains("AllowZoneDrifting=yes"));
        assert_eq!(fs::read_link(root.path().join("bin")).unwrap(), Path::new("/usr/bin"));
        assert!(undo(root.path()).unwrap().is_none(), "nothing is left to take back");
    }

    #[test]
    fn what_was_edited_since_is_not_overwritten() {
        let root = root();
        let path = root.path().join("etc/firewalld/firewalld.conf");
        let changes = changes(root.path(), &found()).unwrap();
        apply(root.path(), &changes).unwrap();
        fs::write(&path, "mine\n").unwrap();

        assert!(matches!(undo(root.path()), Err(Error::Changed { .. })));
        assert!(matches!(apply(root.path(), &changes), Err(Error::Changed { .. })));

        assert_eq!(fs::read_to_string(&path).unwrap(), "mine\n");
        assert_eq!(
            fs::read_link(root.path().join("bin")).unwrap(),
            Path::new("usr/bin"),
            "nothing else was taken back"
        );
    }

    #[test]
    fn a_kill_between_the_journal_and_the_edits_is_taken_back_too() {
        let root = root();
        let changes = changes(root.path(), &found()).unwrap();
        journal::write(root.path(), &changes).unwrap();
        place(root.path(), &changes[0].path, &changes[0].after).unwrap();

        undo(root.path()).unwrap().unwrap();

        assert_eq!(state(root.path(), &changes[0].path).unwrap(), changes[0].before);
    }
}
