//! `anima local`: builds on this machine, without a server.

mod build;
mod platform;
mod screen;

use clap::Subcommand;

use crate::{args::Global, exit::Result};

pub use build::{check_architectures, exit_of, failure, origin, replay};
pub use platform::PlatformArgs;
pub use screen::Screen;

/// Build packages on this machine, without a server, as a Build Node would
#[derive(Debug, Subcommand)]
pub enum Local {
    Build(build::Build),
}

impl Local {
    pub fn run(self, global: &Global) -> Result {
        match self {
            Local::Build(build) => build.run(global),
        }
    }
}
