//! Feeds and badges.

use crate::master::Master;
use axum::http::StatusCode;
use serde_json::json;

async fn push(master: &Master, package: &str) {
    let push = json!({ "package": package, "branch": "p1", "commit": "c", "subject": "s", "pusher": "ann" });
    assert_eq!(master.post("/api/v1/pushes", "git-service", push).await.0, StatusCode::OK);
}

#[tokio::test]
async fn builds_are_in_the_feeds_of_their_package_and_platform_and_in_no_other() {
    let master = Master::open().await;
    push(&master, "lib<a>").await;

    for path in ["/feed.atom", "/packages/lib%3Ca%3E/feed.atom", "/platforms/p1/feed.atom"] {
        let text = master.get_text(path).await;
        assert_eq!(text.matches("<entry>").count(), 1, "{path}: {text}");
        assert!(
            text.contains("lib&lt;a&gt; on p1: sources") && text.contains("http://master.example/builds/1"),
            "{text}"
        );
        assert!(text.contains("<published>2023-11-14T22:13:20"), "a moment that readers understand: {text}");
    }
    let other = master.get_text("/packages/b/feed.atom").await;
    assert!(!other.contains("<entry>"), "{other}");
    let (status, _) = master.json(axum::http::Method::GET, "/platforms/p9/feed.atom", None, json!(null)).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let releases = master.get_text("/products/p1/feed.atom").await;
    assert!(releases.contains("Releases to p1") && !releases.contains("<entry>"), "{releases}");
}

#[tokio::test]
async fn a_badge_says_where_the_newest_build_stands() {
    let master = Master::open().await;
    let before = master.get_text("/packages/a/badge.svg").await;
    assert!(before.contains("nothing yet"), "{before}");

    push(&master, "a").await;

    let (_, headers, after) = master.fetch("/packages/a/badge.svg?platform=p1", &[]).await;
    assert_eq!(headers["content-type"], "image/svg+xml");
    let after = String::from_utf8(after).unwrap();
    assert!(after.contains("a on p1") && after.contains("sources"), "{after}");
    let elsewhere = master.get_text("/packages/a/badge.svg?platform=p").await;
    assert!(elsewhere.contains("nothing yet"), "part of a platform's name is not it: {elsewhere}");
}
