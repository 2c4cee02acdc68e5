//! Claims and heartbeats that come together are answered together: one transaction, and one wait for the disk, for them all.
//!
//! A commit takes as long as the disk, whatever is in it. So while one transaction is under way, those who come wait in a line,
//! and the next transaction is for all of them. Who comes alone waits for nobody.
//!
//! In a transaction everybody gets what they would have got one after the other: the tasks are the first of the queue, and go
//! out in the order in which the claims came. Where something is wrong with one, nothing was done for any, and each is answered
//! by itself.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use anima_db::{
    Connection, Origin, Write,
    node::Node,
    task::Task,
    task_lease::{self, Claimed},
};
use anima_types::{
    Arch, Timestamp,
    id::TaskId,
    lease::{Claim, Lease},
    task::Kind,
};
use axum::http::StatusCode;
use futures_util::future::join_all;
use tokio::sync::oneshot;

use crate::{
    app::App,
    auth,
    error::{ApiError, ApiResult},
    lease, log,
    node::{self, Standing},
    queues::{Pair, Queues},
    signing,
    task::is_due,
    waiting::Found,
    work,
};

/// Asks in one transaction at most: more would make the first wait for the last, and save nothing any more.
const MAX_TOGETHER: usize = 256;

/// Tasks that cannot be given out are given up until one can be; so many in a row are not the tasks' fault.
const MAX_GIVEN_UP: usize = 1_000;

/// What a claim gets.
#[derive(Debug)]
pub struct Given {
    /// Whether the node gets anything just now.
    pub takes: bool,
    /// Whether there are tasks that it takes, and that are not for it: another is to look.
    pub passes: bool,
    /// A task, where there is one.
    pub lease: Option<Lease>,
}

impl Given {
    /// Returns what the look gave.
    pub fn found(&self) -> Found {
        match &self.lease {
            Some(lease) => Found::Task(lease.task),
            None if !self.takes => Found::NotNow,
            None if self.passes => Found::NotForIt,
            None => Found::Nothing,
        }
    }
}

/// Who waits to be answered.
#[derive(Default)]
pub struct Desk {
    line: Mutex<Line>,
    /// Whether the last ones got tasks.
    gives: AtomicBool,
}

#[derive(Default)]
struct Line {
    asks: VecDeque<Ask>,
    /// Somebody is being answered; who comes waits in the line.
    is_busy: bool,
}

struct Ask {
    what: What,
    answer: oneshot::Sender<ApiResult<Answer>>,
}

#[derive(Clone)]
enum What {
    Claim(Box<Asked>),
    Heartbeat(Beat),
}

/// A claim, and whether it is the first time that it looks.
#[derive(Clone)]
struct Asked {
    claim: Claim,
    arrives: bool,
}

/// A lease that shall last longer.
#[derive(Clone)]
struct Beat {
    task: TaskId,
    number: i64,
    node: String,
}

enum Answer {
    Given(Box<Given>),
    /// When the lease ends now.
    Extended(Timestamp),
}

/// Looks for a task for a claim; `arrives` says that the node has to be noted first.
pub async fn claim(app: &App, claim: &Claim, arrives: bool) -> ApiResult<Given> {
    match ask(app, What::Claim(Box::new(Asked { claim: claim.clone(), arrives }))).await? {
        Answer::Given(given) => Ok(*given),
        Answer::Extended(_) => Err(ApiError::internal("a claim was taken for a heartbeat")),
    }
}

/// Lets a lease last longer, and returns until when.
pub async fn extend(app: &App, task: TaskId, number: i64, node: &str) -> ApiResult<Timestamp> {
    match ask(app, What::Heartbeat(Beat { task, number, node: node.to_string() })).await? {
        Answer::Extended(expires_at) => Ok(expires_at),
        Answer::Given(_) => Err(ApiError::internal("a heartbeat was taken for a claim")),
    }
}

async fn ask(app: &App, what: What) -> ApiResult<Answer> {
    let (answer, answered) = oneshot::channel();
    if let Some(alone) = app.desk.enter(Ask { what, answer }) {
        // Not in a task of its own: who goes away takes back what they asked.
        let _next = Next(app);
        serve(app, vec![alone]).await;
    }
    answered.await.unwrap_or_else(|_| Err(ApiError::internal("nobody answered")))
}

impl Desk {
    /// Takes an ask into the line, or returns it where it may be answered at once.
    fn enter(&self, ask: Ask) -> Option<Ask> {
        let mut line = self.line();
        if std::mem::replace(&mut line.is_busy, true) {
            line.asks.push_back(ask);
            return None;
        }
        Some(ask)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the next be answered when it is dropped, however those before it ended.
struct Next<'a>(&'a App);

impl Drop for Next<'_> {
    fn drop(&mut self) {
        let mut line = self.0.desk.line();
        let count = line.asks.len().min(MAX_TOGETHER);
        let asks: Vec<Ask> = line.asks.drain(..count).collect();
        let runtime = tokio::runtime::Handle::try_current();
        let (false, Ok(runtime)) = (asks.is_empty(), runtime) else {
            line.is_busy = false;
            return;
        };
        drop(line);
        let app = self.0.clone();
        // In a task of its own: one that goes away does not take the others with it.
        runtime.spawn(async move {
            let _next = Next(&app);
            serve(&app, asks).await;
        });
    }
}

async fn serve(app: &App, asks: Vec<Ask>) {
    let (whats, senders): (Vec<What>, Vec<_>) = asks.into_iter().map(|ask| (ask.what, ask.answer)).unzip();
    let answers = match answer(app, &whats).await {
        Ok(answers) => answers,
        Err(error) if whats.len() == 1 => vec![Err(error)],
        Err(_) => {
            let one = async |what: &What| answer(app, std::slice::from_ref(what)).await?.remove(0);
            join_all(whats.iter().map(one)).await
        }
    };
    for (sender, answer) in senders.into_iter().zip(answers) {
        // Who went away meanwhile finds out from the end of the lease.
        let _ = sender.send(answer);
    }
}

/// Answers all, in one transaction. An error is of none of them: nothing was done.
async fn answer(app: &App, whats: &[What]) -> ApiResult<Vec<ApiResult<Answer>>> {
    let claims: Vec<&Asked> = whats.iter().filter_map(What::claim).collect();
    let beats: Vec<&Beat> = whats.iter().filter_map(What::beat).collect();
    // While tasks go out, whoever comes will get one: a look would only be a second one.
    if beats.is_empty()
        && !(app.desk.gives.load(Ordering::Relaxed) && claims.iter().all(|asked| !is_prepared(&asked.claim)))
        && let Some(given) = look(app, &claims).await?
    {
        return Ok(given.into_iter().map(|given| given.map(Box::new).map(Answer::Given)).collect());
    }
    // One task is given up each time but the last.
    for _ in 0..MAX_GIVEN_UP {
        let now = app.now();
        let mut write = app.db.write(now, "anima").await?;
        let mut extended = extend_all(app, &mut write, &beats).await?.into_iter();
        let mut lost = Vec::new();
        let given = match give(app, &mut write, &claims, &mut lost).await? {
            Ok(given) => given,
            Err((task, error)) => {
                drop(write);
                lease::give_up(app, &task, &error).await?;
                continue;
            }
        };
        commit(app, write, lost).await?;
        log::put_aside_soon(app, given.iter().flatten().filter_map(|given| given.lease.as_ref()));
        let gives = given.iter().flatten().any(|given| given.lease.is_some());
        if !claims.is_empty() {
            app.desk.gives.store(gives, Ordering::Relaxed);
        }
        let mut given = given.into_iter();
        let answers = whats.iter().map(|what| match what {
            What::Claim(_) => given.next().expect("each claim has its answer").map(Box::new).map(Answer::Given),
            What::Heartbeat(_) => extended.next().expect("each heartbeat has its answer").map(Answer::Extended),
        });
        return Ok(answers.collect());
    }
    Err(ApiError::internal("too many tasks of the queue cannot be given out"))
}

/// Makes the changes hold, and looks at what follows, also where whoever asked goes away meanwhile.
async fn commit(app: &App, write: Write, lost: Vec<Task>) -> ApiResult<()> {
    let app = app.clone();
    let committing = tokio::spawn(async move {
        write.commit().await?;
        lost.iter().for_each(|task| is_due(&app, task));
        Ok(())
    });
    committing.await.map_err(ApiError::internal)?
}

impl What {
    const fn claim(&self) -> Option<&Asked> {
        match self {
            What::Claim(asked) => Some(asked),
            What::Heartbeat(_) => None,
        }
    }

    const fn beat(&self) -> Option<&Beat> {
        match self {
            What::Claim(_) => None,
            What::Heartbeat(beat) => Some(beat),
        }
    }
}

/// Looks without writing: writers wait for one another, and a thousand nodes that ask for what is not there are not to keep
/// anybody waiting. Returns the answers where there is nothing to write.
async fn look(app: &App, claims: &[&Asked]) -> ApiResult<Option<Vec<ApiResult<Given>>>> {
    let now = app.now();
    let mut read = app.db.read().await?;
    let nodes = nodes(&mut read, claims).await?;
    if claims.iter().any(|asked| is_news(asked, nodes.get(asked.claim.node.as_str()), now)) {
        return Ok(None);
    }
    let chosen = choose(app, &mut read, now, claims, &nodes).await?;
    drop(read);
    let tasks: Vec<&Task> = chosen.iter().flatten().filter_map(|choice| choice.task.as_ref()).collect();
    if tasks.is_empty() {
        let given = |choice: Choice| Given { takes: choice.takes, passes: choice.passes, lease: None };
        return Ok(Some(chosen.into_iter().map(|choice| choice.map(given)).collect()));
    }
    for task in tasks.into_iter().filter(|task| task.about.kind == Kind::Sign) {
        if let Err(error) = signing::work::prepare(app, task).await {
            // Whoever takes it out finds the same, and says so of the task.
            tracing::warn!(task = task.id.0, "task {} could not be prepared: {}", task.id, error.body.message);
        }
    }
    Ok(None)
}

/// Returns whether something is computed for tasks of the claim's kinds while nobody waits for the writer: see [`look`].
fn is_prepared(claim: &Claim) -> bool {
    claim.kinds.contains(&Kind::Sign)
}

async fn nodes(connection: &mut Connection, claims: &[&Asked]) -> ApiResult<BTreeMap<String, Node>> {
    let names: BTreeSet<&str> = claims.iter().map(|asked| asked.claim.node.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let nodes = anima_db::node::list_named(connection, &names).await?;
    Ok(nodes.into_iter().map(|node| (node.name.clone(), node)).collect())
}

/// Returns whether a claim says something of its node that has to be written down.
fn is_news(Asked { claim, arrives }: &Asked, node: Option<&Node>, now: Timestamp) -> bool {
    *arrives && node.is_none_or(|node| node::is_news(claim, node, now))
}

/// What a claim would get.
struct Choice {
    takes: bool,
    passes: bool,
    task: Option<Task>,
}

/// Chooses a task for each claim, in their order: of the queues that it takes from, the first that fits it.
async fn choose(
    app: &App,
    connection: &mut Connection,
    now: Timestamp,
    claims: &[&Asked],
    nodes: &BTreeMap<String, Node>,
) -> ApiResult<Vec<ApiResult<Choice>>> {
    let is_closed = anima_db::maintenance::get(connection).await?.is_some() || !app.room.is_there(&app.config);
    let mut standings = Vec::with_capacity(claims.len());
    for Asked { claim, .. } in claims {
        let node = nodes.get(&claim.node);
        standings.push(node::standing(claim, node, is_closed));
    }
    let others = match claims.iter().any(|asked| !asked.claim.emulated.is_empty()) {
        true => app.roster.get(connection, now).await?,
        false => Arc::default(),
    };
    let takes = |standing: &ApiResult<Standing>| matches!(standing, Ok(Standing::Takes));
    let wanted: Vec<Vec<Pair>> = claims
        .iter()
        .zip(&standings)
        .map(|(asked, standing)| if takes(standing) { pairs(app, &asked.claim, &others, now) } else { Vec::new() })
        .collect();
    let mut queues = Queues::new(app, now, others, &wanted);
    let mut choices = Vec::with_capacity(claims.len());
    for ((asked, standing), wanted) in claims.iter().zip(standings).zip(wanted) {
        let standing = match standing {
            Ok(standing) => standing,
            Err(error) => {
                choices.push(Err(error));
                continue;
            }
        };
        let task = queues.take(connection, &asked.claim, &wanted).await?;
        let passes = task.is_none() && queues.have_any(&wanted);
        choices.push(Ok(Choice { takes: standing == Standing::Takes, passes, task }));
    }
    Ok(choices)
}

/// Returns the queues that a claim takes from.
fn pairs(app: &App, claim: &Claim, others: &[Node], now: Timestamp) -> Vec<Pair> {
    let kinds: BTreeSet<Kind> = claim.kinds.iter().copied().collect();
    let of = |kind: Kind| {
        let offered = node::offered(others, now, (claim, kind), &app.asked);
        let archs: BTreeSet<Option<Arch>> = offered.into_iter().map(Some).chain([None]).collect();
        archs.into_iter().map(move |arch| (kind, arch))
    };
    kinds.into_iter().flat_map(of).collect()
}

/// Notes the nodes of claims that arrive, and gives out what there is. The inner error is a task that cannot be given out. What
/// nodes had before they were started again goes to `lost`.
async fn give(
    app: &App,
    write: &mut Write,
    claims: &[&Asked],
    lost: &mut Vec<Task>,
) -> ApiResult<Result<Vec<ApiResult<Given>>, (Task, ApiError)>> {
    if claims.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let refused = appear(app, write, claims, lost).await?;
    let nodes = nodes(write, claims).await?;
    let served: Vec<&Asked> =
        claims.iter().zip(&refused).filter(|(_, refused)| refused.is_none()).map(|(asked, _)| *asked).collect();
    let now = write.now;
    let chosen = choose(app, write, now, &served, &nodes).await?;
    let expires_at = app.lease_end(now);
    let tasks = chosen.iter().filter_map(|choice| choice.as_ref().ok()?.task.as_ref());
    let sources = work::sources(write, tasks).await?;
    let mut claimed = Vec::new();
    let mut leases = Vec::new();
    let mut works = VecDeque::new();
    for (asked, choice) in served.iter().zip(&chosen) {
        let Some(task) = choice.as_ref().ok().and_then(|choice| choice.task.as_ref()) else { continue };
        let work = match work::of(app, write, &sources, task).await {
            Ok(work) => work,
            // The database's fault, or the disk's, and not the task's.
            Err(error) if is_of_the_service(&error) => return Err(error),
            Err(error) => return Ok(Err((task.clone(), error))),
        };
        let (secret, hash) = auth::new_secret();
        let node = &asked.claim.node;
        let number = task.lease_number + 1;
        leases.push((hash, anima_db::lease::Lease { task: task.id, number, node: node.clone() }));
        works.push_back(Lease { task: task.id, number, secret, expires_at, work });
        claimed.push(given_to(task, &asked.claim));
    }
    if !claimed.is_empty() {
        task_lease::claim_all(write, &claimed, expires_at).await?;
        anima_db::lease::insert_all(write, &leases).await?;
    }
    for Claimed { task, node, .. } in &claimed {
        tracing::info!(task = task.id.0, node, "task {} is given to {node}", task.id);
    }
    let mut given = chosen.into_iter().map(|choice| {
        let choice = choice?;
        let lease = choice.task.is_some().then(|| works.pop_front()).flatten();
        Ok(Given { takes: choice.takes, passes: choice.passes, lease })
    });
    let answers = refused.into_iter().map(|refused| match refused {
        Some(error) => Err(error),
        None => given.next().expect("each that is not refused has a choice"),
    });
    Ok(Ok(answers.collect()))
}

const fn is_of_the_service(error: &ApiError) -> bool {
    matches!(error.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::INSUFFICIENT_STORAGE)
}

fn given_to<'a>(task: &'a Task, claim: &'a Claim) -> Claimed<'a> {
    let emulated = task.about.arch.filter(|arch| !claim.architectures.contains(arch));
    let why = match emulated {
        Some(arch) => format!("{} works on it, emulating {arch}.", claim.node),
        None => format!("{} works on it.", claim.node),
    };
    Claimed { task, node: &claim.node, is_emulated: emulated.is_some(), why }
}

/// Writes down that the nodes of claims that arrive are there, where that is news; returns for each claim why it is refused.
async fn appear(
    app: &App,
    write: &mut Write,
    claims: &[&Asked],
    lost: &mut Vec<Task>,
) -> ApiResult<Vec<Option<ApiError>>> {
    let nodes = nodes(write, claims).await?;
    let origin = write.origin.clone();
    let mut refused = Vec::with_capacity(claims.len());
    for asked in claims {
        let is_news = is_news(asked, nodes.get(&asked.claim.node), write.now);
        write.origin = Origin::from(&asked.claim.node);
        if !is_news {
            refused.push(None);
            continue;
        }
        app.roster.forget();
        match lease::appear(write, &asked.claim).await? {
            Ok(tasks) => {
                lost.extend(tasks);
                refused.push(None);
            }
            Err(error) => refused.push(Some(error)),
        }
    }
    write.origin = origin;
    Ok(refused)
}

async fn extend_all(app: &App, write: &mut Write, beats: &[&Beat]) -> ApiResult<Vec<ApiResult<Timestamp>>> {
    if beats.is_empty() {
        return Ok(Vec::new());
    }
    let expires_at = app.lease_end(write.now);
    let leases: BTreeSet<(TaskId, i64)> = beats.iter().map(|beat| (beat.task, beat.number)).collect();
    let leases: Vec<(TaskId, i64)> = leases.into_iter().collect();
    // One task has one lease that holds: an older number beside it is not extended with it.
    let held = task_lease::extend_all(write, &leases, expires_at).await?;
    let names: BTreeSet<&str> = beats.iter().map(|beat| beat.node.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    if anima_db::node::touch_all(write, &names, write.now.plus_secs(-node::NOTED_SECS)).await? {
        anima_db::node_load::note_alive(write, &names).await?;
    }
    let mut answers = Vec::with_capacity(beats.len());
    for beat in beats {
        answers.push(match held.contains(&(beat.task, beat.number)) {
            true => Ok(expires_at),
            false => Err(match anima_db::task::get(write, beat.task).await {
                Ok(task) => lease::stale(&task),
                Err(error) => error.into(),
            }),
        });
    }
    Ok(answers)
}
