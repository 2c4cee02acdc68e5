//! What a boot loader reads has to be in its place on the disk, and not only in the file system's log: GRUB replays no log, of XFS
//! nor of ext4. Freezing a file system empties its log; it is thawed at once.
//!
//! A process that is killed in between would leave a machine that waits for ever at its next write. So another one watches it,
//! and thaws in its place.

use std::{
    fs::File,
    os::fd::{AsFd, AsRawFd, RawFd},
    path::Path,
};

use rustix::{
    io::Errno,
    ioctl::{NoArg, Opcode, ioctl, opcode},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, WaitOptions, waitpid},
};

use crate::{
    Watch,
    error::{At, Error},
};

const FREEZE: Opcode = opcode::read_write::<libc::c_int>(b'X', 119);
const THAW: Opcode = opcode::read_write::<libc::c_int>(b'X', 120);
/// Who is watched is stopped, or its disk is far too slow, when it takes so long.
const PATIENCE_MS: libc::c_int = 60_000;

/// Empties the log of the file system that has a folder. Where that cannot be, it is told of: kinds without a log (vfat) refuse.
pub(crate) fn empty_log(folder: &Path, watch: &mut dyn Watch) -> Result<(), Error> {
    let file = File::open(folder).at("open", folder)?;
    // While it is frozen everybody who writes waits: so most is written before.
    rustix::fs::syncfs(&file).at("write out", folder)?;
    match freeze_and_thaw(&file) {
        Ok(()) => Ok(()),
        Err(Failed::Freeze(error)) => {
            watch.tell(&format!(
                "going on though {} could not be frozen for the boot loader: {error}",
                folder.display()
            ));
            Ok(())
        }
        Err(Failed::Thaw(error)) => Err(error).at("thaw (`fsfreeze --unfreeze` does it)", folder),
    }
}

enum Failed {
    Freeze(Errno),
    Thaw(Errno),
}

fn freeze_and_thaw(folder: &File) -> Result<(), Failed> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).map_err(Failed::Freeze)?;
    // SAFETY: the child makes system calls only, and ends; nothing in it allocates, locks or unwinds.
    let child = match unsafe { libc::fork() } {
        0 => stand_by(reader.as_raw_fd(), writer.as_raw_fd(), folder.as_raw_fd()),
        child => Pid::from_raw(child).filter(|_| child > 0).ok_or(Failed::Freeze(Errno::AGAIN))?,
    };
    // SAFETY: the kernel reads and writes no argument of it.
    let frozen = unsafe { ioctl(folder.as_fd(), NoArg::<FREEZE>::new()) };
    // SAFETY: the same.
    let thawed = frozen.and_then(|()| unsafe { ioctl(folder.as_fd(), NoArg::<THAW>::new()) });
    if frozen.is_err() || thawed.is_ok() {
        // Somebody else's freezing is not to be ended.
        let _ = rustix::io::write(&writer, b"!");
    }
    drop(writer);
    let _ = waitpid(Some(child), WaitOptions::empty());
    frozen.map_err(Failed::Freeze)?;
    match thawed {
        // The other one did.
        Err(Errno::INVAL) => Ok(()),
        other => other.map_err(Failed::Thaw),
    }
}

/// Waits until the process that forked this one says that all is well; thaws if it is gone without a word, or takes too long.
fn stand_by(reader: RawFd, writer: RawFd, folder: RawFd) -> ! {
    // SAFETY: plain system calls on open files and memory of this function, in a process that has one thread.
    unsafe {
        libc::setsid();
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
            libc::signal(signal, libc::SIG_IGN);
        }
        libc::close(writer);
        let mut wait = libc::pollfd { fd: reader, events: libc::POLLIN, revents: 0 };
        libc::poll(&raw mut wait, 1, PATIENCE_MS);
        let mut word = 0_u8;
        let is_well = wait.revents & libc::POLLIN != 0 && libc::read(reader, (&raw mut word).cast(), 1) == 1;
        if !is_well {
            libc::ioctl(folder, THAW as _, 0);
        }
        libc::_exit(0)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;
    use crate::journal::write_whole;

    const IMAGE_BYTES: u64 = 32 * 1024 * 1024;

    /// Unmounts when the test is over, however that comes about.
    struct Mounted<'a>(&'a Path);

    impl Drop for Mounted<'_> {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(self.0).status();
        }
    }

    fn run(program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[test]
    fn what_was_written_is_found_by_one_who_replays_no_log_and_the_file_system_can_be_written_to() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let (image, boot) = (folder.path().join("image"), folder.path().join("boot"));
        File::create(&image).unwrap().set_len(IMAGE_BYTES).unwrap();
        fs::create_dir(&boot).unwrap();
        let image = image.to_str().unwrap();
        run("mkfs.ext4", &["-q", image]);
        run("mount", &["-o", "loop", image, boot.to_str().unwrap()]);
        let mounted = Mounted(&boot);
        write_whole(&boot.join("grubenv"), b"saved_entry=anima-elevate-old").unwrap();
        let as_grub = || run("debugfs", &["-R", "cat /grubenv", image]);
        assert_eq!(as_grub(), "");

        empty_log(&boot, &mut ()).unwrap();

        assert_eq!(as_grub(), "saved_entry=anima-elevate-old");
        fs::write(boot.join("more"), "more").unwrap();
        drop(mounted);
    }

    #[test]
    fn a_kind_that_cannot_be_frozen_is_told_of() {
        struct Told(String);
        impl Watch for Told {
            fn tell(&mut self, what: &str) {
                what.clone_into(&mut self.0);
            }
        }
        let mut told = Told(String::new());

        empty_log(Path::new("/proc"), &mut told).unwrap();

        assert!(told.0.contains("/proc could not be frozen"), "{}", told.0);
    }
}
