//! The system user that the Sign Server runs as, and its folder.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    },
    path::Path,
    process::Command,
};

use anyhow::Context;
use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid, chownat, fstat, openat},
    io::Errno,
};

use crate::exit::{Exit, Failure, Result};

/// A folder, and no link to one.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// The Sign Server's folders are two deep; each costs two open files while it is given away.
const MAX_DEPTH: usize = 16;

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

/// Makes the folder that only this user may look into, gives it all that is there already, and returns it, open.
///
/// What is in it is the user's, who may be anybody by now: names in it are not followed, and what is given away is what is open,
/// so that no link leads to a file of others.
pub fn give_folder(path: &Path, owner: User) -> Result<File> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path).with_context(|| format!("could not create {}", path.display()))?;
    let failed = || format!("could not give {} to user {}", path.display(), owner.uid);
    // A link of root's leads where root wants.
    let is_roots = fs::symlink_metadata(path).is_ok_and(|data| data.is_symlink() && data.uid() == 0);
    let place = if is_roots { path.canonicalize().with_context(failed)? } else { path.to_owned() };
    let folder = File::from(openat(CWD, &place, FOLDER, Mode::empty()).with_context(failed)?);
    give(folder.as_fd(), owner, 0).with_context(failed)?;
    folder
        .set_permissions(fs::Permissions::from_mode(0o700))
        .with_context(|| format!("could not close {} to others", path.display()))?;
    Ok(folder)
}

/// Gives away an open folder and all that is in it.
fn give(folder: BorrowedFd<'_>, owner: User, depth: usize) -> io::Result<()> {
    if depth > MAX_DEPTH {
        return Err(io::Error::other(format!("folders are more than {MAX_DEPTH} deep in one another")));
    }
    give_one(folder, owner)?;
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if [c".", c".."].contains(&entry.file_name()) {
            continue;
        }
        // Not to read it: a pipe would wait for who writes.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let inner = match openat(folder, entry.file_name(), flags, Mode::empty()) {
            Err(Errno::NOENT) => continue,
            other => other?,
        };
        let data = fstat(&inner)?;
        match FileType::from_raw_mode(data.st_mode) {
            FileType::Directory => give(openat(&inner, ".", FOLDER, Mode::empty())?.as_fd(), owner, depth + 1)?,
            // By another name it may be a file of others.
            _ if data.st_nlink > 1 => {}
            _ => give_one(inner.as_fd(), owner)?,
        }
    }
    Ok(())
}

fn give_one(file: BorrowedFd<'_>, owner: User) -> io::Result<()> {
    let data = fstat(file)?;
    if (data.st_uid, data.st_gid) == (owner.uid, owner.gid) {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    Ok(chownat(file, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?)
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

    #[test]
    fn a_folder_is_given_with_what_is_in_it_and_nothing_that_a_link_in_it_leads_to() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (keys, others) = (folder.path().join("keys"), folder.path().join("others"));
        for path in [&keys.join("inner"), &others] {
            fs::create_dir_all(path).unwrap();
        }
        for path in [&keys.join("inner/key"), &others.join("shadow"), &others.join("linked")] {
            fs::write(path, "secret").unwrap();
        }
        std::os::unix::fs::symlink(&others, keys.join("link")).unwrap();
        fs::hard_link(others.join("linked"), keys.join("linked")).unwrap();
        let user = User { uid: 4321, gid: 4321 };

        give_folder(&keys, user).unwrap();
        let through_link = give_folder(&keys.join("link"), user);

        let owner = |path: &Path| fs::symlink_metadata(path).unwrap().uid();
        let given = ["", "inner", "inner/key", "link"].map(|name| owner(&keys.join(name)));
        assert_eq!(given, [4321; 4]);
        assert_eq!(["", "shadow", "linked"].map(|name| owner(&others.join(name))), [0; 3]);
        assert!(through_link.is_err());
    }
}
