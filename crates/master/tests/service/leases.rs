//! Leases: one holder at a time, and nothing lost when a holder is. The task is the one that makes the product's key.

use crate::master::Master;
use anima_types::{
    Timestamp,
    lease::{LEASE_SECS, MAX_WAIT_SECS, OLDEST_PROTOCOL, PROTOCOL},
    task::{Kind, MAX_ATTEMPTS},
};
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

const FAILED: &str = "failed";

fn failure() -> Value {
    json!({ FAILED: { "code": "x", "message": "it went wrong" } })
}

async fn status(master: &Master, lease: &Value) -> Value {
    master.get(&format!("/api/v1/tasks/{}", lease["task"])).await
}

#[tokio::test]
async fn an_expired_lease_returns_the_task_to_the_queue_and_its_holder_is_refused() {
    let master = Master::open().await;
    let first = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
    assert!(master.claim("sign-server", &[Kind::Sign]).await.is_none(), "a task is given out once");

    master.pass_secs(LEASE_SECS + 1);
    anima_master::chores::expire_once(&master.app, master.app.now()).await.unwrap();
    let second = master.claim("sign-server", &[Kind::Sign]).await.unwrap();

    assert_eq!(second["task"], first["task"]);
    assert_eq!(second["number"].as_i64(), first["number"].as_i64().map(|number| number + 1));
    let (code, answer) = master.report(&first, failure()).await;
    assert_eq!((code, answer["code"].as_str()), (StatusCode::CONFLICT, Some("stale_lease")));
    let beat = format!("/api/v1/tasks/{}/heartbeat", first["task"]);
    let (code, answer) = master.json(Method::POST, &beat, first["secret"].as_str(), Value::Null).await;
    assert_eq!((code, answer["code"].as_str()), (StatusCode::CONFLICT, Some("stale_lease")));
    assert_eq!(master.report(&second, failure()).await.0, StatusCode::OK);
    assert_eq!(status(&master, &second).await["status"], FAILED);
}

#[tokio::test]
async fn a_heartbeat_keeps_a_lease_and_a_restart_of_the_master_does_not_end_it() {
    let master = Master::open().await;
    let lease = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
    let beat = format!("/api/v1/tasks/{}/heartbeat", lease["task"]);

    master.pass_secs(LEASE_SECS - 1);
    assert_eq!(master.json(Method::POST, &beat, lease["secret"].as_str(), Value::Null).await.0, StatusCode::OK);
    master.pass_secs(LEASE_SECS - 1);
    anima_master::chores::expire_once(&master.app, master.app.now()).await.unwrap();
    assert_eq!(status(&master, &lease).await["status"], "leased");

    master.pass_secs(10 * LEASE_SECS);
    let master = master.restart().await;
    anima_master::chores::expire_once(&master.app, master.app.now()).await.unwrap();
    assert_eq!(master.report(&lease, failure()).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_task_that_ends_its_nodes_is_given_up_after_some_tries_with_the_reason() {
    let master = Master::open().await;
    let mut last = Value::Null;
    for _ in 0..MAX_ATTEMPTS {
        last = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
        master.pass_secs(LEASE_SECS + 1);
        anima_master::chores::expire_once(&master.app, master.app.now()).await.unwrap();
    }

    assert!(master.claim("sign-server", &[Kind::Sign]).await.is_none());
    let task = status(&master, &last).await;
    assert_eq!((task["status"].as_str(), task["failure"]["code"].as_str()), (Some(FAILED), Some("node_lost")));
}

#[tokio::test]
async fn a_master_that_stood_still_lets_leases_begin_anew_and_one_that_did_not_takes_them_back() {
    let master = Master::open().await;
    let lease = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
    let looked_at = master.app.now();
    master.pass_secs(10 * LEASE_SECS);

    // Its machine slept: the node could not be heard.
    let now = master.app.now();
    assert_eq!(anima_master::chores::expire_after(&master.app, now, looked_at).await.unwrap(), 0);
    assert_eq!(status(&master, &lease).await["status"], "leased");

    // Now it could have been.
    master.pass_secs(LEASE_SECS + 1);
    let now = master.app.now();
    let looked_at = Timestamp(now.0 - 1_000_000);
    assert_eq!(anima_master::chores::expire_after(&master.app, now, looked_at).await.unwrap(), 1);
    assert_eq!(status(&master, &lease).await["status"], "ready");
}

#[tokio::test]
async fn a_clock_that_was_set_back_keeps_no_task_of_a_dead_node_leased_until_it_is_that_late_again() {
    let master = Master::open().await;
    let lease = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
    let looked_at = master.app.now();
    let look =
        async |looked_at| anima_master::chores::expire_after(&master.app, master.app.now(), looked_at).await.unwrap();

    master.pass_secs(-3_600);
    assert_eq!(look(looked_at).await, 0);
    assert_eq!(status(&master, &lease).await["status"], "leased", "its node could not be heard in between");

    let looked_at = master.app.now();
    master.pass_secs(5);
    assert_eq!(look(looked_at).await, 0);
    let looked_at = Timestamp(looked_at.0 + LEASE_SECS * 1_000_000);
    master.pass_secs(LEASE_SECS);
    assert_eq!(look(looked_at).await, 1, "it was not heard of since, by the new time");
    assert_eq!(status(&master, &lease).await["status"], "ready");
}

#[tokio::test]
async fn what_a_killed_node_worked_on_is_given_out_when_it_is_started_again_and_its_ghost_gets_nothing() {
    let master = Master::open().await;
    let claim = async |instance: &str| master.claim_as("sign-server", &[Kind::Sign], instance).await;
    let (_, before) = claim("first").await;
    assert_eq!(claim("first").await.0, StatusCode::NO_CONTENT, "the same process goes on with its task");

    let (_, again) = claim("second").await;

    assert_eq!((&again["task"], again["number"].as_i64()), (&before["task"], Some(2)));
    assert_eq!(master.report(&before, failure()).await.0, StatusCode::CONFLICT);
    let (code, answer) = claim("first").await;
    assert_eq!((code, answer["code"].as_str()), (StatusCode::CONFLICT, Some("name_taken")));
    assert_eq!(master.report(&again, failure()).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_late_word_of_an_earlier_life_does_not_take_the_name_from_the_newer_one() {
    let master = Master::open().await;
    let started = |secs: i64| Timestamp(0).plus_secs(1_700_000_000 + secs);
    let claim = async |instance: &str, secs| {
        master.claim_since("sign-server", &[Kind::Sign], (instance, Some(started(secs)))).await
    };
    let (_, lease) = claim("newer", 100).await;

    // It was sent before the newer one was started, and never came before.
    let (code, answer) = claim("earlier", 0).await;

    assert_eq!((code, answer["code"].as_str()), (StatusCode::CONFLICT, Some("name_taken")));
    assert_eq!(claim("newer", 100).await.0, StatusCode::NO_CONTENT, "it goes on with its task");

    // A clock that was set back: nothing is heard of the other any more.
    master.pass_secs(2 * (MAX_WAIT_SECS as i64 + LEASE_SECS));
    let (code, again) = claim("set-back", 50).await;
    assert_eq!((code, &again["task"]), (StatusCode::OK, &lease["task"]));
    // The other was only cut off: it is the later one, and takes its name back.
    let (code, _) = claim("newer", 100).await;
    assert_eq!(code, StatusCode::OK);
    assert_eq!(claim("set-back", 50).await.0, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_task_that_is_given_back_waits_for_another_try_and_fails_with_the_nodes_reason_at_last() {
    let master = Master::open().await;
    let given_back = || json!({ "given_back": { "code": "node_disk_full", "message": "the disk is full" } });
    for attempt in 1..MAX_ATTEMPTS {
        let lease = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
        assert_eq!(master.report(&lease, given_back()).await.0, StatusCode::OK);
        let task = status(&master, &lease).await;
        assert_eq!((task["status"].as_str(), task["attempts"].as_i64()), (Some("ready"), Some(i64::from(attempt))));
        assert_eq!(task["why"], "sign-server-1 gave it back: the disk is full; it waits for another try.");
        assert_eq!(master.report(&lease, given_back()).await.0, StatusCode::CONFLICT, "its lease is over");
    }

    let lease = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
    assert_eq!(master.report(&lease, given_back()).await.0, StatusCode::OK);

    let task = status(&master, &lease).await;
    assert_eq!((task["status"].as_str(), task["failure"]["code"].as_str()), (Some(FAILED), Some("node_disk_full")));
}

#[tokio::test]
async fn a_task_for_which_the_master_had_no_room_is_ready_again_and_no_try_is_used() {
    let master = Master::open().await;
    let given_back = json!({ "given_back": { "code": "master_disk_full", "message": "the disk is full" } });
    for _ in 0..=MAX_ATTEMPTS {
        let lease = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
        assert_eq!(master.report(&lease, given_back.clone()).await.0, StatusCode::OK);
        let task = status(&master, &lease).await;
        assert_eq!((task["status"].as_str(), task["attempts"].as_i64()), (Some("ready"), Some(0)), "{task}");
        let why = task["why"].as_str().unwrap();
        assert!(why.contains("the master has no room") && why.ends_with("it waits for room."), "{why}");
    }
}

#[tokio::test]
async fn a_try_that_did_not_count_is_not_told_in_the_place_of_one_that_ended_its_node() {
    let master = Master::open().await;
    let lose = async || {
        let lease = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
        master.pass_secs(LEASE_SECS + 1);
        anima_master::chores::expire_once(&master.app, master.app.now()).await.unwrap();
        lease
    };
    lose().await;
    let lease = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
    let given_back = json!({ "given_back": { "code": "master_disk_full", "message": "the disk is full" } });
    assert_eq!(master.report(&lease, given_back).await.0, StatusCode::OK);
    lose().await;
    let lease = lose().await;

    let message = status(&master, &lease).await["failure"]["message"].to_string();
    assert!(message.contains("its other 2 attempts"), "{message}");
    assert!(message.contains("attempt 3 on ") && message.contains("attempt 1 on "), "{message}");
    assert!(!message.contains("attempt 2 on "), "{message}");
}

#[tokio::test]
async fn a_task_whose_node_was_asked_to_end_is_ready_at_once_and_no_try_is_used_unless_it_never_ends() {
    let master = Master::open().await;
    let given_back = json!({ "given_back": { "code": "node_stops", "message": "the node was asked to end" } });
    let attempts_after = async || {
        let lease = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
        assert_eq!(master.report(&lease, given_back.clone()).await.0, StatusCode::OK);
        let task = status(&master, &lease).await;
        assert_eq!(task["status"], "ready", "{task}");
        task["attempts"].as_i64().unwrap()
    };

    for _ in 0..20 {
        assert_eq!(attempts_after().await, 0);
    }
    assert_eq!((attempts_after().await, attempts_after().await), (1, 2));
}

#[tokio::test]
async fn a_task_says_why_it_stands_where_it_stands() {
    let master = Master::open().await;
    let lease = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
    let why = async || master.get(&format!("/api/v1/tasks/{}/why", lease["task"])).await;

    let held = why().await;
    assert!(held["facts"][0]["text"].as_str().unwrap().starts_with("sign-server-1 has it since 0 s"), "{held}");

    master.pass_secs(LEASE_SECS + 1);
    anima_master::chores::expire_once(&master.app, master.app.now()).await.unwrap();
    let waits = why().await;
    assert_eq!(waits["facts"][0]["text"], "It is the next of the sign tasks.");
    assert_eq!(waits["facts"][1]["text"], "0 of 1 slots are taken on sign-server-1.");

    master.pass_secs(3600);
    let alone = why().await;
    assert_eq!(alone["summary"], "No node is online that takes sign tasks.");
    assert!(alone["hint"].as_str().unwrap().contains("anima node list"), "{alone}");
}

#[tokio::test]
async fn a_key_that_could_not_be_made_is_made_when_its_task_is_restarted() {
    let master = Master::open().await;
    let first = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
    assert_eq!(master.report(&first, failure()).await.0, StatusCode::OK);
    assert!(master.claim("sign-server", &[Kind::Sign]).await.is_none());

    let restart = format!("/api/v1/tasks/{}/restart", first["task"]);
    assert_eq!(master.post(&restart, "admin", Value::Null).await.0, StatusCode::OK);

    let second = master.claim("sign-server", &[Kind::Sign]).await.expect("it is given out again");
    assert_eq!(second["task"], first["task"]);
}

#[tokio::test]
async fn the_same_report_twice_is_once_and_a_report_of_another_kind_is_refused() {
    let master = Master::open().await;
    let lease = master.claim("sign-server", &[Kind::Sign]).await.unwrap();

    let (code, answer) = master.report(&lease, json!({ "succeeded": { "test": { "verdicts": [] } } })).await;
    assert_eq!((code, answer["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("wrong_outcome")));
    assert_eq!(status(&master, &lease).await["status"], "leased", "the mistake is the node's; the task goes on");

    assert_eq!(master.report(&lease, failure()).await.0, StatusCode::OK);
    assert_eq!(master.report(&lease, failure()).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_lease_is_good_for_its_own_task_and_a_node_for_its_own_kinds() {
    let master = Master::open().await;
    let lease = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
    let secret = lease["secret"].as_str();

    let other = lease["task"].as_i64().unwrap() + 1;
    let path = format!("/api/v1/tasks/{other}/heartbeat");
    assert_eq!(master.json(Method::POST, &path, secret, Value::Null).await.0, StatusCode::FORBIDDEN);
    assert_eq!(master.json(Method::GET, "/api/v1/tokens", secret, Value::Null).await.0, StatusCode::FORBIDDEN);
    let upload = format!("/api/v1/tasks/{}/artifacts/{}?kind=rpm&name=a.rpm", lease["task"], "0".repeat(64));
    let (code, answer) = master.json(Method::PUT, &upload, secret, Value::Null).await;
    assert_eq!((code, answer["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("wrong_kind")));
    let claim =
        json!({ "node": "n", "kinds": ["sign"], "architectures": [], "slots": 1, "version": "1", "wait_secs": 0 });
    for role in ["build-node", "test-node", "admin", "release-system"] {
        assert_eq!(master.post("/api/v1/leases", role, claim.clone()).await.0, StatusCode::FORBIDDEN, "{role}");
    }
    assert_eq!(master.json(Method::POST, "/api/v1/leases", None, claim).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_log_has_no_gaps_and_takes_the_same_piece_twice() {
    let master = Master::open().await;
    let lease = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
    let secret = lease["secret"].as_str();
    let put = async |offset: usize, text: &str| {
        let path = format!("/api/v1/tasks/{}/log?offset={offset}", lease["task"]);
        master.send(Method::PUT, &path, secret, text.to_string().into()).await.0
    };

    assert_eq!(put(0, "one\n").await, StatusCode::OK);
    assert_eq!(put(0, "one\n").await, StatusCode::OK);
    assert_eq!(put(9, "gap").await, StatusCode::CONFLICT);
    assert_eq!(put(4, "two\n").await, StatusCode::OK);

    let path = format!("/api/v1/tasks/{}/log", lease["task"]);
    assert_eq!(master.send(Method::GET, &path, None, "".into()).await.1, b"one\ntwo\n");
}

async fn node(master: &Master) -> Value {
    master.get("/api/v1/nodes").await[0].clone()
}

#[tokio::test]
async fn a_drained_node_gets_nothing_until_it_is_taken_back_and_everybody_sees_why() {
    let master = Master::open().await;
    assert!(master.claim("sign-server", &[Kind::Sign]).await.is_some());
    let (code, _) = master.post("/api/v1/nodes/sign-server-1/drain", "build-node", json!({})).await;
    assert_eq!(code, StatusCode::FORBIDDEN);

    let (code, drained) =
        master.post("/api/v1/nodes/sign-server-1/drain", "admin", json!({ "reason": "new disk" })).await;
    assert_eq!((code, drained["state"].as_str()), (StatusCode::OK, Some("draining")), "{drained}");
    master.pass_secs(LEASE_SECS + 1);
    anima_master::chores::expire_once(&master.app, master.app.now()).await.unwrap();

    assert!(master.claim("sign-server", &[Kind::Sign]).await.is_none(), "its task waits for another node");
    let shown = node(&master).await;
    assert_eq!(shown["state"], "drained");
    assert!(shown["why"].as_str().unwrap().ends_with(" wanted it to take no more: new disk"), "{shown}");
    let (code, back) = master.post("/api/v1/nodes/sign-server-1/undrain", "admin", Value::Null).await;
    assert_eq!((code, back["state"].as_str(), &back["why"]), (StatusCode::OK, Some("taking"), &Value::Null));
    assert!(master.claim("sign-server", &[Kind::Sign]).await.is_some());
    let (code, _) = master.post("/api/v1/nodes/nobody/drain", "admin", json!({})).await;
    assert_eq!(code, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_node_that_shall_end_is_told_so_and_the_one_started_after_it_takes_tasks() {
    let master = Master::open().await;
    let claim = async |instance: &str| master.claim_as("sign-server", &[Kind::Sign], instance).await;
    let (_, lease) = claim("old").await;
    let drain = json!({ "then_end": true });
    assert_eq!(master.post("/api/v1/nodes/sign-server-1/drain", "admin", drain).await.0, StatusCode::OK);

    let (code, answer) = claim("old").await;
    assert_eq!((code, answer["code"].as_str()), (StatusCode::CONFLICT, Some("node_ends")));
    // What it has is still its own.
    assert_eq!(master.report(&lease, failure()).await.0, StatusCode::OK);

    let (code, _) = claim("new").await;
    assert_eq!(code, StatusCode::NO_CONTENT);
    assert_eq!(node(&master).await["state"], "taking");
}

#[tokio::test]
async fn a_node_that_is_too_old_or_ill_gets_nothing_and_says_why() {
    let master = Master::open().await;
    let ask = async |condition: Value| {
        let claim = json!({
            "node": "sign-server-1", "kinds": ["sign"], "architectures": [], "slots": 1, "version": "0.0.9",
            "wait_secs": 0, "condition": condition,
        });
        master.post("/api/v1/leases", "sign-server", claim).await
    };

    let (code, answer) = ask(json!({ "protocol": OLDEST_PROTOCOL - 1 })).await;
    assert_eq!((code, answer["code"].as_str()), (StatusCode::CONFLICT, Some("node_too_old")));
    assert!(answer["message"].as_str().unwrap().contains("version 0.0.9"), "{answer}");
    assert_eq!(node(&master).await["state"], "too_old");

    let (code, _) = ask(json!({ "protocol": PROTOCOL, "problem": "its disk is too full" })).await;
    assert_eq!(code, StatusCode::NO_CONTENT);
    let shown = node(&master).await;
    assert_eq!((shown["state"].as_str(), shown["why"].as_str()), (Some("unfit"), Some("its disk is too full")));

    let (code, _) = ask(json!({ "protocol": PROTOCOL })).await;
    assert_eq!(code, StatusCode::OK);
}
