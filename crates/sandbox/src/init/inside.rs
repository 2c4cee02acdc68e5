//! Pid 1 of a sandbox: makes the way in, starts the command, reaps, reports. When it ends, the kernel kills the rest.

use std::convert::Infallible;
use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal};

use super::supervisor::{GO, GO_WITHOUT_PIDS_GROUP};
use super::watches::Watches;
use super::{mounts, privileges, seccomp, sys};
use crate::Spec;
use crate::wire::{self, Failure, Inside, Step};

/// Runs the sandbox from within; `link` leads to the supervisor. `watches` is the bound where there is a user namespace to have it.
pub(super) fn run(spec: &Spec, link: UnixStream, watches: Option<Watches>) -> ! {
    let word = enter(spec, &link, watches).and_then(|(command, errors)| follow(command, &errors, &link));
    // A supervisor that does not hear is gone, and so is the reason to say it.
    let _ = wire::send(&link, &word.unwrap_or_else(Inside::Failed));
    sys::exit(0)
}

/// Makes everything around the command, and forks it. Returns its pid, and where it says why it could not be executed.
fn enter(spec: &Spec, link: &UnixStream, watches: Option<Watches>) -> Result<(i32, PipeReader), Failure> {
    let limit_processes = wait_for_go(link)?;
    privileges::become_root_inside()?;
    die_with_the_supervisor(link)?;
    // The program of this process is the host's: nobody inside may reach it through /proc/1.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).step(|| "hide pid 1".to_owned())?;
    mounts::enter_root(spec, watches)?;
    rustix::system::sethostname(spec.hostname.as_bytes()).step(|| "set the host name".to_owned())?;
    sys::bring_up_loopback().step(|| "bring up the loopback interface".to_owned())?;

    let (errors, errors_end) = io::pipe().step(|| "make a pipe".to_owned())?;
    match sys::fork().step(|| "start a process".to_owned())? {
        Some(command) => Ok((command, errors)),
        None => {
            let Err(failure) = become_command(spec, limit_processes);
            // If even this fails, pid 1 sees a process that ended early.
            let _ = wire::send(errors_end, &failure);
            sys::exit(NOT_EXECUTED_CODE)
        }
    }
}

/// What shells end with when a command cannot be executed.
const NOT_EXECUTED_CODE: i32 = 127;

/// Waits until ids are mapped and limits are set; returns whether processes must be limited by other means.
fn wait_for_go(mut link: &UnixStream) -> Result<bool, Failure> {
    let mut byte = [0];
    link.read_exact(&mut byte).step(|| "wait for the supervisor".to_owned())?;
    match byte[0] {
        GO => Ok(false),
        GO_WITHOUT_PIDS_GROUP => Ok(true),
        _ => Err(Failure { step: "understand the supervisor".to_owned(), errno: libc::EPROTO }),
    }
}

/// The kernel forgets the wish when ids change, so this comes after that.
fn die_with_the_supervisor(link: &UnixStream) -> Result<(), Failure> {
    let step = || "tie the sandbox to its supervisor".to_owned();
    set_parent_process_death_signal(Some(Signal::KILL)).step(step)?;
    // It may have died before that.
    let mut fds = [PollFd::new(link, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).step(step)?;
    if fds[0].revents().contains(PollFlags::HUP) {
        sys::exit(1);
    }
    Ok(())
}

/// Reaps until the command has ended.
fn follow(command: i32, errors: &PipeReader, link: &UnixStream) -> Result<Inside, Failure> {
    // A pipe that closes without a word was closed by the program that was executed.
    if let Ok(failure) = wire::receive(errors) {
        return Err(failure);
    }
    wire::send(link, &Inside::Started).step(|| "tell the supervisor".to_owned())?;
    loop {
        let ended = sys::wait(-1).step(|| "wait for processes".to_owned())?;
        if ended.pid == command {
            return Ok(Inside::Ended(ended.status));
        }
    }
}

/// The terminal is stdout and stderr already.
fn terminal_again() -> Result<Stdio, Failure> {
    let fd = io::stdout().as_fd().try_clone_to_owned().step(|| "open the terminal".to_owned())?;
    Ok(Stdio::from(fd))
}

fn become_command(spec: &Spec, limit_processes: bool) -> Result<Infallible, Failure> {
    rustix::process::setsid().step(|| "start a session".to_owned())?;
    if spec.has_terminal {
        sys::take_terminal().step(|| "take the terminal".to_owned())?;
    }
    sys::reset_signals();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    privileges::set_limits(&spec.limits, limit_processes)?;
    privileges::give_log(spec.identity)?;
    privileges::become_identity(spec.identity)?;
    rustix::process::chdir(&spec.cwd).step(|| format!("enter {}", spec.cwd.display()))?;
    sys::close_on_exec_from(3).step(|| "close descriptors".to_owned())?;
    let mut command = Command::new(&spec.command[0]);
    command.args(&spec.command[1..]).env_clear().envs(&spec.env);
    command.stdin(if spec.has_terminal { terminal_again()? } else { Stdio::null() });
    seccomp::apply().step(|| "filter system calls".to_owned())?;
    Err(Failure::new(format!("execute {}", spec.command[0]), &command.exec()))
}
