//! `anima sign-server`: the keys alone.

use std::path::PathBuf;

use clap::Args;

use super::{NodeArgs, run};
use crate::{args::Global, exit::Result, role::Role};

/// Run the Sign Server alone: it holds the keys, and sees headers and digests only
#[derive(Args, Debug)]
pub struct SignServer {
    #[command(flatten)]
    node: NodeArgs,
    /// A file with the passphrase of the keyring [default: `passphrase` in its folder, made at the first start]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl SignServer {
    pub fn run(self, global: &Global) -> Result {
        let prepared = self.node.prepare(global, Role::SignServer, |config| {
            (config.sign_server.name.clone(), config.sign_server.data.clone())
        })?;
        let config = anima_sign_server::Config {
            name: prepared.name,
            data: prepared.folder.clone(),
            master_url: prepared.master_url,
            token: prepared.token,
            passphrase_file: self.passphrase_file.or(prepared.config.sign_server.passphrase_file),
        };
        run(Some((&prepared.folder, Role::SignServer)), async |shutdown| {
            Ok(anima_sign_server::run(config, shutdown).await?)
        })
    }
}
