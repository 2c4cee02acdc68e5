//! The Sign Server's life: claim a sign task, fetch what is to be signed, do [`crate::work`], report.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anima_client::{
    Client,
    lease::{Context, Handler, Runner, Stop},
};
use anima_types::{
    Timestamp,
    id::TaskId,
    key::CreateKey,
    lease::{Claim, Condition, Lease, MAX_WAIT_SECS},
    task::Kind,
    work::{Outcome, PhaseTime, SignForm, SignItem, SignOutcome, SignWork, Work},
};
use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::{
    failure::{failure, not_fetched, refused, refused_by_keyring},
    file,
    journal::Journal,
    keyring::{self, Keyring},
    passphrase,
    work::{self, Fetched, MAX_ITEM_BYTES, MAX_ITEMS},
};

/// Bytes of one task's items at most, all in memory at once: the headers of the largest builds together are below it.
const MAX_TASK_BYTES: usize = 1 << 30;

/// What the Sign Server is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node's name.
    pub name: String,
    /// Where the keys, the passphrase and the journal are; nobody else may read it.
    pub data: PathBuf,
    /// The master's address.
    pub master_url: String,
    /// The role's token.
    pub token: String,
    /// The file with the keyring's passphrase, which its owner alone may read; `passphrase` in the data folder, made at
    /// the first start, where nothing is said.
    pub passphrase_file: Option<PathBuf>,
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
}

impl SignHandler {
    fn open(config: &Config) -> anyhow::Result<SignHandler> {
        file::make_private_dir(&config.data)?;
        let keys = config.data.join("keys");
        let passphrase = match &config.passphrase_file {
            Some(path) => passphrase::read(path)?,
            None => passphrase::read_or_make(&config.data.join("passphrase"), &keys)?,
        };
        let keyring = Keyring::open(&keys, passphrase)?;
        let path = config.data.join("journal.jsonl");
        let journal = Journal::open(&path).with_context(|| format!("could not open {}", path.display()))?;
        Ok(SignHandler { safe: Arc::new(Mutex::new(Safe { keyring, journal })) })
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
        let (fingerprint, public_key) = self
            .with_safe(move |safe| {
                let key = safe.keyring.create(&wanted, now().epoch_secs() as u32).map_err(refused_by_keyring)?;
                let public_key = key.to_armoured_public();
                let public_key = public_key.map_err(|error| failure("internal", error.to_string(), None))?;
                Ok((keyring::fingerprint(key), public_key))
            })
            .await?;
        context.log.line(format_args!("{name} has fingerprint {fingerprint}"));
        Ok(SignOutcome::Key { fingerprint, public_key })
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
                work::sign(&safe.keyring, &mut safe.journal, task, &fingerprint, &fetched, now()).map_err(refused)
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
            Work::Sign(SignWork::Signatures { fingerprint, items }) => {
                self.sign(lease.task, fingerprint, items, &context).await?
            }
            other => {
                let message = format!("this node signs; it cannot do a {} task", other.kind().name());
                return Err(failure("wrong_work", message, None));
            }
        };
        let phase = PhaseTime { name: "sign".to_string(), secs: began.elapsed().as_secs_f64() };
        Ok((Outcome::Sign(outcome), vec![phase]))
    }
}

async fn fetch(items: Vec<SignItem>, context: &Context) -> Result<Vec<Fetched>, Stop> {
    let (mut fetched, mut total_bytes) = (Vec::with_capacity(items.len()), 0);
    for item in items {
        let bytes = context.client().fetch_bytes(&item.url, MAX_ITEM_BYTES as u64, &context.cancel).await;
        let bytes = bytes.map_err(|error| not_fetched(item.artifact, error))?;
        total_bytes += bytes.len();
        if total_bytes > MAX_TASK_BYTES {
            let message = format!("could not sign more than {MAX_TASK_BYTES} bytes of headers in one task");
            return Err(failure("too_large", message, Some("Build fewer packages at once.")));
        }
        fetched.push((item, bytes));
    }
    Ok(fetched)
}

/// Returns the line of the task's log on one signature.
fn signed_line(item: &SignItem) -> String {
    match item.form {
        SignForm::RpmHeader => format!("signed package {} by its header {}", item.artifact, item.bytes_sha256),
        SignForm::Detached => format!("signed file {}", item.artifact),
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
