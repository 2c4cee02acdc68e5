//! `anima completion` and `anima man`: the command line, told to shells and to man.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::{args::Cli, exit::Result, output};

/// Print what a shell needs to complete commands
#[derive(Args, Debug)]
#[command(after_help = "bash: anima completion bash > /etc/bash_completion.d/anima\n\
                        fish: anima completion fish > ~/.config/fish/completions/anima.fish\n\
                        zsh:  anima completion zsh > \"${fpath[1]}/_anima\"")]
pub struct Completion {
    /// The shell
    shell: Shell,
}

/// Write a manual page for each command
#[derive(Args, Debug)]
pub struct Man {
    /// The folder, such as /usr/local/share/man/man1; it is made if missing
    folder: PathBuf,
}

impl Completion {
    pub fn run(self) -> Result {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "anima", &mut script);
        output::raw(&String::from_utf8_lossy(&script))
    }
}

impl Man {
    pub fn run(self) -> Result {
        let folder = &self.folder;
        fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
        clap_mangen::generate_to(Cli::command(), folder)
            .with_context(|| format!("could not write to {}", folder.display()))?;
        output::line(&format!("The pages are in {}; the first is anima.1.", folder.display()))
    }
}
