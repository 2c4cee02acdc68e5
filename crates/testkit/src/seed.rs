//! Seed Linux for tests.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use anima_seedling::{Arch, Options, SEED_FOLDER};
use anyhow::{Context, Result};

/// Returns the folder of a Seed Linux, in which `seed-1/ARCH` is a repository. It is made at the first call on a
/// machine, which takes some minutes and needs root, and is kept in the workspace's target folder.
pub fn seed() -> Result<PathBuf> {
    make(Arch::of_this_program().context("could not tell this machine's architecture")?)
}

/// Makes the seed of another architecture in the same folder.
pub fn seed_for(arch: &str) -> Result<PathBuf> {
    make(arch.parse().map_err(anyhow::Error::msg)?)
}

fn make(arch: Arch) -> Result<PathBuf> {
    let out = target_folder().join("seed");
    let jobs = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let seed = anima_seedling::make(&Options { out: out.clone(), arch, jobs, more: Vec::new() }, &|_| {})
        .context("could not make the seed")?;
    assert!(seed.path.starts_with(out.canonicalize()?.join(SEED_FOLDER)), "the platform file expects it there");
    Ok(out)
}

pub(crate) fn target_folder() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(default, PathBuf::from)
}
