//! Keys: made, rotated, expired, revoked, and what each may sign. The Sign Server is played by the test, with real keys.

use anima_rpm_file::{NewKey, PublicKey, Revocation, SigningKey};
use anima_types::{
    lease::End,
    task::Kind,
    work::{Outcome, SignOutcome, Signature},
};
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::master::Master;

const DAY_SECS: i64 = 86_400;

pub fn key(user_id: &str, valid_days: Option<i64>) -> SigningKey {
    let wanted = NewKey {
        algorithm: anima_rpm_file::Algorithm::Ed25519,
        user_id,
        created_at_secs: 1_700_000_000,
        valid_secs: valid_days.map(|days| (days * DAY_SECS) as u32),
    };
    SigningKey::generate(&wanted).unwrap()
}

async fn claim(master: &Master) -> Value {
    master.claim("sign-server", &[Kind::Sign]).await.expect("there is a sign task")
}

async fn report(master: &Master, lease: &Value, outcome: SignOutcome) -> (StatusCode, Value) {
    let end = serde_json::to_value(End::Succeeded(Outcome::Sign(outcome))).unwrap();
    master.report(lease, end).await
}

fn made(key: &SigningKey) -> SignOutcome {
    SignOutcome::Key { fingerprint: key.fingerprint(), public_key: key.to_armoured_public().unwrap(), file_key: None }
}

/// Makes the key that the product of the platform asked for when the service was opened.
pub async fn make(master: &Master, key: &SigningKey) {
    let lease = claim(master).await;
    assert!(lease["work"]["sign"]["create_key"].is_object(), "{lease}");
    assert_eq!(report(master, &lease, made(key)).await.0, StatusCode::OK);
}

async fn text(master: &Master, path: &str) -> (StatusCode, String) {
    let (status, _, bytes) = master.fetch(path, &[]).await;
    (status, String::from_utf8(bytes).unwrap())
}

async fn events(master: &Master) -> Vec<String> {
    let events = master.get("/api/v1/events/list?limit=500").await;
    events.as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap().to_string()).collect()
}

#[tokio::test]
async fn a_rotated_key_stays_to_verify_and_the_new_one_signs() {
    let master = Master::open().await;
    let (old, new) = (key("Old <o@example.org>", None), key("New <n@example.org>", None));
    make(&master, &old).await;

    let (status, asked) =
        master.post("/api/v1/products/p1/key", "admin", json!({ "user_id": "New <n@example.org>" })).await;
    assert_eq!((status, &asked["name"], &asked["status"]), (StatusCode::CREATED, &json!("p1-key2"), &json!("asked")));
    let (status, again) = master.post("/api/v1/products/p1/key", "admin", json!({})).await;
    assert_eq!((status, again["code"].as_str()), (StatusCode::CONFLICT, Some("rotates_already")));
    let (_, before) = text(&master, "/repos/p1/RPM-GPG-KEY").await;
    make(&master, &new).await;
    let (_, after) = text(&master, "/repos/p1/RPM-GPG-KEY").await;

    let (old_public, new_public) = (old.to_armoured_public().unwrap(), new.to_armoured_public().unwrap());
    assert_eq!(before, old_public);
    assert_eq!(after, format!("{new_public}{old_public}"));
    assert_eq!(master.get("/api/v1/keys/1").await["status"], "retired");
    assert_eq!(master.get("/api/v1/keys/1").await["former_products"], json!(["p1"]));
    assert_eq!(master.get("/api/v1/keys/2").await["products"], json!(["p1"]));
    assert_eq!(master.get("/api/v1/products/p1").await["key"], 2);
    let events = events(&master).await;
    assert!(events.iter().any(|event| event == "Key p1 is retired: what it signed stays good."), "{events:#?}");
}

#[tokio::test]
async fn a_revoked_key_signs_nothing_and_users_can_take_the_revocation() {
    let master = Master::open().await;
    let old = key("Old <o@example.org>", None);
    make(&master, &old).await;
    let (_, file) = sign_file(&master, "admin").await;

    let body = json!({ "why": "compromised", "reason": "the disk was stolen" });
    let (status, revoked) = master.post("/api/v1/keys/1/revoke", "admin", body).await;
    assert_eq!((status, &revoked["status"]), (StatusCode::OK, &json!("revoked")));
    assert_eq!(master.get(&format!("/api/v1/tasks/{}", file["id"])).await["status"], "cancelled");
    let lease = claim(&master).await;
    assert_eq!(lease["work"]["sign"]["revoke"]["why"], "compromised");
    assert_eq!(lease["work"]["sign"]["revoke"]["reason"], "the disk was stolen");
    let foreign = key("Other <x@example.org>", None).revoke(Revocation::Unsaid, "", 1_700_000_001).unwrap();
    let (status, _) =
        report(&master, &lease, SignOutcome::Revoked { public_key: foreign.to_armoured().unwrap() }).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let by_itself = old.revoke(Revocation::Compromised, "the disk was stolen", 1_700_000_001).unwrap();
    let (status, _) =
        report(&master, &lease, SignOutcome::Revoked { public_key: by_itself.to_armoured().unwrap() }).await;
    assert_eq!(status, StatusCode::OK);

    assert_eq!(text(&master, "/repos/p1/RPM-GPG-KEY").await.0, StatusCode::NOT_FOUND);
    let (_, published) = text(&master, "/repos/p1/RPM-GPG-KEY-revoked").await;
    assert!(PublicKey::from_armoured(&published).unwrap().is_revoked());
    let (_, task) = sign_file(&master, "admin").await;
    assert_eq!(task["status"], "blocked");
    assert!(task["why"].as_str().unwrap().contains("key p1 is revoked"), "{task}");
    let (status, twice) = master.post("/api/v1/keys/1/revoke", "admin", json!({})).await;
    assert_eq!((status, twice["code"].as_str()), (StatusCode::CONFLICT, Some("wrong_status")));
}

#[tokio::test]
async fn a_key_that_is_lost_is_revoked_with_what_was_made_before() {
    let master = Master::open().await;
    let old = key("Old <o@example.org>", None);
    make(&master, &old).await;
    let certificate = |key: &SigningKey| {
        let revoked = key.revoke(Revocation::Unsaid, "", 1_700_000_001).unwrap();
        json!({ "why": "retired", "certificate": revoked.to_armoured().unwrap() })
    };

    let foreign = certificate(&key("Other <x@example.org>", None));
    let (status, refused) = master.post("/api/v1/keys/1/revoke", "admin", foreign).await;
    assert_eq!((status, refused["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("bad_revocation")));
    assert_eq!(master.get("/api/v1/keys/1").await["status"], "active");
    let (status, revoked) = master.post("/api/v1/keys/1/revoke", "admin", certificate(&old)).await;

    assert_eq!(status, StatusCode::OK);
    assert!(PublicKey::from_armoured(revoked["public_key"].as_str().unwrap()).unwrap().is_revoked());
    assert!(master.claim("sign-server", &[Kind::Sign]).await.is_none(), "nobody has to make a revocation");
}

#[tokio::test]
async fn people_are_told_before_a_key_expires_and_then_it_signs_nothing() {
    let master = Master::open().await;
    make(&master, &key("Old <o@example.org>", Some(100))).await;
    let look = async || anima_master::chores::expire_keys_once(&master.app, master.app.now()).await.unwrap();

    assert!(!look().await);
    master.pass_secs(11 * DAY_SECS);
    assert!(look().await && !look().await, "each is told once");
    master.pass_secs(86 * DAY_SECS);
    assert!(look().await);
    let warned: Vec<String> = events(&master).await.into_iter().filter(|event| event.contains("expires in")).collect();
    assert!(warned[0].contains("in 89 days") && warned[1].contains("in 3 days"), "{warned:?}");
    assert_eq!(master.get("/api/v1/keys/1").await["status"], "active");

    master.pass_secs(3 * DAY_SECS);
    let (_, task) = sign_file(&master, "admin").await;
    assert!(task["why"].as_str().unwrap().contains("key p1 is expired"), "nobody has looked yet: {task}");
    assert!(look().await && !look().await);
    assert_eq!(master.get("/api/v1/keys/1").await["status"], "expired");
    assert!(text(&master, "/repos/p1/RPM-GPG-KEY").await.1.contains("BEGIN PGP PUBLIC KEY"), "it still verifies");
    let (status, _) = master.post("/api/v1/products/p1/key", "admin", json!({})).await;
    assert_eq!(status, StatusCode::CREATED);
}

async fn sign_file(master: &Master, role: &str) -> (StatusCode, Value) {
    let body = json!({ "name": "CHECKSUM", "kind": "checksum", "form": "detached", "text": "SHA256 (a) = 00\n" });
    let token = master.token("admin");
    let token = if role == "admin" { token } else { person(master, role).await };
    master.json(Method::POST, "/api/v1/products/p1/signed-files", Some(&token), body).await
}

/// Returns the token of a person who signs.
async fn person(master: &Master, name: &str) -> String {
    let body = json!({ "name": name, "role": "signer" });
    let (status, made) = master.post("/api/v1/tokens", "admin", body).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    made["secret"].as_str().unwrap().to_string()
}

#[tokio::test]
async fn a_file_is_signed_when_enough_others_approved_and_the_signature_is_verified_and_remembered() {
    let master = Master::open().await;
    let ours = key("Old <o@example.org>", None);
    make(&master, &ours).await;
    let policy = json!({ "kinds": ["checksum"], "requires": { "approvals": 1 } });
    let path = "/api/v1/keys/1/policy";
    assert_eq!(master.json(Method::PUT, path, Some(&master.token("admin")), policy).await.0, StatusCode::OK);

    let (status, task) = sign_file(&master, "admin").await;
    assert_eq!((status, &task["status"]), (StatusCode::CREATED, &json!("waiting")), "{task}");
    assert!(task["why"].as_str().unwrap().contains("1 more approval"), "{task}");
    let because = master.get(&format!("/api/v1/tasks/{}/why", task["id"])).await;
    assert!(because["facts"].to_string().contains("0 of 1 approvals are there"), "{because}");
    assert!(because["hint"].as_str().unwrap().contains("anima key approve"), "{because}");
    let approve = format!("/api/v1/tasks/{}/approve", task["id"]);
    let (status, own) = master.post(&approve, "admin", json!({})).await;
    assert_eq!((status, own["code"].as_str()), (StatusCode::CONFLICT, Some("own_work")));
    assert!(master.claim("sign-server", &[Kind::Sign]).await.is_none());
    let eve = person(&master, "eve").await;
    let (status, approved) =
        master.json(Method::POST, &approve, Some(&eve), json!({ "reason": "I compared it" })).await;
    assert_eq!((status, &approved["status"]), (StatusCode::OK, &json!("ready")));

    let lease = claim(&master).await;
    let item = &lease["work"]["sign"]["signatures"]["items"][0];
    assert_eq!((&item["account"]["name"], &item["account"]["approved_by"]), (&json!("CHECKSUM"), &json!(["eve"])));
    let artifact = item["artifact"].as_str().unwrap().parse().unwrap();
    let signed = |key: &SigningKey| {
        let signature = key.sign_armoured(b"SHA256 (a) = 00\n", 1_700_000_001).unwrap();
        let form = anima_types::signature::Form::Detached;
        SignOutcome::Signatures(vec![Signature { artifact, form, signature }])
    };
    let (status, forged) = report(&master, &lease, signed(&key("Other <x@example.org>", None))).await;
    assert_eq!((status, forged["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("bad_signature")));
    let (status, none) = report(&master, &lease, SignOutcome::Signatures(vec![])).await;
    assert_eq!((status, none["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("missing_signature")));
    assert_eq!(report(&master, &lease, signed(&ours)).await.0, StatusCode::OK);

    let task = master.get(&format!("/api/v1/tasks/{}", task["id"])).await;
    let file = task["artifacts"].as_array().unwrap().iter().find(|file| file["kind"] == "signature").unwrap();
    assert_eq!(file["name"], "CHECKSUM.asc");
    let (_, published) = text(&master, &format!("/api/v1/artifacts/{}", file["sha256"].as_str().unwrap())).await;
    ours.public_key().verify_armoured(b"SHA256 (a) = 00\n", &published).unwrap();
    let records = master.get("/api/v1/keys/1/signatures").await;
    assert_eq!((&records[0]["name"], &records[0]["form"]), (&json!("CHECKSUM"), &json!("detached")));
    assert_eq!(master.get("/api/v1/keys/1/signatures?after=1").await, json!([]));
}

#[tokio::test]
async fn what_a_keys_policy_does_not_name_is_refused_with_the_reason() {
    let master = Master::open().await;
    make(&master, &key("Old <o@example.org>", None)).await;
    let policy = json!({ "kinds": ["rpm", "repomd"] });
    let path = "/api/v1/keys/1/policy";
    assert_eq!(master.json(Method::PUT, path, Some(&master.token("admin")), policy).await.0, StatusCode::OK);

    let (_, task) = sign_file(&master, "admin").await;

    assert_eq!(task["status"], "blocked");
    assert!(task["why"].as_str().unwrap().contains("the key's policy is for rpm, repomd"), "{task}");
    for bad in [json!({ "kind": ["rpm"] }), json!({ "requires": { "approvals": 99 } })] {
        let (status, _) = master.json(Method::PUT, path, Some(&master.token("admin")), bad).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let (status, _) = master.json(Method::PUT, path, Some(&person(&master, "eve").await), json!({})).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_adopted_key_has_to_be_the_one_that_was_named() {
    let master = Master::open().await;
    make(&master, &key("Old <o@example.org>", None)).await;
    let (imported, other) = (key("Old <i@example.org>", None), key("Other <x@example.org>", None));
    let body = json!({ "name": "imported", "algorithm": "ed25519", "user_id": "I <i@example.org>", "adopt": imported.fingerprint() });

    assert_eq!(master.post("/api/v1/keys", "admin", body).await.0, StatusCode::CREATED);
    let lease = claim(&master).await;
    let (status, refused) = report(&master, &lease, made(&other)).await;
    assert_eq!((status, refused["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("bad_key")));
    assert_eq!(report(&master, &lease, made(&imported)).await.0, StatusCode::OK);

    assert_eq!(master.get("/api/v1/keys/2").await["status"], "active");
}

#[tokio::test]
async fn a_key_that_makes_no_sense_is_refused_at_the_door() {
    let master = Master::open().await;
    let with = |more: Value| {
        let mut body = json!({ "name": "k", "algorithm": "ed25519", "user_id": "K <k@example.org>" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let cases = [
        (json!({ "name": "Upper" }), "bad_name"),
        (json!({ "name": "a.files" }), "bad_name"),
        (json!({ "user_id": " " }), "bad_user_id"),
        (json!({ "valid_secs": 60 }), "bad_validity"),
        (json!({ "signs_payload": true }), "bad_options"),
        (json!({ "adopt": "12" }), "bad_fingerprint"),
    ];

    for (more, code) in cases {
        let (status, answer) = master.post("/api/v1/keys", "admin", with(more)).await;
        assert_eq!((status, answer["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some(code)), "{answer}");
    }
}
