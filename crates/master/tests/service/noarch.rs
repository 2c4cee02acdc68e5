//! A noarch package that is built on two architectures has to be the same, and is taken once.

use std::process::Command;

use anima_db::task::{About, Ended};
use anima_types::{
    Arch, Sha256,
    build::Source,
    id::BuildId,
    lease::PROTOCOL,
    task::{Event, Kind},
    work::{Outcome, SrcOutcome},
};
use axum::{
    body::Body,
    http::{Method, StatusCode},
};
use serde_json::{Value, json};
use sha2::Digest;

use crate::master::Master;

/// A real package whose one file says `text`, built on a machine of that name.
fn package(text: &str, host: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let spec = format!(
        "Name: words\nVersion: 1\nRelease: 1\nSummary: Words\nLicense: MIT\nBuildArch: noarch\n%description\nWords.\n\
         %install\nmkdir -p %{{buildroot}}/usr/share\necho {text} > %{{buildroot}}/usr/share/words\n%files\n/usr/share/words\n"
    );
    std::fs::write(path("words.spec"), spec).unwrap();
    let define = |name: &str, value: &str| ["--define".to_owned(), format!("{name} {value}")];
    let output = Command::new("rpmbuild")
        .args(["-bb", "--quiet", &path("words.spec")])
        .args(define("_topdir", &path("top")))
        .args(define("_rpmdir", &path("rpms")))
        .args(define("_dbpath", &path("db")))
        .args(define("_buildhost", host))
        .args(define("_buildshell", "/bin/bash"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(path("rpms/noarch/words-1-1.noarch.rpm")).unwrap()
}

fn hash(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

/// A build of one package whose source package is made, and that is ready to be built for two architectures.
async fn ready(master: &Master) -> BuildId {
    let app = &master.app;
    let mut write = app.db.write(app.now(), "ann").await.unwrap();
    let architectures = vec![Arch::X86_64, Arch::Aarch64];
    let new = anima_db::build::NewBuild {
        owner: "ann".into(),
        reason: "a test".into(),
        platforms: vec!["p1".into()],
        architectures,
        priority: Default::default(),
        summary: String::new(),
        gather: None,
    };
    let build = anima_db::build::insert(&mut write, &new).await.unwrap();
    let source = Source { package: "words".into(), reference: "p1".into(), commit: "4f2c1e77aa".repeat(4) };
    let platform = app.platform("p1").unwrap();
    anima_master::build::add_sources(&master.app, &mut write, build, &[source], &[platform], &[Arch::X86_64])
        .await
        .unwrap();
    let srpm = hash(b"source package");
    anima_db::artifact::insert(&mut write, srpm, 1).await.unwrap();
    let task = anima_db::task::of_build(&mut write, build).await.unwrap().remove(0);
    anima_db::artifact::link(&mut write, task.id, srpm, anima_types::artifact::Kind::Srpm, "words-1-1.src.rpm")
        .await
        .unwrap();
    let until = write.now.plus_secs(60);
    anima_db::task::claim(&mut write, &task, "n", until, "It runs.").await.unwrap();
    let task = anima_db::task::get(&mut write, task.id).await.unwrap();
    let made = SrcOutcome {
        nevra: "words-1-1.src".parse().unwrap(),
        srpm,
        build_requires: Vec::new(),
        provides: Vec::new(),
        exclusive_arch: Vec::new(),
        exclude_arch: Vec::new(),
        is_noarch: false,
    };
    let ended = Ended { phases: Vec::new(), failure: None, result: Some(Outcome::Src(made)), report_hash: None };
    anima_db::task::end(&mut write, &task, Event::Succeeded, "It is made.", &ended).await.unwrap();
    for arch in [Arch::X86_64, Arch::Aarch64] {
        let about = About {
            build: Some(build),
            package: Some("words".into()),
            platform: Some("p1".into()),
            arch: Some(arch),
            ..About::new(Kind::Build)
        };
        let id = anima_db::task::insert(&mut write, &about, "It waits.").await.unwrap();
        let task = anima_db::task::get(&mut write, id).await.unwrap();
        anima_db::task::apply(&mut write, &task, Event::DependenciesMet, "It waits for a node.").await.unwrap();
    }
    write.commit().await.unwrap();
    build
}

/// A node builds for its architecture, and this comes out.
async fn build(master: &Master, arch: Arch, package: &[u8]) -> Value {
    let claim = json!({ "node": arch, "kinds": ["build"], "architectures": [arch], "slots": 1, "version": "1", "wait_secs": 0, "condition": { "protocol": PROTOCOL } });
    let (status, lease) = master.post("/api/v1/leases", "build-node", claim).await;
    assert_eq!(status, StatusCode::OK, "{lease}");
    let secret = lease["secret"].as_str();
    let lock = format!("{{\"lock\": \"{arch}\"}}").into_bytes();
    for (bytes, kind, name) in [(package, "rpm", "words-1-1.noarch.rpm"), (&lock, "lock", "buildroot.lock.json")] {
        let path = format!("/api/v1/tasks/{}/artifacts/{}?kind={kind}&name={name}", lease["task"], hash(bytes));
        let (status, answer) = master.send(Method::PUT, &path, secret, Body::from(bytes.to_vec())).await;
        assert!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&answer));
    }
    let outcome = json!({ "packages": [{ "nevra": "words-1-1.noarch", "artifact": hash(package) }], "lock": hash(&lock), "layers_hit": true });
    let (status, answer) = master.report(&lease, json!({ "succeeded": { "build": outcome } })).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    master.get(&format!("/api/v1/tasks/{}", lease["task"])).await
}

#[tokio::test]
async fn what_differs_fails_the_second_build_and_is_named() {
    let master = Master::open().await;
    ready(&master).await;

    let first = build(&master, Arch::X86_64, &package("one", "a.example")).await;
    let second = build(&master, Arch::Aarch64, &package("two", "a.example")).await;

    assert_eq!((first["status"].as_str(), second["status"].as_str()), (Some("succeeded"), Some("failed")));
    let failure = &second["failure"];
    assert_eq!(failure["code"], "noarch_differs");
    let message = failure["message"].as_str().unwrap();
    assert!(message.starts_with("words-1-1.noarch is for all architectures"), "{message}");
    assert!(message.contains("/usr/share/words: digest ") && message.contains(" (x86_64), "), "{message}");
    let findings = failure["findings"].as_array().unwrap();
    assert!(findings.iter().all(|finding| finding["class"] == "noarch_differs"), "{findings:#?}");
    let of_file =
        findings.iter().find(|finding| finding["message"].as_str().unwrap().contains("/usr/share/words: digest "));
    assert!(of_file.unwrap()["cure"].as_str().unwrap().contains("BuildArch: noarch"), "{findings:#?}");
    let page = master.browse(&format!("/tasks/{}", second["id"])).await.2;
    assert!(page.contains("noarch_differs") && page.contains("/usr/share/words: digest "), "{page}");
}

#[tokio::test]
async fn what_is_the_same_is_taken_from_the_first_architecture() {
    let master = Master::open().await;
    let id = ready(&master).await;
    let (one, other) = (package("one", "a.example"), package("one", "b.example"));
    assert_ne!(hash(&one), hash(&other), "the build host is in the file");

    assert_eq!(build(&master, Arch::Aarch64, &other).await["status"], "succeeded");
    let path = format!("/builds/{id}/repo/p1/x86_64/repodata/repomd.xml");
    let before = master.send(Method::GET, &path, None, Body::empty()).await.1;
    assert_eq!(build(&master, Arch::X86_64, &one).await["status"], "succeeded");
    assert_ne!(master.send(Method::GET, &path, None, Body::empty()).await.1, before, "it is made anew");

    let index = async || {
        let path = format!("/builds/{id}/repo/p1/x86_64/repodata/repomd.xml");
        let (status, repomd) = master.send(Method::GET, &path, None, Body::empty()).await;
        assert_eq!(status, StatusCode::OK);
        String::from_utf8(repomd).unwrap()
    };
    let repomd = index().await;
    assert_eq!(index().await, repomd);
    let primary = repomd.split('"').find(|part| part.ends_with("-primary.xml.gz")).unwrap();
    let (status, _) =
        master.send(Method::GET, &format!("/builds/{id}/repo/p1/x86_64/{primary}"), None, Body::empty()).await;
    assert_eq!(status, StatusCode::OK, "{repomd}");
    for arch in ["x86_64", "aarch64"] {
        let path = format!("/builds/{id}/repo/p1/{arch}/Packages/w/words-1-1.noarch.rpm");
        let taken = master.send(Method::GET, &path, None, Body::empty()).await.1;
        assert_eq!(hash(&taken), hash(&one), "{arch}");
    }
}
