//! What goes by its age where a rule says so, and stays where none does.

use std::fs;

use anima_db::{artifact, build, task::About};
use anima_master::StoreAddress;
use anima_types::{
    Sha256,
    artifact::Kind as ArtifactKind,
    build::{Event, Status},
    id::{BuildId, TaskId},
    retention::{Collection, Rules},
    task::Kind,
    task_log::{LogId, LogName},
};
use axum::{
    body::Body,
    http::{Method, StatusCode},
};
use serde_json::json;

use crate::master::Master;

const DAY_SECS: i64 = 86_400;

async fn collect(master: &Master, is_dry_run: bool) -> Collection {
    anima_master::garbage::collect_once(&master.app, master.app.now(), "anima", is_dry_run).await.unwrap()
}

/// Lets a task fail that has a log; returns the log's address.
async fn failed_with_log(master: &Master) -> String {
    failed_with_log_of(master, "a").await
}

/// The same for a package.
async fn failed_with_log_of(master: &Master, package: &str) -> String {
    let push = json!({ "package": package, "branch": "p1", "commit": "c", "subject": "s", "pusher": "ann" });
    master.post("/api/v1/pushes", "git-service", push).await;
    while anima_master::chores::advance_once(&master.app).await.unwrap() {}
    let lease = master.claim("build-node", &[Kind::Src]).await.unwrap();
    let log = format!("/api/v1/tasks/{}/log", lease["task"]);
    let piece = Body::from("make: *** no rule");
    let (status, _) = master.send(Method::PUT, &format!("{log}?offset=0"), lease["secret"].as_str(), piece).await;
    assert_eq!(status, StatusCode::OK);
    let end = json!({ "failed": { "code": "x", "message": "it went wrong" } });
    assert_eq!(master.report(&lease, end).await.0, StatusCode::OK);
    while anima_master::chores::advance_once(&master.app).await.unwrap() {}
    log
}

async fn text(master: &Master, log: &str) -> String {
    String::from_utf8(master.send(Method::GET, log, None, Body::empty()).await.1).unwrap()
}

/// Writes a build that ended well with a package that nobody released.
async fn unreleased(master: &Master) -> BuildId {
    let mut write = master.app.db.write(master.app.now(), "ann").await.unwrap();
    let new = build::NewBuild {
        owner: "ann".into(),
        reason: "asked for".into(),
        platforms: vec!["p1".into()],
        architectures: Vec::new(),
        priority: Default::default(),
        summary: "Waits.".into(),
        gather: None,
    };
    let id = build::insert(&mut write, &new).await.unwrap();
    let task = About { build: Some(id), package: Some("a".into()), ..About::new(Kind::Build) };
    let task = anima_db::task::insert(&mut write, &task, "Waits.").await.unwrap();
    artifact::insert(&mut write, Sha256([7; 32]), 9).await.unwrap();
    artifact::link(&mut write, task, Sha256([7; 32]), ArtifactKind::Rpm, "a-1-1.noarch.rpm").await.unwrap();
    for event in [Event::SourcesMade, Event::Built, Event::Tested, Event::Signed] {
        let row = build::get(&mut write, id).await.unwrap();
        build::apply(&mut write, &row, event, "It went well.").await.unwrap();
    }
    assert_eq!(build::get(&mut write, id).await.unwrap().status, Status::Succeeded);
    write.commit().await.unwrap();
    id
}

#[tokio::test]
async fn without_a_rule_nothing_goes_by_its_age_but_the_logs_of_what_somebody_deleted() {
    let master = Master::open().await;
    let log = failed_with_log(&master).await;
    unreleased(&master).await;
    master.pass_secs(4_000 * DAY_SECS);

    let kept = collect(&master, false).await;
    assert_eq!((kept.build_count, kept.log_count, kept.event_count), (0, 0, 0));
    assert_eq!(text(&master, &log).await, "make: *** no rule");
    anima_master::chores::close_gathered_once(&master.app, master.app.now()).await.unwrap();
    while anima_master::chores::advance_once(&master.app).await.unwrap() {}
    let (status, answer) =
        master.json(Method::DELETE, "/api/v1/builds/1", Some(&master.token("admin")), json!({})).await;
    assert_eq!(status, StatusCode::OK, "{answer}");

    assert_eq!(collect(&master, true).await.log_count, 1);
    assert_eq!(text(&master, &log).await, "make: *** no rule", "a dry run changes nothing");
    assert_eq!(collect(&master, false).await.log_count, 1);
    assert_eq!(text(&master, &log).await, "");
    assert_eq!(collect(&master, false).await.log_count, 0, "twice is once");
}

#[tokio::test]
async fn what_is_older_than_its_rule_says_goes_and_the_newest_event_stays() {
    let rules = Rules { logs_days: Some(60), unreleased_build_days: Some(50), audit_days: Some(40) };
    let master = Master::open_with_rules(rules).await;
    let log = failed_with_log(&master).await;
    let build = unreleased(&master).await;
    master.pass_secs(30 * DAY_SECS);
    let young = collect(&master, false).await;
    assert_eq!((young.build_count, young.log_count, young.event_count), (0, 0, 0));

    master.pass_secs(31 * DAY_SECS);
    let dry = collect(&master, true).await;
    let done = collect(&master, false).await;

    assert_eq!((dry.build_count, dry.log_count), (1, 1));
    assert_eq!(dry.artifacts, done.artifacts);
    assert_eq!((done.build_count, done.log_count, done.rules), (1, 1, rules));
    assert!(dry.event_count > 0 && done.event_count >= dry.event_count, "{dry:?} {done:?}");
    assert_eq!(text(&master, &log).await, "");
    let view = master.get(&format!("/api/v1/builds/{build}")).await;
    assert!(view["summary"].as_str().unwrap().contains("no release carries it"), "{view}");
    assert!(done.artifacts.iter().any(|artifact| artifact.sha256 == Sha256([7; 32])), "{done:?}");
    let events = master.get("/api/v1/events/list?limit=1000").await;
    let first = events[0]["id"].as_i64().unwrap();
    assert!(first > 1 && events.to_string().contains("were dropped"), "{events}");
}

#[tokio::test]
async fn a_log_that_cannot_be_removed_keeps_neither_the_others_nor_events_from_going() {
    let rules = Rules { logs_days: Some(60), audit_days: Some(40), ..Rules::default() };
    let master = Master::open_with_rules(rules).await;
    let StoreAddress::Folder(artifacts) = master.app.config.artifacts.clone() else {
        // In a bucket nothing is put in the way of a log so easily.
        return;
    };
    let first = failed_with_log_of(&master, "a").await;
    let task = TaskId(first.split('/').nth(4).unwrap().parse().unwrap());
    let in_the_way = artifacts.join("logs").join(LogId::new(task, LogName::ALL[0]).to_string());
    fs::create_dir(&in_the_way).unwrap();
    // Another build than the one that gathers pushes.
    master.pass_secs(DAY_SECS);
    let second = failed_with_log_of(&master, "b").await;
    master.pass_secs(61 * DAY_SECS);

    let done = collect(&master, false).await;
    assert_eq!(done.log_count, 1);
    assert!(done.event_count > 0, "{done:?}");
    assert_eq!(text(&master, &second).await, "");
    fs::remove_dir(in_the_way).unwrap();

    assert_eq!(collect(&master, false).await.log_count, 1, "what stayed goes when it can");
}

/// Returns lines of a platform's file: a repository of each of these builds.
fn upon(builds: std::ops::RangeInclusive<i64>) -> String {
    let one = |id| format!("{{ name = \"build-{id}\", url = \"{{master}}/builds/{id}/repo/p1/{{arch}}/\" }}");
    format!("repositories = [{}]\n", builds.map(one).collect::<Vec<_>>().join(", "))
}

#[tokio::test]
async fn a_build_that_a_flavor_or_a_single_package_is_built_upon_stays() {
    let rules = Rules { unreleased_build_days: Some(50), ..Rules::default() };
    let lines = format!(
        "[packages.jq]\n{}[flavors.beta]\n{}[flavors.beta.packages.jq]\n{}",
        upon(1..=1),
        upon(2..=2),
        upon(3..=3)
    );
    let master = Master::open_with_rules_and_lines(rules, &lines).await;
    for _ in 1..=3 {
        unreleased(&master).await;
    }
    let free = unreleased(&master).await;
    master.pass_secs(60 * DAY_SECS);

    assert_eq!(collect(&master, false).await.build_count, 1);

    let mut read = master.app.db.read().await.unwrap();
    assert!(build::get(&mut read, free).await.unwrap().deleted_at.is_some());
}

#[tokio::test]
async fn builds_that_stay_do_not_hide_those_after_them_that_go() {
    let rules = Rules { unreleased_build_days: Some(50), ..Rules::default() };
    let master = Master::open_with_rules_and_lines(rules, &format!("[flavors.beta]\n{}", upon(1..=21))).await;
    for _ in 1..=22 {
        unreleased(&master).await;
    }
    master.pass_secs(60 * DAY_SECS);

    assert_eq!(collect(&master, false).await.build_count, 1, "more stay than one pass deletes");
}

#[test]
fn events_stay_for_as_long_as_their_readers_may_be_away() {
    assert!(Rules { audit_days: Some(7), ..Rules::default() }.check().is_err());
    for rules in [
        Rules { logs_days: Some(0), ..Rules::default() },
        Rules { unreleased_build_days: Some(0), ..Rules::default() },
        Rules { audit_days: Some(0), ..Rules::default() },
    ] {
        assert!(rules.check().unwrap_err().contains("leave the line out"), "{rules:?}");
    }
    assert!(Rules { audit_days: Some(30), logs_days: Some(1), ..Rules::default() }.check().is_ok());
}
