//! The Release System's life: claim `plan` and `publish` tasks, do them, report.

use std::{sync::Arc, time::Instant};

use anima_client::{
    Client,
    lease::{Context, Handler, Runner, Stop},
};
use anima_types::{
    artifact,
    lease::{Claim, Condition, Lease, MAX_WAIT_SECS},
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
        instance: String::new(),
        wait_secs: MAX_WAIT_SECS,
        condition: Condition::default(),
    };
    let client = Client::new(&config.master_url, Some(config.token)).context("could not use the master's address")?;
    let runner = Runner::new(client, claim).run(Arc::new(ReleaseHandler), shutdown.into());
    runner.await.context("could not take release tasks")
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
                return Err(failure("wrong_work", message, None));
            }
        };
        Ok((outcome, vec![PhaseTime { name: name.to_string(), secs: began.elapsed().as_secs_f64() }]))
    }
}

async fn make_plan(work: PlanWork, context: &Context) -> Result<PlanOutcome, Stop> {
    let hint = "Release to a product that has such a repository (anima product list).";
    let outcome = plan::plan(&work).map_err(|error| failure("no_repository", error.to_string(), Some(hint)))?;
    for PlanEntry { nevra, repository_path, replaces, reason, .. } in &outcome.entries {
        let replaces = replaces.iter().map(|old| format!(", replaces {old}")).collect::<String>();
        context.log.line(format_args!("{repository_path} + {nevra}{replaces}: {reason}"));
    }
    for answer in outcome.gates.iter().filter(|answer| answer.found_count > 0) {
        let (gate, level) = (answer.gate.name(), answer.level.name());
        for line in &answer.found {
            context.log.line(format_args!("gate {gate} ({level}): {line}"));
        }
    }
    context.log.line(format_args!("{} packages have {} places", work.packages.len(), outcome.entries.len()));
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
    let made = made.map_err(|error| failure("internal", format!("the program has a defect: {error}"), None))?;
    let (count, repodata) = made.map_err(|error| bad_metadata(&wanted, error))?;
    let (mut files, mut size_bytes) = (Vec::with_capacity(repodata.files.len()), repodata.repomd_xml.len());
    for file in repodata.files {
        size_bytes += file.bytes.len();
        context.upload_bytes(file.bytes, artifact::Kind::Repodata, file_name(&file.name)).await?;
        files.push(PublishedFile { path: file.name, sha256: file.sha256 });
    }
    let repomd = context.upload_bytes(repodata.repomd_xml, artifact::Kind::Repodata, "repomd.xml").await?;
    let secs = began.elapsed().as_secs_f64();
    context.log.line(format_args!(
        "repository {}: {count} packages, {size_bytes} bytes of metadata with repomd.xml {} in {secs:.3} s",
        wanted.repository, repomd.sha256
    ));
    Ok(PublishedRepository { repository: wanted.repository, repomd: repomd.sha256, files })
}

/// Returns the name without the folder: an artifact's name has none.
fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn bad_metadata(wanted: &PublishRepository, error: publish::Error) -> Stop {
    let message = format!("could not make the metadata of repository {}: {error}", wanted.repository);
    failure("bad_metadata", message, Some("Master and Release System may be of different versions."))
}

fn failure(code: &str, message: String, hint: Option<&str>) -> Stop {
    Failure { code: code.to_string(), message, log_line: None, hint: hint.map(str::to_string) }.into()
}
