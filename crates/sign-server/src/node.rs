//! The Sign Server's life: claim a sign task, fetch what is to be signed, do [`crate::work`], report.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anima_client::{
    Client,
    lease::{Cancel, Context, Handler, Runner, Stop},
};
use anima_types::{
    Timestamp,
    id::TaskId,
    key::CreateKey,
    lease::{Claim, Lease, MAX_WAIT_SECS},
    task::Kind,
    work::{Failure, Outcome, PhaseTime, SignItem, SignOutcome, SignWork, Work},
};
use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::{
    journal::Journal,
    keyring::{self, Keyring},
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
    /// The file with the keyring's passphrase; `passphrase` in the data folder, made at the first start, where nothing is said.
    pub passphrase_file: Option<PathBuf>,
}

/// Signs until `shutdown`. An error means that it cannot: the keyring does not open, or the token is wrong.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let handler = Arc::new(SignHandler::open(&config)?);
    let claim = Claim {
        node: config.name,
        kinds: vec![Kind::Sign],
        architectures: Vec::new(),
        slots: 1,
        version: env!("CARGO_PKG_VERSION").to_string(),
        wait_secs: MAX_WAIT_SECS,
    };
    let client = Client::new(&config.master_url, Some(config.token)).context("could not use the master's address")?;
    let cancel = Cancel::new();
    let runner = Runner::new(client, claim).run(handler, cancel.clone());
    tokio::pin!(runner);
    let result = tokio::select! {
        result = &mut runner => result,
        () = shutdown.cancelled() => {
            cancel.trigger();
            runner.await
        }
    };
    result.context("could not take sign tasks")
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
        std::fs::create_dir_all(&config.data).with_context(|| format!("could not create {}", config.data.display()))?;
        let passphrase_file = config.passphrase_file.clone().unwrap_or_else(|| config.data.join("passphrase"));
        let keyring = Keyring::open(&config.data.join("keys"), keyring::passphrase(&passphrase_file)?)?;
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
        context.log.line(format_args!("making key \"{}\" ({})", wanted.name, wanted.user_id));
        let outcome = self
            .with_safe(move |safe| {
                let key = safe.keyring.create(&wanted, now().epoch_secs() as u32).map_err(refused_by_keyring)?;
                let public_key = key.to_armoured_public();
                let public_key = public_key.map_err(|error| failure("internal", error.to_string(), None))?;
                Ok((key.fingerprint(), public_key))
            })
            .await?;
        context.log.line(format_args!("its fingerprint is {}", outcome.0));
        Ok(SignOutcome::Key { fingerprint: outcome.0, public_key: outcome.1 })
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
        let fetched = fetch(items, context).await?;
        let names =
            fetched.iter().map(|(item, _)| format!("signed {} {:?}", item.artifact, item.form)).collect::<Vec<_>>();
        let key = fingerprint.clone();
        let outcome = self
            .with_safe(move |safe| {
                work::sign(&safe.keyring, &mut safe.journal, task, &fingerprint, &fetched, now()).map_err(refused)
            })
            .await?;
        names.iter().for_each(|line| context.log.line(line));
        context.log.line(format_args!("{} signatures by key {key}", names.len()));
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
        let bytes = context.client().fetch_bytes(&item.url, MAX_ITEM_BYTES as u64, &context.cancel).await?;
        total_bytes += bytes.len();
        if total_bytes > MAX_TASK_BYTES {
            let message = format!("could not sign more than {MAX_TASK_BYTES} bytes of headers in one task");
            return Err(failure("too_large", message, Some("Build fewer packages at once.")));
        }
        fetched.push((item, bytes.to_vec()));
    }
    Ok(fetched)
}

fn refused(error: work::Error) -> Stop {
    match error {
        work::Error::Keyring(error) => refused_by_keyring(error),
        work::Error::TooMany(_) => failure("too_large", error.to_string(), Some("Build fewer packages at once.")),
        work::Error::Digest { .. } => failure(
            "bad_bytes",
            error.to_string(),
            Some("The master's store or the way to it altered them; try again."),
        ),
        work::Error::Sign { .. } => failure("not_signable", error.to_string(), None),
        work::Error::Journal(ref source) if source.kind() == std::io::ErrorKind::StorageFull => failure(
            "out_of_disk",
            error.to_string(),
            Some("Make room in the Sign Server's data folder, then restart the task."),
        ),
        work::Error::Journal(_) => failure("journal", error.to_string(), None),
    }
}

fn refused_by_keyring(error: keyring::Error) -> Stop {
    let hint = match error {
        keyring::Error::Unknown(_) => Some(
            "Import the key into this Sign Server's keyring, or give the product a key that it has (anima key list).",
        ),
        _ => None,
    };
    let code = if matches!(error, keyring::Error::Unknown(_)) { "unknown_key" } else { "keyring" };
    failure(code, error.to_string(), hint)
}

fn failure(code: &str, message: String, hint: Option<&str>) -> Stop {
    Failure { code: code.to_string(), message, log_line: None, hint: hint.map(str::to_string) }.into()
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
