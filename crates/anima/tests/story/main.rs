//! Stories: the real program with all its roles as processes, told as its users see it. What a story needs of the
//! machine (root, git, dnf, Seed Linux) is in `docs/TESTING.md`.

mod bad_input;
mod commit_to_install;
mod confined;
mod contract;
mod copr;
mod elevate;
mod examples;
mod failure;
mod full_disk;
mod gates;
mod hosts;
mod keys;
mod kills;
mod local;
mod masters;
mod oidc;
mod once;
mod pages;
mod people;
mod plans;
mod rebuilds;
mod signatures_and_layers;
mod storm;
mod upkeep;

use std::{path::Path, time::Duration};

use anima_testkit::System;

/// A tiny package is through all steps in seconds; the first one makes the layers of its roots.
const BUILD_LIMIT: Duration = Duration::from_secs(300);

async fn system() -> System {
    System::start(Path::new(env!("CARGO_BIN_EXE_anima"))).await.unwrap()
}

/// Says what a command of the program printed, for a story whose command failed.
fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
