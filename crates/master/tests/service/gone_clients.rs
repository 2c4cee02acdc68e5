//! Clients that go away in the middle: what they changed, and what follows from it, is done whole.

use anima_master::chores::{Looked, look_once};
use anima_types::{id::BuildId, task::Kind};
use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::master::Master;

/// Asks as over the network, and is gone as soon as the master has begun; returns what is done to its end all the same.
pub async fn ask_and_go(master: &Master, path: &str, token: Option<&str>, body: &Value) -> TaskTracker {
    let under_way = TaskTracker::new();
    let router = anima_master::to_the_end(&master.app, under_way.clone());
    let mut request = Request::builder().method(Method::POST).uri(path).header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let mut asking = Box::pin(router.oneshot(request.body(Body::from(body.to_string())).unwrap()));
    assert!(futures_util::poll!(&mut asking).is_pending());
    drop(asking);
    under_way.close();
    under_way
}

async fn push(master: &Master) -> Value {
    let push = json!({ "package": "a", "branch": "p1", "commit": "c", "subject": "s", "pusher": "ann" });
    master.post("/api/v1/pushes", "git-service", push).await;
    while anima_master::chores::advance_once(&master.app).await.unwrap() {}
    master.get("/api/v1/builds/1").await["tasks"][0].clone()
}

#[tokio::test]
async fn what_somebody_asked_for_before_they_went_is_done_with_all_that_follows() {
    let master = Master::open().await;
    let task = push(&master).await["id"].clone();
    let mut events = master.app.db.subscribe();

    let path = format!("/api/v1/tasks/{task}/cancel");
    ask_and_go(&master, &path, Some(&master.token("admin")), &Value::Null).await.wait().await;

    assert_eq!(master.get(&format!("/api/v1/tasks/{task}")).await["status"], "cancelled");
    assert!(master.app.take_due().builds.contains(&BuildId(1)), "the build is looked at");
    // On PostgreSQL the database tells of it, and later.
    if !master.app.db.is_shared() {
        assert_eq!(events.try_recv().expect("who listens is told").verb, "cancelled");
    }
}

#[tokio::test]
async fn a_report_that_comes_again_has_its_build_looked_at() {
    let master = Master::open().await;
    push(&master).await;
    let lease = master.claim("build-node", &[Kind::Src]).await.unwrap();
    let end = json!({ "failed": { "code": "x", "message": "it went wrong" } });
    assert_eq!(master.report(&lease, end.clone()).await.0, StatusCode::OK);
    // As if whoever answered the first had been cut off before it looked.
    master.app.take_due();

    assert_eq!(master.report(&lease, end).await.0, StatusCode::OK);

    assert!(master.app.take_due().builds.contains(&BuildId(1)));
}

#[tokio::test]
async fn who_waits_for_a_task_and_goes_gets_none() {
    let master = Master::open().await;
    let claim = json!({ "node": "build-1", "kinds": ["src"], "architectures": ["x86_64"], "slots": 1, "version": "1",
        "wait_secs": 50, "condition": { "protocol": 2 } });
    ask_and_go(&master, "/api/v1/leases", Some(&master.token("build-node")), &claim).await.wait().await;

    let task = push(&master).await;

    assert_eq!(task["status"], "ready");
}

#[tokio::test]
async fn what_nobody_knows_to_be_due_any_more_is_found_and_what_is_at_rest_is_let_be() {
    let master = Master::open().await;
    push(&master).await;
    let mut looked = Looked::default();
    let look = async |looked: &mut Looked| {
        look_once(&master.app, looked).await.unwrap();
        master.app.take_due().builds.into_iter().collect::<Vec<_>>()
    };
    let lease = master.claim("build-node", &[Kind::Src]).await.unwrap();
    assert_eq!([look(&mut looked).await, look(&mut looked).await], [vec![], vec![]]);

    // No push joins it any more.
    master.pass_secs(3_600);
    let end = json!({ "failed": { "code": "x", "message": "it went wrong" } });
    assert_eq!(master.report(&lease, end).await.0, StatusCode::OK);
    // As if the master that took it were killed now.
    master.app.take_due();

    assert_eq!(look(&mut looked).await, [], "whoever took the report may be at it");
    assert_eq!(look(&mut looked).await, [BuildId(1)]);
    anima_master::build::advance::advance_once(&master.app, BuildId(1)).await.unwrap();
    assert_eq!(master.get("/api/v1/builds/1").await["status"], "failed");
    assert_eq!([look(&mut looked).await, look(&mut looked).await], [vec![], vec![]]);
}
