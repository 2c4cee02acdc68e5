//! Keeps one role running: starts it, and starts it again when it ends unasked.

use std::time::{Duration, Instant};

use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    backoff::Backoff,
    child::{self, Start},
    logs::Log,
};
use crate::{
    data::{self, DataFolder},
    exit::{Exit, Failure, Result},
    output,
    role::Role,
};

/// A role that was asked to end may take so long: a build in its sandbox is killed in it, a request is answered.
pub const STOP_LIMIT: Duration = Duration::from_secs(20);
/// What a role wrote last is read so long after its end; a program that it left behind may hold the pipe for ever.
const LAST_WORDS_LIMIT: Duration = Duration::from_millis(500);

/// A role that is being kept running.
pub struct Keeper {
    pub role: Role,
    stop: CancellationToken,
    kill: CancellationToken,
    begun: CancellationToken,
    ended: watch::Receiver<Option<End>>,
    task: JoinHandle<()>,
}

/// How a process of a role ended.
#[derive(Clone, Debug)]
pub struct End {
    pub how: String,
    pub code: Option<i32>,
    pub last_lines: Vec<String>,
}

/// Makes what a role is started with; the token may be another the next time.
pub type MakeStart = Box<dyn Fn() -> Result<Start>>;

impl Keeper {
    /// Begins to keep a role running.
    pub fn begin(role: Role, data: &DataFolder, make_start: MakeStart) -> Result<Keeper> {
        let path = data.log(role.name());
        let log = Log::open(&path)
            .map_err(|error| Failure::new(Exit::Internal, format!("could not open {}: {error}", path.display())))?;
        let (stop, kill, begun) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let (tell, ended) = watch::channel(None);
        let kept = Kept {
            role,
            data: data.clone(),
            log,
            make_start,
            begun: begun.clone(),
            tell,
            stop: stop.clone(),
            kill: kill.clone(),
        };
        Ok(Keeper { role, stop, kill, begun, ended, task: tokio::task::spawn_local(kept.keep()) })
    }

    /// Waits until the role's first process is there, or could not be started.
    pub async fn begun(&self) {
        self.begun.cancelled().await;
    }

    /// Waits until a process of the role ends unasked.
    pub async fn next_end(&mut self) -> End {
        loop {
            if self.ended.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            if let Some(end) = self.ended.borrow_and_update().clone() {
                return end;
            }
        }
    }

    /// Asks the role to end, and waits until it has.
    pub async fn stop(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }

    /// Returns what ends the role at once.
    pub fn killer(&self) -> CancellationToken {
        self.kill.clone()
    }
}

struct Kept {
    role: Role,
    data: DataFolder,
    log: Log,
    make_start: MakeStart,
    begun: CancellationToken,
    tell: watch::Sender<Option<End>>,
    stop: CancellationToken,
    kill: CancellationToken,
}

impl Kept {
    async fn keep(self) {
        let mut backoff = Backoff::default();
        while !self.stop.is_cancelled() {
            let begin = Instant::now();
            let Some(end) = self.run_once().await else { return };
            let wait = backoff.after(begin.elapsed());
            self.begun.cancel();
            self.tell_of(&end, wait);
            self.tell.send_replace(Some(end));
            tokio::select! {
                () = sleep(wait) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// Runs one process to its end; `None` means that it was asked to end.
    async fn run_once(&self) -> Option<End> {
        self.log.forget_last_lines();
        let with_cure = |failure: Failure| match failure.hint {
            Some(hint) => format!("could not be started: {} ({hint})", failure.message),
            None => format!("could not be started: {}", failure.message),
        };
        let started = (self.make_start)().map_err(with_cure).and_then(|start| {
            child::start(&start).map_err(|error| format!("could not start {}: {error}", self.role.name()))
        });
        let (mut process, pipe) = match started {
            Ok(started) => started,
            Err(how) => return Some(End { how, code: None, last_lines: Vec::new() }),
        };
        let copying = self.log.copy_from(pipe);
        let pid_file = self.data.pid(self.role.name());
        let _ = data::write_whole(&pid_file, &format!("{}\n", process.id().unwrap_or(0)));
        self.begun.cancel();
        let status = tokio::select! {
            status = process.wait() => Some(status),
            () = self.stop.cancelled() => None,
        };
        if status.is_none() {
            child::stop(&mut process, STOP_LIMIT, &self.kill).await;
        }
        let _ = timeout(LAST_WORDS_LIMIT, copying).await;
        let _ = std::fs::remove_file(&pid_file);
        let (how, code) = match status? {
            Ok(status) => (child::describe(status), status.code()),
            Err(error) => (format!("was lost: {error}"), None),
        };
        Some(End { how, code, last_lines: self.log.last_lines() })
    }

    fn tell_of(&self, end: &End, wait: Duration) {
        let name = self.role.name();
        let _ = output::line(&format!("{name} {}; it starts again in {}", end.how, output::span(wait.as_secs_f64())));
        for line in &end.last_lines {
            let _ = output::line(&format!("  {name}: {line}"));
        }
        if !end.last_lines.is_empty() {
            let _ = output::line(&format!("  (more in {})", self.log.path().display()));
        }
    }
}
