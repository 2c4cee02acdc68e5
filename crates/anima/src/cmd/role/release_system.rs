//! `anima release-system`: plans and repository metadata alone.

use clap::Args;

use super::{NodeArgs, run};
use crate::{args::Global, exit::Result, role::Role};

/// Run the Release System alone: plans, and the metadata of repositories
#[derive(Args, Debug)]
pub struct ReleaseSystem {
    #[command(flatten)]
    node: NodeArgs,
}

impl ReleaseSystem {
    pub fn run(self, global: &Global) -> Result {
        let prepared = self.node.prepare(global, Role::ReleaseSystem, |config| {
            (config.release_system.name.clone(), config.release_system.data.clone())
        })?;
        let config = anima_release_system::Config {
            name: prepared.name,
            master_url: prepared.master_url,
            token: prepared.token,
            folder: prepared.folder,
        };
        run(None, async |shutdown| Ok(anima_release_system::run(config, shutdown).await?))
    }
}
