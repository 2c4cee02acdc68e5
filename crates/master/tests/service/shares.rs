//! Who is served when: teams beside one another, and the people of a team within its share.

use std::collections::BTreeMap;

use anima_master::Quota;
use anima_types::{
    account::CreateTeam,
    id::BuildId,
    task::{Event, Kind},
};
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    master::Master,
    rebuild::{build_all, built_before, end},
};

/// Makes an account in a team, and returns a token of it.
async fn member(master: &Master, name: &str, team: &str) -> String {
    let token = master.person(name, &["contributor"]).await;
    let mut write = master.app.db.write(master.app.now(), "admin").await.unwrap();
    if anima_db::team::title(&mut write, team).await.is_err() {
        let team = CreateTeam { name: team.to_string(), title: String::new() };
        anima_db::team::insert(&mut write, &team).await.unwrap();
    }
    let account = anima_db::account::get(&mut write, name).await.unwrap();
    anima_db::team::add(&mut write, team, account.id, name).await.unwrap();
    write.commit().await.unwrap();
    token
}

/// Asks for a build of all six packages.
async fn ask_for_all(master: &Master, token: &str, priority: &str) -> BuildId {
    let wanted = json!({ "platform": "p1", "priority": priority });
    let (status, answer) = master.json(Method::POST, "/api/v1/rebuilds", Some(token), wanted).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    serde_json::from_value(answer["build"]["id"].clone()).unwrap()
}

/// Takes a task, and returns whose it is.
async fn serve_next(master: &Master) -> Option<String> {
    let lease = master.claim("build-node", &[Kind::Src]).await?;
    let build: BuildId = serde_json::from_value(lease["work"]["src"]["build"].clone()).unwrap();
    let mut read = master.app.db.read().await.unwrap();
    Some(anima_db::build::get(&mut read, build).await.unwrap().owner)
}

async fn counts(master: &Master, id: BuildId) -> BTreeMap<&'static str, usize> {
    let tasks = anima_db::task::of_build(&mut master.app.db.read().await.unwrap(), id).await.unwrap();
    let mut counts = BTreeMap::new();
    tasks.iter().for_each(|task| *counts.entry(task.status.name()).or_default() += 1);
    counts
}

#[tokio::test]
async fn a_team_has_one_share_whoever_of_it_asks_and_the_other_team_is_served_between_them() {
    let master = built_before().await;
    let (ann, amy) = (member(&master, "ann", "desktop").await, member(&master, "amy", "desktop").await);
    let bob = member(&master, "bob", "kernel").await;
    for token in [&ann, &amy, &bob] {
        ask_for_all(&master, token, "normal").await;
    }

    let mut served = Vec::new();
    while let Some(owner) = serve_next(&master).await {
        served.push(owner);
    }

    assert_eq!(
        served.join(" "),
        "ann amy bob ann bob ann amy bob ann bob ann amy bob ann bob amy amy amy",
        "amy came when ann was there already, and bob is alone in his team"
    );
}

#[tokio::test]
async fn what_is_urgent_is_first_and_what_is_in_the_background_is_so_for_a_day() {
    let master = built_before().await;
    let (ann, bob) = (member(&master, "ann", "desktop").await, member(&master, "bob", "kernel").await);

    ask_for_all(&master, &bob, "background").await;
    ask_for_all(&master, &ann, "normal").await;
    assert_eq!(serve_next(&master).await.as_deref(), Some("ann"));
    master.pass_secs(2 * 86_400);
    let amy = member(&master, "amy", "desktop").await;
    ask_for_all(&master, &amy, "normal").await;
    let next: Vec<_> = [serve_next(&master).await, serve_next(&master).await].into_iter().flatten().collect();
    assert!(!next.contains(&"amy".to_string()), "{next:?}");

    let eve = member(&master, "eve", "kernel").await;
    let urgent = json!({ "platform": "p1", "priority": "urgent" });
    let (status, refused) = master.json(Method::POST, "/api/v1/rebuilds", Some(&eve), urgent).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "who builds may not put it before everybody: {refused}");
    assert!(refused["hint"].as_str().unwrap().contains("ask a manager"), "{refused}");
    let right = json!({ "account": "eve", "role": "product-maintainer", "on": "product:p1" });
    assert_eq!(master.post("/api/v1/rights", "admin", right).await.0, StatusCode::CREATED);
    ask_for_all(&master, &eve, "urgent").await;
    let mut served = Vec::new();
    while let Some(owner) = serve_next(&master).await {
        served.push(owner);
    }
    let first = |name: &str| served.iter().position(|owner| owner == name).unwrap();
    assert!(first("bob") < first("amy"), "what waited for two days is before what is new: {served:?}");
    assert!(first("eve") < first("amy"), "{served:?}");
}

#[tokio::test]
async fn a_team_has_no_more_under_way_than_its_bound_and_its_next_begins_when_one_of_its_builds_has_ended() {
    let quota = Quota { team_tasks: Some(2), ..Quota::default() };
    let master = Master::open_with_quota("", quota).await;
    build_all(&master).await;
    let bob = member(&master, "bob", "kernel").await;

    let first = ask_for_all(&master, &bob, "normal").await;
    let second = ask_for_all(&master, &bob, "normal").await;
    assert_eq!(counts(&master, first).await, BTreeMap::from([("ready", 2), ("waiting", 4)]));
    assert_eq!(counts(&master, second).await, BTreeMap::from([("waiting", 6)]));
    let tasks = anima_db::task::of_build(&mut master.app.db.read().await.unwrap(), second).await.unwrap();
    let why: Value = master.get(&format!("/api/v1/tasks/{}/why", tasks[0].id)).await;
    assert_eq!(why["summary"], "It waits for its team's turn: team kernel has at most 2 tasks under way at once.");
    assert_eq!(why["facts"][0]["text"], "2 tasks of team kernel are under way, of 2 at most.");

    // One that ends makes room for the next of its build.
    let lease = master.claim("build-node", &[Kind::Src]).await.unwrap();
    end(&master, serde_json::from_value(lease["task"].clone()).unwrap(), Event::Succeeded).await;
    assert_eq!(counts(&master, first).await, BTreeMap::from([("ready", 2), ("succeeded", 1), ("waiting", 3)]));
    assert_eq!(anima_master::chores::wake_teams_once(&master.app).await.unwrap(), 0, "the team has its part");

    let cancel = format!("/api/v1/builds/{first}/cancel");
    assert_eq!(master.post(&cancel, "admin", json!({})).await.0, StatusCode::OK);
    assert_eq!(anima_master::chores::wake_teams_once(&master.app).await.unwrap(), 1);
    anima_master::chores::advance_once(&master.app).await.unwrap();
    assert_eq!(counts(&master, second).await, BTreeMap::from([("ready", 2), ("waiting", 4)]));
}
