//! Release plans of all kinds, and what people do with them: the plan itself is the Release System's, which these tests play.

use std::collections::BTreeSet;

use anima_db::{package::Package, snapshot::NewSnapshot};
use anima_types::{
    Nevra, Sha256,
    id::{ReleaseId, RepositoryId},
    release::Status,
    retention::SnapshotRule,
    task::Kind,
};
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::master::Master;

/// Writes a package file of this content, and its signature by the key of product `p1` (content + 100).
pub async fn package(master: &Master, nevra: &str, content: u8) -> Sha256 {
    let mut write = master.app.db.write(master.app.now(), "test").await.unwrap();
    let key = anima_db::product::get(&mut write, "p1").await.unwrap().key.unwrap();
    let (original, signed) = (Sha256([content; 32]), Sha256([content + 100; 32]));
    for sha256 in [original, signed] {
        let nevra: Nevra = nevra.parse().unwrap();
        let xml = json!({
            "nevra": nevra, "sha256": sha256, "location": "x", "primary": "", "filelists": "", "other": ""
        });
        let package = Package {
            sha256,
            file_name: nevra.file_name(),
            source: nevra.name.split('-').next().unwrap().into(),
            is_source: nevra.arch == "src",
            nevra,
            xml: xml.to_string(),
            header_sha256: sha256,
        };
        anima_db::artifact::insert(&mut write, sha256, 1_000).await.unwrap();
        anima_db::package::insert(&mut write, &package).await.unwrap();
    }
    anima_db::package::insert_signed(&mut write, original, key, signed).await.unwrap();
    write.commit().await.unwrap();
    signed
}

/// Says that the key of a product is made, and signs a package with it.
async fn sign(master: &Master, product: &str, original: u8, signed: Sha256) {
    let mut write = master.app.db.write(master.app.now(), "test").await.unwrap();
    let key = anima_db::product::get(&mut write, product).await.unwrap().key.unwrap();
    let row = anima_db::package::get(&mut write, Sha256([original; 32])).await.unwrap();
    anima_db::artifact::insert(&mut write, signed, 1_000).await.unwrap();
    let xml = row.xml.replace(&row.sha256.to_string(), &signed.to_string());
    anima_db::package::insert(&mut write, &Package { sha256: signed, xml, ..row.clone() }).await.unwrap();
    anima_db::package::insert_signed(&mut write, row.sha256, key, signed).await.unwrap();
    write.commit().await.unwrap();
}

/// Lets users of a repository see these packages.
pub async fn show(master: &Master, product: &str, path: &str, packages: &[Sha256]) -> RepositoryId {
    let mut write = master.app.db.write(master.app.now(), "test").await.unwrap();
    let repository = anima_db::repository::find(&mut write, product, path).await.unwrap().unwrap();
    let content = anima_types::release::Content::Removal { remove: vec!["nothing".into()], from: Vec::new() };
    let release = anima_db::release::insert(&mut write, product, content, "For the test.").await.unwrap();
    let row = anima_db::release::get(&mut write, release).await.unwrap();
    anima_db::release::apply(&mut write, &row, anima_types::release::Event::Abandoned, "Not of interest.")
        .await
        .unwrap();
    let before = anima_db::snapshot::listed(&mut write, repository.id, repository.current).await.unwrap();
    let before: BTreeSet<Sha256> = before.into_iter().map(|package| package.artifact).collect();
    let packages: BTreeSet<Sha256> = packages.iter().copied().collect();
    let new = NewSnapshot {
        repository: repository.id,
        base: repository.current,
        release,
        added: packages.difference(&before).copied().collect(),
        removed: before.difference(&packages).copied().collect(),
        files: Vec::new(),
        layout: None,
    };
    let number = anima_db::snapshot::insert(&mut write, &new).await.unwrap();
    anima_db::repository::set_current(&mut write, repository.id, repository.current, number).await.unwrap();
    write.commit().await.unwrap();
    repository.id
}

async fn stable(master: &Master, more: Value) {
    let mut product = json!({
        "name": "stable", "title": "Stable", "repositories": ["BaseOS", "AppStream"], "architectures": ["x86_64"]
    });
    product.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (status, answer) = master.post("/api/v1/products", "admin", product).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
}

pub async fn create(master: &Master, wanted: Value) -> ReleaseId {
    let (status, answer) = master.post("/api/v1/releases", "admin", wanted).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    serde_json::from_value(answer["id"].clone()).unwrap()
}

async fn refused(master: &Master, path: &str, role: &str, body: Value) -> (StatusCode, String) {
    let (status, answer) = master.post(path, role, body).await;
    assert!(!status.is_success(), "{answer}");
    (status, answer["code"].as_str().unwrap_or_default().to_string())
}

pub async fn advance(master: &Master, release: ReleaseId) {
    anima_master::release::advance::advance_once(&master.app, release).await.unwrap();
}

/// Takes the plan task of a release; returns its lease.
pub async fn plan_task(master: &Master, release: ReleaseId) -> Value {
    advance(master, release).await;
    let lease = master.claim("release-system", &[Kind::Plan]).await.expect("it is to be planned");
    assert_eq!(lease["work"]["plan"]["release"], json!(release));
    lease
}

/// Plans a release so that every package goes to one repository.
pub async fn plan(master: &Master, release: ReleaseId, repository: RepositoryId, path: &str, gates: Value) -> Value {
    let lease = plan_task(master, release).await;
    let work = &lease["work"]["plan"];
    let entries: Vec<Value> = work["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            json!({
                "nevra": package["nevra"], "artifact": package["artifact"], "repository": repository,
                "repository_path": path, "replaces": [], "trust": "exact", "reason": "a test says so"
            })
        })
        .collect();
    let made = json!({ "plan": { "entries": entries, "removals": work["removals"].as_array().unwrap_or(&Vec::new()), "gates": gates } });
    let (status, answer) = master.report(&lease, json!({ "succeeded": made })).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    advance(master, release).await;
    master.get(&format!("/api/v1/releases/{release}")).await
}

async fn status(master: &Master, release: ReleaseId) -> String {
    let shown = master.get(&format!("/api/v1/releases/{release}")).await;
    shown["status"].as_str().unwrap().to_string()
}

pub async fn events(master: &Master, release: ReleaseId) -> Vec<(String, String, String)> {
    let mut read = master.app.db.read().await.unwrap();
    let events = anima_db::event::list(&mut read, anima_types::id::EventId(0), None, 1000).await.unwrap();
    let its = events.into_iter().filter(|event| event.release == Some(release) && event.noun == "release");
    its.map(|event| (event.verb, event.actor, event.message)).collect()
}

/// A copy of one package from `p1` to `stable`, planned.
async fn planned_copy(master: &Master, more: Value) -> (ReleaseId, RepositoryId) {
    let jq = package(master, "jq-1.7-1.x86_64", 1).await;
    show(master, "p1", "BaseOS/x86_64", &[jq]).await;
    stable(master, more).await;
    sign(master, "stable", 1, Sha256([201; 32])).await;
    let release = create(master, json!({ "product": "stable", "copy": ["p1"] })).await;
    let base_os = master.get("/api/v1/repositories?product=stable").await[0]["id"].as_i64().unwrap();
    plan(master, release, RepositoryId(base_os), "BaseOS/x86_64", json!([])).await;
    (release, RepositoryId(base_os))
}

#[tokio::test]
async fn a_copy_is_pinned_and_carries_what_was_there_with_the_other_products_signature() {
    let master = Master::open().await;
    let (jq, xz) = (package(&master, "jq-1.7-1.x86_64", 1).await, package(&master, "xz-5-1.x86_64", 2).await);
    show(&master, "p1", "BaseOS/x86_64", &[jq, xz]).await;
    stable(&master, json!({ "platforms": ["p1"], "references": [{ "repository": "BaseOS", "url": "/srv/{arch}" }] }))
        .await;
    let release = create(&master, json!({ "product": "stable", "copy": ["p1"], "only": ["jq"] })).await;
    show(&master, "p1", "BaseOS/x86_64", &[xz]).await;

    advance(&master, release).await;
    let sign_task = anima_db::task::of_release(&mut master.app.db.read().await.unwrap(), release).await.unwrap();
    let waits = sign_task.iter().any(|task| task.about.kind == Kind::Sign && task.about.build.is_none());
    sign(&master, "stable", 1, Sha256([201; 32])).await;
    let work = plan_task(&master, release).await["work"]["plan"].clone();

    assert!(waits, "the package gets the other product's signature: {sign_task:?}");
    let shown = master.get(&format!("/api/v1/releases/{release}")).await;
    assert_eq!((&shown["content"]["copy"], &shown["build"]), (&json!(["p1/BaseOS/x86_64@1"]), &Value::Null));
    let packages = work["packages"].as_array().unwrap();
    assert_eq!((packages.len(), &packages[0]["artifact"]), (1, &json!(Sha256([201; 32]))));
    assert_eq!((&packages[0]["places"], &packages[0]["target_arch"]), (&json!(["BaseOS/x86_64"]), &json!("x86_64")));
    assert_eq!(work["references"][0], json!({ "path": "BaseOS/x86_64", "url": "/srv/x86_64" }));
    let inputs = work["stands_on"][0]["inputs"].as_array().unwrap();
    let urls: Vec<&str> = inputs.iter().map(|input| input["url"].as_str().unwrap()).collect();
    assert_eq!(urls, ["http://master.example/mirror/base/x86_64/", "http://master.example/repos/p1/BaseOS/x86_64@2/"]);
    let carried = master.get(&format!("/api/v1/releases/{release}/packages")).await;
    assert_eq!(carried[0]["sha256"], json!(Sha256([201; 32])));
}

#[tokio::test]
async fn what_a_copy_is_made_from_stays_while_it_may_go_and_a_copy_of_nothing_fails_with_a_sentence() {
    let master = Master::open().await;
    let jq = package(&master, "jq-1.7-1.x86_64", 1).await;
    let source = show(&master, "p1", "BaseOS/x86_64", &[jq]).await;
    stable(&master, json!({})).await;
    let release = create(&master, json!({ "product": "stable", "copy": ["p1"] })).await;
    for _ in 0..3 {
        show(&master, "p1", "BaseOS/x86_64", &[]).await;
    }
    let rule = SnapshotRule { newest_count: 1, days: 0 };
    let mut write = master.app.db.write(master.app.now(), "test").await.unwrap();
    anima_db::garbage::set_rule(&mut write, source, Some(rule)).await.unwrap();
    write.commit().await.unwrap();
    master.pass_secs(10 * 86_400);

    let done = anima_master::garbage::collect_once(&master.app, master.app.now(), "ann", false).await.unwrap();

    let gone: Vec<&str> = done.snapshots.iter().map(|fate| fate.address.as_str()).collect();
    assert_eq!(gone, ["p1/BaseOS/x86_64@2"], "{done:?}");
    let why = format!("release {release} copies from it");
    assert!(done.kept_snapshots.iter().any(|fate| fate.address.ends_with("@1") && fate.reason == why), "{done:?}");

    let mut write = master.app.db.write(master.app.now(), "test").await.unwrap();
    anima_db::garbage::drop_snapshot(&mut write, source, 1).await.unwrap();
    write.commit().await.unwrap();
    advance(&master, release).await;

    let shown = master.get(&format!("/api/v1/releases/{release}")).await;
    let summary = "Failed: there is no snapshot \"p1/BaseOS/x86_64@1\".";
    assert_eq!((&shown["status"], &shown["summary"]), (&json!("failed"), &json!(summary)));
}

#[tokio::test]
async fn an_exact_copy_lets_go_what_is_not_there() {
    let master = Master::open().await;
    let (jq, xz) = (package(&master, "jq-1.7-1.x86_64", 1).await, package(&master, "xz-5-1.x86_64", 2).await);
    show(&master, "p1", "BaseOS/x86_64", &[jq]).await;
    stable(&master, json!({})).await;
    sign(&master, "stable", 1, Sha256([201; 32])).await;
    show(&master, "stable", "BaseOS/x86_64", &[xz]).await;
    show(&master, "stable", "AppStream/x86_64", &[xz]).await;

    let release = create(&master, json!({ "product": "stable", "copy": ["p1/BaseOS/x86_64"], "exact": true })).await;
    let work = plan_task(&master, release).await["work"]["plan"].clone();

    let removals = work["removals"].as_array().unwrap();
    assert_eq!(removals.len(), 1, "what is in repositories of other addresses stays: {removals:?}");
    assert_eq!(
        (&removals[0]["nevra"], &removals[0]["repository_path"]),
        (&json!("xz-5-1.x86_64"), &json!("BaseOS/x86_64"))
    );
}

#[tokio::test]
async fn a_removal_takes_packages_from_users_and_is_never_done_by_rule() {
    let master = Master::open().await;
    let (jq, jq_libs) =
        (package(&master, "jq-1.7-1.x86_64", 1).await, package(&master, "jq-libs-1.7-1.x86_64", 2).await);
    let repository = show(&master, "p1", "BaseOS/x86_64", &[jq, jq_libs]).await;
    let release = create(&master, json!({ "product": "p1", "remove": ["jq"] })).await;

    let shown = plan(&master, release, repository, "BaseOS/x86_64", json!([])).await;

    assert_eq!(shown["status"], "planned", "although the product releases by itself: {shown}");
    assert_eq!(shown["removals"].as_array().unwrap().len(), 2, "the source's name means all that was made of it");
    let (status, _) = master.post(&format!("/api/v1/releases/{release}/commit"), "admin", json!({})).await;
    assert_eq!(status, StatusCode::OK);
    let after = master.get(&format!("/api/v1/releases/{release}/repositories/{repository}/packages")).await;
    assert_eq!(after, json!([]));
    let wrong = json!({ "product": "p1", "remove": ["vim"] });
    assert_eq!(refused(&master, "/api/v1/releases", "admin", wrong).await.1, "nothing");
}

#[tokio::test]
async fn an_edit_is_planned_anew_with_who_and_why_and_stays_when_the_plan_is_made_again() {
    let master = Master::open().await;
    let (release, base_os) = planned_copy(&master, json!({})).await;
    let path = format!("/api/v1/releases/{release}/edit");
    let edit = |to: Value| json!({ "edits": [{ "package": "jq", "to": to }], "reason": "it is for developers" });

    let unknown = refused(&master, &path, "admin", edit(json!(["Nowhere"]))).await;
    let silent = json!({ "edits": [{ "package": "jq", "to": [] }], "reason": " " });
    let silent = refused(&master, &path, "admin", silent).await;
    let (edited, _) = master.post(&path, "admin", edit(json!(["AppStream"]))).await;
    let lease = plan_task(&master, release).await;
    let replan = format!("/api/v1/releases/{release}/replan");
    let entry = json!({ "plan": { "entries": [], "gates": [] } });
    master.report(&lease, json!({ "succeeded": entry })).await;
    advance(&master, release).await;
    master.post(&replan, "admin", json!({})).await;
    let again = plan_task(&master, release).await;

    assert_eq!((unknown.1.as_str(), silent.1.as_str(), edited), ("unknown_repository", "no_reason", StatusCode::OK));
    for lease in [&lease, &again] {
        let made = &lease["work"]["plan"]["edits"][0];
        assert_eq!((&made["package"], &made["to"]), (&json!("jq"), &json!(["AppStream"])));
        assert_eq!((&made["who"], &made["reason"]), (&json!("admin"), &json!("it is for developers")));
    }
    let undo = async |package: &str| {
        let body = json!({ "undo": [package], "reason": "it was wrong" });
        master.post(&path, "admin", body).await.0
    };
    assert_eq!(undo("vim").await, StatusCode::UNPROCESSABLE_ENTITY);
    let entry = json!({ "plan": { "entries": [], "gates": [] } });
    master.report(&again, json!({ "succeeded": entry })).await;
    advance(&master, release).await;
    assert_eq!(undo("jq").await, StatusCode::OK);
    assert!(plan_task(&master, release).await["work"]["plan"].get("edits").is_none());
    let events = events(&master, release).await;
    let edited = events.iter().find(|(verb, ..)| verb == "edited").expect("it is an event");
    assert!(edited.1 == "admin" && edited.2.contains("jq goes to AppStream (it is for developers)"), "{edited:?}");
    assert!(base_os.0 > 0);
}

#[tokio::test]
async fn a_product_that_asks_several_people_waits_for_them_and_each_counts_once() {
    let master = Master::open().await;
    let (release, base_os) = planned_copy(&master, json!({ "approvals": 2 })).await;
    let path = |verb: &str| format!("/api/v1/releases/{release}/{verb}");
    let bob = master.post("/api/v1/tokens", "admin", json!({ "name": "bob", "role": "release-manager" })).await.1;
    let bob = bob["secret"].as_str().unwrap().to_string();
    let as_bob =
        async |verb: &str| master.json(Method::POST, &path(verb), Some(&bob), json!({ "reason": "seen" })).await;

    let none = refused(&master, &path("commit"), "admin", json!({})).await;
    let (first, _) = master.post(&path("approve"), "admin", json!({})).await;
    let because = master.get(&path("why")).await;
    assert!(because["facts"].to_string().contains("1 of 2 people said that it is good: admin."), "{because}");
    assert_eq!(because["hint"], format!("Others say that it is good with `anima release approve {release}`."));
    let twice = refused(&master, &path("approve"), "admin", json!({})).await;
    let one = refused(&master, &path("commit"), "admin", json!({})).await;
    let (second, approved) = as_bob("approve").await;
    // A plan that is made again is another plan: nobody has seen it.
    master.post(&path("replan"), "admin", json!({})).await;
    let again = plan(&master, release, base_os, "BaseOS/x86_64", json!([])).await;
    as_bob("approve").await;
    master.post(&path("approve"), "admin", json!({})).await;
    let (committed, _) = as_bob("commit").await;

    assert_eq!(
        (none.1.as_str(), one.1.as_str(), twice.1.as_str()),
        ("approvals_missing", "approvals_missing", "approved")
    );
    assert_eq!((first, second), (StatusCode::OK, StatusCode::OK));
    assert_eq!(approved["approvals"][1]["who"], "bob");
    assert_eq!((&again["approvals"], &again["approvals_wanted"]), (&json!([]), &json!(2)));
    assert_eq!(committed, StatusCode::OK);
    let events = events(&master, release).await;
    assert!(
        events.iter().any(|(verb, who, why)| verb == "approved" && who == "bob" && why.contains("seen")),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_scheduled_release_goes_at_its_time_and_not_before() {
    let master = Master::open().await;
    let (release, _) = planned_copy(&master, json!({})).await;
    let at = master.app.now().plus_secs(3_600);
    let path = |verb: &str| format!("/api/v1/releases/{release}/{verb}");
    let give = async || anima_master::chores::give_scheduled_once(&master.app, master.app.now()).await.unwrap();

    let past = json!({ "at": master.app.now().plus_secs(-1) });
    let past = refused(&master, &path("schedule"), "admin", past).await;
    let (scheduled, shown) = master.post(&path("schedule"), "admin", json!({ "at": at })).await;
    let early = give().await;
    master.post(&path("unschedule"), "admin", json!({})).await;
    let waiting = status(&master, release).await;
    // It was due when it was looked for, and its time was taken back, or is another one, before the writer came to it.
    let late_look = anima_master::chores::give_if_due(&master.app, release, at.plus_secs(1)).await.unwrap();
    master.post(&path("schedule"), "admin", json!({ "at": at, "reason": "at night" })).await;
    let too_soon = anima_master::chores::give_if_due(&master.app, release, at.plus_secs(-1)).await.unwrap();
    master.pass_secs(3_601);
    let late = give().await;

    assert_eq!((past.1.as_str(), scheduled, &shown["status"]), ("bad_time", StatusCode::OK, &json!("scheduled")));
    assert_eq!((early, waiting.as_str(), late), (0, Status::Planned.name(), 1));
    assert_eq!((late_look, too_soon), (false, false));
    let shown = master.get(path("").trim_end_matches('/')).await;
    assert_eq!((&shown["status"], &shown["committed_by"]), (&json!("publishing"), &json!("admin")));
    assert_eq!(shown["reason"], "at night");
}

#[tokio::test]
async fn a_scheduled_plan_over_what_users_no_longer_see_is_planned_anew_and_waits_for_a_person() {
    let master = Master::open().await;
    let (release, base_os) = planned_copy(&master, json!({})).await;
    let at = master.app.now().plus_secs(60);
    master.post(&format!("/api/v1/releases/{release}/schedule"), "admin", json!({ "at": at })).await;
    let xz = package(&master, "xz-5-1.x86_64", 2).await;
    show(&master, "stable", "BaseOS/x86_64", &[xz]).await;

    master.pass_secs(61);
    anima_master::chores::give_scheduled_once(&master.app, master.app.now()).await.unwrap();
    let moved = status(&master, release).await;
    let again = plan(&master, release, base_os, "BaseOS/x86_64", json!([])).await;

    assert_eq!(moved, "planning");
    assert_eq!((&again["status"], &again["scheduled_at"]), (&json!("planned"), &Value::Null));
    let events = events(&master, release).await;
    assert!(events.iter().any(|(.., why)| why.contains("no longer so")), "{events:?}");
}

#[tokio::test]
async fn a_gate_that_asks_is_answered_when_a_release_is_scheduled() {
    let master = Master::open().await;
    let (release, base_os) = planned_copy(&master, json!({})).await;
    let gate = json!([{ "gate": "licence", "level": "ask", "found_count": 1, "found": [{ "text": "it changed" }] }]);
    master.post(&format!("/api/v1/releases/{release}/replan"), "admin", json!({})).await;
    plan(&master, release, base_os, "BaseOS/x86_64", gate).await;
    let path = format!("/api/v1/releases/{release}/schedule");
    let at = master.app.now().plus_secs(60);

    let silent = refused(&master, &path, "admin", json!({ "at": at })).await;
    let (said, _) = master.post(&path, "admin", json!({ "at": at, "reason": "the lawyers know" })).await;

    assert_eq!((silent.1.as_str(), said), ("gate_asks", StatusCode::OK));
}

#[tokio::test]
async fn an_import_is_fetched_first_and_only_who_configures_products_may_ask_for_it() {
    let master = Master::open().await;
    let wanted =
        |repository: &str| json!({ "product": "p1", "import": { "url": "/srv/repo", "repository": repository } });
    let token = json!({ "name": "bob", "role": "release-manager" });
    let bob = master.post("/api/v1/tokens", "admin", token).await.1["secret"].as_str().unwrap().to_string();

    let (forbidden, _) = master.json(Method::POST, "/api/v1/releases", Some(&bob), wanted("BaseOS")).await;
    let unknown = refused(&master, "/api/v1/releases", "admin", wanted("Nowhere")).await;
    let release = create(&master, wanted("BaseOS")).await;
    advance(&master, release).await;
    let early = master.claim("release-system", &[Kind::Plan]).await;
    let lease = master.claim("release-system", &[Kind::Import]).await.expect("it is to be fetched");
    let failure = json!({ "code": "import", "message": "could not fetch it" });
    master.report(&lease, json!({ "failed": failure })).await;
    advance(&master, release).await;

    assert_eq!((forbidden, unknown.1.as_str(), early), (StatusCode::FORBIDDEN, "unknown_repository", None));
    assert_eq!(lease["work"]["import"]["import"]["url"], "/srv/repo");
    assert_eq!(status(&master, release).await, "failed");
    master.post(&format!("/api/v1/releases/{release}/replan"), "admin", json!({})).await;
    assert!(master.claim("release-system", &[Kind::Import]).await.is_some(), "it is fetched again");
}

#[tokio::test]
async fn a_product_is_changed_without_taking_anything_from_its_users() {
    let master = Master::open().await;
    stable(&master, json!({ "team": "core" })).await;
    let put = async |body: Value| {
        master.json(Method::PUT, "/api/v1/products/stable", Some(&master.token("admin")), body).await
    };
    let product = |repositories: Value, archs: Value| {
        json!({
            "name": "stable", "title": "Stable", "repositories": repositories, "architectures": archs,
            "quota": { "packages": 10 }
        })
    };

    let (lost, _) = put(product(json!(["BaseOS"]), json!(["x86_64"]))).await;
    let (changed, shown) = put(product(json!(["BaseOS", "AppStream", "CRB"]), json!(["x86_64", "aarch64"]))).await;

    assert_eq!((lost, changed), (StatusCode::CONFLICT, StatusCode::OK));
    assert_eq!((&shown["quota"]["packages"], shown.get("team")), (&json!(10), None));
    let repositories = master.get("/api/v1/repositories?product=stable").await;
    let paths: BTreeSet<&str> =
        repositories.as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap()).collect();
    assert!(paths.contains("CRB/aarch64") && paths.contains("debug/aarch64"), "{paths:?}");
    let unknown = json!({
        "name": "x", "title": "X", "repositories": ["a"], "architectures": ["x86_64"], "platforms": ["none"]
    });
    assert_eq!(refused(&master, "/api/v1/products", "admin", unknown).await.1, "unknown_platform");
}

/// Begins a release of a build without packages, and plans it: its product releases by itself.
async fn planned_build(master: &Master) -> ReleaseId {
    let mut write = master.app.db.write(master.app.now(), "test").await.unwrap();
    let new = anima_db::build::NewBuild {
        owner: "ann".into(),
        reason: "a test".into(),
        platforms: vec!["p1".into()],
        architectures: vec![anima_types::Arch::X86_64],
        priority: Default::default(),
        summary: String::new(),
        gather: None,
    };
    let build = anima_db::build::insert(&mut write, &new).await.unwrap();
    let release = anima_master::release::begin(&mut write, build, "p1").await.unwrap();
    write.commit().await.unwrap();
    plan(master, release, RepositoryId(1), "BaseOS/x86_64", json!([])).await;
    release
}

#[tokio::test]
async fn what_goes_by_rule_goes_one_after_the_other_and_nobody_works_on_what_cannot_go() {
    let master = Master::open().await;
    let (first, second, third) =
        (planned_build(&master).await, planned_build(&master).await, planned_build(&master).await);
    let all = async || [status(&master, first).await, status(&master, second).await, status(&master, third).await];
    assert_eq!(all().await, ["publishing", "planned", "planned"]);
    let summary = format!("Planned: it goes by the product's rule after release {first}.");
    assert_eq!(master.get(&format!("/api/v1/releases/{second}")).await["summary"], summary);

    let lease = master.claim("release-system", &[Kind::Publish]).await.unwrap();
    let failure = json!({ "code": "publish", "message": "the disk is full" });
    master.report(&lease, json!({ "failed": failure })).await;
    while anima_master::chores::advance_once(&master.app).await.unwrap() {}
    assert_eq!(all().await, ["failed", "publishing", "planned"], "the end of one makes the next one due");

    let jq = package(&master, "jq-1.7-1.x86_64", 1).await;
    show(&master, "p1", "BaseOS/x86_64", &[jq]).await;
    advance(&master, second).await;
    assert_eq!(all().await, ["failed", "planning", "planned"], "users see something else by now");
    assert!(master.claim("release-system", &[Kind::Publish]).await.is_none(), "its metadata is of no use");
    while anima_master::chores::advance_once(&master.app).await.unwrap() {}
    assert_eq!(all().await, ["failed", "planning", "planned"], "one is planned anew, not all that wait");
    plan(&master, second, RepositoryId(1), "BaseOS/x86_64", json!([])).await;
    assert_eq!(all().await, ["failed", "publishing", "planned"]);
}

#[tokio::test]
async fn only_packages_of_a_build_that_it_has_are_released() {
    let master = Master::open().await;
    let (status, answer) =
        master.post("/api/v1/releases", "admin", json!({ "product": "p1", "copy": ["nothing"] })).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{answer}");
    let (status, answer) = master.post("/api/v1/releases", "admin", json!({ "product": "p1" })).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{answer}");
}
