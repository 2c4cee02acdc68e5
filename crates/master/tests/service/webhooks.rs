//! Webhooks: a receiver on this machine is told of what it wants, in order, signed, and again where it was away.

use std::sync::{Arc, Mutex};

use anima_master::chores::{deliver, deliver_once, forget_once};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};

use crate::master::Master;

/// A receiver that answers what it is told to, and remembers what came.
#[derive(Clone, Default)]
struct Receiver {
    answer: Arc<Mutex<u16>>,
    came: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    heard: Arc<tokio::sync::Notify>,
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: String) -> Response {
    receiver.came.lock().unwrap().push((headers, body));
    receiver.heard.notify_one();
    let status = StatusCode::from_u16(*receiver.answer.lock().unwrap()).unwrap();
    (status, [("location", "http://127.0.0.1:1/elsewhere")], "so it is").into_response()
}

impl Receiver {
    async fn start() -> (Receiver, String) {
        let receiver = Receiver { answer: Arc::new(Mutex::new(200)), came: Arc::default(), heard: Arc::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/hook", post(receive)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (receiver, format!("http://{address}/hook"))
    }

    fn answer(&self, status: u16) {
        *self.answer.lock().unwrap() = status;
    }

    fn take(&self) -> Vec<(HeaderMap, String)> {
        std::mem::take(&mut self.came.lock().unwrap())
    }
}

async fn create(master: &Master, url: &str, events: &[&str]) -> (String, String) {
    create_named(master, "chat", url, events).await
}

async fn create_named(master: &Master, name: &str, url: &str, events: &[&str]) -> (String, String) {
    let wanted = json!({ "name": name, "url": url, "events": events });
    let (status, made) = master.post("/api/v1/webhooks", "admin", wanted).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    (made["id"].to_string(), made["secret"].as_str().unwrap().to_string())
}

async fn push(master: &Master, commit: &str) {
    let push = json!({ "package": "a", "branch": "p1", "commit": commit, "subject": "s", "pusher": "ann" });
    assert_eq!(master.post("/api/v1/pushes", "git-service", push).await.0, StatusCode::OK);
}

async fn admin(master: &Master, method: Method, path: &str) -> Value {
    let (status, answer) = master.json(method, path, Some(&master.token("admin")), Value::Null).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}

#[tokio::test]
async fn a_receiver_is_told_of_what_it_wants_signed_and_once() {
    let (master, (receiver, url)) = (Master::open().await, Receiver::start().await);
    push(&master, "before").await;
    let (id, secret) = create(&master, &url, &["build.*"]).await;
    master.pass_secs(10);
    push(&master, "after").await;

    deliver_once(&master.app).await.unwrap();
    deliver_once(&master.app).await.unwrap();

    let came = receiver.take();
    assert_eq!(came.len(), 1, "what was before is not told, nor anything twice: {came:?}");
    let (headers, body) = &came[0];
    let told: Value = serde_json::from_str(body).unwrap();
    assert_eq!(told["type"], "build.created");
    assert!(told["text"].as_str().unwrap().contains("http://master.example/builds/2"), "{told}");
    let header = |name: &str| headers[name].to_str().unwrap().to_string();
    let signed = anima_master::webhook_signature(
        &secret,
        &header("webhook-id"),
        header("webhook-timestamp").parse().unwrap(),
        body,
    );
    assert_eq!(header("webhook-signature"), signed);
    let log = admin(&master, Method::GET, &format!("/api/v1/webhooks/{id}/deliveries")).await;
    assert_eq!((log[0]["status"].as_str(), log[0]["answer"].as_str()), (Some("delivered"), Some("200 OK so it is")));
    assert!(!admin(&master, Method::GET, "/api/v1/webhooks").await.to_string().contains(&secret));
}

#[tokio::test]
async fn a_receiver_that_was_away_is_told_later_and_one_that_is_gone_is_told_no_more() {
    let (master, (receiver, url)) = (Master::open().await, Receiver::start().await);
    let (id, _) = create(&master, &url, &["build.created"]).await;
    receiver.answer(503);
    push(&master, "1").await;
    deliver_once(&master.app).await.unwrap();
    deliver_once(&master.app).await.unwrap();
    assert_eq!(receiver.take().len(), 1, "not at once again");

    receiver.answer(302);
    master.pass_secs(6);
    deliver_once(&master.app).await.unwrap();
    assert_eq!(receiver.take().len(), 1, "a redirect is not followed");
    let path = format!("/api/v1/webhooks/{id}/deliveries");
    let log = admin(&master, Method::GET, &path).await;
    assert_eq!((log[0]["status"].as_str(), log[0]["attempts"].as_u64()), (Some("waiting"), Some(2)), "{log}");

    // A message that was tried for four days is given up; somebody asks for it once more.
    for _ in 0..20 {
        master.pass_secs(86_401);
        deliver_once(&master.app).await.unwrap();
    }
    assert_eq!(receiver.take().len(), 8, "ten tries in all");
    let log = admin(&master, Method::GET, &path).await;
    assert_eq!(log[0]["status"], "given_up", "{log}");
    receiver.answer(204);
    admin(&master, Method::POST, &format!("{path}/{}/resend", log[0]["id"])).await;
    deliver_once(&master.app).await.unwrap();
    assert_eq!(admin(&master, Method::GET, &path).await[0]["status"], "delivered");

    receiver.answer(410);
    push(&master, "2").await;
    deliver_once(&master.app).await.unwrap();
    let hook = admin(&master, Method::GET, &format!("/api/v1/webhooks/{id}")).await;
    assert!(hook["is_active"] == false && hook["why"].as_str().unwrap().contains("410"), "{hook}");
    receiver.take();
    master.pass_secs(10);
    push(&master, "3").await;
    deliver_once(&master.app).await.unwrap();
    assert!(receiver.take().is_empty());

    receiver.answer(200);
    admin(&master, Method::POST, &format!("/api/v1/webhooks/{id}/resume")).await;
    master.pass_secs(10);
    push(&master, "4").await;
    deliver_once(&master.app).await.unwrap();
    assert_eq!(receiver.take().len(), 1, "what came while it was stopped is not told");
    master.pass_secs(31 * 86_400);
    assert!(forget_once(&master.app, master.app.now()).await.unwrap() >= 2);
    admin(&master, Method::DELETE, &format!("/api/v1/webhooks/{id}")).await;
    assert_eq!(admin(&master, Method::GET, "/api/v1/webhooks").await, json!([]));
}

#[tokio::test]
async fn a_receiver_that_accepts_and_stays_silent_holds_up_nobody_else() {
    let (master, (receiver, url)) = (Master::open().await, Receiver::start().await);
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    create_named(&master, "silent", &format!("http://{}/", silent.local_addr().unwrap()), &["build.created"]).await;
    create(&master, &url, &["build.created"]).await;
    let app = master.app.clone();
    let delivering = tokio::spawn(async move { deliver(&app).await });

    push(&master, "1").await;
    let _held = silent.accept().await.unwrap();
    receiver.heard.notified().await;
    master.pass_secs(10);
    push(&master, "2").await;

    // Less than the silent one has to answer.
    let heard = tokio::time::timeout(std::time::Duration::from_secs(12), receiver.heard.notified()).await;
    delivering.abort();
    assert!(heard.is_ok() && receiver.take().len() == 2);
}

#[tokio::test]
async fn an_address_that_is_none_and_an_event_that_is_none_are_refused() {
    let master = Master::open().await;
    let cases = [
        (json!({ "name": "x", "url": "file:///etc/passwd" }), "bad_url"),
        (json!({ "name": "x", "url": "nowhere" }), "bad_url"),
        (json!({ "name": "", "url": "https://example.org/" }), "bad_name"),
        (json!({ "name": "x", "url": "https://example.org/", "events": ["Build.Failed"] }), "bad_event"),
        (json!({ "name": "x", "url": "https://example.org/", "events": ["build"] }), "bad_event"),
    ];
    for (wanted, code) in cases {
        let (status, answer) = master.post("/api/v1/webhooks", "admin", wanted).await;
        assert_eq!((status, answer["code"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some(code)));
    }
    let wanted = json!({ "name": "x", "url": "https://example.org/" });
    assert_eq!(master.post("/api/v1/webhooks", "admin", wanted.clone()).await.0, StatusCode::CREATED);
    assert_eq!(master.post("/api/v1/webhooks", "admin", wanted).await.0, StatusCode::CONFLICT, "the name is taken");
}
