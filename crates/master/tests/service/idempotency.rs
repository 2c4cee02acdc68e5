//! Requests that are sent again with their key.

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use serde_json::{Value, json};

use crate::master::Master;

const TEAMS: &str = "/api/v1/teams";

/// Sends a request with a key; returns its status, whether it was answered before, and its answer.
async fn send(master: &Master, token: &str, key: &str, path: &str, body: &Value) -> (StatusCode, bool, Value) {
    let request = Request::builder().method(Method::POST).uri(path).header("content-type", "application/json");
    let request = request.header("authorization", format!("Bearer {token}")).header("idempotency-key", key);
    let (status, headers, text) = master.raw(request.body(Body::from(body.to_string())).unwrap()).await;
    (status, headers.contains_key("idempotency-replayed"), serde_json::from_str(&text).unwrap_or(Value::Null))
}

async fn count(master: &Master, path: &str, name: &str) -> usize {
    let (_, all) = master.json(Method::GET, path, Some(&master.token("admin")), json!(null)).await;
    all.as_array().unwrap().iter().filter(|one| one["name"] == name).count()
}

#[tokio::test]
async fn what_is_sent_again_with_its_key_is_done_once_and_answered_as_before() {
    let master = Master::open().await;
    let admin = master.token("admin");
    let crew = json!({ "name": "crew" });

    let first = send(&master, &admin, "key-0001", TEAMS, &crew).await;
    let again = send(&master, &admin, "key-0001", TEAMS, &crew).await;

    assert_eq!((first.0, first.1), (StatusCode::CREATED, false), "{}", first.2);
    assert_eq!((again.0, again.1, &again.2), (StatusCode::CREATED, true, &first.2));
    let without = send(&master, &admin, "key-0002", TEAMS, &crew).await;
    assert_eq!(
        (without.0, &without.2["code"]),
        (StatusCode::CONFLICT, &json!("taken")),
        "another key is another request"
    );
    let refused = send(&master, &admin, "key-0002", TEAMS, &crew).await;
    assert_eq!((refused.0, refused.1), (StatusCode::CONFLICT, true), "what was refused stays refused");
}

#[tokio::test]
async fn a_key_is_good_for_one_request_of_one_caller_for_a_day() {
    let master = Master::open().await;
    let (admin, ann) = (master.token("admin"), master.person("ann", &["admin"]).await);
    let team = |name: &str| json!({ "name": name });
    send(&master, &admin, "key-0001", TEAMS, &team("crew")).await;

    let other = send(&master, &admin, "key-0001", TEAMS, &team("others")).await;
    assert_eq!((other.0, &other.2["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("key_reused")));
    let elsewhere = send(&master, &admin, "key-0001", "/api/v1/rights", &team("crew")).await;
    assert_eq!(elsewhere.2["code"], "key_reused");
    let anns = send(&master, &ann, "key-0001", TEAMS, &team("of-ann")).await;
    assert_eq!((anns.0, anns.1), (StatusCode::CREATED, false), "{}", anns.2);
    master.pass_secs(86_401);
    let next_day = send(&master, &admin, "key-0001", TEAMS, &team("others")).await;
    assert_eq!((next_day.0, next_day.1), (StatusCode::CREATED, false), "{}", next_day.2);
    let bad = send(&master, &admin, "short", TEAMS, &team("x")).await;
    assert_eq!((bad.0, &bad.2["code"]), (StatusCode::BAD_REQUEST, &json!("bad_key")));
    let nobody = send(&master, "nobodys", "key-0009", TEAMS, &team("x")).await;
    assert_eq!(nobody.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn of_many_that_come_at_once_one_is_done() {
    let master = Master::open().await;
    let admin = master.token("admin");
    let wanted = json!({ "name": "ci", "role": "contributor" });
    let one = || send(&master, &admin, "key-0001", "/api/v1/tokens", &wanted);

    let answers = tokio::join!(one(), one(), one(), one(), one());

    let answers = [answers.0, answers.1, answers.2, answers.3, answers.4];
    let made: Vec<_> = answers.iter().filter(|answer| answer.0 == StatusCode::CREATED).collect();
    assert_eq!(made.iter().filter(|answer| !answer.1).count(), 1, "{answers:?}");
    let meanwhile = answers.iter().filter(|answer| answer.0 != StatusCode::CREATED);
    assert!(meanwhile.into_iter().all(|answer| answer.2["code"] == "in_progress"), "{answers:?}");
    let again = one().await;
    assert_eq!((again.1, &again.2["secret"]), (true, &made[0].2["secret"]), "a secret, too, for who has the key");
    assert_eq!(count(&master, "/api/v1/tokens", "ci").await, 1);
}

#[tokio::test]
async fn a_key_is_kept_over_a_restart() {
    let master = Master::open().await;
    let admin = master.token("admin");
    let first = send(&master, &admin, "key-0001", TEAMS, &json!({ "name": "crew" })).await;

    let master = master.restart().await;

    let again = send(&master, &admin, "key-0001", TEAMS, &json!({ "name": "crew" })).await;
    assert_eq!((again.1, again.2), (true, first.2));
}
