//! `cargo xtask contract`: the API's contract in its long form.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::tidy;

pub fn run(minutes: u32, seed: u32) -> Result<()> {
    let arguments = ["test", "--workspace", "--locked", "--test", "story", "--", "--nocapture", "contract"];
    // One run with a token, and one without.
    let secs = (minutes * 60 / 2).to_string();
    eprintln!("ANIMA_CONTRACT_SECS={secs} ANIMA_CONTRACT_SEED={seed} cargo {}", arguments.join(" "));
    let mut command = Command::new("cargo");
    command.args(arguments).env("ANIMA_CONTRACT_SECS", secs).env("ANIMA_CONTRACT_SEED", seed.to_string());
    ensure!(command.current_dir(tidy::root()).status()?.success(), "the API does not keep its contract");
    Ok(())
}
