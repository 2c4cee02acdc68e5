//! Any process may be killed at any instant: no task is lost, and none is done twice with effect.

use std::{fs, time::Duration};

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
    let package = SourcePackage::tiny("snail", "1").unwrap();
    let spec = fs::read_to_string(package.path("snail.spec")).unwrap();
    package.write("snail.spec", spec.replace("%install\n", "%install\nsleep 5\n").as_bytes()).unwrap();
    package
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
    let package = slow_package();
    let commit = system.push(&package, "s1").unwrap();
    let build = system.build_of("snail", &commit).await.unwrap();

    wait_for_lease(&system, build, Kind::Build).await;
    system.kill("build-node").await.unwrap();
    let detail = system.released(build, BUILD_LIMIT).await.unwrap();

    let build_task = detail.tasks.iter().find(|task| task.kind == Kind::Build).unwrap();
    assert_eq!((detail.build.status, build_task.attempts), (Status::Succeeded, 2));
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
