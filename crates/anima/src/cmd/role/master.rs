//! `anima master`: the brain alone.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use super::{listener, run};
use crate::{
    args::Global,
    config::{self, Config},
    config_oidc::Oidc,
    data::DataFolder,
    exit::{Failure, Result},
    platforms,
    role::Role,
    up::{self, lock},
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
        let data = DataFolder::new(Some(&up::whole(DataFolder::new(global.data.as_deref()).path())?));
        data.create()?;
        lock::refuse_half_restored(&data)?;
        let mut config = Config::load(global.config.as_deref(), &data)?;
        config.mirrors.extend(self.mirrors);
        let listen = self.listen.unwrap_or(config.listen);
        let git_url = self.git_url.or(config.git_url).unwrap_or_else(|| format!("http://{}", config.git_listen));
        let public_url = self.public_url.or(config.public_url).unwrap_or_else(|| format!("http://{listen}"));
        let folder = data.of_role(Role::Master.name());
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
            oidc: config.oidc.as_ref().map(Oidc::of_master).transpose()?,
        };
        run(Some((&folder, Role::Master)), async |shutdown| {
            let listener = listener(listen).await?;
            Ok(anima_master::run(master, listener, shutdown).await?)
        })
    }
}
