//! Anima: everything that it takes to run an Enterprise Linux distribution.
//!
//! One program, many roles. This crate is the only one that reads the environment, prints, exits and starts a runtime;
//! what the roles do is in their own crates, and what they say to one another in `anima-types`.

mod args;
mod cmd;
mod config;
mod data;
mod doctor;
mod exit;
mod output;
mod platforms;
mod role;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    match cmd::run(&cli.global, cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.exit.code())
        }
    }
}
