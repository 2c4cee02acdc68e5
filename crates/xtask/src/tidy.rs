//! Reads `cargo metadata` and fails on an arrow between crates that docs/ARCHITECTURE.md does not draw, on an arrow that
//! it draws and nobody has, and on one that does not point to a floor below.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// Crates by name, without the `anima-` prefix, with the crates that they use.
type Arrows = BTreeMap<String, BTreeSet<String>>;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<String>,
}

/// Returns the repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("this crate is at crates/xtask").to_path_buf()
}

/// Compares the code with the document.
pub fn run() -> Result<()> {
    let document = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).context("read docs/ARCHITECTURE.md")?;
    let drawn = drawn(&document)?;
    let found = found()?;
    let complaints = compare(&drawn, &found);
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    if !complaints.is_empty() {
        bail!("{} arrows between crates differ from docs/ARCHITECTURE.md: change one or the other", complaints.len());
    }
    Ok(())
}

/// Reads the block that starts with "```arrows": one line for each crate, `crate -> used, used`.
fn drawn(document: &str) -> Result<Arrows> {
    let block = document.split("```arrows\n").nth(1).and_then(|rest| rest.split("```").next());
    let block = block.context("docs/ARCHITECTURE.md has no ```arrows block")?;
    block.lines().filter(|line| !line.trim().is_empty()).map(line).collect()
}

fn line(line: &str) -> Result<(String, BTreeSet<String>)> {
    let (name, used) = line.split_once("->").with_context(|| format!("could not read the arrow \"{line}\""))?;
    let used = used.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_string).collect();
    Ok((name.trim().to_string(), used))
}

fn found() -> Result<Arrows> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .context("run cargo metadata")?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("read cargo metadata")?;
    Ok(metadata.packages.into_iter().map(|package| (short(&package.name), used(&package))).collect())
}

fn used(package: &Package) -> BTreeSet<String> {
    let is_ours = |dependency: &&Dependency| dependency.path.is_some() && dependency.kind.as_deref() != Some("dev");
    package.dependencies.iter().filter(is_ours).map(|dependency| short(&dependency.name)).collect()
}

fn short(name: &str) -> String {
    name.strip_prefix("anima-").unwrap_or(name).to_string()
}

fn compare(drawn: &Arrows, found: &Arrows) -> Vec<String> {
    let mut complaints = Vec::new();
    for name in drawn.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
        match (drawn.get(name), found.get(name)) {
            (Some(_), None) => complaints.push(format!("{name} is drawn and does not exist")),
            (None, Some(_)) => complaints.push(format!("{name} exists and is not drawn")),
            (Some(drawn), Some(found)) => {
                complaints
                    .extend(found.difference(drawn).map(|used| format!("{name} uses {used}, which is not drawn")));
                complaints
                    .extend(drawn.difference(found).map(|used| format!("{name} -> {used} is drawn and not used")));
            }
            (None, None) => {}
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrows(text: &str) -> Arrows {
        drawn(&format!("before\n```arrows\n{text}\n```\nafter")).unwrap()
    }

    #[test]
    fn an_arrow_that_is_not_drawn_is_found() {
        let complaints = compare(&arrows("db -> types"), &arrows("db -> types, store"));

        assert_eq!(complaints, ["db uses store, which is not drawn"]);
    }

    #[test]
    fn a_crate_that_is_gone_is_found() {
        assert_eq!(compare(&arrows("db ->\nold ->"), &arrows("db ->")), ["old is drawn and does not exist"]);
    }

    #[test]
    fn the_document_draws_the_arrows_that_the_code_has() {
        run().unwrap();
    }
}
