//! Developer commands: `cargo xtask tidy | check | sim | interop | contract | bench | foreign | unified | self-package | sizing`. Nothing here is part of the product.

mod bench;
mod contract;
mod foreign;
mod interop;
mod self_package;
mod sizing;
mod tidy;
mod unified;

use std::process::Command;

use anyhow::{Result, bail};
use clap::Parser;

/// Developer commands.
#[derive(Parser)]
enum Task {
    /// Compares the arrows between crates with those that docs/ARCHITECTURE.md draws.
    Tidy,
    /// Runs all that a change has to pass: format, clippy, tidy, tests, documentation.
    Check,
    /// Lives through simulated worlds in which everything goes wrong; says which one breaks.
    Sim {
        /// Arguments of the simulation, such as `--worlds 5000 --first 1 --minutes 60`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Runs the long forms of tests, and those whose peers cannot be installed beside others; takes some minutes.
    Interop,
    /// Asks a running master all that the API's description says, and more that it does not.
    Contract {
        /// For how long, with a token and with none together.
        #[arg(long, default_value_t = 20)]
        minutes: u32,
        /// What it draws from.
        #[arg(long, default_value_t = 1)]
        seed: u32,
    },
    /// Runs the sandbox's tests in a virtual machine that has the unified hierarchy of control groups alone; takes some minutes.
    Unified,
    /// Measures the release build beside its peers; needs root and a machine with nothing else to do.
    Bench {
        /// What to measure.
        name: bench::Bench,
        /// Only these of its cases; all if there are none. Only `repodata` has several.
        #[arg(value_name = "CASE")]
        cases: Vec<String>,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
        /// Measure this program, and not a release build of this work tree.
        #[arg(long, value_name = "FILE")]
        program: Option<std::path::PathBuf>,
    },
    /// Runs a program and prints what it took; the benches call it.
    #[command(hide = true, name = bench::measured::COMMAND)]
    Measured {
        /// The program and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        words: Vec<std::ffi::OsString>,
    },
    /// Builds a small package for other architectures, emulated but for i686; needs root, a network, and minutes for each.
    Foreign {
        /// For which.
        #[arg(default_values = ["i686", "aarch64", "ppc64le", "s390x"])]
        architectures: Vec<anima_types::Arch>,
        /// The folder of QEMU's static emulators; Debian's are unpacked into target/emulators where nothing is said.
        #[arg(long, value_name = "FOLDER")]
        emulators: Option<std::path::PathBuf>,
        /// Run this program, and not a build of this work tree.
        #[arg(long, value_name = "FILE")]
        program: Option<std::path::PathBuf>,
    },
    /// Says what a distribution needs: nodes, time for a mass rebuild, disk, database; by simulation.
    Sizing {
        /// Source packages.
        #[arg(long, default_value_t = 3_000)]
        sources: usize,
        /// Architectures.
        #[arg(long, default_value_t = 5)]
        architectures: usize,
        /// Builds at once for each architecture.
        #[arg(default_values_t = [4, 8, 16, 32, 64, 128])]
        slots: Vec<usize>,
    },
    /// Lets Anima build, test, sign and release itself as an RPM, and installs that with dnf; needs root, a network, and many minutes.
    SelfPackage {
        /// Cargo's profile that the package is compiled with; `quick` takes a third of the time.
        #[arg(long, default_value = "release")]
        profile: String,
        /// Build it with this program, and not with a build of this work tree.
        #[arg(long, value_name = "FILE")]
        program: Option<std::path::PathBuf>,
    },
}

fn main() -> Result<()> {
    match Task::parse() {
        Task::Tidy => tidy::run(),
        Task::Check => check(),
        Task::Sim { arguments } => {
            let program = ["run", "--release", "--quiet", "--locked", "--package", "anima-simulation", "--"];
            cargo(&program.into_iter().chain(arguments.iter().map(String::as_str)).collect::<Vec<_>>())
        }
        Task::Interop => interop::run(),
        Task::Contract { minutes, seed } => contract::run(minutes, seed),
        Task::Unified => unified::run(),
        Task::Bench { name, cases, json, program } => bench::run(name, &cases, json, program),
        Task::Measured { words } => bench::measured::print(&words),
        Task::Foreign { architectures, emulators, program } => foreign::run(&architectures, emulators, program),
        Task::Sizing { sources, architectures, slots } => sizing::run(sources, architectures, &slots),
        Task::SelfPackage { profile, program } => self_package::run(&profile, program),
    }
}

fn check() -> Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    tidy::run()?;
    cargo(&["test", "--workspace", "--locked"])?;
    cargo(&["doc", "--workspace", "--no-deps", "--locked"])
}

fn cargo(arguments: &[&str]) -> Result<()> {
    eprintln!("cargo {}", arguments.join(" "));
    let status = Command::new("cargo").args(arguments).current_dir(tidy::root()).status()?;
    if !status.success() {
        bail!("cargo {} failed", arguments.join(" "));
    }
    Ok(())
}
