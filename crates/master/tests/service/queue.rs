//! What runs and what waits, with why: as a list and as a page.

use anima_db::task::About;
use anima_types::{Arch, task::Kind};
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
