//! P7: a thousand nodes that wait, a ready task on its way to one of them, and claims with a hundred thousand tasks queued. The
//! nodes are simulated: each is a connection that speaks the lease protocol and does no work. The master is the real one, on
//! SQLite, with everything on the disk before it answers.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anima_types::{
    Arch, Timestamp,
    event::Event,
    lease::{Claim, Condition, Lease, PROTOCOL},
    task::Kind,
};
use anyhow::{Context, Result, bail, ensure};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
    time::sleep,
};

use super::{Figure, processes, rounded};

const NODES: usize = 1_000;
/// Tasks that become ready one after the other while the nodes wait; enough for the 99th of a hundred to mean something.
const READY_TASKS: usize = 400;
const READY_EVERY: Duration = Duration::from_millis(25);
const QUEUED: usize = 100_000;
/// Packages of a build at most (`anima_types::build::MAX_PACKAGES`).
const PACKAGES: usize = 2_000;
/// Claims that are under way at once while claims are counted.
const CLAIMERS: usize = 64;
const COUNT_FOR: Duration = Duration::from_secs(20);
const WATCH: Duration = Duration::from_secs(20);
const TICKS_PER_SEC: f64 = 100.0;
/// Nodes wait so long for a task and ask again.
const WAIT_SECS: u64 = 30;
const START_LIMIT: Duration = Duration::from_secs(20);

const PLATFORM: &str = "name = \"p1\"\ntitle = \"P 1\"\ndist = \".p1\"\nbranch = \"p1\"\narchitectures = [\"x86_64\"]\n\
    [buildroot]\npackages = [\"bash\"]\ntest_packages = [\"bash\"]\n\
    [[repositories]]\nname = \"base\"\nurl = \"http://127.0.0.1:9/\"\n";

pub async fn measure(program: &Path) -> Result<Vec<Figure>> {
    let master = Master::start(program).await?;
    let waiting = master.api.nodes_wait().await?;
    eprintln!("{NODES} nodes wait");
    let (idle_percent, connected_mib) = master.watch().await?;
    eprintln!("{idle_percent:.1} % of a core, {connected_mib:.0} MiB; {READY_TASKS} tasks become ready");
    let ready = master.api.hand_out(waiting).await?;
    eprintln!("{:.1} ms, {:.1} ms at 99 of 100; {QUEUED} tasks are queued", ready.0, ready.1);
    let began = Instant::now();
    master.api.queue().await?;
    let queue_secs = began.elapsed().as_secs_f64();
    let claims = master.api.claim_for(COUNT_FOR).await?;
    let queued_mib = processes::of_tree(master.child.id())?.memory_kib as f64 / 1024.0;
    let values = json!({
        "nodes": NODES,
        "memory_mib": rounded(connected_mib),
        "cpu_percent_of_a_core_while_they_wait": rounded(idle_percent),
        "ready_to_node_ms_median": rounded(ready.0),
        "ready_to_node_ms_99": rounded(ready.1),
        "peer": null,
    });
    let wait = Figure { bench: "nodes", case: "waiting", values };
    let values = json!({
        "queued": QUEUED,
        "queue_s": rounded(queue_secs),
        "claims_per_s": rounded(claims),
        "claimers": CLAIMERS,
        "memory_mib": rounded(queued_mib),
        "peer": null,
    });
    Ok(vec![wait, Figure { bench: "nodes", case: "queued", values }])
}

struct Master {
    child: Child,
    api: Api,
    #[expect(dead_code, reason = "the folder is removed when this is dropped")]
    folder: TempDir,
}

impl Drop for Master {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What talks to the master; clones share their connections.
#[derive(Clone)]
struct Api {
    url: String,
    http: reqwest::Client,
    node_token: String,
    admin_token: String,
}

/// A task and the moment at which it was in a node's hands.
type Handed = (Lease, Timestamp);

impl Master {
    async fn start(program: &Path) -> Result<Master> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        fs::create_dir_all(data.join("platforms"))?;
        fs::write(data.join("platforms/p1.toml"), PLATFORM)?;
        let git = git_service().await?;
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = fs::File::create(folder.path().join("master.log"))?;
        let child = Command::new(program)
            .args(["master", "--data"])
            .arg(&data)
            .args(["--listen", &listen.to_string(), "--git-url", &git])
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("could not start the master")?;
        let http = reqwest::Client::builder().pool_max_idle_per_host(NODES).build()?;
        let url = format!("http://{listen}");
        let api = Api { url, http, node_token: String::new(), admin_token: String::new() };
        // It is ended if anything below fails.
        let mut master = Master { child, api, folder };
        let until = Instant::now() + START_LIMIT;
        while master.api.http.get(format!("{}/healthz", master.api.url)).send().await.is_err() {
            ensure!(Instant::now() < until, "the master is not ready");
            sleep(Duration::from_millis(20)).await;
        }
        let token = |role: &str| fs::read_to_string(data.join("tokens").join(role)).context("there are no tokens");
        master.api.node_token = token("build-node")?.trim().to_string();
        master.api.admin_token = token("admin")?.trim().to_string();
        Ok(master)
    }

    /// Returns what the master uses while all wait: percent of a core, and MiB.
    async fn watch(&self) -> Result<(f64, f64)> {
        let (before, began) = (processes::of_tree(self.child.id())?, Instant::now());
        sleep(WATCH).await;
        let (after, watched) = (processes::of_tree(self.child.id())?, began.elapsed());
        let ticks = after.cpu_ticks.saturating_sub(before.cpu_ticks) as f64;
        Ok((100.0 * ticks / TICKS_PER_SEC / watched.as_secs_f64(), after.memory_kib as f64 / 1024.0))
    }
}

impl Api {
    async fn claim(&self, node: usize, wait_secs: u64) -> Result<Option<Lease>> {
        let claim = Claim {
            node: format!("n{node}"),
            kinds: vec![Kind::Src],
            architectures: vec![Arch::X86_64],
            emulated: Vec::new(),
            slots: 1,
            version: env!("CARGO_PKG_VERSION").to_string(),
            instance: format!("i{node}"),
            started_at: None,
            wait_secs,
            condition: Condition { protocol: PROTOCOL, ..Condition::default() },
        };
        let request = self.http.post(format!("{}/api/v1/leases", self.url)).bearer_auth(&self.node_token).json(&claim);
        let response = request.send().await?;
        match response.status().as_u16() {
            200 => Ok(Some(response.json().await?)),
            204 => Ok(None),
            status => bail!("a claim was answered with {status}: {}", response.text().await?),
        }
    }

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

    async fn build(&self, packages: &[String]) -> Result<()> {
        let packages = packages.iter().map(|package| json!({ "package": package })).collect::<Vec<_>>();
        let body = json!({ "packages": packages, "platforms": ["p1"], "architectures": ["x86_64"] });
        let request = self.http.post(format!("{}/api/v1/builds", self.url)).bearer_auth(&self.admin_token).json(&body);
        let response = request.send().await?;
        ensure!(response.status().is_success(), "a build was refused: {}", response.text().await?);
        Ok(())
    }

    /// Claims without end for a time, and returns how many tasks were given out in a second.
    async fn claim_for(&self, time: Duration) -> Result<f64> {
        let (count, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
        let claimers = (0..CLAIMERS).map(|claimer| {
            let (count, copy) = (count.clone(), self.clone());
            async move {
                while began.elapsed() < time {
                    ensure!(copy.claim(NODES + claimer, 0).await?.is_some(), "the queue is empty");
                    count.fetch_add(1, Ordering::Relaxed);
                }
                anyhow::Ok(())
            }
        });
        join_all(claimers).await.into_iter().collect::<Result<Vec<()>>>()?;
        Ok(count.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64())
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T> {
        Ok(self.http.get(format!("{}/{path}", self.url)).send().await?.error_for_status()?.json().await?)
    }
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(since.as_micros() as i64)
}

/// A Git Service that has every package at one commit: what it says is not what is measured.
async fn git_service() -> Result<String> {
    const ANSWER: &str = "{\"commit\":\"0000000000000000000000000000000000000000\"}";
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = Vec::new();
                let mut piece = [0; 4_096];
                while let Ok(count @ 1..) = stream.read(&mut piece).await {
                    request.extend_from_slice(&piece[..count]);
                    // A request without a body ends with an empty line.
                    while let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
                        request.drain(..end + 4);
                        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ";
                        let answer = format!("{head}{}\r\n\r\n{ANSWER}", ANSWER.len());
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    Ok(format!("http://{address}"))
}
