//! P1 and P2: metadata of a folder of packages, anew and with one package more, beside createrepo_c on the same files.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anima_repodata::Repository;
use anima_testkit::corpus;
use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use super::{
    Figure,
    measured::{self, Run},
    median, publish, rounded,
};
use crate::tidy;

const RUNS: usize = 3;
/// The form of createrepo_c that does the same as we: no databases, which are twice as much work.
const PEER_OPTIONS: [&str; 3] = ["--quiet", "--no-database", "--general-compress-type=gz"];
const CASES: [(&str, u32); 6] = [
    ("full-2000", 2_000),
    ("full-10000", 10_000),
    ("update-10000", 10_000),
    ("update-100000", 100_000),
    ("publish-1000", 1_000),
    ("publish-10000", 10_000),
];

pub async fn measure(program: &Path, wanted: &[String]) -> Result<Vec<Figure>> {
    if let Some(unknown) = wanted.iter().find(|name| !CASES.iter().any(|(case, _)| case == name)) {
        bail!("there is no case {unknown}: {}", CASES.map(|(case, _)| case).join(", "));
    }
    let is_wanted = |case: &str| wanted.is_empty() || wanted.iter().any(|name| name == case);
    let mut figures = Vec::new();
    for (case, count) in CASES.into_iter().filter(|(case, _)| is_wanted(case)) {
        let values = match case.split('-').next() {
            Some("full") => full(program, &Folders::of(count)?),
            Some("update") => update(program, &Folders::of(count)?, count),
            _ => published(program, count).await,
        };
        figures.push(Figure { bench: "repodata", case, values: values.with_context(|| format!("case {case}"))? });
    }
    Ok(figures)
}

/// The same packages twice, by hard links: each has its own metadata.
struct Folders {
    temporary: tempfile::TempDir,
}

impl Folders {
    fn of(count: u32) -> Result<Folders> {
        let corpora = tidy::root().join("target/corpus");
        let packages = corpus::corpus(&corpora, count)?;
        let folders = Folders { temporary: tempfile::tempdir_in(corpora)? };
        for folder in [folders.ours(), folders.peers()] {
            let status = Command::new("cp").arg("-al").args([&packages, &folder]).status()?;
            ensure!(status.success(), "could not link the packages");
        }
        Ok(folders)
    }

    fn ours(&self) -> PathBuf {
        self.temporary.path().join("ours")
    }

    fn peers(&self) -> PathBuf {
        self.temporary.path().join("peers")
    }
}

fn full(program: &Path, folders: &Folders) -> Result<serde_json::Value> {
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        for folder in [folders.ours(), folders.peers()] {
            let _ = fs::remove_dir_all(folder.join("repodata"));
        }
        peers.push(createrepo(&folders.peers(), &[])?);
        ours.push(index(program, &folders.ours())?);
    }
    compare(folders)?;
    Ok(values(ours, peers, "createrepo_c"))
}

fn update(program: &Path, folders: &Folders, count: u32) -> Result<serde_json::Value> {
    createrepo(&folders.peers(), &[])?;
    index(program, &folders.ours())?;
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    for run in 0..RUNS as u32 {
        for folder in [folders.ours(), folders.peers()] {
            corpus::package(&folder, count + run)?;
        }
        peers.push(createrepo(&folders.peers(), &["--update"])?);
        ours.push(index(program, &folders.ours())?);
    }
    compare(folders)?;
    Ok(values(ours, peers, "createrepo_c --update"))
}

/// The same through the whole system, beside `createrepo_c --update` of as many packages in the same run.
async fn published(program: &Path, count: u32) -> Result<serde_json::Value> {
    let mut values = publish::measure(program, &tidy::root().join("target/corpus"), count).await?;
    let folders = Folders::of(count)?;
    createrepo(&folders.peers(), &[])?;
    let mut peers = Vec::new();
    for run in 0..RUNS as u32 {
        corpus::package(&folders.peers(), count + run)?;
        peers.push(createrepo(&folders.peers(), &["--update"])?.secs);
    }
    let (ours, peer) = (values["ours_s"].as_f64().unwrap_or(f64::NAN), median(peers));
    values["peer"] = json!(format!("{} (createrepo_c --update {})", version(), PEER_OPTIONS.join(" ")));
    values["peer_s"] = json!(rounded(peer));
    values["ratio"] = json!((peer / ours * 10.0).round() / 10.0);
    Ok(values)
}

fn values(ours: Vec<Run>, peers: Vec<Run>, peer: &str) -> serde_json::Value {
    let secs = |runs: &[Run]| median(runs.iter().map(|run| run.secs).collect());
    let cpu = |runs: &[Run]| median(runs.iter().map(|run| run.cpu_secs).collect());
    let peak = |runs: &[Run]| runs.iter().map(|run| run.peak_mib).fold(0.0, f64::max).round();
    json!({
        "ours_s": rounded(secs(&ours)),
        "peer": format!("{} ({peer} {})", version(), PEER_OPTIONS.join(" ")),
        "peer_s": rounded(secs(&peers)),
        "ratio": (secs(&peers) / secs(&ours) * 10.0).round() / 10.0,
        "ours_cpu_s": rounded(cpu(&ours)),
        "peer_cpu_s": rounded(cpu(&peers)),
        "ours_peak_mib": peak(&ours),
        "peer_peak_mib": peak(&peers),
    })
}

fn version() -> String {
    let output = Command::new("createrepo_c").arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    format!("createrepo_c {}", text.split_whitespace().nth(1).unwrap_or("?"))
}

fn index(program: &Path, folder: &Path) -> Result<Run> {
    measured::run(Command::new(program).args(["repo", "index"]).arg(folder))
}

fn createrepo(folder: &Path, options: &[&str]) -> Result<Run> {
    measured::run(Command::new("createrepo_c").args(PEER_OPTIONS).args(options).arg(folder))
}

/// Compares all that both say of every package.
fn compare(folders: &Folders) -> Result<()> {
    let (ours, peers) = (Repository::open(&folders.ours())?, Repository::open(&folders.peers())?);
    ours.verify()?;
    for kind in ["primary", "filelists", "other"] {
        let digests = |repository: &Repository| anyhow::Ok(repository.digests(repository.repomd.record(kind)?)?);
        let (ours, peers) = (digests(&ours)?, digests(&peers)?);
        ensure!(ours.len() == peers.len(), "{kind} has {} packages, and {} of createrepo_c", ours.len(), peers.len());
        for (id, theirs) in &peers {
            let own = ours.get(id).with_context(|| format!("{kind} lacks package {id}"))?;
            ensure!(own == theirs, "{kind} of package {id} differs");
        }
    }
    Ok(())
}
