//! The master that is measured, and what talks to it.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anima_types::{
    Arch,
    lease::{Claim, Condition, Lease, PROTOCOL},
    task::Kind,
};
use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::sleep,
};

use super::{NODES, START_LIMIT, TICKS_PER_SEC, WATCH, processes};

const PLATFORM: &str = "name = \"p1\"\ntitle = \"P 1\"\ndist = \".p1\"\nbranch = \"p1\"\narchitectures = [\"x86_64\"]\n\
    [buildroot]\npackages = [\"bash\"]\ntest_packages = [\"bash\"]\n\
    [[repositories]]\nname = \"base\"\nurl = \"http://127.0.0.1:9/\"\n";

/// The real master, with a Git Service that has everything; it ends when this is dropped.
pub struct Master {
    child: Child,
    /// Talks to it.
    pub api: Api,
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
pub struct Api {
    url: String,
    http: reqwest::Client,
    node_token: String,
    admin_token: String,
}

impl Master {
    /// Starts one on an empty database: SQLite's, where none of PostgreSQL is named.
    pub async fn start(program: &Path, database: Option<String>) -> Result<Master> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        fs::create_dir_all(data.join("platforms"))?;
        fs::write(data.join("platforms/p1.toml"), PLATFORM)?;
        if let Some(url) = database {
            fs::write(data.join("anima.toml"), format!("[database]\nurl = \"{url}\"\n"))?;
        }
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

    /// Returns its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns what the master uses while all wait: percent of a core, and MiB.
    pub async fn watch(&self) -> Result<(f64, f64)> {
        let (before, began) = (processes::of_tree(self.child.id())?, Instant::now());
        sleep(WATCH).await;
        let (after, watched) = (processes::of_tree(self.child.id())?, began.elapsed());
        let ticks = after.cpu_ticks.saturating_sub(before.cpu_ticks) as f64;
        Ok((100.0 * ticks / TICKS_PER_SEC / watched.as_secs_f64(), after.memory_kib as f64 / 1024.0))
    }
}

impl Api {
    /// Returns what a node says when it asks for a task.
    pub fn said(node: usize, wait_secs: u64) -> Claim {
        Claim {
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
        }
    }

    /// Returns where it is.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Returns a node's token.
    pub fn node_token(&self) -> &str {
        &self.node_token
    }

    /// Asks for a task as a node.
    pub async fn claim(&self, node: usize, wait_secs: u64) -> Result<Option<Lease>> {
        let claim = Api::said(node, wait_secs);
        let request = self.http.post(format!("{}/api/v1/leases", self.url)).bearer_auth(&self.node_token).json(&claim);
        let response = request.send().await?;
        match response.status().as_u16() {
            200 => Ok(Some(response.json().await?)),
            204 => Ok(None),
            status => bail!("a claim was answered with {status}: {}", response.text().await?),
        }
    }

    /// Asks for a build of packages.
    pub async fn build(&self, packages: &[String]) -> Result<()> {
        let packages = packages.iter().map(|package| json!({ "package": package })).collect::<Vec<_>>();
        let body = json!({ "packages": packages, "platforms": ["p1"], "architectures": ["x86_64"] });
        let request = self.http.post(format!("{}/api/v1/builds", self.url)).bearer_auth(&self.admin_token).json(&body);
        let response = request.send().await?;
        ensure!(response.status().is_success(), "a build was refused: {}", response.text().await?);
        Ok(())
    }

    /// Reads something.
    pub async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T> {
        Ok(self.http.get(format!("{}/{path}", self.url)).send().await?.error_for_status()?.json().await?)
    }
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
