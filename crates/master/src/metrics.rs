//! What this master and the whole installation are doing, in numbers, in the text form of
//! [OpenMetrics](https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md), which Prometheus reads.
//!
//! What stands in the database (tasks, builds, releases, nodes) is counted when it is asked for and is the same on every
//! master; requests, events and times of steps are counted by each master for itself since it was started.

use std::{fmt::Debug, hash::Hash, time::Duration};

use anima_db::tally;
use anima_types::{Arch, Timestamp, node::State, permission::Permission, task::Kind, work::PhaseTime};
use axum::{
    extract::{self, Request},
    http::header::CONTENT_TYPE,
    middleware::Next,
    response::{IntoResponse, Response},
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use tokio::time::Instant;

use crate::{
    app::App,
    error::{ApiError, ApiResult},
    node, quota,
    route::Route,
};

/// What a reader of this form asks for.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Upper ends of the classes of requests' times, in seconds: from a row of the database to a node's wait for a task.
const REQUEST_BUCKETS: [f64; 8] = [0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0];
/// Upper ends of the classes of steps' times, in seconds: from a mounted root to a day's build.
const PHASE_BUCKETS: [f64; 10] = [0.05, 0.2, 1.0, 5.0, 20.0, 60.0, 300.0, 1_800.0, 7_200.0, 86_400.0];

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![Route::get("/metrics", Permission::Read, show)]
}

/// What a master counts itself; clones are the same.
#[derive(Clone)]
pub struct Metrics {
    requests: Family<Answered, Counter>,
    request_secs: Family<Asked, Histogram, fn() -> Histogram>,
    phase_secs: Family<Phase, Histogram, fn() -> Histogram>,
    waiting_nodes: Gauge,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct Asked {
    method: String,
    route: &'static str,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct Answered {
    method: String,
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct Phase {
    kind: &'static str,
    phase: String,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct Standing {
    kind: &'static str,
    arch: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct Status {
    status: &'static str,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct Node {
    node: String,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct Team {
    team: String,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct Happened {
    noun: String,
    verb: String,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq, EncodeLabelSet)]
struct Program {
    version: &'static str,
}

/// A node waits for a task while this lives.
pub struct WaitingNode(Gauge);

impl Drop for WaitingNode {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            requests: Family::default(),
            request_secs: Family::new_with_constructor(|| Histogram::new(REQUEST_BUCKETS)),
            phase_secs: Family::new_with_constructor(|| Histogram::new(PHASE_BUCKETS)),
            waiting_nodes: Gauge::default(),
        }
    }
}

impl Metrics {
    /// Notes what the steps of a task took.
    pub fn took(&self, kind: Kind, phases: &[PhaseTime]) {
        for phase in phases.iter().filter(|phase| is_word(&phase.name)) {
            let labels = Phase { kind: kind.name(), phase: phase.name.clone() };
            self.phase_secs.get_or_create(&labels).observe(phase.secs);
        }
    }

    /// Notes that a node waits for a task.
    pub fn node_waits(&self) -> WaitingNode {
        self.waiting_nodes.inc();
        WaitingNode(self.waiting_nodes.clone())
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("requests", "Requests that were answered", self.requests.clone());
        let secs = Unit::Seconds;
        let help = "Time until an answer began";
        registry.register_with_unit("request_duration", help, secs, self.request_secs.clone());
        let help = "Time that steps of tasks took";
        registry.register_with_unit("task_phase_duration", help, Unit::Seconds, self.phase_secs.clone());
        let help = "Claims of nodes that wait at this master for a task";
        registry.register("waiting_nodes", help, self.waiting_nodes.clone());
    }
}

/// A name of a step comes from a node: one that is no word would be a series of its own each time.
fn is_word(name: &str) -> bool {
    const MAX_LEN: usize = 40;
    name.len() <= MAX_LEN && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte == b'-')
}

/// Counts a request by its route, not by its address: addresses are without number.
pub async fn count(
    extract::State((app, route)): extract::State<(App, &'static str)>,
    request: Request,
    next: Next,
) -> Response {
    let (method, begin) = (request.method().to_string(), Instant::now());
    let response = next.run(request).await;
    let metrics = &app.metrics;
    let secs = begin.elapsed().as_secs_f64();
    metrics.request_secs.get_or_create(&Asked { method: method.clone(), route }).observe(secs);
    metrics.requests.get_or_create(&Answered { method, route, status: response.status().as_u16() }).inc();
    response
}

async fn show(extract::State(app): extract::State<App>) -> ApiResult<Response> {
    let mut registry = Registry::with_prefix("anima");
    app.metrics.register(&mut registry);
    let program = Program { version: env!("CARGO_PKG_VERSION") };
    gauges(&mut registry, "build_info", "The program's version", None, [(program, 1)]);
    register_events(&app, &mut registry);
    register_rows(&app, &mut registry).await?;
    let mut text = String::new();
    encode(&mut text, &registry).map_err(ApiError::internal)?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

fn register_events(app: &App, registry: &mut Registry) {
    let events = Family::<Happened, Counter>::default();
    for ((noun, verb), count) in app.db.events_committed() {
        events.get_or_create(&Happened { noun, verb }).inc_by(count);
    }
    registry.register("events", "What happened through this master, such as a task that succeeded", events);
}

async fn register_rows(app: &App, registry: &mut Registry) -> ApiResult<()> {
    let nodes = node::all(app).await?;
    let mut read = app.db.read().await?;
    let tasks = tally::open_tasks(&mut read).await?;
    let builds = tally::open_builds(&mut read).await?;
    let releases = tally::releases(&mut read).await?;
    let teams = quota::usage(app, &mut read).await?;
    drop(read);
    let now = app.now();
    let standing = |tasks: &tally::Tasks| Standing {
        kind: tasks.kind.name(),
        arch: tasks.arch.map_or("any", Arch::name),
        status: tasks.status.name(),
    };
    let counts = tasks.iter().map(|tasks| (standing(tasks), whole(tasks.count)));
    gauges(registry, "tasks", "Tasks that have not ended", None, counts);
    let ages = tasks.iter().map(|tasks| (standing(tasks), whole_secs(now.secs_since(tasks.since))));
    let help = "Time since the first of the tasks that stand there came to it";
    gauges(registry, "task_oldest_age", help, Some(Unit::Seconds), ages);
    let counts = builds.into_iter().map(|(status, count)| (Status { status: status.name() }, whole(count)));
    gauges(registry, "builds", "Builds that have not ended", None, counts);
    let counts = releases.into_iter().map(|(status, count)| (Status { status: status.name() }, whole(count)));
    gauges(registry, "releases", "Releases by where they stand", None, counts);
    register_nodes(&nodes, now, registry);
    register_teams(&teams, registry);
    Ok(())
}

/// A figure of what a team uses.
type Told = fn(&quota::Usage) -> Option<u64>;

/// Of teams that have no bound nothing is told.
fn register_teams(teams: &[quota::Usage], registry: &mut Registry) {
    let of = |team: &quota::Usage| Team { team: team.team.clone() };
    let each = |value: Told| teams.iter().filter_map(move |team| Some((of(team), whole(value(team)?))));
    let told: [(&str, &str, Told); 7] = [
        ("team_tasks", "Tasks of a team that are ready or at nodes", |team| Some(team.tasks?.0)),
        ("team_tasks_limit", "How many they may be", |team| Some(team.tasks?.1)),
        ("team_cores", "Cores that a team's tasks ask for that are ready or at nodes", |team| Some(team.cores?.0)),
        ("team_cores_limit", "How many they may be", |team| Some(team.cores?.1)),
        ("team_held_tasks", "Tasks that wait for their team's turn", |team| Some(team.held)),
        ("team_kept_bytes", "Bytes that a team's builds keep that are not released", |team| Some(team.kept_bytes?.0)),
        ("team_kept_bytes_limit", "How many they may be", |team| Some(team.kept_bytes?.1)),
    ];
    for (name, help, value) in told {
        gauges(registry, name, help, None, each(value));
    }
}

fn register_nodes(nodes: &[anima_types::node::Node], now: Timestamp, registry: &mut Registry) {
    let of = |node: &anima_types::node::Node| Node { node: node.name.clone() };
    let takes = |node: &anima_types::node::Node| i64::from(node.state == State::Taking);
    let help = "1 where a node takes tasks, 0 where it is silent, drained or unfit";
    gauges(registry, "node_taking", help, None, nodes.iter().map(|node| (of(node), takes(node))));
    let help = "Tasks that a node works on";
    gauges(registry, "node_tasks", help, None, nodes.iter().map(|node| (of(node), whole(node.tasks.len() as u64))));
    let help = "Tasks that a node takes at once";
    gauges(registry, "node_slots", help, None, nodes.iter().map(|node| (of(node), i64::from(node.slots))));
    let silence = nodes.iter().map(|node| (of(node), whole_secs(now.secs_since(node.seen_at))));
    gauges(registry, "node_silence", "Time since a node was heard of", Some(Unit::Seconds), silence);
}

fn gauges<L: Clone + Hash + Eq + EncodeLabelSet + Debug + Send + Sync + 'static>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    unit: Option<Unit>,
    values: impl IntoIterator<Item = (L, i64)>,
) {
    let family = Family::<L, Gauge>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).set(value);
    }
    match unit {
        Some(unit) => registry.register_with_unit(name, help, unit, family),
        None => registry.register(name, help, family),
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Seconds without their parts: an age matters when it is large.
fn whole_secs(secs: f64) -> i64 {
    Duration::try_from_secs_f64(secs).map_or(0, |age| whole(age.as_secs()))
}
