//! Packages are tested for real: solved, installed, looked at and removed in a root of their own.

mod common;

use std::time::Duration;

use common::{Package, World};

/// A package in which nothing is wrong.
fn good(name: &str) -> Package {
    Package::new(name, "1")
        .file(&format!("/usr/bin/{name}"), 0o755, "#!/bin/sh")
        .link(&format!("/usr/share/{name}-link"), name)
        .script(&format!("%post\necho hello from {name}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn good_packages_are_green_and_the_log_can_be_read() {
    let world = World::new(&[Package::new("helper", "3")]).await;
    let app =
        good("app").preamble("Requires: lib = 1").preamble("Requires: helper >= 2").copy("/bin/true", "/usr/bin/truth");
    let lib = good("lib");

    let tested = world.test(&[], &[app.preamble("AutoReq: no"), lib]).await.unwrap();

    assert!(tested.verdicts.iter().all(|verdict| verdict.is_green), "{}", tested.log);
    let names: Vec<&str> = tested.verdict("app").checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names, ["install", "scripts", "files", "symlinks", "interpreters", "libraries", "removal"]);
    assert_eq!(tested.check("app", "libraries").detail, "1 programs and libraries find what they need");
    assert_eq!(tested.check("app", "removal").detail, "nothing stays");
    let phases: Vec<&str> = tested.phases.iter().map(|phase| phase.name.as_str()).collect();
    assert_eq!(phases, ["fetch", "solve", "environment", "install", "checks", "remove"]);
    for line in
        ["== install ==", "+ helper-3-1.noarch (platform)", "hello from lib", "-- remove: ", "green app-1-1.noarch"]
    {
        assert!(tested.log.contains(line), "{line}: {}", tested.log);
    }
    assert_eq!(std::fs::read_dir(world.roots()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_cannot_be_had_is_red_and_the_others_are_tested_without_it() {
    let world = World::new(&[Package::new("angry", "1").preamble("Conflicts: quarrel")]).await;
    let packages = [
        good("fine"),
        good("lonely").preamble("Requires: libnothing.so.9"),
        good("leaning").preamble("Requires: lonely = 1"),
        good("quarrel"),
    ];

    let tested = world.test(&["angry"], &packages).await.unwrap();

    assert_eq!(tested.red("fine"), Vec::<&str>::new(), "{}", tested.log);
    for (name, words) in [("lonely", "libnothing.so.9"), ("leaning", "lonely"), ("quarrel", "angry-1-1.noarch")] {
        assert_eq!(tested.red(name), ["install"]);
        assert!(tested.check(name, "install").detail.contains(words), "{name}: {:?}", tested.check(name, "install"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_told_by_its_own_check() {
    let world = World::new(&[]).await;
    let packages = [
        good("fine"),
        good("failing").script("%posttrans\nexit 3"),
        good("dangling").link("/usr/share/gone", "nowhere"),
        good("script").preamble("AutoReq: no").file("/usr/bin/old", 0o755, "#!/usr/bin/python1"),
        good("binary").preamble("AutoReq: no").copy("/bin/rpm", "/usr/bin/binary-rpm"),
        good("eating").script("%posttrans\nrm /usr/share/eating"),
        good("clinging").script("%postun\ncat >/usr/share/clinging </dev/null"),
        good("holding").script("%preun\nexit 1"),
    ];

    let tested = world.test(&[], &packages).await.unwrap();

    let cases = [
        ("failing", vec!["scripts"], "scripts", "exit status 3"),
        ("dangling", vec!["symlinks"], "symlinks", "/usr/share/gone leads nowhere: nowhere"),
        ("script", vec!["interpreters"], "interpreters", "/usr/bin/old: its interpreter /usr/bin/python1 is not there"),
        ("binary", vec!["libraries"], "libraries", "librpm"),
        ("eating", vec!["files", "symlinks"], "files", "/usr/share/eating is missing"),
        ("clinging", vec!["removal"], "removal", "these files stay: /usr/share/clinging"),
        ("holding", vec!["removal"], "removal", "%preun(holding-1-1.noarch) scriptlet failed"),
    ];
    for (name, red, check, words) in cases {
        assert_eq!(tested.red(name), red, "{name}: {}", tested.log);
        assert!(tested.check(name, check).detail.contains(words), "{name}: {:?}", tested.check(name, check));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_transaction_is_told_to_those_that_it_is_about() {
    let world = World::new(&[]).await;
    let packages = [
        good("one").file("/usr/share/same", 0o644, "one"),
        good("two").file("/usr/share/same", 0o644, "two"),
        good("bystander"),
    ];

    let tested = world.test(&[], &packages).await.unwrap();

    for name in ["one", "two"] {
        assert!(tested.check(name, "install").detail.contains("file /usr/share/same"), "{}", tested.log);
    }
    assert_eq!(tested.red("bystander"), ["install"]);
    assert!(tested.check("bystander", "install").detail.starts_with("rpm did not install it"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_of_what_the_environment_stands_on_replaces_it_and_stays() {
    let world =
        World::new(&[Package::new("pillar", "1"), Package::new("roof", "1").preamble("Requires: pillar")]).await;

    let tested = world.test(&["roof"], &[good("leaf"), Package::new("pillar", "2")]).await.unwrap();

    assert!(tested.verdicts.iter().all(|verdict| verdict.is_green), "{}", tested.log);
    assert_eq!(tested.check("leaf", "removal").detail, "nothing stays");
    assert_eq!(tested.check("pillar", "removal").detail, "not tried: other packages of the environment need it");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_environment_there_is_no_verdict() {
    let world = World::new(&[]).await;

    let failure = world.test(&["no-such-package"], &[good("fine")]).await.err().unwrap();

    assert_eq!(failure.code, "missing_test_package");
    assert!(failure.message.contains("no-such-package"), "{}", failure.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_never_ends_ends_with_the_lease() {
    let world = World::new(&[]).await;
    let endless = [good("endless").script("%posttrans\necho waiting\nwhile :; do :; done")];
    let waiting = async {
        loop {
            if world.master.log().contains("waiting") {
                return world.master.take_back();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };

    tokio::select! {
        tested = world.test(&[], &endless) => panic!("a lost task was reported: {:?}", tested.map(|it| it.log)),
        () = async { waiting.await; gone(&world).await } => {}
    }
}

/// Waits until no root is left, which is a matter of moments.
async fn gone(world: &World) {
    let empty = async {
        while std::fs::read_dir(world.roots()).unwrap().count() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), empty).await.expect("the root is removed");
}
