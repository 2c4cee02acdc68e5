//! `anima config`: the configuration as it is understood.

use clap::Subcommand;

use crate::{
    args::Global,
    config,
    data::DataFolder,
    exit::{Failure, Result},
    output, platforms,
};

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
    for warning in config.warnings() {
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
