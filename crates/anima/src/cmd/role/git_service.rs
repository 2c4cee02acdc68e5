//! `anima git-service`: git and the lookaside alone.

use std::net::SocketAddr;

use anima_git_service::{Config, Crowd};
use clap::Args;

use super::{NodeArgs, listener, reachable, run};
use crate::{args::Global, exit::Result, role::Role, service};

/// Run the Git Service alone: repositories of package sources, and the lookaside
#[derive(Args, Debug)]
pub struct GitService {
    #[command(flatten)]
    node: NodeArgs,
    /// Where it listens [default: 127.0.0.1:8491]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Its address as others reach it [default: http:// and where it listens]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
}

impl GitService {
    pub fn run(self, global: &Global) -> Result {
        let prepared = self.node.prepare(global, Role::GitService, |_| (None, None))?;
        let listen = self.listen.unwrap_or(prepared.config.git_listen);
        let public_url = self.public_url.or(prepared.config.git_url).unwrap_or_else(|| format!("http://{listen}"));
        let crowd =
            Crowd { of_address: prepared.config.connections_of_address, proxies: prepared.config.proxies.clone() };
        let config =
            Config { crowd, ..Config::new(prepared.folder.clone(), public_url, prepared.master_url, prepared.token) };
        run(Some((&prepared.folder, Role::GitService)), async |shutdown| {
            let listener = listener(listen).await?;
            let at = reachable(&listener)?;
            let told = tokio::spawn(async move {
                service::answers(at).await;
                service::ready();
            });
            let served = anima_git_service::run(config, listener, shutdown).await;
            told.abort();
            Ok(served?)
        })
    }
}
