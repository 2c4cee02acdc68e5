//! The helper's side. Runs in a process of its own with one thread, and never returns from it.

mod emulators;
mod inside;
mod mounts;
mod privileges;
mod seccomp;
mod supervisor;
mod sys;
mod watches;

use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// Becomes the supervisor of one sandbox.
///
/// A program calls this at the top of `main`, before it starts a thread, when its first argument is
/// [`crate::HELPER_ARGUMENT`]. It takes the spec from standard input, where [`crate::Sandbox::spawn`] has put a socket.
pub fn init_main() -> ! {
    sys::close_from(3);
    // SAFETY: descriptor 0 is open in any process that `Sandbox::spawn` started, and nothing else here owns it.
    let control = UnixStream::from(unsafe { OwnedFd::from_raw_fd(0) });
    let code = match rustix::net::sockopt::socket_type(control.as_fd()) {
        Ok(_) => supervisor::run(control),
        // Somebody typed the argument at a shell.
        Err(_) => USAGE_CODE,
    };
    sys::exit(code)
}

/// What programs end with when they are used wrongly.
const USAGE_CODE: i32 = 2;
