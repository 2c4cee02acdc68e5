//! The roles: each a process of its own, under `anima up` or alone on a machine.

pub mod build_node;
pub mod git_service;
pub mod master;
pub mod release_system;
pub mod sign_server;
pub mod test_node;

use std::{
    ffi::OsString,
    fs,
    future::Future,
    io::IsTerminal,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anima_client::lease::Once;
use anima_environment::Emulators;
use anima_types::Arch;
use anyhow::Context;
use clap::Args;
use tokio::signal::unix::SignalKind;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::{
    args::Global,
    config::Config,
    data::DataFolder,
    exit::{Exit, Failure, Result},
    role::Role,
    secret, service,
    up::{self, handover, lock},
};

/// What is logged unless `ANIMA_LOG` says something else.
const LOGGED: &str = "info";
/// A build takes so much memory that fewer of them are done at once on a small machine.
const SLOT_MEMORY_BYTES: u64 = 2 << 30;
/// More at once than this does not make a build of some packages faster: each uses all cores where it can.
const MAX_DEFAULT_SLOTS: u64 = 8;

/// What all roles but the master take.
#[derive(Args, Debug)]
pub struct NodeArgs {
    /// Its name at the master [default: the machine's name and the role's]
    #[arg(long)]
    name: Option<String>,
    /// Where it works [default: the role's folder in the data folder]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// A file with the token [default: the service manager's credential `token`, else the role's in the data folder]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// What nodes take that live for one task.
#[derive(Args, Clone, Copy, Debug)]
pub struct OnceArgs {
    /// Take one task, do it, and end: with 0 if it succeeded, 5 if it failed, 11 if there was none, 12 if another node has to do it
    #[arg(long, conflicts_with = "slots")]
    once: bool,
    /// With --once: end if there was no task for so many seconds [default: wait for one]
    #[arg(long, value_name = "SECONDS", requires = "once")]
    wait_secs: Option<u64>,
}

impl OnceArgs {
    /// Returns for how many tasks the machine is shared out.
    fn slots(self, configured: impl FnOnce() -> u32) -> u32 {
        if self.once { 1 } else { configured() }
    }

    fn wait(self) -> Option<Duration> {
        self.wait_secs.map(Duration::from_secs)
    }

    /// Turns what became of the task into the command's end.
    fn told(once: Once) -> Result {
        match once {
            Once::Succeeded => Ok(()),
            Once::Failed => Err(Failure::new(Exit::Unsuccessful, "the task failed; its log says why")),
            Once::Nothing => Err(Failure::new(Exit::Idle, "there was no task")),
            Once::GivenBack => Err(Failure::new(Exit::GivenBack, "the task was given back")),
            Once::Abandoned => Err(Failure::new(Exit::GivenBack, "the task is no longer this node's")),
        }
    }
}

/// What a role is about to run with.
pub struct Prepared {
    pub config: Config,
    pub name: String,
    pub folder: PathBuf,
    pub master_url: String,
    pub token: String,
}

impl NodeArgs {
    /// Decides between arguments, configuration and defaults: name and folder that the configuration gives are passed in.
    fn prepare(
        self,
        global: &Global,
        role: Role,
        configured: impl FnOnce(&Config) -> (Option<String>, Option<PathBuf>),
    ) -> Result<Prepared> {
        let data = DataFolder::new(global.data.as_deref());
        let config = Config::load(global.config.as_deref(), &data)?;
        let (name, folder) = configured(&config);
        let folder = self.folder.or(folder).unwrap_or_else(|| data.of_role(role.folder()));
        // The Sign Server may be in a folder that it could not reach by its whole path.
        let folder = if role == Role::SignServer { folder } else { up::whole(&folder)? };
        let master_url = global
            .master
            .clone()
            .or_else(|| Some(data.read_running()?.master_url))
            .ok_or_else(|| Failure::config("nothing says where the master is").hint("say --master URL"))?;
        Ok(Prepared {
            token: token(global, self.token_file.as_deref(), &data, role)?,
            name: self.name.or(name).unwrap_or_else(|| default_name(role)),
            folder,
            config,
            master_url,
        })
    }
}

/// The name of a role's token among the credentials that a service manager gives.
const TOKEN_CREDENTIAL: &str = "token";

/// Returns the token: of the file that was named, of the arguments or the environment, of the service manager, or the role's own of
/// the data folder.
fn token(global: &Global, file: Option<&Path>, data: &DataFolder, role: Role) -> Result<String> {
    let given = || match global.token {
        Some(_) => None,
        None => secret::credential(std::env::var_os(secret::FOLDER), TOKEN_CREDENTIAL),
    };
    if let Some(path) = file.map(Path::to_path_buf).or_else(given) {
        let text = fs::read_to_string(&path)
            .map_err(|error| Failure::config(format!("could not read {}: {error}", path.display())))?;
        return match text.trim() {
            "" => Err(Failure::config(format!("there is no token in {}", path.display()))),
            token => Ok(token.to_string()),
        };
    }
    global.token.clone().or_else(|| data.read_token(role.name())).ok_or_else(|| {
        Failure::config(format!("there is no token for this {}", role.name())).hint(format!(
            "make one at the master with `anima token create NAME --role {}`, and say --token-file FILE",
            role.name()
        ))
    })
}

/// Returns a node's name where none was given: the machine's and the role's.
pub fn default_name(role: Role) -> String {
    let uname = rustix::system::uname();
    let machine = uname.nodename().to_string_lossy();
    format!("{}-{}", machine.split('.').next().unwrap_or("here"), role.name())
}

/// Returns how many tasks this machine should do at once.
fn default_slots() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let memory = rustix::system::sysinfo().totalram as u64 / SLOT_MEMORY_BYTES;
    cores.min(memory).clamp(1, MAX_DEFAULT_SLOTS) as u32
}

/// Returns the architectures whose programs this machine runs.
pub fn own_architectures() -> Result<Vec<Arch>> {
    let own = anima_environment::native_architectures();
    match own.is_empty() {
        false => Ok(own),
        true => Err(Failure::config(format!("no packages are built for machines of {}", std::env::consts::ARCH))),
    }
}

/// Returns the emulators that a node offers: those that its configuration names, or else all that are there.
pub fn emulators(wanted: Option<&[Arch]>, folder: Option<&Path>) -> Result<Emulators> {
    let folder = folder.unwrap_or(Path::new(EMULATORS));
    let there = Emulators::find(folder);
    let Some(wanted) = wanted else { return Ok(there) };
    let chosen = there.only(wanted);
    let native = anima_environment::native_architectures();
    let lacking = wanted.iter().find(|arch| !chosen.architectures().contains(arch) && !native.contains(arch));
    match lacking {
        None => Ok(chosen),
        Some(arch) => Err(Failure::config(format!("could not emulate {arch}: {}", folder.display()))
            .hint("`anima doctor` says which emulators are there and how to get others")),
    }
}

/// Where distributions put QEMU's emulators.
pub const EMULATORS: &str = "/usr/bin";

/// Returns the program that makes sandboxes: this very one, even after another was installed in its place.
pub fn helper() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

/// Runs a role, alone of its kind in its folder, until SIGTERM or Ctrl-C.
fn run<F: Future<Output = Result>>(place: Option<(&Path, Role)>, body: impl FnOnce(CancellationToken) -> F) -> Result {
    log_to_standard_error();
    // Held until the process ends: a supervisor that comes after one that was killed waits for its roles.
    let _supervisors = handover::take_lock().context("could not take over the data folder's lock")?;
    let _own = place.map(|(folder, role)| lock::take_role(folder, role)).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("could not start")?;
    let result = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        end_on_signals(&shutdown)?;
        // A watch on the runtime: where its threads hang, nothing is said.
        tokio::spawn(service::tell(shutdown.clone()));
        match place {
            // These say it themselves, when they answer.
            Some((_, role)) if role.listens() => {}
            _ => service::ready(),
        }
        body(shutdown).await
    });
    // What still blocks a thread, such as a read of a slow disk, does not hold up the end.
    runtime.shutdown_background();
    result
}

/// Cancels when the program is asked to end, or its terminal is closed, so that what is mounted is unmounted and what was begun is
/// given back.
pub fn end_on_signals(shutdown: &CancellationToken) -> Result {
    let hangup = (!is_hangup_ignored()).then(SignalKind::hangup);
    for kind in [SignalKind::terminate(), SignalKind::interrupt()].into_iter().chain(hangup) {
        let mut signal = tokio::signal::unix::signal(kind).context("could not wait for signals")?;
        let shutdown = shutdown.clone();
        tokio::spawn(async move {
            signal.recv().await;
            shutdown.cancel();
            tracing::info!("asked to end");
        });
    }
    Ok(())
}

/// Returns whether whoever started this program wants it to outlive its terminal, as `nohup` does.
fn is_hangup_ignored() -> bool {
    // SAFETY: all-zero is a value of this plain C struct, and the call only writes to a live one.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGHUP, std::ptr::null(), &mut now) == 0 && now.sa_sigaction == libc::SIG_IGN
    }
}

fn log_to_standard_error() {
    let filter = EnvFilter::try_from_env("ANIMA_LOG").unwrap_or_else(|_| EnvFilter::new(LOGGED));
    let has_colours =
        std::io::stderr().is_terminal() && are_colours_wanted(std::env::var_os("NO_COLOR"), std::env::var_os("TERM"));
    // Whoever reads the log may be gone: when a supervisor was killed, its roles have to end, not to fail at saying so.
    let log = tracing_subscriber::fmt().log_internal_errors(false).with_env_filter(filter);
    log.with_writer(std::io::stderr).with_ansi(has_colours).init();
}

/// Decides by the rule of <https://no-color.org>, and by what the terminal says of itself.
fn are_colours_wanted(no_color: Option<OsString>, term: Option<OsString>) -> bool {
    no_color.is_none_or(|value| value.is_empty()) && term.is_none_or(|name| name != "dumb")
}

/// Returns the supervisor's socket, or one of our own.
async fn listener(own: SocketAddr) -> Result<tokio::net::TcpListener> {
    if let Some(listener) = handover::take_listener().context("could not take over the listening socket")? {
        return Ok(tokio::net::TcpListener::from_std(listener).context("could not use the listening socket")?);
    }
    tokio::net::TcpListener::bind(own).await.map_err(|error| {
        Failure::config(format!("could not listen on {own}: {error}")).hint("name another with --listen")
    })
}

/// Returns the address at which this process reaches its own listener.
fn reachable(listener: &tokio::net::TcpListener) -> Result<SocketAddr> {
    let address = listener.local_addr().context("could not tell where it listens")?;
    Ok(up::reachable(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_have_no_colours_where_somebody_says_so_or_the_terminal_has_none() {
        let os = |text: &str| Some(OsString::from(text));

        assert!(are_colours_wanted(None, os("xterm")) && are_colours_wanted(os(""), None));
        assert!(!are_colours_wanted(os("1"), os("xterm")) && !are_colours_wanted(None, os("dumb")));
    }

    #[test]
    fn this_machine_runs_its_own_architecture_in_at_least_one_slot() {
        assert!(!own_architectures().unwrap().is_empty());
        assert!((1..=MAX_DEFAULT_SLOTS as u32).contains(&default_slots()));
    }

    #[test]
    fn what_became_of_one_task_is_told_by_the_exit_code() {
        let code = |once| OnceArgs::told(once).map_or_else(|failure| failure.exit.code(), |()| 0);

        let all = [Once::Succeeded, Once::Failed, Once::Nothing, Once::GivenBack, Once::Abandoned];

        assert_eq!(all.map(code), [0, 5, 11, 12, 12]);
    }

    #[test]
    fn a_name_has_the_machines_and_the_roles() {
        assert!(default_name(Role::BuildNode).ends_with("-build-node"));
    }
}
