//! Accounts, rights, teams and tokens: what is data counts at the next request.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::master::{Master, PASSWORD};

async fn get(master: &Master, path: &str, token: &str) -> (StatusCode, Value) {
    master.json(Method::GET, path, Some(token), Value::Null).await
}

/// Asks for a build. The Git Service of these tests is not there: who passes the check learns that, and nobody else.
async fn may_build(master: &Master, token: &str, platforms: &[&str]) -> bool {
    let body = json!({ "packages": [{ "package": "jq" }], "platforms": platforms });
    let (status, answer) = master.json(Method::POST, "/api/v1/builds", Some(token), body).await;
    assert!(status.is_client_error() || status.is_server_error(), "{answer}");
    status != StatusCode::FORBIDDEN
}

async fn may_release(master: &Master, token: &str, product: &str) -> bool {
    let body = json!({ "product": product, "build": 999 });
    let (status, answer) = master.json(Method::POST, "/api/v1/releases", Some(token), body).await;
    assert!(matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND), "{answer}");
    status == StatusCode::NOT_FOUND
}

#[tokio::test]
async fn a_right_counts_from_the_next_request_on_and_no_longer_when_it_is_taken() {
    let master = Master::open().await;
    let ann = master.person("ann", &[]).await;
    assert!(!may_build(&master, &ann, &["p1"]).await);

    let right = json!({ "account": "ann", "role": "contributor", "on": "platform:p1" });
    let (status, given) = master.post("/api/v1/rights", "admin", right.clone()).await;
    assert_eq!((status, &given["given_by"]), (StatusCode::CREATED, &json!("admin")), "{given}");
    assert!(may_build(&master, &ann, &["p1"]).await);
    assert!(!may_build(&master, &ann, &["p1", "p2"]).await, "a right for each");
    assert!(!may_build(&master, &ann, &[]).await, "for no platform is for the whole");
    assert!(!may_release(&master, &ann, "p1").await);
    let (_, again) = master.post("/api/v1/rights", "admin", right).await;
    assert_eq!(again["id"], given["id"], "it is not given twice");

    let taken = format!("/api/v1/rights/{}", given["id"]);
    assert_eq!(master.json(Method::DELETE, &taken, Some(&master.token("admin")), Value::Null).await.0, StatusCode::OK);
    assert!(!may_build(&master, &ann, &["p1"]).await);
}

#[tokio::test]
async fn a_products_team_builds_for_it_and_releases_into_it_and_into_nothing_else() {
    let master = Master::open().await;
    let (ann, bob) = (master.person("ann", &[]).await, master.person("bob", &[]).await);
    let admin = master.token("admin");
    let (status, _) = master.post("/api/v1/teams", "admin", json!({ "name": "crew", "title": "The crew" })).await;
    assert_eq!(status, StatusCode::CREATED);
    let other = json!({ "name": "other", "title": "O", "repositories": ["Main"], "architectures": ["x86_64"] });
    assert_eq!(master.post("/api/v1/products", "admin", other).await.0, StatusCode::CREATED);
    let mut p1 = master.get("/api/v1/products/p1").await;
    p1["team"] = json!("crew");
    let changed = master.json(Method::PUT, "/api/v1/products/p1", Some(&admin), p1).await;
    assert_eq!(changed.0, StatusCode::OK, "{}", changed.1);

    let (status, team) = master.json(Method::PUT, "/api/v1/teams/crew/members/ann", Some(&admin), Value::Null).await;
    assert_eq!(
        (status, &team["members"], &team["products"]),
        (StatusCode::OK, &json!(["ann"]), &json!(["p1"])),
        "{team}"
    );

    assert!(may_release(&master, &ann, "p1").await && !may_release(&master, &ann, "other").await);
    assert!(may_build(&master, &ann, &["p1"]).await, "platform p1 releases to product p1");
    assert!(!may_release(&master, &bob, "p1").await && !may_build(&master, &bob, &["p1"]).await);
    let (_, who) = get(&master, "/api/v1/tokens/whoami", &ann).await;
    assert_eq!(who["pushes"]["branches"]["may"], json!(["p1"]), "{who}");
    let (_, who) = get(&master, "/api/v1/tokens/whoami", &bob).await;
    assert_eq!(who["pushes"], "none", "{who}");

    let in_use = master.json(Method::DELETE, "/api/v1/teams/crew", Some(&admin), Value::Null).await;
    assert_eq!((in_use.0, &in_use.1["code"]), (StatusCode::CONFLICT, &json!("in_use")));
    master.json(Method::DELETE, "/api/v1/teams/crew/members/ann", Some(&admin), Value::Null).await;
    assert!(!may_release(&master, &ann, "p1").await);
}

#[tokio::test]
async fn a_team_is_given_rights_that_its_members_have() {
    let master = Master::open().await;
    let ann = master.person("ann", &[]).await;
    let admin = master.token("admin");
    master.post("/api/v1/teams", "admin", json!({ "name": "crew" })).await;
    master.json(Method::PUT, "/api/v1/teams/crew/members/ann", Some(&admin), Value::Null).await;
    assert_eq!(get(&master, "/api/v1/audit", &ann).await.0, StatusCode::FORBIDDEN);

    let (status, _) = master.post("/api/v1/rights", "admin", json!({ "team": "crew", "role": "observer" })).await;

    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(get(&master, "/api/v1/audit", &ann).await.0, StatusCode::OK);
    let (_, own) = get(&master, "/api/v1/accounts/ann", &ann).await;
    assert_eq!((&own["teams"], &own["rights"][0]["team"]), (&json!(["crew"]), &json!("crew")), "{own}");
}

#[tokio::test]
async fn a_right_that_would_mean_nothing_is_refused_in_words() {
    let master = Master::open().await;
    master.person("ann", &[]).await;
    for (right, code) in [
        (json!({ "account": "ann", "role": "build-node" }), "bad_role"),
        (json!({ "account": "ann", "role": "person" }), "bad_role"),
        (json!({ "account": "ann", "role": "observer", "on": "product:p1" }), "bad_role"),
        (json!({ "account": "ann", "role": "contributor", "on": "key:1" }), "bad_role"),
        (json!({ "account": "ann", "role": "contributor", "on": "platform:nowhere" }), "not_found"),
        (json!({ "account": "ann", "role": "contributor", "on": "product:nowhere" }), "not_found"),
        (json!({ "account": "eve", "role": "contributor" }), "not_found"),
        (json!({ "team": "none", "role": "contributor" }), "not_found"),
        (json!({ "account": "ann", "team": "crew", "role": "contributor" }), "no_holder"),
        (json!({ "role": "contributor" }), "no_holder"),
        (json!({ "account": "ann", "role": "contributor", "on": "nonsense" }), "bad_body"),
    ] {
        let (status, answer) = master.post("/api/v1/rights", "admin", right.clone()).await;
        assert!(status.is_client_error() && answer["code"] == code, "{right}: {answer}");
    }
}

#[tokio::test]
async fn a_token_may_less_than_its_owner_and_ends() {
    let master = Master::open().await;
    let ann = master.person("ann", &["contributor", "release-manager"]).await;
    let make = async |token: &str, body: Value| master.json(Method::POST, "/api/v1/tokens", Some(token), body).await;
    let secret = |made: &Value| made["secret"].as_str().unwrap().to_string();

    let (status, made) = make(&ann, json!({ "name": "ci", "scopes": { "permissions": ["build"] }, "days": 1 })).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let ci = secret(&made);
    assert!(may_build(&master, &ci, &["p1"]).await && !may_release(&master, &ci, "p1").await);
    assert_eq!(make(&ci, json!({ "name": "child" })).await.1["code"], "out_of_scope", "it may not even make tokens");

    let narrow = json!({ "name": "p", "scopes": { "products": ["p1"] } });
    let of_p1 = secret(&make(&ann, narrow).await.1);
    assert!(may_build(&master, &of_p1, &["p1"]).await && may_release(&master, &of_p1, "p1").await);
    assert!(!may_release(&master, &of_p1, "other").await);
    let (_, child) = make(&of_p1, json!({ "name": "same", "scopes": { "products": ["p1"] } })).await;
    assert_eq!(child["code"], "out_of_scope", "{child}");

    assert_eq!(make(&ann, json!({ "name": "x", "days": 367 })).await.1["code"], "bad_days");
    assert_eq!(make(&ann, json!({ "name": "x", "role": "admin" })).await.0, StatusCode::FORBIDDEN);
    master.pass_secs(86_401);
    let (status, over) = get(&master, "/api/v1/tokens/whoami", &ci).await;
    assert_eq!((status, &over["code"]), (StatusCode::UNAUTHORIZED, &json!("token_expired")));
    assert!(may_build(&master, &of_p1, &["p1"]).await);
}

#[tokio::test]
async fn a_token_that_is_narrowed_changes_nothing_that_lets_its_person_in_but_ends_itself() {
    let master = Master::open().await;
    let ann = master.person("ann", &["contributor"]).await;
    let ask = async |method: Method, path: &str, token: &str, body: Value| {
        let (status, answer) = master.json(method, path, Some(token), body).await;
        (status, answer["code"].as_str().unwrap_or_default().to_string())
    };
    let refused = (StatusCode::FORBIDDEN, "out_of_scope".to_string());
    let tokens = get(&master, "/api/v1/tokens", &ann).await.1;
    let anns = format!("/api/v1/tokens/{}", tokens[0]["id"]);
    let scopes = [
        json!({ "products": ["p1"] }),
        json!({ "platforms": ["p1"] }),
        json!({ "permissions": ["own", "build"] }),
        json!({ "permissions": ["own"], "products": ["p1"] }),
    ];
    for scopes in scopes {
        let wanted = json!({ "name": "ci", "scopes": scopes });
        let made = master.json(Method::POST, "/api/v1/tokens", Some(&ann), wanted).await.1;
        let narrow = made["secret"].as_str().unwrap();

        let password = json!({ "old": PASSWORD, "new": "somebody else's phrase" });
        assert_eq!(ask(Method::PUT, "/api/v1/accounts/ann/password", narrow, password).await, refused, "{scopes}");
        assert_eq!(ask(Method::POST, "/api/v1/tokens", narrow, json!({ "name": "child" })).await, refused, "{scopes}");
        assert_eq!(ask(Method::DELETE, &anns, narrow, Value::Null).await, refused, "{scopes}");
        assert_eq!(ask(Method::DELETE, "/api/v1/sessions/1", narrow, Value::Null).await, refused, "{scopes}");
        assert_eq!(ask(Method::DELETE, "/api/v1/tokens/own", narrow, Value::Null).await.0, StatusCode::OK, "{scopes}");
        assert_eq!(get(&master, "/api/v1/tokens/whoami", narrow).await.0, StatusCode::UNAUTHORIZED, "{scopes}");
    }
    assert_eq!(get(&master, "/api/v1/tokens/whoami", &ann).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_token_made_with_a_token_ends_with_it() {
    let master = Master::open().await;
    let ann = master.person("ann", &[]).await;
    let make = async |token: &str, body: Value| master.json(Method::POST, "/api/v1/tokens", Some(token), body).await.1;
    let short = make(&ann, json!({ "name": "short", "days": 2 })).await;

    let child = make(short["secret"].as_str().unwrap(), json!({ "name": "child", "days": 300 })).await;

    assert_eq!(child["expires_at"], short["expires_at"], "{child}");
}

#[tokio::test]
async fn people_see_and_revoke_their_own_tokens_and_no_others() {
    let master = Master::open().await;
    let (ann, bob) = (master.person("ann", &[]).await, master.person("bob", &[]).await);
    let (_, anns) = get(&master, "/api/v1/tokens", &ann).await;
    assert_eq!(anns.as_array().unwrap().len(), 1, "{anns}");
    assert_eq!(anns[0]["account"], "ann");
    let path = format!("/api/v1/tokens/{}", anns[0]["id"]);

    let by_bob = master.json(Method::DELETE, &path, Some(&bob), Value::Null).await;
    let of_nobody = master.json(Method::DELETE, "/api/v1/tokens/1", Some(&bob), Value::Null).await;
    let missing = master.json(Method::DELETE, "/api/v1/tokens/999", Some(&bob), Value::Null).await;

    assert_eq!([by_bob.0, of_nobody.0, missing.0], [StatusCode::FORBIDDEN; 3], "what is there is not told");
    assert_eq!(get(&master, "/api/v1/tokens/whoami", &ann).await.0, StatusCode::OK);
    assert_eq!(master.json(Method::DELETE, "/api/v1/tokens/own", Some(&ann), Value::Null).await.0, StatusCode::OK);
    assert_eq!(get(&master, "/api/v1/tokens/whoami", &ann).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_disabled_account_can_do_nothing_until_it_is_enabled_again() {
    let master = Master::open().await;
    let ann = master.person("ann", &["contributor"]).await;
    let sign_in = async || {
        let body = json!({ "account": "ann", "password": PASSWORD });
        master.json(Method::POST, "/api/v1/sign-in", None, body).await.0
    };

    assert_eq!(master.post("/api/v1/accounts/ann/disable", "admin", Value::Null).await.1["is_disabled"], true);
    assert_eq!(get(&master, "/api/v1/tokens/whoami", &ann).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(sign_in().await, StatusCode::UNAUTHORIZED);

    assert_eq!(master.post("/api/v1/accounts/ann/enable", "admin", Value::Null).await.1["is_disabled"], false);
    assert_eq!(get(&master, "/api/v1/tokens/whoami", &ann).await.0, StatusCode::OK);
    assert_eq!(sign_in().await, StatusCode::CREATED);
}

#[tokio::test]
async fn people_mind_their_own_password_and_nobody_elses() {
    let master = Master::open().await;
    let (ann, bob) = (master.person("ann", &[]).await, master.person("bob", &[]).await);
    let set = async |token: &str, of: &str, body: Value| {
        master.json(Method::PUT, &format!("/api/v1/accounts/{of}/password"), Some(token), body).await
    };
    let new = json!({ "old": PASSWORD, "new": "another good phrase" });

    assert_eq!(set(&bob, "ann", new.clone()).await.0, StatusCode::FORBIDDEN);
    assert_eq!(set(&ann, "ann", json!({ "new": "another good phrase" })).await.1["code"], "wrong_password");
    assert_eq!(set(&ann, "ann", json!({ "old": PASSWORD, "new": "short" })).await.1["code"], "bad_password");
    assert_eq!(set(&ann, "ann", new).await.0, StatusCode::OK);
    let old = json!({ "account": "ann", "password": PASSWORD });
    assert_eq!(master.json(Method::POST, "/api/v1/sign-in", None, old).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(set(&master.token("admin"), "bob", json!({ "new": "given by an admin" })).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_name_is_of_one_person_and_of_no_part_of_the_system() {
    let master = Master::open().await;
    let make = async |name: &str| master.post("/api/v1/accounts", "admin", json!({ "name": name })).await;
    assert_eq!(make("ann").await.0, StatusCode::CREATED);
    for bad in ["admin", "build-node", "anima", "Ann", "a/b", "../x", ""] {
        assert_eq!(make(bad).await.1["code"], "bad_name", "{bad}");
    }
    assert_eq!(make("ann").await.1["code"], "taken");
    let token = json!({ "name": "ann", "role": "contributor" });
    assert_eq!(master.post("/api/v1/tokens", "admin", token).await.1["code"], "bad_name");
    master.post("/api/v1/tokens", "admin", json!({ "name": "robot", "role": "contributor" })).await;
    assert_eq!(make("robot").await.1["code"], "taken");
}

#[tokio::test]
async fn the_audit_says_who_changed_what_through_what_from_where() {
    let master = Master::open().await;
    let ann = master.person("ann", &["manager"]).await;
    let (_, anns) = get(&master, "/api/v1/tokens", &ann).await;
    let via = format!("token:{}", anns[0]["id"]);
    let wrong = json!({ "account": "ann", "password": "a wrong password" });
    master.json(Method::POST, "/api/v1/sign-in", None, wrong).await;
    let (status, _) = master.json(Method::POST, "/api/v1/tokens", Some(&ann), json!({ "name": "ci" })).await;
    assert_eq!(status, StatusCode::CREATED);

    let (status, entries) = get(&master, "/api/v1/audit?limit=2", &ann).await;

    assert_eq!(status, StatusCode::OK);
    let (newest, before) = (&entries[0], &entries[1]);
    assert_eq!(
        (&newest["actor"], &newest["via"], &newest["request"], &newest["noun"]),
        (&json!("ann"), &json!(via), &json!("POST /api/v1/tokens"), &json!("token")),
        "{entries}"
    );
    assert!(before["message"].as_str().unwrap().contains("the password is wrong"), "{before}");
    let (_, by_admin) = get(&master, "/api/v1/audit?who=admin&noun=right", &ann).await;
    assert!(by_admin[0]["message"].as_str().unwrap().contains("ann is manager everywhere now"), "{by_admin}");
    let (_, older) = get(&master, &format!("/api/v1/audit?limit=1&before={}", before["id"]), &ann).await;
    assert!(older[0]["id"].as_i64() < before["id"].as_i64(), "{older}");

    let public = master.get("/api/v1/events/list?limit=1000").await.to_string();
    for private in ["ann is manager", "password", "Token"] {
        assert!(!public.contains(private), "{private} is in the public list of events");
    }
}

#[tokio::test]
async fn every_change_leaves_an_entry_even_where_no_event_tells_of_it() {
    let master = Master::open().await;
    let admin = master.token("admin");
    let settings = master.get("/api/v1/repositories/1/settings").await;
    let newest = async || get(&master, "/api/v1/audit?limit=1", &admin).await.1[0].clone();
    let before = newest().await;

    let (status, _) = master.json(Method::PUT, "/api/v1/repositories/1/settings", Some(&admin), settings).await;

    assert_eq!(status, StatusCode::OK);
    let after = newest().await;
    assert!(after["id"].as_i64() > before["id"].as_i64(), "{after}");
    assert_eq!(after["request"], "PUT /api/v1/repositories/1/settings");
}
