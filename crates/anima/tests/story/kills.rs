//! Any process may be killed at any instant: no task is lost, and none is done twice with effect.

use std::{fs, path::Path, time::Duration};

use anima_testkit::{SourcePackage, System};
use anima_types::{
    build::Status,
    id::BuildId,
    task::{self, Kind},
};

use crate::{BUILD_LIMIT, system};

/// A build is at its next step within this.
const STEP_LIMIT: Duration = Duration::from_secs(120);

/// A package whose build is under way long enough to be killed in it.
pub(crate) fn slow_package() -> SourcePackage {
    package_that_installs_by("sleep 5")
}

fn package_that_installs_by(commands: &str) -> SourcePackage {
    let package = SourcePackage::tiny("snail", "1").unwrap();
    let spec = fs::read_to_string(package.path("snail.spec")).unwrap();
    let slow = spec.replace("%install\n", &format!("%install\n{commands}\n"));
    package.write("snail.spec", slow.as_bytes()).unwrap();
    package
}

/// Returns how many processes of this machine sleep for just so long.
pub(crate) fn sleeping(secs: &str) -> usize {
    let wanted = format!("sleep\0{secs}\0");
    let commands = fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    commands.filter(|command| command == wanted.as_bytes()).count()
}

/// Returns what is mounted below a folder, and what tasks have left in the folders of roots and of tasks there.
pub(crate) fn leftovers(data: &Path, folders: &[&str]) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let below = format!("{}/", data.display());
    let mounted = mounts.lines().filter(|line| line.contains(&below)).map(str::to_owned);
    let left = folders.iter().flat_map(|folder| fs::read_dir(data.join(folder)).unwrap());
    mounted.chain(left.map(|entry| entry.unwrap().path().display().to_string())).collect()
}

pub(crate) async fn wait_for_lease(system: &System, build: BuildId, kind: Kind) {
    let leased = system
        .wait(STEP_LIMIT, async || {
            let detail = system.client().build(build).await.ok()?;
            detail.tasks.into_iter().find(|task| task.kind == kind && task.status == task::Status::Leased)
        })
        .await;
    assert!(leased.is_some(), "no {kind:?} task began: {}", system.up_log());
}

#[tokio::test]
async fn every_role_but_the_build_node_may_be_killed_while_a_package_is_built_and_nobody_notices() {
    let system = system().await;
    let package = slow_package();
    let commit = system.push(&package, "s1").unwrap();
    let build = system.build_of("snail", &commit).await.unwrap();

    wait_for_lease(&system, build, Kind::Build).await;
    for role in ["master", "git-service", "sign-server", "release-system", "test-node", "master"] {
        system.kill(role).await.unwrap();
    }
    let detail = system.released(build, BUILD_LIMIT).await.unwrap();

    let build_task = detail.tasks.iter().find(|task| task.kind == Kind::Build).unwrap();
    assert_eq!((detail.build.status, build_task.attempts), (Status::Succeeded, 1));
}

#[tokio::test]
async fn a_build_node_that_is_killed_loses_its_task_to_its_successor_and_the_package_is_built_once() {
    let system = system().await;
    // A process of the build that does not end by itself, and is in no session of its parents.
    let mark = format!("4{:07}", std::process::id());
    let package = package_that_installs_by(&format!("(setsid sleep {mark} > /dev/null 2>&1 &)\nsleep 5"));
    let commit = system.push(&package, "s1").unwrap();
    let build = system.build_of("snail", &commit).await.unwrap();

    wait_for_lease(&system, build, Kind::Build).await;
    system.wait(STEP_LIMIT, async || (sleeping(&mark) == 1).then_some(())).await.expect("the build is in its sandbox");
    system.kill("build-node").await.unwrap();
    let detail = system.released(build, BUILD_LIMIT).await.unwrap();

    let build_task = detail.tasks.iter().find(|task| task.kind == Kind::Build).unwrap();
    assert_eq!((detail.build.status, build_task.attempts), (Status::Succeeded, 2));
    assert_eq!(sleeping(&mark), 0, "neither of the killed node's build nor of its successor's");
    let left = || leftovers(&system.data().join("node"), &["build-node/work", "environments/roots/work"]);
    let is_gone = system.wait(STEP_LIMIT, async || left().is_empty().then_some(())).await;
    assert!(is_gone.is_some(), "{:#?}", left());
}

#[tokio::test]
async fn a_machine_that_loses_its_power_goes_on_where_it_was() {
    let mut system = system().await;
    let package = slow_package();
    let commit = system.push(&package, "s1").unwrap();
    let build = system.build_of("snail", &commit).await.unwrap();

    wait_for_lease(&system, build, Kind::Build).await;
    system.kill_all().unwrap();
    system.up().await.unwrap();

    system.released(build, BUILD_LIMIT).await.unwrap();
}
