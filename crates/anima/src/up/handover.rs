//! What the supervisor hands to a role beside its arguments: open files, by their numbers in the environment.
//!
//! The listening socket is the supervisor's. Whoever connects while a role is being started again waits a moment in
//! the socket's queue, instead of being refused.

use std::{
    env, io,
    net::TcpListener,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use rustix::io::FdFlags;

/// The number of the listening socket.
pub const LISTENER: &str = "ANIMA_LISTENER_FD";
/// The number of the data folder's lock.
pub const LOCK: &str = "ANIMA_LOCK_FD";

/// Lets the program that is started next have an open file of ours. Only to be called between fork and exec.
pub fn let_inherit(fd: RawFd) -> io::Result<()> {
    // SAFETY: the supervisor keeps the file open as long as it starts roles.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    Ok(rustix::io::fcntl_setfd(fd, FdFlags::empty())?)
}

/// Returns the listening socket, if a supervisor handed one over.
pub fn take_listener() -> io::Result<Option<TcpListener>> {
    let Some(fd) = take(LISTENER)? else { return Ok(None) };
    let listener = TcpListener::from(fd);
    listener.set_nonblocking(true)?;
    Ok(Some(listener))
}

/// Returns whether a supervisor started this process.
pub fn is_supervised() -> bool {
    env::var_os(LOCK).is_some()
}

/// Returns the data folder's lock, if a supervisor handed it over. A role holds it until it ends.
pub fn take_lock() -> io::Result<Option<OwnedFd>> {
    take(LOCK)
}

/// Takes an open file; the programs that this role starts do not get it.
fn take(name: &str) -> io::Result<Option<OwnedFd>> {
    let Ok(text) = env::var(name) else { return Ok(None) };
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, format!("{name}={text} is not an open file's number"));
    let number: RawFd = text.parse().ok().filter(|number| *number > 2).ok_or_else(wrong)?;
    // SAFETY: only asked whether it is open; it is owned from the next lines on.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_setfd(fd, FdFlags::CLOEXEC).map_err(|_| wrong())?;
    // SAFETY: it is open, and the supervisor handed it over to nobody else in this process.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(fd.as_raw_fd()) }))
}
