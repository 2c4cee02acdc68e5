//! Mass rebuilds: in bounds, paused and resumed, retried, left out, released as one; with a master that is killed between.

use anima_db::task::Ended;
use anima_types::{
    Arch, Nevra, Sha256,
    build::{self, Source},
    id::{BuildId, TaskId},
    task::{Event, Kind, Status},
    work::{Failure, Outcome, SrcOutcome},
};
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::master::{Master, new_build};

/// What each package needs for its build.
const PACKAGES: [(&str, &[&str]); 6] =
    [("alder", &[]), ("birch", &["alder"]), ("cedar", &["birch"]), ("dogwood", &[]), ("elm", &["alder"]), ("fir", &[])];

fn made(package: &str) -> SrcOutcome {
    let requires = PACKAGES.iter().find(|(name, _)| *name == package).unwrap().1;
    let nevra: Nevra = format!("{package}-1-1.src").parse().unwrap();
    SrcOutcome {
        srpm: hash(package),
        nevra,
        build_requires: requires.iter().map(|name| name.to_string()).collect(),
        provides: vec![package.to_string()],
        exclusive_arch: Vec::new(),
        exclude_arch: Vec::new(),
        is_noarch: false,
    }
}

/// A hash for a thing of a name: no two begin with the same letter.
fn hash(name: &str) -> Sha256 {
    Sha256([name.as_bytes()[0]; 32])
}

/// Ends a task as its node would; whatever it made is not of interest.
pub async fn end(master: &Master, id: TaskId, event: Event) {
    let mut write = master.app.db.write(master.app.now(), "n1").await.unwrap();
    let task = anima_db::task::get(&mut write, id).await.unwrap();
    let package = task.about.package.clone().unwrap_or_default();
    let result = match (event, task.about.kind) {
        (Event::Succeeded, Kind::Src) => {
            let kind = anima_types::artifact::Kind::Srpm;
            anima_db::artifact::insert(&mut write, hash(&package), 1).await.unwrap();
            anima_db::artifact::link(&mut write, id, hash(&package), kind, "p.src.rpm").await.unwrap();
            Some(Outcome::Src(made(&package)))
        }
        _ => None,
    };
    let failure = (event == Event::Failed).then(|| Failure::new("broken", "it does not compile"));
    let ended = Ended { phases: Vec::new(), failure, result, report_hash: None };
    anima_db::task::end(&mut write, &task, event, "It ended.", &ended).await.unwrap();
    write.commit().await.unwrap();
    if let Some(build) = task.about.build {
        anima_master::build::advance::advance_once(&master.app, build).await.unwrap();
    }
}

/// Takes the next task; returns it with its package.
pub async fn take(master: &Master) -> Option<(TaskId, String)> {
    let lease = master.claim("build-node", &[Kind::Src, Kind::Build]).await?;
    let work = lease["work"].as_object().unwrap().values().next().unwrap();
    Some((TaskId(lease["task"].as_i64().unwrap()), work["package"].as_str().unwrap().to_string()))
}

/// A master on whose platform all packages were built before.
pub async fn built_before() -> Master {
    let master = Master::open().await;
    build_all(&master).await;
    master
}

/// Lets all packages have been built before.
pub async fn build_all(master: &Master) {
    let app = &master.app;
    let mut write = app.db.write(app.now(), "ann").await.unwrap();
    let new = new_build();
    let build = anima_db::build::insert(&mut write, &new).await.unwrap();
    let source = |(package, _): &(&str, _)| Source {
        package: package.to_string(),
        reference: "p1".into(),
        commit: format!("commit of {package}"),
    };
    let sources: Vec<Source> = PACKAGES.iter().map(source).collect();
    let platform = app.platform("p1").unwrap();
    anima_master::build::add_sources(app, &mut write, build, &sources, &[platform], &[Arch::X86_64]).await.unwrap();
    write.commit().await.unwrap();
    while let Some((task, _)) = take(master).await {
        end(master, task, Event::Succeeded).await;
    }
    let cancel = format!("/api/v1/builds/{build}/cancel");
    assert!(matches!(master.post(&cancel, "admin", json!({})).await.0, StatusCode::OK | StatusCode::CONFLICT));
}

pub async fn create(master: &Master, more: Value) -> BuildId {
    let mut wanted = json!({ "platform": "p1" });
    wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (status, answer) = master.post("/api/v1/rebuilds", "admin", wanted).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    serde_json::from_value(answer["build"]["id"].clone()).unwrap()
}

async fn press(master: &Master, id: BuildId, verb: &str) -> Value {
    let (status, answer) = master.post(&format!("/api/v1/rebuilds/{id}/{verb}"), "admin", json!({})).await;
    assert_eq!(status, StatusCode::OK, "{verb}: {answer}");
    answer
}

async fn limit(master: &Master, id: BuildId, limit: Value) -> StatusCode {
    let path = format!("/api/v1/rebuilds/{id}/limit");
    master.json(Method::PUT, &path, Some(&master.token("admin")), json!({ "limit": limit })).await.0
}

async fn counts(master: &Master, id: BuildId, kind: &str) -> [i64; 5] {
    let shown = master.get(&format!("/api/v1/rebuilds/{id}")).await;
    let progress = shown["progress"].as_array().unwrap().iter().find(|progress| progress["kind"] == kind).unwrap();
    ["waiting", "ready", "leased", "done", "failed"].map(|word| progress[word].as_i64().unwrap())
}

#[tokio::test]
async fn a_rebuild_keeps_its_bounds_is_paused_and_resumed_and_a_killed_master_forgets_none_of_it() {
    let master = built_before().await;
    let id = create(&master, json!({ "limit": 2, "is_paused": true })).await;
    assert_eq!(counts(&master, id, "src").await, [6, 0, 0, 0, 0]);
    assert!(take(&master).await.is_none(), "it is paused");
    assert_eq!(limit(&master, id, json!(0)).await, StatusCode::UNPROCESSABLE_ENTITY);

    press(&master, id, "resume").await;
    let (first, second) = (take(&master).await.unwrap(), take(&master).await.unwrap());
    assert!(take(&master).await.is_none(), "two are under way");
    let waits = anima_db::task::of_build(&mut master.app.db.read().await.unwrap(), id).await.unwrap();
    let waits = waits.iter().find(|task| task.status == Status::Waiting).unwrap();
    assert_eq!(waits.why, "It waits for its turn: the rebuild has at most 2 tasks under way at once.");

    end(&master, first.0, Event::Succeeded).await;
    assert_eq!(counts(&master, id, "src").await, [3, 1, 1, 1, 0]);
    press(&master, id, "pause").await;
    assert_eq!(counts(&master, id, "src").await, [4, 0, 1, 1, 0], "what was ready waits again");
    let master = master.restart().await;
    assert!(take(&master).await.is_none());
    end(&master, second.0, Event::Succeeded).await;
    assert_eq!(counts(&master, id, "src").await, [4, 0, 0, 2, 0], "what a node had is done");
    assert_eq!(limit(&master, id, json!(3)).await, StatusCode::OK);
    assert!(take(&master).await.is_none(), "a bound does not resume it");

    press(&master, id, "resume").await;
    assert_eq!(counts(&master, id, "src").await, [1, 3, 0, 2, 0]);
    assert_eq!(limit(&master, id, json!(1)).await, StatusCode::OK);
    assert_eq!(counts(&master, id, "src").await, [3, 1, 0, 2, 0], "a smaller bound holds at once");
    assert_eq!(limit(&master, id, Value::Null).await, StatusCode::OK);
    assert_eq!(counts(&master, id, "src").await, [0, 4, 0, 2, 0]);
    let page = master.browse(&format!("/rebuilds/{id}")).await.2;
    assert!(page.contains("Mass rebuild") && page.contains(&format!("anima rebuild pause {id}")), "{page}");
    assert!(master.browse("/rebuilds").await.2.contains(&format!("/rebuilds/{id}")));
}

#[tokio::test]
async fn what_fails_is_retried_or_left_out_and_what_needs_it_goes_on() {
    let master = built_before().await;
    let id = create(&master, json!({ "packages": ["alder"], "with_dependants": true })).await;
    while let Some((task, _)) = take(&master).await {
        end(&master, task, Event::Succeeded).await;
    }
    let sources = master.get(&format!("/api/v1/builds/{id}")).await["sources"].clone();
    let commits: Vec<&str> = sources.as_array().unwrap().iter().map(|one| one["commit"].as_str().unwrap()).collect();
    assert_eq!(commits, ["alder", "birch", "cedar", "elm"].map(|name| format!("commit of {name}")));
    let shown = master.get(&format!("/api/v1/rebuilds/{id}")).await;
    assert_eq!((&shown["package_count"], shown["build"]["sources"].as_array().unwrap().len()), (&json!(4), 0));
    assert_eq!(counts(&master, id, "build").await[3], 4, "all are built, as nothing failed: {shown}");

    let id = create(&master, json!({ "packages": ["alder", "birch", "cedar", "fir"] })).await;
    let mut order = Vec::new();
    while let Some((task, package)) = take(&master).await {
        let kind = anima_db::task::get(&mut master.app.db.read().await.unwrap(), task).await.unwrap().about.kind;
        let fails = kind == Kind::Build && package == "alder";
        order.extend((kind == Kind::Build).then_some(package));
        end(&master, task, if fails { Event::Failed } else { Event::Succeeded }).await;
    }
    assert_eq!(order, ["alder", "fir"], "what the longest chain waits for is first");
    let failed = master.get(&format!("/api/v1/rebuilds/{id}")).await;
    assert_eq!((&failed["build"]["status"], &failed["failed_count"]), (&json!("failed"), &json!(1)));
    assert_eq!(failed["failed"][0]["why"], "it does not compile");
    assert_eq!(counts(&master, id, "build").await, [0, 0, 0, 1, 3]);

    press(&master, id, "retry").await;
    anima_master::build::advance::advance_once(&master.app, id).await.unwrap();
    let (again, package) = take(&master).await.unwrap();
    assert_eq!(package, "alder");
    let leave_out = async |packages: Value| {
        let body = json!({ "packages": packages, "reason": "it needs a newer compiler" });
        master.post(&format!("/api/v1/rebuilds/{id}/leave-out"), "admin", body).await
    };
    end(&master, again, Event::Failed).await;
    assert_eq!(leave_out(json!(["nothing"])).await.0, StatusCode::NOT_FOUND);
    let (status, answer) = leave_out(json!(["alder", "fir"])).await;
    assert_eq!((status, answer["code"].as_str()), (StatusCode::CONFLICT, Some("already_built")), "{answer}");
    assert!(answer["hint"].as_str().unwrap().contains("anima release edit RELEASE fir --leave-out"), "{answer}");
    assert_eq!(counts(&master, id, "build").await, [0, 0, 0, 1, 3], "none is left out where one cannot be");
    let (status, answer) = leave_out(json!([])).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    anima_master::build::advance::advance_once(&master.app, id).await.unwrap();

    assert_eq!(take(&master).await.unwrap().1, "birch", "it is built with the alder that is released");
    let tasks = anima_db::task::of_build(&mut master.app.db.read().await.unwrap(), id).await.unwrap();
    let out = tasks.iter().find(|task| task.status == Status::Excluded).unwrap();
    assert_eq!(out.why, "admin left it out: it needs a newer compiler");

    // What a node works on just now is stopped, and does not keep the others in.
    let (status, answer) = leave_out(json!(["birch", "cedar"])).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let tasks = anima_db::task::of_build(&mut master.app.db.read().await.unwrap(), id).await.unwrap();
    let out = tasks.iter().filter(|task| task.about.kind == Kind::Build && task.status == Status::Excluded);
    let out: Vec<&str> = out.filter_map(|task| task.about.package.as_deref()).collect();
    assert_eq!(out, ["alder", "birch", "cedar"]);
}

/// Ends all tasks of a build, which has no packages to be signed, and the build.
async fn succeed(master: &Master, id: BuildId) {
    while let Some((task, _)) = take(master).await {
        end(master, task, Event::Succeeded).await;
    }
    let mut write = master.app.db.write(master.app.now(), "anima").await.unwrap();
    for event in [build::Event::SourcesMade, build::Event::Built, build::Event::Tested] {
        let row = anima_db::build::get(&mut write, id).await.unwrap();
        if build::next(row.status, event).is_some() {
            anima_db::build::apply(&mut write, &row, event, "For the test.").await.unwrap();
        }
    }
    write.commit().await.unwrap();
    anima_master::build::advance::advance_once(&master.app, id).await.unwrap();
}

/// Says that one of a build's tasks made a package.
async fn make_package(master: &Master, id: BuildId) {
    crate::plans::package(master, "fir-1-1.x86_64", 1).await;
    let mut write = master.app.db.write(master.app.now(), "test").await.unwrap();
    let tasks = anima_db::task::of_build(&mut write, id).await.unwrap();
    let task = tasks.iter().find(|task| task.about.kind == Kind::Build && task.status == Status::Succeeded).unwrap();
    let kind = anima_types::artifact::Kind::Rpm;
    anima_db::artifact::link(&mut write, task.id, Sha256([1; 32]), kind, "fir-1-1.x86_64.rpm").await.unwrap();
    write.commit().await.unwrap();
}

#[tokio::test]
async fn what_made_nothing_and_what_was_deleted_is_not_released() {
    let master = built_before().await;
    let id = create(&master, json!({ "packages": ["fir"] })).await;
    succeed(&master, id).await;
    let refusals = async || {
        let (first, as_rebuild) = master.post(&format!("/api/v1/rebuilds/{id}/release"), "admin", json!({})).await;
        let (second, as_build) =
            master.post("/api/v1/releases", "admin", json!({ "product": "p1", "build": id })).await;
        let code = |answer: &Value| answer["code"].as_str().unwrap_or_default().to_string();
        [(first, code(&as_rebuild)), (second, code(&as_build))]
    };
    let nothing = (StatusCode::UNPROCESSABLE_ENTITY, "nothing".to_string());
    assert_eq!(refusals().await, [nothing.clone(), nothing]);
    make_package(&master, id).await;
    let path = format!("/api/v1/builds/{id}");
    let (status, answer) = master.json(Method::DELETE, &path, Some(&master.token("admin")), Value::Null).await;
    assert_eq!(status, StatusCode::OK, "{answer}");

    let deleted = (StatusCode::CONFLICT, "deleted".to_string());
    assert_eq!(refusals().await, [deleted.clone(), deleted]);
}

#[tokio::test]
async fn a_rebuild_is_released_as_one_when_all_of_it_is_done_and_only_if_somebody_wants_it() {
    let master = built_before().await;
    let id = create(&master, json!({ "packages": ["fir"] })).await;
    let release = format!("/api/v1/rebuilds/{id}/release");
    let (status, answer) = master.post(&release, "admin", json!({})).await;
    assert_eq!((status, answer["code"].as_str()), (StatusCode::CONFLICT, Some("not_succeeded")));

    succeed(&master, id).await;
    let shown = master.get(&format!("/api/v1/rebuilds/{id}")).await;
    assert_eq!((&shown["build"]["status"], &shown["releases"]), (&json!("succeeded"), &json!([])));
    make_package(&master, id).await;

    let of_platform = master.person("pat", &["admin on platform:p1"]).await;
    let (status, _) = master.json(Method::POST, &release, Some(&of_platform), json!({})).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "users have the product, not the platform");
    let of_product = master.person("rae", &["release-manager on product:p1"]).await;
    let (status, made) = master.json(Method::POST, &release, Some(&of_product), json!({})).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let (_, again) = master.post(&release, "admin", json!({})).await;
    assert_eq!((made["releases"].as_array().unwrap().len(), &again["releases"]), (1, &made["releases"]));
    let shown = master.get(&format!("/api/v1/releases/{}", made["releases"][0])).await;
    assert_eq!((&shown["product"], &shown["build"], &shown["status"]), (&json!("p1"), &json!(id), &json!("planning")));
    let builder = master.person("ben", &["contributor on platform:p1"]).await;
    let (status, _) = master.json(Method::POST, &release, Some(&builder), json!({})).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "who builds does not release");
    let pause = format!("/api/v1/rebuilds/{id}/pause");
    assert_eq!(master.json(Method::POST, &pause, Some(&builder), json!({})).await.0, StatusCode::OK);
    assert_eq!(master.post("/api/v1/rebuilds/1/pause", "admin", json!({})).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_a_build_made_is_deleted_where_nobody_needs_it_and_it_is_not_begun_again() {
    let master = built_before().await;
    let delete = async |id: i64| {
        let path = format!("/api/v1/builds/{id}");
        let (status, answer) = master.json(Method::DELETE, &path, Some(&master.token("admin")), Value::Null).await;
        (status, answer["code"].as_str().unwrap_or_default().to_string())
    };
    let open = create(&master, json!({ "packages": ["fir"] })).await;
    let mut write = master.app.db.write(master.app.now(), "test").await.unwrap();
    let made = anima_db::task::of_build(&mut write, BuildId(1)).await.unwrap().remove(0);
    anima_db::artifact::link(&mut write, made.id, hash("alder"), anima_types::artifact::Kind::Srpm, "a.src.rpm")
        .await
        .unwrap();
    let linked = build::Options { linked: vec![BuildId(1)], ..Default::default() };
    anima_db::build::set_options(&mut write, open, &linked).await.unwrap();
    write.commit().await.unwrap();

    let in_use = (StatusCode::CONFLICT, "in_use".to_string());
    assert_eq!(delete(open.0).await, in_use, "it goes on");
    assert_eq!(delete(1).await, in_use, "another is linked to it");
    press(&master, open, "cancel").await;
    assert_eq!(delete(1).await.0, StatusCode::OK);

    let shown = master.get("/api/v1/builds/1").await;
    assert!(shown["deleted_at"].is_string() && shown["summary"].as_str().unwrap().starts_with("Deleted by admin"));
    assert!(shown["tasks"].as_array().unwrap().iter().all(|task| task["artifacts"] == json!([])));
    let (status, answer) = master.post("/api/v1/builds/1/restart", "admin", json!({})).await;
    assert_eq!((status, answer["code"].as_str()), (StatusCode::CONFLICT, Some("deleted")));
    assert_eq!(delete(1).await.0, StatusCode::OK, "twice is once");
    let (status, _, page) = master.browse("/builds/1/repo/p1/x86_64/repodata/repomd.xml").await;
    assert!(status == StatusCode::NOT_FOUND && page.contains("what build 1 made was deleted"), "{page}");
    let (status, answer) = master.post(&format!("/api/v1/builds/{open}/restart"), "admin", json!({})).await;
    assert_eq!((status, answer["code"].as_str()), (StatusCode::CONFLICT, Some("deleted")), "what it needs is gone");
}

#[tokio::test]
async fn a_build_sees_the_packages_of_those_that_are_linked_to_it() {
    let master = built_before().await;
    let first = create(&master, json!({ "packages": ["alder"] })).await;
    while let Some((task, _)) = take(&master).await {
        end(&master, task, Event::Succeeded).await;
    }
    let other = create(&master, json!({ "packages": ["elm"] })).await;
    let mut write = master.app.db.write(master.app.now(), "test").await.unwrap();
    let linked = build::Options { linked: vec![first], ..Default::default() };
    anima_db::build::set_options(&mut write, other, &linked).await.unwrap();
    write.commit().await.unwrap();
    let (source, _) = take(&master).await.unwrap();
    end(&master, source, Event::Succeeded).await;

    let lease = master.claim("build-node", &[Kind::Build]).await.unwrap();

    let inputs = lease["work"]["build"]["inputs"].as_array().unwrap();
    let urls: Vec<&str> = inputs.iter().map(|input| input["url"].as_str().unwrap()).collect();
    assert!(urls.contains(&format!("http://master.example/builds/{first}/repo/p1/x86_64/").as_str()), "{urls:?}");
    let unknown = json!({ "packages": [{ "package": "jq" }], "platforms": ["p1"], "flavors": ["beta"] });
    let (status, answer) = master.post("/api/v1/builds", "admin", unknown).await;
    assert_eq!((status, answer["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("unknown_flavor")));
    let missing = json!({ "packages": [{ "package": "jq" }], "platforms": ["p1"], "linked": [99] });
    assert!(!master.post("/api/v1/builds", "admin", missing).await.0.is_success());
}

#[tokio::test]
async fn mass_rebuilds_are_listed_in_pages_the_newest_first() {
    let master = built_before().await;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(create(&master, json!({ "packages": ["fir"], "is_paused": true })).await);
    }

    let pages = crate::lists::pages(&master, "/api/v1/rebuilds?limit=2").await;

    let ids = |page: &Vec<Value>| page.iter().map(|one| one["build"]["id"].clone()).collect::<Vec<_>>();
    let ids: Vec<_> = pages.iter().map(ids).collect();
    assert_eq!(ids, [vec![json!(made[2]), json!(made[1])], vec![json!(made[0])]]);
    let older = master.browse(&format!("/rebuilds?before={}", made[1])).await.2;
    let has = |id: BuildId| older.contains(&format!("href=\"/rebuilds/{id}\""));
    assert_eq!(made.iter().map(|id| has(*id)).collect::<Vec<_>>(), [true, false, false]);
}
