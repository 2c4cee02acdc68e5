//! Clients that mean harm: bodies that are too large, heads that do not end, headers and addresses with tricks.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anima_types::task::Kind;
use axum::{
    body::{Body, Bytes},
    extract::ConnectInfo,
    http::{Method, Request, StatusCode},
};
use serde_json::{Value, json};

use crate::master::{Master, PASSWORD};

/// An answer that has not come by then does not come.
const LIMIT: Duration = Duration::from_secs(60);

fn pieces(count: usize) -> Body {
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    Body::from_stream(futures_util::stream::iter((0..count).map(move |_| Ok::<_, std::io::Error>(piece.clone()))))
}

#[tokio::test]
async fn nobody_in_particular_sends_little_and_a_form_is_small() {
    let master = Master::open().await;
    for path in ["/api/v1/sign-in", "/api/v1/leases", "/api/v1/build-plans", "/api/v1/enrolments/redeem"] {
        let request = Request::builder().method(Method::POST).uri(path).header("content-type", "application/json");
        let (status, _, body) = master.raw(request.body(pieces(3)).unwrap()).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{path}: {body}");
    }
    let form = Request::builder().method(Method::POST).uri("/sign-in");
    let form = form.header("content-type", "application/x-www-form-urlencoded").body(pieces(1)).unwrap();
    assert_eq!(master.raw(form).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_body_of_somebody_who_may_not_is_not_read() {
    let master = Master::open().await;
    let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    let request = Request::builder().method(Method::POST).uri("/api/v1/products").body(never).unwrap();

    let status = tokio::time::timeout(LIMIT, master.status(request)).await.expect("it is answered at once");

    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_address_with_tricks_is_another_address_and_not_a_way_round() {
    let master = Master::open().await;
    for path in [
        "/api/v1/Products",
        "/api/v1//tokens",
        "/api/v1/tokens/",
        "/api/v1/x/../tokens",
        "/api/v1/%74okens",
        "/api/v1/tokens%2f",
        "/api/v1/tokens;a=b",
        "/api/v1/tokens%00",
        "/repos/../api/v1/tokens",
        "/mirror/base/../../tokens/admin",
        "/mirror/base/%2e%2e/%2e%2e/tokens/admin",
        "/mirror/base/..%2f..%2ftokens%2fadmin",
    ] {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let (status, _, body) = master.raw(request).await;
        assert!(
            matches!(status, StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED | StatusCode::BAD_REQUEST),
            "{path}: {status} {body}"
        );
        assert!(!body.contains(&master.token("admin")), "{path}");
    }
}

#[tokio::test]
async fn headers_do_not_make_somebody_out_of_nobody() {
    let master = Master::open().await;
    let admin = master.token("admin");
    let bearer = format!("Bearer {admin}");
    let (basic, two) = (format!("Basic {admin}"), format!("Bearer {admin}, Bearer x"));
    for headers in [
        vec![("x-forwarded-user", "admin")],
        vec![("remote-user", "admin")],
        vec![("x-original-url", "/"), ("x-rewrite-url", "/")],
        vec![("authorization", "Bearer")],
        vec![("authorization", basic.as_str())],
        vec![("authorization", two.as_str())],
        vec![("authorization", bearer.as_str()), ("authorization", "Bearer x")],
        vec![("cookie", "anima-session=admin")],
    ] {
        let request = Request::builder().uri("/api/v1/tokens");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        assert_eq!(master.status(request.body(Body::empty()).unwrap()).await, StatusCode::UNAUTHORIZED, "{headers:?}");
    }
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let request = Request::builder().uri("/api/v1/tokens").header("authorization", format!("{scheme} {admin}"));
        assert_eq!(master.status(request.body(Body::empty()).unwrap()).await, StatusCode::OK, "{scheme}");
    }
    let overridden = Request::builder().uri("/api/v1/tokens/1").header("x-http-method-override", "DELETE");
    let overridden = overridden.header("authorization", &bearer).body(Body::empty()).unwrap();
    assert_eq!(master.status(overridden).await, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn passwords_are_not_tried_for_long() {
    let master = Master::open().await;
    master.person("ann", &[]).await;
    let attempt = async |from: [u8; 4], account: &str, password: &str| {
        let body = json!({ "account": account, "password": password });
        let request =
            Request::builder().method(Method::POST).uri("/api/v1/sign-in").header("content-type", "application/json");
        let request = request.extension(ConnectInfo(SocketAddr::from((from, 7))));
        let (status, headers, _) = master.raw(request.body(Body::from(body.to_string())).unwrap()).await;
        (status, headers.get("retry-after").map(|value| value.to_str().unwrap().parse::<i64>().unwrap()))
    };
    let (eves, anns) = ([192, 0, 2, 7], [192, 0, 2, 8]);
    let mut tries = 0;
    let wait = loop {
        match attempt(eves, "ann", "a wrong password").await {
            (StatusCode::UNAUTHORIZED, None) => tries += 1,
            (StatusCode::TOO_MANY_REQUESTS, Some(wait)) => break wait,
            other => panic!("{other:?}"),
        }
    };

    assert_eq!(tries, 10);
    assert_eq!(attempt(eves, "bob", "a wrong password").await.0, StatusCode::UNAUTHORIZED, "others may");
    let early = attempt(eves, "ann", PASSWORD).await;
    assert_eq!(early.0, StatusCode::TOO_MANY_REQUESTS, "not even the right one");
    let elsewhere = attempt(anns, "ann", PASSWORD).await;
    assert_eq!(elsewhere.0, StatusCode::CREATED, "she is kept out of her account from nowhere else");
    master.pass_secs(wait);
    assert_eq!(attempt(eves, "ann", PASSWORD).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn codes_are_counted_before_they_are_looked_up() {
    let master = Master::open().await;
    let wanted = json!({ "node": "n7", "role": "build-node" });
    let code = master.post("/api/v1/enrolments", "admin", wanted).await.1["code"].clone();
    let redeem = async |code: &Value| {
        let body = json!({ "code": code }).to_string();
        let request = Request::builder().method(Method::POST).uri("/api/v1/enrolments/redeem");
        let request = request.header("content-type", "application/json");
        let request = request.extension(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 7))));
        master.status(request.body(Body::from(body)).unwrap()).await
    };
    let mut tries = 0;
    while redeem(&json!("AAAA-AAAA-AAAA-AAAA")).await == StatusCode::UNAUTHORIZED {
        tries += 1;
    }

    assert_eq!(tries, 100);
    assert_eq!(redeem(&code).await, StatusCode::TOO_MANY_REQUESTS, "a guess that is right is not seen to be");
    master.pass_secs(2);
    assert_eq!(redeem(&code).await, StatusCode::CREATED);
}

#[tokio::test]
async fn who_looks_through_everything_is_counted_and_who_looks_at_the_queue_is_not() {
    let master = Master::open().await;
    let ask = async |path: &str| {
        let request = Request::builder().uri(path).extension(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 7))));
        master.status(request.body(Body::empty()).unwrap()).await
    };
    let mut asked = 0;
    while ask("/api/v1/search?q=jq").await == StatusCode::OK {
        asked += 1;
    }

    assert_eq!(asked, 30);
    for dear in ["/api/v1/search?q=jq", "/search?q=jq", "/api/v1/tasks?kind=import", "/api/v1/tasks?owner=ann"] {
        assert_eq!(ask(dear).await, StatusCode::TOO_MANY_REQUESTS, "{dear}");
    }
    for cheap in ["/search", "/queue", "/api/v1/tasks", "/api/v1/tasks?status=ready&kind=src", "/api/v1/tasks?node=n1"]
    {
        assert_eq!(ask(cheap).await, StatusCode::OK, "{cheap}");
    }
}

#[tokio::test]
async fn a_person_who_changes_too_much_is_told_to_wait_and_a_node_is_not() {
    let master = Master::open().await;
    let ann = master.person("ann", &[]).await;
    let change = async |token: &str| {
        let path = "/api/v1/tokens/999";
        master.json(Method::DELETE, path, Some(token), Value::Null).await.0
    };
    let passed = async |token: &str| {
        for number in 0..400 {
            if change(token).await == StatusCode::TOO_MANY_REQUESTS {
                return number;
            }
        }
        400
    };

    assert_eq!(passed(&ann).await, 300);
    assert_eq!(passed(&master.token("build-node")).await, 400);
    master.pass_secs(1);
    assert_eq!(passed(&ann).await, 10);
}

async fn listening() -> (Master, SocketAddr) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let master = Master::open().await;
    master.serve(listener);
    (master, address)
}

/// Sends bytes and returns all that comes until the connection is closed.
fn talk(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    // What is too long is refused before all of it was sent.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_long_or_wrong_is_refused_and_others_are_answered() {
    let (_master, address) = listening().await;
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(1 << 20));
    let smuggled = "POST /api/v1/sign-in HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\nconnection: close\r\n\r\n{}";
    for (bytes, wanted) in
        [(long.as_str(), "HTTP/1.1 431"), (smuggled, "HTTP/1.1 400"), ("\u{0}\u{1}\r\n\r\n", "HTTP/1.1 400")]
    {
        let bytes = bytes.to_string();
        let answer = tokio::task::spawn_blocking(move || talk(address, bytes.as_bytes())).await.unwrap();
        assert!(answer.starts_with(wanted), "{answer}");
    }
    let well = tokio::task::spawn_blocking(move || {
        talk(address, b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    });
    assert!(well.await.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_says_what_they_want_is_given_up() {
    let (_master, address) = listening().await;
    let half = tokio::task::spawn_blocking(move || talk(address, b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: "));

    let answer = tokio::time::timeout(LIMIT, half).await.expect("the connection is closed").unwrap();

    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn a_nul_is_refused_where_somebody_sends_it_and_the_database_is_not_asked() {
    let master = Master::open().await;
    let admin = master.token("admin");
    for path in [
        "/api/v1/builds?package=%00",
        "/api/v1/builds?owner=a%00b",
        "/api/v1/packages/a%00b",
        "/packages/a%00b",
        "/packages?q=%00",
    ] {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        assert_eq!(master.raw(request).await.0, StatusCode::BAD_REQUEST, "{path}");
    }
    let reason = json!({ "reason": "a\0b" });
    let (status, answer) = master.json(Method::PUT, "/api/v1/maintenance", Some(&admin), reason).await;
    assert_eq!((status, answer["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("bad_body")));
    let form = Request::builder().method(Method::POST).uri("/sign-in");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    let (status, _, body) = master.raw(form.body("account=a%00b&password=c".into()).unwrap()).await;
    assert!(status.is_client_error(), "{status}: {body}");
}

#[tokio::test]
async fn a_nul_in_what_a_node_tells_is_marked_and_its_task_ends() {
    let master = Master::open().await;
    let lease = master.claim("sign-server", &[Kind::Sign]).await.unwrap();

    let end = json!({ "failed": { "code": "x", "message": "ld: bad magic \0\0, see \\u0000" } });
    assert_eq!(master.report(&lease, end).await.0, StatusCode::OK);

    let task = master.get(&format!("/api/v1/tasks/{}", lease["task"])).await;
    assert_eq!(task["status"], "failed");
    assert_eq!(task["failure"]["message"], "ld: bad magic \u{fffd}\u{fffd}, see \\u0000");
}
