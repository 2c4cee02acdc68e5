//! Who gets which task: what its package asks for, which node lost it, which node built it last.

use anima_types::{
    Arch,
    build::{self, Source},
    id::{BuildId, TaskId},
    lease::{LEASE_SECS, PROTOCOL},
    task::{Event, Kind, MAX_ATTEMPTS, Status},
};
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::{
    master::{Master, new_build},
    rebuild::end,
};

/// What the platform says of two packages.
const LINES: &str = "[packages.alder]\nneeds = [\"kvm\"]\n[packages.dogwood.limits]\nmemory_mib = 65536\n";

/// A build of these packages, whose source packages are made.
async fn build(master: &Master, packages: &[&str]) -> BuildId {
    let app = &master.app;
    let mut write = app.db.write(app.now(), "ann").await.unwrap();
    let new = new_build();
    let build = anima_db::build::insert(&mut write, &new).await.unwrap();
    let source =
        |package: &&str| Source { package: package.to_string(), reference: "p1".into(), commit: "4f2c".repeat(10) };
    let sources: Vec<Source> = packages.iter().map(source).collect();
    let platform = app.platform("p1").unwrap();
    anima_master::build::add_sources(&master.app, &mut write, build, &sources, &[platform], &[Arch::X86_64])
        .await
        .unwrap();
    write.commit().await.unwrap();
    while let Some((task, _)) = ask(master, "sources", Kind::Src, json!({})).await {
        end(master, task, Event::Succeeded).await;
    }
    build
}

/// A node asks for a task, and says how it is; returns the task with its package.
async fn ask(master: &Master, node: &str, kind: Kind, condition: Value) -> Option<(TaskId, String)> {
    let mut said = json!({ "protocol": PROTOCOL });
    said.as_object_mut().unwrap().extend(condition.as_object().unwrap().clone());
    let claim = json!({
        "node": node, "kinds": [kind], "architectures": ["x86_64"], "slots": 1, "version": "1", "wait_secs": 0,
        "condition": said,
    });
    let (status, lease) = master.post("/api/v1/leases", "build-node", claim).await;
    if status == StatusCode::NO_CONTENT {
        return None;
    }
    assert_eq!(status, StatusCode::OK, "{lease}");
    let work = lease["work"].as_object().unwrap().values().next().unwrap();
    Some((TaskId(lease["task"].as_i64().unwrap()), work["package"].as_str().unwrap().to_string()))
}

async fn package(master: &Master, node: &str, condition: Value) -> Option<String> {
    ask(master, node, Kind::Build, condition).await.map(|(_, package)| package)
}

async fn lose_leases(master: &Master) {
    master.pass_secs(LEASE_SECS + 1);
    anima_master::chores::expire_once(&master.app, master.app.now()).await.unwrap();
}

async fn why(master: &Master, task: TaskId) -> Value {
    master.get(&format!("/api/v1/tasks/{task}/why")).await
}

#[tokio::test]
async fn a_task_goes_to_a_node_that_gives_what_its_package_asks_for_and_keeps_no_other_from_theirs() {
    let master = Master::open_with_lines(LINES).await;
    let id = build(&master, &["alder", "dogwood", "fir"]).await;
    let small = json!({ "gives": { "memory_mib": 8192, "disk_mib": 90000, "cores": 4 } });

    assert_eq!(package(&master, "small", small.clone()).await.as_deref(), Some("fir"));
    assert_eq!(package(&master, "small", small.clone()).await, None);
    let tasks = anima_db::task::of_build(&mut master.app.db.read().await.unwrap(), id).await.unwrap();
    let of = |name: &str| {
        let is_its = |task: &&anima_db::task::Task| {
            task.about.kind == Kind::Build && task.about.package.as_deref() == Some(name)
        };
        tasks.iter().find(is_its).unwrap().id
    };
    let said = why(&master, of("dogwood")).await;
    assert_eq!(said["summary"], "It fits no node: it asks for 65536 MiB of memory.");
    assert!(said.to_string().contains("small does not fit: it gives 8192 MiB of memory."), "{said}");
    assert_eq!(said["starts_at"], Value::Null);
    assert_eq!(why(&master, of("alder")).await["summary"], "It fits no node: it asks for kvm.");

    let mut kvm = small;
    kvm["features"] = json!(["kvm"]);
    assert_eq!(package(&master, "kvm", kvm).await.as_deref(), Some("alder"));
    assert_eq!(master.get("/api/v1/nodes/kvm").await["features"], json!(["kvm"]));
    let large = json!({ "gives": { "memory_mib": 131072, "disk_mib": 90000, "cores": 4 } });
    assert_eq!(package(&master, "large", large).await.as_deref(), Some("dogwood"));
}

#[tokio::test]
async fn what_is_too_large_for_every_node_of_its_architecture_goes_to_a_larger_one_that_emulates_it() {
    let master = Master::open_with_lines(LINES).await;
    let small = json!({ "gives": { "memory_mib": 8192, "disk_mib": 90000, "cores": 4 } });
    assert_eq!(package(&master, "native", small.clone()).await, None, "it is there");
    build(&master, &["dogwood", "elm", "fir"]).await;
    let emulating = async |name: &str, memory_mib: u64| {
        let claim = json!({
            "node": name, "kinds": ["build"], "architectures": ["aarch64"], "emulated": ["x86_64"], "slots": 1,
            "version": "1", "wait_secs": 0, "condition": {
                "protocol": PROTOCOL, "gives": { "memory_mib": memory_mib, "disk_mib": 90000, "cores": 4 },
            },
        });
        let (status, lease) = master.post("/api/v1/leases", "build-node", claim).await;
        (status == StatusCode::OK).then(|| lease["work"]["build"]["package"].clone())
    };

    assert_eq!(emulating("weak", 8192).await, None, "all that it could do is done by a node of the architecture");
    assert_eq!(emulating("strong", 131_072).await, Some(json!("dogwood")));
    assert_eq!(emulating("strong", 131_072).await, None, "the others fit the node that is there");
    assert!(package(&master, "native", small).await.is_some());
}

#[tokio::test]
async fn what_fits_no_node_does_not_stand_in_the_way_however_much_it_is() {
    let master = Master::open_with_lines(LINES).await;
    for _ in 0..40 {
        build(&master, &["alder"]).await;
    }
    build(&master, &["fir"]).await;

    assert_eq!(package(&master, "plain", json!({})).await.as_deref(), Some("fir"));
    assert_eq!(package(&master, "plain", json!({})).await, None);
}

#[tokio::test]
async fn a_task_that_a_node_lost_goes_to_another_as_long_as_there_is_one_and_not_for_ever() {
    let master = Master::open().await;
    build(&master, &["fir"]).await;
    let (task, _) = ask(&master, "a", Kind::Build, json!({})).await.unwrap();
    assert_eq!(package(&master, "b", json!({})).await, None, "it is there, and works for nobody");
    lose_leases(&master).await;

    assert_eq!(package(&master, "a", json!({})).await, None, "another could have it");
    assert!(why(&master, task).await.to_string().contains("a lost it or gave it back"));
    assert_eq!(package(&master, "b", json!({})).await.as_deref(), Some("fir"));

    lose_leases(&master).await;
    assert_eq!(package(&master, "b", json!({})).await, None);
    // The other is there all the while, and busy.
    master.pass_secs(301);
    let mut write = master.app.db.write(master.app.now(), "a").await.unwrap();
    let now = write.now;
    anima_db::node::touch_all(&mut write, &["a"], now).await.unwrap();
    write.commit().await.unwrap();
    assert_eq!(package(&master, "b", json!({})).await.as_deref(), Some("fir"));
}

#[tokio::test]
async fn a_task_that_two_nodes_lost_goes_to_the_third_and_not_to_the_first_again() {
    let master = Master::open().await;
    build(&master, &["fir"]).await;
    let task = ask(&master, "a", Kind::Build, json!({})).await.unwrap().0;
    assert_eq!(package(&master, "c", json!({})).await, None, "it is there, and works for nobody");
    lose_leases(&master).await;
    assert_eq!(package(&master, "b", json!({})).await.as_deref(), Some("fir"));
    lose_leases(&master).await;

    assert_eq!(package(&master, "a", json!({})).await, None, "the third could have it");
    assert_eq!(package(&master, "b", json!({})).await, None, "the third could have it");
    assert!(why(&master, task).await.to_string().contains("b, a lost it or gave it back"));
    assert_eq!(package(&master, "c", json!({})).await.as_deref(), Some("fir"));
}

#[tokio::test]
async fn a_task_that_ends_its_nodes_is_set_aside_with_what_became_of_every_attempt() {
    let master = Master::open().await;
    build(&master, &["fir"]).await;
    let nodes = ["a", "b", "c"];
    assert_eq!(nodes.len(), MAX_ATTEMPTS as usize);
    let mut task = TaskId(0);
    for node in nodes {
        task = ask(&master, node, Kind::Build, json!({})).await.unwrap().0;
        lose_leases(&master).await;
    }

    let shown = master.get(&format!("/api/v1/tasks/{task}")).await;
    let (code, message) = (&shown["failure"]["code"], shown["failure"]["message"].as_str().unwrap());
    assert_eq!(code, "node_lost");
    assert!(message.starts_with("c was not heard of for 30 s"), "{message}");
    assert!(message.contains("attempt 2 on b at ") && message.contains("attempt 1 on a at "), "{message}");
    let history: Vec<(&str, &str)> = shown["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["node"].as_str().unwrap(), one["ending"].as_str().unwrap()))
        .collect();
    assert_eq!(history, [("c", "attempts_exhausted"), ("b", "lease_expired"), ("a", "lease_expired")]);
    let page = master.browse(&format!("/tasks/{task}")).await.2;
    assert!(page.contains("attempt 2 on b at ") && page.contains(&format!("/tasks/{task}?attempt=2")), "{page}");
}

#[tokio::test]
async fn a_node_gets_the_package_that_it_built_last_before_one_that_is_nearly_as_early() {
    let master = Master::open().await;
    build(&master, &["dogwood", "fir"]).await;
    for (node, expected) in [("a", "dogwood"), ("b", "fir")] {
        let (task, package) = ask(&master, node, Kind::Build, json!({})).await.unwrap();
        assert_eq!(package, expected);
        end(&master, task, Event::Succeeded).await;
    }

    build(&master, &["dogwood", "fir"]).await;

    assert_eq!(package(&master, "b", json!({})).await.as_deref(), Some("fir"));
    // It waits for no node: whoever is next gets it.
    assert_eq!(package(&master, "b", json!({})).await.as_deref(), Some("dogwood"));
}

#[tokio::test]
async fn why_counts_only_nodes_that_take_tasks_and_says_of_the_others_what_keeps_them() {
    let master = Master::open().await;
    build(&master, &["dogwood", "fir"]).await;
    let (first, _) = ask(&master, "a", Kind::Build, json!({})).await.unwrap();
    assert_eq!(ask(&master, "ill", Kind::Build, json!({ "problem": "its disk is full" })).await, None);
    let waits = TaskId(first.0 + 1);

    let busy = why(&master, waits).await;
    assert_eq!(busy["summary"], "All 1 slots are taken; it is the next.");
    assert!(busy.to_string().contains("ill would take it, and is unfit: its disk is full."), "{busy}");

    let (status, _) = master.post("/api/v1/nodes/a/drain", "admin", json!({ "reason": "a new disk" })).await;
    assert_eq!(status, StatusCode::OK);
    let nobody = why(&master, waits).await;
    assert_eq!(
        nobody["summary"],
        "No node takes build tasks for x86_64 just now: each that would says why it does not."
    );
    assert!(nobody.to_string().contains("a would take it, and is draining: "), "{nobody}");
    assert_eq!(nobody["starts_at"], Value::Null);
}

#[tokio::test]
async fn a_target_is_tested_when_its_own_builds_ended_and_nothing_is_signed_before_all_have() {
    let master = Master::open().await;
    let id = build(&master, &["fir"]).await;
    let mut write = master.app.db.write(master.app.now(), "ann").await.unwrap();
    let about = anima_db::task::About {
        build: Some(id),
        package: Some("fir".into()),
        platform: Some("p1".into()),
        arch: Some(Arch::Aarch64),
        ..anima_db::task::About::new(Kind::Build)
    };
    anima_db::task::insert(&mut write, &about, "It waits.").await.unwrap();
    write.commit().await.unwrap();

    let (task, _) = ask(&master, "a", Kind::Build, json!({})).await.unwrap();
    end(&master, task, Event::Succeeded).await;

    let mut read = master.app.db.read().await.unwrap();
    let tasks = anima_db::task::of_build(&mut read, id).await.unwrap();
    let tests: Vec<_> = tasks.iter().filter(|task| task.about.kind == Kind::Test).collect();
    assert_eq!(
        tests.iter().map(|task| (task.about.arch, task.status)).collect::<Vec<_>>(),
        [(Some(Arch::X86_64), Status::Ready)]
    );
    assert_eq!(anima_db::build::get(&mut read, id).await.unwrap().status, build::Status::Building);
}
