//! `cargo xtask bench NAME`: measures the release build of the program, beside the peer in the same run, and prints one
//! line for each figure. What the figures are for is in docs/PERFORMANCE.md.

mod buildroot;
mod closure;
mod elevate;
mod idle;
mod log;
pub mod measured;
mod mock;
mod nodes;
mod pipeline;
mod plan;
mod processes;
mod publish;
mod repodata;
mod set;
mod sign;

pub use plan::corpus;
use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde::Serialize;

use crate::tidy;

/// What can be measured.
#[derive(Clone, Copy, ValueEnum)]
pub enum Bench {
    /// Clean buildroots, cold and warm, the overhead of a task, four builds at once; beside `dnf --installroot` and mock.
    Buildroot,
    /// Whether all packages of an Enterprise Linux can be installed, beside `dnf repoclosure`; on the metadata in `../shared/data`.
    Closure,
    /// The plan of an upgrade with 1,500 packages of 18,000, cold and again, and of a fleet of 1,000 machines.
    Elevate,
    /// The idle system, all roles in one: memory, processor time, time until it is ready.
    Idle,
    /// A line of a live log on its way from the build to its reader, whose connection is cut again and again.
    Log,
    /// The example `hello` from commit to `dnf install`, everything warm, beside the bare `rpmbuild -ba`; and a set of twenty
    /// packages on four slots, beside its longest chain.
    Pipeline,
    /// A thousand simulated nodes, and claims with a hundred thousand tasks queued: `nodes-1000`, `handover`, `claim`,
    /// `claim-postgres` (beside PostgreSQL's SKIP LOCKED alone); and the end of a task in a build of 15,000: `advance`.
    Nodes,
    /// The plan of a mass rebuild of 16,000 synthetic source packages.
    Plan,
    /// Repository metadata, anew and with one package more, beside createrepo_c: `full-2000`, `full-10000`, `update-10000`,
    /// `update-100000`, `publish-10000` (through the whole system).
    Repodata,
    /// The packages of Seed Linux signed with RSA and Ed25519, beside rpmsign with the same keys.
    Sign,
}

/// One measured figure.
#[derive(Clone, Serialize)]
struct Figure {
    bench: &'static str,
    case: &'static str,
    /// What is measured, with its unit.
    #[serde(flatten)]
    values: serde_json::Value,
}

/// Runs a bench on the release build, or on the program that is named.
pub fn run(bench: Bench, cases: &[String], json: bool, program: Option<PathBuf>) -> Result<()> {
    let program =
        program.map_or_else(release_build, |path| path.canonicalize().context("could not find the program"))?;
    let runtime = tokio::runtime::Runtime::new()?;
    let figures = runtime.block_on(async {
        match bench {
            Bench::Buildroot => buildroot::measure(&program).await,
            Bench::Closure => closure::measure(),
            Bench::Elevate => elevate::measure(&program),
            Bench::Idle => idle::measure(&program).await,
            Bench::Log => log::measure(&program).await,
            Bench::Pipeline => Ok([pipeline::measure(&program).await?, vec![set::measure(&program).await?]].concat()),
            Bench::Nodes => nodes::measure(&program, cases).await,
            Bench::Plan => plan::measure(),
            Bench::Repodata => repodata::measure(&program, cases).await,
            Bench::Sign => sign::measure(),
        }
    })?;
    for figure in figures {
        println!("{}", if json { serde_json::to_string(&figure)? } else { figure.to_text() });
    }
    Ok(())
}

impl Figure {
    fn to_text(&self) -> String {
        let values = self.values.as_object().into_iter().flatten();
        let values = values.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>();
        format!("{} {}: {}", self.bench, self.case, values.join(", "))
    }
}

fn release_build() -> Result<PathBuf> {
    let status =
        Command::new("cargo").args(["build", "--release", "--package", "anima"]).current_dir(tidy::root()).status()?;
    ensure!(status.success(), "the release build failed");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| tidy::root().join("target"), PathBuf::from);
    target.join("release/anima").canonicalize().context("could not find the release build")
}

/// Returns an example of a crate, as the release build makes it.
fn release_example(package: &str, example: &str) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--package", package, "--example", example]);
    ensure!(cargo.current_dir(tidy::root()).status()?.success(), "the release build failed");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| tidy::root().join("target"), PathBuf::from);
    target.join("release/examples").join(example).canonicalize().context("could not find the release build")
}

/// Returns the median of an odd number of measurements.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Rounds to milliseconds: more digits would be noise.
fn rounded(secs: f64) -> f64 {
    (secs * 1000.0).round() / 1000.0
}
