//! What a node's report means: it is checked against what the task was, what came is read and stored, and then one
//! transaction ends the task.

use std::collections::{BTreeMap, BTreeSet};

use anima_db::{
    Write,
    key::Made,
    package::Package,
    task::{Ended, Subject, Task},
};
use anima_rpm_file::PublicKey;
use anima_types::{
    Sha256, artifact,
    id::KeyId,
    key::Key,
    signature::{Form, Kind as Signed},
    task::{Event, Kind},
    work::{
        Failure, MAX_DYNAMIC_REQUIRES, Outcome, PhaseTime, PublishOutcome, PublishedRepository, SignItem, SignOutcome,
        Signature, Verdict,
    },
};
use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::{
    app::App,
    error::{ApiError, ApiResult},
    key, package_file, signing,
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
    records: Vec<anima_db::signature::New>,
    key: Option<(KeyId, Made)>,
    revoked: Option<(KeyId, String)>,
}

impl Accepted {
    /// Returns the report of a task that could not be done.
    pub fn failed(failure: Failure) -> Accepted {
        let why = failure.message.clone();
        Accepted { failure: Some(failure), ..Accepted::new(Event::Failed, why) }
    }

    fn new(event: Event, why: String) -> Accepted {
        let (signed, signature_files, records) = (Vec::new(), Vec::new(), Vec::new());
        let (failure, result, key, revoked) = (None, None, None, None);
        Accepted { event, why, failure, result, signed, signature_files, records, key, revoked }
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
        (Kind::Build, Outcome::Build(made)) if made.dynamic_requires.len() > MAX_DYNAMIC_REQUIRES => {
            // A node of before did not know the bound.
            let count = made.dynamic_requires.len();
            let message = format!(
                "%generate_buildrequires asks for {count} requirements, and {MAX_DYNAMIC_REQUIRES} are the most"
            );
            Ok(Accepted::failed(Failure::new("generate_buildrequires_failed", message)))
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
        (Kind::Import, Outcome::Import(made)) => {
            let why = format!("{} packages with {} bytes are here.", made.package_count, made.size_bytes);
            Ok(Accepted::succeeded(why, Outcome::Import(made)))
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
    let failure = Failure::new("verdict_red", message);
    let outcome = Outcome::Test(anima_types::work::TestOutcome { verdicts });
    Accepted { result: Some(outcome), ..Accepted::failed(failure) }
}

async fn signed(app: &App, task: &Task, outcome: SignOutcome) -> ApiResult<Accepted> {
    let mut read = app.db.read().await?;
    let key = signing::work::key_of(&mut read, task).await?;
    match (task.about.subject, &outcome) {
        (Some(Subject::Key), SignOutcome::Key { .. }) => {
            let made = key::accept(&key, &outcome)?;
            let accepted = Accepted::succeeded(format!("Key {} is made.", made.fingerprint), Outcome::Sign(outcome));
            Ok(Accepted { key: Some((key.id, made)), ..accepted })
        }
        (Some(Subject::Revocation), SignOutcome::Revoked { public_key }) => {
            let revoked = Some((key.id, public_key.clone()));
            let why = format!("The public key of {} says that it is revoked.", key.key.name);
            Ok(Accepted { revoked, ..Accepted::succeeded(why, Outcome::Sign(outcome)) })
        }
        (Some(Subject::Packages | Subject::Metadata | Subject::File), SignOutcome::Signatures(signatures)) => {
            let spoken_of = signatures.iter().map(|signature| signature.artifact).collect();
            let items = signing::work::reported(app, &mut read, task, &key, &spoken_of).await?;
            drop(read);
            let signatures = Given::new(&items, signatures)?;
            let why = format!("{} signatures are made.", items.len());
            let mut accepted = Accepted::succeeded(why, Outcome::Sign(outcome.clone()));
            accepted.records = items.iter().filter_map(record).collect();
            match task.about.subject {
                Some(Subject::Packages) => signed_packages(app, &key, &items, &signatures, &mut accepted).await?,
                _ => signed_files(app, &key, &items, &signatures, &mut accepted).await?,
            }
            Ok(accepted)
        }
        _ => Err(ApiError::unprocessable("wrong_outcome", format!("task {} asked for something else", task.id))),
    }
}

/// The signatures that a report has, by what they are of.
struct Given<'a>(BTreeMap<(Sha256, Form), &'a str>);

impl<'a> Given<'a> {
    /// Refuses a report in which one is missing. What was signed meanwhile by another task may stand in it, too.
    fn new(items: &[SignItem], signatures: &'a [Signature]) -> ApiResult<Given<'a>> {
        let given = signatures.iter().map(|one| ((one.artifact, one.form), one.signature.as_str())).collect();
        let given = Given(given);
        match items.iter().find(|item| given.get(item.artifact, item.form).is_none()) {
            None => Ok(given),
            Some(item) => {
                let message = format!("the report has no {} signature of {}", item.form.name(), item.artifact);
                Err(ApiError::unprocessable("missing_signature", message))
            }
        }
    }

    fn get(&self, artifact: Sha256, form: Form) -> Option<&'a str> {
        self.0.get(&(artifact, form)).copied()
    }
}

fn record(item: &SignItem) -> Option<anima_db::signature::New> {
    let account = item.account.as_ref()?;
    Some(anima_db::signature::New {
        artifact: item.artifact,
        kind: account.kind,
        form: item.form,
        name: account.name.clone(),
        bytes_sha256: item.bytes_sha256,
    })
}

/// Puts the signatures into the packages, several at once: each is copied, hashed and verified.
async fn signed_packages(
    app: &App,
    key: &Key,
    items: &[SignItem],
    signatures: &Given<'_>,
    accepted: &mut Accepted,
) -> ApiResult<()> {
    let keys = package_file::Keys {
        package: public_key(key)?,
        files: key.file_key.as_deref().map(PublicKey::from_armoured).transpose().map_err(ApiError::internal)?,
    };
    let text = |artifact, form| signatures.get(artifact, form).map(str::to_string);
    let of_packages = items.iter().filter(|item| item.form == Form::RpmHeader).map(|item| {
        let parts = package_file::Signatures {
            header: text(item.artifact, Form::RpmHeader).unwrap_or_default(),
            header_and_payload: text(item.artifact, Form::RpmPayload),
            files: text(item.artifact, Form::RpmFiles),
        };
        signed_package(app.clone(), item.artifact, parts, keys.clone())
    });
    let of_packages = of_packages.collect::<Vec<_>>();
    let at_once = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    accepted.signed = futures_util::stream::iter(of_packages).buffered(at_once).try_collect().await?;
    Ok(())
}

async fn signed_package(
    app: App,
    artifact: Sha256,
    parts: package_file::Signatures,
    keys: package_file::Keys,
) -> ApiResult<(Sha256, Package, u64)> {
    let package = package_file::sign(&app, artifact, parts, &keys).await?;
    let size_bytes = app.store.size(package.sha256).await?;
    Ok((artifact, package, size_bytes))
}

/// Verifies the signatures of whole files, and stores them.
async fn signed_files(
    app: &App,
    key: &Key,
    items: &[SignItem],
    signatures: &Given<'_>,
    accepted: &mut Accepted,
) -> ApiResult<()> {
    let key = public_key(key)?;
    for item in items {
        let signature = signatures.get(item.artifact, item.form).unwrap_or_default();
        let bytes = app.store.get_bytes(item.artifact, MAX_SIGNED_FILE_BYTES).await?;
        check_file(&key, item.form, &bytes, signature)
            .map_err(|error| ApiError::unprocessable("bad_signature", format!("of {}: {error}", item.artifact)))?;
        let stored = app.store.put_bytes(signature.as_bytes().to_vec()).await?;
        let kind = item.account.as_ref().map(|account| account.kind);
        let name = match (&item.account, kind) {
            (Some(account), Some(Signed::Checksum | Signed::Advisory)) => format!("{}.asc", account.name),
            _ => format!("{}.asc", item.artifact),
        };
        accepted.signature_files.push((name, stored.sha256, signature.len() as u64));
    }
    Ok(())
}

fn check_file(key: &PublicKey, form: Form, bytes: &[u8], signature: &str) -> Result<(), String> {
    if form != Form::Clear {
        return key.verify_armoured(bytes, signature).map_err(|error| error.to_string());
    }
    let text = key.verify_clear(signature).map_err(|error| error.to_string())?;
    let lines = |text: &str| text.lines().map(|line| line.trim_end().to_string()).collect::<Vec<_>>();
    match lines(&text) == lines(&String::from_utf8_lossy(bytes)) {
        true => Ok(()),
        false => Err("it is around another text".to_string()),
    }
}

/// `repomd.xml` names some ten files; a list of checksums or an advisory is not longer.
const MAX_SIGNED_FILE_BYTES: u64 = 1 << 20;

fn public_key(key: &Key) -> ApiResult<PublicKey> {
    let text = key.public_key.as_deref();
    let text = text.ok_or_else(|| ApiError::conflict("no_key", format!("key {} is not made yet", key.key.name)))?;
    PublicKey::from_armoured(text).map_err(ApiError::internal)
}

/// Ends the task with what was accepted.
pub async fn apply(
    write: &mut Write,
    task: &Task,
    accepted: Accepted,
    phases: Vec<PhaseTime>,
    hash: String,
) -> ApiResult<()> {
    let Accepted { event, why, failure, result, signed, signature_files, records, key, revoked } = accepted;
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
    if let Some(key) = task.about.key {
        for record in &records {
            anima_db::signature::insert(write, key, task.id, record).await?;
        }
    }
    if let Some((id, made)) = &key {
        anima_db::key::made(write, *id, made).await?;
    }
    if let Some((id, public_key)) = &revoked {
        key::accept_revocation(write, *id, public_key).await?;
    }
    let ended = Ended { phases, failure, result, report_hash: Some(hash) };
    anima_db::task::end(write, task, event, &why, &ended).await?;
    Ok(())
}
