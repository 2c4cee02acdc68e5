//! The table of routes: each route is refused to every role that may not use it.

use crate::master::Master;
use anima_types::permission::{Permission, Role};
use axum::{body::Body, http::StatusCode};
use serde_json::json;

const ROLES: [Role; 6] =
    [Role::Admin, Role::GitService, Role::BuildNode, Role::TestNode, Role::SignServer, Role::ReleaseSystem];

#[tokio::test]
async fn no_route_can_be_used_without_its_permission() {
    let master = Master::open().await;
    let mut refused_count = 0;
    for route in anima_master::routes() {
        let path = route.path.replace("{sha256}", &"0".repeat(64)).replace("{*path}", "x");
        let path =
            path.split('/').map(|part| if part.starts_with('{') { "1" } else { part }).collect::<Vec<_>>().join("/");
        for role in ROLES.into_iter().filter(|role| !role.may(route.permission)) {
            let (status, _) =
                master.send(route.method.clone(), &path, Some(&master.token(role.name())), Body::empty()).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{} {path} as {}", route.method, role.name());
            refused_count += 1;
        }
        if route.permission != Permission::Read {
            let (status, _) = master.send(route.method.clone(), &path, None, Body::empty()).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{} {path}", route.method);
        }
        let (status, _) = master.send(route.method.clone(), &path, Some("nobodys"), Body::empty()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{} {path} with a token that nobody has", route.method);
    }
    assert!(refused_count > 50, "{refused_count}");
}

#[tokio::test]
async fn a_token_is_shown_once_and_does_nothing_after_it_was_revoked() {
    let master = Master::open().await;
    let (status, made) = master.post("/api/v1/tokens", "admin", json!({ "name": "ann", "role": "packager" })).await;
    assert_eq!(status, StatusCode::CREATED);
    let secret = made["secret"].as_str().unwrap().to_string();

    let (_, who) = master.json(axum::http::Method::GET, "/api/v1/tokens/whoami", Some(&secret), json!(null)).await;
    assert_eq!((who["name"].as_str(), who["role"].as_str()), (Some("ann"), Some("packager")));
    let listed =
        master.json(axum::http::Method::GET, "/api/v1/tokens", Some(&master.token("admin")), json!(null)).await.1;
    assert!(!listed.to_string().contains(&secret));

    let path = format!("/api/v1/tokens/{}", made["id"]);
    let (status, _) = master.json(axum::http::Method::DELETE, &path, Some(&master.token("admin")), json!(null)).await;
    assert_eq!(status, StatusCode::OK);
    let (status, _) = master.json(axum::http::Method::GET, "/api/v1/tokens/whoami", Some(&secret), json!(null)).await;
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
