//! The node between the lease's protocol and its tests.

use std::path::PathBuf;

use anima_client::lease::{Context, Handler, Stop};
use anima_environment::{Environments, Journal, Phases};
use anima_types::lease::Lease;
use anima_types::work::{Outcome, PhaseTime, TestOutcome, TestWork, Work};
use tokio_util::sync::CancellationToken;

use crate::test_task::{self, Job};
use crate::trouble::{Trouble, failed};

/// What does tasks.
#[derive(Debug)]
pub(crate) struct Node {
    pub environments: Environments,
    pub helper: PathBuf,
}

impl Handler for Node {
    async fn run(&self, lease: Lease, context: Context) -> Result<(Outcome, Vec<PhaseTime>), Stop> {
        let (log, same) = (context.log.clone(), context.log.clone());
        let journal = Journal::new(move |bytes| log.write_bytes(bytes));
        let journal = journal.with_room(move |byte_count| same.room(byte_count));
        let cancel = CancellationToken::new();
        let _bridge = Bridge::between(&context, &cancel);
        let mut phases = Phases::new();
        let done = match &lease.work {
            Work::Test(work) => self.test(work, &context, journal.clone(), cancel, &mut phases).await,
            other => Err(failed("internal", format!("a test node was given a {} task", other.kind().name()))),
        };
        match done {
            Ok(outcome) => Ok((Outcome::Test(outcome), phases.into_vec())),
            Err(trouble) => {
                tell(&journal, &trouble);
                Err(trouble.into_stop(phases.into_vec()))
            }
        }
    }
}

impl Node {
    async fn test(
        &self,
        work: &TestWork,
        context: &Context,
        journal: Journal,
        cancel: CancellationToken,
        phases: &mut Phases,
    ) -> Result<TestOutcome, Trouble> {
        let emulators = self.environments.emulators(work.arch)?;
        let job = Job { node: self, context, journal, cancel, emulators };
        test_task::test(&job, phases, work).await
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
