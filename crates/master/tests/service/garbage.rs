//! Retention: what goes by the rule and what nothing names, and that nothing goes that something names.

use std::{
    collections::BTreeSet,
    fs::File,
    time::{Duration, SystemTime},
};

use anima_db::{package::Package, snapshot::NewSnapshot, task::About};
use anima_master::garbage::collect_once;
use anima_repodata::Repomd;
use anima_types::{Sha256, id::ReleaseId, retention::Collection, task::Kind};
use axum::{
    body::Body,
    http::{Method, StatusCode},
};
use serde_json::json;

use crate::{
    master::Master,
    one_switch::{Files, PATHS, Product, made, product, publish, take_back},
};

const DAY_SECS: i64 = 86_400;

async fn collect(master: &Master, is_dry_run: bool) -> Collection {
    collect_once(&master.app, master.app.now(), "ann", is_dry_run).await.unwrap()
}

/// Makes all files in the store old, as they are on a master that has run for long.
async fn age(master: &Master) {
    for first_byte in 0..=u8::MAX {
        for (sha256, _) in master.app.store.list(first_byte, SystemTime::now() + Duration::from_secs(60)).await.unwrap()
        {
            let file = File::open(master.stored(sha256)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(30 * 86_400)).unwrap();
        }
    }
}

async fn keep(master: &Master, product: &Product, newest_count: u32, days: u32) {
    for repository in &product.repositories {
        let path = format!("/api/v1/repositories/{repository}/settings");
        let body = json!({ "keep": { "newest_count": newest_count, "days": days } });
        let (status, answer) = master.json(Method::PUT, &path, Some(&master.token("admin")), body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
}

/// Checks that a snapshot is there whole, with its package, or not at all.
async fn is_whole(master: &Master, path: &str, number: i64) -> bool {
    let base = format!("/repos/p1/{path}@{number}/");
    let (status, index) = master.send(Method::GET, &format!("{base}repodata/repomd.xml"), None, Body::empty()).await;
    if status == StatusCode::NOT_FOUND {
        return false;
    }
    let repomd = Repomd::parse(&index).unwrap();
    let named = repomd.records.iter().map(|record| record.location.clone()).chain([made(number).fragment.location]);
    for location in named {
        let (status, _) = master.send(Method::GET, &format!("{base}{location}"), None, Body::empty()).await;
        assert_eq!(status, StatusCode::OK, "{base}{location}");
    }
    true
}

async fn whole(master: &Master, path: &str, up_to: i64) -> Vec<i64> {
    let mut whole = Vec::new();
    for number in 1..=up_to {
        if is_whole(master, path, number).await {
            whole.push(number);
        }
    }
    whole
}

#[tokio::test]
async fn a_rule_drops_old_snapshots_with_what_only_they_had_and_a_dry_run_says_so_before() {
    let master = Master::open().await;
    let product = product(&master).await;
    for number in 1..=6 {
        publish(&master, &product, number - 1, number).await;
        master.pass_secs(10 * DAY_SECS);
    }
    let first = product.repositories[0];
    let pin = format!("/api/v1/repositories/{first}/snapshots/2/pin");
    let (status, _) =
        master.json(Method::PUT, &pin, Some(&master.token("admin")), json!({ "reason": "the lab" })).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(collect(&master, false).await.snapshots, [], "without a rule nothing goes");
    keep(&master, &product, 2, 45).await;
    age(&master).await;
    let before = whole(&master, PATHS[0], 6).await;

    let dry = collect(&master, true).await;
    assert_eq!(whole(&master, PATHS[0], 6).await, before, "a dry run changes nothing");
    let done = collect(&master, false).await;

    assert!(dry.is_dry_run && !done.is_dry_run);
    assert_eq!(Collection { is_dry_run: false, ..dry }, done, "it says what is done then");
    let addresses: BTreeSet<&str> = done.snapshots.iter().map(|fate| fate.address.as_str()).collect();
    assert_eq!(addresses, ["p1/BaseOS/x86_64@1", "p1/source@1", "p1/source@2"].into());
    assert!(done.kept_snapshots.iter().any(|fate| fate.reason == "it is pinned: the lab"), "{done:?}");
    assert_eq!(whole(&master, PATHS[0], 6).await, [2, 3, 4, 5, 6]);
    assert_eq!(whole(&master, PATHS[1], 6).await, [3, 4, 5, 6]);
    assert!(!master.app.store.contains(made(1).fragment.sha256).await.unwrap(), "nobody has its package any more");
    assert!(master.app.store.contains(made(2).fragment.sha256).await.unwrap(), "a pinned snapshot has it");
    assert_eq!(collect(&master, false).await.artifact_count, 0, "twice is once");
    let events = master.get("/api/v1/events/list?limit=500").await.to_string();
    assert!(events.contains("Snapshot p1/source@1 was dropped: "), "{events}");
}

#[tokio::test]
async fn files_that_no_row_names_go_when_they_are_old_and_not_before() {
    let master = Master::open().await;
    let stray = master.app.store.put_bytes("left over").await.unwrap().sha256;
    assert_eq!(collect(&master, false).await.artifact_count, 0, "it may be somebody's upload");
    age(&master).await;

    let dry = collect(&master, true).await;
    let done = collect(&master, false).await;

    assert_eq!((dry.artifact_count, done.artifact_count, done.size_bytes), (1, 1, 9));
    assert!(!master.app.store.contains(stray).await.unwrap());
}

/// Makes a release that imported two packages, of which the first is signed; returns the packages and the signed one.
async fn imported(master: &Master, first_byte: u8) -> (ReleaseId, [Sha256; 2], Sha256) {
    let mut write = master.app.db.write(master.app.now(), "ann").await.unwrap();
    let import = serde_json::from_value(json!({ "import": { "url": "/srv/repo", "repository": "BaseOS" } })).unwrap();
    let content: anima_types::release::Content = import;
    let release = anima_db::release::insert(&mut write, "p1", content, "It imports.").await.unwrap();
    let about = About { release: Some(release), ..About::new(Kind::Import) };
    let task = anima_db::task::insert(&mut write, &about, "It fetches.").await.unwrap();
    let key = anima_db::product::get(&mut write, "p1").await.unwrap().key.unwrap();
    let mut all = Vec::new();
    for (number, version) in
        [(0, i64::from(first_byte)), (1, i64::from(first_byte) + 1), (2, i64::from(first_byte) + 2)]
    {
        let Files { bytes, fragment } = made(version);
        let sha256 = master.app.store.put_bytes(bytes.clone()).await.unwrap().sha256;
        anima_db::artifact::insert(&mut write, sha256, bytes.len() as u64).await.unwrap();
        let package = Package {
            sha256,
            file_name: fragment.nevra.file_name(),
            nevra: fragment.nevra.clone(),
            source: "jq".into(),
            is_source: false,
            xml: serde_json::to_string(&fragment).unwrap(),
            header_sha256: sha256,
        };
        anima_db::package::insert(&mut write, &package).await.unwrap();
        match number {
            2 => anima_db::package::insert_signed(&mut write, all[0], key, sha256).await.unwrap(),
            _ => {
                let kind = anima_types::artifact::Kind::Rpm;
                anima_db::artifact::link(&mut write, task, sha256, kind, &package.file_name).await.unwrap();
            }
        }
        all.push(sha256);
    }
    let held = anima_db::task::get(&mut write, task).await.unwrap();
    anima_db::task::apply(&mut write, &held, anima_types::task::Event::Cancelled, "The test ends it.").await.unwrap();
    write.commit().await.unwrap();
    (release, [all[0], all[1]], all[2])
}

#[tokio::test]
async fn what_an_import_brought_stays_with_what_users_have_of_it_and_goes_when_the_import_was_given_up() {
    let master = Master::open().await;
    let (open, kept, kept_signed) = imported(&master, 100).await;
    let (given_up, [original, unused], signed) = imported(&master, 110).await;
    let mut write = master.app.db.write(master.app.now(), "ann").await.unwrap();
    let row = anima_db::release::get(&mut write, given_up).await.unwrap();
    anima_db::release::apply(&mut write, &row, anima_types::release::Event::Abandoned, "No more.").await.unwrap();
    // Another release gave users the signed package.
    let repository = anima_db::repository::find(&mut write, "p1", "BaseOS/x86_64").await.unwrap().unwrap();
    let new = NewSnapshot {
        repository: repository.id,
        base: 0,
        release: open,
        added: vec![signed],
        removed: Vec::new(),
        files: Vec::new(),
        layout: None,
    };
    anima_db::snapshot::insert(&mut write, &new).await.unwrap();
    anima_db::repository::set_current(&mut write, repository.id, 0, 1).await.unwrap();
    write.commit().await.unwrap();
    master.pass_secs(300 * DAY_SECS);
    age(&master).await;

    let dry = collect(&master, true).await;
    let done = collect(&master, false).await;

    assert_eq!(Collection { is_dry_run: false, ..dry }, done);
    let gone: BTreeSet<Sha256> = done.artifacts.iter().map(|artifact| artifact.sha256).collect();
    assert_eq!(gone, [unused].into(), "{done:?}");
    assert!(done.artifacts[0].reason.contains("and was abandoned"), "{done:?}");
    for sha256 in [kept[0], kept[1], kept_signed, original, signed] {
        assert!(master.app.store.contains(sha256).await.unwrap());
    }
    let mut read = master.app.db.read().await.unwrap();
    assert_eq!(anima_db::package::original(&mut read, signed).await.unwrap(), original, "it can be signed anew");
}

/// A generator (SplitMix64): a failure names its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)) % bound
    }
}

#[tokio::test]
async fn whatever_was_released_and_taken_back_nothing_that_something_names_is_ever_dropped() {
    for seed in 0..4_u64 {
        let (master, mut random) = (Master::open().await, Random(seed));
        let product = product(&master).await;
        let (mut current, mut newest, mut pinned) = (0, 0, BTreeSet::new());
        for _ in 0..14 {
            match random.below(4) {
                0 if current > 1 && is_whole(&master, PATHS[0], current - 1).await && current - 1 != 0 => {
                    let base = current - 1;
                    take_back(&master, &product, current, base).await;
                    current = base;
                }
                1 if newest > 0 => {
                    let number = 1 + random.below(newest as u64) as i64;
                    if is_whole(&master, PATHS[0], number).await {
                        for repository in &product.repositories {
                            let path = format!("/api/v1/repositories/{repository}/snapshots/{number}/pin");
                            let pin = json!({ "reason": "wanted" });
                            master.json(Method::PUT, &path, Some(&master.token("admin")), pin).await;
                        }
                        pinned.insert(number);
                    }
                }
                _ => {
                    newest += 1;
                    publish(&master, &product, current, newest).await;
                    current = newest;
                }
            }
            master.pass_secs(DAY_SECS * random.below(20) as i64);
            keep(&master, &product, 2 + random.below(2) as u32, random.below(30) as u32).await;
            age(&master).await;

            let turn = master.app.db.write(master.app.now(), "ann").await.unwrap();
            let dry = collect(&master, true).await;
            // It did not wait for who writes.
            drop(turn);
            let done = collect(&master, false).await;

            assert_eq!(Collection { is_dry_run: false, ..dry }, done, "seed {seed}");
            let kept: BTreeSet<Sha256> = done.artifacts.iter().map(|artifact| artifact.sha256).collect();
            for path in PATHS {
                let there = whole(&master, path, newest).await;
                assert!(
                    current == 0 || there.contains(&current),
                    "seed {seed}: users see @{current}, there is {there:?}"
                );
                assert!(pinned.iter().all(|number| there.contains(number)), "seed {seed}: {pinned:?} of {there:?}");
                for number in &there {
                    assert!(!kept.contains(&made(*number).fragment.sha256), "seed {seed}: @{number} lost its package");
                }
            }
        }
    }
}
