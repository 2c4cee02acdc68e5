//! Overlay mounts: read-only trees below a writable one that is never waited for.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, move_mount, unmount,
};

/// What keeps an upper usable as a lower of another overlay: no links between layers.
const PLAIN: [(&str, &str); 3] = [("redirect_dir", "off"), ("metacopy", "off"), ("index", "off")];

/// An overlay that is mounted until it is dropped.
#[derive(Debug)]
pub struct Overlay {
    target: PathBuf,
}

/// The folders of an overlay.
#[derive(Debug, Clone, Copy)]
pub struct Folders<'a> {
    /// From the top down, at least one.
    pub lowers: &'a [PathBuf],
    /// What is written goes here.
    pub upper: &'a Path,
    /// An empty folder beside the upper one, for the kernel.
    pub work: &'a Path,
    /// Where it is mounted.
    pub target: &'a Path,
}

impl Overlay {
    /// Mounts it.
    pub fn mount(folders: Folders<'_>) -> io::Result<Overlay> {
        match mount_by_parts(folders) {
            // Kernels before 6.8 take lowers in one string only.
            Err(Errno::INVAL) => mount_by_string(folders)?,
            other => other?,
        }
        Ok(Overlay { target: folders.target.to_owned() })
    }

    /// Unmounts at once, and tells if that was not possible.
    pub fn unmount(self) -> io::Result<()> {
        let target = self.target.clone();
        std::mem::forget(self);
        unmount_now(&target)
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        // What cannot be unmounted here is left to the sweep.
        let _ = unmount_now(&self.target);
    }
}

/// If a file is still open, the tree goes now, and the rest when it is closed.
fn unmount_now(target: &Path) -> io::Result<()> {
    match unmount(target, UnmountFlags::NOFOLLOW) {
        Err(Errno::BUSY) => Ok(unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?),
        other => Ok(other?),
    }
}

fn mount_by_parts(folders: Folders<'_>) -> rustix::io::Result<()> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for lower in folders.lowers {
        fsconfig_set_string(&context, "lowerdir+", lower)?;
    }
    fsconfig_set_string(&context, "upperdir", folders.upper)?;
    fsconfig_set_string(&context, "workdir", folders.work)?;
    for (key, value) in PLAIN {
        fsconfig_set_string(&context, key, value)?;
    }
    fsconfig_set_flag(&context, "volatile")?;
    fsconfig_create(&context)?;
    let tree = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    move_mount(&tree, "", CWD, folders.target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

fn mount_by_string(folders: Folders<'_>) -> io::Result<()> {
    let mut options = b"volatile".to_vec();
    for (key, value) in PLAIN {
        options.extend_from_slice(format!(",{key}={value}").as_bytes());
    }
    let mut add = |start: &str, path: &Path| {
        options.extend_from_slice(start.as_bytes());
        options.extend(escape(path.as_os_str().as_bytes()));
    };
    add(",upperdir=", folders.upper);
    add(",workdir=", folders.work);
    let starts = std::iter::once(",lowerdir=").chain(std::iter::repeat(":"));
    starts.zip(folders.lowers).for_each(|(start, lower)| add(start, lower));
    let options = CString::new(options)?;
    Ok(mount("overlay", folders.target, "overlay", MountFlags::empty(), options.as_c_str())?)
}

/// What means something in the string of options.
fn escape(path: &[u8]) -> Vec<u8> {
    path.iter().flat_map(|byte| if b"\\:,".contains(byte) { vec![b'\\', *byte] } else { vec![*byte] }).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Two lowers with characters that are special in options, and a file in each.
    fn try_out(mount: impl Fn(Folders<'_>) -> io::Result<()>) {
        let top = tempfile::tempdir().expect("make a directory");
        let dir = |name: &str| {
            fs::create_dir(top.path().join(name)).expect("make a directory");
            top.path().join(name)
        };
        let (upper, work, target) = (dir("upper"), dir("work"), dir("target"));
        let lowers = [dir("a:b"), dir("c,d\\e")];
        for (lower, name) in lowers.iter().zip(["one", "two"]) {
            fs::write(lower.join(name), name).expect("write");
            fs::write(lower.join("both"), name).expect("write");
        }

        mount(Folders { lowers: &lowers, upper: &upper, work: &work, target: &target }).expect("mount");
        let overlay = Overlay { target: target.clone() };
        fs::remove_file(target.join("two")).expect("remove");
        fs::write(target.join("new"), "new").expect("write");

        assert_eq!(fs::read_to_string(target.join("both")).expect("read"), "one");
        assert!(!target.join("two").exists() && lowers[1].join("two").exists());
        overlay.unmount().expect("unmount");
        assert!(upper.join("new").exists() && !target.join("new").exists());
    }

    #[test]
    fn an_overlay_hides_lower_trees_behind_upper_ones() {
        try_out(|folders| Ok(mount_by_parts(folders)?));
    }

    #[test]
    fn an_older_kernels_way_gives_the_same() {
        try_out(mount_by_string);
    }
}
