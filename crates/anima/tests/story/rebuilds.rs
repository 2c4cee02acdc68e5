//! A mass rebuild by the command line: begun paused, bounded, gone on with, and released as one; a build of a flavor that stands
//! on it before users have it; what a build made is deleted where nobody needs it.

use std::fs;

use anima_testkit::{Root, SourcePackage, System};
use anima_types::{
    build::{self, Build},
    rebuild::{Rebuild, RebuildReleases},
    release,
};
use serde::de::DeserializeOwned;

use crate::{
    BUILD_LIMIT,
    plans::{ok, refused, stands},
    said, system,
};

/// Seed Linux with a flavor.
const PLATFORM: &str =
    concat!(include_str!("../../../../platforms/seed-1.toml"), "\n[flavors.beta]\ndist = \".beta\"\n");

/// Runs a command with `--json`, and reads what it prints.
fn json<T: DeserializeOwned>(system: &System, arguments: &[&str]) -> T {
    let output = system.anima(&[&["--json"], arguments].concat()).unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)))
}

#[tokio::test]
async fn a_mass_rebuild_is_held_and_released_as_one_and_a_build_stands_on_it_before_users_have_it() {
    let mut system = system().await;
    let platforms = system.data().join("platforms");
    fs::create_dir_all(&platforms).unwrap();
    fs::write(platforms.join("seed-1.toml"), PLATFORM).unwrap();
    system.stop().unwrap();
    system.up().await.unwrap();
    let mut builds = Vec::new();
    for name in ["acorn", "oak"] {
        let commit = system.push(&SourcePackage::tiny(name, "1").unwrap(), "s1").unwrap();
        builds.push(system.build_of(name, &commit).await.unwrap());
        system.push(&SourcePackage::tiny(name, "2").unwrap(), "next").unwrap();
    }
    let needs = "BuildRequires: acorn = 2\nBuildRequires: oak = 2\n";
    system.push(&SourcePackage::tiny_with("pine", "1", needs).unwrap(), "next").unwrap();
    for build in builds {
        system.released(build, BUILD_LIMIT).await.unwrap();
    }

    // Paused, nothing of it is given out; then it is given more room, and goes on.
    let of_next = ["--platform", "seed-1", "--reference", "next", "--limit", "1", "--paused"];
    let made: Rebuild = json(&system, &[&["rebuild", "create", "acorn", "oak"], &of_next[..]].concat());
    let id = made.build.id.to_string();
    let held: Rebuild = json(&system, &["rebuild", "show", &id]);
    assert_eq!((held.is_paused, held.limit, held.package_count), (true, Some(1), 2), "{held:#?}");
    assert!(held.progress.iter().all(|kind| kind.ready + kind.leased + kind.done == 0), "{held:#?}");
    let shown = ok(&system, &["rebuild", "limit", &id, "2"]);
    assert!(shown.contains("paused") && shown.contains("at most 2 tasks"), "{shown}");
    ok(&system, &["rebuild", "resume", &id]);
    let built = system.ended(made.build.id, BUILD_LIMIT).await.unwrap().build;
    assert_eq!(built.status, build::Status::Succeeded, "{}", built.summary);
    let done: Rebuild = json(&system, &["rebuild", "show", &id]);
    assert!(!done.is_paused && done.releases.is_empty(), "{done:#?}");

    // A build that is linked to it has its packages; without that it could not be built.
    let of_pine = ["build", "create", "pine@next", "--platform", "seed-1", "--flavor", "beta", "--linked", &id];
    let pine: Build = json(&system, &of_pine);
    system.released(pine.id, BUILD_LIMIT).await.unwrap();
    let user = Root::new(system.master_url(), "seed-1").unwrap();
    let available = || user.dnf(&["repoquery", "--refresh", "--latest-limit=1", "acorn", "oak", "pine"]).unwrap();
    let before = available();
    assert!(before.contains("acorn-0:1-1.s1") && before.contains("pine-0:1-1.beta"), "{before}");

    // All of it goes to users at once, and stays as long as they have it.
    let releases: RebuildReleases = json(&system, &["rebuild", "release", &id]);
    stands(&system, releases.releases[0], release::Status::Released).await;
    let after = available();
    assert!(after.contains("acorn-0:2-1.s1") && after.contains("oak-0:2-1.s1"), "{after}");
    assert!(refused(&system, &["build", "delete", &id]).contains(&format!("carries build {id}")));
    let unwanted: Rebuild = json(&system, &["rebuild", "create", "oak", "--platform", "seed-1", "--paused"]);
    let unwanted = unwanted.build.id.to_string();
    ok(&system, &["rebuild", "cancel", &unwanted]);
    assert!(ok(&system, &["build", "delete", &unwanted]).contains("Deleted by admin"));
}
