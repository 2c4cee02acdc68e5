use super::*;
use crate::{
    Write, artifact, key, package, package_search, product, release, repository, snapshot, source,
    testing::{self, Scratch},
};
use anima_types::{
    Arch, Sha256,
    account::CreateAccount,
    build::Source,
    key::Algorithm,
    product::{CreateProduct, Options},
    repository::Kind,
};

async fn rpm(write: &mut Write, byte: u8, nevra: &str, provides: &str) -> Sha256 {
    let sha256 = Sha256([byte; 32]);
    artifact::insert(write, sha256, 9).await.unwrap();
    let nevra: anima_types::Nevra = nevra.parse().unwrap();
    let row = package_search::Searchable {
        summary: "A tool".into(),
        words: format!("{}\na tool", nevra.name),
        provides: provides.into(),
        files: String::new(),
    };
    package_search::insert(write, sha256, &row).await.unwrap();
    let package = package::Package {
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

#[tokio::test]
async fn only_what_users_see_now_is_found_in_repositories() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let key = testing::key("seed-1", Algorithm::Ed25519);
    let key = key::insert(&mut write, &key, &Default::default()).await.unwrap();
    let wanted = CreateProduct {
        name: "seed-1".into(),
        title: "Seed".into(),
        repositories: vec!["BaseOS".into()],
        architectures: vec![Arch::X86_64],
        automatic: true,
        gates: Default::default(),
        options: Options::default(),
    };
    product::insert(&mut write, &wanted, key).await.unwrap();
    let id = repository::insert(&mut write, "seed-1", "BaseOS/x86_64", Kind::Binary, None).await.unwrap();
    let build = testing::build(&mut write).await;
    let release = release::insert(&mut write, "seed-1", build, "Planned.").await.unwrap();
    let old = rpm(&mut write, 1, "jq-1.6-1.x86_64", "jq = 1.6").await;
    let new = rpm(&mut write, 2, "jq-1.7-1.x86_64", "jq = 1.7\nlibjq.so.1()(64bit)").await;
    let other = rpm(&mut write, 3, "ajq-1-1.x86_64", "ajq = 1").await;
    for (base, added, removed) in [(0, vec![old, other], vec![]), (1, vec![new], vec![old])] {
        let new = snapshot::NewSnapshot {
            repository: id,
            base,
            release,
            added,
            removed,
            files: vec![("repodata/repomd.xml".into(), other)],
            layout: None,
        };
        let number = snapshot::insert(&mut write, &new).await.unwrap();
        repository::set_current(&mut write, id, base, number).await.unwrap();
    }
    let mut names = async |text: &str, provided: &str, limit| -> Vec<String> {
        let found = rpms(&mut write, text, provided, limit).await.unwrap();
        found.into_iter().map(|one| one.nevra.to_string()).collect()
    };

    assert_eq!(names("jq", "jq", 9).await, ["jq-1.7-1.x86_64", "ajq-1-1.x86_64"], "first the one of that name");
    assert_eq!(names("jq", "jq", 1).await.len(), 1);
    assert_eq!(names("jq-1.7", "JQ-1.7", 9).await, ["jq-1.7-1.x86_64"]);
    assert_eq!(names("libjq.so.1", "libjq.so.1", 9).await, ["jq-1.7-1.x86_64"]);
    assert_eq!(names("1.6", "1.6", 9).await, [""; 0], "users do not see it any more");
    assert_eq!(names("%", "_", 9).await, [""; 0]);
    let all: Vec<_> = seen_after(&mut write, "", 9).await.unwrap().into_iter().map(|one| one.sha256).collect();
    assert_eq!(all, [new, other]);
    assert_eq!(seen_after(&mut write, &new.to_string(), 9).await.unwrap().len(), 1);
    let places = shown(&mut write, &[new.to_string(), old.to_string()]).await.unwrap();
    assert_eq!(places.iter().map(|place| place.address.as_str()).collect::<Vec<_>>(), ["seed-1/BaseOS/x86_64"]);
}

#[tokio::test]
async fn builds_are_found_by_owner_and_commit_and_packages_and_accounts_by_a_part_of_their_names() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let (first, second) = (testing::build(&mut write).await, testing::build(&mut write).await);
    let source = |package: &str, commit: &str| Source {
        package: package.into(),
        reference: "c10".into(),
        commit: commit.repeat(4),
    };
    source::insert_all(&mut write, first, &[source("jq", "4f2c1e77aa"), source("libJQ", "00aa00aa00")]).await.unwrap();
    source::insert_all(&mut write, second, &[source("jq", "ffffffffff")]).await.unwrap();
    for (name, title) in [("ada", "Ada Lovelace"), ("bob", "")] {
        let wanted = CreateAccount { name: name.into(), title: title.into(), password: None };
        account::insert(&mut write, &wanted, None).await.unwrap();
    }
    let ids = |builds: Vec<Build>| builds.into_iter().map(|build| build.id).collect::<Vec<_>>();

    assert_eq!(ids(builds_of_owner(&mut write, "ada", 9).await.unwrap()), [second, first]);
    assert_eq!(ids(builds_of_owner(&mut write, "ad", 9).await.unwrap()), []);
    assert_eq!(ids(builds_of_commit(&mut write, "4f2c1e7", 9).await.unwrap()), [first]);
    assert_eq!(ids(builds_of_commit(&mut write, "fffffff", 9).await.unwrap()), [second]);
    let found = packages(&mut write, "jq", 9).await.unwrap();
    let found: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.build)).collect();
    assert_eq!(found, [("jq", second), ("libJQ", first)]);
    assert_eq!(accounts(&mut write, "love", 9).await.unwrap()[0].name, "ada");
    assert_eq!(accounts(&mut write, "b", 9).await.unwrap().len(), 1);
}
