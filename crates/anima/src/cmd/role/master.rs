//! `anima master`: the brain alone.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use super::{listener, reachable, run};
use crate::{
    args::Global,
    config::{self, Config},
    config_oidc::Oidc,
    data::{self, DataFolder, Running},
    exit::{Failure, Result},
    platforms,
    role::Role,
    service,
    up::{self, handover, lock},
};

/// Run the Master Service alone: API, pages, scheduler, database, repositories
#[derive(Args, Debug)]
pub struct Master {
    /// Where it listens [default: 127.0.0.1:8490]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Its address as others reach it [default: http:// and where it listens]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// The Git Service's address
    #[arg(long, value_name = "URL")]
    git_url: Option<String>,
    /// Serve a folder of packages at /mirror/NAME/; repeat it for more
    #[arg(long = "mirror", value_name = "NAME=FOLDER", value_parser = config::parse_mirror)]
    mirrors: Vec<(String, PathBuf)>,
}

impl Master {
    pub fn run(self, global: &Global) -> Result {
        let is_supervised = handover::is_supervised();
        let data = DataFolder::new(Some(&up::whole(DataFolder::new(global.data.as_deref()).path())?));
        data.create()?;
        lock::refuse_half_restored(&data)?;
        let mut config = Config::load(global.config.as_deref(), &data)?;
        config.mirrors.extend(self.mirrors);
        let listen = self.listen.unwrap_or(config.listen);
        let git_url = self.git_url.or(config.git_url).unwrap_or_else(|| format!("http://{}", config.git_listen));
        let public_url = self.public_url.or(config.public_url).unwrap_or_else(|| format!("http://{listen}"));
        let folder = data.of_role(Role::Master.name());
        // Under `anima up`, the supervisor says where all of it is.
        let (is_alone, running_file) = (!is_supervised, data.running());
        let alone =
            is_alone.then(|| Running { pid: std::process::id(), master_url: String::new(), git_url: git_url.clone() });
        let master = anima_master::Config {
            data: folder.clone(),
            database: config.database.address(&folder),
            artifacts: config.store.address(&folder)?,
            public_url,
            git_url,
            platforms: platforms::load(&data.platforms()).map_err(|error| Failure::config(error.to_string()))?,
            mirrors: config.mirrors,
            tokens: data.tokens(),
            proxies: config.proxies,
            retention: config.retention,
            limits_factor: config.limits_factor,
            connections_of_address: config.connections_of_address,
            oidc: config.oidc.as_ref().map(Oidc::of_master).transpose()?,
            quota: config.quota,
        };
        run(Some((&folder, Role::Master)), async |shutdown| {
            let listener = listener(listen).await?;
            let at = reachable(&listener)?;
            let told = tokio::spawn(async move {
                service::answers(at).await;
                if let Some(running) = alone {
                    tell_where(&data, &Running { master_url: format!("http://{at}"), ..running });
                }
                service::ready();
            });
            let served = anima_master::run(master, listener, shutdown).await;
            told.abort();
            if is_alone {
                let _ = std::fs::remove_file(running_file);
            }
            Ok(served?)
        })
    }
}

/// Lets the command line on this machine find the master; without it, it has to be named.
fn tell_where(data: &DataFolder, running: &Running) {
    let written = serde_json::to_string_pretty(running).map_err(std::io::Error::other);
    let path = data.running();
    if let Err(error) = written.and_then(|text| data::write_whole(&path, &text)) {
        tracing::warn!("could not write {}: {error}", path.display());
    }
}
