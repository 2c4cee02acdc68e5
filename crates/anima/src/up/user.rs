//! The system user that the Sign Server runs as, and its folder.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::Path,
    process::Command,
};

use anyhow::Context;

use crate::exit::{Exit, Failure, Result};

/// A user of this system.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

/// Returns the user of that name; makes it where there is none.
pub fn ensure(name: &str) -> Result<User> {
    if let Some(user) = find(name)? {
        return Ok(user);
    }
    create(name)?;
    find(name)?.ok_or_else(|| Failure::new(Exit::Internal, format!("could not find user {name} after useradd made it")))
}

fn find(name: &str) -> Result<Option<User>> {
    let output = Command::new("getent").args(["passwd", name]).output().context("could not run getent")?;
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

/// Reads a line of `passwd`: `name:x:uid:gid:…`.
fn parse(line: &str) -> Option<User> {
    let mut fields = line.trim().split(':').skip(2);
    Some(User { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
}

fn create(name: &str) -> Result {
    let failed = |why: String| {
        Failure::new(Exit::Internal, format!("could not make user {name} for the sign server: {why}"))
            .hint("make it by hand, name another in anima.toml ([sign_server] user), or say user = \"\" to use none")
    };
    let mut command = Command::new("useradd");
    command.args(["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]);
    command.args(["--shell", "/usr/sbin/nologin", "--comment", "Anima's Sign Server", name]);
    let output = command.output().map_err(|error| failed(format!("could not run useradd: {error}")))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_string())),
    }
}

impl User {
    /// Returns whether this user, who is in no other group, may read a file in a folder. The folders above let everybody through.
    pub fn may_read(self, path: &Path) -> bool {
        let may = |path: &Path, bits: u32| {
            let data = fs::metadata(path).ok()?;
            let shift = if data.uid() == self.uid {
                6
            } else if data.gid() == self.gid {
                3
            } else {
                0
            };
            Some(data.mode() >> shift & bits == bits)
        };
        may(path, 0o4) == Some(true) && path.parent().is_some_and(|folder| may(folder, 0o1) == Some(true))
    }
}

/// Makes the folder that only this user may look into, and gives it all that is there already.
pub fn give_folder(path: &Path, owner: User) -> Result {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path).with_context(|| format!("could not create {}", path.display()))?;
    give(path, owner).with_context(|| format!("could not give {} to user {}", path.display(), owner.uid))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
        .with_context(|| format!("could not close {} to others", path.display()))?;
    Ok(())
}

fn give(path: &Path, owner: User) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if (metadata.uid(), metadata.gid()) != (owner.uid, owner.gid) {
        std::os::unix::fs::lchown(path, Some(owner.uid), Some(owner.gid))?;
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), owner)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_read_from_its_line() {
        assert_eq!(
            parse("anima-sign:x:998:997:Anima:/nonexistent:/usr/sbin/nologin\n"),
            Some(User { uid: 998, gid: 997 })
        );
        assert_eq!(parse(""), None);
    }

    #[test]
    fn root_is_found_and_nobody_of_no_name_is() {
        assert_eq!(find("root").unwrap(), Some(User { uid: 0, gid: 0 }));
        assert_eq!(find("no-such-user-here").unwrap(), None);
    }

    #[test]
    fn a_folder_given_away_is_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        let me = User { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };

        give_folder(&keys, me).unwrap();

        assert_eq!(fs::metadata(&keys).unwrap().mode() & 0o777, 0o700);
    }
}
