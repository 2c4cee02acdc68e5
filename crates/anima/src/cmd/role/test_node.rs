//! `anima test-node`: tests alone.

use clap::Args;

use super::{NodeArgs, OnceArgs, default_slots, emulators, helper, own_architectures, run};
use crate::{args::Global, exit::Result, role::Role};

/// Run the Test System alone: packages installed and checked in roots of their own
#[derive(Args, Debug)]
pub struct TestNode {
    #[command(flatten)]
    node: NodeArgs,
    /// How many tasks it does at once [default: by cores and memory]
    #[arg(long)]
    slots: Option<u32>,
    #[command(flatten)]
    once: OnceArgs,
}

impl TestNode {
    pub fn run(self, global: &Global) -> Result {
        let prepared = self
            .node
            .prepare(global, Role::TestNode, |config| (config.test_node.name.clone(), config.test_node.data.clone()))?;
        let node = &prepared.config.test_node;
        let config = anima_test_system::Config {
            name: prepared.name,
            data: prepared.folder.clone(),
            master_url: prepared.master_url,
            token: prepared.token,
            helper: helper(),
            slots: self.once.slots(|| self.slots.or(node.slots).unwrap_or_else(default_slots)),
            architectures: own_architectures()?,
            emulators: emulators(node.emulate.as_deref(), node.emulators.as_deref())?,
            budget: prepared.config.build_node.budget(),
        };
        run(Some((&prepared.folder, Role::TestNode)), async |shutdown| match self.once.once {
            true => OnceArgs::told(anima_test_system::run_once(config, self.once.wait(), shutdown).await?),
            false => Ok(anima_test_system::run(config, shutdown).await?),
        })
    }
}
