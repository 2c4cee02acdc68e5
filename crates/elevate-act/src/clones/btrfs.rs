//! Clones by btrfs: the root's subvolume has a snapshot beside it, and the two exchange their names in one step.
//!
//! A machine starts the subvolume that is named in its boot entry and in fstab, or the default one. So both say the new one
//! after a switch: the names by an exchange (`renameat2`), the default by its number. Between these two the machine starts
//! one of the two systems, whole.

use std::{
    ffi::OsStr,
    fs,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    ioctl::{Opcode, Setter, ioctl, opcode},
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen},
};
use serde::{Deserialize, Serialize};

use super::Side;
use crate::{
    command,
    error::{At, Error},
    journal::{STORE, sync},
    mounts::FileSystems,
};

/// The kernel's word for it.
pub(crate) const KIND: &str = "btrfs";
/// The number of the subvolume that has all others.
const TOP_ID: u64 = 5;
/// The number of the top folder of every subvolume.
const TOP_INODE: u64 = 256;
/// The subvolume that does not have the root's name, in the folder of the journal.
const OTHER: &str = "other";

/// The top of a btrfs, mounted nowhere, and gone with this process.
#[derive(Debug)]
pub(crate) struct Top {
    _tree: OwnedFd,
    path: PathBuf,
}

impl Top {
    /// Mounts it.
    pub fn open(source: &str) -> Result<Top, Error> {
        let mounted = || {
            let context = fsopen(KIND, FsOpenFlags::FSOPEN_CLOEXEC)?;
            fsconfig_set_string(&context, "source", source)?;
            fsconfig_set_string(&context, "subvolid", TOP_ID.to_string())?;
            fsconfig_create(&context)?;
            fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
        };
        let tree = mounted().at("mount the top of", Path::new(source))?;
        // Programs that we start see it, too.
        let path = format!("/proc/{}/fd/{}", std::process::id(), tree.as_raw_fd()).into();
        Ok(Top { _tree: tree, path })
    }

    /// Returns where it can be seen.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A root's subvolume and its clone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Subvolumes {
    /// The device.
    pub source: String,
    /// The name of the root's subvolume, from the top.
    path: PathBuf,
    /// The number of the old system.
    old_id: u64,
    /// Whether the old system was the default one.
    is_default: bool,
}

/// Looks whether a root is a subvolume that can be cloned; the other result says why not.
pub(crate) fn find(root: &Path, systems: &FileSystems) -> Result<Result<Subvolumes, String>, Error> {
    let own = systems.own()?;
    let path = own.subtree.strip_prefix("/").unwrap_or(&own.subtree);
    let obstacle = if own.kind != KIND {
        Some(format!("the root is on {}", own.kind))
    } else if fs::metadata(root).at("look at", root)?.ino() != TOP_INODE {
        Some("the root is a folder, and no subvolume".to_owned())
    } else if path.as_os_str().is_empty() {
        Some("the root is the top of its btrfs, which cannot be exchanged; make it a subvolume".to_owned())
    } else if !command::is_there("btrfs") {
        Some("the program btrfs is not there; install btrfs-progs".to_owned())
    } else {
        nested(root)?.map(|inner| {
            format!("it has the subvolume {inner} in it, which a snapshot leaves out; mount that one from fstab")
        })
    };
    if let Some(obstacle) = obstacle {
        return Ok(Err(obstacle));
    }
    let old_id = id(root)?;
    let is_default = default_id(root)? == old_id;
    Ok(Ok(Subvolumes { source: own.source.clone(), path: path.to_owned(), old_id, is_default }))
}

/// Returns a subvolume in another that has something in it. An empty one becomes an empty folder.
fn nested(root: &Path) -> Result<Option<String>, Error> {
    let said = btrfs(&["subvolume", "list", "-o"], &[root.as_os_str()])?;
    let own = btrfs(&["inspect-internal", "subvolid-resolve", &id(root)?.to_string()], &[root.as_os_str()])?;
    let paths = said.lines().filter_map(|line| line.split_once(" path ").map(|(_, path)| path));
    let inner = paths.map(|path| path.strip_prefix(own.trim()).unwrap_or(path).trim_start_matches('/'));
    let is_used = |path: &&str| fs::read_dir(root.join(path)).is_ok_and(|mut entries| entries.next().is_some());
    Ok(inner.filter(is_used).map(str::to_owned).next())
}

impl Subvolumes {
    /// Makes a fresh clone in place of one that was begun.
    pub fn make(&self) -> Result<(Top, PathBuf), Error> {
        let top = Top::open(&self.source)?;
        let other = top.path().join(STORE).join(OTHER);
        if other.exists() {
            self.must_be(&other, Side::New)?;
            delete(&other)?;
        }
        let own = top.path().join(&self.path);
        self.must_be(&own, Side::Old)?;
        btrfs(&["subvolume", "snapshot"], &[own.as_os_str(), other.as_os_str()])?;
        Ok((top, other))
    }

    /// Makes one of the two the root.
    pub fn switch(&self, to: Side) -> Result<(), Error> {
        let top = Top::open(&self.source)?;
        let (own, other) = (top.path().join(&self.path), top.path().join(STORE).join(OTHER));
        if self.side(&own)? != to && other.exists() {
            renameat_with(CWD, &own, CWD, &other, RenameFlags::EXCHANGE).at("exchange", &own)?;
        }
        let id = id(&own)?;
        if self.is_default && default_id(top.path())? != id {
            btrfs(&["subvolume", "set-default", &id.to_string()], &[top.path().as_os_str()])?;
        }
        sync(top.path())
    }

    /// Removes one of the two, which may not be in use.
    pub fn remove(&self, side: Side) -> Result<(), Error> {
        let top = Top::open(&self.source)?;
        let other = top.path().join(STORE).join(OTHER);
        if !other.exists() {
            return Ok(());
        }
        self.must_be(&other, side)?;
        // The kernel would take it away from under those who use it.
        if FileSystems::is_mounted(&self.source, &Path::new("/").join(STORE).join(OTHER))? {
            let which = if side == Side::Old { "old" } else { "new" };
            return Err(Error::Unsupported(format!(
                "remove the {which} system: it is in use; restart into the other one first"
            )));
        }
        delete(&other)
    }

    /// Names one of the two for as long as it is tried: the old one by its number, which no exchange of names changes.
    pub fn boot_options(&self, options: &str, side: Side) -> String {
        match side {
            Side::Old => with_flag(options, &format!("subvolid={}", self.old_id)),
            Side::New => with_flag(options, &format!("subvol=/{STORE}/{OTHER}")),
        }
    }

    /// Names the one that has the root's name.
    pub fn kept_options(&self, options: &str) -> String {
        with_flag(options, &format!("subvol=/{}", self.path.display()))
    }

    fn side(&self, path: &Path) -> Result<Side, Error> {
        Ok(if id(path)? == self.old_id { Side::Old } else { Side::New })
    }

    fn must_be(&self, path: &Path, side: Side) -> Result<(), Error> {
        match self.side(path)? == side {
            true => Ok(()),
            false => Err(Error::Unsupported(format!(
                "work on the subvolume {}: it is not the one of the journal; somebody renamed it",
                path.display()
            ))),
        }
    }
}

/// Returns the kernel's options with another subvolume as the root.
fn with_flag(options: &str, flag: &str) -> String {
    let is_ours = |option: &&str| option.starts_with("subvol=") || option.starts_with("subvolid=");
    let mut flags: Vec<&str> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    for word in options.split_whitespace() {
        match word.strip_prefix("rootflags=") {
            Some(list) => flags.extend(list.split(',').filter(|option| !is_ours(option))),
            None => words.push(word.to_owned()),
        }
    }
    flags.push(flag);
    words.push(format!("rootflags={}", flags.join(",")));
    words.join(" ")
}

/// Removes a subvolume with everything in it. The program `btrfs` looks for the mount that a path is in, and ours is in no
/// table; so the kernel is asked.
fn delete(path: &Path) -> Result<(), Error> {
    let (parent, name) = (path.parent().unwrap_or(path), path.file_name().unwrap_or_default());
    let folder = fs::File::open(parent).at("open", parent)?;
    let mut arguments = VolumeArguments { fd: 0, name: [0; NAME_BYTES] };
    arguments.name[..name.len()].copy_from_slice(name.as_bytes());
    // SAFETY: the number is that of BTRFS_IOC_SNAP_DESTROY, which reads such arguments; the name is short, and ends with a zero.
    unsafe { ioctl(&folder, Setter::<DESTROY, VolumeArguments>::new(arguments)) }.at("remove the subvolume", path)?;
    sync(parent)
}

/// What the kernel's `btrfs_ioctl_vol_args` has room for.
const NAME_BYTES: usize = 4088;
const DESTROY: Opcode = opcode::write::<VolumeArguments>(0x94, 15);

/// The kernel's `btrfs_ioctl_vol_args`.
#[repr(C)]
struct VolumeArguments {
    fd: i64,
    name: [u8; NAME_BYTES],
}

fn id(path: &Path) -> Result<u64, Error> {
    number(&btrfs(&["inspect-internal", "rootid"], &[path.as_os_str()])?)
}

fn default_id(path: &Path) -> Result<u64, Error> {
    let said = btrfs(&["subvolume", "get-default"], &[path.as_os_str()])?;
    number(said.trim_start_matches("ID ").split(' ').next().unwrap_or_default())
}

fn number(text: &str) -> Result<u64, Error> {
    let failed = |_| Error::Program { program: "btrfs", said: format!("{text:?} is no number") };
    text.trim().parse().map_err(failed)
}

fn btrfs(verb: &[&str], paths: &[&OsStr]) -> Result<String, Error> {
    let arguments: Vec<&OsStr> = verb.iter().map(OsStr::new).chain(paths.iter().copied()).collect();
    command::run("btrfs", &arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_options_name_the_subvolume_that_is_to_start() {
        let subvolumes = Subvolumes { source: "/dev/sda2".into(), path: "root".into(), old_id: 256, is_default: false };
        let options = "root=UUID=1 ro rootflags=compress=zstd:1,subvol=root quiet";

        let new = subvolumes.boot_options(options, Side::New);
        let old = subvolumes.boot_options("root=UUID=1", Side::Old);

        assert_eq!(new, "root=UUID=1 ro quiet rootflags=compress=zstd:1,subvol=/.anima-elevate/other");
        assert_eq!(old, "root=UUID=1 rootflags=subvolid=256");
        let kept = subvolumes.kept_options(&new);
        assert_eq!(kept, "root=UUID=1 ro quiet rootflags=compress=zstd:1,subvol=/root");
    }
}
