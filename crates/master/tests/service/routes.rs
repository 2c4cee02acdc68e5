//! The table of routes: each route is refused to every role that may not use it, and to nobody who may.

use std::collections::BTreeMap;

use crate::master::Master;
use anima_master::Route;
use anima_types::permission::{Permission, Role};
use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use serde_json::json;

/// What stands in an address for each of its variable parts: nothing is there, so that nothing is changed.
fn address(path: &str) -> String {
    let path = path.replace("{sha256}", &"0".repeat(64)).replace("{*path}", "x");
    path.split('/').map(|part| if part.starts_with('{') { "999" } else { part }).collect::<Vec<_>>().join("/")
}

fn request(route: &Route, token: Option<&str>) -> Request<Body> {
    let request = Request::builder().method(route.method.clone()).uri(address(route.path));
    let request = match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    };
    request.header("content-type", "application/json").body(Body::empty()).unwrap()
}

/// A token of each role, and of a person who has none.
async fn tokens(master: &Master) -> BTreeMap<Role, String> {
    let mut tokens = BTreeMap::new();
    for role in Role::ALL {
        let token = match role {
            Role::Anonymous | Role::Lease => continue,
            Role::Person => master.person("nobody-yet", &[]).await,
            role if role.is_of_people() => master.person(&format!("a-{}", role.name()), &[role.name()]).await,
            role => master.token(role.name()),
        };
        tokens.insert(role, token);
    }
    tokens
}

/// What may be refused inside although the table lets it pass: the claim, by the kinds that are claimed; one's own things,
/// by whose they are.
fn is_decided_inside(route: &Route) -> bool {
    route.permission == Permission::Own || route.path == "/api/v1/leases" || route.is_form
}

#[tokio::test]
async fn no_route_can_be_used_without_its_permission_and_each_can_with_it() {
    let master = Master::open().await;
    let tokens = tokens(&master).await;
    let (mut refused_count, mut passed_count) = (0, 0);
    for route in anima_master::routes() {
        for (&role, token) in &tokens {
            // It would take the token with it.
            if route.path.ends_with("/tokens/own") && role.may(route.permission) {
                continue;
            }
            let status = master.status(request(&route, Some(token))).await;
            let place = format!("{} {} as {}", route.method, route.path, role.name());
            if route.is_form || !role.may(route.permission) {
                assert_eq!(status, StatusCode::FORBIDDEN, "{place}");
                refused_count += 1;
            } else if !is_decided_inside(&route) {
                assert!(!matches!(status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED), "{place}: {status}");
                passed_count += 1;
            }
        }
        let status = master.status(request(&route, None)).await;
        let place = format!("{} {} as nobody", route.method, route.path);
        match route.permission {
            _ if route.is_form => assert_eq!(status, StatusCode::FORBIDDEN, "{place}"),
            Permission::Read => assert_ne!(status, StatusCode::UNAUTHORIZED, "{place}"),
            _ => assert_eq!(status, StatusCode::UNAUTHORIZED, "{place}"),
        }
        let status = master.status(request(&route, Some("nobodys"))).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{} {} with a token that nobody has", route.method, route.path);
    }
    assert!(refused_count > 500 && passed_count > 500, "{refused_count} {passed_count}");
}

#[tokio::test]
async fn who_may_everything_with_one_product_may_nothing_with_others_nor_with_the_whole() {
    let master = Master::open().await;
    let other = json!({ "name": "other", "title": "O", "repositories": ["Main"], "architectures": ["x86_64"] });
    assert_eq!(master.post("/api/v1/products", "admin", other).await.0, StatusCode::CREATED);
    let rights = ["admin", "manager", "product-maintainer", "release-manager", "signer", "contributor"];
    let rights = rights.map(|role| format!("{role} on product:other"));
    let token = master.person("minder", &rights.each_ref().map(String::as_str)).await;
    // All that an address can be about is there, and is p1's.
    let push = json!({ "package": "a", "branch": "p1", "commit": "c", "subject": "s", "pusher": "ann" });
    let build = master.post("/api/v1/pushes", "git-service", push).await.1["build"].to_string();
    let task = master.get(&format!("/api/v1/builds/{build}")).await["tasks"][0]["id"].to_string();
    let repository = master.get("/api/v1/repositories").await[0].clone();
    assert_eq!(repository["product"], "p1", "{repository}");
    let import = json!({ "product": "p1", "import": { "url": "/srv/repo", "repository": "BaseOS" } });
    let release = master.post("/api/v1/releases", "admin", import).await.1["id"].to_string();
    let key = master.get("/api/v1/keys").await[0]["id"].to_string();
    let real = [
        ("{product}", "p1".to_string()),
        ("{platform}", "p1".to_string()),
        ("{build}", build),
        ("{task}", task),
        ("{release}", release),
        ("{repository}", repository["id"].to_string()),
        ("{key}", key),
    ];
    assert!(real.iter().all(|(_, id)| id != "null"), "{real:?}");
    let mut checked_count = 0;
    for route in anima_master::routes() {
        if matches!(route.permission, Permission::Read | Permission::Own)
            || route.is_form
            || !Role::Admin.may(route.permission)
        {
            continue;
        }
        let path = real.iter().fold(route.path.to_string(), |path, (part, id)| path.replace(part, id));
        let request = Request::builder().method(route.method.clone()).uri(address(&path));
        let request = request.header("authorization", format!("Bearer {token}"));
        let status =
            master.status(request.header("content-type", "application/json").body(Body::from("{}")).unwrap()).await;
        let place = format!("{} {}", route.method, route.path);
        match ["/api/v1/builds", "/api/v1/rebuilds", "/api/v1/releases"].contains(&route.path) {
            // The body says it: one that says nothing is not one of ours either.
            true => assert!(status.is_client_error(), "{place}: {status}"),
            false => assert_eq!(status, StatusCode::FORBIDDEN, "{place} as {path}"),
        }
        checked_count += 1;
    }
    assert!(checked_count > 30, "{checked_count}");

    let put = async |path: &str, body| master.json(Method::PUT, path, Some(&token), body).await;
    let own = json!({ "name": "other", "title": "Ours", "repositories": ["Main"], "architectures": ["x86_64"] });
    let (status, answer) = put("/api/v1/products/other", own.clone()).await;
    assert_eq!((status, &answer["title"]), (StatusCode::OK, &json!("Ours")), "{answer}");
    for (name, wider) in [
        ("quota", json!({ "packages": 9 })),
        ("team", json!("x")),
        ("gates", json!({ "closure": "tell" })),
        ("approvals", json!(1)),
        ("references", json!([{ "repository": "Main", "url": "file:///srv" }])),
    ] {
        let mut wanted = own.clone();
        wanted[name] = wider;
        assert_eq!(put("/api/v1/products/other", wanted).await.0, StatusCode::FORBIDDEN, "{name}");
    }
}

#[tokio::test]
async fn a_token_is_shown_once_and_does_nothing_after_it_was_revoked() {
    let master = Master::open().await;
    let (status, made) = master.post("/api/v1/tokens", "admin", json!({ "name": "ann", "role": "contributor" })).await;
    assert_eq!(status, StatusCode::CREATED);
    let secret = made["secret"].as_str().unwrap().to_string();

    let (_, who) = master.json(Method::GET, "/api/v1/tokens/whoami", Some(&secret), json!(null)).await;
    assert_eq!((who["name"].as_str(), who["role"].as_str()), (Some("ann"), Some("contributor")));
    let listed = master.json(Method::GET, "/api/v1/tokens", Some(&master.token("admin")), json!(null)).await.1;
    assert!(!listed.to_string().contains(&secret));

    let path = format!("/api/v1/tokens/{}", made["id"]);
    let (status, _) = master.json(Method::DELETE, &path, Some(&master.token("admin")), json!(null)).await;
    assert_eq!(status, StatusCode::OK);
    let (status, _) = master.json(Method::GET, "/api/v1/tokens/whoami", Some(&secret), json!(null)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_push_to_a_branch_that_nobody_builds_says_which_are_built() {
    let master = Master::open().await;
    let push = json!({ "package": "a", "branch": "x", "commit": "c", "subject": "s", "pusher": "ann" });

    let (status, answer) = master.post("/api/v1/pushes", "git-service", push).await;

    assert_eq!(status, StatusCode::OK);
    assert!(answer["build"].is_null() && answer["message"].as_str().unwrap().contains("p1"), "{answer}");
}

#[tokio::test]
async fn what_is_changed_in_git_and_builds_nothing_is_in_the_audit_with_who_and_through_what() {
    let master = Master::open().await;
    let push = json!({
        "package": "a", "branch": "x", "commit": "c0ffee", "subject": "s", "pusher": "ann", "via": "token:7",
        "address": "192.0.2.7",
    });
    let changes = json!({
        "package": "a", "pusher": "ann", "via": "token:7", "more_count": 3,
        "changes": [
            { "kind": "deleted", "reference": "refs/heads/x", "old": "c0ffee" },
            { "kind": "moved", "reference": "refs/tags/v1", "old": "1", "new": "2" },
            { "kind": "uploaded", "file": "a.tar", "sha512": "ab", "size_bytes": 7 },
        ],
    });

    assert_eq!(master.post("/api/v1/pushes", "git-service", push).await.0, StatusCode::OK);
    assert_eq!(master.post("/api/v1/git-changes", "git-service", changes).await.0, StatusCode::OK);

    let audit = "/api/v1/audit?who=ann&noun=git";
    let (_, entries) = master.json(Method::GET, audit, Some(&master.token("admin")), json!(null)).await;
    let told: Vec<_> = entries.as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap()).collect();
    assert_eq!(
        told,
        [
            "In a, by ann: 3 more references were moved or deleted.",
            "In a, by ann: a.tar was uploaded: 7 bytes, SHA-512 ab.",
            "In a, by ann: refs/tags/v1 was moved from 1 to 2.",
            "In a, by ann: refs/heads/x was deleted; it was c0ffee.",
            "ann pushed c0ffee to branch x of a.",
        ]
    );
    assert_eq!((&entries[4]["via"], &entries[4]["address"]), (&json!("token:7"), &json!("192.0.2.7")), "{entries}");
    let many = json!({ "package": "a", "pusher": "ann", "changes": vec![json!({ "kind": "deleted", "reference": "r", "old": "o" }); 51] });
    assert_eq!(master.post("/api/v1/git-changes", "git-service", many).await.1["code"], "too_many");
}

#[tokio::test]
async fn pushes_within_a_second_are_one_build_and_the_same_push_told_twice_is_one() {
    let master = Master::open().await;
    let push = |package: &str, commit: &str| json!({ "package": package, "branch": "p1", "commit": commit, "subject": "s", "pusher": "ann" });
    let tell = async |push| master.post("/api/v1/pushes", "git-service", push).await.1["build"].clone();

    let first = tell(push("a", "1")).await;
    assert_eq!(tell(push("b", "1")).await, first);
    assert_eq!(tell(push("a", "1")).await, first);
    assert_ne!(tell(push("a", "2")).await, first, "a newer commit of the same package is another build");

    let build = master.get(&format!("/api/v1/builds/{first}")).await;
    assert_eq!(build["sources"].as_array().unwrap().len(), 2, "{build}");
}
