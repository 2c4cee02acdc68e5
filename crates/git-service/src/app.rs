//! What every part of the Git Service has at hand.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anima_client::Client;
use anima_serve::{Crowd, Patience};
use tokio::sync::{Notify, Semaphore};

use crate::{auth::Known, lookaside::Lookaside, outbox::Outbox, repository::Repositories};

/// A push has at most so many bytes: specs and patches are small, archives belong in the lookaside.
pub const DEFAULT_MAX_PUSH_BYTES: u64 = 64 << 20;
/// A source archive has at most so many bytes: those of browsers and compilers are below it.
pub const DEFAULT_MAX_LOOKASIDE_BYTES: u64 = 8 << 30;
/// Processes of git that answer readers at once: each may take some hundred megabytes.
const MAX_READS: usize = 32;
/// The same for who pushes: readers, who are anybody, never stand in their way.
const MAX_PUSHES: usize = 16;

/// What the Git Service is started with.
#[derive(Clone)]
pub struct Config {
    /// Where repositories, lookaside and outbox are.
    pub data: PathBuf,
    /// The address at which people reach it.
    pub public_url: String,
    /// The master's address.
    pub master_url: String,
    /// The role's token.
    pub token: String,
    /// Bytes of one push at most.
    pub max_push_bytes: u64,
    /// Bytes of one file of the lookaside at most.
    pub max_lookaside_bytes: u64,
    /// How long clients are waited for.
    pub patience: Patience,
    /// How many connections one address may have.
    pub crowd: Crowd,
}

impl Config {
    /// Returns a configuration with the usual bounds.
    pub fn new(data: PathBuf, public_url: String, master_url: String, token: String) -> Config {
        let (max_push_bytes, max_lookaside_bytes) = (DEFAULT_MAX_PUSH_BYTES, DEFAULT_MAX_LOOKASIDE_BYTES);
        // Answers that are under way when the service ends: a clone of a large repository that is nearly done.
        let patience = Patience { grace: Duration::from_secs(5), ..Patience::default() };
        let crowd = Crowd::default();
        Config { data, public_url, master_url, token, max_push_bytes, max_lookaside_bytes, patience, crowd }
    }
}

/// The service's insides; clones are the same.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

pub(crate) struct Inner {
    pub config: Config,
    pub repositories: Repositories,
    pub lookaside: Lookaside,
    pub outbox: Outbox,
    /// The master, as this role.
    pub master: Client,
    /// Who has shown a token lately.
    pub known: Mutex<Known>,
    pub reads: Arc<Semaphore>,
    pub pushes: Arc<Semaphore>,
    /// Something was put into the outbox.
    pub outbox_filled: Notify,
    locks: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl App {
    pub async fn open(config: Config) -> anyhow::Result<App> {
        let repositories = Repositories::open(&config.data, config.max_push_bytes)?;
        let lookaside = Lookaside::open(&config.data.join("lookaside"))?;
        let outbox = Outbox::open(&config.data.join("outbox"))?;
        let master = Client::new(&config.master_url, Some(config.token.clone()))?;
        Ok(App(Arc::new(Inner {
            config,
            repositories,
            lookaside,
            outbox,
            master,
            known: Mutex::default(),
            reads: Arc::new(Semaphore::new(MAX_READS)),
            pushes: Arc::new(Semaphore::new(MAX_PUSHES)),
            outbox_filled: Notify::new(),
            locks: Mutex::default(),
        })))
    }

    /// Returns the lock under which a repository's branches move: what moved is then known.
    pub fn lock_of(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        locks.entry(name.to_string()).or_default().clone()
    }
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
