//! Leases: a node asks for a task and waits; it says that it lives; it reports once. See docs/ARCHITECTURE.md.

use std::time::Duration;

use anima_db::{
    Write,
    node::Instance,
    task::{Ended, Task},
    task_lease,
};
use anima_types::{
    Timestamp,
    id::TaskId,
    lease::{
        Claim, End, Heartbeat, HeartbeatQuery, LEASE_SECS, MAX_HEARTBEAT_WAIT_SECS, MAX_WAIT_SECS, NAME_TAKEN, Report,
        STALE_LEASE,
    },
    permission::Permission,
    task::{Attempt, Event, Kind, MAX_ATTEMPTS, Status},
    work::{Failure, MASTER_DISK_FULL, NODE_STOPS},
};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tokio::{sync::broadcast, time::Instant};

use crate::{
    app::App,
    auth::{self, Caller},
    build::hold,
    dispatch,
    error::{ApiError, ApiResult, Json, Path, Query, Told},
    key,
    log::{self, WhichLog},
    noarch::{self, Verdict},
    node, release, report,
    route::Route,
    task::is_due,
};

/// Leases that are looked at in one pass at most; the next pass comes a second later.
const MAX_EXPIRED: u32 = 1_000;
/// Leases are looked at every second. Who did not look for so long had no time to hear nodes, either.
const STOOD_STILL_SECS: f64 = LEASE_SECS as f64 / 3.0;

/// So many leases on a task may end because its nodes were asked to, without counting. A task that brings this about itself, such as
/// one whose nodes are stopped whenever it takes their memory, is found out by its attempts then.
const MAX_STOPPED_LEASES: i64 = 20;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        // Which kinds a caller may claim is decided by its role, below: one route serves all nodes.
        Route::post("/api/v1/leases", Permission::Read, claim).waiting(),
        Route::post("/api/v1/tasks/{task}/heartbeat", Permission::HoldLease, heartbeat).waiting(),
        Route::post("/api/v1/tasks/{task}/report", Permission::HoldLease, end),
    ]
}

/// What a role has to be allowed for taking a kind of task.
pub const fn claim_permission(kind: Kind) -> Permission {
    match kind {
        Kind::Src | Kind::Build => Permission::ClaimBuild,
        Kind::Test => Permission::ClaimTest,
        Kind::Sign => Permission::ClaimSign,
        Kind::Plan | Kind::Publish | Kind::Import => Permission::ClaimRelease,
    }
}

async fn claim(State(app): State<App>, caller: Caller, Told(claim): Told<Claim>) -> ApiResult<Response> {
    check(&caller, &claim)?;
    let until = Instant::now() + Duration::from_secs(claim.wait_secs.min(MAX_WAIT_SECS));
    // It has its place before it looks, so that nothing that becomes ready in between is missed.
    let mut place = app.waiting.enter(&claim);
    let _waits = app.metrics.node_waits();
    let mut arrives = true;
    loop {
        place.looks();
        if let Err(error) = release::plan_work::prepare(&app, &claim).await {
            // Whoever gives the task out finds the same, and says so of it.
            tracing::warn!("the next plan could not be prepared: {}", error.body.message);
        }
        let given = dispatch::claim(&app, &claim, arrives).await?;
        arrives = false;
        place.found(given.found());
        if let Some(lease) = given.lease {
            return Ok(Json(lease).into_response());
        }
        if tokio::time::timeout_at(until, place.woken()).await.is_err() {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
    }
}

/// Writes down that a node is there. If it was started again, what it worked on is lost, is given out anew at once, and is
/// returned, so that what it belongs to is looked at. The inner error says why the node is refused.
pub async fn appear(write: &mut Write, claim: &Claim) -> ApiResult<Result<Vec<Task>, ApiError>> {
    // Before it counts as heard of.
    let instance = anima_db::node::note_instance(write, claim, node::ONLINE_SECS).await?;
    if instance == Instance::Superseded {
        let message = format!("another process took the name {} since this one was started", claim.node);
        let refused = ApiError::conflict(NAME_TAKEN, message).hint("give each node a name of its own (--name)");
        return Ok(Err(refused));
    }
    anima_db::node::seen(write, claim).await?;
    anima_db::node_load::note_claim(write, claim).await?;
    if instance == Instance::Same {
        return Ok(Ok(Vec::new()));
    }
    anima_db::node::set_instance(write, claim).await?;
    let mut lost = task_lease::list_of_node(write, &claim.node).await?;
    lost.retain(|task| claim.kinds.contains(&task.about.kind));
    for task in &lost {
        take_back(write, task, &format!("{} was started again", claim.node)).await?;
    }
    // What was drained to be updated has been.
    if anima_db::node::get(write, &claim.node).await?.drain.is_some_and(|drain| drain.then_end) {
        let message = format!("Node {} was started again and takes tasks.", claim.node);
        anima_db::node::set_drain(write, &claim.node, None, message).await?;
    }
    Ok(Ok(lost))
}

fn check(caller: &Caller, claim: &Claim) -> ApiResult<()> {
    if claim.kinds.is_empty() {
        return Err(ApiError::unprocessable("no_kinds", "a claim has to name the kinds of task that the node takes"));
    }
    if caller.is_of_node && caller.name != claim.node {
        let message = format!("this token is for node {}, not for {}", caller.name, claim.node);
        return Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", message)
            .hint("Each node has its own token: `anima node enrol NAME --role ROLE`."));
    }
    claim.kinds.iter().try_for_each(|&kind| caller.check(claim_permission(kind), &[]))
}

/// Fails a task: one whose work cannot be said would stand in the way of all others.
pub async fn give_up(app: &App, task: &Task, error: &ApiError) -> ApiResult<()> {
    tracing::error!(task = task.id.0, "task {} cannot be given out: {}", task.id, error.body.message);
    let failure = Failure::new(&error.body.code, &error.body.message).with_hint(error.body.hint.clone());
    let mut write = app.db.write(app.now(), "anima").await?;
    let number = anima_db::task::claim(&mut write, task, "anima", app.now(), "The work is put together.").await?;
    let held = Task { status: Status::Leased, lease_number: number, ..task.clone() };
    let ended = Ended { phases: Vec::new(), failure: Some(failure), result: None, report_hash: None };
    anima_db::task::end(&mut write, &held, Event::Failed, &error.body.message, &ended).await?;
    write.commit().await?;
    is_due(app, task);
    Ok(())
}

/// Returns the task if the caller's lease on it holds.
pub async fn held(connection: &mut anima_db::Connection, caller: &Caller, id: TaskId) -> ApiResult<Task> {
    let task = anima_db::task::get(connection, id).await?;
    let is_held = caller.lease.as_ref().is_some_and(|lease| lease.number == task.lease_number);
    if task.status == Status::Leased && is_held { Ok(task) } else { Err(stale(&task)) }
}

/// Says that a lease on a task is over.
pub fn stale(task: &Task) -> ApiError {
    let message = format!("the lease on task {} is lost: {}", task.id, task.why);
    ApiError::conflict(STALE_LEASE, message)
}

async fn heartbeat(
    State(app): State<App>,
    Path(id): Path<TaskId>,
    Query(query): Query<HeartbeatQuery>,
    caller: Caller,
) -> ApiResult<Json<Heartbeat>> {
    let wait = Duration::from_secs(query.wait_secs.min(MAX_HEARTBEAT_WAIT_SECS));
    let mut events = app.db.subscribe();
    let expires_at = extend(&app, &caller, id).await?;
    let until = Instant::now() + wait;
    loop {
        match tokio::time::timeout_at(until, events.recv()).await {
            Ok(Ok(event)) if event.task != Some(id) => {}
            Ok(Err(broadcast::error::RecvError::Closed)) | Err(_) => break,
            Ok(_) => {
                let mut read = app.db.read().await?;
                held(&mut read, &caller, id).await?;
            }
        }
    }
    Ok(Json(Heartbeat { expires_at }))
}

async fn extend(app: &App, caller: &Caller, id: TaskId) -> ApiResult<Timestamp> {
    // The route has seen that they hold a lease on this task.
    let number = caller.lease.as_ref().map_or(0, |lease| lease.number);
    dispatch::extend(app, id, number, &caller.name).await
}

async fn end(
    State(app): State<App>,
    Path(id): Path<TaskId>,
    caller: Caller,
    Told(report): Told<Report>,
) -> ApiResult<()> {
    let hash = report_hash(&report)?;
    let mut read = app.db.read().await?;
    let task = anima_db::task::get(&mut read, id).await?;
    // The answer to the first may have been lost, and with it who would have looked at what follows from it.
    if task.status.is_ended() && task.report_hash.as_deref() == Some(&hash) {
        is_due(&app, &task);
        return Ok(());
    }
    let task = held(&mut read, &caller, id).await?;
    drop(read);
    if report.number != task.lease_number {
        return Err(stale(&task));
    }
    let accepted = match report.end {
        End::GivenBack(failure) => return given_back(&app, &caller, (id, report.number), failure).await,
        End::Succeeded(outcome) => report::accept(&app, &task, outcome).await?,
        End::Failed(failure) => report::Accepted::failed(failure),
    };
    app.logs.sync(id, report.number).await?;
    let log_size_bytes = WhichLog::default().size(&app, &task).await?;
    let mut differences = noarch::Differences::default();
    let (mut write, task, verdict) = loop {
        if let Some(outcome) = &accepted.result {
            differences.read(&app, &task, outcome).await?;
        }
        let mut write = app.db.write(app.now(), &caller).await?;
        let task = held(&mut write, &caller, id).await?;
        let verdict = match &accepted.result {
            Some(outcome) => differences.decide(&mut write, &task, outcome).await?,
            None => Verdict::Same,
        };
        // As often as another architecture's build ends meanwhile.
        if !matches!(verdict, Verdict::Unread) {
            break (write, task, verdict);
        }
    };
    let accepted = match verdict {
        Verdict::Differs(failure) => report::Accepted::failed(failure),
        Verdict::Same | Verdict::Unread => accepted,
    };
    app.metrics.took(task.about.kind, &report.phases);
    report::apply(&mut write, &task, accepted, report.phases, hash).await?;
    anima_db::task::set_log_size(&mut write, id, log_size_bytes).await?;
    write.commit().await?;
    app.log_grew.send(id).ok();
    log::seal_soon(&app, id, task.lease_number);
    is_due(&app, &task);
    key::tell(&app, &task);
    Ok(())
}

/// Takes a task from a node that cannot do it for a reason of its own, and gives it out again.
async fn given_back(app: &App, caller: &Caller, (id, number): (TaskId, i64), failure: Failure) -> ApiResult<()> {
    app.logs.sync(id, number).await?;
    let mut write = app.db.write(app.now(), &caller.name).await?;
    let task = held(&mut write, caller, id).await?;
    tracing::warn!(task = id.0, node = caller.name, "task {id} is given back by {}: {}", caller.name, failure.message);
    let (is_ours, is_nobodys) = (failure.code == MASTER_DISK_FULL, failure.code == NODE_STOPS);
    // Its claims that wait since before it knew shall not get the task once more.
    if let Some(node) = task.node.as_ref().filter(|_| !is_ours && !is_nobodys) {
        let problem = format!("it gave task {id} back: {}", failure.message);
        anima_db::node::set_problem(&mut write, node, &problem).await?;
    }
    let does_not_count = is_nobodys && number <= MAX_STOPPED_LEASES;
    if is_ours {
        // Neither the package's fault nor the node's: it does not count, and there is no other try before there is room.
        app.room.ran_out();
        let why = format!(
            "{} gave it back because the master has no room: {}; it waits for room.",
            caller.name, failure.message
        );
        anima_db::task::apply(&mut write, &task, Event::GivenBack, &why).await?;
        anima_db::task::uncount_attempt(&mut write, id).await?;
        hold::take_back_returned(&mut write, id).await?;
    } else if task.attempts < MAX_ATTEMPTS || does_not_count {
        let why = format!("{} gave it back: {}; it waits for another try.", caller.name, failure.message);
        anima_db::task::apply(&mut write, &task, Event::GivenBack, &why).await?;
        if does_not_count {
            anima_db::task::uncount_attempt(&mut write, id).await?;
        }
        hold::take_back_returned(&mut write, id).await?;
    } else {
        let ended = Ended { phases: Vec::new(), failure: Some(failure.clone()), result: None, report_hash: None };
        anima_db::task::end(&mut write, &task, Event::AttemptsExhausted, &failure.message, &ended).await?;
    }
    write.commit().await?;
    app.roster.forget();
    app.log_grew.send(id).ok();
    is_due(app, &task);
    Ok(())
}

fn report_hash(report: &Report) -> ApiResult<String> {
    let bytes = serde_json::to_vec(report).map_err(ApiError::internal)?;
    Ok(auth::hash(&String::from_utf8_lossy(&bytes)))
}

/// Does what [`expire_once`] does, unless this master stood still since it looked last: its machine slept, was moved or was stopped,
/// or its clock was set. Then nobody could say that they live, and every lease begins anew, as when a master starts.
pub async fn expire_after(app: &App, now: Timestamp, looked_at: Timestamp) -> ApiResult<usize> {
    let still_secs = now.secs_since(looked_at);
    if (0.0..=STOOD_STILL_SECS).contains(&still_secs) {
        return expire_once(app, now).await;
    }
    match still_secs < 0.0 {
        // What is leased would stay so for as long as it was set back, its node alive or not.
        true => tracing::warn!("this master's clock was set back by {:.0} s: every lease begins anew", -still_secs),
        false => tracing::warn!("this master stood still for {still_secs:.0} s: every lease begins anew"),
    }
    renew_all(app).await?;
    Ok(0)
}

/// Takes tasks back from nodes that were not heard of in time; returns how many.
pub async fn expire_once(app: &App, now: Timestamp) -> ApiResult<usize> {
    let mut read = app.db.read().await?;
    let expired = task_lease::list_expired(&mut read, now, MAX_EXPIRED).await?;
    drop(read);
    let mut count = 0;
    for id in expired {
        // One that cannot be taken back does not keep the others: it is tried again the next time.
        match expire(app, id, now).await {
            Ok(Some(task)) => {
                is_due(app, &task);
                count += 1;
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(task = id.0, "task {id} could not be taken back: {}", error.body.message);
            }
        }
    }
    Ok(count)
}

async fn expire(app: &App, id: TaskId, now: Timestamp) -> ApiResult<Option<Task>> {
    let mut write = app.db.write(now, "anima").await?;
    // A heartbeat may have come since it was found.
    let task = anima_db::task::get(&mut write, id).await?;
    if task.status != Status::Leased || task.lease_expires_at.is_some_and(|at| at > now) {
        return Ok(None);
    }
    let node = task.node.as_deref().unwrap_or("its node");
    take_back(&mut write, &task, &format!("{node} was not heard of for {LEASE_SECS} s")).await?;
    write.commit().await?;
    Ok(Some(task))
}

/// Ends a lease whose node is lost: the task is given out again, unless that was done often enough.
async fn take_back(write: &mut anima_db::Write, task: &Task, how: &str) -> ApiResult<()> {
    tracing::warn!(task = task.id.0, "task {} is taken back: {how}", task.id);
    if task.attempts < MAX_ATTEMPTS {
        let why = format!("{how}; it waits for another try.");
        anima_db::task::apply(write, task, Event::LeaseExpired, &why).await?;
        hold::take_back_returned(write, task.id).await?;
    } else {
        // This one is not over yet, and the earlier ones are those since it was last restarted.
        let history = anima_db::lease::attempts(write, task.id, task.attempts).await?;
        let earlier: Vec<String> = history.iter().skip(1).map(Attempt::in_words).collect();
        let message = match earlier.is_empty() {
            true => how.to_string(),
            false => format!("{how}, and its other {} attempts ended so: {}", earlier.len(), earlier.join("; ")),
        };
        let hint = format!(
            "It may end its nodes: see how far each came (`anima task log {} --attempt NUMBER`) and the nodes' memory and \
             disk, then restart it.",
            task.id
        );
        let failure = Failure::new("node_lost", &message).with_hint(Some(hint));
        let ended = Ended { phases: Vec::new(), failure: Some(failure), result: None, report_hash: None };
        anima_db::task::end(write, task, Event::AttemptsExhausted, &message, &ended).await?;
    }
    Ok(())
}

/// Lets every lease begin anew: while the master was away, no node could say that it lives.
async fn renew_all(app: &App) -> ApiResult<()> {
    let now = app.now();
    let mut write = app.db.write(now, "anima").await?;
    task_lease::renew_all(&mut write, app.lease_end(now)).await?;
    Ok(write.commit().await?)
}

/// Does the same when a master starts. Where others go on beside it, no lease ends sooner for it: its clock was not looked at yet.
pub async fn renew_at_start(app: &App) -> ApiResult<()> {
    if !app.db.is_shared() {
        return renew_all(app).await;
    }
    let now = app.now();
    let mut write = app.db.write(now, "anima").await?;
    task_lease::prolong_all(&mut write, app.lease_end(now)).await?;
    Ok(write.commit().await?)
}
