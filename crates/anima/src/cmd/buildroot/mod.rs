//! `anima buildroot`: roots without a build.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anima_build_node::{
    Who,
    local::{Lock, RootOrder},
};
use anima_types::{
    Arch,
    platform::{Limits, Platform},
    work::Failure as Failed,
};
use anyhow::Context;
use clap::{Args, Subcommand};
use tokio_util::sync::CancellationToken;

use super::local::{PlatformArgs, Screen, check_architectures, exit_of, failure, origin, place_of, replay, with_local};
use crate::{
    args::Global,
    cmd::role::end_on_signals,
    exit::{Failure, Result},
    output, terminal,
};

/// Lock, make and enter the roots that packages are built in
#[derive(Debug, Subcommand)]
pub enum Buildroot {
    /// Print exactly which packages a root has: name, version and SHA-256 of each
    Lock(LockArgs),
    /// Make a root in a folder, of a lock or of what a package needs
    Create(CreateArgs),
    /// Enter a clean root, or run a command in one; it is gone afterwards
    Shell(ShellArgs),
}

/// What a root is to have.
#[derive(Args, Debug)]
struct RootArgs {
    /// A package whose BuildRequires are installed: a folder with a spec, or a source package
    #[arg(long, value_name = "FOLDER|SRPM")]
    of: Option<PathBuf>,
    /// Where large sources of --of FOLDER are, beside the folder, if its sources have to be asked what they need
    /// (%generate_buildrequires): a folder, a lookaside, or any address that they are below; repeat it for more
    #[arg(long = "sources", value_name = "FOLDER|URL", requires = "of")]
    sources: Vec<String>,
    /// What else is installed, as in BuildRequires; repeat it for more
    #[arg(long = "require", value_name = "DEPENDENCY")]
    requires: Vec<String>,
    /// The architecture [default: this machine's]
    #[arg(long, value_name = "ARCH")]
    arch: Option<Arch>,
    #[command(flatten)]
    platform: PlatformArgs,
}

#[derive(Args, Debug)]
pub struct LockArgs {
    #[command(flatten)]
    root: RootArgs,
    /// Write it there [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A locked list, and where its packages are.
#[derive(Args, Debug)]
pub struct ReplayArgs {
    /// Roots have exactly what this lock says, in place of what would be solved; no repository has to be there
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
    /// A folder with packages of the lock, beside the cache; repeat it for more
    #[arg(long = "packages", value_name = "FOLDER", requires = "lock")]
    pub folders: Vec<PathBuf>,
}

#[derive(Args, Debug)]
pub struct CreateArgs {
    /// Where it is made: a folder that is empty or not there
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    #[command(flatten)]
    root: RootArgs,
    #[command(flatten)]
    replay: ReplayArgs,
}

#[derive(Args, Debug)]
pub struct ShellArgs {
    /// A command in place of a shell
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// Be root in it, not the user that builds run as
    #[arg(long)]
    as_root: bool,
    #[command(flatten)]
    root: RootArgs,
    #[command(flatten)]
    replay: ReplayArgs,
}

impl Buildroot {
    pub fn run(self, global: &Global) -> Result {
        match self {
            Buildroot::Lock(lock) => lock.run(global),
            Buildroot::Create(create) => create.run(global),
            Buildroot::Shell(shell) => shell.run(global),
        }
    }
}

impl LockArgs {
    fn run(self, global: &Global) -> Result {
        let config = self.root.platform.config(global, Limits::default())?;
        let order = self.root.order(global, None)?;
        let lock = with_local(&config, |local| {
            in_runtime(async |cancel| {
                local
                    .lock(&order, Arc::new(Screen::new(false, cancel.clone())), &cancel)
                    .await
                    .map_err(failure)?
                    .map_err(failed)
            })
        })?;
        let json = Lock::to_json(&lock);
        match self.output {
            None => output::raw(&json),
            Some(path) => {
                fs::write(&path, json).with_context(|| format!("could not write {}", path.display()))?;
                output::line(&format!("{} packages in {}", lock.packages.len(), path.display()))
            }
        }
    }
}

impl CreateArgs {
    fn run(self, global: &Global) -> Result {
        let folder = self.folder;
        if fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Failure::user(format!("could not make a root in {}: it is not empty", folder.display())));
        }
        let config = self.root.platform.config(global, Limits::default())?;
        let order = self.root.order(global, Some(&self.replay))?;
        with_local(&config, |local| {
            in_runtime(async |cancel| {
                let root =
                    local.root(&order, Arc::new(Screen::new(false, cancel.clone())), &cancel).await.map_err(failure)?;
                let root = root.map_err(failed)?;
                root.copy_to(&folder).await?;
                Ok(root.remove().await?)
            })
        })?;
        output::line(&format!("{}", folder.display()))
    }
}

impl ShellArgs {
    fn run(self, global: &Global) -> Result {
        let config = self.root.platform.config(global, Limits::default())?;
        let order = self.root.order(global, Some(&self.replay))?;
        let who = if self.as_root { Who::Root } else { Who::Builder };
        with_local(&config, |local| {
            in_runtime(async |cancel| {
                let root =
                    local.root(&order, Arc::new(Screen::new(false, cancel.clone())), &cancel).await.map_err(failure)?;
                let root = root.map_err(failed)?;
                let (entry, command) = (root.entry(local), self.command);
                let entered =
                    tokio::task::spawn_blocking(move || terminal::enter(&entry, &command, who, &cancel)).await;
                root.remove().await?;
                entered.context("could not go on")?
            })
        })
    }
}

impl RootArgs {
    fn order(&self, global: &Global, replay_args: Option<&ReplayArgs>) -> Result<RootOrder> {
        let lock = replay_args.and_then(|args| args.lock.as_ref());
        let platform = match lock {
            Some(_) => self.platform.platform_of_lock(global)?,
            None => self.platform.platform(global)?,
        };
        let arch = default_arch(self.arch, &platform, &self.platform.architectures(global)?)?;
        let replay = replay_args.map(|args| replay(args, &platform, arch)).transpose()?.flatten();
        let origin = self.of.as_deref().map(|path: &Path| origin(path)).transpose()?;
        let places = self.sources.iter().map(|place| place_of(place)).collect::<Result<_>>()?;
        Ok(RootOrder { platform, arch, origin, places, requires: self.requires.clone(), replay })
    }
}

/// Returns the architecture that was asked for, or this machine's.
fn default_arch(asked: Option<Arch>, platform: &Platform, own: &[Arch]) -> Result<Arch> {
    let first = || own.iter().copied().find(|arch| platform.architectures.contains(arch));
    let arches: Vec<Arch> = asked.or_else(first).into_iter().collect();
    check_architectures(&arches, own, platform)?;
    Ok(arches[0])
}

fn failed(failure: Failed) -> Failure {
    let told = Failure::new(exit_of(&[&failure.code]), failure.message);
    match failure.hint {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

/// Does it with a token that is cancelled when the program is asked to end.
pub(super) fn in_runtime<T>(work: impl AsyncFnOnce(CancellationToken) -> Result<T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("could not start")?;
    runtime.block_on(async {
        let cancel = CancellationToken::new();
        end_on_signals(&cancel)?;
        work(cancel).await
    })
}
