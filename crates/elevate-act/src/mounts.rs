//! Which file systems a root is made of, and which of them an upgrade may write to.
//!
//! `/boot`, `/boot/efi`, `/home`, `/var` and `/usr` are file systems of their own on many machines. Each that is local and
//! writable gets a layer and an undo store of its own; the others are seen by nobody, and what a package would write there
//! is a finding that blocks.

use std::{
    ffi::OsString,
    fs,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use rustix::mount::{UnmountFlags, unmount};
use serde::{Deserialize, Serialize};

use crate::{
    Watch, command,
    error::{At, Error},
};

/// What is mounted there is the kernel's or the running system's, and no package's.
const WITHOUT: [&str; 5] = ["proc", "sys", "dev", "run", "tmp"];
/// Kinds that an overlay can be mounted over.
const LAYERED: [&str; 10] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "f2fs", "overlay", "bcachefs", "ramfs"];
/// Kinds without a second name for a file and without an overlay: they are copied. The EFI system partition is one.
const COPIED: [&str; 3] = ["vfat", "msdos", "exfat"];

/// A file system, or a part of one, that is mounted in a root.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct FileSystem {
    /// Where it is mounted, below the root; empty for the root itself.
    pub place: PathBuf,
    /// Such as `xfs`.
    pub kind: String,
    /// The device.
    pub source: String,
    /// What of it is mounted there, from its own top.
    pub subtree: PathBuf,
    /// Whether nothing can be written to it.
    is_read_only: bool,
}

impl FileSystem {
    /// Returns whether its files are copied, because no layer can be over it.
    pub fn is_copied(&self) -> bool {
        COPIED.contains(&self.kind.as_str())
    }

    fn is_ours(&self) -> bool {
        !self.is_read_only && (LAYERED.contains(&self.kind.as_str()) || self.is_copied())
    }

    /// Returns the words for a person.
    pub fn describe(&self) -> String {
        let access = if self.is_read_only { "read-only " } else { "" };
        format!("/{}, a {access}file system of kind {}", self.place.display(), self.kind)
    }
}

/// The file systems of a root.
#[derive(Clone, Debug)]
pub(crate) struct FileSystems {
    /// Those that can be upgraded; the first is the root's, and what is mounted in another comes after it.
    pub covered: Vec<FileSystem>,
    /// The others.
    pub foreign: Vec<FileSystem>,
}

/// File systems that were mounted for a while, until they are dropped.
pub(crate) struct Mounted(Vec<PathBuf>);

impl Drop for Mounted {
    fn drop(&mut self) {
        // The system that starts mounts them again, and one that is still mounted does not hinder it.
        for place in self.0.iter().rev() {
            let _ = command::run("umount", &[place.as_os_str()]);
        }
    }
}

/// Mounts what a root's fstab has below `/` and an upgrade may have written to. It is done in an initramfs, where nothing but
/// the root is mounted. What cannot be mounted there (its driver is not in the initramfs, its volume not active, its disk away)
/// is told of and left out: whoever needs its store finds that missing.
pub(crate) fn mount_for_boot(root: &Path, watch: &mut dyn Watch) -> Result<Mounted, Error> {
    let mut mounted = Mounted(Vec::new());
    let text = fs::read_to_string(root.join("etc/fstab")).unwrap_or_default();
    let known = mounts()?;
    for (device, place, kind, options) in fstab(&text) {
        let target = root.join(place.strip_prefix("/").unwrap_or(place));
        let is_ours = LAYERED.contains(&kind) || COPIED.contains(&kind);
        let is_wanted =
            is_ours && kind != "tmpfs" && place != Path::new("/") && !options.split(',').any(|it| it == "noauto");
        if !is_wanted || !target.is_dir() || known.iter().any(|mount| mount.place == target) {
            continue;
        }
        // With `nofail` a device that is away is a success.
        let options = options.split(',').filter(|it| *it != "nofail");
        let options = ["defaults"].into_iter().chain(options).collect::<Vec<_>>().join(",");
        let arguments = ["-t", kind, "-o", &options, device].map(std::ffi::OsStr::new);
        match command::run("mount", &arguments.into_iter().chain([target.as_os_str()]).collect::<Vec<_>>()) {
            Ok(_) => mounted.0.push(target),
            Err(error) => watch.tell(&format!("going on without {}: could not {error}", place.display())),
        }
    }
    Ok(mounted)
}

/// The entries of a table of file systems, those first that others are mounted in.
fn fstab(text: &str) -> Vec<(&str, &Path, &str, &str)> {
    let entry = |line| {
        let words: Vec<&str> = str::split_whitespace(line).collect();
        match words.as_slice() {
            [device, place, kind, options, ..] if !device.starts_with('#') => {
                Some((*device, Path::new(*place), *kind, *options))
            }
            _ => None,
        }
    };
    let mut entries: Vec<_> = text.lines().filter_map(entry).collect();
    entries.sort_by_key(|(_, place, ..)| place.components().count());
    entries
}

/// Where a file system of a root is mounted.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Below the root; empty for the root's own.
    pub path: PathBuf,
    /// Whether its files have no owners, modes, attributes and second names.
    pub is_bare: bool,
}

/// Places of the file systems of a root, the root's own first.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Places(Vec<Place>);

impl Default for Places {
    fn default() -> Places {
        Places(vec![Place::default()])
    }
}

impl Places {
    /// Returns all of them.
    pub fn all(&self) -> &[Place] {
        &self.0
    }

    /// Returns the number of the one that has a path.
    pub fn number_of(&self, path: &Path) -> usize {
        let of = self.0.iter().enumerate().filter(|(_, place)| path.starts_with(&place.path));
        of.max_by_key(|(_, place)| place.path.components().count()).map_or(0, |(number, _)| number)
    }

    /// Returns the one that has a path.
    pub fn of(&self, path: &Path) -> &Place {
        &self.0[self.number_of(path)]
    }

    /// Returns whether a path is the top folder of one: the undo store is in it, so its time is not the rehearsed one.
    pub fn is_top(&self, path: &Path) -> bool {
        self.0.iter().any(|place| place.path == path)
    }
}

impl FileSystems {
    /// Reads them from the kernel; `state` has file systems of ours.
    pub fn of(root: &Path, state: &Path) -> Result<FileSystems, Error> {
        Ok(FileSystems::choose(mounts()?, root, state))
    }

    fn choose(mounts: Vec<FileSystem>, root: &Path, state: &Path) -> FileSystems {
        let (mut own, mut below) = (None, Vec::<FileSystem>::new());
        for mut mount in mounts {
            if root.starts_with(&mount.place) {
                // The last that is mounted at the deepest place is the one that is seen.
                let depth = mount.place.components().count();
                if own.as_ref().is_none_or(|(known, _)| depth >= *known) {
                    mount.subtree.push(root.strip_prefix(&mount.place).unwrap_or(Path::new("")));
                    mount.place = PathBuf::new();
                    own = Some((depth, mount));
                }
                continue;
            }
            let Ok(place) = mount.place.strip_prefix(root).map(Path::to_owned) else { continue };
            let is_apart = WITHOUT.iter().any(|apart| place.starts_with(apart)) || mount.place.starts_with(state);
            if !is_apart {
                below.retain(|known| !known.place.starts_with(&place));
                mount.place = place;
                below.push(mount);
            }
        }
        below.sort_by(|a, b| a.place.cmp(&b.place));
        let (covered, foreign): (Vec<_>, Vec<_>) = below.into_iter().partition(FileSystem::is_ours);
        // What is in a file system that is left out is left out.
        let (hidden, seen): (Vec<_>, Vec<_>) =
            covered.into_iter().partition(|it| foreign.iter().any(|other| it.place.starts_with(&other.place)));
        let own = own.map(|(_, mount)| mount);
        FileSystems {
            covered: own.into_iter().chain(seen).collect(),
            foreign: foreign.into_iter().chain(hidden).collect(),
        }
    }

    /// Returns whether a part of a file system is mounted somewhere.
    pub fn is_mounted(source: &str, subtree: &Path) -> Result<bool, Error> {
        Ok(mounts()?.iter().any(|mount| mount.source == source && mount.subtree.starts_with(subtree)))
    }

    /// Returns the root's own.
    pub fn own(&self) -> Result<&FileSystem, Error> {
        self.covered.first().ok_or_else(|| Error::Unsupported("find the file system of the root".to_owned()))
    }

    /// Returns their places.
    pub fn places(&self) -> Places {
        Places(self.covered.iter().map(|it| Place { path: it.place.clone(), is_bare: it.is_copied() }).collect())
    }
}

/// Unmounts everything that is mounted at or below a folder of ours, the last first, and more than once where it was mounted
/// more than once. A process that was killed leaves it so.
pub(crate) fn detach_all(folder: &Path) -> Result<(), Error> {
    for mount in mounts()?.iter().rev().filter(|mount| mount.place.starts_with(folder)) {
        match unmount(&mount.place, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            // It went with another that it was shared with.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error).at("unmount", &mount.place),
        }
    }
    match mounts()?.into_iter().find(|mount| mount.place.starts_with(folder)) {
        None => Ok(()),
        Some(mount) => {
            Err(Error::Unsupported(format!("go on: {} is still mounted; unmount it", mount.place.display())))
        }
    }
}

fn mounts() -> Result<Vec<FileSystem>, Error> {
    let path = Path::new("/proc/self/mountinfo");
    let text = fs::read(path).at("read", path)?;
    Ok(text.split(|byte| *byte == b'\n').filter_map(parse).collect())
}

fn parse(line: &[u8]) -> Option<FileSystem> {
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let dash = words.iter().position(|word| *word == b"-")?;
    let path = |word: &[u8]| PathBuf::from(OsString::from_vec(unescape(word)));
    let text = |word: &&[u8]| String::from_utf8_lossy(&unescape(word)).into_owned();
    Some(FileSystem {
        place: path(words.get(4)?),
        kind: words.get(dash + 1).map(text)?,
        source: words.get(dash + 2).map(text)?,
        subtree: path(words.get(3)?),
        is_read_only: words.get(5)?.split(|byte| *byte == b',').any(|option| option == b"ro"),
    })
}

/// The kernel writes blanks and the like as a backslash and three octal digits.
fn unescape(word: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word;
    while let [first, more @ ..] = rest {
        let digits = more.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| *first == b'\\') {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[3..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"\
20 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
21 20 0:20 / /proc rw - proc proc rw
22 20 8:2 / /mnt/with\\040blank rw - ext4 /dev/sda2 rw
23 22 8:3 / /mnt/with\\040blank/boot rw - xfs /dev/sda3 rw
24 23 8:4 / /mnt/with\\040blank/boot/efi rw - vfat /dev/sda4 rw
25 22 0:31 / /mnt/with\\040blank/data rw - nfs4 server:/data rw
26 22 0:32 /home /mnt/with\\040blank/home rw - btrfs /dev/sdb rw
27 22 0:33 / /mnt/with\\040blank/proc rw - proc proc rw
28 22 0:34 / /mnt/with\\040blank/opt ro - ext4 /dev/sdc rw
29 22 0:35 / /mnt/with\\040blank/state/layer rw - ext4 /dev/loop0 rw
30 25 0:36 / /mnt/with\\040blank/data/deep rw - ext4 /dev/sdd rw
";

    #[test]
    fn local_file_systems_that_can_be_written_are_covered_and_others_are_not() {
        let mounts = MOUNTS.split(|byte| *byte == b'\n').filter_map(parse).collect();
        let root = Path::new("/mnt/with blank");

        let found = FileSystems::choose(mounts, root, Path::new("/mnt/with blank/state"));

        let places = |list: &[FileSystem]| list.iter().map(|it| it.place.display().to_string()).collect::<Vec<_>>();
        assert_eq!(places(&found.covered), ["", "boot", "boot/efi", "home"]);
        assert_eq!(places(&found.foreign), ["data", "opt", "data/deep"]);
        assert!(found.covered[2].is_copied() && !found.covered[1].is_copied());
        assert_eq!(found.own().unwrap().source, "/dev/sda2");
        assert_eq!(found.places().number_of(Path::new("boot/efi/EFI/shim.efi")), 2);
        assert_eq!(found.places().number_of(Path::new("bootstrap")), 0);
    }

    #[test]
    fn what_cannot_be_mounted_before_the_start_is_told_of_and_the_rest_goes_on() {
        #[derive(Default)]
        struct Told(Vec<String>);
        impl Watch for Told {
            fn tell(&mut self, what: &str) {
                self.0.push(what.to_owned());
            }
        }
        let root = tempfile::tempdir().unwrap();
        for folder in ["etc", "home", "srv"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        let fstab = "/dev/no-such-a /home xfs defaults 0 0\n/dev/no-such-b /srv ext4 nofail 0 0\n";
        fs::write(root.path().join("etc/fstab"), fstab).unwrap();
        let mut told = Told::default();

        let mounted = mount_for_boot(root.path(), &mut told).unwrap();

        assert!(mounted.0.is_empty());
        assert!(told.0.len() == 2 && told.0[0].contains("/home") && told.0[1].contains("/srv"), "{:?}", told.0);
    }

    #[test]
    fn a_folder_of_a_subvolume_knows_its_way_from_the_top() {
        let mounts = parse(b"26 22 0:32 /image /srv rw - btrfs /dev/sdb rw").into_iter().collect();

        let found = FileSystems::choose(mounts, Path::new("/srv/root"), Path::new("/state"));

        assert_eq!(found.own().unwrap().subtree, Path::new("/image/root"));
    }
}
