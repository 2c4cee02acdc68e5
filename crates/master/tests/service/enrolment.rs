//! New nodes: a code that is good once and soon, for a token that is good for one node.

use anima_types::task::Kind;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::master::Master;

async fn redeem(master: &Master, code: &str) -> (StatusCode, Value) {
    master.json(Method::POST, "/api/v1/enrolments/redeem", None, json!({ "code": code })).await
}

#[tokio::test]
async fn a_code_is_good_once_for_a_token_of_that_node_and_no_other() {
    let master = Master::open().await;
    let wanted = json!({ "node": "builder-1", "role": "build-node" });
    let (status, made) = master.post("/api/v1/enrolments", "admin", wanted).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let code = made["code"].as_str().unwrap();

    let (status, token) = redeem(&master, &code.to_lowercase()).await;
    assert_eq!(status, StatusCode::CREATED, "{token}");
    let (status, again) = redeem(&master, code).await;
    assert_eq!((status, &again["code"]), (StatusCode::UNAUTHORIZED, &json!("bad_code")));

    let secret = token["secret"].as_str().unwrap();
    let claim = async |node: &str, kind: Kind| {
        let claim = json!({ "node": node, "kinds": [kind], "architectures": ["x86_64"], "slots": 1, "version": "1", "wait_secs": 0 });
        master.json(Method::POST, "/api/v1/leases", Some(secret), claim).await.0
    };
    assert_eq!(claim("builder-1", Kind::Build).await, StatusCode::NO_CONTENT);
    assert_eq!(claim("builder-2", Kind::Build).await, StatusCode::FORBIDDEN, "not for another node");
    assert_eq!(claim("builder-1", Kind::Sign).await, StatusCode::FORBIDDEN, "nor for another kind");
    let (_, audit) =
        master.json(Method::GET, "/api/v1/audit?noun=enrolment", Some(&master.token("admin")), Value::Null).await;
    assert!(
        audit.to_string().contains("build-node builder-1 used its code") && !audit.to_string().contains(code),
        "{audit}"
    );
}

#[tokio::test]
async fn a_code_ends_soon() {
    let master = Master::open().await;
    let wanted = json!({ "node": "builder-1", "role": "build-node", "minutes": 1 });
    let (_, made) = master.post("/api/v1/enrolments", "admin", wanted).await;
    master.pass_secs(60);

    assert_eq!(redeem(&master, made["code"].as_str().unwrap()).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn only_parts_of_the_system_are_enrolled() {
    let master = Master::open().await;
    master.person("ann", &[]).await;
    for (wanted, code) in [
        (json!({ "node": "n", "role": "admin" }), "bad_role"),
        (json!({ "node": "n", "role": "person" }), "bad_role"),
        (json!({ "node": "a b", "role": "build-node" }), "bad_name"),
        (json!({ "node": "ann", "role": "build-node" }), "bad_name"),
        (json!({ "node": "n", "role": "build-node", "minutes": 100_000 }), "bad_minutes"),
    ] {
        let (status, answer) = master.post("/api/v1/enrolments", "admin", wanted.clone()).await;
        assert!(status.is_client_error() && answer["code"] == code, "{wanted}: {answer}");
    }
}
