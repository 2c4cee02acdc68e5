//! The Test System: environments, checks, verdicts.
//!
//! It claims `test` tasks. All packages of a build for one target come into one environment: a root with the platform's
//! test packages, in which they are installed in one transaction, as a user's machine would do it. Then each package is
//! looked at ([`checks`]), all are removed again, and each gets its verdict. A package that fails a check is no failure of
//! the task: the task fails only when no verdict could be had.
//!
//! It refuses to run anything of a package outside of a sandbox, and keeps no state worth saving.

mod blame;
pub mod checks;
mod environment;
mod install;
mod journal;
mod node;
mod removal;
mod rpm;
mod solve;
mod subject;
mod test_task;
mod trouble;
mod verdicts;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anima_client::Client;
pub use anima_client::lease::Once;
use anima_client::lease::{Cancel, Runner};
pub use anima_environment::Budget;
use anima_environment::{Emulators, Environments, Swept, blocking, condition, limits_memory};
use anima_types::lease::{Claim, Condition, MAX_WAIT_SECS};
use anima_types::{Arch, task};
use anyhow::Context;
use tokio_util::sync::CancellationToken;

/// What a node has to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name at the master.
    pub name: String,
    /// Its folder: a cache of packages and layers, which other nodes of the machine may share.
    pub data: PathBuf,
    /// The master's address.
    pub master_url: String,
    /// Its token at the master.
    pub token: String,
    /// The program that is run as `helper sandbox-init`: usually this program itself.
    pub helper: PathBuf,
    /// How many tasks it does at once.
    pub slots: u32,
    /// The architectures that it tests.
    pub architectures: Vec<Arch>,
    /// What it tests besides, slowly.
    pub emulators: Emulators,
    /// How much its caches keep on the disk: the same as the other nodes that share them.
    pub budget: Budget,
}

/// Works until `shutdown`. An error means that it can never work: its folder, its token or its claim is wrong.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    with_runner(config, shutdown, async |runner, node, stop| runner.run(node, stop).await).await
}

/// Takes one task, does it, and ends; also when there was none for `wait`, where that is said. An error means what it means
/// for [`run`].
pub async fn run_once(config: Config, wait: Option<Duration>, shutdown: CancellationToken) -> anyhow::Result<Once> {
    with_runner(config, shutdown, async |runner, node, stop| runner.run_once(node, wait, stop).await).await
}

async fn with_runner<T>(
    config: Config,
    shutdown: CancellationToken,
    work: impl AsyncFnOnce(Runner, Arc<node::Node>, Cancel) -> Result<T, anima_client::Error>,
) -> anyhow::Result<T> {
    let node = Arc::new(node::Node {
        environments: Environments::open(&config.data.join("environments"), &config.helper)?
            .with_emulators(config.emulators.clone())
            .with_budget(config.budget),
        helper: config.helper.clone(),
    });
    limits_memory(&config.helper, &config.data);
    let claim = Claim {
        node: config.name,
        kinds: vec![task::Kind::Test],
        architectures: config.architectures,
        emulated: config.emulators.architectures(),
        slots: config.slots,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        instance: String::new(),
        started_at: None,
        wait_secs: MAX_WAIT_SECS,
        condition: Condition::default(),
    };
    let client = Client::new(&config.master_url, Some(config.token)).context("could not use the master's address")?;
    let sweeper = tokio::spawn(sweep_from_time_to_time(Arc::clone(&node)));
    let data = config.data.clone();
    let runner = Runner::new(client, claim).with_condition(move || condition::look(&data));
    let result = work(runner, node, shutdown.into()).await;
    sweeper.abort();
    result.context("could not take test tasks")
}

/// Sweeps at once, which removes the roots of a killed node, and then again and again.
async fn sweep_from_time_to_time(node: Arc<node::Node>) {
    loop {
        let swept = {
            let node = Arc::clone(&node);
            blocking(move || node.environments.sweep_once(SystemTime::now())).await
        };
        match swept {
            Ok(swept) if swept == Swept::default() => {}
            Ok(swept) => tracing::info!(?swept, "the caches were swept"),
            Err(error) => tracing::warn!("the caches were not swept: could not {error}"),
        }
        node.environments.until_next_sweep().await;
    }
}
