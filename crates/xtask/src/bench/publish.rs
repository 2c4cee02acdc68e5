//! P1 through the real system: one package more for users of a repository of 10,000, from the decision to the switch, signed.
//! Master, Release System and Sign Server are the program's own processes; the bench stands in for the nodes that build and
//! test, as their packages are made up.

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use anima_client::{
    Client,
    lease::{Cancel, Context as Task, Handler, Runner, Stop},
};
use anima_testkit::{Root, SourcePackage, System, corpus};
use anima_types::{
    Arch, artifact,
    lease::{Claim, Condition, Lease},
    release::{CommitRelease, Status},
    task,
    work::{BuildOutcome, BuiltPackage, Check, Outcome, PhaseTime, SrcOutcome, TestOutcome, Verdict, Work},
};
use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use super::{median, rounded};

const RUNS: usize = 3;
/// Packages of one build: what comes at once has to be signed within one report.
const BATCH: usize = 250;
const LIMIT: Duration = Duration::from_secs(900);
const UPLOADS: usize = 8;
const PACKAGE: &str = "bench";

/// Measures; `corpora` is where packages are kept, `count` how many there are before.
pub async fn measure(program: &Path, corpora: &Path, count: u32) -> Result<serde_json::Value> {
    let packages = packages(corpora, count)?;
    let system = System::start_some(program, &["master", "git-service", "sign-server", "release-system"]).await?;
    let nodes = Nodes::start(&system)?;
    let source = SourcePackage::tiny(PACKAGE, "1")?;
    let (before, more) = packages.split_at(count as usize);
    for batch in before.chunks(BATCH) {
        nodes.release(&system, &source, batch.to_vec()).await.context("could not fill the repository")?;
    }
    // What they needed for the first ten thousand is not what one more needs.
    system.kill("release-system").await?;
    system.kill("master").await?;
    nodes.release(&system, &source, vec![more[0].clone()]).await?;
    let mut ours = Vec::new();
    for package in &more[1..] {
        ours.push(nodes.release(&system, &source, vec![package.clone()]).await?);
    }
    let peak_mib = |role: &str| peak_mib(&system, role);
    let (master, release_system) = (peak_mib("master")?, peak_mib("release-system")?);
    let listed = listed(&system)?;
    ensure!(listed == packages.len(), "dnf lists {listed} packages of {}", packages.len());
    Ok(json!({
        "ours_s": rounded(median(ours)),
        "what": "from the decision until users see it: metadata, signature, switch",
        "packages_listed_by_dnf": listed,
        "master_peak_mib": master,
        "release_system_peak_mib": release_system,
    }))
}

fn packages(corpora: &Path, count: u32) -> Result<Vec<PathBuf>> {
    let folder = corpus::corpus(corpora, count)?;
    let mut packages: Vec<PathBuf> = Vec::new();
    for letter in fs::read_dir(folder.join("Packages"))? {
        for file in fs::read_dir(letter?.path())? {
            packages.push(file?.path());
        }
    }
    packages.sort();
    ensure!(packages.len() == count as usize, "{} packages of {count}", packages.len());
    let more = corpora.join("more");
    (count..count + 1 + RUNS as u32)
        .try_for_each(|number| corpus::package(&more, number).map(|path| packages.push(path)))?;
    Ok(packages)
}

/// The bench in the place of build and test nodes.
struct Nodes {
    next: Arc<Mutex<VecDeque<Vec<PathBuf>>>>,
    shutdown: Cancel,
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

impl Nodes {
    fn start(system: &System) -> Result<Nodes> {
        let nodes = Nodes { next: Arc::default(), shutdown: Cancel::new() };
        for (role, kinds) in
            [("build-node", vec![task::Kind::Src, task::Kind::Build]), ("test-node", vec![task::Kind::Test])]
        {
            let claim = Claim {
                node: format!("bench-{role}"),
                kinds,
                architectures: vec![Arch::X86_64],
                emulated: Vec::new(),
                slots: 1,
                version: "0".to_string(),
                instance: String::new(),
                started_at: None,
                wait_secs: 10,
                condition: Condition::default(),
            };
            let client = Client::new(system.master_url(), Some(system.token(role)?))?;
            let handler = Arc::new(Node { next: nodes.next.clone() });
            tokio::spawn(Runner::new(client, claim).run(handler, nodes.shutdown.clone()));
        }
        Ok(nodes)
    }

    /// Has packages built and released; returns the seconds from the decision to the switch.
    async fn release(&self, system: &System, source: &SourcePackage, packages: Vec<PathBuf>) -> Result<f64> {
        self.next.lock().expect("no one panicked").push_back(packages);
        let commit = system.push(source, "s1")?;
        let build = system.build_of(PACKAGE, &commit).await?;
        let detail = system.ended(build, LIMIT).await?;
        ensure!(detail.build.status == anima_types::build::Status::Succeeded, "{}", detail.build.summary);
        let client = system.client();
        let release = system
            .wait(LIMIT, async || system.release_of(build).await.filter(|release| release.status != Status::Planning))
            .await
            .context("it was not planned")?;
        if release.status == Status::Planned {
            let said = CommitRelease { reason: Some("a bench".to_string()) };
            client.force_release(release.id, &said).await?;
        }
        system.released(build, LIMIT).await?;
        let mut moments = Vec::new();
        let mut after = None;
        loop {
            let events = client.events_after(after, 500).await?;
            let Some(last) = events.last() else { break };
            after = Some(last.id);
            let is_its =
                |event: &&anima_types::event::Event| event.release == Some(release.id) && event.noun == "release";
            moments.extend(events.iter().filter(is_its).map(|event| (event.verb.clone(), event.at)));
        }
        let at = |verb: &str| {
            moments.iter().find(|(what, _)| what == verb).map(|(_, at)| *at).context("an event is missing")
        };
        Ok(at("switched")?.secs_since(at("committed")?))
    }
}

struct Node {
    next: Arc<Mutex<VecDeque<Vec<PathBuf>>>>,
}

impl Handler for Node {
    async fn run(&self, lease: Lease, context: Task) -> Result<(Outcome, Vec<PhaseTime>), Stop> {
        let outcome = match lease.work {
            Work::Src(_) => Outcome::Src(source(&context).await?),
            Work::Build(_) => {
                let packages = self.next.lock().expect("no one panicked").pop_front().unwrap_or_default();
                Outcome::Build(build(&context, packages).await?)
            }
            Work::Test(work) => {
                let verdict = |package: anima_types::work::TestPackage| {
                    let checks = vec![Check { name: "bench".into(), is_green: true, detail: "not looked at".into() }];
                    Verdict { nevra: package.nevra, is_green: true, checks }
                };
                Outcome::Test(TestOutcome { verdicts: work.packages.into_iter().map(verdict).collect() })
            }
            _ => return Err(Stop::Abandoned),
        };
        Ok((outcome, Vec::new()))
    }
}

async fn source(context: &Task) -> Result<SrcOutcome, Stop> {
    let folder = tempfile::tempdir().map_err(|_| Stop::Abandoned)?;
    let spec = folder.path().join("bench.spec");
    let text = "Name: bench\nVersion: 1\nRelease: 1\nSummary: A bench\nLicense: MIT\n%description\n%files\n";
    fs::write(&spec, text).map_err(|_| Stop::Abandoned)?;
    let topdir = format!("_topdir {}", folder.path().display());
    let made = Command::new("rpmbuild").args(["-bs", "--define", &topdir]).arg(&spec).output();
    let path = folder.path().join("SRPMS/bench-1-1.src.rpm");
    if !made.is_ok_and(|made| made.status.success() && path.exists()) {
        return Err(Stop::Abandoned);
    }
    let srpm = context.upload(&path, artifact::Kind::Srpm, "bench-1-1.src.rpm").await?;
    Ok(SrcOutcome {
        nevra: "bench-1-1.src".parse().map_err(|_| Stop::Abandoned)?,
        srpm: srpm.sha256,
        build_requires: Vec::new(),
        provides: Vec::new(),
        exclusive_arch: Vec::new(),
        exclude_arch: Vec::new(),
        is_noarch: false,
    })
}

async fn build(context: &Task, packages: Vec<PathBuf>) -> Result<BuildOutcome, Stop> {
    let uploads = stream::iter(packages).map(|path| async move {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let nevra = name.trim_end_matches(".rpm").parse().map_err(|_| Stop::Abandoned)?;
        let uploaded = context.upload(&path, artifact::Kind::Rpm, &name).await?;
        Ok::<_, Stop>(BuiltPackage { nevra, artifact: uploaded.sha256 })
    });
    let packages = uploads.buffer_unordered(UPLOADS).try_collect().await?;
    let lock = context.upload_bytes("{}", artifact::Kind::Lock, "lock.json").await?;
    Ok(BuildOutcome { packages, lock: lock.sha256, layers_hit: true, dynamic_requires: Vec::new() })
}

/// The most memory that a role had since it was started.
fn peak_mib(system: &System, role: &str) -> Result<u64> {
    let pid = fs::read_to_string(system.data().join("run").join(format!("{role}.pid")))?;
    let status = fs::read_to_string(format!("/proc/{}/status", pid.trim()))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the kernel tells no peak")?;
    Ok(peak.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}

/// Asks dnf, with all checks of signatures, how many packages the product's binary repositories have.
fn listed(system: &System) -> Result<usize> {
    let root = Root::new(system.master_url(), "seed-1")?;
    let text = root.dnf(&["--quiet", "--disablerepo=base", "repoquery", "--queryformat=package %{name}"])?;
    Ok(text.lines().filter(|line| line.starts_with("package ")).count())
}
