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

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn one_search_finds_builds_packages_and_people_and_people_only_for_those_who_have_an_account() {
    let master = Master::open().await;
    let build = crate::pages::waiting_build(&master).await;
    let ann = master.person("ann", &[]).await;
    let find = async |text: &str, token: Option<&str>| {
        let path = format!("/api/v1/search?q={text}");
        let (status, found) = master.json(axum::http::Method::GET, &path, token, Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{found}");
        let ids = |kind: &str, name: &str| -> Vec<String> {
            found[kind].as_array().unwrap().iter().map(|one| one[name].to_string()).collect()
        };
        (ids("builds", "id"), ids("packages", "name"), ids("accounts", "name"))
    };
    let (id, none) = (vec![build.to_string()], Vec::<String>::new());

    assert_eq!(find("ann", Some(&ann)).await, (id.clone(), none.clone(), vec!["\"ann\"".to_string()]));
    assert_eq!(find("ann", None).await, (id.clone(), none.clone(), none.clone()));
    assert_eq!(find(&build.to_string(), None).await.0, id);
    assert_eq!(find("4f2c1e77", None).await.0, id);
    assert_eq!(find("J", None).await, (none.clone(), vec!["\"jq\"".to_string()], none.clone()));
    let page = master.browse("/search?q=jq").await.2;
    assert!(page.contains("href=\"/packages/jq\"") && page.contains("name=\"q\" value=\"jq\""), "{page}");
    assert!(master.browse("/search").await.2.contains("Search for a build&#39;s number"), "nothing is asked yet");
}

#[tokio::test]
async fn packages_are_found_by_name_summary_provides_and_paths_with_and_without_the_index() {
    let master = Master::open().await;
    let path = rpm::odd().named("odd-1.0");
    let info = PackageInfo::read(&path).unwrap();
    let odd = before_there_was_an_index(&master, &path).await;
    let repository = show(&master, "p1", "BaseOS/x86_64", &[odd]).await.0;
    let search = async |text: &str, kind: &str| -> Value {
        let text = hex(text);
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
    let (nevra, name) = (info.nevra.to_string(), info.nevra.file_name());
    for (text, count) in [
        ("ODD", 1),
        (&nevra, 1),
        (&name[..name.len() - 4], 1),
        (provided.as_str(), 1),
        (file.as_str(), 1),
        ("/no/such", 0),
    ] {
        let found = master.get(&format!("/api/v1/search?q={}", hex(text))).await;
        assert_eq!(found["rpms"].as_array().unwrap().len(), count, "{text}: {found}");
        let place = if count == 1 { serde_json::json!("p1/BaseOS/x86_64") } else { Value::Null };
        assert_eq!(found["rpms"][0]["repositories"][0]["address"], place, "{text}");
    }
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

#[tokio::test]
async fn copies_of_one_package_are_one_find_and_what_is_left_out_is_said() {
    let master = Master::open().await;
    let odd = before_there_was_an_index(&master, &rpm::odd().named("odd-1.0")).await;
    let mut copies = vec![odd];
    let mut write = master.app.db.write(master.app.now(), "test").await.unwrap();
    let row = anima_db::package::get(&mut write, odd).await.unwrap();
    // Each product has its own signature on the same package: twelve copies of one, and another one.
    for number in 1..=12 {
        let sha256 = Sha256([number; 32]);
        anima_db::artifact::insert(&mut write, sha256, 9).await.unwrap();
        let mut copy = Package { sha256, header_sha256: sha256, ..row.clone() };
        if number == 12 {
            copy.nevra.name = "odder".to_string();
            copy.file_name = copy.nevra.file_name();
        }
        anima_db::package::insert(&mut write, &copy).await.unwrap();
        copies.push(sha256);
    }
    write.commit().await.unwrap();
    show(&master, "p1", "BaseOS/x86_64", &copies).await;
    let path = PackageInfo::read(&rpm::odd().named("odd-1.0")).unwrap().files[0].path.clone();

    for text in ["odd", &path] {
        let find = async |limit: usize| {
            let found = master.get(&format!("/api/v1/search?q={}&limit={limit}", hex(text))).await;
            let copies: Vec<usize> = found["rpms"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["repositories"].as_array().unwrap().len())
                .collect();
            (copies, found["more"].clone())
        };
        assert_eq!(find(2).await, (vec![12, 1], serde_json::json!([])), "{text}");
        assert_eq!(find(1).await, (vec![12], serde_json::json!(["rpms"])), "{text}");
    }
}
