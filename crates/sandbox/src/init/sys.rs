//! System calls that rustix does not have, each as one safe function. The process that calls them has one thread.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use libc::{c_int, c_long};

fn check(result: c_long) -> io::Result<c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Ends the process without running anything that belongs to the parent's copy.
pub(super) fn exit(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Closes every descriptor from `first` on.
pub(super) fn close_from(first: RawFd) {
    // SAFETY: called before this process owns any of these descriptors.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}

/// Marks every descriptor from `first` on to be closed by the next program.
pub(super) fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    // SAFETY: only sets a flag.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC) }).map(drop)
}

const CLOSE_RANGE_CLOEXEC: u32 = 4;

/// Which side of a fork this is.
pub(super) enum Forked {
    Child,
    Parent(Process),
}

/// A child that is known by its number and by a descriptor that cannot come to mean another.
#[derive(Debug)]
pub(super) struct Process {
    pub pid: i32,
    pub fd: OwnedFd,
}

/// The kernel's `struct clone_args`, first version.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
}

/// Forks into new namespaces.
pub(super) fn fork_into(namespaces: c_int) -> io::Result<Forked> {
    let mut pidfd: c_int = -1;
    let args = CloneArgs {
        flags: namespaces as u64 | libc::CLONE_PIDFD as u64,
        pidfd: &raw mut pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    // SAFETY: without a stack and without CLONE_VM this is a fork: the child goes on with copies of everything, and
    // no lock of the C library can be held, because there is one thread.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) })?;
    if pid == 0 {
        return Ok(Forked::Child);
    }
    // SAFETY: the kernel has just opened it for us.
    Ok(Forked::Parent(Process { pid: pid as i32, fd: unsafe { OwnedFd::from_raw_fd(pidfd) } }))
}

/// A child's end, and what it and its children took.
pub(super) struct Ended {
    pub pid: i32,
    pub status: i32,
    pub user_cpu: Duration,
    pub sys_cpu: Duration,
    pub max_rss_bytes: u64,
    pub read_bytes: u64,
    pub written_bytes: u64,
}

/// Waits for one child, or for any (-1).
pub(super) fn wait(pid: i32) -> io::Result<Ended> {
    // SAFETY: all-zero is a value of this plain C struct.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let mut status = 0;
    loop {
        // SAFETY: both pointers are to live values of the right type.
        match check(unsafe { libc::wait4(pid, &mut status, 0, &mut usage) }.into()) {
            Ok(pid) => {
                return Ok(Ended {
                    pid: pid as i32,
                    status,
                    user_cpu: duration(usage.ru_utime),
                    sys_cpu: duration(usage.ru_stime),
                    max_rss_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
                    read_bytes: blocks(usage.ru_inblock),
                    written_bytes: blocks(usage.ru_oublock),
                });
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The kernel counts in blocks of 512 bytes, whatever those of the disk are.
fn blocks(count: libc::c_long) -> u64 {
    u64::try_from(count).unwrap_or(0) * 512
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_secs(time.tv_sec.try_into().unwrap_or(0))
        + Duration::from_micros(time.tv_usec.try_into().unwrap_or(0))
}

/// The kernel's `struct mount_attr`.
#[repr(C)]
#[derive(Default)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

const MOUNT_ATTR_RDONLY: u64 = 1;

/// Makes a mount read-only, and those below it if `recursive`.
pub(super) fn make_read_only(mount: BorrowedFd<'_>, recursive: bool) -> io::Result<()> {
    let attr = MountAttr { set: MOUNT_ATTR_RDONLY, ..MountAttr::default() };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a C string, the struct is what the kernel expects, and its size is given.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    })
    .map(drop)
}

/// Gives every signal its first meaning and blocks none: Rust's start-up ignores SIGPIPE, and that would be inherited.
pub(super) fn reset_signals() {
    // SAFETY: no handler is installed in this process, the set is initialised before it is used, and numbers that are
    // no signal are refused by the kernel.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}

/// Makes stdout, which is a terminal, the one of this new session.
pub(super) fn take_terminal() -> io::Result<()> {
    // SAFETY: takes plain numbers.
    check(unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCSCTTY, 0) }.into()).map(drop)
}

/// Removes a capability from what programs could ever gain; false when the kernel knows no such number.
pub(super) fn drop_from_bounding_set(capability: u32) -> io::Result<bool> {
    // SAFETY: takes plain numbers.
    match check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability), 0, 0, 0) }.into()) {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Applies a filter of system calls to this process and its children.
pub(super) fn set_seccomp_filter(program: &mut [libc::sock_filter]) -> io::Result<()> {
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let flags = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    // SAFETY: the program outlives the call, which copies it.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const filter) })
        .map(drop)
}

/// Brings up the loopback interface of this network namespace.
pub(super) fn bring_up_loopback() -> io::Result<()> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: all-zero is a value of this plain C struct.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[..2].copy_from_slice(&[b'l' as libc::c_char, b'o' as libc::c_char]);
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request is what this ioctl expects.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }.into()).map(drop)
}

/// Forks; the child gets `None`.
pub(super) fn fork() -> io::Result<Option<i32>> {
    // SAFETY: this process has one thread, so the child may do anything.
    match check(unsafe { libc::fork() }.into())? {
        0 => Ok(None),
        pid => Ok(Some(pid as i32)),
    }
}
