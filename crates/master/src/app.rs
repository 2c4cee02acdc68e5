//! What every part of the Master Service has at hand: the database, the store, the configuration and the clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use anima_db::{Address, Db};
use anima_store::{LogStore, Store};
use anima_types::{
    Timestamp,
    id::{BuildId, ReleaseId, TaskId},
    lease::LEASE_SECS,
    platform::Platform,
    retention::Rules,
};
use tokio::sync::{Notify, broadcast};

use crate::{
    auth::ServiceTokens,
    clock::Skew,
    dispatch::Desk,
    fit::Asks,
    limit::Limits,
    metrics::Metrics,
    oidc::{Oidc, Provider},
    quota::Quota,
    repo_files::Indices,
    room::Room,
    roster::Roster,
    waiting::Waiting,
};

/// Pieces of logs that a reader who is slow has to catch up with by reading the log itself.
const LOG_NEWS_KEPT: usize = 1_024;

/// What the Master Service is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// What this master alone works in.
    pub data: PathBuf,
    /// The database.
    pub database: Address,
    /// Where the artifacts and the logs are; several masters share it.
    pub artifacts: anima_store::Address,
    /// The address at which nodes and users reach it.
    pub public_url: String,
    /// The address at which nodes and users reach the Git Service.
    pub git_url: String,
    /// What is built.
    pub platforms: Vec<Platform>,
    /// Folders that are served at `/mirror/NAME/`.
    pub mirrors: BTreeMap<String, PathBuf>,
    /// The folder with one token file for each role.
    pub tokens: PathBuf,
    /// Proxies of ours: what they say of where a request comes from is believed.
    pub proxies: Vec<IpAddr>,
    /// How many times as much as usual people may ask.
    pub limits_factor: u32,
    /// Connections of one address at once.
    pub connections_of_address: usize,
    /// The provider that people may sign in by.
    pub oidc: Option<Oidc>,
    /// What goes by its age.
    pub retention: Rules,
    /// How much of the farm a team may have.
    pub quota: Quota,
}

/// The clock, which tests turn.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The Master Service's insides; clones are the same.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// See [`App`].
pub struct Inner {
    /// The database.
    pub db: Db,
    /// The artifacts.
    pub store: Store,
    /// The logs of tasks.
    pub logs: LogStore,
    /// What it was started with.
    pub config: Config,
    /// Tells of every task whose log grew.
    pub log_grew: broadcast::Sender<TaskId>,
    /// What it counts.
    pub metrics: Metrics,
    /// The claims that wait for a task.
    pub waiting: Waiting,
    /// Whether there is room for what nodes make.
    pub(crate) room: Room,
    /// Tokens that need not be looked up each time.
    pub service_tokens: ServiceTokens,
    /// What the next plan is made from.
    pub(crate) plan: crate::release::plan_work::Prepared,
    /// Claims and heartbeats that are answered together.
    pub desk: Desk,
    /// What the repositories of builds said last.
    pub(crate) build_indices: Indices,
    /// What `/readyz` found last.
    pub(crate) looked: crate::health::Looked,
    /// How often somebody may ask.
    pub limits: Limits,
    /// The nodes as they were just now.
    pub(crate) roster: Roster,
    /// What packages ask of nodes.
    pub(crate) asked: Vec<Asks>,
    /// How this master's clock differs from the database's.
    pub(crate) skew: Skew,
    /// What is known of the provider.
    pub provider: Provider,
    clock: Clock,
    due: Mutex<Due>,
    due_changed: Notify,
    failed: Mutex<Due>,
    gathering_changed: Notify,
    /// Notes that a message is to be sent, which no event says.
    pub webhooks_changed: Notify,
}

/// What has to be looked at, because something that it depends on changed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Due {
    /// Builds.
    pub builds: BTreeSet<BuildId>,
    /// Releases.
    pub releases: BTreeSet<ReleaseId>,
    /// All that have not ended.
    pub everything: bool,
}

impl App {
    pub(crate) fn new(db: Db, store: Store, logs: LogStore, config: Config, clock: Clock) -> App {
        let log_grew = broadcast::Sender::new(LOG_NEWS_KEPT);
        let limits = Limits::new(clock.clone(), config.limits_factor);
        App(Arc::new(Inner {
            db,
            store,
            logs,
            room: Room::at_start(&config),
            asked: Asks::all(&config.platforms),
            config,
            log_grew,
            metrics: Metrics::default(),
            waiting: Waiting::default(),
            service_tokens: ServiceTokens::default(),
            plan: Default::default(),
            desk: Desk::default(),
            build_indices: Indices::default(),
            looked: crate::health::Looked::default(),
            limits,
            roster: Roster::default(),
            skew: Skew::default(),
            provider: Provider::default(),
            clock,
            due: Mutex::default(),
            due_changed: Notify::new(),
            failed: Mutex::default(),
            gathering_changed: Notify::new(),
            webhooks_changed: Notify::new(),
        }))
    }

    /// Returns the moment.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Returns until when a lease holds that begins or is made longer now: by the database's clock, where this master's is known to be
    /// another, as the other masters go by that.
    pub fn lease_end(&self, now: Timestamp) -> Timestamp {
        Timestamp(now.0.saturating_add(self.skew.micros())).plus_secs(LEASE_SECS)
    }

    /// Returns the platform of that name.
    pub fn platform(&self, name: &str) -> Option<&Platform> {
        self.config.platforms.iter().find(|platform| platform.name == name)
    }

    /// Returns an address of this service.
    pub fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.config.public_url.trim_end_matches('/'))
    }

    /// Notes that a build has to be looked at.
    pub fn build_is_due(&self, build: BuildId) {
        self.note(|due| due.builds.extend([build]));
    }

    /// Notes that a release has to be looked at.
    pub fn release_is_due(&self, release: ReleaseId) {
        self.note(|due| due.releases.extend([release]));
    }

    /// Notes that every build and release that has not ended has to be looked at.
    pub fn everything_is_due(&self) {
        self.note(|due| due.everything = true);
    }

    fn note(&self, what: impl FnOnce(&mut Due)) {
        what(&mut self.due.lock().unwrap_or_else(PoisonError::into_inner));
        self.due_changed.notify_one();
    }

    /// Notes that a build is to be looked at again later.
    pub fn build_failed_to_move(&self, build: BuildId) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).builds.insert(build);
    }

    /// Notes that a release is to be looked at again later.
    pub fn release_failed_to_move(&self, release: ReleaseId) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).releases.insert(release);
    }

    /// Notes that everything is to be looked at again later.
    pub fn everything_failed_to_move(&self) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).everything = true;
    }

    /// Looks again at what could not be moved on.
    pub fn retry_what_failed(&self) {
        let failed = std::mem::take(&mut *self.failed.lock().unwrap_or_else(PoisonError::into_inner));
        if failed != Due::default() {
            self.note(|due| {
                due.builds.extend(failed.builds);
                due.releases.extend(failed.releases);
                due.everything |= failed.everything;
            });
        }
    }

    /// Notes that the time until which pushes join a build has changed.
    pub fn gathering_changed(&self) {
        self.gathering_changed.notify_one();
    }

    /// Waits for that.
    pub async fn gathering_changes(&self) {
        self.gathering_changed.notified().await;
    }

    /// Takes what has to be looked at.
    pub fn take_due(&self) -> Due {
        std::mem::take(&mut *self.due.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until something has to be looked at.
    pub async fn something_is_due(&self) {
        self.due_changed.notified().await;
    }
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
