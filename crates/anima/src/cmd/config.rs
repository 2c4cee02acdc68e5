//! `anima config`: the configuration as it is understood.

use std::path::Path;

use clap::Subcommand;

use crate::{
    args::Global,
    config,
    data::DataFolder,
    exit::{Failure, Result},
    output, platforms,
};

/// Where packages and people put units of systemd.
const SERVICES: [&str; 3] = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

/// Look at the configuration
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Read the configuration and the platforms' files, and say what is wrong or rarely meant
    Check,
    /// Print the whole configuration, defaults and all, as a file
    Show,
}

impl Config {
    pub fn run(self, global: &Global) -> Result {
        let data = DataFolder::new(global.data.as_deref());
        let config = config::Config::load(global.config.as_deref(), &data)?;
        match self {
            Config::Check => check(&config, &data),
            Config::Show => show(&config),
        }
    }
}

fn check(config: &config::Config, data: &DataFolder) -> Result {
    let platforms = platforms::load(&data.platforms()).map_err(|error| Failure::config(error.to_string()))?;
    let of_services = || config.service_warnings(data);
    let are_installed = SERVICES.iter().any(|folder| Path::new(folder).join("anima-master.service").exists());
    for warning in config.warnings().into_iter().chain(are_installed.then(of_services).into_iter().flatten()) {
        output::line(&format!("warning: {warning}"))?;
    }
    output::line(&format!(
        "The configuration is good. Data folder {}, {} platforms.",
        data.path().display(),
        platforms.len()
    ))
}

fn show(config: &config::Config) -> Result {
    let text = toml::to_string(config).map_err(anyhow::Error::new)?;
    output::raw(&text)
}
