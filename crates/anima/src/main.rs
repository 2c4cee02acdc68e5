//! Anima: everything that it takes to run an Enterprise Linux distribution.
//!
//! One program, many roles. This crate is the only one that reads the environment, prints, exits and starts a runtime;
//! what the roles do is in their own crates, and what they say to one another in `anima-types`.

mod args;
mod client;
mod cmd;
mod config;
mod config_oidc;
mod credentials;
mod data;
mod doctor;
mod exit;
mod output;
mod platforms;
mod role;
mod secret;
mod service;
mod terminal;
mod up;

use std::process::ExitCode;

use clap::Parser;

/// Does what the system's allocator does, and overwrites what it gives back where the Sign Server asks for that.
#[global_allocator]
static ALLOCATOR: anima_sign_server::wipe::Wiping = anima_sign_server::wipe::Wiping;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == anima_sandbox::HELPER_ARGUMENT) {
        // Namespaces belong to a process with one thread, before anything else has happened in it.
        anima_sandbox::init_main();
    }
    let cli = args::Cli::parse();
    match cmd::run(&cli.global, cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", failure.told(cli.global.json));
            ExitCode::from(failure.exit.code())
        }
    }
}
