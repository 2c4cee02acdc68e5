//! Files as clients ask for them: in parts, only if new, and never from outside of a folder.

use axum::http::{HeaderMap, StatusCode};

use crate::master::Master;

const BYTES: &[u8] = b"0123456789";

/// Returns a master with one artifact, its address and its ETag.
async fn with_artifact() -> (Master, String, String) {
    let master = Master::open().await;
    let sha256 = master.app.store.put_bytes(BYTES.to_vec()).await.unwrap().sha256;
    (master, format!("/api/v1/artifacts/{sha256}"), format!("\"{sha256}\""))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn who_has_a_file_is_told_so_however_the_tag_is_written() {
    let (master, path, etag) = with_artifact().await;

    for known in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_string()] {
        let (status, headers, body) = master.fetch(&path, &[("if-none-match", &known)]).await;
        assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0), "{known}");
        assert_eq!(text(&headers, "etag"), etag);
        assert!(text(&headers, "cache-control").contains("immutable"), "{headers:?}");
    }
    for other in ["\"other\"", "W/\"other\"", &etag[1..], ""] {
        let (status, _, body) = master.fetch(&path, &[("if-none-match", other)]).await;
        assert_eq!((status, body.as_slice()), (StatusCode::OK, BYTES), "{other}");
    }
    let absent = format!("/api/v1/artifacts/{}", "0".repeat(64));
    assert_eq!(master.fetch(&absent, &[("if-none-match", "*")]).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_part_is_sent_of_the_file_that_the_client_began_and_of_no_other() {
    let (master, path, etag) = with_artifact().await;

    let (status, headers, body) = master.fetch(&path, &[("range", "bytes=4-"), ("if-range", &etag)]).await;
    assert_eq!((status, body.as_slice()), (StatusCode::PARTIAL_CONTENT, &BYTES[4..]));
    assert_eq!(text(&headers, "content-range"), "bytes 4-9/10");
    let (status, _, body) = master.fetch(&path, &[("range", "bytes=4-"), ("if-range", "\"other\"")]).await;
    assert_eq!((status, body.as_slice()), (StatusCode::OK, BYTES));
    let (status, headers, _) = master.fetch(&path, &[("range", "bytes=10-")]).await;
    assert_eq!(status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(text(&headers, "content-range"), "bytes */10");
}

#[tokio::test]
async fn a_mirror_serves_its_folder_alone_and_nothing_of_it_runs_as_a_page() {
    let master = Master::open().await;
    std::fs::create_dir_all(master.mirror().join("a")).unwrap();
    std::fs::write(master.mirror().join("a/page.html"), "<script>alert(1)</script>").unwrap();
    std::fs::write(master.mirror().with_file_name("outside"), "secret").unwrap();

    let (status, headers, _) = master.fetch("/mirror/base/a/page.html", &[]).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(text(&headers, "x-content-type-options"), "nosniff");
    assert_eq!(text(&headers, "content-security-policy"), "default-src 'none'; sandbox");
    for path in [
        "../outside",
        "a/../../outside",
        "%2e%2e/outside",
        "..%2Foutside",
        "a/%2e%2e%2f%2e%2e%2foutside",
        "%2Fetc%2Fpasswd",
    ] {
        let (status, _, body) = master.fetch(&format!("/mirror/base/{path}"), &[]).await;
        assert_ne!(status, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&body));
    }
}

#[tokio::test]
async fn the_results_of_a_build_are_a_repository_for_its_platforms_alone() {
    let master = Master::open().await;
    let push = serde_json::json!({ "package": "a", "branch": "p1", "commit": "1", "subject": "s", "pusher": "ann" });
    let (_, build) = master.post("/api/v1/pushes", "git-service", push).await;
    master.pass_secs(60);
    anima_master::chores::close_gathered_once(&master.app, master.app.now()).await.unwrap();
    anima_master::chores::advance_once(&master.app).await.unwrap();

    let index = |platform: &str| format!("/builds/{}/repo/{platform}/x86_64/repodata/repomd.xml", build["build"]);

    assert_eq!(master.fetch(&index("p1"), &[]).await.0, StatusCode::OK);
    assert_eq!(master.fetch(&index("p2"), &[]).await.0, StatusCode::NOT_FOUND);
}
