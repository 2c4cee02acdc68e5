//! Numbers for those who watch over it.

use crate::master::Master;
use anima_types::task::Kind;
use axum::{body::Body, http::Method};
use serde_json::json;

async fn metrics(master: &Master) -> String {
    let (status, body) = master.send(Method::GET, "/metrics", None, Body::empty()).await;
    assert_eq!(status, 200);
    String::from_utf8(body.to_vec()).unwrap()
}

fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[tokio::test]
async fn tasks_requests_and_events_are_counted() {
    let master = Master::open().await;
    let push = json!({ "package": "a", "branch": "p1", "commit": "c", "subject": "s", "pusher": "ann" });
    master.post("/api/v1/pushes", "git-service", push).await;

    let text = metrics(&master).await;

    let ready = "anima_tasks{kind=\"src\",arch=\"x86_64\",status=\"ready\"}";
    assert_eq!(value(&text, ready), Some(1.0), "{text}");
    assert_eq!(
        value(&text, "anima_requests_total{method=\"POST\",route=\"/api/v1/pushes\",status=\"200\"}"),
        Some(1.0)
    );
    assert_eq!(value(&text, "anima_events_total{noun=\"build\",verb=\"created\"}"), Some(1.0), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[tokio::test]
async fn steps_of_tasks_are_timed_and_one_whose_name_is_no_word_makes_no_series() {
    let master = Master::open().await;
    let lease = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
    let phase = |name: &str| json!({ "name": name, "secs": 0.1 });
    let end = json!({ "failed": { "code": "x", "message": "it went wrong" } });
    let body =
        json!({ "number": lease["number"], "phases": [phase("sign"), phase("a \"name\" of its own")], "end": end });
    let path = format!("/api/v1/tasks/{}/report", lease["task"]);
    let (status, _) = master.json(Method::POST, &path, lease["secret"].as_str(), body).await;
    assert_eq!(status, 200);

    let text = metrics(&master).await;

    let series = "anima_task_phase_duration_seconds_count{kind=\"sign\",phase=\"sign\"}";
    assert_eq!(value(&text, series), Some(1.0), "{text}");
    assert!(!text.contains("of its own"), "{text}");
    assert_eq!(value(&text, "anima_waiting_nodes"), Some(0.0), "who waited waits no more: {text}");
}
