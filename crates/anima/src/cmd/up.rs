//! `anima up`: everything on one machine.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::Args;

use crate::{args::Global, config, data::DataFolder, exit::Result, role::Role, up};

/// Run everything on this machine, each role as a process of its own, until Ctrl-C
#[derive(Args, Debug)]
pub struct Up {
    /// Where the master listens [default: 127.0.0.1:8490; port 0 takes any that is free]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where the Git Service listens [default: 127.0.0.1:8491; port 0 takes any that is free]
    #[arg(long, value_name = "ADDRESS")]
    git_listen: Option<SocketAddr>,
    /// The master's address as others reach it
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// The Git Service's address as others reach it
    #[arg(long, value_name = "URL")]
    git_url: Option<String>,
    /// A role to run; repeat it for more [default: all]
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<Role>,
    /// Serve a folder of packages at /mirror/NAME/; repeat it for more
    #[arg(long = "mirror", value_name = "NAME=FOLDER", value_parser = config::parse_mirror)]
    mirrors: Vec<(String, PathBuf)>,
}

impl Up {
    pub fn run(self, global: &Global) -> Result {
        let data = DataFolder::new(Some(&up::whole(DataFolder::new(global.data.as_deref()).path())?));
        let mut config = config::Config::load(global.config.as_deref(), &data)?;
        let whole = |path: &Path| up::whole(path);
        config.listen = self.listen.unwrap_or(config.listen);
        config.git_listen = self.git_listen.unwrap_or(config.git_listen);
        config.public_url = self.public_url.or(config.public_url);
        config.git_url = self.git_url.or(config.git_url);
        if !self.roles.is_empty() {
            config.roles = self.roles;
        }
        for (name, folder) in self.mirrors {
            config.mirrors.insert(name, whole(&folder)?);
        }
        up::run(up::Plan {
            data,
            config,
            config_file: global.config.as_deref().map(whole).transpose()?,
            master_url: global.master.clone(),
            token: global.token.clone(),
        })
    }
}
