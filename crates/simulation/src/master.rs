//! The real Master Service on a clock that the world turns, which can be killed between any two of its steps.

use std::{
    collections::BTreeMap,
    fs,
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    task::{Context, Poll},
};

use anima_master::{
    Address, App, Config, Quota,
    chores::{self, Looked},
};
use anima_types::{Timestamp, account::CreateTeam, event::Event, platform::Platform, task::Status};
use anyhow::{Context as _, Result};
use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode},
};
use tempfile::TempDir;
use tokio::sync::broadcast::{self, error::TryRecvError};
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// An answer in these worlds at most.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// Passes until nothing is due any more; more than any of these worlds has things to move.
const MAX_PASSES: usize = 200;
/// When worlds begin.
pub const START: Timestamp = Timestamp(1_700_000_000_000_000);
/// Memory that looks like a disk: what is written to it costs nothing, and a world is written a lot.
const MEMORY: &str = "/dev/shm";
/// The real chores that go by the clock are done every second, whatever else happens.
const CLOCK_MICROS: i64 = 1_000_000;
/// How often a real master that is alone looks for what it should know to be due.
const LOOK_MICROS: i64 = 30_000_000;
/// What the master does by itself, as a kind of thing that takes steps.
pub const CHORES: &str = "chores";
/// The team that the product of all packages is of.
const TEAM: &str = "team";
/// That product.
const PRODUCT: &str = "p1";
/// The master's address in its answers; requests go to the router.
pub const URL: &str = "http://master.example";

/// What is asked of the master.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Who asks.
    pub token: String,
    /// What is sent.
    pub body: Vec<u8>,
}

/// What it answers; nothing when it was killed meanwhile.
pub type Answer = Option<(StatusCode, Vec<u8>)>;

/// Who ends while an answer is being made, after so many of its steps.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// The master is killed.
    Master(u32),
    /// Whoever asked goes away.
    Client(u32),
}

/// The service and what survives it.
pub struct Master {
    micros: Arc<AtomicI64>,
    folder: TempDir,
    up: Option<(App, Router)>,
    news: Option<broadcast::Receiver<Event>>,
    /// Tasks that became ready since somebody asked for them.
    ready_count: usize,
    /// Events that were told of since all was moved on.
    told_count: usize,
    /// When the chores that go by the clock were done last.
    clock_looked_at: Timestamp,
    /// When leases were looked at last.
    expired_at: Timestamp,
    /// Whether it looks for what it should know to be due, what it found the last time, and when that was.
    looks: bool,
    looked: Looked,
    looked_at: Timestamp,
    /// What teams may have under way, and whether one may have room since it was looked whose turn it is.
    quota: Quota,
    is_freed: bool,
    /// How long each kind of thing takes.
    lengths: BTreeMap<String, Length>,
}

impl Master {
    /// Starts one for which everything is new, and which looks for what it should know to be due or does not. A team has so many
    /// tasks under way at most.
    pub async fn start(looks: bool, team_tasks: Option<u32>) -> Result<Master> {
        let folder = temporary()?;
        copy(first_start().await?, folder.path())?;
        let micros = Arc::new(AtomicI64::new(START.0));
        let mut master = Master {
            micros,
            folder,
            up: None,
            news: None,
            ready_count: 0,
            told_count: 0,
            clock_looked_at: Timestamp(0),
            expired_at: START,
            looks,
            looked: Looked::default(),
            looked_at: START,
            quota: Quota { team_tasks, ..Quota::default() },
            is_freed: false,
            lengths: BTreeMap::new(),
        };
        master.begin().await?;
        Ok(master)
    }

    /// Starts it again on what it left.
    pub async fn begin(&mut self) -> Result<()> {
        let micros = Arc::clone(&self.micros);
        let clock = Arc::new(move || Timestamp(micros.load(Ordering::SeqCst)));
        let config = Config { quota: self.quota.clone(), ..config(self.folder.path())? };
        let app = anima_master::open(config, clock).await?;
        let router = anima_master::router(&app);
        self.news = Some(app.db.subscribe());
        (self.ready_count, self.told_count, self.looked) = (0, 0, Looked::default());
        (self.expired_at, self.looked_at, self.is_freed) = (app.now(), app.now(), true);
        self.up = Some((app, router));
        Ok(())
    }

    /// Ends it as a kill does: what was under way is dropped.
    pub async fn kill(&mut self) {
        if let Some((app, router)) = self.up.take() {
            drop(router);
            app.db.close().await;
        }
    }

    /// Ends it as a loss of power does: it goes on with a copy of the disk as it is at this instant.
    pub async fn lose_power(&mut self) -> Result<()> {
        let now = temporary()?;
        copy(self.folder.path(), now.path())?;
        self.kill().await;
        self.folder = now;
        Ok(())
    }

    /// Returns whether it runs.
    pub const fn is_up(&self) -> bool {
        self.up.is_some()
    }

    /// Returns how many tasks became ready since this was asked: real nodes wait at the master for that.
    pub fn ready_count(&mut self) -> usize {
        self.hear();
        std::mem::take(&mut self.ready_count)
    }

    /// Returns whether something was committed of which it had not moved on what follows.
    pub fn has_more_to_do(&mut self) -> bool {
        self.hear();
        self.told_count > 0
    }

    /// Counts what it told of.
    fn hear(&mut self) {
        let Some(news) = &mut self.news else { return };
        loop {
            match news.try_recv() {
                Ok(event) => {
                    self.told_count += 1;
                    let status = event.status.as_deref().filter(|_| event.noun == "task").and_then(Status::from_name);
                    self.ready_count += usize::from(status == Some(Status::Ready));
                    self.is_freed |= status.is_some_and(Status::is_ended);
                }
                Err(TryRecvError::Lagged(missed)) => {
                    self.told_count += missed as usize;
                    self.ready_count += missed as usize;
                    self.is_freed = true;
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// Sets its clock.
    pub fn set_clock(&self, micros: i64) {
        self.micros.store(micros, Ordering::SeqCst);
    }

    /// Returns a role's token.
    pub fn token(&self, role: &str) -> Result<String> {
        let path = self.folder.path().join("tokens").join(role);
        let text = fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
        Ok(text.trim().to_string())
    }

    /// Asks it; with `ending`, something ends when it has not answered after so many of its steps.
    pub async fn ask(&mut self, call: &Call, ending: Option<Ending>) -> Result<Answer> {
        let Some((app, router)) = &self.up else { return Ok(None) };
        let under_way = TaskTracker::new();
        let (router, steps) = match ending {
            // As it is served: what is done for a client that is gone goes on.
            Some(Ending::Client(steps)) => (anima_master::to_the_end(app, under_way.clone()), Some(steps)),
            Some(Ending::Master(steps)) => (router.clone(), Some(steps)),
            None => (router.clone(), None),
        };
        let mut request =
            Request::builder().method(&call.method).uri(&call.path).header("content-type", "application/json");
        if !call.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", call.token));
        }
        let request = request.body(Body::from(call.body.clone()))?;
        let answering = async move {
            let response = router.oneshot(request).await.expect("a router always answers");
            let status = response.status();
            let body = axum::body::to_bytes(response.into_body(), MAX_ANSWER_BYTES).await?;
            anyhow::Ok((status, body.to_vec()))
        };
        match (Steps { future: Box::pin(answering), left: steps, taken: 0 }).await {
            (Some(answer), taken) => {
                if !matches!(ending, Some(Ending::Client(_))) {
                    self.took(&kind_of(call), taken);
                }
                Ok(Some(answer?))
            }
            (None, _) => {
                match ending {
                    Some(Ending::Client(_)) => {
                        under_way.close();
                        under_way.wait().await;
                    }
                    _ => self.kill().await,
                }
                Ok(None)
            }
        }
    }

    /// Returns how long something of a kind ([`kind_of`], [`CHORES`]) takes, where it was done before.
    pub fn length(&self, kind: &str) -> Length {
        self.lengths.get(kind).copied().unwrap_or_default()
    }

    fn took(&mut self, kind: &str, steps: u32) {
        let length = self.lengths.entry(kind.to_string()).or_default();
        *length = Length { last: steps, longest: length.longest.max(steps) };
    }

    /// Moves on all that is due, as its loops do; returns whether it was killed on the way.
    pub async fn chores(&mut self, steps: Option<u32>) -> Result<bool> {
        self.hear();
        let Some((app, _)) = &self.up else { return Ok(false) };
        let app = app.clone();
        let is_freed = std::mem::take(&mut self.is_freed) && !app.config.quota.is_empty();
        let now = app.now();
        let is_time = (now.0 - self.clock_looked_at.0).abs() >= CLOCK_MICROS;
        let (mut looked, expired_at) = (std::mem::take(&mut self.looked), self.expired_at);
        let looks = self.looks && (now.0 - self.looked_at.0).abs() >= LOOK_MICROS;
        if looks {
            self.looked_at = now;
        }
        if is_time {
            (self.clock_looked_at, self.expired_at) = (now, now);
        }
        let moving = async move {
            let failed = |error: anima_master::error::ApiError| anyhow::anyhow!(error.body.message);
            if is_time {
                chores::expire_after(&app, now, expired_at).await.map_err(failed)?;
                chores::close_gathered_once(&app, app.now()).await.map_err(failed)?;
                chores::give_scheduled_once(&app, app.now()).await.map_err(failed)?;
            }
            if looks {
                chores::look_once(&app, &mut looked).await.map_err(failed)?;
            }
            if is_freed {
                chores::wake_teams_once(&app).await.map_err(failed)?;
            }
            for _ in 0..MAX_PASSES {
                app.retry_what_failed();
                if !chores::advance_once(&app).await.map_err(failed)? {
                    return anyhow::Ok(looked);
                }
            }
            anyhow::bail!("after {MAX_PASSES} passes there is still something to move on")
        };
        match (Steps { future: Box::pin(moving), left: steps, taken: 0 }).await {
            (Some(result), taken) => {
                self.looked = result?;
                self.took(CHORES, taken);
                self.hear();
                self.told_count = 0;
                Ok(false)
            }
            (None, _) => {
                self.kill().await;
                Ok(true)
            }
        }
    }
}

/// How many steps something took when it was done to its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Length {
    /// The last time.
    pub last: u32,
    /// At most.
    pub longest: u32,
}

/// A future that is given up after so many steps; it says how many it took.
struct Steps<F> {
    future: Pin<Box<F>>,
    left: Option<u32>,
    taken: u32,
}

impl<F: Future> Future for Steps<F> {
    type Output = (Option<F::Output>, u32);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.left == Some(self.taken) {
            return Poll::Ready((None, self.taken));
        }
        self.taken += 1;
        let taken = self.taken;
        self.future.as_mut().poll(context).map(|output| (Some(output), taken))
    }
}

/// Returns what is done the same way for all that is asked so: the path without what is one thing's own.
pub fn kind_of(call: &Call) -> String {
    let path = call.path.split('?').next().unwrap_or_default();
    let is_own = |part: &str| part.bytes().any(|byte| byte.is_ascii_digit()) && part != "v1";
    let parts: Vec<&str> = path.split('/').map(|part| if is_own(part) { "#" } else { part }).collect();
    format!("{} {}", call.method, parts.join("/"))
}

/// Returns the configuration of a master in a folder, with one platform and nothing beside it.
pub fn config(folder: &Path) -> Result<Config> {
    let platform = Platform::parse(
        "name = \"p1\"\ntitle = \"P 1\"\ndist = \".p1\"\nbranch = \"p1\"\narchitectures = [\"x86_64\"]\nrelease_to = \"p1\"\n\
         [buildroot]\npackages = [\"bash\"]\ntest_packages = [\"bash\"]\n\
         [[repositories]]\nname = \"base\"\nurl = \"{master}/mirror/base/{arch}/\"\n",
    )?;
    Ok(Config {
        data: folder.join("data"),
        database: Address::File(folder.join("anima.db")),
        artifacts: folder.join("data/artifacts").into(),
        public_url: URL.into(),
        git_url: "http://git.example".into(),
        platforms: vec![platform],
        mirrors: BTreeMap::new(),
        tokens: folder.join("tokens"),
        proxies: Vec::new(),
        limits_factor: 1,
        connections_of_address: anima_master::CONNECTIONS_OF_ADDRESS,
        oidc: None,
        retention: Default::default(),
        quota: Default::default(),
    })
}

/// Returns a folder in which a master was started for the first time: what it does then is the same in every world.
async fn first_start() -> Result<&'static Path> {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    if let Some(folder) = FOLDER.get() {
        return Ok(folder.path());
    }
    let folder = temporary()?;
    let app = anima_master::open(config(folder.path())?, Arc::new(|| START)).await?;
    let mut write = app.db.write(START, "admin").await?;
    anima_db::team::insert(&mut write, &CreateTeam { name: TEAM.into(), title: TEAM.into() }).await?;
    let mut product = anima_db::product::get(&mut write, PRODUCT).await?.product;
    product.options.team = Some(TEAM.into());
    anima_db::product::update(&mut write, &product).await?;
    write.commit().await?;
    app.db.close().await;
    Ok(FOLDER.get_or_init(|| folder).path())
}

fn temporary() -> Result<TempDir> {
    let place = if Path::new(MEMORY).is_dir() { PathBuf::from(MEMORY) } else { std::env::temp_dir() };
    Ok(tempfile::Builder::new().prefix("anima-simulation-").tempdir_in(place)?)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
