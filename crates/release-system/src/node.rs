//! The Release System's life: claim `plan` and `publish` tasks, do them, report.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Instant, SystemTime},
};

use anima_client::{
    Client,
    lease::{Context, Handler, Runner, Stop},
};
use anima_repodata::{Layout, PackageXml, Part, Piece};
use anima_types::{
    Sha256, artifact,
    gate::Gate,
    lease::{Claim, Condition, Lease, MAX_WAIT_SECS},
    release::{LeftOut, PlanEntry, PlanRemoval},
    splice::{Splice, SplicePiece},
    task::Kind,
    work::{
        Failure, FileRef, Outcome, PhaseTime, PlanOutcome, PlanWork, PublishOutcome, PublishRepository, PublishWork,
        PublishedFile, PublishedRepository, Work,
    },
};
use anyhow::Context as _;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::{
    evidence::{Evidence, Gatherer},
    gate, import, plan, publish,
    reference_files::References,
};

/// The list of a repository's packages at most: 100,000 packages have some 1.5 GB of metadata.
const MAX_LIST_BYTES: u64 = 4 << 30;

/// Pieces of the last state's files that are fetched one by one at most; where more are wanted, the files are.
const MAX_PARTS_FETCHED: usize = 48;

/// What the Release System is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's name.
    pub name: String,
    /// The master's address.
    pub master_url: String,
    /// The role's token.
    pub token: String,
    /// Where it keeps what it fetched.
    pub folder: std::path::PathBuf,
}

/// Plans and publishes until `shutdown`. An error means that it never will: the token is wrong.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let claim = Claim {
        node: config.name,
        kinds: vec![Kind::Plan, Kind::Publish, Kind::Import],
        architectures: Vec::new(),
        emulated: Vec::new(),
        slots: 1,
        version: env!("CARGO_PKG_VERSION").to_string(),
        instance: String::new(),
        started_at: None,
        wait_secs: MAX_WAIT_SECS,
        condition: Condition::default(),
    };
    let gatherer =
        Gatherer::open(&config.folder, &config.master_url).map_err(|error| anyhow::anyhow!("could not {error}"))?;
    let client = Client::new(&config.master_url, Some(config.token)).context("could not use the master's address")?;
    let handler = ReleaseHandler { gatherer, references: References::default() };
    let runner = Runner::new(client, claim).run(Arc::new(handler), shutdown.into());
    runner.await.context("could not take release tasks")
}

struct ReleaseHandler {
    gatherer: Gatherer,
    references: References,
}

impl Handler for ReleaseHandler {
    async fn run(&self, lease: Lease, context: Context) -> Result<(Outcome, Vec<PhaseTime>), Stop> {
        let began = Instant::now();
        let (name, outcome) = match lease.work {
            Work::Plan(work) => ("plan", Outcome::Plan(self.make_plan(work, &context).await?)),
            Work::Import(work) => {
                ("import", Outcome::Import(import::run(work, self.gatherer.downloads(), &context).await?))
            }
            Work::Publish(work) => ("publish", Outcome::Publish(make_metadata(work, &context).await?)),
            other => {
                let message = format!("this node plans and publishes; it cannot do a {} task", other.kind().name());
                return Err(failure("wrong_work", message, None));
            }
        };
        let (name, secs) = (name.to_string(), began.elapsed().as_secs_f64());
        Ok((outcome, vec![PhaseTime { name, secs, ..PhaseTime::default() }]))
    }
}

impl ReleaseHandler {
    async fn make_plan(&self, work: PlanWork, context: &Context) -> Result<PlanOutcome, Stop> {
        let cancel = CancellationToken::new();
        let _cancels = cancel.clone().drop_guard();
        let reference = self.references.read(&work.references, self.gatherer.downloads(), &cancel).await;
        let reference = reference.map_err(|error| failure("no_reference", format!("could not {error}"), None))?;
        let hint = "Release to a product that has such a repository (anima product list), or say where it shall go \
                    (anima release edit).";
        let plan = plan::plan(&work, &reference);
        let plan = plan.map_err(|error| failure("no_repository", error.to_string(), Some(hint)))?;
        let evidence = match &work.packages_url {
            Some(url) => {
                let list = context.client().fetch_bytes(url, MAX_LIST_BYTES, &context.cancel).await?;
                let packages: Vec<PackageXml> = serde_json::from_slice(&list)
                    .map_err(|error| failure("bad_metadata", format!("could not read the packages: {error}"), None))?;
                self.gatherer.gather(&work, &plan, &packages, &cancel).await
            }
            None => Evidence::none(),
        };
        let gates = gate::answers(&work, &plan, &evidence);
        if let Err(error) = self.gatherer.sweep_once(SystemTime::now()) {
            tracing::warn!("what was not used for long could not be removed: {error}");
        }
        let outcome = plan.with(gates);
        tell(&work, &outcome, context);
        Ok(outcome)
    }
}

/// Writes the plan with its reasons into the log.
fn tell(work: &PlanWork, outcome: &PlanOutcome, context: &Context) {
    for PlanEntry { nevra, repository_path, replaces, reason, .. } in &outcome.entries {
        let replaces = replaces.iter().map(|old| format!(", replaces {old}")).collect::<String>();
        context.log.line(format_args!("{repository_path} + {nevra}{replaces}: {reason}"));
    }
    for PlanRemoval { nevra, repository_path, reason, .. } in &outcome.removals {
        context.log.line(format_args!("{repository_path} - {nevra}: {reason}"));
    }
    for LeftOut { nevra, reason } in &outcome.left_out {
        context.log.line(format_args!("nowhere {nevra}: {reason}"));
    }
    for answer in &outcome.gates {
        let (gate, level) = (answer.gate.name(), answer.level.name());
        for finding in &answer.found {
            context.log.line(format_args!("gate {gate} ({level}): {}", finding.text));
        }
        for finding in &answer.known {
            context.log.line(format_args!("gate {gate}, so before: {}", finding.text));
        }
        // The others' say only why they could not be asked, which is the same for all.
        if let Some(note) = answer.note.as_ref().filter(|_| answer.gate == Gate::Closure) {
            context.log.line(format_args!("gate {gate}: {note}"));
        }
    }
    context.log.line(format_args!("{} packages have {} places", work.packages.len(), outcome.entries.len()));
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
    let (layout, files, how) = match renewed(&wanted, context).await? {
        Some((layout, files)) => (layout, files, "out of the last state's"),
        None => {
            let (layout, files) = made_anew(&wanted, revision, context).await?;
            (layout, files, "anew")
        }
    };
    let index = publish::index(&layout, &files, &wanted.attachments, revision);
    let published = index.records.iter().zip(&files).map(|(record, sha256)| (record.location.clone(), *sha256));
    let attached = wanted.attachments.iter().map(|attachment| (attachment.path.clone(), attachment.sha256));
    let files = published.chain(attached).map(|(path, sha256)| PublishedFile { path, sha256 }).collect();
    let (repomd, kept) = tokio::try_join!(
        context.upload_bytes(index.to_xml(), artifact::Kind::Repodata, "repomd.xml"),
        context.upload_bytes(layout.to_json(), artifact::Kind::Repodata, "layout.json"),
    )?;
    let (count, secs) = (layout.package_count, began.elapsed().as_secs_f64());
    let size_bytes: u64 = Part::ALL.into_iter().map(|part| layout.size_bytes(part)).sum();
    context.log.line(format_args!(
        "repository {}: {count} packages, {size_bytes} bytes of metadata, made {how}, with repomd.xml {} in {secs:.3} s",
        wanted.repository, repomd.sha256
    ));
    Ok(PublishedRepository { repository: wanted.repository, repomd: repomd.sha256, files, layout: Some(kept.sha256) })
}

/// Makes all of a repository's metadata, and uploads its files.
async fn made_anew(
    wanted: &PublishRepository,
    revision: i64,
    context: &Context,
) -> Result<(Layout, Vec<Sha256>), Stop> {
    let list = context.client().fetch_bytes(&wanted.packages_url, MAX_LIST_BYTES, &context.cancel).await?;
    let compression = wanted.compression;
    let made = blocking(move || publish::make(&list, compression, revision)).await?;
    let made = made.map_err(|error| bad_metadata(wanted, error))?;
    let uploads = made.files.into_iter().map(|file| async move {
        context.upload_bytes(file.bytes, artifact::Kind::Repodata, file_name(&file.name)).await
    });
    let uploaded = futures_util::future::try_join_all(uploads).await?;
    Ok((made.layout, uploaded.into_iter().map(|artifact| artifact.sha256).collect()))
}

/// Makes a repository's metadata out of that of its last state: what did not change stays where it is. Returns nothing
/// where that cannot be.
async fn renewed(wanted: &PublishRepository, context: &Context) -> Result<Option<(Layout, Vec<Sha256>)>, Stop> {
    let Some(change) = wanted.change.clone().filter(|change| change.files.len() == Part::ALL.len()) else {
        return Ok(None);
    };
    let fetch =
        |url: String, max_bytes| async move { context.client().fetch_bytes(&url, max_bytes, &context.cancel).await };
    let (layout, added) = tokio::try_join!(
        fetch(change.layout.url.clone(), change.layout.size_bytes),
        fetch(change.added_url.clone(), MAX_LIST_BYTES),
    )?;
    let (removed, compression) = (change.removed, wanted.compression);
    let read = blocking(move || publish::Renewal::new(&layout, &added, removed, compression)).await?;
    let renewal = match read {
        Ok(Some(renewal)) => renewal,
        Ok(None) => return Ok(None),
        Err(publish::Error::List(error)) => return Err(bad_metadata(wanted, error.into())),
        Err(error) => return Ok(give_up(wanted, &error, context)),
    };
    let frames = fetch_frames(&renewal, &change.files, context).await?;
    let update = match blocking(move || renewal.update(&frames)).await? {
        Ok(update) => update,
        Err(error) => return Ok(give_up(wanted, &error, context)),
    };
    let parts = Part::ALL.into_iter().zip(update.pieces).zip(&change.files);
    let spliced = parts.map(|((part, pieces), base)| async move {
        let (splice, new_bytes) = splice(part, pieces, base.sha256);
        context.splice(&splice, &new_bytes).await
    });
    let spliced = futures_util::future::try_join_all(spliced).await?;
    Ok(Some((update.layout, spliced.into_iter().map(|artifact| artifact.sha256).collect())))
}

/// Says why the last state's metadata is of no use.
fn give_up<T>(wanted: &PublishRepository, error: &publish::Error, context: &Context) -> Option<T> {
    context.log.line(format_args!("repository {} is made anew: {error}", wanted.repository));
    None
}

/// Fetches the frames that change, or the whole files where many do.
async fn fetch_frames(
    renewal: &publish::Renewal,
    files: &[FileRef],
    context: &Context,
) -> Result<BTreeMap<(Part, u32), Vec<u8>>, Stop> {
    let wanted = renewal.frames();
    let client = context.client();
    if wanted.len() > MAX_PARTS_FETCHED {
        let whole = files.iter().map(|file| client.fetch_bytes(&file.url, file.size_bytes, &context.cancel));
        let whole = futures_util::future::try_join_all(whole).await?;
        let cut = |file: &Bytes, range: std::ops::Range<u64>| {
            file.get(range.start as usize..range.end as usize).unwrap_or_default().to_vec()
        };
        let frames = wanted.into_iter();
        return Ok(frames.map(|(part, bucket, range)| ((part, bucket), cut(&whole[part as usize], range))).collect());
    }
    let fetched = wanted.into_iter().map(|(part, bucket, range)| async move {
        let bytes = client.fetch_range(&files[part as usize].url, range, &context.cancel).await?;
        Ok::<_, anima_client::Error>(((part, bucket), bytes.to_vec()))
    });
    Ok(futures_util::future::try_join_all(fetched).await?.into_iter().collect())
}

/// Returns the recipe of a new file, and its new bytes.
fn splice(part: Part, pieces: Vec<Piece>, base: Sha256) -> (Splice, Vec<u8>) {
    let mut new_bytes = Vec::new();
    let pieces = pieces
        .into_iter()
        .map(|piece| match piece {
            Piece::Old(range) => SplicePiece::Old(range.start, range.end - range.start),
            Piece::New(bytes) => {
                new_bytes.extend_from_slice(&bytes);
                SplicePiece::New(bytes.len() as u64)
            }
        })
        .collect();
    let (kind, name) = (artifact::Kind::Repodata, part.file_name().to_string());
    (Splice { base, pieces, kind, name }, new_bytes)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Stop> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| failure("internal", format!("the program has a defect: {error}"), None))
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
    Failure::new(code, message).with_hint(hint).into()
}
