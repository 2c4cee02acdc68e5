//! Emulators are registered in the sandbox's own user namespace: since Linux 6.7 each may have its own list of them.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::mount::MountFlags;

use super::mounts;
use crate::Emulator;
use crate::wire::{Failure, Step};

/// Where the kernel keeps the list.
const LIST: &str = "/proc/sys/fs/binfmt_misc";

/// An emulator whose program is open.
pub(super) struct Opened<'a> {
    emulator: &'a Emulator,
    program: OwnedFd,
}

/// Opens the programs, as long as the host's files are in sight.
pub(super) fn open(emulators: &[Emulator]) -> Result<Vec<Opened<'_>>, Failure> {
    let open = |emulator| {
        let Emulator { interpreter, .. }: &Emulator = emulator;
        let program = rustix::fs::open(interpreter, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let program = program.step(|| format!("open emulator {}", interpreter.display()))?;
        Ok(Opened { emulator, program })
    };
    emulators.iter().map(open).collect()
}

/// Tells the kernel of them. The list lives as long as its mount, which nobody inside can take away.
pub(super) fn register(opened: &[Opened<'_>]) -> Result<(), Failure> {
    if opened.is_empty() {
        return Ok(());
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mounts::mount_one("binfmt_misc", Path::new(LIST), flags, "")?;
    for Opened { emulator, program } in opened {
        let line = emulator.line(&format!("/proc/self/fd/{}", program.as_raw_fd()));
        fs::write(format!("{LIST}/register"), line).step(|| format!("register emulator {}", emulator.name))?;
    }
    Ok(())
}
