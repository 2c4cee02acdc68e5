use super::*;
use crate::{
    Error, artifact, key, product, release, repository,
    testing::{self, Scratch},
};
use anima_types::{Arch, key::Algorithm, product::CreateProduct, repository::Kind};

struct World {
    repository: RepositoryId,
    release: ReleaseId,
}

async fn world(write: &mut Write) -> World {
    let key = testing::key("seed-1", Algorithm::Ed25519);
    let key = key::insert(write, &key, &Default::default()).await.unwrap();
    let product = CreateProduct {
        name: "seed-1".into(),
        title: "Seed".into(),
        repositories: vec!["BaseOS".into()],
        architectures: vec![Arch::X86_64],
        automatic: true,
        gates: Default::default(),
        options: Default::default(),
    };
    product::insert(write, &product, key).await.unwrap();
    let repository =
        repository::insert(write, "seed-1", "BaseOS/x86_64", Kind::Binary, Some(Arch::X86_64)).await.unwrap();
    let build = testing::build(write).await;
    World { repository, release: release::insert(write, "seed-1", build, "Planned.").await.unwrap() }
}

async fn package(write: &mut Write, byte: u8, nevra: &str) -> Sha256 {
    let sha256 = Sha256([byte; 32]);
    artifact::insert(write, sha256, 9).await.unwrap();
    let nevra: anima_types::Nevra = nevra.parse().unwrap();
    let package = Package {
        sha256,
        file_name: nevra.file_name(),
        source: nevra.name.clone(),
        is_source: false,
        nevra,
        xml: "{}".into(),
        header_sha256: sha256,
    };
    package::insert(write, &package).await.unwrap();
    sha256
}

async fn snapshot(write: &mut Write, world: &World, base: i64, packages: &[Sha256]) -> i64 {
    let before = listed(write, world.repository, base).await.unwrap();
    let before: Vec<Sha256> = before.into_iter().map(|package| package.artifact).collect();
    let new = NewSnapshot {
        repository: world.repository,
        base,
        release: world.release,
        added: packages.to_vec(),
        removed: before.into_iter().filter(|package| !packages.contains(package)).collect(),
        files: vec![("repodata/repomd.xml".into(), packages[0])],
        layout: Some(packages[0]),
    };
    let number = insert(write, &new).await.unwrap();
    repository::set_current(write, world.repository, base, number).await.unwrap();
    number
}

async fn names(write: &mut Write, world: &World, number: i64) -> Vec<String> {
    let packages = listed(write, world.repository, number).await.unwrap();
    packages.into_iter().map(|package| package.nevra.to_string()).collect()
}

#[tokio::test]
async fn an_older_snapshot_keeps_its_packages_for_ever() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let world = world(&mut write).await;
    let old = package(&mut write, 1, "jq-1.6-1.x86_64").await;
    let new = package(&mut write, 2, "jq-1.7-1.x86_64").await;
    let other = package(&mut write, 3, "xz-5-1.x86_64").await;

    assert_eq!(snapshot(&mut write, &world, 0, &[old]).await, 1);
    assert_eq!(snapshot(&mut write, &world, 1, &[new, other]).await, 2);

    assert_eq!(names(&mut write, &world, 0).await, [""; 0]);
    assert_eq!(names(&mut write, &world, 1).await, ["jq-1.6-1.x86_64"]);
    assert_eq!(names(&mut write, &world, 2).await, ["jq-1.7-1.x86_64", "xz-5-1.x86_64"]);
    let found = find_package(&mut write, world.repository, 1, "jq-1.7-1.x86_64.rpm").await.unwrap();
    assert_eq!(found, None);
    let found = find_package(&mut write, world.repository, 2, "jq-1.7-1.x86_64.rpm").await.unwrap();
    assert_eq!(found, Some(new));
    let repomd = find_file(&mut write, world.repository, 1, "repodata/repomd.xml").await.unwrap();
    assert_eq!(repomd, Some(old));
    assert_eq!(repository::get(&mut write, world.repository).await.unwrap().package_count, 2);
    let of_nevra = of_nevra(&mut write, world.repository, 2, &"jq-1.7-1.x86_64".parse().unwrap()).await.unwrap();
    assert_eq!(of_nevra.iter().map(|package| package.artifact).collect::<Vec<_>>(), [new]);
    let metadata = metadata(&mut write, world.repository, 1).await.unwrap().unwrap();
    assert_eq!(metadata, Metadata { layout: old, files: vec![("repodata/repomd.xml".into(), old)] });
}

#[tokio::test]
async fn a_snapshot_after_a_revert_is_compared_with_what_users_saw() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let world = world(&mut write).await;
    let old = package(&mut write, 1, "jq-1.6-1.x86_64").await;
    let bad = package(&mut write, 2, "jq-1.7-1.x86_64").await;
    let good = package(&mut write, 3, "jq-1.7-2.x86_64").await;
    snapshot(&mut write, &world, 0, &[old]).await;
    snapshot(&mut write, &world, 1, &[bad]).await;

    repository::set_current(&mut write, world.repository, 2, 1).await.unwrap();
    assert_eq!(snapshot(&mut write, &world, 1, &[old, good]).await, 3);

    assert_eq!(names(&mut write, &world, 2).await, ["jq-1.7-1.x86_64"]);
    assert_eq!(names(&mut write, &world, 3).await, ["jq-1.6-1.x86_64", "jq-1.7-2.x86_64"]);
    let list = list(&mut write, world.repository, None, 9).await.unwrap();
    assert_eq!(list.iter().map(|snapshot| snapshot.number).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!((list[0].added.clone(), list[0].removed.clone()), (vec!["jq-1.7-2.x86_64".to_string()], vec![]));
    assert!(list[0].is_current && !list[1].is_current);
    assert_eq!(list.iter().map(|snapshot| snapshot.package_count).collect::<Vec<_>>(), [2, 1, 1]);
    assert_eq!(of_release(&mut write, world.release).await.unwrap().len(), 3);
    assert_eq!(repository::holding_source(&mut write, "jq").await.unwrap(), ["seed-1/BaseOS/x86_64"]);
    assert_eq!(repository::holding_source(&mut write, "xz").await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_switch_from_a_snapshot_that_users_no_longer_see_is_a_conflict() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let world = world(&mut write).await;
    let old = package(&mut write, 1, "jq-1.6-1.x86_64").await;
    snapshot(&mut write, &world, 0, &[old]).await;

    let late = repository::set_current(&mut write, world.repository, 0, 2).await;

    assert!(matches!(late, Err(Error::Conflict { noun: "repository", .. })));
}

#[tokio::test]
async fn a_question_about_one_package_begins_with_the_package() {
    let scratch = Scratch::new().await;
    let mut read = scratch.db.read().await.unwrap();
    if scratch.db.is_shared() {
        // PostgreSQL decides by what it knows of the tables: of empty ones it says nothing.
        return;
    }
    for (sql, index) in
        [(OF_NEVRA, "package_nevra"), (FIND_PACKAGE, "package_file_name"), (FIND_PACKAGE_EVER, "package_file_name")]
    {
        let plan = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
        let plan = plan.fetch_all(&mut *read).await.unwrap();
        let steps: Vec<String> = plan.iter().map(|row| row.text("detail").unwrap()).collect();

        assert!(steps[0].starts_with(&format!("SEARCH package USING INDEX {index}")), "{steps:?}");
        assert!(steps[1].starts_with("SEARCH snapshot_package") && steps[1].contains("sha256=?"), "{steps:?}");
    }
}
