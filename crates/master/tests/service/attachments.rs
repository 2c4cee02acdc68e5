//! What repositories have beside their packages goes to users by a plan of its own, which says what it changes.

use anima_types::{id::ReleaseId, task::Kind};
use axum::{
    body::Body,
    http::{Method, StatusCode},
};
use serde_json::{Value, json};

use crate::{
    master::Master,
    plans::{advance, create, package, plan_task, show},
};

async fn attach(master: &Master, repository: i64, content: &str) {
    let path = format!("/api/v1/repositories/{repository}/attachments/notes?name=notes.txt");
    let body = Body::from(content.to_string());
    let (status, answer) = master.send(Method::PUT, &path, Some(&master.token("admin")), body).await;
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&answer));
}

/// The Release System finds nothing to place.
async fn plan(master: &Master, release: ReleaseId) -> Value {
    let lease = plan_task(master, release).await;
    assert!(lease["work"]["plan"]["packages"].as_array().unwrap().is_empty());
    let made = json!({ "plan": { "entries": [], "gates": [] } });
    assert_eq!(master.report(&lease, json!({ "succeeded": made })).await.0, StatusCode::OK);
    advance(master, release).await;
    master.get(&format!("/api/v1/releases/{release}")).await
}

#[tokio::test]
async fn advisories_alone_are_planned_decided_and_published_where_they_changed() {
    let master = Master::open().await;
    let jq = package(&master, "jq-1.7-1.x86_64", 1).await;
    let base_os = show(&master, "p1", "BaseOS/x86_64", &[jq]).await.0;
    for path in ["source", "debug/x86_64"] {
        show(&master, "p1", path, &[]).await;
    }
    let everything = json!({ "product": "p1", "attachments": [] });
    let (status, nothing) = master.post("/api/v1/releases", "admin", everything.clone()).await;
    assert_eq!((status, nothing["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("nothing")));
    attach(&master, base_os, "one").await;

    let release = create(&master, everything).await;
    let planned = plan(&master, release).await;

    assert_eq!(planned["content"], json!({ "attachments": ["BaseOS/x86_64"] }));
    assert_eq!(planned["status"], "planned", "a person decides: {planned}");
    let change = &planned["attachments"][0];
    assert_eq!((&change["name"], &change["fate"]), (&json!("notes.txt.gz"), &json!("added")), "{planned}");
    assert!(planned["summary"].as_str().unwrap().contains("1 file changes beside"), "{planned}");

    // Another comes before the decision: what goes out is what somebody could read.
    attach(&master, base_os, "two").await;
    let commit = format!("/api/v1/releases/{release}/commit");
    let (_, moved) = master.post(&commit, "admin", json!({})).await;
    assert_eq!((&moved["status"], &moved["attachments"]), (&json!("planning"), &json!([])));
    let again = plan(&master, release).await;
    assert_ne!(again["attachments"][0]["sha256"], change["sha256"]);
    assert_eq!(master.post(&commit, "admin", json!({})).await.1["status"], "publishing");
    let publish = master.claim("release-system", &[Kind::Publish]).await.unwrap();
    let repositories = publish["work"]["publish"]["repositories"].as_array().unwrap();
    assert_eq!(repositories.len(), 1, "the others stay as they are: {repositories:?}");
    assert_eq!(repositories[0]["repository"], base_os);
    assert_eq!(repositories[0]["attachments"][0]["sha256"], again["attachments"][0]["sha256"]);
}
