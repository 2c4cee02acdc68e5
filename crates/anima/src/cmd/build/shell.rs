//! `anima build shell`: the root of a failed task, as its node has kept it.

use std::path::Path;

use anima_build_node::{Who, kept};
use anima_environment::Emulators;
use anima_types::id::TaskId;
use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::{
    args::Global,
    client,
    cmd::{
        buildroot::in_runtime,
        role::{emulators, helper},
    },
    config::Config,
    data::DataFolder,
    exit::{Failure, Result},
    role::Role,
    terminal, up,
};

/// Enter the root of a task that failed, on the machine of the node that built it, while that keeps it
#[derive(Args, Debug)]
pub struct Shell {
    /// The task's id
    task: TaskId,
    /// A command in place of a shell
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// Be root in it, not the user that builds run as
    #[arg(long)]
    as_root: bool,
    /// The node's folder [default: as the configuration has it]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<std::path::PathBuf>,
}

impl Shell {
    pub fn run(self, global: &Global) -> Result {
        let data = DataFolder::new(global.data.as_deref());
        let config = Config::load(global.config.as_deref(), &data)?;
        let node = &config.build_node;
        let emulators = emulators(node.emulate.as_deref(), node.emulators.as_deref())?;
        let folder =
            self.folder.clone().or(config.build_node.data).unwrap_or_else(|| data.of_role(Role::BuildNode.folder()));
        let is_root = rustix::process::geteuid().is_root();
        let is_here = is_root && folder.join("environments").is_dir();
        // Signals are waited for before anything is mounted, and it is unmounted whatever ends the shell.
        let is_entered = is_here && in_runtime(async |cancel| self.enter(&folder, emulators, &cancel))?;
        if is_entered { Ok(()) } else { Err(elsewhere(global, self.task, is_root)) }
    }

    /// Returns whether the root is kept here, once the person has left it.
    fn enter(&self, folder: &Path, emulators: Emulators, cancel: &CancellationToken) -> Result<bool> {
        let kept = kept::enter(&up::whole(folder)?, &helper(), emulators, self.task)?;
        let Some(kept) = kept else { return Ok(false) };
        eprintln!("{} for {}: {}", kept.about.package, kept.about.arch, kept.about.failure);
        let who = if self.as_root { Who::Root } else { Who::Builder };
        terminal::enter(&kept.entry, &self.command, who, cancel)?;
        Ok(true)
    }
}

/// Says where the root is: nothing dials into a node, so it is entered where it is.
fn elsewhere(global: &Global, task: TaskId, is_root: bool) -> Failure {
    let failure = Failure::user(format!("no root of task {task} is kept here"));
    let node = client::of(global).ok().and_then(|client| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        runtime.block_on(client.task(task)).ok()?.node
    });
    match (node, is_root) {
        (Some(node), _) => failure.hint(format!(
            "node {node} had the task: run `anima build shell {task}` as root on its machine, with its data folder (--data), \
             while it keeps the root ([build_node] keep_hours, keep_mib)"
        )),
        (None, false) => failure.hint("only root can enter roots"),
        (None, true) => failure.hint("a node keeps the roots of failed tasks for a time ([build_node] keep_hours, keep_mib)"),
    }
}
