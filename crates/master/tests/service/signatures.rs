//! The signatures of a package: what the Sign Server is told, and that nothing is taken that the public keys do not verify.

use anima_db::{
    build::NewBuild,
    package::Package,
    task::{About, Ended, Subject, Task},
};
use anima_rpm_file::{DigestState, PackageInfo, SigningKey, header_bytes, verify, verify_files};
use anima_types::{
    Arch, Sha256, artifact,
    id::{BuildId, TaskId},
    lease::End,
    signature::Form,
    task::{Event, Kind},
    work::{Outcome, SignItem, SignOutcome, Signature},
};
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::{master::Master, rpm as support};

const NOW_SECS: u32 = 1_700_000_500;

/// Writes a build of the odd package that was built under a lease, and tested as that says.
async fn built(master: &Master, verdict: Option<Event>) -> (BuildId, Sha256) {
    let path = support::odd().named("odd-1.0");
    let app = &master.app;
    let stored = app.store.put_bytes(std::fs::read(&path).unwrap()).await.unwrap();
    let info = PackageInfo::read(&path).unwrap();
    let package = Package {
        sha256: stored.sha256,
        file_name: info.nevra.file_name(),
        source: info.nevra.name.clone(),
        is_source: false,
        nevra: info.nevra,
        xml: "{}".into(),
        header_sha256: header_bytes(&path).unwrap().sha256,
    };
    let mut write = app.db.write(app.now(), "ann").await.unwrap();
    let new = NewBuild {
        owner: "ann".into(),
        reason: "pushed".into(),
        platforms: vec!["p1".into()],
        architectures: vec![Arch::X86_64],
        priority: Default::default(),
        summary: "It is built.".into(),
        gather: None,
    };
    let build = anima_db::build::insert(&mut write, &new).await.unwrap();
    let mut about = About::new(Kind::Build);
    (about.build, about.platform, about.arch) = (Some(build), Some("p1".into()), Some(Arch::X86_64));
    let task = end(&mut write, &about, Event::Succeeded).await;
    anima_db::artifact::insert(&mut write, package.sha256, 1).await.unwrap();
    anima_db::artifact::link(&mut write, task, package.sha256, artifact::Kind::Rpm, &package.file_name).await.unwrap();
    anima_db::package::insert(&mut write, &package).await.unwrap();
    if let Some(event) = verdict {
        end(&mut write, &About { kind: Kind::Test, ..about }, event).await;
    }
    write.commit().await.unwrap();
    (build, package.sha256)
}

async fn end(write: &mut anima_db::Write, about: &About, event: Event) -> TaskId {
    let id = anima_db::task::insert(write, about, "It waits.").await.unwrap();
    let task = anima_db::task::get(write, id).await.unwrap();
    anima_db::task::apply(write, &task, Event::DependenciesMet, "It is ready.").await.unwrap();
    let task = anima_db::task::get(write, id).await.unwrap();
    anima_db::task::claim(write, &task, "build-1", anima_types::Timestamp(i64::MAX), "It is built.").await.unwrap();
    let task = anima_db::task::get(write, id).await.unwrap();
    let ended = Ended { phases: Vec::new(), failure: None, result: None, report_hash: None };
    anima_db::task::end(write, &task, event, "It is done.", &ended).await.unwrap();
    id
}

/// Makes the task that signs a build's packages, and lets it be given out.
async fn asked(master: &Master, build: BuildId) -> TaskId {
    let mut write = master.app.db.write(master.app.now(), "anima").await.unwrap();
    let product = anima_db::product::get(&mut write, "p1").await.unwrap();
    let about =
        About { build: Some(build), key: product.key, subject: Some(Subject::Packages), ..About::new(Kind::Sign) };
    let id = anima_db::task::insert(&mut write, &about, "It waits.").await.unwrap();
    let task: Task = anima_db::task::get(&mut write, id).await.unwrap();
    anima_db::task::apply(&mut write, &task, Event::DependenciesMet, "It is ready.").await.unwrap();
    write.commit().await.unwrap();
    id
}

async fn make_key(master: &Master, key: &SigningKey, files: Option<&SigningKey>) {
    let lease = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
    let made = SignOutcome::Key {
        fingerprint: key.fingerprint(),
        public_key: key.to_armoured_public().unwrap(),
        file_key: files.map(|key| key.to_armoured_public().unwrap()),
    };
    assert_eq!(report(master, &lease, made).await.0, StatusCode::OK);
}

async fn report(master: &Master, lease: &Value, outcome: SignOutcome) -> (StatusCode, Value) {
    master.report(lease, serde_json::to_value(End::Succeeded(Outcome::Sign(outcome))).unwrap()).await
}

/// Signs as the Sign Server does: of the payload it has the state of a digest.
fn signature(item: &SignItem, header: &[u8], key: &SigningKey, files: &SigningKey) -> Signature {
    let signature = match item.form {
        Form::RpmHeader => hex(&key.sign_detached(header, NOW_SECS).unwrap()),
        Form::RpmPayload => {
            let state = DigestState::from_hex(item.state.as_deref().unwrap()).unwrap();
            hex(&key.sign_state(&state, NOW_SECS).unwrap())
        }
        Form::RpmFiles => files.sign_files(header).unwrap().join("\n"),
        other => panic!("{other:?}"),
    };
    Signature { artifact: item.artifact, form: item.form, signature }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_package_gets_all_signatures_that_its_key_makes_and_each_is_verified() {
    let master = Master::open().await;
    make_key(&master, support::ed25519(), None).await;
    let options = json!({ "algorithm": "rsa4096", "signs_payload": true, "signs_files": true });
    assert_eq!(master.post("/api/v1/products/p1/key", "admin", options).await.0, StatusCode::CREATED);
    let (key, files) = (support::rsa(), SigningKey::generate_rsa4096("Files <f@example.org>", NOW_SECS).unwrap());
    make_key(&master, key, Some(&files)).await;
    let (build, package) = built(&master, Some(Event::Succeeded)).await;

    asked(&master, build).await;
    let lease = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
    let items = lease["work"]["sign"]["signatures"]["items"].clone();
    let items: Vec<SignItem> = serde_json::from_value(items).unwrap();
    let account = items[0].account.clone().unwrap();
    let header = header_bytes(&support::odd().named("odd-1.0")).unwrap().bytes;
    let good: Vec<Signature> = items.iter().map(|item| signature(item, &header, key, &files)).collect();

    assert_eq!(
        items.iter().map(|item| item.form).collect::<Vec<_>>(),
        [Form::RpmHeader, Form::RpmPayload, Form::RpmFiles]
    );
    assert_eq!((account.made_by.unwrap().node.as_str(), account.is_green), ("build-1", true));
    // Any one of them by another key: nothing is taken.
    for form in [Form::RpmHeader, Form::RpmPayload, Form::RpmFiles] {
        let other = |one: &Signature| match one.form == form {
            true => signature(items.iter().find(|item| item.form == form).unwrap(), &header, &files, key),
            false => one.clone(),
        };
        let (status, refused) =
            report(&master, &lease, SignOutcome::Signatures(good.iter().map(other).collect())).await;
        assert_eq!(
            (status, refused["code"].as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, Some("bad_signature")),
            "{form:?}"
        );
    }
    let (status, done) = report(&master, &lease, SignOutcome::Signatures(good)).await;
    assert_eq!(status, StatusCode::OK, "{done}");

    let mut read = master.app.db.read().await.unwrap();
    let signed = anima_db::package::signed(&mut read, package, anima_types::id::KeyId(2)).await.unwrap().unwrap();
    let path = master.app.store.local(signed).await.unwrap();
    assert!(verify(&path, &key.public_key()).unwrap().has_payload_signature);
    verify_files(&path, &files.public_key()).unwrap();
    let checked = support::Keyring::with(key).check(&path);
    assert!(checked.status.success(), "{checked:?}");
    let records = master.get("/api/v1/keys/2/signatures").await;
    let forms: Vec<&str> = records.as_array().unwrap().iter().map(|record| record["form"].as_str().unwrap()).collect();
    assert_eq!(forms, ["rpm_header", "rpm_payload", "rpm_files"]);
    let (status, _, pem) = master.fetch("/api/v1/keys/2/files.pem", &[]).await;
    assert_eq!((status, pem.starts_with(b"-----BEGIN PUBLIC KEY-----")), (StatusCode::OK, true));
}

#[tokio::test]
async fn what_was_not_tested_or_not_good_is_not_signed_and_the_task_says_why() {
    let master = Master::open().await;
    make_key(&master, support::ed25519(), None).await;

    for verdict in [None, Some(Event::Failed)] {
        let (build, _) = built(&master, verdict).await;
        let task = asked(&master, build).await;

        assert!(master.claim("sign-server", &[Kind::Sign]).await.is_none());

        let task = master.get(&format!("/api/v1/tasks/{task}")).await;
        assert_eq!((&task["status"], &task["failure"]["code"]), (&json!("failed"), &json!("refused_by_policy")));
        assert!(task["why"].as_str().unwrap().contains("no tests are known that say it is good"), "{task}");
    }
}
