//! The master is killed at every instant of a release: users see all repositories of the product as before, or all as
//! after, and whoever opens the master again carries the release on to its end.

use std::{
    collections::BTreeMap,
    pin::Pin,
    task::{Context, Poll},
};

use anima_db::{build::NewBuild, package::Package};
use anima_master::release::advance;
use anima_repodata::{Compression, PackageXml, RepodataBuilder};
use anima_rpm_file::SigningKey;
use anima_types::{
    Arch, Sha256,
    id::{ReleaseId, RepositoryId},
    release::{Event, PlanEntry, Status, Trust},
    task::Kind,
};
use axum::{
    body::Body,
    http::{Method, StatusCode},
};
use serde_json::{Value, json};
use sha2::Digest;

use crate::{master::Master, one_switch::made};

/// Steps of one future at most: a switch of three repositories takes some hundred.
const MAX_POLLS: usize = 5_000;

/// A future that is dropped after so many polls, as all that a killed process was doing is.
struct KilledAfter<F> {
    future: Pin<Box<F>>,
    polls_left: usize,
}

impl<F: Future> Future for KilledAfter<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<F::Output>> {
        match self.polls_left.checked_sub(1) {
            None => Poll::Ready(None),
            Some(left) => {
                self.polls_left = left;
                self.future.as_mut().poll(context).map(Some)
            }
        }
    }
}

/// Returns the release of one package, planned and ready to be decided by the product's rule.
async fn planned(master: &Master) -> ReleaseId {
    let app = &master.app;
    let stored = app.store.put_bytes(made(1).bytes).await.unwrap().sha256;
    let mut write = app.db.write(app.now(), "ann").await.unwrap();
    let new = NewBuild {
        owner: "ann".into(),
        reason: "asked for".into(),
        platforms: vec!["p1".into()],
        architectures: vec![Arch::X86_64],
        priority: Default::default(),
        summary: "Waits.".into(),
        gather: None,
    };
    let build = anima_db::build::insert(&mut write, &new).await.unwrap();
    let fragment = made(1).fragment;
    anima_db::artifact::insert(&mut write, stored, 9).await.unwrap();
    let package = Package {
        sha256: stored,
        file_name: fragment.nevra.file_name(),
        nevra: fragment.nevra.clone(),
        source: "jq".into(),
        is_source: false,
        xml: serde_json::to_string(&fragment).unwrap(),
        header_sha256: stored,
    };
    anima_db::package::insert(&mut write, &package).await.unwrap();
    let release = anima_db::release::insert(&mut write, "p1", build, "It is being planned.").await.unwrap();
    let all = anima_db::repository::list(&mut write, Some("p1")).await.unwrap();
    let first = all.iter().find(|repository| repository.path == "BaseOS/x86_64").unwrap();
    let entry = PlanEntry {
        nevra: fragment.nevra,
        artifact: stored,
        repository: first.id,
        repository_path: first.path.clone(),
        replaces: Vec::new(),
        trust: Trust::Default,
        reason: "nothing was found".into(),
    };
    let base: BTreeMap<RepositoryId, i64> = all.iter().map(|repository| (repository.id, 0)).collect();
    anima_db::release::set_plan(&mut write, release, &[entry], &[], &base).await.unwrap();
    let row = anima_db::release::get(&mut write, release).await.unwrap();
    anima_db::release::apply(&mut write, &row, Event::PlanMade, "It waits.").await.unwrap();
    write.commit().await.unwrap();
    release
}

/// Moves the release on, killed after every number of steps; returns the opened master when the whole was done. How many
/// steps there are depends on how quickly the database answers.
async fn advance_killed_everywhere(
    mut master: Master,
    release: ReleaseId,
    until: Status,
    kill_count: &mut usize,
) -> Master {
    for polls_left in 0..MAX_POLLS {
        let future = Box::pin(advance::advance_once(&master.app, release));
        let done = KilledAfter { future, polls_left }.await;
        let status = see_one_state(&master, release).await;
        if let Some(done) = done {
            done.unwrap();
            assert_eq!(status, until);
            return master;
        }
        *kill_count += 1;
        // Opening anew costs more than the rest: now and then is enough to see that nothing in memory matters.
        if polls_left.is_multiple_of(25) {
            master = master.restart().await;
        }
    }
    panic!("it never ends");
}

/// Checks that users see all repositories before or all after the release, and returns the release's status.
async fn see_one_state(master: &Master, release: ReleaseId) -> Status {
    let mut read = master.app.db.read().await.unwrap();
    let all = anima_db::repository::list(&mut read, Some("p1")).await.unwrap();
    let row = anima_db::release::get(&mut read, release).await.unwrap();
    let made = anima_db::snapshot::of_release(&mut read, release).await.unwrap();
    drop(read);
    assert!(all.len() >= 3, "{all:?}");
    let wanted = i64::from(row.status == Status::Released);
    for repository in &all {
        assert_eq!(repository.current, wanted, "{} while the release is {:?}", repository.path, row.status);
        let path = format!("/repos/p1/{}/repodata/repomd.xml", repository.path);
        let (status, _) = master.send(Method::GET, &path, None, Body::empty()).await;
        assert_eq!(status, if wanted == 1 { StatusCode::OK } else { StatusCode::NOT_FOUND }, "{path}");
    }
    assert_eq!(made.len() as i64, wanted * all.len() as i64);
    row.status
}

/// What the Release System does, with the master killed after each of its calls.
async fn publish(mut master: Master, release: ReleaseId) -> Master {
    let lease = master.claim("release-system", &[Kind::Publish]).await.expect("a task is ready");
    master = master.restart().await;
    let mut repositories = Vec::new();
    for wanted in lease["work"]["publish"]["repositories"].as_array().unwrap() {
        let url = wanted["packages_url"].as_str().unwrap().strip_prefix("http://master.example").unwrap();
        let packages: Vec<PackageXml> = serde_json::from_value(master.get(url).await).unwrap();
        let built = packages.iter().fold(RepodataBuilder::new(Compression::Gzip), RepodataBuilder::add);
        let built = built.finish(17).unwrap();
        let mut files = Vec::new();
        for file in &built.files {
            upload(&master, &lease, &file.bytes).await;
            files.push(json!({ "path": file.name, "sha256": file.sha256 }));
            master = master.restart().await;
        }
        let repomd = upload(&master, &lease, &built.repomd_xml).await;
        let layout = upload(&master, &lease, &built.layout.to_json()).await;
        repositories
            .push(json!({ "repository": wanted["repository"], "repomd": repomd, "files": files, "layout": layout }));
        see_one_state(&master, release).await;
    }
    let end = json!({ "succeeded": { "publish": { "repositories": repositories } } });
    let (status, answer) = master.report(&lease, end.clone()).await;
    assert!(status.is_success(), "{answer}");
    master = master.restart().await;
    // It was killed before the node heard the answer: the same report again is the same.
    let (status, answer) = master.report(&lease, end).await;
    assert!(status.is_success(), "{answer}");
    master
}

async fn upload(master: &Master, lease: &Value, bytes: &[u8]) -> Sha256 {
    let sha256 = Sha256(sha2::Sha256::digest(bytes).into());
    let path = format!("/api/v1/tasks/{}/artifacts/{sha256}?kind=repodata&name=x", lease["task"]);
    let (status, answer) = master.send(Method::PUT, &path, lease["secret"].as_str(), Body::from(bytes.to_vec())).await;
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&answer));
    sha256
}

/// The Sign Server makes the product's key.
async fn make_key(master: &Master) -> SigningKey {
    let lease = master.claim("sign-server", &[Kind::Sign]).await.expect("a key is wanted");
    let key = SigningKey::generate_ed25519("P 1 <p1@example.org>", 1_600_000_000).unwrap();
    let made = json!({ "fingerprint": key.fingerprint(), "public_key": key.to_armoured_public().unwrap() });
    let (status, answer) = master.report(&lease, json!({ "succeeded": { "sign": { "key": made } } })).await;
    assert!(status.is_success(), "{answer}");
    key
}

/// What the Sign Server does, likewise.
async fn sign(mut master: Master, key: &SigningKey) -> Master {
    let lease = master.claim("sign-server", &[Kind::Sign]).await.expect("a task is ready");
    master = master.restart().await;
    let mut signatures = Vec::new();
    for item in lease["work"]["sign"]["signatures"]["items"].as_array().unwrap() {
        let url = item["url"].as_str().unwrap().strip_prefix("http://master.example").unwrap();
        let (_, bytes) = master.send(Method::GET, url, None, Body::empty()).await;
        let signature = key.sign_armoured(&bytes, 1_700_000_000).unwrap();
        signatures.push(json!({ "artifact": item["artifact"], "form": item["form"], "signature": signature }));
    }
    let end = json!({ "succeeded": { "sign": { "signatures": signatures } } });
    let (status, answer) = master.report(&lease, end).await;
    assert!(status.is_success(), "{answer}");
    master.restart().await
}

#[tokio::test]
async fn a_master_that_is_killed_at_any_instant_of_a_release_shows_all_of_it_or_nothing() {
    let master = Master::open().await;
    let key = make_key(&master).await;
    let release = planned(&master).await;

    let mut kill_count = 0;

    let master = advance_killed_everywhere(master, release, Status::Publishing, &mut kill_count).await;
    let master = publish(master, release).await;
    let master = advance_killed_everywhere(master, release, Status::Signing, &mut kill_count).await;
    let master = sign(master, &key).await;
    let master = advance_killed_everywhere(master, release, Status::Released, &mut kill_count).await;
    assert!(kill_count > 5, "it was hardly killed: {kill_count}");

    // Going back is one step, too.
    let mut reverted = false;
    for polls_left in 0..MAX_POLLS {
        let app = &master.app;
        let future = Box::pin(async {
            let mut write = app.db.write(app.now(), "ann").await.unwrap();
            let row = anima_db::release::get(&mut write, release).await.unwrap();
            anima_master::release::revert(&mut write, &row, "ann").await.unwrap();
            write.commit().await.unwrap();
        });
        let done = KilledAfter { future, polls_left }.await;
        let mut read = app.db.read().await.unwrap();
        let all = anima_db::repository::list(&mut read, Some("p1")).await.unwrap();
        let wanted = if done.is_some() { 0 } else { all[0].current };
        assert!(all.iter().all(|repository| repository.current == wanted), "{all:?}");
        if wanted == 0 {
            reverted = true;
            break;
        }
    }
    assert!(reverted);
}
