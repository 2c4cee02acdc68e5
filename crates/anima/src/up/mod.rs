//! The supervisor behind `anima up`: all roles on one machine, each a process of its own, started in order, started
//! again when they end unasked, and stopped in order.
//!
//! It does none of their work. It holds the listening sockets and the lock of the data folder, and hands them over.

mod backoff;
mod child;
pub mod handover;
mod keeper;
pub mod lock;
mod logs;
pub mod user;

use std::{
    ffi::OsString,
    fs,
    net::{SocketAddr, TcpListener},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use anyhow::Context;
use tokio::{signal::unix::SignalKind, time::timeout};
use tokio_util::sync::CancellationToken;

use self::{
    child::{Apart, Start},
    keeper::{End, Keeper, MakeStart},
    user::User,
};
use crate::{
    client,
    cmd::role::sign_server::{CREDENTIAL, PIN_CREDENTIAL},
    config::Config,
    data::{self, DataFolder, Running},
    exit::{Exit, Failure, Result},
    output,
    role::Role,
    secret, service,
};

/// Opening a database of a busy year and moving it to a new version is a matter of seconds; more is a hang.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// How often the master is asked whether it is ready: the socket queues the first question until it is.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// What is to be run.
pub struct Plan {
    /// The folder, by a whole path.
    pub data: DataFolder,
    pub config: Config,
    pub config_file: Option<PathBuf>,
    /// The master on another machine, if it is not among the roles.
    pub master_url: Option<String>,
    /// The token for roles whose token is not in the data folder.
    pub token: Option<String>,
}

/// Runs everything until a signal comes.
pub fn run(plan: Plan) -> Result {
    plan.data.create()?;
    let lock = lock::take(&plan.data)?;
    let house = House::new(plan, lock)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("could not start")?;
    // All in this one thread: the kernel ends the roles when the thread that started them ends.
    tokio::task::LocalSet::new().block_on(&runtime, supervise(Rc::new(house)))
}

/// What all roles are started from.
struct House {
    plan: Plan,
    lock: OwnedFd,
    master: Option<TcpListener>,
    git: Option<TcpListener>,
    /// How roles on this machine reach the master.
    master_url: String,
    public_url: String,
    git_url: String,
}

impl House {
    fn new(plan: Plan, lock: OwnedFd) -> Result<House> {
        let has = |role: Role| plan.config.roles.contains(&role);
        let master = has(Role::Master).then(|| listen(plan.config.listen)).transpose()?;
        let git = has(Role::GitService).then(|| listen(plan.config.git_listen)).transpose()?;
        let own_url = |listener: &Option<TcpListener>| listener.as_ref().map(url_of);
        let master_url = own_url(&master).or_else(|| plan.master_url.clone()).ok_or_else(|| {
            Failure::config("the master is not among the roles, and nothing says where it is").hint("say --master URL")
        })?;
        let public_url = plan.config.public_url.clone().unwrap_or_else(|| master_url.clone());
        let git_url = plan.config.git_url.clone().or_else(|| own_url(&git));
        let git_url = git_url.unwrap_or_else(|| format!("http://{}", plan.config.git_listen));
        Ok(House { plan, lock, master, git, master_url, public_url, git_url })
    }

    /// Makes what a role is started with.
    fn start(&self, role: Role) -> Result<Start> {
        let listener = match role {
            Role::Master => self.master.as_ref(),
            Role::GitService => self.git.as_ref(),
            _ => None,
        };
        let apart = if role == Role::SignServer { self.set_apart()? } else { None };
        Ok(Start {
            role,
            arguments: self.arguments(role, apart.is_some()),
            token: self.token(role)?,
            listener: listener.map(AsRawFd::as_raw_fd),
            lock: apart.is_none().then(|| self.lock.as_raw_fd()),
            apart,
        })
    }

    fn token(&self, role: Role) -> Result<Option<String>> {
        if role == Role::Master {
            return Ok(None);
        }
        let token = self.plan.data.read_token(role.name()).or_else(|| self.plan.token.clone());
        token.map(Some).ok_or_else(|| {
            let path = self.plan.data.token(role.name());
            Failure::config(format!("there is no token for {} in {}", role.name(), path.display()))
                .hint(format!("make one with `anima token create --role {}` and put it there", role.name()))
        })
    }

    fn arguments(&self, role: Role, is_apart: bool) -> Vec<OsString> {
        let mut arguments = Arguments::default();
        match is_apart {
            // It is in its own folder, and cannot read ours.
            true => arguments.add("--data", ".").add("--config", "/dev/null").add("--folder", "."),
            false => arguments.add("--data", self.plan.data.path()),
        };
        if let Some(file) = self.plan.config_file.as_ref().filter(|_| !is_apart) {
            arguments.add("--config", file);
        }
        if role != Role::Master {
            arguments.add("--master", &self.master_url);
        }
        match role {
            Role::Master => {
                arguments.add("--public-url", &self.public_url).add("--git-url", &self.git_url);
                for (name, folder) in &self.plan.config.mirrors {
                    let mut mirror = OsString::from(format!("{name}="));
                    mirror.push(folder);
                    arguments.add("--mirror", mirror);
                }
            }
            Role::GitService => {
                arguments.add("--public-url", &self.git_url);
            }
            Role::SignServer => {
                let name = self.plan.config.sign_server.name.clone();
                arguments.add("--name", name.unwrap_or_else(|| crate::cmd::role::default_name(role)));
                if let Some(file) = &self.plan.config.sign_server.passphrase_file {
                    arguments.add("--passphrase-file", file);
                }
                if let Some(file) = &self.plan.config.sign_server.pin_file {
                    arguments.add("--pin-file", file);
                }
                for folder in &self.plan.config.sign_server.token_folders {
                    arguments.add("--token-folder", folder);
                }
            }
            Role::ReleaseSystem | Role::BuildNode | Role::TestNode => {}
        }
        arguments.0
    }

    /// Sets the Sign Server apart under its own user, if we may and shall.
    fn set_apart(&self) -> Result<Option<Apart>> {
        let sign_server = &self.plan.config.sign_server;
        if !rustix::process::geteuid().is_root() || sign_server.user.is_empty() {
            return Ok(None);
        }
        let user = user::ensure(&sign_server.user)?;
        let path = sign_server.data.clone().unwrap_or_else(|| self.plan.data.of_role(Role::SignServer.name()));
        let has_credentials = has_credentials(&self.plan.config, std::env::var_os(secret::FOLDER), user)?;
        Ok(Some(Apart { user, folder: Rc::new(user::give_folder(&path, user)?), has_credentials }))
    }
}

/// Returns whether the Sign Server's user may read the credentials that a service manager gave for it. What was given and cannot
/// be read is refused: without it the Sign Server would make a passphrase of its own, and keep it beside the keys.
fn has_credentials(config: &Config, folder: Option<OsString>, user: User) -> Result<bool> {
    let (of_passphrase, of_pin) = (&config.sign_server.passphrase_file, &config.sign_server.pin_file);
    let is_asked = [(CREDENTIAL, of_passphrase.is_none()), (PIN_CREDENTIAL, of_pin.is_none())];
    let wanted = is_asked.into_iter().filter(|(_, is_asked)| *is_asked);
    let given: Vec<PathBuf> = wanted.filter_map(|(name, _)| secret::credential(folder.clone(), name)).collect();
    match given.iter().find(|path| !user.may_read(path)) {
        None => Ok(!given.is_empty()),
        Some(path) => Err(Failure::config(format!(
            "the service manager gives {}, and the Sign Server's user {} may not read it",
            path.display(),
            config.sign_server.user
        ))
        .hint(
            "run the Sign Server as a service of its own (anima-sign-server), or name files of that user in anima.toml \
             ([sign_server] passphrase_file, pin_file), or say user = \"\" to run it as whoever runs this",
        )),
    }
}

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn add(&mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> &mut Arguments {
        self.0.extend([OsString::from(name), value.as_ref().to_os_string()]);
        self
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| {
        Failure::config(format!("could not listen on {address}: {error}"))
            .hint("name others with --listen and --git-listen; port 0 takes any that is free")
    })
}

/// Returns the address at which this machine reaches a listener.
fn url_of(listener: &TcpListener) -> String {
    format!("http://{}", reachable(listener.local_addr().expect("a bound socket has an address")))
}

/// Returns the address at which this machine reaches who listens at an address.
pub fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { [0, 0, 0, 0, 0, 0, 0, 1].into() });
    }
    address
}

async fn supervise(house: Rc<House>) -> Result {
    let signal = |kind| tokio::signal::unix::signal(kind).context("could not wait for signals");
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut asked_to_end = async || tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} };

    let mut keepers = Vec::new();
    let begun = tokio::select! {
        begun = begin(&house, &mut keepers) => begun,
        () = asked_to_end() => Ok(()),
    };
    if begun.is_ok() && keepers.len() == house.plan.config.roles.len() {
        announce(&house)?;
        service::ready();
        let ends = CancellationToken::new();
        let telling = tokio::task::spawn_local(service::tell(ends.clone()));
        asked_to_end().await;
        ends.cancel();
        let _ = telling.await;
        output::line("stopping; a second signal stops at once")?;
    }
    let killers: Vec<_> = keepers.iter().map(Keeper::killer).collect();
    let stopping = stop_in_order(keepers);
    tokio::pin!(stopping);
    tokio::select! {
        () = &mut stopping => {}
        () = asked_to_end() => {
            killers.iter().for_each(|killer| killer.cancel());
            stopping.await;
        }
    }
    let _ = fs::remove_file(house.plan.data.running());
    begun
}

/// Starts the master, waits until it is ready, and starts all others, which it has made tokens for.
async fn begin(house: &Rc<House>, keepers: &mut Vec<Keeper>) -> Result {
    let mut roles = house.plan.config.roles.clone();
    roles.sort();
    roles.dedup();
    for role in roles {
        let made_from = house.clone();
        let make_start: MakeStart = Box::new(move || made_from.start(role));
        keepers.push(Keeper::begin(role, &house.plan.data, make_start)?);
        let keeper = keepers.last_mut().expect("it was just put there");
        keeper.begun().await;
        if role == Role::Master {
            tokio::select! {
                ready = wait_until_ready(&house.master_url) => ready?,
                end = keeper.next_end() => return Err(master_failed(&house.plan.data, &end)),
            }
        }
    }
    write_running(house)
}

async fn wait_until_ready(master_url: &str) -> Result {
    let client = client::connect(master_url, None)?;
    let ready = async {
        while client.healthz().await.is_err() {
            tokio::time::sleep(ASK_EVERY).await;
        }
    };
    timeout(READY_LIMIT, ready).await.map_err(|_| {
        Failure::new(Exit::Internal, format!("the master was not ready after {} s", READY_LIMIT.as_secs()))
    })
}

/// At the start, a master that ends is not started again: somebody sits in front of it.
fn master_failed(data: &DataFolder, end: &End) -> Failure {
    let exit = if end.code == Some(Exit::Config.code().into()) { Exit::Config } else { Exit::Internal };
    Failure::new(exit, format!("the master could not be started: it {}", end.how))
        .hint(format!("its log is {}", data.log(Role::Master.name()).display()))
}

fn write_running(house: &House) -> Result {
    let running =
        Running { pid: std::process::id(), master_url: house.master_url.clone(), git_url: house.git_url.clone() };
    let text = serde_json::to_string_pretty(&running).map_err(anyhow::Error::new)?;
    let path = house.plan.data.running();
    data::write_whole(&path, &text).with_context(|| format!("could not write {}", path.display()))?;
    Ok(())
}

fn announce(house: &House) -> Result {
    let roles: Vec<_> = house.plan.config.roles.iter().map(|role| role.name()).collect();
    output::line(&format!("Anima runs: {}.", roles.join(", ")))?;
    if house.master.is_some() {
        output::line(&format!("  pages and API   {}/", house.public_url))?;
    }
    if house.git.is_some() {
        output::line(&format!("  git             {}/", house.git_url))?;
    }
    output::line(&format!("  data and logs   {}", house.plan.data.path().display()))?;
    output::line("  stop it         Ctrl-C, or SIGTERM to this process")
}

/// Stops the nodes together, then the Git Service, then the master that they all talk to.
async fn stop_in_order(keepers: Vec<Keeper>) {
    let (serving, nodes): (Vec<_>, Vec<_>) = keepers.into_iter().partition(|keeper| keeper.role.listens());
    let stopping: Vec<_> = nodes.into_iter().map(|keeper| tokio::task::spawn_local(keeper.stop())).collect();
    for stopped in stopping {
        let _ = stopped.await;
    }
    for keeper in serving.into_iter().rev() {
        keeper.stop().await;
    }
}

/// Returns a path that means the same wherever a role is.
pub fn whole(path: &Path) -> Result<PathBuf> {
    Ok(std::path::absolute(path).with_context(|| format!("could not tell where {} is", path.display()))?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    #[test]
    fn a_passphrase_that_was_given_and_cannot_be_read_is_refused_and_not_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let given = || Some(folder.path().as_os_str().to_os_string());
        let (user, mut config) = (User { uid: 4321, gid: 4321 }, Config::default());
        assert!(!has_credentials(&config, None, user).unwrap());
        assert!(!has_credentials(&config, given(), user).unwrap());
        let passphrase = folder.path().join(CREDENTIAL);
        fs::write(&passphrase, "secret").unwrap();
        fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o400)).unwrap();

        let refused = has_credentials(&config, given(), user).unwrap_err();
        config.sign_server.passphrase_file = Some("/etc/anima/passphrase".into());
        let named = has_credentials(&config, given(), user);

        assert!(refused.exit == Exit::Config && refused.to_string().contains(CREDENTIAL), "{refused}");
        assert!(!named.unwrap());
        if rustix::process::geteuid().is_root() {
            config.sign_server.passphrase_file = None;
            for path in [folder.path(), &passphrase] {
                chown(path, Some(user.uid), Some(user.gid)).unwrap();
            }
            assert!(has_credentials(&config, given(), user).unwrap());
        }
    }
}
