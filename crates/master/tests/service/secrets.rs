//! What is secret is in no line that the service logs, however much it is asked to say, and in no error that it fails with.

use std::{
    fmt::{self, Write as _},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use anima_master::{BucketAddress, Config, Credentials, StoreAddress, chores::deliver_once, oidc::ClientSecret};
use anima_types::Timestamp;
use axum::http::StatusCode;
use serde_json::json;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use crate::{
    master::{Master, PASSWORD, config},
    oidc::{come_by, provider},
    sessions::{Jar, get, sign_in},
};

/// Hears all that is logged on this thread, also what nobody would print.
#[derive(Clone, Default)]
struct Heard(Arc<(Mutex<String>, AtomicU64)>);

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Heard {
    fn note(&self, record: impl FnOnce(&mut Line<'_>)) {
        let mut text = self.0.0.lock().unwrap();
        record(&mut Line(&mut text));
        text.push('\n');
    }

    fn text(&self) -> String {
        self.0.0.lock().unwrap().clone()
    }
}

impl Subscriber for Heard {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        self.note(|line| attributes.record(line));
        Id::from_u64(self.0.1.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        self.note(|line| values.record(line));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.note(|line| event.record(line));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Returns what stands in an address's query under this name.
fn part(url: &str, name: &str) -> String {
    let rest = url.split(&format!("{name}=")).nth(1).unwrap_or_else(|| panic!("{url}"));
    rest.split('&').next().unwrap().to_string()
}

#[tokio::test]
async fn who_signs_in_and_what_signs_webhooks_leaves_no_secret_in_the_log() {
    let (provider, oidc) = provider().await;
    let heard = Heard::default();
    let _hearing = tracing::subscriber::set_default(heard.clone());
    let master = Master::open_with_provider(oidc).await;
    master.person("bob", &[]).await;
    let (mut anns, mut bobs) = (Jar::default(), Jar::default());

    let (page, back) = come_by(&master, &provider, &mut anns).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.body);
    sign_in(&master, &mut bobs, "bob").await;
    let word = get(&master, &mut bobs, "/account").await.word();
    let wanted = json!({ "name": "chat", "url": "http://127.0.0.1:1/hook/of-chat-7f3a", "events": ["build.*"] });
    let hook = master.post("/api/v1/webhooks", "admin", wanted).await.1;
    let push = json!({ "package": "a", "branch": "p1", "commit": "c", "subject": "s", "pusher": "ann" });
    assert_eq!(master.post("/api/v1/pushes", "git-service", push).await.0, StatusCode::OK);
    deliver_once(&master.app).await.unwrap();

    let session = |jar: &Jar| jar.get("anima-session").unwrap().to_string();
    let secrets = [
        PASSWORD.to_string(),
        provider.client_secret().to_string(),
        part(&back, "code"),
        part(&back, "state"),
        session(&anns),
        session(&bobs),
        word,
        hook["secret"].as_str().unwrap().to_string(),
        master.token("admin"),
        master.token("git-service"),
    ];
    let text = heard.text();
    assert!(text.lines().count() > 10, "it is to hear much:\n{text}");
    for secret in secrets {
        assert!(secret.len() > 12 && !text.contains(&secret), "{secret} is logged:\n{text}");
    }
}

#[tokio::test]
async fn what_opens_the_database_and_the_bucket_is_in_no_log_and_no_error() {
    let heard = Heard::default();
    let _hearing = tracing::subscriber::set_default(heard.clone());
    let folder = tempfile::tempdir().unwrap();
    let bucket = StoreAddress::Bucket(Box::new(BucketAddress {
        bucket: "b".into(),
        prefix: String::new(),
        endpoint: Some("http://127.0.0.1:1".into()),
        region: "us-east-1".into(),
        credentials: Some(Credentials {
            access_key_id: "AKIAEXAMPLE".into(),
            secret_access_key: "bucket-secret-9d2c".into(),
            session_token: Some("session-secret-4be1".into()),
        }),
        cache: folder.path().join("cache"),
        cache_bytes: 1 << 20,
    }));
    let usual =
        config(folder.path(), "http://master.example".into(), Some(folder.path().join("artifacts").as_path().into())).0;
    let database = anima_master::Address::new("postgres://anima:database-secret-51f0@127.0.0.1:1/anima");
    let secret = ClientSecret::new("client-secret-c0de".to_string());
    let oidc = anima_master::oidc::Oidc {
        client_secret: Some(secret),
        ..anima_master::oidc::Oidc::new("https://id.example.org", "anima")
    };
    let configs = [
        Config { database, ..usual.clone() },
        Config { artifacts: bucket, ..usual.clone() },
        Config { oidc: Some(oidc), ..usual },
    ];

    let mut told = String::new();
    for config in configs {
        told += &format!("{config:?}\n");
        if let Err(error) = anima_master::open(config, Arc::new(|| Timestamp(1_700_000_000_000_000))).await {
            told += &format!("{error:#} {error:?}\n");
        }
    }

    assert!(told.contains("127.0.0.1:1"), "{told}");
    let text = heard.text() + &told;
    for secret in ["database-secret-51f0", "bucket-secret-9d2c", "session-secret-4be1", "client-secret-c0de"] {
        assert!(!text.contains(secret), "{secret} is told:\n{text}");
    }
}
