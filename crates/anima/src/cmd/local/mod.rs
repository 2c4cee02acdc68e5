//! `anima local`: builds on this machine, without a server.

mod build;
mod platform;
mod screen;

use std::time::SystemTime;

use anima_build_node::local;
use clap::Subcommand;

use crate::{args::Global, exit::Result};

pub use build::{check_architectures, exit_of, failure, origin, place_of, replay};
pub use platform::PlatformArgs;
pub use screen::Screen;

/// Build packages on this machine, without a server, as a Build Node would
#[derive(Debug, Subcommand)]
pub enum Local {
    Build(build::Build),
}

/// Does something with this machine's cache of roots, and sweeps it afterwards, whatever came of it.
pub fn with_local<T>(config: &local::Config, work: impl FnOnce(&local::Local) -> Result<T>) -> Result<T> {
    let local = local::Local::open(config)?;
    let done = work(&local);
    let swept = local.sweep_once(SystemTime::now());
    // Why the work failed matters more than that its cache was not swept.
    let done = done?;
    swept?;
    Ok(done)
}

impl Local {
    pub fn run(self, global: &Global) -> Result {
        match self {
            Local::Build(build) => build.run(global),
        }
    }
}
