//! Who is served when: teams beside one another, and the people of a team within its share.

use std::collections::BTreeMap;

use anima_master::Quota;
use anima_types::{
    account::CreateTeam,
    id::BuildId,
    task::{Event, Kind, Status},
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

/// Takes a task and ends it; returns which build's it is.
async fn end_next(master: &Master) -> BuildId {
    let lease = master.claim("build-node", &[Kind::Src]).await.unwrap();
    end(master, serde_json::from_value(lease["task"].clone()).unwrap(), Event::Succeeded).await;
    serde_json::from_value(lease["work"]["src"]["build"].clone()).unwrap()
}

#[tokio::test]
async fn a_team_has_no_more_under_way_than_its_bound_and_its_builds_take_turns_the_urgent_one_first() {
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

    // The second begins while the first goes on.
    let mut served = Vec::new();
    for _ in 0..6 {
        served.push(end_next(&master).await);
    }
    assert_eq!(served, [first, first, first, second, first, second]);
    assert_eq!(anima_master::chores::wake_teams_once(&master.app).await.unwrap(), 0, "the team has its part");
    let urgent = ask_for_all(&master, &bob, "urgent").await;
    assert_eq!(counts(&master, urgent).await, BTreeMap::from([("waiting", 6)]), "the bound holds for it, too");
    end_next(&master).await;
    assert_eq!(counts(&master, urgent).await, BTreeMap::from([("ready", 1), ("waiting", 5)]));
    assert_eq!(end_next(&master).await, urgent);

    // What is cancelled makes room without a look at its build.
    for id in [urgent, first] {
        let cancel = format!("/api/v1/builds/{id}/cancel");
        assert_eq!(master.post(&cancel, "admin", json!({})).await.0, StatusCode::OK);
    }
    assert_eq!(anima_master::chores::wake_teams_once(&master.app).await.unwrap(), 1);
    assert_eq!(counts(&master, second).await, BTreeMap::from([("ready", 2), ("succeeded", 2), ("waiting", 2)]));
}

#[tokio::test]
async fn a_push_takes_no_place_of_what_its_team_began_before() {
    let quota = Quota { team_tasks: Some(2), ..Quota::default() };
    let master = Master::open_with_quota("", quota).await;
    build_all(&master).await;
    let bob = member(&master, "bob", "kernel").await;
    let first = ask_for_all(&master, &bob, "background").await;

    let commit = "4f2c1e77aa".repeat(4);
    let push = json!({ "package": "jq", "branch": "p1", "commit": commit, "subject": "s", "pusher": "bob" });
    let (status, answer) = master.post("/api/v1/pushes", "git-service", push).await;

    assert_eq!(status, StatusCode::OK, "{answer}");
    let pushed: BuildId = serde_json::from_value(answer["build"].clone()).unwrap();
    assert_eq!(counts(&master, pushed).await, BTreeMap::from([("waiting", 1)]));
    assert_eq!(counts(&master, first).await, BTreeMap::from([("ready", 2), ("waiting", 4)]));
    end_next(&master).await;
    assert_eq!(counts(&master, pushed).await, BTreeMap::from([("ready", 1)]), "what is in the background comes later");
}

#[tokio::test]
async fn a_team_has_no_more_cores_than_its_bound_and_what_asks_for_many_is_not_passed_for_ever() {
    let quota = Quota { team_cores: Some(4), ..Quota::default() };
    let master = Master::open_with_quota("[packages.alder.limits]\ncores = 4\n", quota).await;
    build_all(&master).await;
    let bob = member(&master, "bob", "kernel").await;
    let id = ask_for_all(&master, &bob, "normal").await;
    assert_eq!(counts(&master, id).await, BTreeMap::from([("ready", 4), ("waiting", 2)]), "a source package takes one");
    for _ in 0..6 {
        end_next(&master).await;
    }

    let tasks = anima_db::task::of_build(&mut master.app.db.read().await.unwrap(), id).await.unwrap();
    let of = |name: &str| {
        tasks.iter().find(|task| task.about.kind == Kind::Build && task.about.package.as_deref() == Some(name)).unwrap()
    };
    assert_eq!((of("alder").status, of("fir").status), (Status::Ready, Status::Waiting), "alder has all four");
    let why: Value = master.get(&format!("/api/v1/tasks/{}/why", of("fir").id)).await;
    assert_eq!(why["summary"], "It waits for its team's turn: team kernel has at most 4 cores under way at once.");
    let facts: Vec<&str> = why["facts"].as_array().unwrap().iter().filter_map(|fact| fact["text"].as_str()).collect();
    assert!(facts.contains(&"Team kernel has 4 of 4 cores under way."), "{facts:?}");
    let page = master.browse("/queue").await.2;
    assert!(page.contains("Team kernel: 4 of 4 cores under way, 2 more wait for its turn."), "{page}");
    let metrics = master.get_text("/metrics").await;
    assert!(metrics.contains("anima_team_held_tasks{team=\"kernel\"} 2"), "{metrics}");
}

#[tokio::test]
async fn a_team_that_keeps_as_much_as_it_may_gets_no_more_builds_and_is_told_who_keeps_it() {
    let quota = Quota { team_artifacts_mib: Some(2), ..Quota::default() };
    let master = Master::open_with_quota("", quota).await;
    build_all(&master).await;
    let bob = member(&master, "bob", "kernel").await;
    let id = ask_for_all(&master, &bob, "normal").await;
    let mut write = master.app.db.write(master.app.now(), "n1").await.unwrap();
    let task = anima_db::task::of_build(&mut write, id).await.unwrap()[0].id;
    let (hash, kind) = (anima_types::Sha256([7; 32]), anima_types::artifact::Kind::Srpm);
    anima_db::artifact::insert(&mut write, hash, 3 << 20).await.unwrap();
    anima_db::artifact::link(&mut write, task, hash, kind, "p.src.rpm").await.unwrap();
    write.commit().await.unwrap();

    let wanted = json!({ "platform": "p1" });
    let (status, answer) = master.json(Method::POST, "/api/v1/rebuilds", Some(&bob), wanted.clone()).await;

    assert_eq!((status, answer["code"].as_str()), (StatusCode::CONFLICT, Some("team_full")));
    let message = "team kernel keeps 3 MiB of builds that are not released, of 2 that it may: bob 3 MiB";
    assert_eq!(answer["message"], message);
    let push =
        json!({ "package": "jq", "branch": "p1", "commit": "4f2c1e77aa".repeat(4), "subject": "s", "pusher": "bob" });
    assert_eq!(master.post("/api/v1/pushes", "git-service", push).await.0, StatusCode::CONFLICT);
    assert!(master.browse("/queue").await.2.contains("Team kernel: 3 of 2 MiB kept."));
    let cancel = format!("/api/v1/builds/{id}/cancel");
    assert_eq!(master.post(&cancel, "admin", json!({})).await.0, StatusCode::OK);
    let path = format!("/api/v1/builds/{id}");
    assert_eq!(master.json(Method::DELETE, &path, Some(&bob), Value::Null).await.0, StatusCode::OK);
    let (status, answer) = master.json(Method::POST, "/api/v1/rebuilds", Some(&bob), wanted).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
}
