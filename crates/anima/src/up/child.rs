//! One process of a role: how it is started, and how it is stopped.

use std::{
    ffi::OsString,
    fs::File,
    io,
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    process::{Command, ExitStatus, Stdio},
    rc::Rc,
    time::Duration,
};

use rustix::process::{Pid, Signal};
use tokio::{net::unix::pipe, process::Child, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{handover, user::User};
use crate::{role::Role, secret};

/// What of our own environment every role gets: nothing that could turn it, and no credential of anybody's.
const PASSED_ON: &[&str] = &[
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "RUST_BACKTRACE",
    "ANIMA_LOG",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
];

/// The beginnings of what the master gets besides: where its database is, and the keys of its object store.
const OF_MASTER: [&str; 2] = ["PG", "AWS_"];

/// Returns whether a role gets a variable of our own environment. Credentials go to the roles that read them; the others have
/// their token, and nothing else that is anybody's secret.
fn is_passed_on(start: &Start, name: &str) -> bool {
    let has_credentials = match start.role {
        Role::Master => true,
        Role::SignServer => start.apart.as_ref().is_none_or(|apart| apart.has_credentials),
        _ => false,
    };
    PASSED_ON.contains(&name)
        || (has_credentials && name == secret::FOLDER)
        || (start.role == Role::Master && OF_MASTER.iter().any(|beginning| name.starts_with(beginning)))
}

/// What a role is started with.
#[derive(Clone, Debug)]
pub struct Start {
    pub role: Role,
    pub arguments: Vec<OsString>,
    pub token: Option<String>,
    pub listener: Option<RawFd>,
    pub lock: Option<RawFd>,
    pub apart: Option<Apart>,
}

/// A role that runs as another user, in a folder that is all it can reach.
#[derive(Clone, Debug)]
pub struct Apart {
    pub user: User,
    /// The folder, open: the folders above it need not let the user through.
    pub folder: Rc<File>,
    /// Whether the user may read its credentials of the service manager.
    pub has_credentials: bool,
}

/// Starts a role; returns the process and what it writes.
pub fn start(start: &Start) -> io::Result<(Child, pipe::Receiver)> {
    let (reader, writer) = io::pipe()?;
    let mut command = command(start)?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut command = tokio::process::Command::from(command);
    let child = command.kill_on_drop(true).spawn()?;
    Ok((child, pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?))
}

fn command(start: &Start) -> io::Result<Command> {
    // The very program that runs now, even after another was installed in its place: all roles are of one version.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("anima").arg(start.role.name()).args(&start.arguments).process_group(0).env_clear();
    command.envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(|name| is_passed_on(start, name))));
    command.envs(start.token.as_ref().map(|token| ("ANIMA_TOKEN", token)));
    command.envs(start.listener.map(|fd| (handover::LISTENER, fd.to_string())));
    command.envs(start.lock.map(|fd| (handover::LOCK, fd.to_string())));
    let handed_over = [start.listener, start.lock];
    let apart = start.apart.as_ref().map(|apart| (apart.user, apart.folder.as_raw_fd()));
    let supervisor = rustix::process::getpid();
    // SAFETY: between fork and exec there are only system calls; nothing allocates, locks or unwinds.
    unsafe {
        command.pre_exec(move || {
            handed_over.into_iter().flatten().try_for_each(handover::let_inherit)?;
            if let Some((user, folder)) = apart {
                set_apart(user, folder)?;
            }
            end_with(supervisor)
        });
    }
    Ok(command)
}

/// Goes to the folder and becomes the user, for good; leaves no memory image behind where keys could be read.
fn set_apart(user: User, folder: RawFd) -> io::Result<()> {
    let done = |result: libc::c_int| if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    let no_core = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(rustix::process::Resource::Core, no_core)?;
    // Its memory is locked; where we may not allow that, it says so.
    let all_locked = rustix::process::Rlimit { current: None, maximum: None };
    rustix::process::setrlimit(rustix::process::Resource::Memlock, all_locked).ok();
    // SAFETY: plain system calls on an open folder and on this process, which has one thread.
    unsafe {
        done(libc::fchdir(folder))?;
        done(libc::setgroups(0, std::ptr::null()))?;
        done(libc::setgid(user.gid))?;
        done(libc::setuid(user.uid))?;
    }
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// Makes the kernel tell this process to end when the supervisor does, however that comes about.
fn end_with(supervisor: Pid) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
    // It may have ended before the kernel knew.
    match rustix::process::getppid() == Some(supervisor) {
        true => Ok(()),
        false => Err(io::Error::from_raw_os_error(libc::ESRCH)),
    }
}

/// Asks a role to end; makes it end after `limit`, or when `kill` says so.
pub async fn stop(child: &mut Child, limit: Duration, kill: &CancellationToken) {
    let Some(pid) = child.id().and_then(|id| Pid::from_raw(id as i32)) else { return };
    let _ = rustix::process::kill_process(pid, Signal::TERM);
    tokio::select! {
        _ = child.wait() => return,
        () = sleep(limit) => {}
        () = kill.cancelled() => {}
    }
    // The role leads its own group: what it started goes with it.
    let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    let _ = child.wait().await;
}

/// Tells how a process ended.
pub fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(0), _) => "ended".to_string(),
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start_of(role: Role, apart: Option<Apart>) -> Start {
        Start { role, arguments: Vec::new(), token: None, listener: None, lock: None, apart }
    }

    #[test]
    fn each_role_gets_the_credentials_that_it_reads_and_no_others() {
        let secrets =
            ["PGPASSFILE", "PGPASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "CREDENTIALS_DIRECTORY"];
        let gets = |role| secrets.map(|name| is_passed_on(&start_of(role, None), name));

        assert_eq!(gets(Role::Master), [true; 5]);
        assert_eq!(gets(Role::SignServer), [false, false, false, false, true]);
        for role in [Role::GitService, Role::ReleaseSystem, Role::BuildNode, Role::TestNode] {
            assert_eq!(gets(role), [false; 5], "{role:?}");
            let start = start_of(role, None);
            assert!(is_passed_on(&start, "PATH") && !is_passed_on(&start, "ANIMA_TOKEN"));
        }
    }

    #[test]
    fn a_sign_server_that_is_another_user_gets_no_credentials_that_it_could_not_read() {
        let gets = |has_credentials| {
            let user = User { uid: 1, gid: 1 };
            let apart = Apart { user, folder: Rc::new(File::open("/").unwrap()), has_credentials };
            is_passed_on(&start_of(Role::SignServer, Some(apart)), "CREDENTIALS_DIRECTORY")
        };

        assert_eq!((gets(true), gets(false)), (true, false));
    }
}
