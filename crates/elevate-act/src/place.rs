//! Makes files as an [`Entry`] says.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::unix::{ffi::OsStringExt, fs::symlink},
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, chownat, mknodat, utimensat};

use crate::{
    entry::{Entry, Kind},
    error::{At, Error},
};

/// Copies what is at `from`, which is no folder, to `to`, where nothing is.
pub(crate) fn copy(from: &Path, entry: &Entry, to: &Path) -> Result<(), Error> {
    match &entry.kind {
        Kind::Folder => fs::create_dir(to).at("make", to)?,
        Kind::File { .. } => copy_bare(from, to)?,
        Kind::Link(target) => {
            let target = hex::decode(target).unwrap_or_default();
            symlink(PathBuf::from(OsString::from_vec(target)), to).at("link", to)?;
        }
        Kind::Special { file_type, device } => {
            let (kind, mode) = (FileType::from_raw_mode(*file_type), Mode::from_raw_mode(entry.mode));
            mknodat(CWD, to, kind, mode, *device).at("make", to)?;
        }
    }
    dress(entry, to)
}

/// Copies the content of a file.
pub(crate) fn copy_bare(from: &Path, to: &Path) -> Result<(), Error> {
    let mut source = File::open(from).at("read", from)?;
    let mut target = File::create_new(to).at("make", to)?;
    io::copy(&mut source, &mut target).at("write", to)?;
    target.sync_all().at("write", to)
}

/// Gives what is at a path owner, attributes, mode and time. In this order: a change of owner takes setuid and
/// capabilities away.
pub(crate) fn dress(entry: &Entry, path: &Path) -> Result<(), Error> {
    let owner = (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)));
    chownat(CWD, path, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW).at("change the owner of", path)?;
    let is = Entry::read(path)?.map(|is| is.attributes).unwrap_or_default();
    let name = |name: &String| OsString::from_vec(hex::decode(name).unwrap_or_default());
    for (key, value) in entry.attributes.iter().filter(|(key, value)| is.get(*key) != Some(*value)) {
        xattr::set(path, name(key), &hex::decode(value).unwrap_or_default()).at("set the attributes of", path)?;
    }
    for key in is.keys().filter(|key| !entry.attributes.contains_key(*key)) {
        xattr::remove(path, name(key)).at("remove the attributes of", path)?;
    }
    if !matches!(entry.kind, Kind::Link(_)) {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(entry.mode)).at("change", path)?;
    }
    let time = Timespec { tv_sec: entry.modified.0, tv_nsec: entry.modified.1 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).at("set the time of", path)
}
