//! Closure of a whole Enterprise Linux, 18,774 packages: asked of all, and of what one package changes; beside `dnf repoclosure`,
//! which looks for providers only.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Figure, median, rounded};
use crate::tidy;

const RUNS: usize = 5;
const PEER_RUNS: usize = 3;
const REPOSITORIES: [&str; 2] = ["el-baseos-x86_64", "el-appstream-x86_64"];
/// What hundreds of packages need.
const CHANGED: &str = "zlib";

pub fn measure() -> Result<Vec<Figure>> {
    let data = tidy::root().join("../shared/data/repodata");
    let folders: Vec<PathBuf> = REPOSITORIES.iter().map(|name| data.join(name)).collect();
    ensure!(folders.iter().all(|folder| folder.is_dir()), "the real metadata is not in {}", data.display());
    let program = super::release_example("anima-solver", "closure")?;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let output = Command::new(&program).arg(CHANGED).args(&folders).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        runs.push(serde_json::from_slice::<Value>(&output.stdout)?);
    }
    let of = |name: &str| {
        let all = runs.iter().map(|run| run[name].as_f64().with_context(|| format!("it prints no {name}")));
        anyhow::Ok(rounded(median(all.collect::<Result<_>>()?)))
    };
    let (peer_s, peer_broken) = peer(&folders)?;
    let (all_s, load_s, cached_load_s, changed_s) =
        (of("all_s")?, of("load_s")?, of("cached_load_s")?, of("changed_s")?);
    let values = |what: &str, ours_s: f64| {
        json!({
            "what": what,
            "packages": runs[0]["packages"],
            "ours_s": rounded(ours_s),
            "ours_broken": runs[0]["broken"],
            "ours_peak_mib": of("peak_mib").unwrap_or(f64::NAN),
            "peer": "dnf repoclosure (providers only, metadata read before)",
            "peer_s": rounded(peer_s),
            "peer_broken": peer_broken,
            "ratio": rounded(peer_s / ours_s),
        })
    };
    Ok(vec![
        Figure {
            bench: "closure",
            case: "el-all",
            values: values("metadata is read as XML, all are asked", load_s + all_s),
        },
        Figure {
            bench: "closure",
            case: "el-all-again",
            values: values("metadata is read from the cache, all are asked", cached_load_s + all_s),
        },
        Figure {
            bench: "closure",
            case: "el-changed",
            values: values("metadata is read from the cache, what rests on zlib is asked", cached_load_s + changed_s),
        },
    ])
}

/// Returns how long dnf takes when it has read the metadata before, and how many packages it finds broken.
fn peer(folders: &[PathBuf]) -> Result<(f64, usize)> {
    let scratch = tempfile::tempdir()?;
    let (mut secs, mut broken) = (Vec::new(), 0);
    for run in 0..=PEER_RUNS {
        let began = Instant::now();
        let output = repoclosure(scratch.path(), folders).output()?;
        // The first run reads the metadata.
        if run > 0 {
            secs.push(began.elapsed().as_secs_f64());
        }
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        broken = said.lines().filter(|line| line.starts_with("package: ")).count();
        let is_closed = output.status.success() || broken > 0;
        ensure!(is_closed, "dnf repoclosure failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok((median(secs), broken))
}

fn repoclosure(scratch: &Path, folders: &[PathBuf]) -> Command {
    let dir = scratch.display();
    let mut dnf = Command::new("dnf");
    dnf.args(["--quiet", "--disableplugin=local", "--releasever=9", "--forcearch=x86_64"]).args([
        format!("--setopt=cachedir={dir}/cache"),
        format!("--setopt=persistdir={dir}/persist"),
        format!("--setopt=logdir={dir}"),
        format!("--setopt=reposdir={dir}/none"),
        format!("--installroot={dir}/root"),
    ]);
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        dnf.arg(format!("--repofrompath={name},file://{}", folder.display())).arg(format!("--repo={name}"));
    }
    dnf.arg("repoclosure");
    dnf
}
