//! The Sign Server's life: claim a sign task, fetch what is to be signed, do [`crate::work`], report.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anima_client::{
    Client,
    lease::{Context, Handler, Runner, Stop},
};
use anima_rpm_file::SigningKey;
use anima_types::{
    Sha256, Timestamp,
    id::TaskId,
    key::{CreateKey, Revocation},
    lease::{Claim, Condition, Lease, MAX_WAIT_SECS},
    signature::Form,
    task::Kind,
    work::{Outcome, PhaseTime, SignItem, SignOutcome, SignWork, Work},
};
use anyhow::Context as _;
use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use crate::{
    failure::{failure, not_fetched, refused, refused_by_keyring},
    file,
    journal::Journal,
    keyring::Keyring,
    passphrase::Secret,
    policy::Policies,
    token::Tokens,
    work::{self, Fetched, MAX_ITEM_BYTES, MAX_ITEMS},
};

/// Bytes of one task's items at most, all in memory at once: the headers of the largest builds together are below it.
const MAX_TASK_BYTES: usize = 1 << 30;

/// Headers that are fetched at once: the way to the master is waited for many times otherwise.
const FETCHES: usize = 16;

/// What the Sign Server is started with.
#[derive(Clone)]
pub struct Config {
    /// The node's name.
    pub name: String,
    /// Where the keys, the passphrase and the journal are; nobody else may read it.
    pub data: PathBuf,
    /// The master's address.
    pub master_url: String,
    /// The role's token.
    pub token: String,
    /// The keyring's passphrase.
    pub passphrase: Secret,
    /// The PIN of tokens; the passphrase where nothing is said.
    pub pin: Option<Secret>,
    /// Modules of tokens, loaded before the process was confined.
    pub tokens: Tokens,
}

/// Where the keys are in the data folder.
pub fn keys_folder(data: &Path) -> PathBuf {
    data.join("keys")
}

/// Where the journal is in the data folder.
pub fn journal_file(data: &Path) -> PathBuf {
    data.join("journal.jsonl")
}

/// Opens the keyring in a data folder.
pub fn open_keyring(data: &Path, passphrase: &Secret, pin: Option<&Secret>, tokens: Tokens) -> anyhow::Result<Keyring> {
    file::make_private_dir(data)?;
    let keys = keys_folder(data);
    let passphrase = passphrase.read(&data.join("passphrase"), &keys)?;
    let pin = match pin {
        Some(pin) => pin.read(&data.join("pin"), &keys)?,
        None => passphrase.clone(),
    };
    Ok(Keyring::open_with(&keys, passphrase, tokens.with_pin(pin))?)
}

/// Signs until `shutdown`. An error means that it cannot: the keyring does not open, or the token is wrong.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let handler = Arc::new(SignHandler::open(&config)?);
    let claim = Claim {
        node: config.name,
        kinds: vec![Kind::Sign],
        architectures: Vec::new(),
        emulated: Vec::new(),
        slots: 1,
        version: env!("CARGO_PKG_VERSION").to_string(),
        instance: String::new(),
        started_at: None,
        wait_secs: MAX_WAIT_SECS,
        condition: Condition::default(),
    };
    let client = Client::new(&config.master_url, Some(config.token)).context("could not use the master's address")?;
    Runner::new(client, claim).run(handler, shutdown.into()).await.context("could not take sign tasks")
}

/// The keyring and the journal: one task at a time has them.
struct SignHandler {
    safe: Arc<Mutex<Safe>>,
}

struct Safe {
    keyring: Keyring,
    journal: Journal,
    /// The file with the policies, read again for each task: who edits it need not start anything anew.
    policies: PathBuf,
}

impl SignHandler {
    fn open(config: &Config) -> anyhow::Result<SignHandler> {
        let keyring = open_keyring(&config.data, &config.passphrase, config.pin.as_ref(), config.tokens.clone())?;
        let path = journal_file(&config.data);
        let journal = Journal::open(&path).with_context(|| format!("could not open {}", path.display()))?;
        let policies = config.data.join("policy.toml");
        Policies::read(&policies)?;
        Ok(SignHandler { safe: Arc::new(Mutex::new(Safe { keyring, journal, policies })) })
    }

    /// Does what needs a key, on a thread for work that blocks.
    async fn with_safe<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Safe) -> Result<T, Stop> + Send + 'static,
    ) -> Result<T, Stop> {
        let safe = self.safe.clone();
        let done =
            tokio::task::spawn_blocking(move || work(&mut safe.lock().unwrap_or_else(PoisonError::into_inner))).await;
        done.unwrap_or_else(|error| Err(failure("internal", format!("the program has a defect: {error}"), None)))
    }

    async fn create_key(&self, wanted: CreateKey, context: &Context) -> Result<SignOutcome, Stop> {
        let name = format!("key \"{}\" ({})", wanted.name, wanted.algorithm.name());
        let (fingerprint, public_key, file_key) = self
            .with_safe(move |safe| {
                let entry = safe.keyring.create(&wanted, now().epoch_secs() as u32).map_err(refused_by_keyring)?;
                let armoured = |key: &SigningKey| {
                    key.to_armoured_public().map_err(|error| failure("internal", error.to_string(), None))
                };
                let files = entry.files.as_ref().filter(|_| wanted.options.signs_files);
                Ok((entry.fingerprint(), armoured(&entry.key)?, files.map(armoured).transpose()?))
            })
            .await?;
        context.log.line(format_args!("{name} has fingerprint {fingerprint}"));
        Ok(SignOutcome::Key { fingerprint, public_key, file_key })
    }

    async fn revoke(
        &self,
        fingerprint: String,
        why: Revocation,
        reason: String,
        context: &Context,
    ) -> Result<SignOutcome, Stop> {
        let key = fingerprint.clone();
        let public_key = self
            .with_safe(move |safe| {
                let now_secs = now().epoch_secs() as u32;
                safe.keyring.revoke(&fingerprint, why, &reason, now_secs).map_err(refused_by_keyring)
            })
            .await?;
        context.log.line(format_args!("key {key} is revoked, and signs nothing any more"));
        Ok(SignOutcome::Revoked { public_key })
    }

    async fn sign(
        &self,
        task: TaskId,
        fingerprint: String,
        items: Vec<SignItem>,
        context: &Context,
    ) -> Result<SignOutcome, Stop> {
        if items.len() > MAX_ITEMS {
            return Err(refused(work::Error::TooMany(items.len())));
        }
        let lines = items.iter().map(signed_line).collect::<Vec<_>>();
        let fetched = fetch(items, context).await?;
        let key = fingerprint.clone();
        let outcome = self
            .with_safe(move |safe| {
                let policies = Policies::read(&safe.policies);
                let policies = policies.map_err(|error| failure("bad_policy", error.to_string(), None))?;
                let Safe { keyring, journal, .. } = safe;
                work::sign(keyring, journal, &policies, task, &fingerprint, &fetched, now()).map_err(refused)
            })
            .await?;
        lines.iter().for_each(|line| context.log.line(line));
        context.log.line(format_args!("{} signatures by key {key}, each verified", lines.len()));
        Ok(outcome)
    }
}

impl Handler for SignHandler {
    async fn run(&self, lease: Lease, context: Context) -> Result<(Outcome, Vec<PhaseTime>), Stop> {
        let began = Instant::now();
        let outcome = match lease.work {
            Work::Sign(SignWork::CreateKey { wanted, .. }) => self.create_key(wanted, &context).await?,
            Work::Sign(SignWork::Revoke { fingerprint, why, reason }) => {
                self.revoke(fingerprint, why, reason, &context).await?
            }
            Work::Sign(SignWork::Signatures { fingerprint, items }) => {
                self.sign(lease.task, fingerprint, items, &context).await?
            }
            other => {
                let message = format!("this node signs; it cannot do a {} task", other.kind().name());
                return Err(failure("wrong_work", message, None));
            }
        };
        let phase = PhaseTime { name: "sign".to_string(), secs: began.elapsed().as_secs_f64(), ..PhaseTime::default() };
        Ok((Outcome::Sign(outcome), vec![phase]))
    }
}

/// Fetches what is to be signed, several at once, and each only once: a package may get more than one signature.
async fn fetch(items: Vec<SignItem>, context: &Context) -> Result<Vec<Fetched>, Stop> {
    let needs = |item: &SignItem| item.form != Form::RpmPayload;
    let place = |item: &SignItem| (item.bytes_sha256, (item.artifact, item.url.clone()));
    let wanted: BTreeMap<Sha256, (Sha256, String)> = items.iter().filter(|item| needs(item)).map(place).collect();
    let fetches = wanted.into_iter().map(|(bytes_sha256, (artifact, url))| async move {
        let bytes = context.client().fetch_bytes(&url, MAX_ITEM_BYTES as u64, &context.cancel).await;
        bytes.map(|bytes| (bytes_sha256, bytes)).map_err(|error| not_fetched(artifact, error))
    });
    let mut fetches = futures_util::stream::iter(fetches).buffered(FETCHES);
    let (mut fetched, mut total_bytes) = (BTreeMap::new(), 0);
    while let Some(one) = fetches.next().await {
        let (wanted, bytes) = one?;
        total_bytes += bytes.len();
        if total_bytes > MAX_TASK_BYTES {
            let message = format!("could not sign more than {MAX_TASK_BYTES} bytes of headers in one task");
            return Err(failure("too_large", message, Some("Build fewer packages at once.")));
        }
        fetched.insert(wanted, bytes);
    }
    drop(fetches);
    let bytes_of = |item: &SignItem| {
        let bytes = if needs(item) { fetched.get(&item.bytes_sha256).cloned() } else { None };
        bytes.unwrap_or_default()
    };
    let all = items.iter().map(bytes_of).collect::<Vec<_>>();
    Ok(items.into_iter().zip(all).collect())
}

/// Returns the line of the task's log on one signature.
fn signed_line(item: &SignItem) -> String {
    let SignItem { artifact, bytes_sha256, .. } = item;
    let name = item.account.as_ref().map_or("", |account| account.name.as_str());
    match item.form {
        Form::RpmHeader => format!("signed package {name} ({artifact}) by its header {bytes_sha256}"),
        Form::RpmPayload => format!("signed package {name} ({artifact}) by header and payload {bytes_sha256}"),
        Form::RpmFiles => format!("signed the files of package {name} ({artifact})"),
        Form::Detached | Form::Clear => format!("signed file {name} ({artifact})"),
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
