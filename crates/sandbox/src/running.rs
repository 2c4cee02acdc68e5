//! The caller's side: start a helper, read its log, wait for its report, end it.

use std::io::{self, PipeReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::net::SendFlags;

use crate::disk::Watch;
use crate::wire::{self, CANCEL, LOG_TOO_LONG, Report};
use crate::{Enforced, Error, Exit, Outcome, Spec, Terminal};

/// Starts sandboxes.
#[derive(Debug)]
pub struct Sandbox;

impl Sandbox {
    /// Runs the command of `spec` and returns once it was executed.
    ///
    /// `helper` is a program that calls [`crate::init_main`] when its first argument is
    /// [`crate::HELPER_ARGUMENT`]; a program may name itself. All of this blocks; async callers use a blocking thread.
    pub fn spawn(spec: &Spec, helper: &Path) -> Result<Running, Error> {
        let (log, log_end) = io::pipe()?;
        let (mut running, control) = Sandbox::start(spec, helper, log_end.into())?;
        running.log = Some(Log { pipe: log, left_bytes: spec.limits.log_bytes, control });
        Ok(running)
    }

    /// The same with a terminal in place of the log: for a person at a shell inside.
    pub fn spawn_on_terminal(spec: &Spec, helper: &Path) -> Result<(Running, Terminal), Error> {
        let (terminal, end) = Terminal::pair()?;
        let spec = Spec { has_terminal: true, ..spec.clone() };
        let (running, _) = Sandbox::start(&spec, helper, end)?;
        Ok((running, terminal))
    }

    /// Returns once the command was executed, with `output` as its stdout and stderr.
    fn start(spec: &Spec, helper: &Path, output: OwnedFd) -> Result<(Running, Control), Error> {
        spec.check()?;
        let (ours, theirs) = UnixStream::pair()?;
        let child =
            start(helper, theirs, output).map_err(|source| Error::Helper { helper: helper.to_owned(), source })?;
        let control = Control(Arc::new(ours));
        let mut running =
            Running { log: None, enforced: None, control: control.clone(), child, disk: None, ended: None };
        // A helper that ended at once says more by its report, or by its exit status, than by a broken pipe here.
        let _ = wire::send(&*control.0, spec);
        match running.next_report()? {
            Report::Started(enforced) => running.enforced = Some(enforced),
            Report::Failed(failure) => {
                let source = io::Error::from_raw_os_error(failure.errno);
                return Err(Error::Setup { step: failure.step, source });
            }
            // Its time was over, or it was cancelled, before the command was executed.
            Report::Ended(outcome) => running.ended = Some(outcome),
        }
        let helper_pid = running.helper_pid();
        let watch = |disk| Watch::start(disk, control.clone(), helper_pid);
        running.disk = spec.disk.clone().map(watch).transpose()?;
        Ok((running, control))
    }
}

/// The command of the helper is dropped here, and with it the caller's copies of the far ends.
fn start(helper: &Path, control: UnixStream, output: OwnedFd) -> io::Result<Child> {
    Command::new(helper)
        .arg(crate::HELPER_ARGUMENT)
        .env_clear()
        .current_dir("/")
        .stdin(OwnedFd::from(control))
        .stdout(Stdio::from(output.try_clone()?))
        .stderr(Stdio::from(output))
        // A Ctrl-C at the caller's terminal is the caller's to handle.
        .process_group(0)
        .spawn()
}

/// A command that is running. Dropping it kills everything inside.
#[derive(Debug)]
pub struct Running {
    log: Option<Log>,
    enforced: Option<Enforced>,
    control: Control,
    child: Child,
    /// Ends with the run.
    disk: Option<Watch>,
    /// What came of it, where that was told in place of the start.
    ended: Option<Outcome>,
}

impl Running {
    /// Returns what the host could enforce of the spec.
    ///
    /// A run that was ended before its command was executed had nothing to be enforced on.
    pub fn enforced(&self) -> Enforced {
        self.enforced.unwrap_or_default()
    }

    /// Returns the pid of the helper, for logs and lists of processes.
    pub fn helper_pid(&self) -> u32 {
        self.child.id()
    }

    /// Takes the reader of the log: stdout and stderr in the order they were written, until everything inside ended.
    ///
    /// A log that nobody reads stops the command when the pipe is full, so read it while waiting; when it is not taken,
    /// [`Running::wait`] reads and forgets it.
    pub fn take_log(&mut self) -> Option<Log> {
        self.log.take()
    }

    /// Returns a handle that can end this run from any thread.
    pub fn canceller(&self) -> Canceller {
        Canceller { control: self.control.clone() }
    }

    /// Kills everything inside, at once. [`Running::wait`] then tells [`crate::Exit::Canceled`], unless it was over already.
    pub fn kill(&self) {
        self.control.ask(CANCEL);
    }

    /// Waits until the command ended and everything inside is gone.
    pub fn wait(mut self) -> Result<Outcome, Error> {
        if let Some(mut log) = self.log.take() {
            io::copy(&mut log, &mut io::sink())?;
        }
        if let Some(outcome) = self.ended.take() {
            return Ok(outcome);
        }
        match self.next_report()? {
            Report::Ended(outcome) => Ok(self.judged(outcome)),
            other => Err(Error::HelperEnded(format!("out of order: {other:?}"))),
        }
    }

    /// A command may have failed for want of room between two looks.
    fn judged(&self, mut outcome: Outcome) -> Outcome {
        outcome.least_free_bytes = self.disk.as_ref().and_then(Watch::least_free_bytes);
        let has_failed = matches!(outcome.exit, Exit::Exited(1..) | Exit::Signaled(_));
        if has_failed && self.disk.as_ref().is_some_and(Watch::is_too_much) {
            outcome.exit = Exit::DiskFull;
        }
        outcome
    }

    /// Copies the log to `sink` until everything inside ended, then waits. A sink that fails ends the run.
    pub fn wait_with_log(mut self, sink: &mut dyn io::Write) -> Result<Outcome, Error> {
        if let Some(mut log) = self.log.take() {
            io::copy(&mut log, sink)?;
        }
        self.wait()
    }

    fn next_report(&mut self) -> Result<Report, Error> {
        match wire::receive(&*self.control.0) {
            Ok(report) => Ok(report),
            Err(error) if is_hangup(&error) => Err(Error::HelperEnded(self.child.wait()?.to_string())),
            Err(error) => Err(Error::Wire(error)),
        }
    }
}

fn is_hangup(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}

impl Drop for Running {
    fn drop(&mut self) {
        // After a report the helper is already on its way out, and asking does nothing.
        self.control.ask(CANCEL);
        let _ = self.child.wait();
    }
}

/// Ends a run from any thread.
#[derive(Debug, Clone)]
pub struct Canceller {
    control: Control,
}

impl Canceller {
    /// Kills everything inside, at once; does nothing when it is over.
    pub fn cancel(&self) {
        self.control.ask(CANCEL);
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Control(Arc<UnixStream>);

impl Control {
    /// Best effort: a helper that does not listen any more has ended.
    pub(crate) fn ask(&self, what: u8) {
        let _ = rustix::net::send(&*self.0, &[what], SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    }
}

/// Everything that is written to stdout and stderr inside. At the limit the run is ended, and the log with it.
#[derive(Debug)]
pub struct Log {
    pipe: PipeReader,
    left_bytes: u64,
    control: Control,
}

impl Read for Log {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.left_bytes == 0 {
            return self.end();
        }
        let room = buffer.len().min(usize::try_from(self.left_bytes).unwrap_or(usize::MAX));
        let count = self.pipe.read(&mut buffer[..room])?;
        self.left_bytes -= count as u64;
        Ok(count)
    }
}

impl Log {
    /// One byte more than allowed ends the run; a log of exactly the limit does not.
    fn end(&mut self) -> io::Result<usize> {
        if self.pipe.read(&mut [0])? > 0 {
            self.control.ask(LOG_TOO_LONG);
            io::copy(&mut self.pipe, &mut io::sink())?;
        }
        Ok(0)
    }
}
