//! The commands: one file a noun or a role. Each takes what all commands share, does one thing, and prints it.

pub mod account;
pub mod audit;
pub mod build;
pub mod buildroot;
pub mod completion;
pub mod config;
pub mod diagnose;
pub mod doctor;
pub mod elevate;
pub mod event;
pub mod key;
pub mod local;
mod log;
pub mod login;
pub mod lookaside;
pub mod maintenance;
pub mod node;
pub mod package;
pub mod plan;
pub mod platform;
pub mod product;
pub mod rebuild;
pub mod release;
pub mod repo;
mod repo_export;
mod repo_index;
pub mod repo_keep;
mod repo_look;
pub mod right;
pub mod role;
pub mod search;
pub mod session;
pub mod task;
mod task_download;
pub mod team;
pub mod token;
pub mod up;
pub mod upkeep;
pub mod webhook;

use anima_client::Client;
use anyhow::Context;

use crate::{
    args::{Command, Global},
    client,
    exit::Result,
    output::Output,
};

/// Runs a command.
pub fn run(global: &Global, command: Command) -> Result {
    match command {
        Command::Up(up) => up.run(global),
        Command::Build(build::Build::Shell(shell)) => shell.run(global),
        Command::Build(build) => ask(global, async |ask| build.run(ask).await),
        Command::Plan(plan) => ask(global, async |ask| plan.run(ask).await),
        Command::Rebuild(rebuild) => ask(global, async |ask| rebuild.run(ask).await),
        Command::Task(task) => ask(global, async |ask| task.run(ask).await),
        Command::Package(package) => ask(global, async |ask| package.run(ask).await),
        Command::Search(search) => ask(global, async |ask| search.run(ask).await),
        Command::Release(release) => ask(global, async |ask| release.run(ask).await),
        Command::Product(product) => ask(global, async |ask| product.run(ask).await),
        Command::Repo(repo) => repo.run(global),
        Command::Store(store) => ask(global, async |ask| store.run(ask).await),
        Command::Platform(platform) => ask(global, async |ask| platform.run(ask).await),
        Command::Maintenance(maintenance) => ask(global, async |ask| maintenance.run(ask).await),
        Command::Node(node) => ask(global, async |ask| node.run(ask).await),
        Command::Key(key) => ask(global, async |ask| key.run(ask, global).await),
        Command::Login(login) => login.run(global),
        Command::Logout(logout) => logout.run(global),
        Command::Account(account) => ask(global, async |ask| account.run(ask).await),
        Command::Session(session) => ask(global, async |ask| session.run(ask).await),
        Command::Team(team) => ask(global, async |ask| team.run(ask).await),
        Command::Right(right) => ask(global, async |ask| right.run(ask).await),
        Command::Audit(audit) => ask(global, async |ask| audit.run(ask).await),
        Command::Token(token) => ask(global, async |ask| token.run(ask).await),
        Command::Webhook(webhook) => ask(global, async |ask| webhook.run(ask).await),
        Command::Event(event) => ask(global, async |ask| event.run(ask).await),
        Command::Master(role) => role.run(global),
        Command::GitService(role) => role.run(global),
        Command::BuildNode(role) => role.run(global),
        Command::TestNode(role) => role.run(global),
        Command::SignServer(role) => role.run(global),
        Command::ReleaseSystem(role) => role.run(global),
        Command::Lookaside(lookaside) => lookaside.run(global),
        Command::Buildroot(buildroot) => buildroot.run(global),
        Command::Local(local) => local.run(global),
        Command::Elevate(elevate) => elevate.run(global),
        Command::Diagnose(diagnose) => diagnose.run(global),
        Command::Doctor(doctor) => doctor.run(global),
        Command::Config(config) => config.run(global),
        Command::Completion(completion) => completion.run(),
        Command::Man(man) => man.run(),
        Command::Backup(backup) => backup.run(global),
        Command::Restore(restore) => restore.run(global),
        Command::Move(moving) => moving.run(global),
        Command::Fsck(fsck) => fsck.run(global),
    }
}

/// What a command that asks the master has in its hands.
pub struct Ask {
    pub client: Client,
    pub output: Output,
}

/// Runs a command that asks the master.
fn ask(global: &Global, command: impl AsyncFnOnce(&Ask) -> Result) -> Result {
    let ask = Ask { client: client::of(global)?, output: Output::new(global.json) };
    block_on(command(&ask))
}

fn block_on(command: impl Future<Output = Result>) -> Result {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("could not start")?;
    runtime.block_on(command)
}
