//! The node between the lease's protocol and its two kinds of task.

use std::path::{Path, PathBuf};

use anima_client::lease::{Context, Handler, Stop};
use anima_environment::{Journal, Phases, Wanted};
use anima_types::Sha256;
use anima_types::artifact::Kind;
use anima_types::lease::Lease;
use anima_types::work::{FileRef, Outcome, PhaseTime, Work};
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::engine::{Aftermath, Around, Artifacts, Engine, SrpmPlace};
use crate::kept::{Keep, Keeper};
use crate::provenance::About;
use crate::sources::Pushed;
use crate::trouble::{Trouble, failed};

/// What does tasks.
#[derive(Debug)]
pub struct Node {
    pub(crate) engine: Engine,
    /// Its name at the master.
    pub(crate) name: String,
    /// Which roots of failed tasks it keeps.
    pub(crate) keep: Option<Keep>,
    pub(crate) master_url: String,
}

impl Handler for Node {
    async fn run(&self, lease: Lease, context: Context) -> Result<(Outcome, Vec<PhaseTime>), Stop> {
        let [journal, root_journal, state] = [&context.log, &context.root_log, &context.state_log].map(|log| {
            let (log, same) = (log.clone(), log.clone());
            Journal::new(move |bytes| log.write_bytes(bytes)).with_room(move |byte_count| same.room(byte_count))
        });
        let cancel = CancellationToken::new();
        let _bridge = Bridge::between(&context, &cancel);
        let mut phases = Phases::told(state);
        let name = format!("task-{}", lease.task);
        let package = match &lease.work {
            Work::Src(work) => work.package.as_str(),
            Work::Build(work) => work.package.as_str(),
            _ => "",
        };
        let keeper = self.keep.map(|keep| Keeper {
            node: &self.name,
            task: lease.task,
            package,
            keep,
            environments: &self.engine.environments,
            journal: &journal,
        });
        let around = Around {
            name: &name,
            master_url: &self.master_url,
            replay: None,
            artifacts: &context,
            aftermath: keeper.as_ref().map(|keeper| keeper as &dyn Aftermath),
            journal: &journal,
            root_journal: Some(&root_journal),
            about: match &lease.work {
                Work::Src(work) => Some(About::src(lease.task, &self.name, work)),
                Work::Build(work) => Some(About::build(lease.task, &self.name, work)),
                _ => None,
            },
            cancel: &cancel,
        };
        match self.work(&lease.work, around, &mut phases).await {
            Ok(outcome) => Ok((outcome, phases.into_vec())),
            Err(mut trouble) => {
                tell(&journal, &mut trouble);
                Err(trouble.into_stop(phases.into_vec()))
            }
        }
    }
}

impl Node {
    async fn work(&self, work: &Work, around: Around<'_>, phases: &mut Phases) -> Result<Outcome, Trouble> {
        match work {
            Work::Src(work) => {
                let made = self.engine.src(around, phases, &work.into(), &Pushed::from(work)).await?;
                Ok(Outcome::Src(made))
            }
            Work::Build(work) => {
                let place = SrpmPlace::Away(Box::pin(self.fetch(&work.srpm, around.cancel)));
                let made = self.engine.build(around, phases, &work.into(), &work.srpm.name, place).await?;
                Ok(Outcome::Build(made))
            }
            other => Err(failed("internal", format!("a build node was given a {} task", other.kind().name()), None)),
        }
    }

    /// Returns where the source package of a lease is on this machine, its hash compared.
    async fn fetch(&self, file: &FileRef, cancel: &CancellationToken) -> Result<PathBuf, Trouble> {
        let wanted = Wanted { url: file.url.clone(), hash: file.sha256.into(), size_bytes: Some(file.size_bytes) };
        let fetched = self.engine.environments.downloads().get(&wanted, cancel).await;
        fetched.map_err(|error| bad_srpm(&file.name, error))
    }
}

/// A source package that is not what the lease says is no repository's fault.
fn bad_srpm(name: &str, error: anima_environment::Error) -> Trouble {
    use anima_environment::Error;
    match error {
        Error::Hash { .. } | Error::TooLarge { .. } | Error::Status { .. } => {
            failed("bad_source", format!("{name}: could not {error}"), None)
        }
        error => error.into(),
    }
}

impl Artifacts for Context {
    fn keep<'a>(&'a self, path: &'a Path, kind: Kind, name: &'a str) -> BoxFuture<'a, Result<Sha256, Trouble>> {
        Box::pin(async move { Ok(self.upload(path, kind, name).await?.sha256) })
    }

    fn keep_text<'a>(&'a self, text: String, kind: Kind, name: &'a str) -> BoxFuture<'a, Result<Sha256, Trouble>> {
        Box::pin(async move { Ok(self.upload_bytes(text, kind, name).await?.sha256) })
    }
}

/// The last lines of a log say what is on the page as well.
pub(crate) fn tell(journal: &Journal, trouble: &mut Trouble) {
    let Trouble::Failed(failure) = trouble else { return };
    anima_diagnosis::complete(failure);
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
