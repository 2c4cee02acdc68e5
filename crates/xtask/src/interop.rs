//! `cargo xtask interop`: the long forms of tests, and peers that cannot be installed beside others.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::tidy;

/// How often the loop test switches.
const SWITCHES: &str = "1000";

pub fn run() -> Result<()> {
    let zypper = zypper(&tidy::root().join("target/interop"))?;
    test(
        &["--package", "anima-repodata", "--test", "readers"],
        &[("ANIMA_ZYPPER_ROOT", zypper.to_string_lossy().as_ref())],
    )?;
    test(
        &["--package", "anima-master", "--test", "service", "--", "--nocapture", "dnf_loop"],
        &[("ANIMA_SWITCHES", SWITCHES)],
    )
}

fn test(arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    eprintln!("cargo test {}", arguments.join(" "));
    let mut command = Command::new("cargo");
    let status =
        command.arg("test").args(arguments).envs(environment.iter().copied()).current_dir(tidy::root()).status()?;
    ensure!(status.success(), "cargo test {} failed", arguments.join(" "));
    Ok(())
}

/// Unpacks zypper and what it needs into a folder: as a package it takes the place of dnf's plugins.
fn zypper(folder: &Path) -> Result<PathBuf> {
    let root = folder.join("zypper");
    if root.join("usr/bin/zypper").exists() {
        return Ok(root);
    }
    let debs = folder.join("debs");
    fs::create_dir_all(&debs)?;
    let plan = Command::new("apt-get").args(["install", "--simulate", "--no-install-recommends", "zypper"]).output()?;
    let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
    let names: Vec<&str> = plan.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next()).collect();
    ensure!(names.contains(&"zypper"), "apt-get does not know zypper:\n{plan}");
    let status = Command::new("apt-get").arg("download").args(names).current_dir(&debs).status()?;
    ensure!(status.success(), "the packages of zypper could not be downloaded");
    for entry in fs::read_dir(&debs)? {
        let status = Command::new("dpkg-deb").arg("-x").arg(entry?.path()).arg(&root).status()?;
        ensure!(status.success(), "a package of zypper could not be unpacked");
    }
    root.join("usr/bin/zypper").exists().then_some(root).context("there is no zypper in its packages")
}
