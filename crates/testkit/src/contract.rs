//! The API's contract: schemathesis asks a running master all that its own description says it takes, and more that it does
//! not, and compares the answers with it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{command, seed::target_folder};

/// How a run is bounded.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// What it draws from; the same asks the same.
    pub seed: u64,
    /// Questions for each operation that are drawn, besides those that are always asked.
    pub examples: u32,
    /// Seconds for all of it.
    pub secs: u32,
}

/// It is not asked: its answer has no end, and the tool reads answers to theirs.
const ENDLESS: &str = "/api/v1/events";
/// These take tokens away, and it may be the one that all others are asked with: they are asked last.
const LAST: [&str; 2] = ["/api/v1/tokens/{token}", "/api/v1/tokens/own"];

/// Asks a master everything, as who has a token or as nobody. An answer that its description does not have is an error with
/// the request that got it. What takes tokens away is for [`takes_tokens_away_by_its_contract`].
pub fn keeps_its_contract(master_url: &str, token: Option<&str>, bounds: Bounds) -> Result<()> {
    let mut command = run(master_url, token, bounds)?;
    command.args(["--exclude-path", ENDLESS]);
    for path in LAST {
        command.args(["--exclude-path", path]);
    }
    ended(&mut command)
}

/// Asks a master what takes tokens away. Of those of the whole system some are gone afterwards, and so is `token`.
pub fn takes_tokens_away_by_its_contract(master_url: &str, token: &str, bounds: Bounds) -> Result<()> {
    for path in LAST {
        ended(run(master_url, Some(token), bounds)?.args(["--include-path", path]))?;
    }
    Ok(())
}

fn run(master_url: &str, token: Option<&str>, bounds: Bounds) -> Result<Command> {
    let folder = virtual_environment("schemathesis")?;
    let mut command = Command::new(folder.join("bin/schemathesis"));
    command.arg("--config-file").arg(source("schemathesis").join("schemathesis.toml"));
    command.arg("run").arg(format!("{master_url}/api/v1/openapi.json"));
    command.args(["--seed", &bounds.seed.to_string(), "--max-examples", &bounds.examples.to_string()]);
    command.args(["--max-time", &bounds.secs.to_string(), "--no-color"]);
    // Threads of Python 3.11 that compile at once lose count of each other ("AST constructor recursion depth mismatch").
    command.args(["--workers", "1"]);
    if let Some(token) = token {
        command.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    // Who asks too often without one is told that first (429), which is not what this check expects; the walk over all routes
    // asks each without a header.
    command.args(["--exclude-checks", "missing_required_header"]);
    // What it remembers of earlier failures would make a run another one.
    let memory = tempfile::tempdir()?.keep();
    command.current_dir(&memory);
    Ok(command)
}

fn ended(command: &mut Command) -> Result<()> {
    let output = command::output(command)?;
    let memory = command.get_current_dir().map(Path::to_path_buf);
    memory.map_or(Ok(()), fs::remove_dir_all)?;
    match output.status.success() {
        true => Ok(()),
        false => bail!("the API does not keep its contract:\n{}", command::said(&output)),
    }
}

/// Returns the folder of this crate that says what a virtual environment is of.
pub(crate) fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Returns the folder of a virtual environment of Python, which is filled once for each list of versions.
pub(crate) fn virtual_environment(name: &str) -> Result<PathBuf> {
    let requirements = source(name).join("requirements.txt");
    let wanted = fs::read(&requirements).context("could not read the list of versions")?;
    let folder = target_folder().join(name);
    fs::create_dir_all(&folder)?;
    let lock = fs::File::create(folder.join("lock"))?;
    lock.lock()?;
    let (place, note) = (folder.join("venv"), folder.join("venv/requirements.txt"));
    if fs::read(&note).ok() != Some(wanted) {
        if place.exists() {
            fs::remove_dir_all(&place)?;
        }
        command::run(Command::new("python3").args(["-m", "venv"]).arg(&place))?;
        let install = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"];
        command::run(Command::new(place.join("bin/pip")).args(install).arg(&requirements))?;
        fs::copy(requirements, &note)?;
    }
    Ok(place.canonicalize()?)
}
