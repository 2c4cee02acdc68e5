//! The demo's set, whole, while its processes are killed: nothing is lost, and nothing is done twice.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anima_testkit::{Root, SourcePackage, System};
use anima_types::{id::BuildId, release::ListQuery, task};

use crate::system;

/// The examples build for some minutes on two cores, and parts of them twice here.
const SET_LIMIT: Duration = Duration::from_secs(1500);
const STEP_LIMIT: Duration = Duration::from_secs(900);

pub const EXAMPLES: [&str; 7] = ["hello", "tree", "zlib", "xz", "oniguruma", "jq", "anima-motd"];

#[tokio::test]
async fn the_examples_are_released_once_each_though_build_node_master_and_sign_server_are_killed() {
    let system = system().await;
    let (first, commit) = push_examples(&system);
    let build = system.build_of(&first, &commit).await.unwrap();

    until_leased(&system, build, task::Kind::Build).await;
    system.kill("build-node").await.unwrap();
    until_leased(&system, build, task::Kind::Build).await;
    system.kill("master").await.unwrap();
    until_sign_task(&system, build).await;
    system.kill("sign-server").await.unwrap();
    let detail = system.released(build, SET_LIMIT).await.unwrap();

    let mut times_released = BTreeMap::new();
    for listed in system.client().releases(&ListQuery::default(), u32::MAX).await.unwrap() {
        let release = system.client().release(listed.id).await.unwrap();
        assert_eq!(listed.package_count, release.plan.len() as u64);
        for entry in release.plan {
            *times_released.entry(entry.nevra.to_string()).or_insert(0) += 1;
        }
    }
    assert!(times_released.len() >= EXAMPLES.len() * 2, "binary and source packages of each: {times_released:?}");
    assert!(times_released.values().all(|&times| times == 1), "{times_released:?}");
    assert_eq!(detail.build.sources.len(), EXAMPLES.len(), "{:?}", detail.build.sources);
    let root = Root::new(system.master_url(), "seed-1").unwrap();
    root.dnf(&["install", "hello", "tree", "xz", "jq", "anima-motd"]).unwrap();
    assert_eq!(root.run(&["jq", "-n", "1 + 1"]).unwrap(), "2\n");
    assert!(root.run(&["hello"]).unwrap().contains("world"));
}

/// Puts the examples' sources into the lookaside and pushes all examples; returns one of them.
fn push_examples(system: &System) -> (String, String) {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let sources = fetch_sources(&examples);
    let mut commits = Vec::new();
    let packages = EXAMPLES.map(|name| SourcePackage::copy_of(&examples.join(name)).unwrap());
    for package in &packages {
        upload_sources(system, package, &sources);
        package.commit("Change").unwrap();
    }
    // Within a second of one another, so that they are one build.
    for package in &packages {
        commits.push(system.push(package, "s1").unwrap());
    }
    (packages[0].name().to_string(), commits.swap_remove(0))
}

pub fn fetch_sources(examples: &Path) -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(default, PathBuf::from).join("example-sources");
    let output = Command::new(examples.join("fetch-sources")).arg(&folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder
}

fn upload_sources(system: &System, package: &SourcePackage, sources: &Path) {
    let lists = [package.path("sources"), package.path(&format!(".{}.metadata", package.name()))];
    let listed = lists.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect::<String>();
    for entry in std::fs::read_dir(sources).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_file() && listed.contains(&name) {
            let file = path.to_string_lossy().into_owned();
            let output = system.anima(&["lookaside", "upload", "--package", package.name(), &file]).unwrap();
            assert!(output.status.success(), "{output:?}");
        }
    }
}

async fn until_leased(system: &System, build: BuildId, kind: task::Kind) {
    let leased =
        |task: &task::Task| task.kind == kind && task.status == task::Status::Leased && task.log_size_bytes > 0;
    let seen = system
        .wait(STEP_LIMIT, async || {
            let detail = system.client().build(build).await.ok()?;
            assert!(!detail.build.status.is_ended(), "{}: {:#?}", detail.build.summary, detail.tasks);
            detail.tasks.iter().any(leased).then_some(())
        })
        .await;
    seen.unwrap_or_else(|| panic!("no {} task was begun:\n{}", kind.name(), system.up_log()));
}

async fn until_sign_task(system: &System, build: BuildId) {
    let seen = system
        .wait(STEP_LIMIT, async || {
            let detail = system.client().build(build).await.ok()?;
            let begun = detail.tasks.iter().any(|task| task.kind == task::Kind::Sign);
            (begun || detail.build.status.is_ended()).then_some(())
        })
        .await;
    seen.unwrap_or_else(|| panic!("the build came to no sign task:\n{}", system.up_log()));
}
