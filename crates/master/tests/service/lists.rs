//! Lists in pages, and requests with a condition.

use std::collections::BTreeSet;

use axum::{
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode},
};
use serde_json::{Value, json};

use crate::master::Master;

async fn ask(
    master: &Master,
    method: Method,
    path: &str,
    header: (&str, &str),
    body: Value,
) -> (StatusCode, HeaderMap, Value) {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request =
        request.header("authorization", format!("Bearer {}", master.token("admin"))).header(header.0, header.1);
    let (status, headers, text) = master.raw(request.body(Body::from(body.to_string())).unwrap()).await;
    (status, headers, serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// Reads a list to its end; returns its pages.
pub async fn pages(master: &Master, first: &str) -> Vec<Vec<Value>> {
    let (mut pages, mut at) = (Vec::new(), first.to_string());
    loop {
        let (status, headers, page) = ask(master, Method::GET, &at, ("accept", "*/*"), Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{at}: {page}");
        pages.push(page.as_array().unwrap().clone());
        let Some(link) = headers.get("link") else { return pages };
        at = link.to_str().unwrap().strip_prefix('<').unwrap().split('>').next().unwrap().to_string();
        assert!(pages.len() < 100, "{at}");
    }
}

#[tokio::test]
async fn each_list_is_read_to_its_end_by_its_links() {
    let master = Master::open().await;
    for number in 0..7 {
        ask(&master, Method::POST, "/api/v1/teams", ("accept", "*/*"), json!({ "name": format!("t{number}") })).await;
        master.person(&format!("a{number}"), &["contributor"]).await;
        let product =
            json!({ "name": format!("b{number}"), "title": "", "repositories": ["Main"], "architectures": ["x86_64"] });
        let (status, _, made) = ask(&master, Method::POST, "/api/v1/products", ("accept", "*/*"), product).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
    }
    for path in ["teams", "accounts", "rights", "tokens", "products", "repositories", "keys", "events/list", "audit"] {
        let whole = pages(&master, &format!("/api/v1/{path}")).await.concat();
        let in_pages = pages(&master, &format!("/api/v1/{path}?limit=3")).await;

        assert!(whole.len() >= 7, "{path}: {}", whole.len());
        assert!(in_pages.iter().all(|page| page.len() <= 3) && in_pages.len() >= 3, "{path}");
        let distinct: BTreeSet<String> = in_pages.concat().iter().map(Value::to_string).collect();
        assert_eq!(in_pages.concat(), whole, "{path}");
        assert_eq!(distinct.len(), whole.len(), "{path}");
    }
    let filtered = pages(&master, "/api/v1/audit?noun=team&limit=2").await;
    assert_eq!(filtered.concat().len(), 7);
    assert!(filtered.concat().iter().all(|entry| entry["noun"] == "team"), "a link keeps what was asked for");
}

#[tokio::test]
async fn a_cursor_is_for_its_own_list() {
    let master = Master::open().await;
    for number in 0..3 {
        ask(&master, Method::POST, "/api/v1/teams", ("accept", "*/*"), json!({ "name": format!("t{number}") })).await;
    }
    let (_, headers, _) = ask(&master, Method::GET, "/api/v1/teams?limit=1", ("accept", "*/*"), Value::Null).await;
    let link = headers["link"].to_str().unwrap();
    let cursor = link.split("cursor=").nth(1).unwrap().split(['&', '>']).next().unwrap();

    for path in [format!("/api/v1/accounts?cursor={cursor}"), "/api/v1/teams?cursor=x".to_string()] {
        let (status, _, refused) = ask(&master, Method::GET, &path, ("accept", "*/*"), Value::Null).await;
        assert_eq!((status, &refused["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("bad_cursor")), "{path}");
    }
}

#[tokio::test]
async fn who_has_an_answer_already_is_told_that_it_is_the_same() {
    let master = Master::open().await;
    let path = "/api/v1/products/p1";
    let (_, headers, product) = ask(&master, Method::GET, path, ("accept", "*/*"), Value::Null).await;
    let tag = headers["etag"].to_str().unwrap().to_string();
    assert_eq!(headers["cache-control"], "private, no-cache");

    let (status, headers, nothing) = ask(&master, Method::GET, path, ("if-none-match", &tag), Value::Null).await;
    assert_eq!((status, nothing), (StatusCode::NOT_MODIFIED, Value::Null));
    assert_eq!(headers["etag"], tag.as_str());

    let mut wanted = product.clone();
    wanted["title"] = json!("Another");
    let (status, ..) = ask(&master, Method::PUT, path, ("if-match", &tag), wanted.clone()).await;
    assert_eq!(status, StatusCode::OK);
    let (status, headers, _) = ask(&master, Method::GET, path, ("if-none-match", &tag), Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    assert_ne!(headers["etag"], tag.as_str());

    wanted["title"] = json!("Too late");
    let (status, _, refused) = ask(&master, Method::PUT, path, ("if-match", &tag), wanted).await;
    assert_eq!((status, &refused["code"]), (StatusCode::PRECONDITION_FAILED, &json!("changed_meanwhile")), "{refused}");
    assert_eq!(master.get(path).await["title"], "Another");
}

#[tokio::test]
async fn what_is_configured_is_changed_only_as_it_was_seen() {
    let master = Master::open().await;
    ask(&master, Method::POST, "/api/v1/teams", ("accept", "*/*"), json!({ "name": "crew" })).await;
    let stale = "\"00000000000000000000000000000000\"";
    let repository = master.get("/api/v1/repositories").await[0]["id"].to_string();
    let settings = format!("/api/v1/repositories/{repository}/settings");
    let kept = master.get(&settings).await;
    let key = master.get("/api/v1/keys").await[0].clone();
    let policy = format!("/api/v1/keys/{}/policy", key["id"]);
    let shown = format!("/api/v1/keys/{}", key["id"]);
    let cases = [
        (Method::PUT, settings.clone(), settings, kept),
        (Method::PUT, policy, shown, key["policy"].clone()),
        (Method::DELETE, "/api/v1/teams/crew".to_string(), "/api/v1/teams/crew".to_string(), Value::Null),
    ];
    for (method, path, seen_at, body) in cases {
        let (status, _, refused) = ask(&master, method.clone(), &path, ("if-match", stale), body.clone()).await;
        assert_eq!(status, StatusCode::PRECONDITION_FAILED, "{path}: {refused}");
        let (_, headers, _) = ask(&master, Method::GET, &seen_at, ("accept", "*/*"), Value::Null).await;
        let tag = headers["etag"].to_str().unwrap().to_string();
        let (status, _, done) = ask(&master, method, &path, ("if-match", &tag), body).await;
        assert_eq!(status, StatusCode::OK, "{path}: {done}");
    }
}

#[tokio::test]
async fn a_change_with_a_condition_that_it_does_not_take_is_not_done() {
    let master = Master::open().await;
    let right = json!({ "account": "ann", "role": "observer" });
    master.person("ann", &[]).await;
    let given = master.post("/api/v1/rights", "admin", right).await.1;
    let path = format!("/api/v1/rights/{}", given["id"]);

    let (status, _, refused) = ask(&master, Method::DELETE, &path, ("if-match", "\"x\""), Value::Null).await;

    assert_eq!((status, &refused["code"]), (StatusCode::BAD_REQUEST, &json!("no_condition")), "{refused}");
    let (status, ..) = ask(&master, Method::DELETE, &path, ("accept", "*/*"), Value::Null).await;
    assert_eq!(status, StatusCode::OK, "it is there still");
}

#[tokio::test]
async fn an_address_that_does_not_take_a_method_says_so_and_which_it_takes() {
    let master = Master::open().await;
    for path in anima_master::routes().iter().map(|route| route.path).filter(|path| path.starts_with("/api/")) {
        let path = path.split('/').map(|part| if part.starts_with('{') { "999" } else { part }).collect::<Vec<_>>();
        let path = path.join("/");

        let (status, headers, refused) = ask(&master, Method::PATCH, &path, ("accept", "*/*"), Value::Null).await;

        let place = format!("{path}: {refused}");
        assert_eq!((status, &refused["code"]), (StatusCode::METHOD_NOT_ALLOWED, &json!("bad_method")), "{place}");
        assert!(headers["allow"].to_str().unwrap().len() > 2, "{place}");
    }
}
