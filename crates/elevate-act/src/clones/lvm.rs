//! Clones by LVM: the root's thin volume has a thin snapshot, which is upgraded and named in the boot entry.
//!
//! Names are not exchanged, because two renames are not one step; so the new system keeps the other name, and the next
//! upgrade's clone has the first one again. Volumes that are not thin are refused: a snapshot of one is no root for long, as
//! it becomes invalid when its space is used up.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::Side;
use crate::{
    command,
    error::{At, Error},
    home::BOOT,
    journal::write_whole,
    mounts::FileSystems,
};

/// What the clone's name ends with, where the root's does not.
const SUFFIX: &str = "_anima";
const FSTAB: &str = "etc/fstab";

/// A root's volume and its clone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Volumes {
    group: String,
    old: String,
    new: String,
    /// The kind of its file system.
    kind: String,
}

/// A clone that is mounted until it is dropped.
pub(crate) struct Mounted {
    folder: PathBuf,
}

impl Mounted {
    /// Returns where.
    pub fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // One that stays mounted is told of when the next one is made.
        let _ = command::run("umount", &[self.folder.as_os_str()]);
    }
}

/// Looks whether a root is a thin volume; the other result says why it cannot be cloned.
pub(crate) fn find(root: &Path, systems: &FileSystems) -> Result<Result<Volumes, String>, Error> {
    let own = systems.own()?;
    if !own.source.starts_with("/dev/") || own.subtree != Path::new("/") {
        return Ok(Err("the root is not the whole of a device".to_owned()));
    }
    if !command::is_there("lvs") {
        return Ok(Err("the programs of LVM are not there".to_owned()));
    }
    let columns = ["--noheadings", "--separator", " ", "-o", "vg_name,lv_name,pool_lv"].map(OsStr::new);
    let arguments: Vec<&OsStr> = columns.into_iter().chain([OsStr::new(&own.source)]).collect();
    let said = command::run("lvs", &arguments).unwrap_or_default();
    let words: Vec<&str> = said.split_whitespace().collect();
    let (group, old) = match words.as_slice() {
        [group, old, _pool] => (*group, *old),
        [_, _] => return Ok(Err("the root's volume is not thin, and a snapshot of it is no root for long".to_owned())),
        _ => return Ok(Err(format!("{} is no logical volume", own.source))),
    };
    if !systems.covered.iter().any(|system| system.place == Path::new(BOOT)) {
        return Ok(Err("/boot is no file system of its own, and both systems have to see it".to_owned()));
    }
    if crate::boot::Loader::find(root).is_none() {
        return Ok(Err("no boot loader's entries are there, and only they can name the new system".to_owned()));
    }
    let new = match old.strip_suffix(SUFFIX) {
        Some(first) => first.to_owned(),
        None => format!("{old}{SUFFIX}"),
    };
    Ok(Ok(Volumes { group: group.to_owned(), old: old.to_owned(), new, kind: own.kind.clone() }))
}

impl Volumes {
    /// Makes a fresh clone in place of one that was begun, and mounts it.
    pub fn make(&self, state: &Path) -> Result<Mounted, Error> {
        let folder = state.join("clone");
        fs::create_dir_all(&folder).at("make", &folder)?;
        self.remove_new()?;
        let old = format!("{}/{}", self.group, self.old);
        lvm("lvcreate", &["-y", "-q", "-s", "-kn", "-n", &self.new, &old])?;
        lvm("lvchange", &["-ay", &self.full(&self.new)])?;
        let device = self.device(&self.new);
        // Both have the same number, which XFS mounts once.
        let options = if self.kind == "xfs" { "nouuid" } else { "defaults" };
        command::run("mount", &["-o".as_ref(), options.as_ref(), device.as_ref(), folder.as_os_str()])?;
        Ok(Mounted { folder })
    }

    /// Removes one of the two, which may not be mounted: LVM refuses that itself.
    pub fn remove(&self, side: Side) -> Result<(), Error> {
        match side {
            Side::New => self.remove_new(),
            Side::Old if self.is_there(&self.old) => lvm("lvremove", &["-f", "-q", &self.full(&self.old)]),
            Side::Old => Ok(()),
        }
    }

    /// Names a volume as the root.
    pub fn boot_options(&self, options: &str, side: Side) -> String {
        let name = if side == Side::Old { &self.old } else { &self.new };
        let others = [&self.old, &self.new].map(|name| format!("rd.lvm.lv={}", self.full(name)));
        let keep = |word: &&str| !word.starts_with("root=") && !others.iter().any(|other| other == word);
        let ours = [format!("root={}", self.device(name)), format!("rd.lvm.lv={}", self.full(name))];
        let words = ours.into_iter().chain(options.split_whitespace().filter(keep).map(str::to_owned));
        words.collect::<Vec<_>>().join(" ")
    }

    /// The clone is told that it is its own root. This is the one file of it that no package has so.
    pub fn name_in_fstab(&self, root: &Path) -> Result<(), Error> {
        let path = root.join(FSTAB);
        let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
        write_whole(&path, with_root(&text, &self.device(&self.new)).as_bytes())
    }

    fn remove_new(&self) -> Result<(), Error> {
        match self.is_there(&self.new) {
            true => lvm("lvremove", &["-f", "-q", &self.full(&self.new)]),
            false => Ok(()),
        }
    }

    fn is_there(&self, name: &str) -> bool {
        command::run("lvs", &[self.full(name).as_ref()]).is_ok()
    }

    fn full(&self, name: &str) -> String {
        format!("{}/{name}", self.group)
    }

    /// The device mapper doubles each dash in a name.
    fn device(&self, name: &str) -> String {
        format!("/dev/mapper/{}-{}", self.group.replace('-', "--"), name.replace('-', "--"))
    }
}

/// Returns a table of file systems with another device at `/`.
fn with_root(text: &str, device: &str) -> String {
    let line = |line: &str| match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        [first, "/", rest @ ..] if !first.starts_with('#') => format!("{device} / {}", rest.join(" ")),
        _ => line.to_owned(),
    };
    text.lines().map(|it| line(it) + "\n").collect()
}

fn lvm(program: &'static str, arguments: &[&str]) -> Result<(), Error> {
    let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    command::run(program, &arguments).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volumes() -> Volumes {
        Volumes { group: "alma-vg".into(), old: "root".into(), new: "root_anima".into(), kind: "xfs".into() }
    }

    #[test]
    fn the_kernels_options_name_the_volume_that_is_to_start() {
        let options = "root=/dev/mapper/alma--vg-root ro rd.lvm.lv=alma-vg/root rd.lvm.lv=alma-vg/swap quiet";

        let new = volumes().boot_options(options, Side::New);

        let expected =
            "root=/dev/mapper/alma--vg-root_anima rd.lvm.lv=alma-vg/root_anima ro rd.lvm.lv=alma-vg/swap quiet";
        assert_eq!(new, expected);
        let back = volumes().boot_options(&new, Side::Old);
        assert!(back.starts_with("root=/dev/mapper/alma--vg-root rd.lvm.lv=alma-vg/root ro"), "{back}");
    }

    #[test]
    fn the_clones_table_names_the_clone() {
        let text = "# root\nUUID=1 / xfs defaults 0 0\nUUID=2 /boot xfs defaults 0 0\n";

        let changed = with_root(text, "/dev/mapper/a-b");

        assert_eq!(changed, "# root\n/dev/mapper/a-b / xfs defaults 0 0\nUUID=2 /boot xfs defaults 0 0\n");
    }
}
