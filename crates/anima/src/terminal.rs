//! A person's terminal, lent to a shell in a sandbox: keys go in as they are typed, the screen comes out.

use std::{
    io::{self, IsTerminal, Read, Write},
    os::fd::AsFd,
    thread,
};

use anima_build_node::{Entry, Who};
use anima_sandbox::{Canceller, Exit as Ended, Outcome, Terminal};
use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio_util::sync::CancellationToken;

use crate::exit::{Exit, Failure, Result};

/// How late the shell learns that the window has another size, or that it is to end.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };
/// How much is carried at once.
const PIECE_BYTES: usize = 16 * 1024;

/// Runs a command, or a shell, in a root, for the person at this terminal; without a terminal it gets no input. It ends when it is
/// cancelled, or the terminal is closed: whoever has mounted the root can then unmount it.
pub fn enter(entry: &Entry, command: &[String], who: Who, cancel: &CancellationToken) -> Result {
    let outcome = match io::stdin().is_terminal() && io::stdout().is_terminal() {
        true => at_terminal(entry, command, who, cancel)?,
        false => without_terminal(entry, command, who, cancel)?,
    };
    match outcome.exit {
        Ended::Exited(0) => Ok(()),
        // A shell ends as its last command did, and who was in it knows.
        Ended::Exited(_) if command.is_empty() => Ok(()),
        Ended::Exited(code) => Err(Failure::new(Exit::Unsuccessful, format!("the command ended with status {code}"))),
        other => Err(Failure::new(Exit::Unsuccessful, format!("the command did not end by itself: {other:?}"))),
    }
}

fn without_terminal(entry: &Entry, command: &[String], who: Who, cancel: &CancellationToken) -> Result<Outcome> {
    let running = entry.run(command, who).context("could not enter the root")?;
    let (end, ended) = io::pipe().context("could not make a pipe")?;
    let stop = Stop { cancel: cancel.clone(), canceller: running.canceller() };
    let watching = thread::spawn(move || stop.watch(&end));
    let outcome = running.wait_with_log(&mut io::stdout());
    drop(ended);
    let _ = watching.join();
    Ok(outcome.context("could not follow the command")?)
}

fn at_terminal(entry: &Entry, command: &[String], who: Who, cancel: &CancellationToken) -> Result<Outcome> {
    let name = std::env::var("TERM").unwrap_or_else(|_| "dumb".to_string());
    let (running, mut screen) = entry.on_terminal(command, who, &name).context("could not enter the root")?;
    // Not every terminal tells its size.
    let _ = screen.resize_like(&io::stdin());
    let keys = screen.try_clone().context("could not use the terminal")?;
    let (end, ended) = io::pipe().context("could not make a pipe")?;
    let raw = Raw::begin().context("could not use the terminal")?;
    let stop = Stop { cancel: cancel.clone(), canceller: running.canceller() };
    let typing = thread::spawn(move || carry_keys(keys, end, &stop));
    let shown = carry_screen(&mut screen);
    drop(ended);
    // It ends at the latest when it looks next.
    let _ = typing.join();
    drop(raw);
    shown.context("could not show the shell's screen")?;
    Ok(running.wait().context("could not follow the shell")?)
}

fn carry_screen(screen: &mut Terminal) -> io::Result<()> {
    let (mut out, mut piece) = (io::stdout().lock(), vec![0; PIECE_BYTES]);
    loop {
        match screen.read(&mut piece)? {
            0 => return Ok(()),
            count => out.write_all(&piece[..count]).and_then(|()| out.flush())?,
        }
    }
}

/// Carries what is typed until the other end of the pipe is closed; keys that are typed after that stay for the caller's shell.
fn carry_keys(mut keys: Terminal, end: io::PipeReader, stop: &Stop) {
    let (stdin, mut piece) = (io::stdin(), vec![0; PIECE_BYTES]);
    loop {
        let mut fds = [PollFd::new(&end, PollFlags::IN), PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)];
        let Ok(()) = stop.wait_for(&mut fds) else { return };
        if !fds[0].revents().is_empty() {
            return;
        }
        let _ = keys.resize_like(&stdin);
        if !fds[1].revents().is_empty() {
            match rustix::io::read(stdin.as_fd(), &mut piece) {
                Ok(count) if count > 0 => {
                    if keys.write_all(&piece[..count]).is_err() {
                        return;
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                // A terminal in raw mode says so only when it is gone.
                _ => return stop.canceller.cancel(),
            }
        }
    }
}

/// Who wants a command to end, and how it is ended.
struct Stop {
    cancel: CancellationToken,
    canceller: Canceller,
}

impl Stop {
    /// Looks until the other end of the pipe is closed.
    fn watch(&self, end: &io::PipeReader) {
        let mut fds = [PollFd::new(end, PollFlags::IN)];
        while fds[0].revents().is_empty() && self.wait_for(&mut fds).is_ok() {}
    }

    /// Waits for one of these, or for a moment; an error when the command was ended meanwhile.
    fn wait_for(&self, fds: &mut [PollFd<'_>]) -> std::result::Result<(), Stopped> {
        match poll(fds, Some(&LOOK_EVERY)) {
            Ok(_) | Err(rustix::io::Errno::INTR) if !self.cancel.is_cancelled() => Ok(()),
            _ => {
                self.canceller.cancel();
                Err(Stopped)
            }
        }
    }
}

/// The command was ended.
struct Stopped;

/// The person's terminal hands keys on as they are, until this is dropped.
struct Raw(libc::termios);

impl Raw {
    fn begin() -> io::Result<Raw> {
        // SAFETY: all-zero is a value of this plain C struct, and the calls take pointers to live values of it.
        unsafe {
            let mut before: libc::termios = std::mem::zeroed();
            if libc::tcgetattr(libc::STDIN_FILENO, &mut before) != 0 {
                return Err(io::Error::last_os_error());
            }
            let mut raw = before;
            libc::cfmakeraw(&mut raw);
            if libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &raw) != 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Raw(before))
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: takes a pointer to a live value. A terminal that is gone needs nothing put right.
        unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSADRAIN, &self.0) };
    }
}
