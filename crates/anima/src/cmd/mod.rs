//! The commands: one file a noun or a role. Each takes what all commands share, does one thing, and prints it.

pub mod config;
pub mod doctor;

use crate::{
    args::{Command, Global},
    exit::Result,
};

/// Runs a command.
pub fn run(global: &Global, command: Command) -> Result {
    match command {
        Command::Doctor(doctor) => doctor.run(global),
        Command::Config(config) => config.run(global),
    }
}
