//! What goes wrong outside ends in a clear error where the user looks first, and the next try works.

use std::{fs, path::Path, process::Command, time::Duration};

use anima_testkit::{SourcePackage, System};
use anima_types::{
    build::{BuildDetail, Status},
    release::ListQuery,
    work::Failure,
};

use crate::{BUILD_LIMIT, system};

/// Larger than any push that is taken.
const GARBAGE_BYTES: usize = 100 * 1024 * 1024;

#[tokio::test]
async fn each_bad_package_fails_with_its_own_reason_and_the_corrected_one_is_released() {
    let system = system().await;

    let failure = push_and_fail(&system, &SourcePackage::with_spec("bad-spec", "Name: bad-spec\n%if\n").unwrap()).await;
    assert_eq!(failure.code, "spec", "{failure:#?}");

    let wrong = SourcePackage::tiny("bad-source", "1").unwrap();
    wrong.write("sources", format!("SHA512 (a.tar.gz) = {}\n", "0".repeat(128)).as_bytes()).unwrap();
    let failure = push_and_fail(&system, &wrong).await;
    assert_eq!(failure.code, "bad_source", "{failure:#?}");
    assert!(failure.message.contains("a.tar.gz"), "{failure:#?}");

    let missing = SourcePackage::tiny_with("bad-requires", "1", "BuildRequires: zlib-devl").unwrap();
    let failure = push_and_fail(&system, &missing).await;
    assert_eq!(failure.code, "missing_build_requires", "{failure:#?}");
    assert!(failure.message.contains("zlib-devl"), "{failure:#?}");
    assert!(failure.hint.as_deref().unwrap_or_default().contains("zlib-devel"), "{failure:#?}");

    let check = SourcePackage::tiny("bad-check", "1").unwrap();
    let good = fs::read_to_string(check.path("bad-check.spec")).unwrap();
    check.write("bad-check.spec", good.replace("%files", "%check\necho no good; false\n\n%files").as_bytes()).unwrap();
    let failure = push_and_fail(&system, &check).await;
    assert_eq!(failure.code, "check_failed", "{failure:#?}");

    assert!(
        system.client().releases(&ListQuery::default(), 1).await.unwrap().is_empty(),
        "nothing is published of what failed"
    );
    check.write("bad-check.spec", good.as_bytes()).unwrap();
    let commit = system.push(&check, "s1").unwrap();
    let build = system.build_of("bad-check", &commit).await.unwrap();
    system.released(build, BUILD_LIMIT).await.unwrap();
}

#[tokio::test]
async fn a_push_that_is_no_push_is_refused_and_leaves_nothing() {
    let system = system().await;
    let package = SourcePackage::tiny("bad-push", "1").unwrap();
    package.commit("First").unwrap();

    let address = system.git_url().trim_start_matches("http://").to_string();
    let refused = package.push_to(&format!("http://admin:wrong@{address}/bad-push.git"), "s1").unwrap_err().to_string();
    assert!(refused.contains("403") || refused.contains("401") || refused.contains("Authentication"), "{refused}");

    let said = package.push_to(&system.push_url("bad-push").unwrap(), "nobodys").unwrap();
    assert!(said.contains("nobodys"), "the pusher is told that nothing is built of the branch: {said}");
    assert!(system.client().builds(&Default::default()).await.unwrap().is_empty());

    let mut seed = 1_u64;
    let garbage = (0..GARBAGE_BYTES / 8).flat_map(|_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed ^ (seed >> 29)).to_le_bytes()
    });
    package.write("garbage", &garbage.collect::<Vec<u8>>()).unwrap();
    package.commit("Garbage").unwrap();
    let refused = package.push_to(&system.push_url("bad-push").unwrap(), "s1").unwrap_err().to_string();
    assert!(refused.contains("lookaside"), "{refused}");
    assert!(system.client().builds(&Default::default()).await.unwrap().is_empty());

    let fresh = SourcePackage::tiny("bad-push", "2").unwrap();
    fresh.commit("Small").unwrap();
    fresh.push_to(&system.push_url("bad-push").unwrap(), "s1").unwrap();
}

#[tokio::test]
async fn an_unknown_reference_and_an_unknown_platform_say_what_there_is() {
    let system = system().await;
    let package = SourcePackage::tiny("bad-words", "1").unwrap();
    package.commit("First").unwrap();
    package.push_to(&system.push_url("bad-words").unwrap(), "other").unwrap();

    let unknown = system.anima(&["build", "create", "bad-words@nowhere", "--platform", "seed-1"]).unwrap();
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(!unknown.status.success() && said.contains("nowhere"), "{said}");
    assert!(said.contains("other"), "the branches that are there are named: {said}");

    let unknown = system.anima(&["build", "create", "bad-words@other", "--platform", "seed-9"]).unwrap();
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(!unknown.status.success() && said.contains("seed-9"), "{said}");

    let wrong = system.anima(&["--token", "wrong", "build", "create", "bad-words", "--platform", "seed-1"]).unwrap();
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(!wrong.status.success() && said.contains("token"), "{said}");
}

async fn push_and_fail(system: &System, package: &SourcePackage) -> Failure {
    let commit = system.push(package, "s1").unwrap();
    let build = system.build_of(package.name(), &commit).await.unwrap();
    let detail: BuildDetail = system.ended(build, Duration::from_secs(240)).await.unwrap();
    assert_eq!(detail.build.status, Status::Failed, "{detail:#?}");
    let failed = detail.tasks.iter().find(|task| task.status == anima_types::task::Status::Failed);
    let failure =
        failed.and_then(|task| task.failure.clone()).unwrap_or_else(|| panic!("no task says why: {detail:#?}"));
    assert!(
        detail.build.summary.contains(package.name()),
        "the build's first line names the package: {}",
        detail.build.summary
    );
    failure
}

#[tokio::test]
async fn a_build_node_whose_disk_is_too_full_says_so_and_takes_its_task_when_there_is_room() {
    let disk = SmallDisk::mount("48m");
    let more = format!("[build_node]\ndata = \"{}\"", disk.0.path().display());
    let system = System::start_with(Path::new(env!("CARGO_BIN_EXE_anima")), &more).await.unwrap();
    let package = SourcePackage::tiny("bad-disk", "1").unwrap();

    let commit = system.push(&package, "s1").unwrap();
    let build = system.build_of(package.name(), &commit).await.unwrap();
    let told = system.wait(BUILD_LIMIT, async || {
        let nodes = system.client().nodes().await.ok()?;
        nodes.into_iter().find_map(|node| node.why.filter(|why| why.contains("its disk is too full")))
    });
    told.await.expect("the node says why it takes nothing");
    assert_eq!(
        system.client().build(build).await.unwrap().build.status,
        Status::Sources,
        "it waits, and has not failed"
    );

    disk.resize("8g");
    system.released(build, BUILD_LIMIT).await.unwrap();
}

/// A file system in memory that is too small.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> SmallDisk {
        let folder = tempfile::tempdir().unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .status();
        assert!(status.unwrap().success());
        SmallDisk(folder)
    }

    fn resize(&self, size: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,size={size}")]).arg(self.0.path()).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--lazy"]).arg(self.0.path()).status();
    }
}
