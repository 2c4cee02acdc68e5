//! Builds on a packager's own machine, on a distribution of one package: what is left between two of them, and what is told.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anima_build_node::local::{Config, Event, Local, Lock, Order, Origin, Report, RootOrder, Watch};
use anima_build_node::{Budget, Entry};
use anima_rpm_file::PackageInfo;
use anima_types::Arch;
use anima_types::platform::{PackageOptions, Platform};
use anima_types::work::Failure;
use common::{spec, toolbox};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A machine with a repository in a folder.
struct Packager {
    folder: TempDir,
    seen: Arc<Seen>,
}

/// What was shown of the last orders.
#[derive(Debug, Default)]
struct Seen(Mutex<String>);

impl Watch for Seen {
    fn see(&self, event: Event<'_>) {
        if let Event::Log(bytes) = event {
            self.0.lock().unwrap().push_str(&String::from_utf8_lossy(bytes));
        }
    }

    fn failed(&self, _: &Entry, _: &Failure) {}
}

impl Packager {
    fn new() -> Packager {
        let folder = tempfile::tempdir().unwrap();
        toolbox::repository(&folder.path().join("repository"));
        Packager { folder, seen: Arc::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self, budget: Budget) -> Local {
        let helper = env!("CARGO_BIN_EXE_anima-build-node-test-helper").into();
        let (data, emulators, limits) = (self.path("cache"), Default::default(), Default::default());
        Local::open(&Config { data, helper, emulators, limits, budget }).unwrap()
    }

    fn platform(&self) -> Platform {
        let text = common::PLATFORM.replace("{master}", &format!("file://{}", self.folder.path().display()));
        Platform::parse(&text).unwrap()
    }

    /// Writes a package's spec into a folder of its own.
    fn package(&self, name: &str, spec: &str) -> Origin {
        let folder = self.path(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}.spec")), spec).unwrap();
        Origin::Folder(folder)
    }

    fn order(&self, origin: Origin) -> Order {
        Order {
            packages: vec![origin],
            platform: self.platform(),
            arches: vec![Arch::X86_64],
            options: PackageOptions::default(),
            places: Vec::new(),
            replay: None,
            shows_failed: false,
            results: self.path("results"),
        }
    }

    async fn build(&self, origin: Origin) -> Report {
        let (local, order) = (self.open(Budget::default()), self.order(origin));
        local.build(&order, self.seen.clone(), &CancellationToken::new()).await.unwrap()
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_package_is_built_as_it_is_now_though_an_older_one_lies_in_the_results() {
    let packager = Packager::new();
    let text = spec("a", "", "");
    packager.build(packager.package("a", &text)).await;
    let (results, old) = (packager.path("results/a"), packager.path("old"));
    fs::copy(results.join("a-1-1.t1.src.rpm"), &old).unwrap();
    packager.build(packager.package("a", &text.replace("A test.", "Another test."))).await;
    let new = packager.path("a-1-1.t1.src.rpm");
    fs::copy(results.join("a-1-1.t1.src.rpm"), &new).unwrap();
    // As an older version, or who was killed, leaves it.
    fs::copy(&old, results.join("a-1-1.t1.src.rpm")).unwrap();
    fs::remove_file(results.join("report.json")).unwrap();

    let report = packager.build(Origin::Srpm(new.clone())).await;

    assert!(report.is_success(), "{report:#?}");
    let made = PackageInfo::read(&results.join("a-1-1.t1.noarch.rpm")).unwrap();
    assert_eq!(made.description, "Another test.");
    assert_eq!(fs::read(results.join("a-1-1.t1.src.rpm")).unwrap(), fs::read(new).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_package_that_is_built_twice_to_compare_stays_as_it_is() {
    let packager = Packager::new();
    packager.build(packager.package("a", &spec("a", "", ""))).await;
    let (made, own) = (packager.path("results/a/a-1-1.t1.src.rpm"), packager.path("a-1-1.t1.src.rpm"));
    fs::copy(&made, &own).unwrap();

    let (local, order) = (packager.open(Budget::default()), packager.order(Origin::Srpm(own.clone())));
    let (report, verification) = local.verify(&order, packager.seen.clone(), &CancellationToken::new()).await.unwrap();

    assert!(report.is_success(), "{report:#?}");
    assert_eq!(verification.unwrap().differences, []);
    assert_eq!(fs::read(&own).unwrap(), fs::read(&made).unwrap());
    assert!(fs::metadata(&own).unwrap().len() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_keeps_to_its_budget_and_is_rid_of_what_a_killed_command_left() {
    let packager = Packager::new();
    packager.build(packager.package("a", &spec("a", "", ""))).await;
    let work = packager.path("cache/environments/roots/work");
    fs::create_dir_all(work.join("99999999-0/upper")).unwrap();

    let local = packager.open(Budget { layer_bytes: 0, download_bytes: 0 });

    assert_eq!(names(&work), [""; 0]);
    let swept = local.sweep_once(SystemTime::now() + Duration::from_secs(3600)).unwrap();
    assert!(swept.layer_count > 0, "{swept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_for_a_package_has_what_its_sources_ask_for() {
    let packager = Packager::new();
    let text = spec("asks", "Source0: list", "%prep\n%setup -q -c -T\n%generate_buildrequires\ncat %{SOURCE0}");
    let folder = packager.package("asks", &text);
    fs::write(packager.path("asks/list"), "data >= 3\n").unwrap();
    packager.build(folder.clone()).await;
    let srpm = packager.path("results/asks/asks-1-1.t1.src.rpm");

    let local = packager.open(Budget::default());
    let locked = async |origin: Origin| -> Lock {
        let (platform, places, requires) = (packager.platform(), Vec::new(), Vec::new());
        let order = RootOrder { platform, arch: Arch::X86_64, origin: Some(origin), places, requires, replay: None };
        local.lock(&order, packager.seen.clone(), &CancellationToken::new()).await.unwrap().unwrap()
    };

    for origin in [folder, Origin::Srpm(srpm)] {
        let names: Vec<String> = locked(origin).await.packages.into_iter().map(|package| package.name).collect();
        assert_eq!(names, ["data", "toolbox"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_has_the_three_logs_that_a_task_has() {
    let packager = Packager::new();

    let report = packager.build(packager.package("a", &spec("a", "BuildRequires: data", ""))).await;

    let step = report.packages[0].steps.last().unwrap();
    let results = packager.path("results/a").canonicalize().unwrap();
    let logs = [&step.log, &step.root_log, &step.state_log].map(|path| path.clone().unwrap());
    assert_eq!(logs, ["x86_64.log", "x86_64.root.log", "x86_64.state.log"].map(|name| results.join(name)));
    let [build, root, state] = logs.map(|path| fs::read_to_string(path).unwrap());
    assert!(build.starts_with("buildroot: 2 packages, ") && build.contains("$ rpmbuild -bb"), "{build}");
    assert!(root.contains("\n  data-3-1.noarch tiny ") && !root.contains("rpmbuild"), "{root}");
    assert!(state.contains(" solve begins\n") && state.contains(" build used "), "{state}");
}
