//! What a node's report means: it is checked against what the task was, what came is read and stored, and then one
//! transaction ends the task.

use std::collections::BTreeSet;

use anima_db::{
    Write,
    package::Package,
    task::{Ended, Subject, Task},
};
use anima_rpm_file::PublicKey;
use anima_types::{
    Sha256, artifact,
    id::KeyId,
    task::{Event, Kind},
    work::{Failure, Outcome, PhaseTime, PublishOutcome, PublishedRepository, SignOutcome, Signature, Verdict},
};

use crate::{
    app::App,
    error::{ApiError, ApiResult},
    package_file,
};

/// A report that can be written down.
pub struct Accepted {
    event: Event,
    why: String,
    failure: Option<Failure>,
    /// What the work gave.
    pub result: Option<Outcome>,
    signed: Vec<(Sha256, Package, u64)>,
    signature_files: Vec<(String, Sha256, u64)>,
    key: Option<(KeyId, String, String)>,
}

impl Accepted {
    /// Returns the report of a task that could not be done.
    pub fn failed(failure: Failure) -> Accepted {
        let why = failure.message.clone();
        Accepted { failure: Some(failure), ..Accepted::new(Event::Failed, why) }
    }

    fn new(event: Event, why: String) -> Accepted {
        let (signed, signature_files) = (Vec::new(), Vec::new());
        Accepted { event, why, failure: None, result: None, signed, signature_files, key: None }
    }

    fn succeeded(why: impl Into<String>, outcome: Outcome) -> Accepted {
        Accepted { result: Some(outcome), ..Accepted::new(Event::Succeeded, why.into()) }
    }
}

/// Checks what a node says that it did. An error is the node's mistake, and the task goes on.
pub async fn accept(app: &App, task: &Task, outcome: Outcome) -> ApiResult<Accepted> {
    match (task.about.kind, outcome) {
        (Kind::Src, Outcome::Src(made)) => {
            uploaded(app, task, [made.srpm]).await?;
            let why = format!("{} is made.", made.nevra);
            Ok(Accepted::succeeded(why, Outcome::Src(made)))
        }
        (Kind::Build, Outcome::Build(made)) => {
            uploaded(app, task, made.packages.iter().map(|package| package.artifact).chain([made.lock])).await?;
            let why = format!("{} packages are built.", made.packages.len());
            Ok(Accepted::succeeded(why, Outcome::Build(made)))
        }
        (Kind::Test, Outcome::Test(made)) => Ok(judged(made.verdicts)),
        (Kind::Plan, Outcome::Plan(made)) => {
            let why = format!("The plan has {} lines.", made.entries.len());
            Ok(Accepted::succeeded(why, Outcome::Plan(made)))
        }
        (Kind::Publish, Outcome::Publish(made)) => {
            let kept = attached(app, &made).await?;
            let of_one = |one: &PublishedRepository| {
                let files = one.files.iter().map(|file| file.sha256).chain([one.repomd]).chain(one.layout);
                files.filter(|sha256| !kept.contains(sha256)).collect::<Vec<_>>()
            };
            uploaded(app, task, made.repositories.iter().flat_map(of_one).collect::<Vec<_>>()).await?;
            let why = format!("The metadata of {} repositories is made.", made.repositories.len());
            Ok(Accepted::succeeded(why, Outcome::Publish(made)))
        }
        (Kind::Sign, Outcome::Sign(made)) => signed(app, task, made).await,
        (kind, _) => {
            let message = format!("task {} is a {} task; the report is of another kind", task.id, kind.name());
            Err(ApiError::unprocessable("wrong_outcome", message))
        }
    }
}

/// Refuses a report that names what the task has not uploaded.
async fn uploaded(app: &App, task: &Task, wanted: impl IntoIterator<Item = Sha256>) -> ApiResult<()> {
    let mut read = app.db.read().await?;
    let there = anima_db::artifact::of_task(&mut read, task.id).await?;
    let there: BTreeSet<Sha256> = there.into_iter().map(|artifact| artifact.sha256).collect();
    match wanted.into_iter().find(|sha256| !there.contains(sha256)) {
        None => Ok(()),
        Some(sha256) => {
            let message = format!("the report names artifact {sha256}, which task {} has not uploaded", task.id);
            Err(ApiError::unprocessable("missing_artifact", message))
        }
    }
}

/// Returns what the repositories have beside the metadata of their packages: it is in the store, and not uploaded again.
async fn attached(app: &App, made: &PublishOutcome) -> ApiResult<BTreeSet<Sha256>> {
    let mut read = app.db.read().await?;
    let mut kept = BTreeSet::new();
    for one in &made.repositories {
        let attachments = anima_db::repository::attachments(&mut read, one.repository).await?;
        kept.extend(attachments.into_iter().map(|attachment| attachment.sha256));
    }
    Ok(kept)
}

/// Red verdicts fail the task, so that it can be tried again like any other.
fn judged(verdicts: Vec<Verdict>) -> Accepted {
    let (count, red) = (verdicts.len(), verdicts.iter().filter(|verdict| !verdict.is_green).collect::<Vec<_>>());
    let Some(first) = red.first() else {
        let outcome = Outcome::Test(anima_types::work::TestOutcome { verdicts });
        return Accepted::succeeded(format!("{count} packages are good."), outcome);
    };
    let check = first.checks.iter().find(|check| !check.is_green);
    let reason =
        check.map_or_else(|| "a check failed".to_string(), |check| format!("{}: {}", check.name, check.detail));
    let others = if red.len() > 1 { format!(" (and {} more packages)", red.len() - 1) } else { String::new() };
    let message = format!("{} is not good: {reason}{others}", first.nevra);
    let failure = Failure { code: "verdict_red".to_string(), message, log_line: None, hint: None };
    let outcome = Outcome::Test(anima_types::work::TestOutcome { verdicts });
    Accepted { result: Some(outcome), ..Accepted::failed(failure) }
}

async fn signed(app: &App, task: &Task, outcome: SignOutcome) -> ApiResult<Accepted> {
    match (task.about.subject, &outcome) {
        (Some(Subject::Key), SignOutcome::Key { fingerprint, public_key }) => {
            made_key(task, fingerprint, public_key, &outcome)
        }
        (Some(Subject::Packages), SignOutcome::Signatures(signatures)) => {
            let key = public_key(app, task).await?;
            let mut accepted = Accepted::succeeded(
                format!("{} packages are signed.", signatures.len()),
                Outcome::Sign(outcome.clone()),
            );
            for signature in signatures {
                let package = package_file::sign(app, signature.artifact, &signature.signature, &key).await?;
                let size_bytes = app.store.size(package.sha256).await?;
                accepted.signed.push((signature.artifact, package, size_bytes));
            }
            Ok(accepted)
        }
        (Some(Subject::Metadata), SignOutcome::Signatures(signatures)) => {
            signed_metadata(app, task, signatures, &outcome).await
        }
        _ => Err(ApiError::unprocessable("wrong_outcome", format!("task {} asked for something else", task.id))),
    }
}

fn made_key(task: &Task, fingerprint: &str, public_key: &str, outcome: &SignOutcome) -> ApiResult<Accepted> {
    let bad = |why: String| ApiError::unprocessable("bad_key", why);
    let key = PublicKey::from_armoured(public_key).map_err(|error| bad(error.to_string()))?;
    if !key.fingerprint().eq_ignore_ascii_case(fingerprint) {
        return Err(bad(format!("the key's fingerprint is {}, the report says {fingerprint}", key.fingerprint())));
    }
    let id = task.about.key.ok_or_else(|| ApiError::internal("a task that makes a key has none"))?;
    let accepted = Accepted::succeeded(format!("Key {fingerprint} is made."), Outcome::Sign(outcome.clone()));
    Ok(Accepted { key: Some((id, fingerprint.to_uppercase(), public_key.to_string())), ..accepted })
}

async fn signed_metadata(
    app: &App,
    task: &Task,
    signatures: &[Signature],
    outcome: &SignOutcome,
) -> ApiResult<Accepted> {
    let key = public_key(app, task).await?;
    let mut accepted =
        Accepted::succeeded(format!("{} repositories are signed.", signatures.len()), Outcome::Sign(outcome.clone()));
    for signature in signatures {
        let bytes = app.store.get_bytes(signature.artifact, MAX_REPOMD_BYTES).await?;
        key.verify_armoured(&bytes, &signature.signature)
            .map_err(|error| ApiError::unprocessable("bad_signature", format!("of {}: {error}", signature.artifact)))?;
        let stored = app.store.put_bytes(signature.signature.clone().into_bytes()).await?;
        accepted.signature_files.push((
            format!("{}.asc", signature.artifact),
            stored.sha256,
            signature.signature.len() as u64,
        ));
    }
    Ok(accepted)
}

/// `repomd.xml` names some ten files.
const MAX_REPOMD_BYTES: u64 = 1 << 20;

async fn public_key(app: &App, task: &Task) -> ApiResult<PublicKey> {
    let id = task.about.key.ok_or_else(|| ApiError::internal("a sign task has no key"))?;
    let mut read = app.db.read().await?;
    let key = anima_db::key::get(&mut read, id).await?;
    let text =
        key.public_key.ok_or_else(|| ApiError::conflict("no_key", format!("key {} is not made yet", key.key.name)))?;
    PublicKey::from_armoured(&text).map_err(ApiError::internal)
}

/// Ends the task with what was accepted.
pub async fn apply(
    write: &mut Write,
    task: &Task,
    accepted: Accepted,
    phases: Vec<PhaseTime>,
    hash: String,
) -> ApiResult<()> {
    let Accepted { event, why, failure, result, signed, signature_files, key } = accepted;
    if let (Some(key), false) = (task.about.key, signed.is_empty()) {
        for (unsigned, package, size_bytes) in &signed {
            anima_db::artifact::insert(write, package.sha256, *size_bytes).await?;
            anima_db::package::insert(write, package).await?;
            anima_db::package::insert_signed(write, *unsigned, key, package.sha256).await?;
        }
    }
    for (name, sha256, size_bytes) in &signature_files {
        anima_db::artifact::insert(write, *sha256, *size_bytes).await?;
        anima_db::artifact::link(write, task.id, *sha256, artifact::Kind::Signature, name).await?;
    }
    if let Some((id, fingerprint, public_key)) = &key {
        anima_db::key::made(write, *id, fingerprint, public_key).await?;
    }
    let ended = Ended { phases, failure, result, report_hash: Some(hash) };
    anima_db::task::end(write, task, event, &why, &ended).await?;
    Ok(())
}

/// A key that was made lets all wait no longer that need it.
pub fn tell_key(app: &App, task: &Task) {
    if task.about.subject == Some(Subject::Key) {
        app.everything_is_due();
    }
}
