//! The Release System's life: claim `plan` and `publish` tasks, do them, report.

use std::{sync::Arc, time::Instant};

use anima_client::{
    Client,
    lease::{Cancel, Context, Handler, Runner, Stop},
};
use anima_types::{
    artifact,
    lease::{Claim, Lease, MAX_WAIT_SECS},
    release::PlanEntry,
    task::Kind,
    work::{
        Failure, Outcome, PhaseTime, PlanOutcome, PlanWork, PublishOutcome, PublishRepository, PublishWork,
        PublishedFile, PublishedRepository, Work,
    },
};
use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::{plan, publish};

/// The list of a repository's packages at most: 100,000 packages have some 1.5 GB of metadata.
const MAX_LIST_BYTES: u64 = 4 << 30;

/// What the Release System is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's name.
    pub name: String,
    /// The master's address.
    pub master_url: String,
    /// The role's token.
    pub token: String,
}

/// Plans and publishes until `shutdown`. An error means that it never will: the token is wrong.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let claim = Claim {
        node: config.name,
        kinds: vec![Kind::Plan, Kind::Publish],
        architectures: Vec::new(),
        slots: 1,
        version: env!("CARGO_PKG_VERSION").to_string(),
        wait_secs: MAX_WAIT_SECS,
    };
    let client = Client::new(&config.master_url, Some(config.token)).context("could not use the master's address")?;
    let cancel = Cancel::new();
    let runner = Runner::new(client, claim).run(Arc::new(ReleaseHandler), cancel.clone());
    tokio::pin!(runner);
    let result = tokio::select! {
        result = &mut runner => result,
        () = shutdown.cancelled() => {
            cancel.trigger();
            runner.await
        }
    };
    result.context("could not take release tasks")
}

struct ReleaseHandler;

impl Handler for ReleaseHandler {
    async fn run(&self, lease: Lease, context: Context) -> Result<(Outcome, Vec<PhaseTime>), Stop> {
        let began = Instant::now();
        let (name, outcome) = match lease.work {
            Work::Plan(work) => ("plan", Outcome::Plan(make_plan(work, &context).await?)),
            Work::Publish(work) => ("publish", Outcome::Publish(make_metadata(work, &context).await?)),
            other => {
                let message = format!("this node plans and publishes; it cannot do a {} task", other.kind().name());
                return Err(failure("wrong_work", message));
            }
        };
        Ok((outcome, vec![PhaseTime { name: name.to_string(), secs: began.elapsed().as_secs_f64() }]))
    }
}

async fn make_plan(work: PlanWork, context: &Context) -> Result<PlanOutcome, Stop> {
    let outcome = plan::plan(&work).map_err(|error| failure("no_repository", error.to_string()))?;
    for PlanEntry { nevra, repository_path, replaces, reason, .. } in &outcome.entries {
        let replaces = replaces.iter().map(|old| format!(", replaces {old}")).collect::<String>();
        context.log.line(format_args!("{repository_path} + {nevra}{replaces}: {reason}"));
    }
    Ok(outcome)
}

async fn make_metadata(work: PublishWork, context: &Context) -> Result<PublishOutcome, Stop> {
    let mut repositories = Vec::with_capacity(work.repositories.len());
    for repository in work.repositories {
        repositories.push(publish_one(repository, work.revision, context).await?);
    }
    Ok(PublishOutcome { repositories })
}

async fn publish_one(wanted: PublishRepository, revision: i64, context: &Context) -> Result<PublishedRepository, Stop> {
    let began = Instant::now();
    let list = context.client().fetch_bytes(&wanted.packages_url, MAX_LIST_BYTES, &context.cancel).await?;
    let made = tokio::task::spawn_blocking(move || publish::make(&list, revision)).await;
    let made = made.map_err(|error| failure("internal", format!("the program has a defect: {error}")))?;
    let (count, repodata) = made.map_err(|error| failure("bad_metadata", error.to_string()))?;
    let mut files = Vec::with_capacity(repodata.files.len());
    for file in repodata.files {
        context.upload_bytes(file.bytes, artifact::Kind::Repodata, file_name(&file.name)).await?;
        files.push(PublishedFile { path: file.name, sha256: file.sha256 });
    }
    let repomd = context.upload_bytes(repodata.repomd_xml, artifact::Kind::Repodata, "repomd.xml").await?;
    let secs = began.elapsed().as_secs_f64();
    context.log.line(format_args!("repository {}: metadata of {count} packages in {secs:.3} s", wanted.repository));
    Ok(PublishedRepository { repository: wanted.repository, repomd: repomd.sha256, files })
}

/// Returns the name without the folder: an artifact's name has none.
fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn failure(code: &str, message: String) -> Stop {
    Failure { code: code.to_string(), message, log_line: None, hint: None }.into()
}
