//! P7: a thousand nodes that wait, a ready task on its way to one of them, and claims with a hundred thousand tasks queued. The
//! nodes are simulated: each is a connection that speaks the lease protocol and does no work. The master is the real one, on
//! SQLite and on PostgreSQL, with everything on the disk before it answers.
//!
//! The peer of claims is a queue and nothing else: PostgreSQL's own `pgbench`, `FOR UPDATE SKIP LOCKED`, without HTTP, without
//! events, and with nobody asked who they are or what the work is.

mod claimer;
mod master;

use std::{
    collections::BTreeSet,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anima_testkit::Postgres;
use anima_types::{Timestamp, event::Event, lease::Lease};
use anyhow::{Context, Result, ensure};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::sleep};

use self::{
    claimer::Claimer,
    master::{Api, Master},
};
use super::{Figure, processes, rounded};

const NODES: usize = 1_000;
/// Tasks that become ready one after the other while the nodes wait; enough for the 99th of a hundred to mean something.
const READY_TASKS: usize = 400;
const READY_EVERY: Duration = Duration::from_millis(25);
const QUEUED: usize = 100_000;
/// Packages of a build.
const PACKAGES: usize = 2_000;
/// Claims that are under way at once while claims are counted.
const CLAIMERS: usize = 64;
const COUNT_FOR: Duration = Duration::from_secs(10);
const WATCH: Duration = Duration::from_secs(10);
/// Clients of the peer that was the fastest in the study (docs/PERFORMANCE.md), and for how long.
const PEER_CLIENTS: u32 = 16;
const PEER_SECS: u32 = 5;
const PEER: &str = "PostgreSQL's pgbench, 16 clients, SKIP LOCKED";
const TICKS_PER_SEC: f64 = 100.0;
/// Nodes wait so long for a task and ask again.
const WAIT_SECS: u64 = 30;
const START_LIMIT: Duration = Duration::from_secs(20);

/// What can be asked for by name.
const CASES: [&str; 5] = ["nodes-1000", "handover", "claim", "claim-postgres", "advance"];

/// Measures the cases of these names; all where none is named.
pub async fn measure(program: &Path, cases: &[String]) -> Result<Vec<Figure>> {
    if let Some(unknown) = cases.iter().find(|case| !CASES.contains(&case.as_str())) {
        anyhow::bail!("there is no case {unknown}; there are {}", CASES.join(", "));
    }
    let is_asked = |name: &str| cases.is_empty() || cases.iter().any(|case| case == name);
    let mut figures = Vec::new();
    if is_asked("nodes-1000") || is_asked("handover") {
        figures.extend(nodes_wait(program, is_asked("handover")).await?);
    }
    if is_asked("claim") {
        let values = claims(program, None).await?;
        figures.push(Figure { bench: "nodes", case: "claim", values });
    }
    if is_asked("claim-postgres") {
        match Postgres::start_durable() {
            Ok(postgres) => {
                let mut values = claims(program, Some(postgres.database("anima")?)).await?;
                let peer = peer(&postgres)?;
                values["peer"] = PEER.into();
                values["peer_claims_per_s"] = rounded(peer).into();
                figures.push(Figure { bench: "nodes", case: "claim-postgres", values });
            }
            Err(error) => eprintln!("claim-postgres is not measured: {error:#}"),
        }
    }
    if is_asked("advance") {
        figures.push(advance()?);
    }
    Ok(figures)
}

/// Ends tasks of a mass rebuild, and times the look at what follows from it.
fn advance() -> Result<Figure> {
    let output = Command::new(super::release_example("anima-simulation", "advance")?).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut values: Value = serde_json::from_slice(&output.stdout)?;
    for value in values.as_object_mut().into_iter().flat_map(|values| values.values_mut()) {
        if let Some(number) = value.as_f64().filter(|_| value.is_f64()) {
            *value = rounded(number).into();
        }
    }
    values["peer"] = Value::Null;
    Ok(Figure { bench: "nodes", case: "advance", values })
}

async fn nodes_wait(program: &Path, hands_over: bool) -> Result<Vec<Figure>> {
    let master = Master::start(program, None).await?;
    let waiting = master.api.nodes_wait().await?;
    eprintln!("{NODES} nodes wait");
    let (idle_percent, connected_mib) = master.watch().await?;
    let values = json!({
        "nodes": NODES,
        "memory_mib": rounded(connected_mib),
        "cpu_percent_of_a_core_while_they_wait": rounded(idle_percent),
        "peer": null,
    });
    let mut figures = vec![Figure { bench: "nodes", case: "nodes-1000", values }];
    if hands_over {
        eprintln!("{READY_TASKS} tasks become ready");
        let (median_ms, ms_99) = master.api.hand_out(waiting).await?;
        let values = json!({
            "nodes": NODES,
            "ready_to_node_ms_median": rounded(median_ms),
            "ready_to_node_ms_99": rounded(ms_99),
            "peer": null,
        });
        figures.push(Figure { bench: "nodes", case: "handover", values });
    }
    Ok(figures)
}

/// Queues tasks and counts how many are given out in a second.
async fn claims(program: &Path, database: Option<String>) -> Result<Value> {
    let kind = if database.is_some() { "PostgreSQL" } else { "SQLite" };
    let master = Master::start(program, database).await?;
    eprintln!("{QUEUED} tasks are queued on {kind}");
    let began = Instant::now();
    master.api.queue().await?;
    let queue_secs = began.elapsed().as_secs_f64();
    eprintln!("{queue_secs:.1} s; they are claimed for {} s", COUNT_FOR.as_secs());
    let before = processes::of_tree(master.id())?;
    let counted = master.api.claim_for(COUNT_FOR).await?;
    let after = processes::of_tree(master.id())?;
    let ticks = after.cpu_ticks.saturating_sub(before.cpu_ticks) as f64;
    Ok(json!({
        "queued": QUEUED,
        "queue_s": rounded(queue_secs),
        "claims_per_s": rounded(counted.per_sec),
        "claim_ms_median": rounded(counted.median_ms),
        "claim_ms_99": rounded(counted.ms_99),
        "claimers": CLAIMERS,
        "memory_mib": rounded(after.memory_kib as f64 / 1024.0),
        "cpu_percent_of_a_core": rounded(100.0 * ticks / TICKS_PER_SEC / COUNT_FOR.as_secs_f64()),
        "peer": null,
    }))
}

/// Returns how many tasks a second PostgreSQL alone gives out of a queue as long as ours.
fn peer(postgres: &Postgres) -> Result<f64> {
    eprintln!("{PEER_CLIENTS} clients of PostgreSQL alone, for {PEER_SECS} s");
    postgres.database("peer")?;
    let table = format!(
        "CREATE TABLE task (id BIGINT PRIMARY KEY, status TEXT NOT NULL, kind TEXT NOT NULL, arch TEXT NOT NULL, node TEXT,
             lease_number BIGINT NOT NULL DEFAULT 0, queued_for BIGINT NOT NULL);
         INSERT INTO task (id, status, kind, arch, queued_for)
             SELECT id, 'ready', 'src', 'x86_64', id FROM generate_series(1, {QUEUED}) AS id;
         CREATE INDEX task_queue ON task (status, kind, arch, queued_for, id);
         ANALYZE task;"
    );
    postgres.sql("peer", &table)?;
    let claim = "UPDATE task SET status = 'leased', node = 'n', lease_number = lease_number + 1 WHERE id = (
                     SELECT id FROM task WHERE status = 'ready' AND kind = 'src' AND arch = 'x86_64'
                     ORDER BY queued_for, id LIMIT 1 FOR UPDATE SKIP LOCKED
                 ) RETURNING id;";
    postgres.transactions_per_sec("peer", claim, PEER_CLIENTS, PEER_SECS)
}

/// A task and the moment at which it was in a node's hands.
type Handed = (Lease, Timestamp);

/// Claims that were counted.
struct Counted {
    per_sec: f64,
    median_ms: f64,
    ms_99: f64,
}

impl Api {
    /// Lets all nodes wait for a task; each tells of the first that it gets and waits for the next.
    async fn nodes_wait(&self) -> Result<mpsc::UnboundedReceiver<Handed>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        for node in 0..NODES {
            let (sender, copy) = (sender.clone(), self.clone());
            tokio::spawn(async move {
                while let Ok(got) = copy.claim(node, WAIT_SECS).await {
                    let Some(lease) = got else { continue };
                    if sender.send((lease, now())).is_err() {
                        break;
                    }
                }
            });
        }
        // All have asked once when the master knows all their names.
        let until = Instant::now() + START_LIMIT * 6;
        loop {
            let nodes: Vec<Value> = self.get("api/v1/nodes?limit=1000").await?;
            if nodes.len() == NODES {
                return Ok(receiver);
            }
            ensure!(Instant::now() < until, "only {} nodes are connected", nodes.len());
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Makes tasks ready one after the other, and returns how long each was on its way to a node: median and 99th of a hundred,
    /// in milliseconds.
    async fn hand_out(&self, mut handed: mpsc::UnboundedReceiver<Handed>) -> Result<(f64, f64)> {
        let first: Vec<Event> = self.get("api/v1/events/list?limit=1000").await?;
        let mut after = first.last().map_or(0, |event| event.id.0);
        for number in 0..READY_TASKS {
            self.build(&[format!("ready{number}")]).await?;
            sleep(READY_EVERY).await;
        }
        let mut came = Vec::new();
        while came.len() < READY_TASKS {
            let next = tokio::time::timeout(START_LIMIT, handed.recv()).await;
            came.push(next.context("a task did not come to a node")?.context("all nodes ended")?);
        }
        let mut ready_at = std::collections::BTreeMap::new();
        loop {
            let events: Vec<Event> = self.get(&format!("api/v1/events/list?limit=1000&after={after}")).await?;
            let Some(last) = events.last() else { break };
            after = last.id.0;
            let ready = events.iter().filter(|event| event.status.as_deref() == Some("ready"));
            ready_at.extend(ready.filter_map(|event| Some((event.task?, event.at))));
        }
        let mut took = Vec::new();
        for (lease, at) in &came {
            let ready = ready_at.get(&lease.task).context("a task was never ready")?;
            took.push(at.secs_since(*ready) * 1_000.0);
        }
        took.sort_by(f64::total_cmp);
        Ok((took[took.len() / 2], took[took.len() * 99 / 100]))
    }

    async fn queue(&self) -> Result<()> {
        for number in 0..QUEUED / PACKAGES {
            let packages = (0..PACKAGES).map(|package| format!("q{number}x{package}")).collect::<Vec<_>>();
            self.build(&packages).await?;
        }
        Ok(())
    }

    /// Claims without end for a time; no task may come twice.
    async fn claim_for(&self, time: Duration) -> Result<Counted> {
        let began = Instant::now();
        let claimers = (0..CLAIMERS).map(|claimer| async move {
            let mut claimer = Claimer::connect(self, NODES + claimer).await?;
            let mut got = Vec::new();
            while began.elapsed() < time {
                let asked = Instant::now();
                let task = claimer.claim().await?.context("the queue is empty")?;
                got.push((task, asked.elapsed()));
            }
            anyhow::Ok(got)
        });
        let got = join_all(claimers).await;
        let secs = began.elapsed().as_secs_f64();
        let got = got.into_iter().collect::<Result<Vec<_>>>()?.concat();
        let tasks: BTreeSet<_> = got.iter().map(|(task, _)| *task).collect();
        ensure!(tasks.len() == got.len(), "of {} tasks some were given out twice", got.len());
        let mut took: Vec<f64> = got.iter().map(|(_, took)| took.as_secs_f64() * 1_000.0).collect();
        took.sort_by(f64::total_cmp);
        Ok(Counted {
            per_sec: got.len() as f64 / secs,
            median_ms: took[took.len() / 2],
            ms_99: took[took.len() * 99 / 100],
        })
    }
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(since.as_micros() as i64)
}
