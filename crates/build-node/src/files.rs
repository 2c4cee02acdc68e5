//! Files of a buildroot, written for the build user from outside.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use anima_environment::Inside;

use crate::trouble::Trouble;
use crate::workroot::{HOME, TOP};

/// The user id that builds run with.
const UID: u32 = 1000;
/// The group of the build user where a root has none.
const GID: u32 = 135;
/// The largest file of accounts that is read.
const MAX_ACCOUNTS_BYTES: u64 = 1024 * 1024;

/// The files of a root with a build user in it. Clones are of the same root; all of it blocks.
#[derive(Clone, Debug)]
pub struct Files {
    inside: Arc<Inside>,
    owner: (u32, u32),
}

impl Files {
    /// Puts the user, rpmbuild's folders and the user's macros into a clean root.
    pub fn prepare(root: &Path, macros: &str) -> Result<Files, Trouble> {
        let inside = Inside::open(root)?;
        let owner = (UID, user(&inside)?);
        for folder in [HOME, TOP] {
            inside.create_dir(folder, owner, 0o755)?;
        }
        for name in ["BUILD", "BUILDROOT", "RPMS", "SOURCES", "SPECS", "SRPMS", "originals"] {
            inside.create_dir(format!("{TOP}/{name}"), owner, 0o755)?;
        }
        inside.replace(format!("{HOME}/.rpmmacros"), owner, 0o644, &mut macros.as_bytes())?;
        Ok(Files { inside: Arc::new(inside), owner })
    }

    /// Returns them for reading.
    pub fn inside(&self) -> &Inside {
        &self.inside
    }

    /// Returns the build user and his group.
    pub fn owner(&self) -> (u32, u32) {
        self.owner
    }

    /// Writes a file below rpmbuild's top folder, with the folders on the way; returns its path inside.
    pub fn put(&self, path: &str, is_executable: bool, content: &mut dyn Read) -> Result<String, Trouble> {
        let mut folder = TOP.to_owned();
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_some() {
                folder = format!("{folder}/{part}");
                self.inside.create_dir(&folder, self.owner, 0o755)?;
            }
        }
        let path = format!("{TOP}/{path}");
        self.inside.create(&path, self.owner, if is_executable { 0o755 } else { 0o644 }, content)?;
        Ok(path)
    }
}

/// Returns the group of the build user, who is added to the root's accounts where he is missing.
fn user(inside: &Inside) -> Result<u32, Trouble> {
    let read = |path: &str| match inside.kind(path)? {
        Some(_) => inside.read_text(path, MAX_ACCOUNTS_BYTES),
        None => Ok(String::new()),
    };
    let accounts = read("/etc/passwd")?;
    if let Some(gid) = group_of(&accounts, UID) {
        return Ok(gid);
    }
    let line = format!("mockbuild:x:{UID}:{GID}:Build user:{HOME}:/bin/bash\n");
    inside.replace("/etc/passwd", (0, 0), 0o644, &mut with_line(&accounts, &line).as_bytes())?;
    let groups = read("/etc/group")?;
    if !groups.lines().any(|line| line.split(':').nth(2) == Some(&GID.to_string())) {
        let line = format!("mock:x:{GID}:\n");
        inside.replace("/etc/group", (0, 0), 0o644, &mut with_line(&groups, &line).as_bytes())?;
    }
    Ok(GID)
}

fn group_of(accounts: &str, uid: u32) -> Option<u32> {
    let fields = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut own = fields.filter(|fields| fields.get(2).is_some_and(|id| *id == uid.to_string()));
    own.next()?.get(3)?.parse().ok()
}

fn with_line(text: &str, line: &str) -> String {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{end}{line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root_with(accounts: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::fs::write(root.path().join("etc/passwd"), accounts).unwrap();
        root
    }

    #[test]
    fn a_root_with_a_build_user_is_left_as_it_is() {
        let accounts = "root:x:0:0:root:/root:/bin/bash\nmockbuild:x:1000:42::/builddir:/bin/bash\n";
        let root = root_with(accounts);

        assert_eq!(user(&Inside::open(root.path()).unwrap()), Ok(42));
        assert_eq!(std::fs::read_to_string(root.path().join("etc/passwd")).unwrap(), accounts);
    }

    #[test]
    fn a_root_without_a_build_user_gets_one() {
        let root = root_with("root:x:0:0:root:/root:/bin/bash");

        assert_eq!(user(&Inside::open(root.path()).unwrap()), Ok(135));

        let accounts = std::fs::read_to_string(root.path().join("etc/passwd")).unwrap();
        assert!(accounts.ends_with("\nmockbuild:x:1000:135:Build user:/builddir:/bin/bash\n"), "{accounts}");
        assert_eq!(std::fs::read_to_string(root.path().join("etc/group")).unwrap(), "mock:x:135:\n");
    }
}
