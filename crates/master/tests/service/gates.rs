//! The gates of a release: what a plan's findings ask of who decides, and that nobody gets around them.

use std::collections::BTreeMap;

use anima_db::build::NewBuild;
use anima_types::{
    Arch,
    gate::{Answer, Finding, Gate, Level},
    id::ReleaseId,
    release::Event,
};
use axum::{
    body::Body,
    http::{Method, StatusCode},
};
use serde_json::{Value, json};

use crate::master::Master;

/// Writes a planned release of product `p1`, whose plan has a finding of this level.
pub async fn planned(master: &Master, level: Level) -> ReleaseId {
    let mut write = master.app.db.write(master.app.now(), "test").await.unwrap();
    let new = NewBuild {
        owner: "ann".into(),
        reason: "pushed".into(),
        platforms: vec!["p1".into()],
        architectures: vec![Arch::X86_64],
        priority: Default::default(),
        summary: "Succeeded.".into(),
        gather: None,
    };
    let build = anima_db::build::insert(&mut write, &new).await.unwrap();
    let id = anima_db::release::insert(&mut write, "p1", build, "It is being planned.").await.unwrap();
    let text = "jq-1.6-1.x86_64 would replace jq-1.7-1.x86_64 in BaseOS/x86_64".to_string();
    let answers = [Answer::new(Gate::Downgrade, level, vec![Finding { text, ..Finding::default() }])];
    let all = anima_db::repository::list(&mut write, Some("p1")).await.unwrap();
    let base: BTreeMap<_, _> = all.into_iter().map(|repository| (repository.id, repository.current)).collect();
    anima_db::release::set_plan(&mut write, id, &[], &answers, &base).await.unwrap();
    let row = anima_db::release::get(&mut write, id).await.unwrap();
    anima_db::release::apply(&mut write, &row, Event::PlanMade, "Planned.").await.unwrap();
    write.commit().await.unwrap();
    id
}

/// Decides, and returns the answer's status with its code, or with the release's status.
async fn say(master: &Master, release: ReleaseId, verb: &str, role: &str, body: Value) -> (StatusCode, String) {
    let (status, answer) = master.post(&format!("/api/v1/releases/{release}/{verb}"), role, body).await;
    let word = if status.is_success() { &answer["status"] } else { &answer["code"] };
    (status, word.as_str().unwrap_or_default().to_string())
}

fn ok(word: &str) -> (StatusCode, String) {
    (StatusCode::OK, word.to_string())
}

fn refused(status: StatusCode, code: &str) -> (StatusCode, String) {
    (status, code.to_string())
}

#[tokio::test]
async fn a_gate_that_asks_wants_a_reason_which_stays_with_the_release_and_its_events() {
    let master = Master::open().await;
    let release = planned(&master, Level::Ask).await;

    for body in [json!({}), json!({ "reason": " \n" })] {
        let answer = say(&master, release, "commit", "admin", body).await;
        assert_eq!(answer, refused(StatusCode::CONFLICT, "gate_asks"));
    }
    let answer = say(&master, release, "commit", "admin", json!({ "reason": "1.7 eats files" })).await;

    assert_eq!(answer, ok("publishing"));
    let shown = master.get(&format!("/api/v1/releases/{release}")).await;
    assert_eq!(shown["reason"], "1.7 eats files");
    assert_eq!(shown["gates"][0]["level"], "ask");
    let summary = shown["summary"].as_str().unwrap();
    assert!(summary.contains("decided (1.7 eats files)"), "{summary}");
    let mut read = master.app.db.read().await.unwrap();
    let events = anima_db::event::list(&mut read, anima_types::id::EventId(0), None, 100).await.unwrap();
    assert!(events.iter().any(|event| event.message == summary), "{events:?}");
}

#[tokio::test]
async fn a_gate_that_blocks_is_only_forced_and_only_by_who_configures_products() {
    let master = Master::open().await;
    let release = planned(&master, Level::Block).await;
    let why = json!({ "reason": "the mirror burns" });

    let answer = say(&master, release, "commit", "admin", why.clone()).await;
    assert_eq!(answer, refused(StatusCode::CONFLICT, "gate_blocks"));
    let answer = say(&master, release, "force", "release-system", why.clone()).await;
    assert_eq!(answer.0, StatusCode::FORBIDDEN);
    let answer = say(&master, release, "force", "admin", json!({})).await;
    assert_eq!(answer, refused(StatusCode::UNPROCESSABLE_ENTITY, "no_reason"));

    assert_eq!(say(&master, release, "force", "admin", why).await, ok("publishing"));
    let shown = master.get(&format!("/api/v1/releases/{release}")).await;
    assert!(shown["summary"].as_str().unwrap().contains("forced it (the mirror burns)"), "{shown}");
}

#[tokio::test]
async fn a_gate_that_tells_holds_nobody_up_and_a_decision_may_have_no_body() {
    let master = Master::open().await;
    let release = planned(&master, Level::Tell).await;

    let path = format!("/api/v1/releases/{release}/commit");
    let (status, _) = master.send(Method::POST, &path, Some(&master.token("admin")), Body::empty()).await;

    assert_eq!(status, StatusCode::OK);
    assert_eq!(master.get(&format!("/api/v1/releases/{release}")).await["status"], "publishing");
}

#[tokio::test]
async fn a_product_that_releases_by_itself_waits_where_a_gate_wants_a_person() {
    let master = Master::open().await;

    for (level, wanted) in [(Level::Tell, "publishing"), (Level::Ask, "planned"), (Level::Block, "planned")] {
        let release = planned(&master, level).await;
        anima_master::release::advance::advance_once(&master.app, release).await.unwrap();
        let shown = master.get(&format!("/api/v1/releases/{release}")).await;
        assert_eq!(shown["status"], wanted, "{level:?}");
    }
}

#[tokio::test]
async fn a_plan_over_what_users_no_longer_see_is_made_anew_whatever_was_said() {
    let master = Master::open().await;
    let release = planned(&master, Level::Block).await;
    let mut write = master.app.db.write(master.app.now(), "test").await.unwrap();
    let row = anima_db::release::get(&mut write, release).await.unwrap();
    let stale = row.base.keys().map(|&repository| (repository, 5)).collect();
    anima_db::release::set_plan(&mut write, release, &row.plan, &row.gates, &stale).await.unwrap();
    write.commit().await.unwrap();

    assert_eq!(say(&master, release, "force", "admin", json!({ "reason": "now" })).await, ok("planning"));

    let shown = master.get(&format!("/api/v1/releases/{release}")).await;
    assert_eq!((&shown["gates"], &shown["reason"]), (&json!([]), &Value::Null));
}

#[tokio::test]
async fn a_product_says_how_strict_its_gates_are_and_unknown_words_are_refused() {
    let master = Master::open().await;
    let product = |gates: Value| json!({ "name": "q1", "title": "Q", "repositories": ["main"], "architectures": ["x86_64"], "gates": gates });

    for bad in [json!({ "moon-phase": "block" }), json!({ "downgrade": "panic" })] {
        let (status, answer) = master.post("/api/v1/products", "admin", product(bad)).await;
        assert_eq!((status, &answer["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("bad_body")), "{answer}");
    }
    let (status, _) = master.post("/api/v1/products", "admin", product(json!({ "downgrade": "block" }))).await;

    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(master.get("/api/v1/products/q1").await["gates"], json!({ "downgrade": "block" }));
}
