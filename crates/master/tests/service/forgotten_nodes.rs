//! Nodes that live for one task leave a name each, which does not come again.

use anima_types::task::Kind;
use serde_json::{Value, json};

use crate::master::Master;

const HOUR_SECS: i64 = 3_600;

async fn names(master: &Master) -> Vec<String> {
    let Value::Array(nodes) = master.get("/api/v1/nodes").await else { panic!("nodes are a list") };
    nodes.iter().map(|node| node["name"].as_str().unwrap().to_string()).collect()
}

async fn claim(master: &Master, node: &str, takes_one: bool) {
    let claim = json!({
        "node": node, "kinds": ["sign"], "architectures": ["x86_64"], "slots": 1, "version": "1", "wait_secs": 0,
        "condition": { "protocol": 2, "takes_one": takes_one },
    });
    let (status, answer) = master.post("/api/v1/leases", "sign-server", claim).await;
    assert!(status.is_success(), "{status} {answer}");
}

#[tokio::test]
async fn a_node_for_one_task_is_forgotten_after_an_hour_and_another_after_a_month() {
    let master = Master::open().await;
    claim(&master, "pod-1", true).await;
    claim(&master, "machine", false).await;
    let all = names(&master).await;
    assert!(all.contains(&"pod-1".to_string()) && all.contains(&"machine".to_string()), "{all:?}");

    master.pass_secs(2 * HOUR_SECS);
    // It has a lease that did not end: it is asked about before it is forgotten.
    let held = anima_master::chores::forget_nodes_once(&master.app, master.app.now()).await.unwrap();
    anima_master::chores::expire_once(&master.app, master.app.now()).await.unwrap();
    let ended = anima_master::chores::forget_nodes_once(&master.app, master.app.now()).await.unwrap();

    assert_eq!((held, ended), (0, 1));
    assert!(!names(&master).await.contains(&"pod-1".to_string()));

    master.pass_secs(31 * 24 * HOUR_SECS);
    anima_master::chores::forget_nodes_once(&master.app, master.app.now()).await.unwrap();
    assert!(!names(&master).await.contains(&"machine".to_string()));
    // Its name is free: whoever comes with it is new.
    claim(&master, "machine", false).await;
    let lease = master.claim("sign-server", &[Kind::Sign]).await;
    assert!(lease.is_none(), "the task is machine's now: {lease:?}");
}
