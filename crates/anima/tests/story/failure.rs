//! What goes wrong is told where it is looked for: on the command line, by the exit code, with the reason.

use anima_testkit::SourcePackage;
use anima_types::task;

use crate::{BUILD_LIMIT, said, system};

#[tokio::test]
async fn a_build_whose_spec_asks_for_what_is_not_there_fails_with_its_name_and_the_exit_code_says_so() {
    let system = system().await;
    let package = SourcePackage::tiny_with("oak", "1", "BuildRequires: no-such-thing").unwrap();

    let commit = system.push(&package, "s1").unwrap();
    let build = system.build_of("oak", &commit).await.unwrap();
    system.ended(build, BUILD_LIMIT).await.unwrap();
    let watched = system.anima(&["build", "watch", &build.to_string()]).unwrap();

    assert_eq!(watched.status.code(), Some(5), "{}", said(&watched));
    assert!(said(&watched).contains("no-such-thing"), "{}", said(&watched));
}

#[tokio::test]
async fn a_push_of_a_repository_without_a_spec_is_a_build_that_fails_with_the_reason() {
    let system = system().await;
    let package = SourcePackage::with_spec("oak", "Name: oak\n").unwrap();
    std::fs::rename(package.path("oak.spec"), package.path("oak.txt")).unwrap();

    let commit = system.push(&package, "s1").unwrap();
    let build = system.build_of("oak", &commit).await.unwrap();
    system.ended(build, BUILD_LIMIT).await.unwrap();
    let shown = system.anima(&["build", "show", &build.to_string()]).unwrap();

    assert!(said(&shown).contains("oak.spec"), "{}", said(&shown));
}

#[tokio::test]
async fn a_package_that_is_not_for_the_architecture_is_left_out_with_the_words_of_its_spec() {
    let system = system().await;
    let package = SourcePackage::tiny_with("oak", "1", "ExclusiveArch: aarch64 s390x").unwrap();

    let commit = system.push(&package, "s1").unwrap();
    let build = system.build_of("oak", &commit).await.unwrap();
    let detail = system.ended(build, BUILD_LIMIT).await.unwrap();

    let task = detail.tasks.iter().find(|task| task.kind == task::Kind::Build).unwrap();
    assert_eq!(task.status, task::Status::Excluded, "{}", task.why);
    assert_eq!(task.why, "ExclusiveArch of the spec has no x86_64: aarch64, s390x.");
    let shown = system.anima(&["build", "show", &build.to_string()]).unwrap();
    assert!(said(&shown).contains("excluded"), "{}", said(&shown));
}

#[tokio::test]
async fn what_failed_is_entered_as_it_was_left_and_good_after_a_push_that_mends_it() {
    let system = system().await;
    let package = SourcePackage::tiny("oak", "1").unwrap();
    let spec = std::fs::read_to_string(package.path("oak.spec")).unwrap();
    let broken = spec.replace("%install\n", "%install\necho left > trace\nfalse\n");
    package.write("oak.spec", broken.as_bytes()).unwrap();
    let commit = system.push(&package, "s1").unwrap();
    let build = system.build_of("oak", &commit).await.unwrap();
    let detail = system.ended(build, BUILD_LIMIT).await.unwrap();

    let task = detail.tasks.iter().find(|task| task.status == task::Status::Failed).unwrap().id.to_string();
    let look = "cat $(find /builddir/build -name trace)";
    let entered = system.anima(&["build", "shell", &task, "--", "sh", "-c", look]).unwrap();
    assert_eq!(String::from_utf8_lossy(&entered.stdout), "left\n", "{}", said(&entered));

    package.write("oak.spec", spec.as_bytes()).unwrap();
    let commit = system.push(&package, "s1").unwrap();
    let build = system.build_of("oak", &commit).await.unwrap();

    system.released(build, BUILD_LIMIT).await.unwrap();
}
