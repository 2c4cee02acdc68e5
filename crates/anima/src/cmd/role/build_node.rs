//! `anima build-node`: builds alone.

use anima_build_node::kept;
use clap::Args;

use super::{NodeArgs, OnceArgs, default_slots, emulators, helper, own_architectures, run};
use crate::{args::Global, exit::Result, role::Role};

/// Run a Build Node alone: source and binary packages in clean roots
#[derive(Args, Debug)]
pub struct BuildNode {
    #[command(flatten)]
    node: NodeArgs,
    /// How many tasks it does at once [default: by cores and memory]
    #[arg(long)]
    slots: Option<u32>,
    #[command(flatten)]
    once: OnceArgs,
}

impl BuildNode {
    pub fn run(self, global: &Global) -> Result {
        let prepared = self.node.prepare(global, Role::BuildNode, |config| {
            (config.build_node.name.clone(), config.build_node.data.clone())
        })?;
        let node = &prepared.config.build_node;
        let config = anima_build_node::Config {
            name: prepared.name,
            data: prepared.folder.clone(),
            master_url: prepared.master_url,
            token: prepared.token,
            helper: helper(),
            slots: self.once.slots(|| self.slots.or(node.slots).unwrap_or_else(default_slots)),
            architectures: own_architectures()?,
            emulators: emulators(node.emulate.as_deref(), node.emulators.as_deref())?,
            limits: prepared.config.build_node.limits,
            features: prepared.config.build_node.features.clone(),
            keep: kept::Keep::of(prepared.config.build_node.keep_hours, prepared.config.build_node.keep_mib),
            budget: node.budget(),
        };
        run(Some((&prepared.folder, Role::BuildNode)), async |shutdown| match self.once.once {
            true => OnceArgs::told(anima_build_node::run_once(config, self.once.wait(), shutdown).await?),
            false => Ok(anima_build_node::run(config, shutdown).await?),
        })
    }
}
