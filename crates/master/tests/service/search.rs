//! The search in a repository: by what was computed when packages came, and without it the same.

use anima_db::package::Package;
use anima_rpm_file::PackageInfo;
use anima_types::Sha256;
use axum::http::StatusCode;
use serde_json::Value;

use crate::{master::Master, plans::show, rpm};

/// Writes a real package, as if it had come before anything was computed of it.
async fn before_there_was_an_index(master: &Master, path: &std::path::Path) -> Sha256 {
    let stored = master.app.store.put_bytes(std::fs::read(path).unwrap()).await.unwrap();
    let info = PackageInfo::read(path).unwrap();
    let file = anima_repodata::PublishedFile {
        location: format!("Packages/{}", info.nevra.file_name()),
        sha256: stored.sha256,
        size_bytes: stored.size_bytes,
        modified_at_secs: 0,
    };
    let package = Package {
        sha256: stored.sha256,
        file_name: info.nevra.file_name(),
        source: info.nevra.name.clone(),
        is_source: false,
        xml: serde_json::to_string(&anima_repodata::render(&info, &file)).unwrap(),
        nevra: info.nevra,
        header_sha256: anima_rpm_file::header_bytes(path).unwrap().sha256,
    };
    let mut write = master.app.db.write(master.app.now(), "test").await.unwrap();
    anima_db::artifact::insert(&mut write, package.sha256, stored.size_bytes).await.unwrap();
    anima_db::package::insert(&mut write, &package).await.unwrap();
    write.commit().await.unwrap();
    stored.sha256
}

#[tokio::test]
async fn packages_are_found_by_name_summary_provides_and_paths_with_and_without_the_index() {
    let master = Master::open().await;
    let path = rpm::odd().named("odd-1.0");
    let info = PackageInfo::read(&path).unwrap();
    let odd = before_there_was_an_index(&master, &path).await;
    let repository = show(&master, "p1", "BaseOS/x86_64", &[odd]).await.0;
    let search = async |text: &str, kind: &str| -> Value {
        let text: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        master.get(&format!("/api/v1/repositories/{repository}/search?q={text}&in={kind}")).await
    };
    let provided = info.provides[0].name.clone();
    let file = info.files.iter().map(|file| file.path.clone()).max_by_key(String::len).unwrap();
    let part = file[file.len() - 6..].to_string();
    let questions = [
        ("ODD", "packages", 1),
        (&info.summary[1..], "packages", 1),
        ("%", "packages", usize::from(info.summary.contains('%'))),
        ("no such thing", "packages", 0),
        (provided.as_str(), "provides", 1),
        ("libnothing.so", "provides", 0),
        (file.as_str(), "files", 1),
        (part.as_str(), "files", 1),
        ("/no/such/path", "files", 0),
    ];
    let ask = async || {
        let mut answers = Vec::new();
        for (text, kind, count) in questions {
            let found = search(text, kind).await;
            assert_eq!(found["hits"].as_array().unwrap().len(), count, "{text} in {kind}: {found}");
            answers.push(found["hits"][0]["found"].clone());
        }
        answers
    };

    let without = ask().await;
    assert_eq!(anima_master::search::index::fill_once(&master.app).await.unwrap(), 1);
    assert_eq!(anima_master::search::index::fill_once(&master.app).await.unwrap(), 0);
    let with = ask().await;

    assert_eq!(without, with);
    assert!(with[6].as_array().unwrap().iter().any(|path| path == &file), "{with:?}");
    let (status, _) = master
        .send(
            axum::http::Method::GET,
            &format!("/api/v1/repositories/{repository}/search?q=%0A"),
            None,
            axum::body::Body::empty(),
        )
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}
