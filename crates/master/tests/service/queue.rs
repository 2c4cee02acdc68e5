//! What runs and what waits, with why: as a list and as a page.

use anima_db::task::About;
use anima_types::{
    Arch,
    lease::{Claim, Condition, Machine, PROTOCOL},
    node_load::SAMPLE_SECS,
    task::Kind,
};
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{master::Master, pages::waiting_build};

#[tokio::test]
async fn tasks_are_listed_in_pages_each_with_why_it_waits() {
    let master = Master::open().await;
    let first = waiting_build(&master).await;
    let second = waiting_build(&master).await;
    let mut write = master.app.db.write(master.app.now(), "test").await.unwrap();
    let source = anima_db::task::of_build(&mut write, first).await.unwrap()[0].id;
    let about = About {
        build: Some(first),
        package: Some("jq".into()),
        platform: Some("p1".into()),
        arch: Some(Arch::X86_64),
        ..About::new(Kind::Build)
    };
    let waiting = anima_db::task::insert(&mut write, &about, "It waits.").await.unwrap();
    anima_db::task_dependency::replace(&mut write, waiting, &[source]).await.unwrap();
    write.commit().await.unwrap();

    let ready = master.get("/api/v1/tasks?status=ready&kind=src").await;
    let list = ready.as_array().unwrap();
    assert_eq!(list.len(), 2, "{ready}");
    assert_eq!((&list[0]["id"], &list[1]["build"]), (&json!(source), &json!(second)), "{ready}");
    assert_eq!(list[0]["why"], "No node is online that takes src tasks for x86_64.", "{ready}");
    let waits = master.get("/api/v1/tasks?status=waiting").await;
    assert_eq!(waits[0]["why"], format!("It waits for task {source} (src jq x86_64), which is ready."), "{waits}");
    assert_eq!(waits[0]["waits_for"], json!(source));
    for (filter, count) in [("owner=ann", 3), ("owner=bob", 0), ("arch=aarch64", 0), ("kind=build", 1), ("node=n", 0)] {
        let found = master.get(&format!("/api/v1/tasks?{filter}")).await;
        assert_eq!(found.as_array().unwrap().len(), count, "{filter}: {found}");
    }
    let (mut at, mut seen) = ("/api/v1/tasks?status=ready&limit=1".to_string(), Vec::new());
    while !at.is_empty() {
        let (_, headers, text) = master.browse(&at).await;
        let page: Value = serde_json::from_str(&text).unwrap();
        seen.extend(page.as_array().unwrap().iter().map(|task| task["id"].clone()));
        let link = headers.get("link").map(|link| link.to_str().unwrap().to_string()).unwrap_or_default();
        at = link.trim_start_matches('<').split('>').next().unwrap_or_default().to_string();
    }
    let whole = master.get("/api/v1/tasks?status=ready").await;
    assert_eq!(json!(seen), whole.as_array().unwrap().iter().map(|task| task["id"].clone()).collect::<Value>());
    let (status, _) = master.json(Method::GET, "/api/v1/tasks?status=tired", None, Value::Null).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_queues_page_says_what_runs_where_what_is_next_and_what_waits_for_what() {
    let master = Master::open().await;
    let lease = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
    let build = waiting_build(&master).await;

    let (status, _, page) = master.browse("/queue").await;

    assert_eq!(status, StatusCode::OK, "{page}");
    for text in [
        "1 task runs, of 1 that could at once. 1 task waits for a node.".to_string(),
        "<a href=\"/nodes/sign-server-1\">".to_string(),
        format!("href=\"/tasks/{}\"", lease["task"]),
        format!("<a href=\"/builds/{build}\">"),
        "No node is online that takes src tasks for x86_64.".to_string(),
        "data-events=\"/api/v1/events?after=".to_string(),
    ] {
        assert!(page.contains(&text), "there is no {text}:\n{page}");
    }
}

#[tokio::test]
async fn a_nodes_page_draws_its_last_days_and_has_its_tasks_in_pages() {
    let master = Master::open().await;
    let mut write = master.app.db.write(master.app.now(), "test").await.unwrap();
    for number in 0..25 {
        let about = About { package: Some(format!("package{number}")), ..About::new(Kind::Sign) };
        let id = anima_db::task::insert(&mut write, &about, "It waits.").await.unwrap();
        let task = anima_db::task::get(&mut write, id).await.unwrap();
        anima_db::task::apply(&mut write, &task, anima_types::task::Event::DependenciesMet, "Ready.").await.unwrap();
        let task = anima_db::task::get(&mut write, id).await.unwrap();
        let until = write.now.plus_secs(9);
        anima_db::task::claim(&mut write, &task, "sign-server-1", until, "It runs.").await.unwrap();
    }
    write.commit().await.unwrap();
    for load_percent in [150, 250] {
        let machine = Machine { cores: 4, memory_mib: 9, free_memory_mib: 8, free_disk_mib: 7, load_percent };
        let claim = Claim {
            node: "sign-server-1".into(),
            kinds: vec![Kind::Sign],
            architectures: Vec::new(),
            emulated: Vec::new(),
            slots: 30,
            version: "1".into(),
            instance: String::new(),
            started_at: None,
            wait_secs: 0,
            condition: Condition { protocol: PROTOCOL, machine: Some(machine), ..Condition::default() },
        };
        master.post("/api/v1/leases", "sign-server", serde_json::to_value(claim).unwrap()).await;
        master.pass_secs(SAMPLE_SECS);
    }

    let load = master.get("/api/v1/nodes/sign-server-1/load").await;
    let loads: Vec<_> = load.as_array().unwrap().iter().map(|one| one["load_percent"].clone()).collect();
    assert_eq!(loads, [json!(150), json!(250)], "{load}");
    assert_eq!((&load[0]["working"], &load[0]["slots"]), (&json!(25), &json!(30)), "{load}");
    let (_, _, page) = master.browse("/nodes/sign-server-1").await;
    assert!(page.contains("aria-label=\"Load of the machine: at most 2.50 on 4 processors\"><path"), "{page}");
    let older = page.split("<a href=\"/nodes/sign-server-1?before=").nth(1).expect("there are older ones");
    let (_, _, before) =
        master.browse(&format!("/nodes/sign-server-1?before={}", older.split('"').next().unwrap())).await;
    let count = |page: &str| page.matches("<a class=\"open\" href=\"/tasks/").count();
    assert_eq!(count(&page), 20, "{page}");
    assert!((5..=7).contains(&count(&before)) && before.contains("rel=\"first\""), "{before}");
    let (status, _, _) = master.browse("/nodes/sign-server-1?before=x").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, _) = master.json(Method::GET, "/api/v1/nodes/nobody/load", None, Value::Null).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
