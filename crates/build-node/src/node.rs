//! The node between the lease's protocol and its two kinds of task.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use anima_client::lease::{Context, Handler, Stop};
use anima_environment::{Environments, Journal, Phases};
use anima_types::lease::Lease;
use anima_types::platform;
use anima_types::work::{Outcome, PhaseTime, Work};
use tokio_util::sync::CancellationToken;

use crate::job::Job;
use crate::limits::{Limits, Machine};
use crate::trouble::{Trouble, failed};
use crate::{build_task, src_task};

/// What does tasks.
#[derive(Debug)]
pub struct Node {
    pub(crate) environments: Environments,
    pub(crate) helper: PathBuf,
    /// Each task has a folder in it.
    pub(crate) work: PathBuf,
    pub(crate) master_url: String,
    pub(crate) slots: u32,
    /// What its configuration says of what one task may use.
    pub(crate) limits: platform::Limits,
    pub(crate) folder_count: AtomicU64,
}

impl Handler for Node {
    async fn run(&self, lease: Lease, context: Context) -> Result<(Outcome, Vec<PhaseTime>), Stop> {
        let log = context.log.clone();
        let journal = Journal::new(move |bytes| log.write_bytes(bytes));
        let cancel = CancellationToken::new();
        let _bridge = Bridge::between(&context, &cancel);
        let mut phases = Phases::new();
        let done = self.work(&lease, &context, journal.clone(), &mut phases, cancel).await;
        match done {
            Ok(outcome) => Ok((outcome, phases.into_vec())),
            Err(trouble) => {
                tell(&journal, &trouble);
                Err(trouble.into_stop(phases.into_vec()))
            }
        }
    }
}

impl Node {
    fn limits_of(&self, work: &Work) -> Result<Limits, Trouble> {
        let machine =
            Machine::look(&self.work, self.slots).map_err(anima_environment::Error::file("look at", &self.work))?;
        let own = Limits::of_node(machine, self.limits);
        Ok(match work {
            Work::Src(work) => own.within(work.platform.limits(&work.package)),
            Work::Build(work) => own.within(work.platform.limits(&work.package)),
            _ => own,
        })
    }

    async fn work(
        &self,
        lease: &Lease,
        context: &Context,
        journal: Journal,
        phases: &mut Phases,
        cancel: CancellationToken,
    ) -> Result<Outcome, Trouble> {
        let number = self.folder_count.fetch_add(1, Ordering::Relaxed);
        let folder = self.work.join(format!("task-{}-{number}", lease.task));
        std::fs::create_dir(&folder).map_err(anima_environment::Error::file("make", &folder))?;
        let folder = Folder(folder);
        let job = Job {
            environments: &self.environments,
            helper: &self.helper,
            master_url: &self.master_url,
            limits: self.limits_of(&lease.work)?,
            began_at: OnceLock::new(),
            context,
            journal,
            cancel,
            folder: folder.0.clone(),
        };
        match &lease.work {
            Work::Src(work) => Ok(Outcome::Src(src_task::make(&job, phases, work).await?)),
            Work::Build(work) => Ok(Outcome::Build(build_task::make(&job, phases, work).await?)),
            other => Err(failed("internal", format!("a build node was given a {} task", other.kind().name()), None)),
        }
    }
}

/// The last lines of a log say what is on the page as well.
fn tell(journal: &Journal, trouble: &Trouble) {
    let Trouble::Failed(failure) = trouble else { return };
    journal.say(format!("\nFAILED ({}): {}", failure.code, failure.message));
    if let Some(hint) = &failure.hint {
        journal.say(format!("hint: {hint}"));
    }
}

/// A task's folder, removed with all that is in it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "the folder {} of a task is left to the sweep", self.0.display());
        }
    }
}

/// Carries the lease's sign to stop over to the tools, which know another.
struct Bridge(tokio::task::JoinHandle<()>);

impl Bridge {
    fn between(context: &Context, cancel: &CancellationToken) -> Bridge {
        let (from, to) = (context.cancel.clone(), cancel.clone());
        Bridge(tokio::spawn(async move {
            from.cancelled().await;
            to.cancel();
        }))
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.0.abort();
    }
}
