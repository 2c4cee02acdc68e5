//! A terminal for a command that a person talks to.
//!
//! It is a pair of its own, never the caller's terminal: what is inside can neither read from that nor push keys into it.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// The caller's end: what is written are keys, what is read is the screen. Reading ends when all inside has ended.
#[derive(Debug)]
pub struct Terminal(File);

impl Terminal {
    /// Makes a pair; returns our end and that of the command.
    pub(crate) fn pair() -> io::Result<(Terminal, OwnedFd)> {
        let (mut ours, mut theirs) = (-1, -1);
        let (no_name, no_form, no_size) = (std::ptr::null_mut(), std::ptr::null(), std::ptr::null());
        // SAFETY: both numbers are live, and nothing else is asked for.
        if unsafe { libc::openpty(&mut ours, &mut theirs, no_name, no_form, no_size) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call has just opened both for us.
        let (ours, theirs) = unsafe { (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) };
        for fd in [&ours, &theirs] {
            rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)?;
        }
        Ok((Terminal(ours.into()), theirs))
    }

    /// Returns a second handle, so that one thread reads and another writes.
    pub fn try_clone(&self) -> io::Result<Terminal> {
        Ok(Terminal(self.0.try_clone()?))
    }

    /// Makes it as large as another terminal.
    pub fn resize_like(&self, other: &impl AsRawFd) -> io::Result<()> {
        // SAFETY: all-zero is a value of this plain C struct.
        let mut size: libc::winsize = unsafe { std::mem::zeroed() };
        // SAFETY: both calls take a pointer to a live value of the right type.
        let result = unsafe {
            match libc::ioctl(other.as_raw_fd(), libc::TIOCGWINSZ, &mut size) {
                0 => libc::ioctl(self.0.as_raw_fd(), libc::TIOCSWINSZ, &size),
                refused => refused,
            }
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl io::Read for Terminal {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            // What a terminal says whose other end nobody has open any more.
            Err(error) if error.raw_os_error() == Some(libc::EIO) => Ok(0),
            other => other,
        }
    }
}

impl io::Write for Terminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
