//! P5: `hello` from commit to `dnf install`, everything warm, beside the bare `rpmbuild -ba` of the same spec in a root
//! with the same packages, and beside mock, where the environment names one.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anima_testkit::{Root, SourcePackage, System};
use anima_types::task;
use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{Figure, median, mock::Mock, rounded};
use crate::tidy;

const RUNS: usize = 3;
const BUILD_LIMIT: Duration = Duration::from_secs(600);
/// The build user of Seed Linux's roots.
const BUILD_USER: &str = "1000:135";

pub async fn measure(program: &Path) -> Result<Vec<Figure>> {
    let system = System::start(program).await?;
    let hello = prepare(&system)?;
    one_build(&system, &hello).await.context("could not build for the first time, which warms everything")?;
    let bare = bare_root(&system, &hello)?;
    let mock = Mock::from_environment(system.master_url(), &base_packages(&system)?)?;
    // The first time fills its root cache, and makes the source package that the others build.
    rpmbuild(&bare)?;
    let srpm = source_package(&bare)?;
    mock.as_ref().map(|mock| mock.rebuild(&srpm)).transpose()?;
    let (mut ours, mut installs, mut peers, mut mocks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut phases = serde_json::Map::new();
    for _ in 0..RUNS {
        peers.push(rpmbuild(&bare)?);
        mocks.extend(mock.as_ref().map(|mock| mock.rebuild(&srpm)).transpose()?);
        let run = one_build(&system, &hello).await?;
        ours.push(run.released_secs + run.install_secs);
        installs.push(run.install_secs);
        phases = run.phases;
    }
    let (ours, peer) = (median(ours), median(peers));
    let mock_secs = (!mocks.is_empty()).then(|| median(mocks));
    let values = json!({
        "ours_s": rounded(ours),
        "of_that_dnf_s": rounded(median(installs)),
        "peer": "rpmbuild -ba in the same root",
        "peer_s": rounded(peer),
        "ratio": rounded(ours / peer),
        "mock": mock_secs.map(|_| "mock --rebuild of its source package, the root cache warm"),
        "mock_s": mock_secs.map(rounded),
        "mock_ratio": mock_secs.map(|secs| rounded(secs / ours)),
        "last_run_phases_s": phases,
    });
    Ok(vec![Figure { bench: "pipeline", case: "hello", values }])
}

pub(super) fn prepare(system: &System) -> Result<SourcePackage> {
    let examples = tidy::root().join("examples");
    let sources = tidy::root().join("target/example-sources");
    let status = Command::new(examples.join("fetch-sources")).arg(&sources).status()?;
    ensure!(status.success(), "the sources could not be fetched");
    let hello = SourcePackage::copy_of(&examples.join("hello"))?;
    for entry in fs::read_dir(&sources)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("hello-")) {
            let output = system.anima(&["lookaside", "upload", "--package", "hello", &path.to_string_lossy()])?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            fs::copy(&path, hello.path(path.file_name().expect("it was looked at above").to_string_lossy().as_ref()))?;
        }
    }
    hello.write(".gitignore", b"*.tar.*\n")?;
    Ok(hello)
}

struct Run {
    released_secs: f64,
    install_secs: f64,
    phases: serde_json::Map<String, serde_json::Value>,
}

async fn one_build(system: &System, hello: &SourcePackage) -> Result<Run> {
    let root = Root::new(system.master_url(), "seed-1")?;
    // What hello stands on is there, and so are dnf's lists of the base.
    root.dnf(&["--disablerepo=seed-1*", "install", "bash", "glibc"])?;
    let began = Instant::now();
    let commit = system.push(hello, "s1")?;
    let build = system.build_of("hello", &commit).await?;
    let detail = system.released(build, BUILD_LIMIT).await?;
    let released_secs = began.elapsed().as_secs_f64();
    root.dnf(&["install", "hello"])?;
    let install_secs = began.elapsed().as_secs_f64() - released_secs;
    let mut phases = serde_json::Map::new();
    for task in &detail.tasks {
        let (Some(started), Some(ended)) = (task.started_at, task.ended_at) else { continue };
        phases.insert(task.kind.name().into(), json!(rounded(ended.secs_since(started))));
        if task.kind == task::Kind::Build {
            for phase in &task.phases {
                phases.insert(format!("build/{}", phase.name), json!(rounded(phase.secs)));
            }
        }
    }
    Ok(Run { released_secs, install_secs, phases })
}

/// Makes a root with the platform's buildroot packages and the sources.
fn bare_root(system: &System, hello: &SourcePackage) -> Result<Root> {
    let root = Root::new(system.master_url(), "seed-1")?;
    let packages = base_packages(system)?;
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    root.dnf(&[&["install"], packages.as_slice()].concat())?;
    put_sources(&root, hello)?;
    Ok(root)
}

/// Returns what every root of the platform has.
fn base_packages(system: &System) -> Result<Vec<String>> {
    let platform = system.anima(&["--json", "platform", "show", "seed-1"])?;
    let platform: serde_json::Value = serde_json::from_slice(&platform.stdout)?;
    let packages = platform["buildroot"]["packages"].as_array().context("the platform names no packages")?;
    Ok(packages.iter().filter_map(|name| name.as_str()).map(str::to_owned).collect())
}

/// Returns the source package that the bare build has made.
fn source_package(root: &Root) -> Result<PathBuf> {
    let folder = root.path("root/builddir/rpmbuild/SRPMS");
    let first = fs::read_dir(&folder)?.next().with_context(|| format!("{} is empty", folder.display()))?;
    Ok(first?.path())
}

/// Puts spec and sources where `rpmbuild` looks for them.
pub(super) fn put_sources(root: &Root, hello: &SourcePackage) -> Result<()> {
    let home = root.path("root/builddir");
    for name in ["SPECS", "SOURCES"] {
        fs::create_dir_all(home.join("rpmbuild").join(name))?;
    }
    for entry in fs::read_dir(hello.path("."))? {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_name().context("a file has a name")?.to_string_lossy().into_owned();
            let folder = if name.ends_with(".spec") { "SPECS" } else { "SOURCES" };
            fs::copy(&path, home.join("rpmbuild").join(folder).join(name))?;
        }
    }
    let status = Command::new("chown").args(["-R", BUILD_USER]).arg(&home).status()?;
    ensure!(status.success(), "could not give the build user its folder");
    Ok(())
}

/// Runs the bare build in namespaces of its own, without a network, and returns its seconds.
pub(super) fn rpmbuild(root: &Root) -> Result<f64> {
    let root = root.path("root");
    let began = Instant::now();
    let script = format!(
        "mount -t proc proc {root}/proc && mount --rbind /dev {root}/dev && \
         exec chroot --userspec={BUILD_USER} {root} env -i HOME=/builddir PATH=/usr/bin:/usr/sbin LANG=C.UTF-8 \
         rpmbuild -ba --define '_topdir /builddir/rpmbuild' /builddir/rpmbuild/SPECS/hello.spec",
        root = root.display()
    );
    let output = Command::new("unshare").args(["--mount", "--net", "--pid", "--fork", "sh", "-c", &script]).output()?;
    ensure!(output.status.success(), "the bare rpmbuild failed:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(began.elapsed().as_secs_f64())
}
