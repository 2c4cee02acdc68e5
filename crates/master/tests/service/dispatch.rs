//! Claims and heartbeats that come together: each gets what it would have got alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::master::{Master, new_build};
use anima_db::{task::About, task_queue};
use anima_types::{
    Arch, Timestamp,
    build::Source,
    id::BuildId,
    lease::{LEASE_SECS, PROTOCOL},
    task::Kind,
};
use axum::http::{Method, StatusCode};
use futures_util::future::join_all;
use serde_json::{Value, json};

/// A build of so many packages, whose source packages are to be made.
async fn queued(master: &Master, count: usize) -> BuildId {
    let app = &master.app;
    let mut write = app.db.write(app.now(), "ann").await.unwrap();
    let new = new_build();
    let build = anima_db::build::insert(&mut write, &new).await.unwrap();
    let source = |number| Source {
        package: format!("package{number:03}"),
        reference: "p1".into(),
        commit: "4f2c1e77aa".repeat(4),
    };
    let sources: Vec<Source> = (0..count).map(source).collect();
    let platform = app.platform("p1").unwrap();
    anima_master::build::add_sources(&master.app, &mut write, build, &sources, &[platform], &[Arch::X86_64])
        .await
        .unwrap();
    write.commit().await.unwrap();
    build
}

async fn ask(master: &Master, node: &str, problem: Option<&str>) -> (StatusCode, Value) {
    let claim = json!({
        "node": node, "kinds": [Kind::Src], "architectures": ["x86_64"], "slots": 1, "version": "1", "instance": "i",
        "wait_secs": 0, "condition": { "protocol": PROTOCOL, "problem": problem },
    });
    master.post("/api/v1/leases", "build-node", claim).await
}

#[tokio::test]
async fn claims_that_come_together_get_a_task_each_the_first_of_the_queue_and_none_twice() {
    let master = Master::open().await;
    let build = queued(&master, 30).await;

    let nodes: Vec<String> = (0..40).map(|number| format!("n{number}")).collect();
    let answers = join_all(nodes.iter().map(|node| ask(&master, node, None))).await;

    let leases: Vec<(&String, &Value)> = nodes
        .iter()
        .zip(&answers)
        .filter(|(_, (code, _))| *code == StatusCode::OK)
        .map(|(node, (_, lease))| (node, lease))
        .collect();
    let none = answers.iter().filter(|(code, _)| *code == StatusCode::NO_CONTENT).count();
    assert_eq!((leases.len(), none), (30, 10));
    let given: BTreeMap<i64, &String> =
        leases.iter().map(|(node, lease)| (lease["task"].as_i64().unwrap(), *node)).collect();
    let secrets: BTreeSet<&str> = leases.iter().map(|(_, lease)| lease["secret"].as_str().unwrap()).collect();
    assert_eq!((given.len(), secrets.len()), (30, 30));
    let mut read = master.app.db.read().await.unwrap();
    let tasks = anima_db::task::of_build(&mut read, build).await.unwrap();
    drop(read);
    for task in &tasks {
        let lease = leases.iter().find(|(_, lease)| lease["task"] == task.id.0).unwrap().1;
        assert_eq!(lease["work"]["src"]["package"].as_str(), task.about.package.as_deref());
        assert_eq!((task.node.as_ref(), task.attempts, task.lease_number), (Some(given[&task.id.0]), 1, 1));
    }

    // The secret of each is good for its own task.
    let beat = async |(node, lease): &(&String, &Value)| {
        let path = format!("/api/v1/tasks/{}/heartbeat", lease["task"]);
        (node.to_string(), master.json(Method::POST, &path, lease["secret"].as_str(), Value::Null).await)
    };
    master.pass_secs(LEASE_SECS - 1);
    let cancelled = leases[7].1["task"].as_i64().unwrap();
    assert_eq!(master.post(&format!("/api/v1/tasks/{cancelled}/cancel"), "admin", json!({})).await.0, StatusCode::OK);
    for (at, (node, (code, answer))) in join_all(leases.iter().map(beat)).await.into_iter().enumerate() {
        let wanted = if at == 7 { StatusCode::CONFLICT } else { StatusCode::OK };
        assert_eq!(code, wanted, "{node}: {answer}");
    }
    master.pass_secs(LEASE_SECS - 1);
    assert_eq!(anima_master::chores::expire_once(&master.app, master.app.now()).await.unwrap(), 0);
    master.pass_secs(1);
    assert_eq!(anima_master::chores::expire_once(&master.app, master.app.now()).await.unwrap(), 29);
}

#[tokio::test]
async fn one_that_is_refused_and_a_task_that_cannot_be_given_out_keep_nobody_from_theirs() {
    let master = Master::open().await;
    let build = queued(&master, 3).await;
    let app = &master.app;
    let mut write = app.db.write(app.now(), "ann").await.unwrap();
    let gone = About {
        build: Some(build),
        package: Some("package000".into()),
        platform: Some("gone".into()),
        arch: Some(Arch::X86_64),
        ..About::new(Kind::Src)
    };
    task_queue::insert_all(&mut write, &[(gone, Some(Timestamp(0)))], ("Asked.", "Waits.")).await.unwrap();
    write.commit().await.unwrap();
    assert_eq!(ask(&master, "first", Some("its disk is full")).await.0, StatusCode::NO_CONTENT);

    let old = json!({
        "node": "old", "kinds": [Kind::Src], "architectures": ["x86_64"], "slots": 1, "version": "1", "wait_secs": 0,
        "condition": { "protocol": 0 },
    });
    let (full, old, others) = tokio::join!(
        ask(&master, "full", Some("its disk is full")),
        master.post("/api/v1/leases", "build-node", old),
        join_all(["a", "b", "c", "d"].map(|node| ask(&master, node, None)))
    );

    assert_eq!(full.0, StatusCode::NO_CONTENT);
    assert_eq!((old.0, old.1["code"].as_str()), (StatusCode::CONFLICT, Some("node_too_old")));
    let got: BTreeSet<String> =
        others.iter().filter(|(code, _)| *code == StatusCode::OK).map(|(_, lease)| lease["task"].to_string()).collect();
    assert_eq!(got.len(), 3, "{others:?}");
    let tasks: Value = master.get("/api/v1/events/list?limit=1000").await;
    let failed: Vec<&str> = tasks
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["noun"] == "task" && event["status"] == "failed")
        .map(|event| event["message"].as_str().unwrap())
        .collect();
    assert_eq!(failed, ["platform \"gone\" is not configured any more"]);
}

#[tokio::test]
async fn a_node_that_says_the_same_again_is_not_written_down_again_and_counts_as_there() {
    let master = Master::open().await;
    let seen_at = async || master.get("/api/v1/nodes/n1").await["seen_at"].clone();
    ask(&master, "n1", None).await;
    let first = seen_at().await;

    master.pass_secs(9);
    ask(&master, "n1", None).await;
    assert_eq!(seen_at().await, first, "nothing is new");
    ask(&master, "n1", Some("its disk is full")).await;
    let with_news = seen_at().await;
    assert_ne!(with_news, first);
    assert_eq!(master.get("/api/v1/nodes/n1").await["why"], "its disk is full");
    ask(&master, "n1", None).await;
    assert_eq!(master.get("/api/v1/nodes/n1").await["state"], "taking", "it is well again, and that is news");
    master.pass_secs(10);
    ask(&master, "n1", None).await;
    assert_ne!(seen_at().await, with_news, "it is noted that it is still there");
}
