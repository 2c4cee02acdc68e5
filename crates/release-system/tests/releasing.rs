//! The whole Release System with a master of this test; dnf reads the repositories that come of it.

#[allow(dead_code)] // the client's own tests use all of it
#[path = "../../client/tests/with_master/common.rs"]
mod master;
#[path = "../../rpm-file/tests/support/mod.rs"]
mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use anima_release_system::{Config, run};
use anima_repodata::{PackageXml, PublishedFile, Repomd, Repository, render};
use anima_rpm_file::PackageInfo;
use anima_types::{
    Arch, Sha256, Timestamp,
    artifact::{self, Artifact},
    id::{ReleaseId, RepositoryId},
    lease::{End, Lease},
    repository::{self, Attachment, Compression, RepositoryPackage},
    work::{
        Failure, FileRef, Outcome, PlanPackage, PlanRepository, PlanWork, PublishChange, PublishOutcome,
        PublishRepository, PublishWork, RemovedPackage, SignWork, Work,
    },
};
use master::{BOUND, Master, SECRET, TASK};
use sha2::Digest;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const REVISION: i64 = 1_700_000_000;

/// A Release System that runs, and its master.
struct System {
    master: Master,
    shutdown: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
    _folder: TempDir,
}

impl System {
    async fn start() -> System {
        let (master, shutdown) = (Master::start().await, CancellationToken::new());
        let folder = TempDir::new().unwrap();
        let running = tokio::spawn(run(config(&master, folder.path()), shutdown.clone()));
        System { master, shutdown, running, _folder: folder }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(BOUND, self.running).await.expect("it stops").unwrap().unwrap();
    }

    /// Gives a task and returns what came of it.
    async fn done(&self, work: Work) -> End {
        let done_before = self.master.book().reports.len();
        let lease = Lease { task: TASK, number: 1, secret: SECRET.into(), expires_at: Timestamp(0), work };
        self.master.change(|book| {
            book.log.clear();
            book.artifacts.clear();
            book.leases.push_back(lease);
        });
        self.master.wait_until("the task is reported", |book| book.reports.len() > done_before).await;
        self.master.book().reports.last().unwrap().end.clone()
    }

    async fn failure(&self, work: Work) -> Failure {
        match self.done(work).await {
            End::Failed(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    /// Returns the work of making one repository's metadata from a list.
    fn publish(&self, list: &impl serde::Serialize) -> Work {
        let bytes = serde_json::to_vec(list).unwrap();
        self.master.change(|book| {
            book.files.insert("packages".to_string(), bytes.into());
        });
        let packages_url = self.master.url("files/packages");
        publish_work(PublishRepository {
            repository: RepositoryId(3),
            packages_url,
            compression: Compression::Gzip,
            change: None,
            attachments: Vec::new(),
        })
    }

    async fn published(&self, list: &[PackageXml]) -> PublishOutcome {
        self.made(self.publish(&list)).await
    }

    async fn made(&self, work: Work) -> PublishOutcome {
        match self.done(work).await {
            End::Succeeded(Outcome::Publish(outcome)) => outcome,
            other => panic!("{other:?}"),
        }
    }

    /// Serves what the last task uploaded, and returns how it is asked for, by its name.
    fn keep(&self) -> BTreeMap<String, FileRef> {
        let artifacts = self.master.book().artifacts.clone();
        let kept = artifacts.into_iter().map(|(Artifact { sha256, name, size_bytes, .. }, bytes)| {
            self.master.change(|book| drop(book.files.insert(sha256.to_string(), bytes)));
            let url = self.master.url(&format!("files/{sha256}"));
            let plain = name.rsplit('-').next().unwrap().to_string();
            (plain, FileRef { sha256, name, url, size_bytes })
        });
        kept.collect()
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&self.master.book().log).into_owned()
    }

    fn uploaded(&self, sha256: Sha256) -> Vec<u8> {
        let book = self.master.book();
        let (artifact, bytes) = book.artifacts.iter().find(|(artifact, _)| artifact.sha256 == sha256).expect("it came");
        assert_eq!(artifact.kind, artifact::Kind::Repodata);
        assert!(!artifact.name.contains('/'), "{artifact:?}");
        assert_eq!(Sha256(sha2::Sha256::digest(bytes).into()), sha256);
        bytes.to_vec()
    }
}

fn publish_work(repository: PublishRepository) -> Work {
    Work::Publish(PublishWork { release: ReleaseId(7), revision: REVISION, repositories: vec![repository] })
}

fn config(master: &Master, folder: &Path) -> Config {
    let (master_url, token) = (master.url(""), "node-token".into());
    Config { name: "release-1".into(), master_url, token, folder: folder.to_path_buf() }
}

/// The metadata of the odd packages, as the master keeps it.
fn fragments() -> Vec<PackageXml> {
    let fragment = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        let location = format!("Packages/{}", path.file_name().unwrap().to_str().unwrap());
        let sha256 = Sha256(sha2::Sha256::digest(&bytes).into());
        let file = PublishedFile { location, sha256, size_bytes: bytes.len() as u64, modified_at_secs: REVISION };
        render(&PackageInfo::read(path).unwrap(), &file)
    };
    support::odd().files.iter().map(|path| fragment(path)).collect()
}

fn plan_work(repositories: Vec<PlanRepository>) -> Work {
    let package = |nevra: &str| PlanPackage::new(listed(nevra), Some(Arch::X86_64));
    let packages = vec![package("zlib-1.3-1.x86_64"), package("zlib-doc-1.3-1.x86_64")];
    Work::Plan(PlanWork::new(ReleaseId(7), packages, repositories))
}

fn listed(nevra: &str) -> RepositoryPackage {
    RepositoryPackage {
        nevra: nevra.parse().unwrap(),
        artifact: Sha256([1; 32]),
        source: "zlib".into(),
        header_sha256: None,
    }
}

fn base_os() -> PlanRepository {
    let repository = repository::Repository {
        id: RepositoryId(3),
        product: "seed-1".into(),
        path: "BaseOS/x86_64".into(),
        kind: repository::Kind::Binary,
        arch: Some("x86_64".into()),
        current: 12,
        package_count: 1,
    };
    PlanRepository::new(repository, vec![listed("zlib-1.2-1.x86_64")])
}

#[tokio::test]
async fn a_plan_is_reported_and_its_log_gives_every_reason() {
    let system = System::start().await;

    let end = system.done(plan_work(vec![base_os()])).await;

    let End::Succeeded(Outcome::Plan(plan)) = end else { panic!("{end:?}") };
    let places = plan.entries.iter().map(|entry| format!("{} {}", entry.nevra, entry.repository_path));
    assert_eq!(places.collect::<Vec<_>>(), ["zlib-1.3-1.x86_64 BaseOS/x86_64", "zlib-doc-1.3-1.x86_64 BaseOS/x86_64"]);
    assert_eq!(
        system.log(),
        "BaseOS/x86_64 + zlib-1.3-1.x86_64, replaces zlib-1.2-1.x86_64: the same name is there @12\n\
         BaseOS/x86_64 + zlib-doc-1.3-1.x86_64: another package of its source is there @12\n\
         gate closure: the master does not tell where the packages are\n\
         gate missing-source (ask): zlib-1.3-1.x86_64 has no source package zlib\n\
         gate missing-source (ask): zlib-doc-1.3-1.x86_64 has no source package zlib\n\
         gate missing-debug (tell): zlib has packages for x86_64, and no debug package\n\
         2 packages have 2 places\n"
    );
    system.stop().await;
}

#[tokio::test]
async fn dnf_reads_the_repository_that_was_made() {
    let (system, dir) = (System::start().await, TempDir::new().unwrap());
    let repository = dir.path().join("repository");
    fs::create_dir_all(repository.join("repodata")).unwrap();

    let outcome = system.published(&fragments()).await;

    let made = &outcome.repositories[0];
    assert_eq!((outcome.repositories.len(), made.repository), (1, RepositoryId(3)));
    fs::write(repository.join("repodata/repomd.xml"), system.uploaded(made.repomd)).unwrap();
    for file in &made.files {
        assert!(file.path.ends_with(".xml.gz"), "what every client reads, not {}", file.path);
        fs::write(repository.join(&file.path), system.uploaded(file.sha256)).unwrap();
    }
    let read = Repository::open(&repository).unwrap();
    read.verify().unwrap();
    assert_eq!(read.repomd.revision, REVISION.to_string());
    let wanted: BTreeSet<_> = fragments().iter().map(|fragment| fragment.nevra.to_string()).collect();
    assert_eq!(dnf_lists(&repository, dir.path()), wanted);
    assert!(system.log().starts_with(&format!("repository 3: {} packages, ", wanted.len())), "{}", system.log());
    system.stop().await;
}

#[tokio::test]
async fn the_same_packages_in_another_order_give_the_same_files() {
    let system = System::start().await;
    let (packages, mut reversed) = (fragments(), fragments());
    reversed.reverse();

    let first = system.published(&packages).await;
    let second = system.published(&reversed).await;

    assert_eq!(first, second);
    system.stop().await;
}

#[tokio::test]
async fn a_change_of_the_last_state_gives_the_same_files_as_all_packages_do() {
    let system = System::start().await;
    let all = fragments();
    let (first, last) = (&all[0], &all[all.len() - 1]);
    system.published(&all[..all.len() - 1]).await;
    let kept = system.keep();
    let anew = system.published(&all[1..]).await;
    system.keep();
    system.master.change(|book| drop(book.files.insert("added".into(), serde_json::to_vec(&[last]).unwrap().into())));
    let file = |name: &str| kept[name].clone();
    let mut work = PublishRepository {
        repository: RepositoryId(3),
        packages_url: system.master.url("files/none"),
        compression: Compression::Gzip,
        change: Some(PublishChange {
            layout: file("layout.json"),
            files: ["primary.xml.gz", "filelists.xml.gz", "other.xml.gz"].map(file).to_vec(),
            added_url: system.master.url("files/added"),
            removed: vec![RemovedPackage { location: first.location.clone(), sha256: first.sha256 }],
        }),
        attachments: Vec::new(),
    };

    let changed = system.made(publish_work(work.clone())).await;

    assert_eq!(changed, anew);
    assert!(system.log().contains("made out of the last state's"), "{}", system.log());

    // What is not what it should be is made anew, and says why.
    work.packages_url = system.publish(&&all[1..]).packages_url();
    let change = work.change.as_mut().unwrap();
    change.removed[0].sha256 = last.sha256;
    let changed = system.made(publish_work(work.clone())).await;
    assert_eq!(changed, anew);
    assert!(system.log().contains("is made anew: could not read the old metadata"), "{}", system.log());
    system.stop().await;
}

trait PackagesUrl {
    fn packages_url(self) -> String;
}

impl PackagesUrl for Work {
    fn packages_url(self) -> String {
        match self {
            Work::Publish(work) => work.repositories[0].packages_url.clone(),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn metadata_beside_the_packages_is_named_in_the_index_and_not_moved() {
    let system = System::start().await;
    let attachment = Attachment {
        kind: "updateinfo".into(),
        path: "repodata/ab-updateinfo.xml.gz".into(),
        sha256: Sha256([1; 32]),
        size_bytes: 5,
        open_sha256: Sha256([2; 32]),
        open_size_bytes: 9,
    };
    let Work::Publish(mut work) = system.publish(&fragments()) else { unreachable!() };
    work.repositories[0].compression = Compression::Zstd;
    work.repositories[0].attachments.push(attachment.clone());

    let outcome = system.made(Work::Publish(work)).await;

    let made = &outcome.repositories[0];
    let repomd = Repomd::parse(&system.uploaded(made.repomd)).unwrap();
    let record = repomd.record("updateinfo").unwrap();
    assert_eq!((&record.location, record.open_size_bytes), (&attachment.path, Some(9)));
    assert_eq!(made.files.iter().filter(|file| file.path.ends_with(".xml.zst")).count(), 3);
    assert_eq!(made.files.last().unwrap().sha256, attachment.sha256);
    system.stop().await;
}

#[tokio::test]
async fn what_cannot_be_done_fails_with_a_code_and_a_sentence() {
    let system = System::start().await;
    let mut lying = fragments();
    lying[0].nevra = "other-1-1.noarch".parse().unwrap();
    let sign = Work::Sign(SignWork::Signatures { fingerprint: "AB".into(), items: Vec::new() });
    let cases = [
        (plan_work(Vec::new()), "no_repository", "could not place zlib-1.3-1.x86_64"),
        (sign, "wrong_work", "it cannot do a sign task"),
    ];

    for (work, code, words) in cases {
        let failure = system.failure(work).await;
        assert_eq!(failure.code, code, "{failure:?}");
        assert!(failure.message.contains(words), "{failure:?}");
    }
    let failure = system.failure(system.publish(&"no list")).await;
    assert_eq!(failure.code, "bad_metadata");
    assert!(failure.message.starts_with("could not make the metadata of repository 3: "), "{failure:?}");
    let failure = system.failure(system.publish(&lying)).await;
    assert!(failure.message.contains("its parts name different packages"), "{failure:?}");
    assert!(system.master.book().artifacts.is_empty(), "nothing of a bad list is uploaded");
    system.stop().await;
}

#[tokio::test]
async fn a_release_system_with_a_wrong_token_ends_with_that() {
    let master = Master::start().await;
    let folder = TempDir::new().unwrap();
    let config = Config { token: "wrong".into(), ..config(&master, folder.path()) };

    let ended = tokio::time::timeout(BOUND, run(config, CancellationToken::new())).await.expect("it ends");

    assert_eq!(ended.unwrap_err().to_string(), "could not take release tasks");
}

/// dnf with nothing of the machine's own.
fn dnf_lists(repository: &Path, dir: &Path) -> BTreeSet<String> {
    let dir = dir.display();
    let mut command = Command::new("dnf");
    command.args([
        format!("--repofrompath=ours,file://{}", repository.display()),
        format!("--installroot={dir}/root"),
        format!("--setopt=cachedir={dir}/cache"),
        format!("--setopt=persistdir={dir}/persist"),
        format!("--setopt=logdir={dir}"),
        format!("--setopt=reposdir={dir}/none"),
    ]);
    command.args(["-q", "--repo=ours", "--disableplugin=local", "--releasever=1", "--forcearch=x86_64"]);
    command.args(["repoquery", "--queryformat=%{evr} %{name} %{arch}"]).env("LC_ALL", "C.UTF-8");
    let listed = support::run(&mut command);
    let nevra = |line: &str| {
        let [evr, name, arch] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        format!("{name}-{evr}.{arch}")
    };
    listed.lines().map(nevra).collect()
}
