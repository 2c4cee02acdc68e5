//! The file systems of a sandbox.
//!
//! The order matters. Sources on the host are opened before the root is entered, and paths inside are resolved only
//! after it, so that a symlink in the root leads nowhere but into the root. The host's tree is let go last, because a
//! kernel allows a new `/proc` in a user namespace only while a whole one is in sight.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_bind_recursive,
    mount_change, move_mount, open_tree, unmount,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::watches::Watches;
use super::{emulators, sys};
use crate::wire::{Failure, Step};
use crate::{Access, Identity, Mount, Spec};

/// The devices that programs may rely on. They are the host's own files: what is written to them goes through a mount
/// that is read-only, and their modes, owners and times stay.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Links in `/dev`, and where they lead.
const DEVICE_LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];
/// Id 0 inside is id 0 of the host, and these files look at ids only. For who is id 0 inside, see [`kernels_files`].
const PROC_READ_ONLY: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];
/// What tells about the host and nothing about the sandbox.
const PROC_HIDDEN: [&str; 9] =
    ["acpi", "asound", "kcore", "keys", "latency_stats", "sched_debug", "scsi", "timer_list", "timer_stats"];

/// Small files and links only.
const DEV_BYTES: u64 = 64 * 1024;
/// Shared memory of test suites; it counts against the memory limit, too.
const SHM_BYTES: u64 = 1024 * 1024 * 1024;
/// Sockets, locks and pid files.
const RUN_BYTES: u64 = 256 * 1024 * 1024;

/// A mount that is nowhere yet, and where it will be.
struct Waiting<'a> {
    tree: OwnedFd,
    is_dir: bool,
    target: &'a Path,
}

/// Makes `spec.root` this process's `/`, with everything in place.
pub(super) fn enter_root(spec: &Spec, watches: Option<Watches>) -> Result<(), Failure> {
    detach_from_host()?;
    let devices = DEVICES.map(|name| Path::new("/dev").join(name));
    let devices = devices.iter().map(|path| take(path, path, Access::ReadOnly)).collect::<Result<Vec<_>, _>>()?;
    let mut binds = spec.mounts.iter().filter_map(bind_of).map(|(source, target, access)| take(source, target, access));
    let mut binds = binds.by_ref().collect::<Result<Vec<_>, _>>()?.into_iter();
    let emulators = emulators::open(&spec.emulators)?;

    let old_root = pivot(&spec.root)?;
    mount_system(devices, &emulators, spec.identity, watches)?;
    for wanted in &spec.mounts {
        match wanted {
            Mount::Bind { .. } => put(binds.next().expect("one was taken for each bind"))?,
            Mount::Tmpfs { target, size_bytes, mode } => mount_tmpfs(target, *size_bytes, *mode)?,
            Mount::Mirror { of, target } => put(take(of, target, Access::ReadWrite)?)?,
        }
    }
    if spec.root_access == Access::ReadOnly {
        let root = open_dir("/")?;
        sys::make_read_only(root.as_fd(), false).step(|| "make the root read-only".to_owned())?;
    }
    leave(&old_root)
}

/// Sees to it that no mount from here on shows on the host.
fn detach_from_host() -> Result<(), Failure> {
    let step = || "detach mounts from the host's".to_owned();
    let detach = || mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC);
    match detach() {
        // The program's `/` is no mount: it was entered with chroot.
        Err(Errno::INVAL) => {
            let confined_to = open_dir("/")?;
            return_to_the_namespaces_root().step(step)?;
            detach().step(step)?;
            confine_to(&confined_to).step(step)
        }
        result => result.step(step),
    }
}

/// Whoever enters a mount namespace, even its own, stands at its very root.
fn return_to_the_namespaces_root() -> rustix::io::Result<()> {
    let own = rustix::fs::open("/proc/self/ns/mnt", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Mount))
}

/// Makes the folder that the program was confined to the root of the namespace, which there is no way out of.
fn confine_to(folder: &OwnedFd) -> rustix::io::Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(folder, "", flags)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(&tree, "", folder, "", flags)?;
    rustix::process::fchdir(&tree)?;
    rustix::process::pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")
}

fn bind_of(mount: &Mount) -> Option<(&Path, &Path, Access)> {
    match mount {
        Mount::Bind { source, target, access } => Some((source, target, *access)),
        _ => None,
    }
}

/// Makes a copy of the mounts at `source`, to be put at `target`.
fn take<'a>(source: &Path, target: &'a Path, access: Access) -> Result<Waiting<'a>, Failure> {
    let step = || format!("open {} to mount it", source.display());
    let is_dir = fs::metadata(source).step(step)?.is_dir();
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, source, flags).step(step)?;
    if access == Access::ReadOnly {
        sys::make_read_only(tree.as_fd(), true).step(|| format!("make {} read-only", source.display()))?;
    }
    Ok(Waiting { tree, is_dir, target })
}

fn put(waiting: Waiting<'_>) -> Result<(), Failure> {
    let step = || format!("mount {}", waiting.target.display());
    if waiting.is_dir { make_dir(waiting.target) } else { make_file(waiting.target) }.step(step)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    move_mount(&waiting.tree, "", CWD, waiting.target, flags).step(step)
}

/// Returns the host's root, which is still mounted over the new one.
fn pivot(root: &Path) -> Result<OwnedFd, Failure> {
    let step = || format!("enter root {}", root.display());
    let old_root = open_dir("/")?;
    mount_bind_recursive(root, root).step(step)?;
    rustix::process::chdir(root).step(step)?;
    rustix::process::pivot_root(".", ".").step(step)?;
    rustix::process::chdir("/").step(step)?;
    Ok(old_root)
}

fn leave(old_root: &OwnedFd) -> Result<(), Failure> {
    let step = || "let go of the host's files".to_owned();
    rustix::process::fchdir(old_root).step(step)?;
    unmount(".", UnmountFlags::DETACH).step(step)?;
    rustix::process::chdir("/").step(step)
}

fn mount_system(
    devices: Vec<Waiting<'_>>,
    emulators: &[emulators::Opened<'_>],
    identity: Identity,
    watches: Option<Watches>,
) -> Result<(), Failure> {
    mount_one("proc", Path::new("/proc"), MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, "")?;
    // Before `restrict_proc`: what the kernel was told can then be read inside, and not changed.
    emulators::register(emulators)?;
    watches.map_or(Ok(()), Watches::bound)?;
    mount_dev(devices)?;
    mount_tmpfs(Path::new("/run"), RUN_BYTES, 0o755)?;
    // The host's /sys would make builds depend on the machine, and there is no other.
    mount_one("tmpfs", Path::new("/sys"), MountFlags::NOSUID | MountFlags::NODEV | MountFlags::RDONLY, "mode=555")?;
    restrict_proc(identity)
}

fn mount_dev(devices: Vec<Waiting<'_>>) -> Result<(), Failure> {
    let options = format!("mode=755,size={DEV_BYTES}");
    mount_one("tmpfs", Path::new("/dev"), MountFlags::NOSUID | MountFlags::NOEXEC, &options)?;
    devices.into_iter().try_for_each(put)?;
    for (name, target) in DEVICE_LINKS {
        rustix::fs::symlink(target, Path::new("/dev").join(name)).step(|| format!("link /dev/{name}"))?;
    }
    let options = format!("mode=1777,size={SHM_BYTES}");
    mount_one("tmpfs", Path::new("/dev/shm"), MountFlags::NOSUID | MountFlags::NODEV, &options)?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount_one("devpts", Path::new("/dev/pts"), flags, "newinstance,ptmxmode=0666,mode=620,gid=5")
}

fn restrict_proc(identity: Identity) -> Result<(), Failure> {
    let proc = |name: &&str| Path::new("/proc").join(name);
    let fixed = match identity {
        Identity::User { .. } => PROC_READ_ONLY.iter().map(proc).filter(|path| path.exists()).collect(),
        Identity::Root => kernels_files().step(|| "list /proc".to_owned())?,
    };
    for path in &fixed {
        put(take(path, path, Access::ReadOnly)?)?;
    }
    for path in PROC_HIDDEN.iter().map(proc).filter(|path| path.exists()) {
        if path.is_dir() {
            mount_one("tmpfs", &path, MountFlags::RDONLY, "mode=555")?;
        } else {
            put(take(Path::new("/dev/null"), &path, Access::ReadOnly)?)?;
        }
    }
    Ok(())
}

/// Lists what is in `/proc` beside processes and links. The kernel has one mode and owner for each, which every `/proc`
/// shows and whose owner, id 0, may change them: also the id 0 of a sandbox.
fn kernels_files() -> io::Result<Vec<PathBuf>> {
    let is_process = |name: &OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        if !is_process(&entry.file_name()) && !entry.file_type()?.is_symlink() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn mount_tmpfs(target: &Path, size_bytes: u64, mode: u32) -> Result<(), Failure> {
    mount_one("tmpfs", target, MountFlags::NOSUID | MountFlags::NODEV, &format!("mode={mode:o},size={size_bytes}"))
}

pub(super) fn mount_one(kind: &str, target: &Path, flags: MountFlags, options: &str) -> Result<(), Failure> {
    let step = || format!("mount {kind} at {}", target.display());
    make_dir(target).step(step)?;
    let options = std::ffi::CString::new(options).map_err(io::Error::from).step(step)?;
    mount(kind, target, kind, flags, options.as_c_str()).step(step)
}

fn make_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() { Ok(()) } else { fs::create_dir_all(path) }
}

fn make_file(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    path.parent().map_or(Ok(()), make_dir)?;
    fs::File::create(path).map(drop)
}

fn open_dir(path: &str) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).step(|| format!("open {path}"))
}
