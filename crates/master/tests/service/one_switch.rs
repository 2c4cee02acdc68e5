//! Clients that read all the time while releases come and are taken back: whatever they learn to be there is there, with
//! the hash that they were told, and all repositories of a product change in one step.

use std::collections::BTreeSet;

use anima_db::{package::Package, snapshot::NewSnapshot};
use anima_repodata::{Compression, PackageXml, Repodata, RepodataBuilder, Repomd};
use anima_rpm_file::SigningKey;
use anima_types::{
    Nevra, Sha256,
    id::{ReleaseId, RepositoryId},
};
use axum::{
    body::Body,
    http::{Method, StatusCode},
};
use sha2::Digest;

use crate::master::Master;

/// Releases; every third is taken back.
const RELEASES: i64 = 30;
/// The two repositories of the test's product that are followed.
pub const PATHS: [&str; 2] = ["BaseOS/x86_64", "source"];

pub struct Files {
    pub bytes: Vec<u8>,
    pub fragment: PackageXml,
}

/// A package of a version; its file is a stand-in, as nobody opens it here.
pub fn made(version: i64) -> Files {
    let nevra: Nevra = format!("jq-{version}-1.x86_64").parse().unwrap();
    let bytes = format!("package {version}").into_bytes();
    let sha256 = hash(&bytes);
    let location = format!("Packages/{}", nevra.file_name());
    let primary = format!(
        "<package type=\"rpm\"><name>jq</name><arch>x86_64</arch><version epoch=\"0\" ver=\"{version}\" rel=\"1\"/>\
         <checksum type=\"sha256\" pkgid=\"YES\">{sha256}</checksum><size package=\"{}\" installed=\"1\" archive=\"1\"/>\
         <location href=\"{location}\"/>\
         <format><license>L</license></format></package>",
        bytes.len()
    );
    let head = format!(
        "<package pkgid=\"{sha256}\" name=\"jq\" arch=\"x86_64\"><version epoch=\"0\" ver=\"{version}\" rel=\"1\"/>"
    );
    let filelists = format!("{head}<file>/usr/share/{version}</file></package>");
    let other = format!("{head}</package>");
    Files { bytes, fragment: PackageXml { nevra, sha256, location, primary, filelists, other } }
}

fn hash(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

async fn keep(master: &Master, write: &mut anima_db::Write, bytes: &[u8]) -> Sha256 {
    let stored = master.app.store.put_bytes(bytes.to_vec()).await.unwrap();
    anima_db::artifact::insert(write, stored.sha256, bytes.len() as u64).await.unwrap();
    stored.sha256
}

pub struct Product {
    pub repositories: Vec<RepositoryId>,
    release: ReleaseId,
    /// Signs the index, where the test wants that.
    pub key: Option<SigningKey>,
}

pub async fn product(master: &Master) -> Product {
    let mut write = master.app.db.write(master.app.now(), "ann").await.unwrap();
    let new = anima_db::build::NewBuild {
        owner: "ann".into(),
        reason: "asked for".into(),
        platforms: vec!["p1".into()],
        architectures: vec![anima_types::Arch::X86_64],
        priority: Default::default(),
        summary: "Waits.".into(),
        gather: None,
    };
    let build = anima_db::build::insert(&mut write, &new).await.unwrap();
    let release = anima_db::release::insert(&mut write, "p1", build, "It is being planned.").await.unwrap();
    let all = anima_db::repository::list(&mut write, Some("p1")).await.unwrap();
    let repositories = all.into_iter().filter(|one| PATHS.contains(&one.path.as_str())).map(|one| one.id).collect();
    write.commit().await.unwrap();
    Product { repositories, release, key: None }
}

/// Makes snapshot `number` of both repositories and shows it in one transaction.
pub async fn publish(master: &Master, product: &Product, from: i64, number: i64) {
    let Files { bytes, fragment } = made(number);
    let Repodata { repomd_xml, files, .. } =
        RepodataBuilder::new(Compression::Gzip).add(&fragment).finish(number).unwrap();
    let mut write = master.app.db.write(master.app.now(), "ann").await.unwrap();
    let sha256 = keep(master, &mut write, &bytes).await;
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
    let mut listed = vec![("repodata/repomd.xml".to_string(), keep(master, &mut write, &repomd_xml).await)];
    if let Some(key) = &product.key {
        let signature = key.sign_armoured(&repomd_xml, 1_700_000_000).unwrap();
        listed.push(("repodata/repomd.xml.asc".to_string(), keep(master, &mut write, signature.as_bytes()).await));
    }
    for file in files {
        listed.push((file.name, keep(master, &mut write, &file.bytes).await));
    }
    for &repository in &product.repositories {
        let before = anima_db::snapshot::listed(&mut write, repository, from).await.unwrap();
        let new = NewSnapshot {
            repository,
            base: from,
            release: product.release,
            added: vec![sha256],
            removed: before.into_iter().map(|package| package.artifact).collect(),
            files: listed.clone(),
            layout: None,
        };
        assert_eq!(anima_db::snapshot::insert(&mut write, &new).await.unwrap(), number);
        anima_db::repository::set_current(&mut write, repository, from, number).await.unwrap();
    }
    write.commit().await.unwrap();
}

/// Shows an older snapshot again, as taking a release back does.
pub async fn take_back(master: &Master, product: &Product, from: i64, to: i64) {
    let mut write = master.app.db.write(master.app.now(), "ann").await.unwrap();
    for &repository in &product.repositories {
        anima_db::repository::set_current(&mut write, repository, from, to).await.unwrap();
    }
    write.commit().await.unwrap();
}

async fn read(master: &Master, path: &str) -> Vec<u8> {
    let (status, bytes) = master.send(Method::GET, path, None, Body::empty()).await;
    assert_eq!(status, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&bytes));
    bytes
}

/// Reads what an index below an address names, and returns its revision.
async fn read_all(master: &Master, base: &str, index: &[u8]) -> i64 {
    let repomd = Repomd::parse(index).unwrap();
    for record in &repomd.records {
        let bytes = read(master, &format!("{base}{}", record.location)).await;
        assert_eq!(hash(&bytes).to_string(), record.checksum.hex, "{base}{}", record.location);
    }
    let number: i64 = repomd.revision.parse().unwrap();
    let wanted = made(number);
    let package = read(master, &format!("{base}{}", wanted.fragment.location)).await;
    assert_eq!(package, wanted.bytes, "{base}");
    number
}

/// One reading by the moving address, and one by the address that the metalink names.
async fn follow(master: &Master, path: &str) {
    let moving = format!("/repos/p1/{path}/");
    let index = read(master, &format!("{moving}repodata/repomd.xml")).await;
    tokio::task::yield_now().await;
    read_all(master, &moving, &index).await;

    let metalink = String::from_utf8(read(master, &format!("{moving}metalink.xml")).await).unwrap();
    let between = |start: &str, end: &str| {
        let rest = metalink.split_once(start).unwrap_or_else(|| panic!("{metalink}")).1;
        rest.split_once(end).unwrap_or_else(|| panic!("{metalink}")).0.to_string()
    };
    let pinned = between("preference=\"100\">http://master.example", "repodata/repomd.xml");
    let index = read(master, &format!("{pinned}repodata/repomd.xml")).await;
    assert_eq!(hash(&index).to_string(), between("<hash type=\"sha256\">", "<"));
    let number = read_all(master, &pinned, &index).await;
    assert_eq!(pinned, format!("/repos/p1/{path}@{number}/"));
}

#[tokio::test]
async fn who_reads_during_releases_and_rollbacks_never_misses_a_file_and_never_sees_a_mixture() {
    let master = Master::open().await;
    let product = product(&master).await;
    assert_eq!(product.repositories.len(), PATHS.len());
    publish(&master, &product, 0, 1).await;
    let is_over = std::cell::Cell::new(false);
    let readings = std::cell::Cell::new(0);

    let releasing = async {
        let mut current = 1;
        for number in 2..=RELEASES {
            publish(&master, &product, current, number).await;
            if number % 3 == 0 {
                take_back(&master, &product, number, current).await;
            } else {
                current = number;
            }
            let before = readings.get();
            while readings.get() == before {
                tokio::task::yield_now().await;
            }
        }
        is_over.set(true);
    };
    let following = |path| {
        let (master, is_over, readings) = (&master, &is_over, &readings);
        async move {
            while !is_over.get() {
                follow(master, path).await;
                readings.set(readings.get() + 1);
            }
        }
    };
    let watching = async {
        while !is_over.get() {
            let all = master.get("/api/v1/repositories?product=p1").await;
            let shown = all.as_array().unwrap().iter().filter(|one| PATHS.contains(&one["path"].as_str().unwrap()));
            let numbers: BTreeSet<_> = shown.map(|one| one["current"].as_i64().unwrap()).collect();
            assert_eq!(numbers.len(), 1, "the repositories are at {numbers:?}");
        }
    };
    tokio::join!(releasing, following(PATHS[0]), following(PATHS[1]), following(PATHS[0]), watching);

    for number in 1..=RELEASES {
        for base in [format!("/repos/p1/BaseOS/x86_64@{number}/"), format!("/repos/p1/BaseOS/x86_64/@{number}/")] {
            let index = read(&master, &format!("{base}repodata/repomd.xml")).await;
            assert_eq!(read_all(&master, &base, &index).await, number);
        }
    }
}

#[tokio::test]
async fn two_snapshots_are_compared_down_to_their_files() {
    let master = Master::open().await;
    let product = product(&master).await;
    publish(&master, &product, 0, 1).await;
    publish(&master, &product, 1, 2).await;
    let diff = async |old: &str, new: &str| {
        master.get(&format!("/api/v1/repository-diff?old=p1/BaseOS/x86_64{old}&new=p1/{new}")).await
    };

    let changed = diff("@1", "BaseOS/x86_64").await;
    let back = diff("@2", "BaseOS/x86_64@1").await;
    let first = diff("@0", "source@1").await;
    let same = diff("@2", "source@2").await;

    assert_eq!((&changed["old"], &changed["new"]), (&"p1/BaseOS/x86_64@1".into(), &"p1/BaseOS/x86_64@2".into()));
    let change = &changed["changed"][0];
    assert_eq!((&change["kind"], &change["new"]), (&"upgrade".into(), &"2-1".into()));
    let files = serde_json::json!([{ "what": "files", "added": ["/usr/share/2"], "removed": ["/usr/share/1"] }]);
    assert_eq!(change["contents"], files);
    assert_eq!(back["changed"][0]["kind"], "downgrade");
    assert_eq!(first["added"], serde_json::json!(["jq-1-1.x86_64"]));
    assert_eq!(same["changed"], serde_json::json!([]));
    for unknown in ["p1/BaseOS/x86_64@9", "p1/BaseOS/x86_64@x", "p1/none@1", "nothing"] {
        let path = format!("/api/v1/repository-diff?old={unknown}&new=p1/source");
        let (status, answer) = master.json(Method::GET, &path, None, serde_json::Value::Null).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{answer}");
        assert!(answer.to_string().contains("anima repo list"), "{answer}");
    }
}
