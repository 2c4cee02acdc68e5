//! A test node with all that it talks to: a master, a platform of one package with a shell, and a build's own repository.
#![allow(dead_code)] // each test file uses its part

mod master;
mod packages;

use std::path::PathBuf;
use std::time::Duration;

use anima_test_system::Config;
use anima_types::id::BuildId;
use anima_types::lease::{End, Report};
use anima_types::platform::Platform;
use anima_types::work::{Check, Failure, FileRef, Input, Outcome, PhaseTime, TestPackage, TestWork, Verdict, Work};
use anima_types::{Arch, Nevra, Sha256};
use sha2::Digest;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub use master::Master;
pub use packages::Package;

/// No task of these tests takes longer, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A node at work.
pub struct World {
    folder: TempDir,
    pub master: Master,
    shutdown: CancellationToken,
}

/// What came of a task.
pub struct Tested {
    pub verdicts: Vec<Verdict>,
    pub phases: Vec<PhaseTime>,
    pub log: String,
}

impl World {
    /// Starts a master and a node; the platform has a shell, and these packages besides.
    pub async fn new(platform_packages: &[Package]) -> World {
        let folder = tempfile::tempdir().unwrap();
        let served = folder.path().join("served");
        packages::shell(&served.join("platform"));
        platform_packages.iter().for_each(|package| drop(package.build(&served.join("platform"))));
        packages::index(&served.join("platform"));
        let master = Master::start(&served).await;
        let shutdown = CancellationToken::new();
        let config = Config {
            name: "node-1".into(),
            data: folder.path().join("data"),
            master_url: master.url.clone(),
            token: "token".into(),
            helper: env!("CARGO_BIN_EXE_anima-test-system-test-helper").into(),
            slots: 1,
            architectures: vec![Arch::X86_64],
            emulators: Default::default(),
            budget: Default::default(),
        };
        tokio::spawn(anima_test_system::run(config, shutdown.clone()));
        World { folder, master, shutdown }
    }

    /// Has packages of a build tested; the platform's environment starts with `shell` and these.
    pub async fn test(&self, test_packages: &[&str], packages: &[Package]) -> Result<Tested, Failure> {
        let repository = self.folder.path().join("served/build");
        let _ = std::fs::remove_dir_all(&repository);
        let paths: Vec<PathBuf> = packages.iter().map(|package| package.build(&repository)).collect();
        packages::index(&repository);
        let packages = packages.iter().zip(&paths).map(|(package, path)| self.under_test(package, path)).collect();
        let input = |name: &str, priority| Input {
            name: name.into(),
            url: format!("{}/{name}/", self.master.url),
            priority,
            ..Input::default()
        };
        let work = TestWork {
            build: BuildId(7),
            platform: platform(test_packages),
            arch: Arch::X86_64,
            packages,
            inputs: vec![input("platform", 99), input("build", 1)],
        };
        let Report { end, phases, .. } = self.report(Work::Test(work)).await;
        match end {
            End::Succeeded(Outcome::Test(outcome)) => {
                Ok(Tested { verdicts: outcome.verdicts, phases, log: self.master.log() })
            }
            End::Succeeded(other) => panic!("{other:?}"),
            End::Failed(failure) => Err(failure),
            End::GivenBack(failure) => panic!("it was given back: {failure:?}"),
        }
    }

    /// The roots that are mounted or being made.
    pub fn roots(&self) -> PathBuf {
        self.folder.path().join("data/environments/roots/work")
    }

    async fn report(&self, work: Work) -> Report {
        self.master.give(work);
        let report = tokio::time::timeout(LIMIT, self.master.report()).await;
        report.unwrap_or_else(|_| panic!("no report came; the log is:\n{}", self.master.log()))
    }

    fn under_test(&self, package: &Package, path: &std::path::Path) -> TestPackage {
        let bytes = std::fs::read(path).unwrap();
        let sha256: Sha256 = hex::encode(sha2::Sha256::digest(&bytes)).parse().unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let url = format!("{}/build/{name}", self.master.url);
        TestPackage { nevra: package.nevra(), file: FileRef { sha256, name, url, size_bytes: bytes.len() as u64 } }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Tested {
    pub fn verdict(&self, name: &str) -> &Verdict {
        self.verdicts.iter().find(|verdict| verdict.nevra.name == name).unwrap()
    }

    pub fn check(&self, package: &str, check: &str) -> &Check {
        let verdict = self.verdict(package);
        verdict
            .checks
            .iter()
            .find(|it| it.name == check)
            .unwrap_or_else(|| panic!("{check}: {verdict:?}\n{}", self.log))
    }

    /// The names of the checks that are red.
    pub fn red(&self, package: &str) -> Vec<&str> {
        let verdict = self.verdict(package);
        let red: Vec<&str> =
            verdict.checks.iter().filter(|check| !check.is_green).map(|check| check.name.as_str()).collect();
        assert_eq!(verdict.is_green, red.is_empty());
        red
    }
}

fn platform(test_packages: &[&str]) -> Platform {
    let more: String = test_packages.iter().map(|name| format!(", {name:?}")).collect();
    let text = format!(
        "name = \"tiny\"\ntitle = \"Tiny\"\ndist = \".t1\"\nbranch = \"t1\"\narchitectures = [\"x86_64\"]\n\
         [buildroot]\npackages = [\"shell\"]\ntest_packages = [\"shell\"{more}]\n\
         [[repositories]]\nname = \"platform\"\nurl = \"http://x\"\n"
    );
    Platform::parse(&text).unwrap()
}

/// Reads a NEVRA.
pub fn nevra(text: &str) -> Nevra {
    text.parse().unwrap()
}
