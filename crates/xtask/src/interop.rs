//! `cargo xtask interop`: the long forms of tests.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::tidy;

/// How often the loop test switches.
const SWITCHES: &str = "1000";

pub fn run() -> Result<()> {
    let arguments = ["test", "--workspace", "--locked", "--test", "service", "--", "--nocapture", "dnf_loop"];
    eprintln!("ANIMA_SWITCHES={SWITCHES} cargo {}", arguments.join(" "));
    let mut command = Command::new("cargo");
    command.args(arguments).env("ANIMA_SWITCHES", SWITCHES).current_dir(tidy::root());
    ensure!(command.status()?.success(), "the long forms failed");
    Ok(())
}
