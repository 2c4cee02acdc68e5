//! Running commands, with all they said in the error.

use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// Runs a command and returns what it printed; an error has everything that it said.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        bail!("{command:?} ended with {}:\n{}", output.status, said(&output));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command that may fail.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("could not run {command:?}"))
}

/// Returns all that a command said.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
