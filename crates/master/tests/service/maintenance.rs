//! Maintenance: no task is given out, those at nodes go on, and all of it says why.

use anima_types::task::Kind;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::master::Master;

async fn change(master: &Master, method: Method, body: Value) -> Value {
    let (status, answer) = master.json(method, "/api/v1/maintenance", Some(&master.token("admin")), body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}

#[tokio::test]
async fn no_task_is_given_out_in_maintenance_and_what_waits_says_why() {
    let master = Master::open().await;
    let running = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
    let push = json!({ "package": "a", "branch": "p1", "commit": "c", "subject": "s", "pusher": "ann" });
    master.post("/api/v1/pushes", "git-service", push).await;

    let state = change(&master, Method::PUT, json!({ "reason": "a new kernel" })).await;
    assert_eq!(
        (state["running_count"].as_u64(), state["maintenance"]["reason"].as_str()),
        (Some(1), Some("a new kernel"))
    );

    assert!(master.claim("build-node", &[Kind::Src]).await.is_none());
    let build = master.get("/api/v1/builds/1").await;
    let why = master.get(&format!("/api/v1/tasks/{}/why", build["tasks"][0]["id"])).await;
    assert!(why["summary"].as_str().unwrap().contains("began maintenance: a new kernel"), "{why}");
    let nodes = master.get("/api/v1/nodes").await;
    let said = |name: &str| {
        let node = nodes.as_array().unwrap().iter().find(|node| node["name"] == name).unwrap();
        (node["state"].as_str().unwrap().to_string(), node["why"].as_str().unwrap_or_default().to_string())
    };
    assert_eq!(said("sign-server-1").0, "draining");
    let (state, why) = said("build-node-1");
    assert!(state == "drained" && why.contains("a new kernel"), "{state}: {why}");

    let end = json!({ "failed": { "code": "x", "message": "it went wrong" } });
    assert_eq!(master.report(&running, end).await.0, StatusCode::OK, "what runs goes on to its end");
    let state = change(&master, Method::PUT, json!({})).await;
    assert_eq!(state["running_count"], 0);

    change(&master, Method::DELETE, Value::Null).await;
    assert!(master.claim("build-node", &[Kind::Src]).await.is_some());
    let events = master.get("/api/v1/events/list?limit=1000").await;
    let told = events.as_array().unwrap().iter().filter(|event| event["noun"] == "maintenance").count();
    assert_eq!(told, 3, "{events}");
}
