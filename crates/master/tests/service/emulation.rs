//! Who gets a task: nodes of its architecture, and only where there is none, a node that emulates it.

use crate::master::{Master, new_build};
use anima_types::{Arch, build::Source, lease::PROTOCOL, task::Kind};
use axum::http::StatusCode;
use serde_json::{Value, json};

/// A node that runs one architecture and emulates another asks for a source package.
async fn ask(master: &Master, node: &str, runs: Arch, emulates: &[Arch]) -> Option<Value> {
    let claim = json!({
        "node": node, "kinds": [Kind::Src], "architectures": [runs], "emulated": emulates, "slots": 1, "version": "1", "wait_secs": 0, "condition": { "protocol": PROTOCOL },
    });
    match master.post("/api/v1/leases", "build-node", claim).await {
        (StatusCode::OK, lease) => Some(lease),
        (StatusCode::NO_CONTENT, _) => None,
        other => panic!("{other:?}"),
    }
}

/// A task for x86_64 that is ready.
async fn ready() -> Master {
    let master = Master::open().await;
    build(&master, &[Arch::X86_64]).await;
    master
}

/// A build of one package for these architectures, which begins with its source package.
async fn build(master: &Master, architectures: &[Arch]) {
    let app = &master.app;
    let mut write = app.db.write(app.now(), "ann").await.unwrap();
    let new = anima_db::build::NewBuild { architectures: architectures.to_vec(), ..new_build() };
    let build = anima_db::build::insert(&mut write, &new).await.unwrap();
    let source = Source { package: "jq".into(), reference: "p1".into(), commit: "4f2c1e77aa".repeat(4) };
    let platform = app.platform("p1").unwrap();
    anima_master::build::add_sources(app, &mut write, build, &[source], &[platform], architectures).await.unwrap();
    write.commit().await.unwrap();
    anima_master::build::advance::advance_once(app, build).await.unwrap();
}

#[tokio::test]
async fn source_packages_wait_for_no_architecture_that_nobody_runs_while_a_node_runs_another() {
    let archs = [Arch::S390x, Arch::X86_64];
    let master = Master::open_for(&archs).await;
    assert!(ask(&master, "x86", Arch::X86_64, &[Arch::S390x]).await.is_none(), "nothing is built yet");

    build(&master, &archs).await;

    let lease = ask(&master, "x86", Arch::X86_64, &[]).await.expect("it is made on what it runs");
    let task = master.get(&format!("/api/v1/tasks/{}", lease["task"])).await;
    assert_eq!((task["arch"].as_str(), task["is_emulated"].as_bool()), (Some("x86_64"), Some(false)), "{task}");
}

#[tokio::test]
async fn a_task_waits_for_a_node_of_its_architecture_as_long_as_one_is_there() {
    let master = ready().await;
    let emulating = async || ask(&master, "arm", Arch::Aarch64, &[Arch::X86_64]).await;
    // A native node is there, and at work elsewhere: it asked a minute ago.
    let busy = json!({
        "node": "x86", "kinds": ["build"], "architectures": ["x86_64"], "slots": 1, "version": "1", "wait_secs": 0, "condition": { "protocol": PROTOCOL },
    });
    let other_kind = master.post("/api/v1/leases", "build-node", busy.clone()).await.0;
    assert_eq!(other_kind, StatusCode::NO_CONTENT);

    let native = json!({ "kinds": ["build", "src"] });
    let mut both = busy;
    both["kinds"] = native["kinds"].clone();
    let lease = master.post("/api/v1/leases", "build-node", both).await;
    assert_eq!(lease.0, StatusCode::OK, "it takes the task");
    let task = master.get(&format!("/api/v1/tasks/{}", lease.1["task"])).await;
    assert_eq!((task["node"].as_str(), task["is_emulated"].as_bool()), (Some("x86"), Some(false)));
    master.pass_secs(anima_types::lease::LEASE_SECS + 1);
    anima_master::chores::expire_once(&master.app, master.app.now()).await.unwrap();

    assert!(emulating().await.is_none(), "the native node was heard of half a minute ago");
    master.pass_secs(3600);
    let lease = emulating().await.expect("nobody else is there");

    let task = master.get(&format!("/api/v1/tasks/{}", lease["task"])).await;
    assert_eq!((task["node"].as_str(), task["is_emulated"].as_bool()), (Some("arm"), Some(true)));
    assert_eq!(task["why"], "arm works on it, emulating x86_64.");
    let page = master.browse(&format!("/tasks/{}", lease["task"])).await.2;
    assert!(page.contains(">arm</a>, emulated"), "{page}");
    let nodes = master.browse("/nodes").await.2;
    assert!(nodes.contains("aarch64, x86_64 (emulated)"), "{nodes}");
}

#[tokio::test]
async fn a_native_node_that_can_take_nothing_does_not_keep_the_task_from_one_that_emulates() {
    let master = ready().await;
    let ill = json!({
        "node": "x86", "kinds": ["src"], "architectures": ["x86_64"], "slots": 1, "version": "1", "wait_secs": 0,
        "condition": { "protocol": PROTOCOL, "problem": "its disk is full" },
    });
    assert_eq!(master.post("/api/v1/leases", "build-node", ill).await.0, StatusCode::NO_CONTENT);

    let lease = ask(&master, "arm", Arch::Aarch64, &[Arch::X86_64]).await.expect("the native node takes nothing");

    let task = master.get(&format!("/api/v1/tasks/{}", lease["task"])).await;
    assert_eq!((task["node"].as_str(), task["is_emulated"].as_bool()), (Some("arm"), Some(true)));
}

#[tokio::test]
async fn who_asks_why_is_told_that_it_will_be_emulated() {
    let master = ready().await;
    let tasks = master.get("/api/v1/builds/1").await["tasks"].clone();
    let task = tasks[0]["id"].as_i64().unwrap();
    let why = async || master.get(&format!("/api/v1/tasks/{task}/why")).await.to_string();

    assert!(why().await.contains("No node is online"));
    let claim = json!({
        "node": "arm", "kinds": ["src"], "architectures": ["aarch64"], "emulated": ["ppc64le"], "slots": 1, "version": "1", "wait_secs": 0, "condition": { "protocol": PROTOCOL },
    });
    assert_eq!(master.post("/api/v1/leases", "build-node", claim.clone()).await.0, StatusCode::NO_CONTENT);
    assert!(why().await.contains("No node is online"), "it emulates another");

    let mut write = master.app.db.write(master.app.now(), "arm").await.unwrap();
    let mut claim: anima_types::lease::Claim = serde_json::from_value(claim).unwrap();
    claim.emulated = vec![Arch::X86_64];
    anima_db::node::seen(&mut write, &claim).await.unwrap();
    write.commit().await.unwrap();

    assert!(why().await.contains("No node online runs x86_64 by itself: it will be emulated"), "{}", why().await);
}
