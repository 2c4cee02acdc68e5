//! The gates of a release, as a person meets them.

use std::fs;

use anima_testkit::{Root, SourcePackage};
use anima_types::release::{ListQuery, Status};

use crate::{BUILD_LIMIT, said, system};

#[tokio::test]
async fn a_downgrade_waits_for_a_persons_reason_in_a_product_that_releases_by_itself() {
    let system = system().await;
    let package = SourcePackage::tiny("acorn", "2").unwrap();
    let commit = system.push(&package, "s1").unwrap();
    let build = system.build_of("acorn", &commit).await.unwrap();
    system.released(build, BUILD_LIMIT).await.unwrap();
    let spec = fs::read_to_string(package.path("acorn.spec")).unwrap();
    package.write("acorn.spec", spec.replace("Version: 2", "Version: 1").as_bytes()).unwrap();
    let commit = system.push(&package, "s1").unwrap();
    let build = system.build_of("acorn", &commit).await.unwrap();
    system.ended(build, BUILD_LIMIT).await.unwrap();
    let client = system.client();
    let look = async || {
        let releases = client.releases(&ListQuery::default(), 50).await.ok()?;
        releases.into_iter().find(|release| release.build == Some(build) && release.status == Status::Planned)
    };

    let planned = system.wait(BUILD_LIMIT, look).await.expect("it is planned, and waits");
    let id = planned.id.to_string();
    let refused = system.anima(&["release", "commit", &id]).unwrap();
    let shown = system.anima(&["release", "show", &id]).unwrap();
    let committed = system.anima(&["release", "commit", &id, "--reason", "2 eats files"]).unwrap();
    system.released(build, BUILD_LIMIT).await.unwrap();
    let root = Root::new(system.master_url(), "seed-1").unwrap();
    root.dnf(&["install", "acorn"]).unwrap();

    assert!(planned.summary.contains("a person's reason because of downgrade"), "{}", planned.summary);
    assert!(!refused.status.success() && said(&refused).contains("--reason TEXT"), "{}", said(&refused));
    assert!(said(&shown).contains("would replace acorn-2-1"), "{}", said(&shown));
    assert!(committed.status.success(), "{}", said(&committed));
    assert_eq!(fs::read_to_string(root.path("root/usr/share/acorn/version")).unwrap(), "1\n");
}
