//! A build node with all that it talks to: a master, a repository with one tiny distribution, git and a lookaside.
#![allow(dead_code)] // each test file uses its part

mod master;
pub mod toolbox;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anima_build_node::Config;
use anima_build_node::kept::Keep;
use anima_testkit::SmallDisk;
use anima_types::id::BuildId;
use anima_types::lease::{End, Report};
use anima_types::platform::{Limits, Platform};
use anima_types::work::{BuildOutcome, BuildWork, Failure, FileRef, Input, Outcome, SrcOutcome, SrcWork, Work};
use anima_types::{Arch, Sha256};
use sha2::Digest;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub use master::Master;

/// No task of these tests takes longer, also on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Every commit is of this moment.
pub const COMMITTED_AT_SECS: u64 = 1_750_000_000;

/// A file that is committed with this content is a link to `real.txt`.
pub const LINK: &str = "a link to real.txt";

/// A node at work.
pub struct World {
    folder: TempDir,
    data: PathBuf,
    disk: Option<SmallDisk>,
    pub master: Master,
    shutdown: CancellationToken,
    node: Option<tokio::task::JoinHandle<anyhow::Result<()>>>,
    /// The platform's file, without …
    platform_file: &'static str,
    /// … lines that are added to it.
    pub platform_lines: String,
}

impl World {
    /// Starts a master and a node.
    pub async fn new() -> World {
        World::with_limits(Limits::default()).await
    }

    /// Starts a master and a node that builds on Seed Linux.
    pub async fn on_seed() -> World {
        let mut world = World::new().await;
        let seed = tokio::task::spawn_blocking(|| anima_testkit::seed().unwrap()).await.unwrap();
        std::fs::create_dir_all(world.served().join("mirror")).unwrap();
        std::os::unix::fs::symlink(seed, world.served().join("mirror/seed")).unwrap();
        world.platform_file = include_str!("../../../../platforms/seed-1.toml");
        world
    }

    /// Starts a master and a node that gives its tasks so much.
    pub async fn with_limits(limits: Limits) -> World {
        World::start(limits, None, None).await
    }

    /// Starts a master and a node that has so many MiB of disk to itself.
    pub async fn on_small_disk(mib: u64) -> World {
        World::start(Limits::default(), None, Some(SmallDisk::new(mib).unwrap())).await
    }

    /// Starts a master and a node that keeps the roots of what failed.
    pub async fn keeping() -> World {
        World::start(Limits::default(), Keep::of(1, 100), None).await
    }

    async fn start(limits: Limits, keep: Option<Keep>, disk: Option<SmallDisk>) -> World {
        let folder = tempfile::tempdir().unwrap();
        let served = folder.path().join("served");
        std::fs::create_dir_all(served.join("git")).unwrap();
        toolbox::repository(&served.join("repository"));
        let master = Master::start(&served).await;
        let shutdown = CancellationToken::new();
        let data = disk.as_ref().map_or_else(|| folder.path().join("data"), SmallDisk::path);
        let config = Config {
            name: "node-1".into(),
            data: data.clone(),
            master_url: master.url.clone(),
            token: "token".into(),
            helper: env!("CARGO_BIN_EXE_anima-build-node-test-helper").into(),
            slots: 1,
            architectures: vec![Arch::X86_64],
            emulators: Default::default(),
            budget: Default::default(),
            limits,
            features: Vec::new(),
            keep,
        };
        let node = Some(tokio::spawn(anima_build_node::run(config, shutdown.clone())));
        World { folder, data, disk, master, shutdown, node, platform_file: PLATFORM, platform_lines: String::new() }
    }

    /// Commits a package's files and returns the commit.
    pub fn commit(&self, package: &str, files: &[(&str, &str)]) -> String {
        self.commits(package, &[("First", files)])
    }

    /// Makes a commit after the other and returns the last.
    pub fn commits(&self, package: &str, commits: &[(&str, &[(&str, &str)])]) -> String {
        let tree = tempfile::tempdir().unwrap();
        let git = |arguments: &[&str]| git(tree.path(), arguments);
        git(&["init", "--quiet", "--initial-branch=main"]);
        for (message, files) in commits {
            for (path, content) in *files {
                let path = tree.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                match *content == LINK {
                    true => std::os::unix::fs::symlink("real.txt", path).unwrap(),
                    false => std::fs::write(path, content).unwrap(),
                }
            }
            git(&["add", "--all", "--force"]);
            git(&["-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--quiet", "--message", message]);
        }
        let served = self.served().join("git").join(format!("{package}.git"));
        git(&["clone", "--quiet", "--bare", ".", served.to_str().unwrap()]);
        git(&["--git-dir", served.to_str().unwrap(), "update-server-info"]);
        git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// Puts a file into the lookaside, under a hash that may be a lie; returns its line of `sources`.
    pub fn lookaside(&self, package: &str, name: &str, content: &str, claimed: Option<&str>) -> String {
        let hash = claimed.map_or_else(|| hex::encode(sha2::Sha512::digest(content)), str::to_owned);
        let folder = self.served().join(format!("lookaside/{package}/{name}/sha512/{hash}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), content).unwrap();
        format!("SHA512 ({name}) = {hash}\n")
    }

    /// Has a source package made of a commit.
    pub async fn src(&self, package: &str, commit: &str) -> Result<SrcOutcome, Failure> {
        match self.done(self.src_work(package, commit)).await? {
            Outcome::Src(outcome) => Ok(outcome),
            other => panic!("{other:?}"),
        }
    }

    pub fn src_work(&self, package: &str, commit: &str) -> Work {
        Work::Src(SrcWork {
            build: BuildId(1),
            package: package.into(),
            git_url: format!("{}/git/{package}.git", self.master.url),
            commit: commit.into(),
            lookaside_url: format!("{}/lookaside", self.master.url),
            platform: self.platform(),
            arch: Arch::X86_64,
            inputs: self.inputs(),
        })
    }

    /// Has it built.
    pub async fn build(&self, source: &SrcOutcome) -> Result<BuildOutcome, Failure> {
        match self.done(Work::Build(self.build_work(source))).await? {
            Outcome::Build(outcome) => Ok(outcome),
            other => panic!("{other:?}"),
        }
    }

    /// Has a package made from its spec alone, and built; returns the failure of either.
    pub async fn src_and_build(&self, package: &str, spec: &str) -> Result<BuildOutcome, Failure> {
        let commit = self.commit(package, &[(&format!("{package}.spec"), spec)]);
        self.build(&self.src(package, &commit).await?).await
    }

    pub fn build_work(&self, source: &SrcOutcome) -> BuildWork {
        let bytes = self.master.artifact(source.srpm);
        let srpm = self.file(&source.nevra.file_name(), source.srpm, bytes.len() as u64);
        self.build_work_of(&source.nevra.name, srpm)
    }

    pub fn build_work_of(&self, package: &str, srpm: FileRef) -> BuildWork {
        BuildWork {
            build: BuildId(1),
            package: package.to_owned(),
            srpm,
            commit: String::new(),
            platform: self.platform(),
            arch: Arch::X86_64,
            inputs: self.inputs(),
        }
    }

    pub fn file(&self, name: &str, sha256: Sha256, size_bytes: u64) -> FileRef {
        FileRef { sha256, name: name.into(), url: format!("{}/api/v1/artifacts/{sha256}", self.master.url), size_bytes }
    }

    async fn done(&self, work: Work) -> Result<Outcome, Failure> {
        match self.report(work).await.end {
            End::Succeeded(outcome) => Ok(outcome),
            End::Failed(failure) => Err(failure),
            End::GivenBack(failure) => panic!("it was given back: {failure:?}"),
        }
    }

    /// Gives a task to the node and waits for its report.
    pub async fn report(&self, work: Work) -> Report {
        self.master.give(work);
        let report = tokio::time::timeout(LIMIT, self.master.report()).await;
        report.unwrap_or_else(|_| panic!("no report came; the log is:\n{}", self.master.log()))
    }

    /// Waits until something is so.
    pub async fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let waiting = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(LIMIT, waiting).await;
        waited.unwrap_or_else(|_| panic!("{what} did not come about; the log is:\n{}", self.master.log()));
    }

    /// Stops the node, which has to end by itself.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        let node = self.node.take().unwrap();
        tokio::time::timeout(LIMIT, node).await.expect("the node ends").unwrap().unwrap();
    }

    /// The node's folder.
    pub fn data(&self) -> PathBuf {
        self.data.clone()
    }

    /// The disk that it has to itself.
    pub fn disk(&self) -> &SmallDisk {
        self.disk.as_ref().unwrap()
    }

    /// The node's folder of tasks.
    pub fn tasks(&self) -> PathBuf {
        self.data.join("build-node/work")
    }

    fn served(&self) -> PathBuf {
        self.folder.path().join("served")
    }

    /// Serves another repository, with a gift and older data.
    pub fn second_repository(&self) {
        toolbox::second_repository(&self.served());
    }

    fn platform(&self) -> Platform {
        Platform::parse(&format!("{}{}", self.platform_file, self.platform_lines)).unwrap()
    }

    /// Everything that is mounted for this node's tasks, and every file that they left.
    pub fn leftovers(&self) -> Vec<String> {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        // Below it: it may be a disk itself.
        let own = format!("{}/", self.data.display());
        let mounted = mounts.lines().filter(|line| line.contains(&own)).map(str::to_owned);
        let folders = [self.tasks(), self.data.join("environments/roots/work")];
        let left = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
        mounted.chain(left.map(|entry| entry.unwrap().path().display().to_string())).collect()
    }

    fn inputs(&self) -> Vec<Input> {
        let platform = self.platform();
        let repositories = platform.repositories.iter();
        repositories.map(|repository| repository.input(Arch::X86_64, &self.master.url)).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A spec of a noarch package with these lines in its preamble and these sections.
pub fn spec(name: &str, preamble: &str, sections: &str) -> String {
    format!(
        "Name: {name}\nVersion: 1\nRelease: 1%{{?dist}}\nSummary: A test\nLicense: MIT\nBuildArch: noarch\n{preamble}\n\
         %description\nA test.\n{sections}\n%install\nmkdir -p %{{buildroot}}/usr/share/{name}\necho %{{version}} > %{{buildroot}}/usr/share/{name}/version\n\
         cp -r * %{{buildroot}}/usr/share/{name}/ || :\n%files\n/usr/share/{name}\n\
         %changelog\n* Mon Nov 02 2026 A Packager <a@example.org> - 1-1\n- First\n"
    )
}

/// The file of a platform with that repository.
pub const PLATFORM: &str = "name = \"tiny\"\ntitle = \"Tiny\"\ndist = \".t1\"\nbranch = \"t1\"\narchitectures = [\"x86_64\"]\n\
                [buildroot]\npackages = [\"toolbox\"]\ntest_packages = []\n[[repositories]]\nname = \"tiny\"\nurl = \"{master}/repository/\"\n\
                [macros]\n_buildshell = \"/bin/bash\"\n__os_install_post = \"%{nil}\"\n";

fn git(folder: &Path, arguments: &[&str]) -> String {
    run(Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env("GIT_AUTHOR_DATE", format!("{COMMITTED_AT_SECS} +0000"))
        .env("GIT_COMMITTER_DATE", format!("{COMMITTED_AT_SECS} +0000"))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null"))
}

pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
