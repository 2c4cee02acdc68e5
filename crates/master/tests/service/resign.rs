//! What users see gets the signature of the product's new key: signed in pieces, planned over all repositories, as one release.

use anima_db::task::Ended;
use anima_types::{
    Sha256,
    id::{ReleaseId, RepositoryId, TaskId},
    task::{Event, Kind},
};
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    keys::{key, make},
    master::Master,
    plans::{advance, create, events, package, plan, plan_task, show},
};

/// The key of a service that was just opened, and its product's next, which signs what nobody here built.
async fn rotate(master: &Master) {
    let (status, new) = master.post("/api/v1/products/p1/key", "admin", json!({})).await;
    assert_eq!(status, StatusCode::CREATED, "{new}");
    make(master, &key("New <n@example.org>", None)).await;
    let policy = json!({ "requires": { "built": false, "green": false } });
    let path = format!("/api/v1/keys/{}/policy", new["id"]);
    assert_eq!(master.json(Method::PUT, &path, Some(&master.token("admin")), policy).await.0, StatusCode::OK);
}

/// Takes the next sign task of a release, and writes that all that it asks for is signed.
async fn sign_next(master: &Master, release: ReleaseId) -> Option<usize> {
    advance(master, release).await;
    let lease = master.claim("sign-server", &[Kind::Sign]).await?;
    let items = lease["work"]["sign"]["signatures"]["items"].as_array().unwrap().clone();
    let mut write = master.app.db.write(master.app.now(), "test").await.unwrap();
    let key = anima_db::product::get(&mut write, "p1").await.unwrap().key.unwrap();
    for item in &items {
        let original: Sha256 = item["artifact"].as_str().unwrap().parse().unwrap();
        let mut signed = original;
        signed.0[31] = 200;
        let row = anima_db::package::get(&mut write, original).await.unwrap();
        let xml = row.xml.replace(&original.to_string(), &signed.to_string());
        anima_db::artifact::insert(&mut write, signed, 1_000).await.unwrap();
        anima_db::package::insert(&mut write, &anima_db::package::Package { sha256: signed, xml, ..row })
            .await
            .unwrap();
        anima_db::package::insert_signed(&mut write, original, key, signed).await.unwrap();
    }
    let id = TaskId(lease["task"].as_i64().unwrap());
    let task = anima_db::task::get(&mut write, id).await.unwrap();
    let ended = Ended { phases: Vec::new(), failure: None, result: None, report_hash: None };
    anima_db::task::end(&mut write, &task, Event::Succeeded, "It is signed.", &ended).await.unwrap();
    write.commit().await.unwrap();
    Some(items.len())
}

fn numbers(packages: &Value) -> Vec<u64> {
    let of = |package: &Value| package["artifact"].as_str().unwrap().parse::<Sha256>().unwrap().0[31].into();
    packages.as_array().unwrap().iter().map(of).collect()
}

#[tokio::test]
async fn all_that_users_see_is_signed_anew_and_goes_where_it_was_as_one_release() {
    let master = Master::open().await;
    make(&master, &key("Old <o@example.org>", None)).await;
    let (jq, xz) = (package(&master, "jq-1.7-1.x86_64", 1).await, package(&master, "xz-5-1.x86_64", 2).await);
    let base_os = show(&master, "p1", "BaseOS/x86_64", &[jq, xz]).await;
    let source = package(&master, "jq-1.7-1.src", 3).await;
    show(&master, "p1", "source", &[source]).await;
    let nothing = json!({ "product": "p1", "resign": ["Nowhere"] });
    assert_eq!(master.post("/api/v1/releases", "admin", nothing).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    rotate(&master).await;

    let release = create(&master, json!({ "product": "p1", "resign": [] })).await;
    assert_eq!(sign_next(&master, release).await, Some(3), "those that were there before any signature");
    let work = plan_task(&master, release).await["work"]["plan"].clone();

    let packages = work["packages"].as_array().unwrap();
    assert_eq!(numbers(&work["packages"]), [200, 200, 200]);
    let places = |nevra: &str| packages.iter().find(|package| package["nevra"] == nevra).unwrap()["places"].clone();
    assert_eq!((places("jq-1.7-1.x86_64"), places("jq-1.7-1.src")), (json!(["BaseOS/x86_64"]), json!(["source"])));
    let there = work["repositories"].as_array().unwrap().iter().flat_map(|each| each["packages"].as_array().unwrap());
    let old = there.clone().find(|package| package["nevra"] == "xz-5-1.x86_64").unwrap();
    let new = packages.iter().find(|package| package["nevra"] == "xz-5-1.x86_64").unwrap();
    assert!(old["artifact"] != new["artifact"], "another file");
    assert!(base_os.0 > 0);
}

#[tokio::test]
async fn many_packages_are_signed_in_pieces_and_a_signer_that_was_cut_off_does_not_begin_anew() {
    let master = Master::open().await;
    make(&master, &key("Old <o@example.org>", None)).await;
    let mut packages = Vec::new();
    let mut write = master.app.db.write(master.app.now(), "test").await.unwrap();
    for number in 0..1_200_u16 {
        let mut bytes = [7; 32];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        let nevra: anima_types::Nevra = format!("p{number}-1-1.x86_64").parse().unwrap();
        let xml = json!({ "nevra": nevra, "sha256": Sha256(bytes), "location": "x", "primary": "", "filelists": "", "other": "" });
        let (file_name, source) = (nevra.file_name(), nevra.name.clone());
        let row = anima_db::package::Package {
            sha256: Sha256(bytes),
            nevra,
            file_name,
            source,
            is_source: false,
            xml: xml.to_string(),
            header_sha256: Sha256(bytes),
        };
        anima_db::artifact::insert(&mut write, row.sha256, 1_000).await.unwrap();
        anima_db::package::insert(&mut write, &row).await.unwrap();
        packages.push(row.sha256);
    }
    write.commit().await.unwrap();
    show(&master, "p1", "BaseOS/x86_64", &packages).await;
    rotate(&master).await;
    let release = create(&master, json!({ "product": "p1", "resign": ["BaseOS/x86_64"] })).await;

    let first = sign_next(&master, release).await;
    advance(&master, release).await;
    let cut_off = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
    master.pass_secs(3_600);
    anima_master::chores::expire_once(&master.app, master.app.now()).await.unwrap();
    let second = sign_next(&master, release).await;
    let third = sign_next(&master, release).await;

    assert_eq!((first, second, third), (Some(1_000), Some(200), None));
    assert_eq!(cut_off["work"]["sign"]["signatures"]["items"].as_array().unwrap().len(), 200);
    assert_eq!(plan_task(&master, release).await["work"]["plan"]["packages"].as_array().unwrap().len(), 1_200);
}

#[tokio::test]
async fn a_plan_that_waits_is_made_anew_when_the_product_gets_another_key() {
    let master = Master::open().await;
    make(&master, &key("Old <o@example.org>", None)).await;
    let jq = package(&master, "jq-1.7-1.x86_64", 1).await;
    let repository: RepositoryId = show(&master, "p1", "BaseOS/x86_64", &[jq]).await;
    let release = create(&master, json!({ "product": "p1", "remove": ["jq"] })).await;
    assert_eq!(plan(&master, release, repository, "BaseOS/x86_64", json!([])).await["status"], "planned");

    rotate(&master).await;

    let shown = master.get(&format!("/api/v1/releases/{release}")).await;
    assert_eq!((&shown["status"], &shown["removals"]), (&json!("planning"), &json!([])));
    let told = events(&master, release).await;
    assert!(told.iter().any(|(_, _, message)| message.contains("another key")), "{told:?}");
}

async fn commit(master: &Master, release: ReleaseId, reason: &str) -> Value {
    let path = format!("/api/v1/releases/{release}/commit");
    let (status, answer) = master.post(&path, "admin", json!({ "reason": reason })).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    master.get(&format!("/api/v1/releases/{release}")).await
}

#[tokio::test]
async fn what_is_published_while_the_product_gets_another_key_does_not_go_out_with_the_old_signatures() {
    let master = Master::open().await;
    make(&master, &key("Old <o@example.org>", None)).await;
    let jq = package(&master, "jq-1.7-1.x86_64", 1).await;
    let repository: RepositoryId = show(&master, "p1", "BaseOS/x86_64", &[jq]).await;
    let release = create(&master, json!({ "product": "p1", "remove": ["jq"] })).await;
    plan(&master, release, repository, "BaseOS/x86_64", json!([])).await;
    assert_eq!(commit(&master, release, "it goes").await["status"], "publishing");
    let publishes = master.claim("release-system", &[Kind::Publish]).await.expect("its metadata is made");
    let other = create(&master, json!({ "product": "p1", "remove": ["jq"] })).await;
    let planning = plan_task(&master, other).await;

    rotate(&master).await;

    let shown = master.get(&format!("/api/v1/releases/{release}")).await;
    assert_eq!((&shown["status"], &shown["committed_by"]), (&json!("planning"), &Value::Null));
    let late = json!({ "succeeded": { "publish": { "repositories": [] } } });
    assert_eq!(master.report(&publishes, late).await.0, StatusCode::CONFLICT, "what it makes is for nobody");
    let late = json!({ "succeeded": { "plan": { "entries": [], "removals": [] } } });
    assert_eq!(master.report(&planning, late).await.0, StatusCode::CONFLICT, "a plan with the old signatures, too");
    assert!(plan_task(&master, other).await["number"].is_i64(), "it is planned once more");
}

#[tokio::test]
async fn who_decided_that_all_is_signed_anew_need_not_decide_again_because_another_release_came_first() {
    let master = Master::open().await;
    make(&master, &key("Old <o@example.org>", None)).await;
    let jq = package(&master, "jq-1.7-1.x86_64", 1).await;
    let repository: RepositoryId = show(&master, "p1", "BaseOS/x86_64", &[jq]).await;
    rotate(&master).await;
    let release = create(&master, json!({ "product": "p1", "resign": [] })).await;
    assert_eq!(sign_next(&master, release).await, Some(1));
    plan(&master, release, repository, "BaseOS/x86_64", json!([])).await;

    let xz = package(&master, "xz-5-1.x86_64", 2).await;
    show(&master, "p1", "BaseOS/x86_64", &[jq, xz]).await;
    let again = commit(&master, release, "a new key").await;
    assert_eq!((&again["status"], &again["committed_by"]), (&json!("planning"), &json!("admin")));
    while sign_next(&master, release).await.is_some() {}
    let planned = plan(&master, release, repository, "BaseOS/x86_64", json!([])).await;

    assert_eq!((&planned["status"], &planned["reason"]), (&json!("publishing"), &json!("a new key")));
    assert_eq!(planned["plan"].as_array().unwrap().len(), 2, "what came meanwhile is signed with the rest");

    // Where a gate says something that nobody has read, it has to be decided again.
    let release = create(&master, json!({ "product": "p1", "resign": [] })).await;
    plan(&master, release, repository, "BaseOS/x86_64", json!([])).await;
    show(&master, "p1", "BaseOS/x86_64", &[xz]).await;
    commit(&master, release, "once more").await;
    let blocks =
        json!([{ "gate": "closure", "level": "block", "found_count": 1, "found": [{ "text": "jq is not there" }] }]);
    let planned = plan(&master, release, repository, "BaseOS/x86_64", blocks).await;
    assert_eq!((&planned["status"], &planned["committed_by"]), (&json!("planned"), &Value::Null));
}
