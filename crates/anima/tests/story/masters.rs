//! Several masters on one PostgreSQL and one object store: any of them, and both of these, may go away for a while.

use std::path::Path;

use anima_testkit::{Cluster, Root, SourcePackage};
use anima_types::{build::Status, task::Kind};

use crate::{
    BUILD_LIMIT,
    kills::{slow_package, wait_for_lease},
};

#[tokio::test]
async fn two_masters_share_the_work_and_one_is_enough() {
    let mut cluster = Cluster::start(Path::new(env!("CARGO_BIN_EXE_anima")), 2).await.unwrap();
    let package = slow_package();

    let commit = cluster.roles.push(&package, "s1").unwrap();
    let build = cluster.roles.build_of("snail", &commit).await.unwrap();
    wait_for_lease(&cluster.roles, build, Kind::Build).await;
    cluster.masters[0].kill_all().unwrap();
    let detail = cluster.roles.released(build, BUILD_LIMIT).await.unwrap();

    let build_task = detail.tasks.iter().find(|task| task.kind == Kind::Build).unwrap();
    assert_eq!((detail.build.status, build_task.attempts), (Status::Succeeded, 1));

    // The other way round, and the database and the object store go away in the middle of the work, too.
    cluster.masters[0].up().await.unwrap();
    cluster.masters[1].kill_all().unwrap();
    let commit = cluster.roles.push(&package, "s1").unwrap();
    let build = cluster.roles.build_of("snail", &commit).await.unwrap();
    wait_for_lease(&cluster.roles, build, Kind::Build).await;
    cluster.postgres.down().unwrap();
    cluster.store.down();
    let other = SourcePackage::tiny("acorn", "1").unwrap();
    // The Git Service takes it if it has just asked who this is, and tells the master later; otherwise it says why not.
    let early = cluster.roles.push(&other, "s1");
    cluster.postgres.up().unwrap();
    let commit = match early {
        Ok(commit) => commit,
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains("could not use the database") && error.contains("Push again"), "{error}");
            cluster.roles.push(&other, "s1").unwrap()
        }
    };
    // What nodes want to store meanwhile is refused, and sent again.
    cluster.store.up().unwrap();
    cluster.roles.released(build, BUILD_LIMIT).await.unwrap();
    let build = cluster.roles.build_of("acorn", &commit).await.unwrap();
    cluster.roles.released(build, BUILD_LIMIT).await.unwrap();

    let root = Root::new(cluster.roles.master_url(), "seed-1").unwrap();
    root.dnf(&["install", "acorn", "snail"]).unwrap();
}
