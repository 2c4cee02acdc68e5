//! The Build Node: sources to SRPM, SRPM to RPMs.
//!
//! It claims `src` and `build` tasks. Whatever runs code of a package (reading its spec, building it) runs in a root of the
//! platform's own packages, as an ordinary user, without a network; on the machine itself only git and our own readers
//! touch a package's bytes.
//!
//! It keeps no state worth saving: its folder is a cache, and may be removed while no node runs on it.

mod admission;
mod autospec;
mod build_task;
mod collect;
mod engine;
mod entry;
mod files;
mod git;
mod history;
mod job;
pub mod kept;
mod limits;
pub mod local;
mod node;
mod provenance;
mod record;
mod sources;
mod src_task;
mod sweep;
mod trouble;
mod workroot;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anima_client::Client;
pub use anima_client::lease::Once;
use anima_client::lease::{Cancel, Runner};
pub use anima_environment::Budget;
use anima_environment::{Emulators, Environments, blocking, condition};
use anima_types::lease::{Claim, Condition, MAX_WAIT_SECS};
use anima_types::{Arch, task};
use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, flock};
use tokio_util::sync::CancellationToken;

pub use entry::{Entry, Who};
pub use sweep::Swept;

/// What a node has to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name at the master.
    pub name: String,
    /// Its folder: a cache of packages and layers, and one folder for each task.
    pub data: PathBuf,
    /// The master's address.
    pub master_url: String,
    /// Its token at the master.
    pub token: String,
    /// The program that is run as `helper sandbox-init`: usually this program itself.
    pub helper: PathBuf,
    /// How many tasks it does at once.
    pub slots: u32,
    /// The architectures that it builds for.
    pub architectures: Vec<Arch>,
    /// What it builds for besides, slowly.
    pub emulators: Emulators,
    /// What each task may use; its share of the machine where nothing is said.
    pub limits: anima_types::platform::Limits,
    /// What its machine has that not all have, such as `kvm`: packages may need it.
    pub features: Vec<String>,
    /// Which roots of failed tasks it keeps for people to enter.
    pub keep: Option<kept::Keep>,
    /// How much its caches keep on the disk.
    pub budget: Budget,
}

/// Takes one task, does it, and ends; also when there was none for `wait`, where that is said. An error means what it means
/// for [`run`].
pub async fn run_once(config: Config, wait: Option<Duration>, shutdown: CancellationToken) -> anyhow::Result<Once> {
    with_runner(config, shutdown, async |runner, node, stop| runner.run_once(node, wait, stop).await).await
}

/// Works until `shutdown`. An error means that it can never work: its folder, its token or its claim is wrong.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    with_runner(config, shutdown, async |runner, node, stop| runner.run(node, stop).await).await
}

async fn with_runner<T>(
    config: Config,
    shutdown: CancellationToken,
    work: impl AsyncFnOnce(Runner, Arc<node::Node>, Cancel) -> Result<T, anima_client::Error>,
) -> anyhow::Result<T> {
    let own = config.data.join("build-node");
    std::fs::create_dir_all(&own).with_context(|| format!("could not make {}", own.display()))?;
    let _alone = alone(&own)?;
    let node = Arc::new(open(&config, &own)?);
    let sweeper = tokio::spawn(sweep::from_time_to_time(Arc::clone(&node)));
    let claim = Claim {
        node: config.name,
        kinds: vec![task::Kind::Src, task::Kind::Build],
        architectures: config.architectures,
        emulated: config.emulators.architectures(),
        slots: config.slots,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        instance: String::new(),
        started_at: None,
        wait_secs: MAX_WAIT_SECS,
        condition: Condition::default(),
    };
    let client = Client::new(&config.master_url, Some(config.token))?;
    let (data, slots, limits, features) = (config.data.clone(), config.slots, config.limits, config.features.clone());
    let look = move || {
        let condition = condition::look(&data);
        let cores = condition.machine.map_or(1, |machine| machine.cores);
        // What cannot be looked at is told by the condition.
        let machine = limits::Machine::look(&data, slots).ok();
        let gives = machine.map(|machine| limits::Limits::given(machine, limits, cores));
        Condition { gives, features: features.clone(), ..condition }
    };
    let runner = Runner::new(client, claim).with_condition(look);
    let result = work(runner, node, shutdown.into()).await;
    sweeper.abort();
    Ok(result?)
}

/// Two nodes in one folder would remove each other's work.
fn alone(own: &Path) -> anyhow::Result<File> {
    let path = own.join("lock");
    let lock = File::create(&path).with_context(|| format!("could not open {}", path.display()))?;
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        bail!("could not use {}: another build node works in it", own.display());
    }
    Ok(lock)
}

/// Opens what a node works with, and removes what one that was killed has left.
fn open(config: &Config, own: &Path) -> anyhow::Result<node::Node> {
    let work = own.join("work");
    sweep::remove_leftovers(&work)?;
    let environments = Environments::open(&config.data.join("environments"), &config.helper)?;
    let environments = environments.with_emulators(config.emulators.clone()).with_budget(config.budget);
    let (helper, slots, limits) = (config.helper.clone(), config.slots, config.limits);
    let engine = engine::Engine::new(engine::Setup { environments, helper, work, slots, limits })?;
    let (name, master_url) = (config.name.clone(), config.master_url.clone());
    Ok(node::Node { engine, name, keep: config.keep, master_url })
}

/// Removes what was least recently used from the caches of a node's folder, now.
pub async fn sweep_once(node_data: &Path, helper: &Path, now: SystemTime) -> anyhow::Result<Swept> {
    let (data, helper) = (node_data.to_owned(), helper.to_owned());
    blocking(move || sweep::once(&Environments::open(&data.join("environments"), &helper)?, now)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_node_in_the_same_folder_is_refused() {
        let own = tempfile::tempdir().unwrap();

        let first = alone(own.path()).unwrap();
        assert!(alone(own.path()).unwrap_err().to_string().ends_with("another build node works in it"));

        drop(first);
        assert!(alone(own.path()).is_ok());
    }
}
