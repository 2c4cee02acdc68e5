//! The system's own programs: `mount`, `btrfs`, LVM's. Each does one thing that has no better interface.

use std::{ffi::OsStr, process::Command};

use crate::error::Error;

/// Runs a program to its end and returns what it printed.
pub(crate) fn run(program: &'static str, arguments: &[&OsStr]) -> Result<String, Error> {
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C");
    let failed = |said: String| Error::Program { program, said };
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(failed(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))),
    }
}

/// Returns whether a program is there.
pub(crate) fn is_there(program: &'static str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}
