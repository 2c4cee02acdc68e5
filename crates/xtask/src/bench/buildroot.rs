//! P3, P4 and what a build costs besides `rpmbuild`: a clean buildroot with nothing but packages on disk, the same again, the
//! whole task of a warm `hello`, and four builds at once. Beside `dnf --installroot` (and bare `rpmbuild`), and beside mock
//! where `ANIMA_BENCH_MOCK` names its program. `TMPDIR=/dev/shm` measures all of it on tmpfs.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anima_testkit::{Root, SourcePackage, System};
use anima_types::{build::BuildDetail, task};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Figure, median, mock::Mock, pipeline, rounded};

const RUNS: usize = 3;
/// A build takes some tenths of a second more or less each time, and its parts that are looked for take less than that.
const WARM_RUNS: usize = 9;
const BUILD_LIMIT: Duration = Duration::from_secs(600);
/// The shares of processor time are looked at this often while packages are built at once.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub async fn measure(program: &Path) -> Result<Vec<Figure>> {
    let mut system = System::start_with(program, "[build_node]\nslots = 4\n").await?;
    let hello = pipeline::prepare(&system)?;
    build(&system, &hello).await.context("could not build for the first time, which fetches all packages")?;
    let installed = Installed::new(&system, &hello)?;
    let mock = Mock::from_environment(system.master_url(), &installed.packages)?;
    let cold = cold(&mut system, &hello, &installed, mock.as_ref()).await?;
    let warm = warm(&system, &hello, &installed, mock.as_ref()).await?;
    let four = at_once(&system).await?;
    Ok([cold, warm, vec![four]].concat())
}

/// The peer's root, and what is in it.
struct Installed {
    root: Root,
    packages: Vec<String>,
}

impl Installed {
    /// Installs once, so that dnf's cache has all packages and lists.
    fn new(system: &System, hello: &SourcePackage) -> Result<Installed> {
        let platform = system.anima(&["--json", "platform", "show", "seed-1"])?;
        let platform: Value = serde_json::from_slice(&platform.stdout)?;
        let packages = platform["buildroot"]["packages"].as_array().context("the platform names no packages")?;
        let packages = packages.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
        let installed = Installed { root: Root::new(system.master_url(), "seed-1")?, packages };
        installed.again()?;
        pipeline::put_sources(&installed.root, hello)?;
        Ok(installed)
    }

    /// Installs into an empty root, and returns the seconds.
    fn again(&self) -> Result<f64> {
        let folder = self.root.path("root");
        put_aside(&folder, &self.root.path("aside"))?;
        fs::create_dir(&folder)?;
        let mut arguments = vec!["--setopt=keepcache=1", "--setopt=metadata_expire=-1", "install"];
        arguments.extend(self.packages.iter().map(String::as_str));
        let began = Instant::now();
        self.root.dnf(&arguments)?;
        Ok(began.elapsed().as_secs_f64())
    }
}

/// What a task took, by its report.
struct Taken {
    task_secs: f64,
    phases: Vec<(String, f64)>,
}

impl Taken {
    fn of(detail: &BuildDetail, kind: task::Kind) -> Result<Taken> {
        let task = detail.tasks.iter().find(|task| task.kind == kind).context("the build has no such task")?;
        let (started, ended) =
            (task.started_at.context("it has not begun")?, task.ended_at.context("it has not ended")?);
        let phases = task.phases.iter().map(|phase| (phase.name.clone(), phase.secs)).collect();
        Ok(Taken { task_secs: ended.secs_since(started), phases })
    }

    fn phase(&self, name: &str) -> f64 {
        self.phases.iter().find(|(its, _)| its == name).map_or(0.0, |(_, secs)| *secs)
    }

    /// From knowing what is wanted to a mounted root.
    fn root_secs(&self) -> f64 {
        self.phase("solve") + self.phase("buildroot")
    }
}

/// Moves a peer's root away, to be removed when all is measured: an ext4 without a journal goes round each file that was removed in
/// the last minutes when it looks for the place of a new one, which makes an installation some times as long. Anima keeps its roots
/// apart (`anima_buildroot`'s `spread`); a peer has to be timed without it.
pub fn put_aside(root: &Path, aside: &Path) -> Result<()> {
    if !root.exists() {
        return Ok(());
    }
    fs::create_dir_all(aside)?;
    let number = fs::read_dir(aside)?.count();
    Ok(fs::rename(root, aside.join(number.to_string()))?)
}

async fn build(system: &System, package: &SourcePackage) -> Result<BuildDetail> {
    let commit = system.push(package, "s1")?;
    let build = system.build_of(package.name(), &commit).await?;
    system.released(build, BUILD_LIMIT).await
}

/// Layers and solutions are thrown away; packages stay. The task of the source package then makes the base root.
async fn cold(
    system: &mut System,
    hello: &SourcePackage,
    installed: &Installed,
    mock: Option<&Mock>,
) -> Result<Vec<Figure>> {
    let (mut ours, mut peers, mut mocks) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        peers.push(installed.again()?);
        mocks.extend(mock.map(Mock::cold).transpose()?);
        system.stop()?;
        for name in ["roots", "solutions"] {
            fs::remove_dir_all(system.data().join("node/environments").join(name))?;
        }
        system.up().await?;
        ours.push(Taken::of(&build(system, hello).await?, task::Kind::Src)?.root_secs());
    }
    Ok(vec![figure("cold", ours, ("dnf --installroot, packages and lists in its cache", peers), mocks)])
}

async fn warm(
    system: &System,
    hello: &SourcePackage,
    installed: &Installed,
    mock: Option<&Mock>,
) -> Result<Vec<Figure>> {
    pipeline::put_sources(&installed.root, hello)?;
    let (mut ours, mut peers, mut mocks) = (Vec::new(), Vec::new(), Vec::new());
    let (mut tasks, mut besides, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..WARM_RUNS {
        mocks.extend(mock.map(Mock::warm).transpose()?);
        let taken = Taken::of(&build(system, hello).await?, task::Kind::Build)?;
        ours.push(taken.root_secs());
        tasks.push(taken.task_secs);
        besides.push(taken.task_secs - taken.phase("build"));
        bare.push(pipeline::rpmbuild(&installed.root)?);
        peers.push(bare[bare.len() - 1]);
    }
    let root = Figure {
        bench: "buildroot",
        case: "warm",
        values: json!({
            "ours_s": rounded(median(ours.clone())),
            "peer": mock.map(|_| "mock --init, its root cache warm"),
            "peer_s": (!mocks.is_empty()).then(|| rounded(median(mocks.clone()))),
            "ratio": (!mocks.is_empty()).then(|| rounded(median(mocks) / median(ours))),
        }),
    };
    let task = Figure {
        bench: "buildroot",
        case: "hello-overhead",
        values: json!({
            "ours_s": rounded(median(tasks.clone())),
            "of_that_besides_rpmbuild_s": rounded(median(besides)),
            "peer": "rpmbuild -ba in a root by dnf",
            "peer_s": rounded(median(peers.clone())),
            "ratio": rounded(median(tasks) / median(peers)),
        }),
    };
    Ok(vec![root, task])
}

fn figure(case: &'static str, ours: Vec<f64>, (peer, peers): (&str, Vec<f64>), mocks: Vec<f64>) -> Figure {
    let (ours, peer_secs) = (median(ours), median(peers));
    let mock_secs = (!mocks.is_empty()).then(|| median(mocks));
    let values = json!({
        "ours_s": rounded(ours),
        "peer": peer,
        "peer_s": rounded(peer_secs),
        "ratio": rounded(peer_secs / ours),
        "mock_s": mock_secs.map(rounded),
        "mock_ratio": mock_secs.map(|secs| rounded(secs / ours)),
    });
    Figure { bench: "buildroot", case, values }
}

/// Four packages that compile for some seconds each, with one job: all cores of a machine of two should be busy.
async fn at_once(system: &System) -> Result<Figure> {
    let packages: Vec<_> = (1..=4).map(|number| busy(&format!("busy{number}"))).collect::<Result<_>>()?;
    let mut commits = Vec::new();
    for package in &packages {
        commits.push(system.push(package, "s1")?);
    }
    // Pushed together, they are one build as a rule.
    let mut ids = BTreeSet::new();
    for (package, commit) in packages.iter().zip(&commits) {
        ids.insert(system.build_of(package.name(), commit).await?);
    }
    let mut shares = Vec::new();
    let mut before = processor_times()?;
    let built = loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let mut tasks = Vec::new();
        for id in &ids {
            tasks.extend(system.client().build(*id).await?.tasks.into_iter().filter(|it| it.kind == task::Kind::Build));
        }
        let now = processor_times()?;
        let building = tasks.iter().filter(|task| task.started_at.is_some() && task.ended_at.is_none()).count();
        if building == packages.len() {
            shares.push((now.0 - before.0) as f64 / (now.1 - before.1).max(1) as f64);
        }
        before = now;
        if tasks.len() >= packages.len() && tasks.iter().all(|task| task.ended_at.is_some()) {
            break tasks;
        }
    };
    ensure!(!shares.is_empty(), "the builds never ran at once");
    let longest = built.iter().filter_map(|task| Some(task.ended_at?.secs_since(task.started_at?))).fold(0.0, f64::max);
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    let values = json!({
        "cores": std::thread::available_parallelism()?.get(),
        "busy_share_while_four_build": rounded(mean),
        "longest_task_s": rounded(longest),
        "peer": Value::Null,
    });
    Ok(Figure { bench: "buildroot", case: "four-at-once", values })
}

fn busy(name: &str) -> Result<SourcePackage> {
    SourcePackage::with_spec(
        name,
        &format!(
            "Name: {name}\nVersion: 1\nRelease: 1%{{?dist}}\nSummary: Keeps a core busy\nLicense: MIT\n%global debug_package %{{nil}}\n\
             %description\nKeeps a core busy.\n%build\n\
             for i in $(seq 60); do echo \"int f$i(int x) {{ return x * $i; }}\"; done > x.c\n\
             for i in $(seq 300); do gcc -O2 -c x.c -o x.o; done\n\
             %install\ninstall -D x.o %{{buildroot}}/usr/lib/{name}.o\n%files\n/usr/lib/{name}.o\n"
        ),
    )
}

/// Returns busy and all processor time of the machine since it was started, in the kernel's own unit.
fn processor_times() -> Result<(u64, u64)> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().context("/proc/stat is empty")?;
    let times: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(|it| it.parse().ok()).collect();
    ensure!(times.len() == 8, "/proc/stat has another form: {line}");
    let all: u64 = times.iter().sum();
    // Idle, and waiting for the disk.
    Ok((all - times[3] - times[4], all))
}

/// Whether a program can be run at all.
pub(super) fn runs(program: &Path) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}
