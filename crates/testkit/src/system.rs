//! A whole system: `anima up` in a temporary folder.

use std::{
    fs::{self, File},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Output},
    time::Duration,
};

use anima_client::Client;
use anima_types::{
    build::{BuildDetail, ListQuery, Status},
    id::BuildId,
    release::Release,
};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::{SourcePackage, cluster, command};

/// A system is up within this, also on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);
/// A role that was killed is back within this.
const RETURN_LIMIT: Duration = Duration::from_secs(60);
/// What is waited for is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The real program with all its roles, on free ports.
#[derive(Debug)]
pub struct System {
    program: PathBuf,
    /// What `anima up` is told besides.
    arguments: Vec<String>,
    /// What its roles log.
    log: Option<String>,
    folder: TempDir,
    up: Option<Child>,
    master_url: String,
    git_url: String,
    client: Client,
}

impl System {
    /// Starts the program with all roles in a new folder, on top of the [`crate::seed`].
    pub async fn start(program: &Path) -> Result<System> {
        System::start_with(program, "").await
    }

    /// Starts it with more lines at the end of its configuration file.
    pub async fn start_with(program: &Path, more_configuration: &str) -> Result<System> {
        System::start_in("", more_configuration, program, &[], None, None).await
    }

    /// Starts it with roles that log what this filter lets through.
    pub async fn start_logging(program: &Path, filter: &str) -> Result<System> {
        System::start_in("", "", program, &[], None, Some(filter)).await
    }

    /// Starts these roles and no others.
    pub async fn start_some(program: &Path, roles: &[&str]) -> Result<System> {
        System::start_some_with(program, roles, "").await
    }

    /// The same, with more lines at the beginning of the configuration file.
    pub async fn start_some_with(program: &Path, roles: &[&str], configuration: &str) -> Result<System> {
        let arguments: Vec<&str> = roles.iter().flat_map(|role| ["--role", role]).collect();
        System::start_in(configuration, "", program, &arguments, None, None).await
    }

    /// Starts some of the roles, as the arguments of `anima up` say, with more lines at the beginning of the
    /// configuration file and, where nothing is shared, with the tokens of another system.
    pub(crate) async fn start_roles(
        program: &Path,
        configuration: &str,
        arguments: &[&str],
        tokens: Option<&Path>,
    ) -> Result<System> {
        System::start_in(configuration, "", program, arguments, tokens, None).await
    }

    /// Starts these roles where they listen at an address of this machine that other hosts reach.
    pub async fn start_at(program: &Path, address: IpAddr, roles: &[&str]) -> Result<System> {
        let arguments: Vec<&str> = roles.iter().flat_map(|role| ["--role", role]).collect();
        System::start_listening(address, ("", ""), program, &arguments, None, None).await
    }

    async fn start_in(
        first: &str,
        last: &str,
        program: &Path,
        arguments: &[&str],
        tokens: Option<&Path>,
        log: Option<&str>,
    ) -> Result<System> {
        System::start_listening(Ipv4Addr::LOCALHOST.into(), (first, last), program, arguments, tokens, log).await
    }

    async fn start_listening(
        address: IpAddr,
        (first, last): (&str, &str),
        program: &Path,
        arguments: &[&str],
        tokens: Option<&Path>,
        log: Option<&str>,
    ) -> Result<System> {
        let seed = tokio::task::spawn_blocking(crate::seed).await??;
        let folder = tempfile::tempdir()?;
        let free = SocketAddr::new(address, 0);
        let config = format!(
            "listen = \"{free}\"\ngit_listen = \"{free}\"\n{first}\n[mirrors]\nseed = \"{}\"\n{last}\n",
            seed.canonicalize()?.display()
        );
        fs::create_dir(folder.path().join("data"))?;
        fs::write(folder.path().join("data/anima.toml"), config)?;
        if let Some(tokens) = tokens {
            cluster::copy_tokens(tokens, &folder.path().join("data/tokens"))?;
        }
        let client = Client::new("http://127.0.0.1:1", None)?;
        let mut system = System {
            program: program.to_path_buf(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            log: log.map(str::to_string),
            folder,
            up: None,
            master_url: String::new(),
            git_url: String::new(),
            client,
        };
        system.up().await?;
        Ok(system)
    }

    /// Starts the program on its folder (again) and waits until it is ready. It then listens on the same ports as before.
    pub async fn up(&mut self) -> Result<()> {
        ensure!(self.up.is_none(), "it is up");
        let _ = fs::remove_file(self.running_file());
        let log = File::options().create(true).append(true).open(self.folder.path().join("up.log"))?;
        let mut command = self.command();
        command.envs(self.log.iter().map(|filter| ("ANIMA_LOG", filter)));
        command.arg("up").args(&self.arguments).stdout(log.try_clone()?).stderr(log);
        self.up = Some(command.spawn().context("could not start anima")?);
        let until = Instant::now() + START_LIMIT;
        let running = loop {
            let child = self.up.as_mut().expect("it was started above");
            if let Some(status) = child.try_wait()? {
                bail!("anima up ended with {status}:\n{}", self.up_log());
            }
            let text = fs::read_to_string(self.running_file()).unwrap_or_default();
            if let Ok(running) = serde_json::from_str::<serde_json::Value>(&text) {
                break running;
            }
            ensure!(Instant::now() < until, "anima up is not ready:\n{}", self.up_log());
            sleep(LOOK_EVERY).await;
        };
        let field = |name: &str| running[name].as_str().map(str::to_string).with_context(|| format!("no {name}"));
        (self.master_url, self.git_url) = (field("master_url")?, field("git_url")?);
        self.client = Client::new(&self.master_url, Some(self.token("admin")?))?;
        self.keep_ports()
    }

    /// Writes the ports that were free into the configuration, so that a system that comes back has the same addresses.
    fn keep_ports(&self) -> Result<()> {
        let path = self.data().join("anima.toml");
        let text = fs::read_to_string(&path)?;
        let rest = text.splitn(3, '\n').nth(2).context("the first two lines are missing")?;
        let address = |url: &str| url.trim_start_matches("http://").trim_end_matches('/').to_string();
        let (master, git) = (address(&self.master_url), address(&self.git_url));
        // In one step: roles that are still starting read it, too, and half of it is a whole configuration of another kind.
        let new = path.with_extension("new");
        fs::write(&new, format!("listen = \"{master}\"\ngit_listen = \"{git}\"\n{rest}"))?;
        Ok(fs::rename(&new, &path)?)
    }

    /// Returns the supervisor's process, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.up.as_ref().map(Child::id)
    }

    /// Ends everything in order, as an operator would.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut up) = self.up.take() else { return Ok(()) };
        kill_process(pid_of(up.id())?, Signal::TERM)?;
        let status = up.wait()?;
        ensure!(status.success(), "anima up ended with {status}:\n{}", self.up_log());
        Ok(())
    }

    /// Kills everything at once, as a power failure would: the kernel ends the roles with their supervisor.
    pub fn kill_all(&mut self) -> Result<()> {
        if let Some(mut up) = self.up.take() {
            up.kill()?;
            up.wait()?;
        }
        Ok(())
    }

    /// Kills one role with SIGKILL, and waits until the supervisor has started it again.
    pub async fn kill(&self, role: &str) -> Result<()> {
        let pid_file = self.data().join("run").join(format!("{role}.pid"));
        let read = || fs::read_to_string(&pid_file).ok().and_then(|text| text.trim().parse::<u32>().ok());
        let old = read().with_context(|| format!("{role} does not run:\n{}", self.up_log()))?;
        kill_process(pid_of(old)?, Signal::KILL)?;
        let until = Instant::now() + RETURN_LIMIT;
        while read().is_none_or(|new| new == old) {
            ensure!(Instant::now() < until, "{role} did not come back:\n{}", self.up_log());
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Commits a package and pushes it to a branch as the administrator; returns the commit.
    pub fn push(&self, package: &SourcePackage, branch: &str) -> Result<String> {
        let commit = package.commit("Change")?;
        package.push_to(&self.push_url(package.name())?, branch)?;
        Ok(commit)
    }

    /// Returns the address with which the administrator pushes a package.
    pub fn push_url(&self, package: &str) -> Result<String> {
        let address = self.git_url.trim_start_matches("http://").trim_end_matches('/');
        Ok(format!("http://admin:{}@{address}/{package}.git", self.token("admin")?))
    }

    /// Waits for the build of a commit.
    pub async fn build_of(&self, package: &str, commit: &str) -> Result<BuildId> {
        self.wait(RETURN_LIMIT, async || {
            let query = ListQuery { package: Some(package.to_string()), ..ListQuery::default() };
            let builds = self.client.builds(&query).await.ok()?;
            let is_its = |source: &anima_types::build::Source| source.package == package && source.commit == commit;
            builds.into_iter().find(|build| build.sources.iter().any(is_its)).map(|build| build.id)
        })
        .await
        .with_context(|| format!("{package} at {commit} is in no build"))
    }

    /// Waits until a build has ended; one that does not in time is an error that shows how it stands.
    pub async fn ended(&self, build: BuildId, limit: Duration) -> Result<BuildDetail> {
        let ended = self
            .wait(limit, async || self.client.build(build).await.ok().filter(|detail| detail.build.status.is_ended()))
            .await;
        match ended {
            Some(detail) => Ok(detail),
            None => bail!("build {build} has not ended: {:#?}\n{}", self.client.build(build).await, self.up_log()),
        }
    }

    /// Waits until a build's packages are with users.
    pub async fn released(&self, build: BuildId, limit: Duration) -> Result<BuildDetail> {
        let detail = self.ended(build, limit).await?;
        if detail.build.status != Status::Succeeded {
            bail!("build {build} ended badly: {}\n{:#?}", detail.build.summary, detail.tasks);
        }
        let released = self
            .wait(limit, async || {
                let release = self.release_of(build).await?;
                release.released_at.is_some().then_some(())
            })
            .await;
        released.with_context(|| format!("build {build} is not released:\n{}", self.up_log()))?;
        self.client.build(build).await.context("could not read the build again")
    }

    /// Returns the newest release that carries a build, once there is one.
    pub async fn release_of(&self, build: BuildId) -> Option<Release> {
        let id = self.client.build(build).await.ok()?.build.releases.last().copied()?;
        self.client.release(id).await.ok()
    }

    /// Looks again and again until there is something, or the time is over.
    pub async fn wait<T>(&self, limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
        let until = Instant::now() + limit;
        loop {
            if let Some(found) = look().await {
                return Some(found);
            }
            if Instant::now() >= until {
                return None;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Runs the program's command line on this system, as the administrator.
    pub fn anima(&self, arguments: &[&str]) -> Result<Output> {
        command::output(self.command().args(arguments))
    }

    /// Runs the program's command line as somebody with this home, who is not the administrator.
    pub fn anima_at(&self, home: &Path, arguments: &[&str]) -> Result<Output> {
        // The data folder of this system is not theirs to read.
        let mut command = self.command_on(&home.join("none"));
        command.arg("--master").arg(&self.master_url).args(arguments).env("HOME", home).env_remove("XDG_CONFIG_HOME");
        command::output(&mut command)
    }

    /// Returns a client with the administrator's token.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the master's address, without a slash at its end.
    pub fn master_url(&self) -> &str {
        self.master_url.trim_end_matches('/')
    }

    /// Returns the Git Service's address, without a slash at its end.
    pub fn git_url(&self) -> &str {
        self.git_url.trim_end_matches('/')
    }

    /// Returns a role's token.
    pub fn token(&self, role: &str) -> Result<String> {
        let path = self.data().join("tokens").join(role);
        let text = fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
        Ok(text.trim().to_string())
    }

    /// Returns the address at which the master of this system itself listens.
    pub(crate) fn listens_at(&self) -> Result<String> {
        let text = fs::read_to_string(self.running_file())?;
        let running: serde_json::Value = serde_json::from_str(&text)?;
        running["master_url"].as_str().map(str::to_string).context("no master_url")
    }

    /// Returns the folder of tokens.
    pub(crate) fn tokens(&self) -> PathBuf {
        self.data().join("tokens")
    }

    /// Returns the data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Returns what the supervisor said, for messages.
    pub fn up_log(&self) -> String {
        fs::read_to_string(self.folder.path().join("up.log")).unwrap_or_default()
    }

    fn running_file(&self) -> PathBuf {
        self.data().join("run/anima.json")
    }

    fn command(&self) -> Command {
        self.command_on(&self.data())
    }

    fn command_on(&self, data: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--data").arg(data);
        for name in ["ANIMA_DATA", "ANIMA_CONFIG", "ANIMA_MASTER", "ANIMA_TOKEN"] {
            command.env_remove(name);
        }
        command
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if self.stop().is_err() {
            let _ = self.kill_all();
        }
    }
}

fn pid_of(id: u32) -> Result<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw).context("not a process")
}
