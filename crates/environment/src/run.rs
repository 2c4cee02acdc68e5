//! A command in a root, followed from async code: its output goes into the journal or into memory, and a cancelled task
//! kills it at once.

use std::io::Read;
use std::path::Path;

use anima_sandbox::{Canceller, Exit, Outcome, Sandbox, Spec};
use anima_types::work::Usage;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::{Error, Journal};

/// How much is read of a log at once.
const READ_BYTES: usize = 64 * 1024;
/// A command whose output is kept in memory says at most so much: the file list of the largest package is below it.
pub const MAX_CAPTURED_BYTES: u64 = 64 * 1024 * 1024;

/// Runs a command whose output goes into the journal.
pub async fn run(spec: Spec, helper: &Path, journal: &Journal, cancel: &CancellationToken) -> Result<Outcome, Error> {
    follow(spec, helper, cancel, journal.clone()).await
}

/// Runs a command and returns its output, stdout and stderr together.
pub async fn capture(mut spec: Spec, helper: &Path, cancel: &CancellationToken) -> Result<(Outcome, String), Error> {
    spec.limits.log_bytes = spec.limits.log_bytes.min(MAX_CAPTURED_BYTES);
    let output = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = output.clone();
    let keep = move |bytes: &[u8]| sink.lock().unwrap_or_else(|error| error.into_inner()).extend_from_slice(bytes);
    let outcome = follow(spec, helper, cancel, Journal::new(keep)).await?;
    let bytes = std::mem::take(&mut *output.lock().unwrap_or_else(|error| error.into_inner()));
    Ok((outcome, String::from_utf8_lossy(&bytes).into_owned()))
}

async fn follow(spec: Spec, helper: &Path, cancel: &CancellationToken, journal: Journal) -> Result<Outcome, Error> {
    if cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    let helper = helper.to_owned();
    let (runtime, ended) = (Handle::current(), cancel.child_token());
    // Nobody waits for room for the output of what nobody follows any more.
    let _unfollowed = ended.clone().drop_guard();
    let (started, canceller) = tokio::sync::oneshot::channel::<Canceller>();
    let mut work = tokio::task::spawn_blocking(move || {
        let mut running = Sandbox::spawn(&spec, &helper)?;
        // Nobody listens any more when the task was dropped: then `running` is dropped too, and with it all inside.
        if started.send(running.canceller()).is_err() {
            return Err(Error::Cancelled);
        }
        if let Some(mut log) = running.take_log() {
            copy(&mut log, &journal, |byte_count| {
                runtime.block_on(ended.run_until_cancelled(journal.room(byte_count)));
            })?;
        }
        Ok(running.wait()?)
    });
    // Dropped with this future, it kills what runs: an abandoned task must not go on in the root.
    let guard = match canceller.await {
        Ok(canceller) => KillOnDrop(canceller),
        Err(_) => return joined(work.await),
    };
    let outcome = tokio::select! {
        outcome = &mut work => joined(outcome)?,
        () = cancel.cancelled() => {
            guard.0.cancel();
            joined(work.await)?
        }
    };
    if outcome.exit == Exit::Canceled || cancel.is_cancelled() { Err(Error::Cancelled) } else { Ok(outcome) }
}

struct KillOnDrop(Canceller);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Reads on only when there is room for what was read: until then the pipe is full, and the command waits.
fn copy(log: &mut impl Read, journal: &Journal, wait_for_room: impl Fn(usize)) -> Result<(), Error> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match log.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                wait_for_room(count);
                journal.write(&buffer[..count]);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::Sandbox(error.into())),
        }
    }
}

/// Runs blocking work beside the runtime; a panic in it goes on in the caller.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    joined(tokio::task::spawn_blocking(work).await)
}

fn joined<T>(result: Result<T, tokio::task::JoinError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Returns what a run used, for a task's statistics.
pub fn usage_of(outcome: &Outcome) -> Usage {
    Usage {
        cpu_secs: Some((outcome.user_cpu + outcome.sys_cpu).as_secs_f64()),
        // Where nobody counts all processes together, the largest one says at least that much.
        peak_memory_bytes: Some(outcome.peak_memory_bytes.unwrap_or(outcome.max_rss_bytes)),
        read_bytes: Some(outcome.read_bytes),
        written_bytes: Some(outcome.written_bytes),
        ..Usage::default()
    }
}

/// Returns how a command ended, in words.
pub fn exit_in_words(exit: Exit) -> String {
    match exit {
        Exit::Exited(code) => format!("it ended with status {code}"),
        Exit::Signaled(signal) => format!("it was killed by signal {signal}"),
        Exit::TimedOut => "its time was over".to_owned(),
        Exit::OutOfMemory => "it needed more memory than it may have".to_owned(),
        Exit::LogTooLong => "its log is longer than it may be".to_owned(),
        Exit::DiskFull => "it took more room on the disk than it may".to_owned(),
        Exit::TooManyProcesses => "it started more processes than it may have".to_owned(),
        Exit::Canceled => "it was cancelled".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn output_goes_into_the_journal_only_when_there_is_room_for_it() {
        let (journal, waits) = (Journal::nowhere(), RefCell::new(Vec::new()));
        let output = vec![b'x'; READ_BYTES + 3];

        let wait = |byte_count| waits.borrow_mut().push((journal.byte_count(), byte_count));
        copy(&mut output.as_slice(), &journal, wait).unwrap();

        assert_eq!(waits.into_inner(), [(0, READ_BYTES), (READ_BYTES as u64, 3)]);
        assert_eq!(journal.byte_count(), output.len() as u64);
    }
}
