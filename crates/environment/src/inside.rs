//! Files of a root, touched from outside: whatever a package or a build left there, no path leads out of the root.
//!
//! Symbolic links are resolved by the kernel as if the root were `/` (`openat2` with `RESOLVE_IN_ROOT`); devices, sockets
//! and pipes are never opened.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, openat, openat2, statat};

use crate::Error;

/// Folders are searched at most so deep: the deepest of real packages is under 40.
const MAX_DEPTH: usize = 64;
/// A search finds at most so many files.
pub const MAX_FOUND: usize = 100_000;

/// A root on the host, held open.
#[derive(Debug)]
pub struct Inside {
    root: OwnedFd,
    path: PathBuf,
}

/// What a path inside is, after all links on the way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link; only of [`Inside::kind_of_itself`].
    Link,
    /// A device, a socket, a pipe.
    Special,
}

impl Inside {
    /// Opens a root.
    pub fn open(root: &Path) -> Result<Inside, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(CWD, root, flags, Mode::empty()).map_err(|errno| Error::file("open", root)(errno.into()))?;
        Ok(Inside { root: fd, path: root.to_owned() })
    }

    /// Returns where the root is on the host.
    pub fn root(&self) -> &Path {
        &self.path
    }

    /// Opens a regular file for reading.
    pub fn file(&self, path: impl AsRef<Path>) -> Result<File, Error> {
        let path = path.as_ref();
        // Nothing is opened for reading before it is known to be a file: opening a device can do things, a pipe blocks.
        let place = self.at(path, OFlags::PATH).map_err(|error| refused(path, error))?;
        match kind(&rustix::fs::fstat(&place).map_err(|errno| refused(path, errno.into()))?) {
            Kind::File => {}
            _ => return Err(refused(path, io::Error::other("it is no regular file"))),
        }
        let file =
            self.at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).map_err(|error| refused(path, error))?;
        Ok(File::from(file))
    }

    /// Reads a text file of at most so many bytes.
    pub fn read_text(&self, path: impl AsRef<Path>, limit_bytes: u64) -> Result<String, Error> {
        let path = path.as_ref();
        let mut bytes = Vec::new();
        self.file(path)?.take(limit_bytes + 1).read_to_end(&mut bytes).map_err(|error| refused(path, error))?;
        if bytes.len() as u64 > limit_bytes {
            return Err(refused(path, io::Error::other(format!("it is larger than {limit_bytes} bytes"))));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Returns what the path leads to; nothing when it leads nowhere.
    pub fn kind(&self, path: impl AsRef<Path>) -> Result<Option<Kind>, Error> {
        let path = path.as_ref();
        match self.at(path, OFlags::PATH) {
            Ok(place) => Ok(Some(kind(&rustix::fs::fstat(&place).map_err(|errno| refused(path, errno.into()))?))),
            Err(error) if leads_nowhere(&error) => Ok(None),
            Err(error) => Err(refused(path, error)),
        }
    }

    /// Returns what is at the path itself: a link at its end is not followed.
    pub fn kind_of_itself(&self, path: impl AsRef<Path>) -> Result<Option<Kind>, Error> {
        let path = path.as_ref();
        match self.at(path, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(place) => Ok(Some(kind(&rustix::fs::fstat(&place).map_err(|errno| refused(path, errno.into()))?))),
            Err(error) if leads_nowhere(&error) => Ok(None),
            Err(error) => Err(refused(path, error)),
        }
    }

    /// Makes a file with this content, owner and mode; the folder has to be there, and no file of that name.
    pub fn create(
        &self,
        path: impl AsRef<Path>,
        owner: (u32, u32),
        mode: u32,
        from: &mut dyn Read,
    ) -> Result<(), Error> {
        let path = path.as_ref();
        let name = path.file_name().ok_or_else(|| refused(path, io::Error::other("it has no name")))?;
        let folder = self.at(path.parent().unwrap_or(Path::new("/")), OFlags::PATH | OFlags::DIRECTORY);
        let folder = folder.map_err(|error| refused(path, error))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = openat(&folder, name, flags, Mode::from_raw_mode(0o600));
        let mut file = File::from(made.map_err(|errno| Error::file("write", self.on_host(path))(errno.into()))?);
        io::copy(from, &mut file).map_err(Error::file("write", self.on_host(path)))?;
        let owned = std::os::unix::fs::fchown(&file, Some(owner.0), Some(owner.1));
        owned.map_err(Error::file("set owner of", self.on_host(path)))?;
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        file.set_permissions(permissions).map_err(Error::file("set mode of", self.on_host(path)))
    }

    /// Makes a file as [`Inside::create`] does, in the place of one that may be there; a link there is replaced, not followed.
    pub fn replace(
        &self,
        path: impl AsRef<Path>,
        owner: (u32, u32),
        mode: u32,
        from: &mut dyn Read,
    ) -> Result<(), Error> {
        let path = path.as_ref();
        let name = path.file_name().ok_or_else(|| refused(path, io::Error::other("it has no name")))?;
        let folder = self.at(path.parent().unwrap_or(Path::new("/")), OFlags::PATH | OFlags::DIRECTORY);
        match rustix::fs::unlinkat(&folder.map_err(|error| refused(path, error))?, name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => self.create(path, owner, mode, from),
            Err(errno) => Err(Error::file("remove", self.on_host(path))(errno.into())),
        }
    }

    /// Makes a folder with this owner and mode, unless there is one; its parent has to be there.
    pub fn create_dir(&self, path: impl AsRef<Path>, owner: (u32, u32), mode: u32) -> Result<(), Error> {
        let path = path.as_ref();
        let name = path.file_name().ok_or_else(|| refused(path, io::Error::other("it has no name")))?;
        let parent = self.at(path.parent().unwrap_or(Path::new("/")), OFlags::PATH | OFlags::DIRECTORY);
        let parent = parent.map_err(|error| refused(path, error))?;
        match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => return Err(Error::file("make", self.on_host(path))(errno.into())),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = openat(&parent, name, flags, Mode::empty()).map_err(|errno| refused(path, errno.into()))?;
        let file = File::from(folder);
        std::os::unix::fs::fchown(&file, Some(owner.0), Some(owner.1))
            .map_err(Error::file("set owner of", self.on_host(path)))?;
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        file.set_permissions(permissions).map_err(Error::file("set mode of", self.on_host(path)))
    }

    /// Returns the paths below a folder, sorted, with what they are themselves; no link is followed.
    pub fn walk(&self, folder: impl AsRef<Path>) -> Result<Vec<(PathBuf, Kind)>, Error> {
        let folder = folder.as_ref();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let top = self.at(folder, flags).map_err(|error| refused(folder, error))?;
        let mut found = Vec::new();
        walk(&top, folder, 0, &mut found)?;
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(found)
    }

    fn at(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        Ok(openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)?)
    }

    fn on_host(&self, path: &Path) -> PathBuf {
        self.path.join(path.strip_prefix("/").unwrap_or(path))
    }
}

fn walk(folder: &OwnedFd, path: &Path, depth: usize, found: &mut Vec<(PathBuf, Kind)>) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(refused(path, io::Error::other(format!("it is deeper than {MAX_DEPTH} folders"))));
    }
    let system = |errno: rustix::io::Errno| refused(path, errno.into());
    for entry in Dir::read_from(folder).map_err(system)? {
        let entry = entry.map_err(system)?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        if found.len() >= MAX_FOUND {
            return Err(refused(path, io::Error::other(format!("there are more than {MAX_FOUND} files"))));
        }
        let this = path.join(name);
        let kind = kind(&statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map_err(system)?);
        found.push((this.clone(), kind));
        if kind == Kind::Dir {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let below = openat(folder, name, flags, Mode::empty()).map_err(system)?;
            walk(&below, &this, depth + 1, found)?;
        }
    }
    Ok(())
}

fn kind(stat: &Stat) -> Kind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Link,
        _ => Kind::Special,
    }
}

fn leads_nowhere(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP))
}

fn refused(path: &Path, error: io::Error) -> Error {
    Error::Inside { path: path.display().to_string(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for folder in ["usr/lib64", "etc"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        std::fs::write(root.path().join("usr/lib64/a"), "inside").unwrap();
        root
    }

    #[test]
    fn links_are_followed_as_if_the_root_were_everything() {
        let root = root();
        symlink("usr/lib64", root.path().join("lib64")).unwrap();
        symlink("/usr/lib64/a", root.path().join("etc/absolute")).unwrap();
        symlink("../../../../../usr/lib64/a", root.path().join("etc/climbing")).unwrap();
        let inside = Inside::open(root.path()).unwrap();

        for path in ["/lib64/a", "/etc/absolute", "/etc/climbing"] {
            assert_eq!(inside.read_text(path, 100).unwrap(), "inside", "{path}");
        }
        assert_eq!(inside.kind_of_itself("/etc/absolute").unwrap(), Some(Kind::Link));
    }

    #[test]
    fn a_link_to_a_file_of_the_host_leads_nowhere() {
        let root = root();
        let outside = tempfile::NamedTempFile::new().unwrap();
        symlink(outside.path(), root.path().join("etc/leak")).unwrap();
        symlink("/proc/self/root", root.path().join("etc/magic")).unwrap();
        symlink("loop", root.path().join("etc/loop")).unwrap();
        let inside = Inside::open(root.path()).unwrap();

        for path in ["/etc/leak", "/etc/magic", "/etc/loop", "/nothing", "/usr/lib64/a/b"] {
            assert_eq!(inside.kind(path).unwrap(), None, "{path}");
            assert!(inside.file(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_pipe_or_device_is_never_opened() {
        let root = root();
        rustix::fs::mknodat(CWD, root.path().join("etc/pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let inside = Inside::open(root.path()).unwrap();

        assert_eq!(inside.kind("/etc/pipe").unwrap(), Some(Kind::Special));
        assert!(inside.file("/etc/pipe").unwrap_err().to_string().contains("no regular file"));
        assert!(inside.file("/etc").is_err());
    }

    #[test]
    fn a_search_names_links_and_does_not_follow_them() {
        let root = root();
        symlink("/", root.path().join("usr/lib64/b")).unwrap();
        let inside = Inside::open(root.path()).unwrap();

        let found = inside.walk("/usr").unwrap();

        let expected = [("/usr/lib64", Kind::Dir), ("/usr/lib64/a", Kind::File), ("/usr/lib64/b", Kind::Link)];
        assert_eq!(found, expected.map(|(path, kind)| (PathBuf::from(path), kind)));
    }

    #[test]
    fn a_file_is_made_once_and_not_through_a_link() {
        let root = root();
        let outside = tempfile::tempdir().unwrap();
        symlink(outside.path().join("x"), root.path().join("etc/x")).unwrap();
        let inside = Inside::open(root.path()).unwrap();
        let owner = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());

        inside.create("/etc/new", owner, 0o640, &mut &b"text"[..]).unwrap();

        assert_eq!(inside.read_text("/etc/new", 10).unwrap(), "text");
        assert!(inside.read_text("/etc/new", 3).is_err());
        assert!(inside.create("/etc/new", owner, 0o640, &mut &b""[..]).is_err());
        assert!(inside.create("/etc/x", owner, 0o640, &mut &b""[..]).is_err());
        assert!(!outside.path().join("x").exists());
    }

    #[test]
    fn a_file_is_replaced_and_a_link_in_its_place_is_not_followed() {
        let root = root();
        let outside = tempfile::NamedTempFile::new().unwrap();
        symlink(outside.path(), root.path().join("etc/passwd")).unwrap();
        let inside = Inside::open(root.path()).unwrap();
        let owner = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());

        for text in ["first", "second"] {
            inside.replace("/etc/passwd", owner, 0o644, &mut text.as_bytes()).unwrap();
        }

        assert_eq!(inside.read_text("/etc/passwd", 10).unwrap(), "second");
        assert_eq!(std::fs::read(outside.path()).unwrap(), b"");
    }
}
