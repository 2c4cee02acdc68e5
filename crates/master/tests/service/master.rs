//! A Master Service in a temporary folder, with a clock that the test turns, spoken to through its router.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::SystemTime,
};

use anima_db::build::NewBuild;
use anima_master::{Address, App, BucketAddress, Config, Credentials, Quota, StoreAddress, oidc::Oidc};
use anima_testkit::{Bucket, ObjectStore};
use anima_types::{
    Arch, Sha256, Timestamp,
    lease::{Claim, Condition, PROTOCOL},
    platform::Platform,
    retention::Rules,
    task::Kind,
};
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

const START: Timestamp = Timestamp(1_700_000_000_000_000);
/// What the people of these tests sign in with.
pub const PASSWORD: &str = "correct horse battery";
/// An answer of these tests at most.
const MAX_ANSWER_BYTES: usize = 128 << 20;

/// The one platform.
const PLATFORM: &str = "name = \"p1\"\ntitle = \"P 1\"\ndist = \".p1\"\nbranch = \"p1\"\narchitectures = [\"x86_64\"]\nrelease_to = \"p1\"\n\
     [buildroot]\npackages = [\"bash\"]\ntest_packages = [\"bash\"]\n\
     [[repositories]]\nname = \"base\"\nurl = \"{master}/mirror/base/{arch}/\"\n";

pub struct Master {
    pub app: App,
    router: Router,
    micros: Arc<AtomicI64>,
    folder: TempDir,
    stored: PathBuf,
}

/// Returns where the artifacts of a service in this folder are, the same when it is opened again: in its folder, or in a
/// bucket.
fn artifacts(folder: &Path) -> (StoreAddress, PathBuf) {
    let note = folder.join("bucket");
    let bucket = match fs::read_to_string(&note) {
        Ok(text) => {
            let mut parts = text.split(' ').map(str::to_string);
            let mut part = || parts.next().unwrap();
            Some(Bucket { endpoint: part(), name: part(), folder: part().into() })
        }
        Err(_) => anima_testkit::bucket_of_second_run(),
    };
    let Some(bucket) = bucket else {
        let folder = folder.join("data/artifacts");
        return (folder.as_path().into(), folder);
    };
    fs::write(note, format!("{} {} {}", bucket.endpoint, bucket.name, bucket.folder.display())).unwrap();
    (bucket_address(&bucket, &folder.join("data/cache")), bucket.folder)
}

/// Returns the address of a bucket of a test's server.
pub fn bucket_address(bucket: &Bucket, cache: &Path) -> StoreAddress {
    StoreAddress::Bucket(Box::new(BucketAddress {
        bucket: bucket.name.clone(),
        prefix: String::new(),
        endpoint: Some(bucket.endpoint.clone()),
        region: "us-east-1".into(),
        credentials: Some(Credentials {
            access_key_id: ObjectStore::ACCESS_KEY_ID.into(),
            secret_access_key: ObjectStore::SECRET_ACCESS_KEY.into(),
            session_token: None,
        }),
        cache: cache.to_path_buf(),
        cache_bytes: 64 << 20,
    }))
}

/// Returns the database of a service in this folder, the same when it is opened again.
fn database(folder: &Path) -> Address {
    let note = folder.join("database");
    if let Ok(url) = fs::read_to_string(&note) {
        return Address::new(&url);
    }
    match anima_testkit::database_of_second_run() {
        Some(url) => {
            fs::write(note, &url).unwrap();
            Address::new(&url)
        }
        None => Address::File(folder.join("anima.db")),
    }
}

/// Returns a build of ann's on `p1` for one architecture, to which sources are still to be added.
pub fn new_build() -> NewBuild {
    NewBuild {
        owner: "ann".into(),
        reason: "a test".into(),
        platforms: vec!["p1".into()],
        architectures: vec![Arch::X86_64],
        priority: Default::default(),
        summary: String::new(),
        gather: None,
    }
}

/// Returns the configuration of a service in this folder, and where its artifacts are.
pub fn config(folder: &Path, public_url: String, own: Option<StoreAddress>) -> (Config, PathBuf) {
    let platform = Platform::parse(PLATFORM);
    let (artifacts, stored) = match own {
        Some(address) => (address, PathBuf::new()),
        None => artifacts(folder),
    };
    let config = Config {
        data: folder.join("data"),
        database: database(folder),
        artifacts,
        public_url,
        git_url: "http://git.example".into(),
        platforms: vec![platform.unwrap()],
        mirrors: BTreeMap::from([("base".to_string(), folder.join("mirror"))]),
        tokens: folder.join("tokens"),
        proxies: Vec::new(),
        limits_factor: 1,
        connections_of_address: anima_master::CONNECTIONS_OF_ADDRESS,
        oidc: None,
        retention: Default::default(),
        quota: Quota::default(),
    };
    (config, stored)
}

impl Master {
    /// Opens a service with one platform, whose product releases by itself.
    pub async fn open() -> Master {
        Master::open_at("http://master.example").await
    }

    /// The same, with more lines in the platform's file.
    pub async fn open_with_lines(lines: &str) -> Master {
        Master::open_with_quota(lines, Quota::default()).await
    }

    /// The same, with quotas for teams.
    pub async fn open_with_quota(lines: &str, quota: Quota) -> Master {
        Master::open_with_platform(&format!("{PLATFORM}{lines}"), quota).await
    }

    /// The same, whose platform is built for these architectures.
    pub async fn open_for(architectures: &[Arch]) -> Master {
        let names: Vec<&str> = architectures.iter().map(|arch| arch.name()).collect();
        let platform = PLATFORM.replace("architectures = [\"x86_64\"]", &format!("architectures = {names:?}"));
        Master::open_with_platform(&platform, Quota::default()).await
    }

    async fn open_with_platform(platform: &str, quota: Quota) -> Master {
        let clock = Arc::new(AtomicI64::new(START.0));
        let folder = tempfile::tempdir().unwrap();
        let (mut config, stored) = config(folder.path(), "http://master.example".to_string(), None);
        config.platforms = vec![Platform::parse(platform).unwrap()];
        config.quota = quota;
        Master::open_config(folder, clock, config, stored).await
    }

    /// The same, and it calls itself by this address.
    pub async fn open_at(public_url: &str) -> Master {
        let clock = Arc::new(AtomicI64::new(START.0));
        Master::open_in(tempfile::tempdir().unwrap(), clock, public_url.to_string()).await
    }

    /// The same at the real time, with a provider that people may sign in by.
    pub async fn open_with_provider(oidc: Oidc) -> Master {
        let clock = Arc::new(AtomicI64::new(START.0));
        let folder = tempfile::tempdir().unwrap();
        let config = Config { oidc: Some(oidc), ..config(folder.path(), "http://master.example".to_string(), None).0 };
        let stored = artifacts(folder.path()).1;
        let master = Master::open_config(folder, clock, config, stored).await;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        master.pass_secs(now.as_secs() as i64 - START.0 / 1_000_000);
        master
    }

    /// The same, and these rules say what goes by its age.
    pub async fn open_with_rules(rules: Rules) -> Master {
        Master::open_with_rules_and_lines(rules, "").await
    }

    /// The same, with more lines in the platform's file.
    pub async fn open_with_rules_and_lines(rules: Rules, lines: &str) -> Master {
        let folder = tempfile::tempdir().unwrap();
        let (mut config, stored) = config(folder.path(), "http://master.example".to_string(), None);
        config.platforms = vec![Platform::parse(&format!("{PLATFORM}{lines}")).unwrap()];
        let clock = Arc::new(AtomicI64::new(START.0));
        Master::open_config(folder, clock, Config { retention: rules, ..config }, stored).await
    }

    /// Answers over the network, until the runtime ends.
    pub fn listen(&self, listener: tokio::net::TcpListener) {
        let router = self.router.clone();
        tokio::spawn(async move { axum::serve(listener, router).await });
    }

    /// The same, with the bounds on clients that the real service has.
    pub fn serve(&self, listener: tokio::net::TcpListener) {
        let (router, patience) = (self.router.clone(), anima_serve::Patience::default());
        tokio::spawn(anima_serve::serve(listener, router, patience, Default::default(), Default::default()));
    }

    /// Ends it as a kill would, and opens it again on the same folder.
    pub async fn restart(self) -> Master {
        let Master { app, router, micros, folder, .. } = self;
        let public_url = app.config.public_url.clone();
        app.db.close().await;
        drop((app, router));
        Master::open_in(folder, micros, public_url).await
    }

    /// Opens a service with a database or a store of the test's own.
    pub async fn open_with(database: Option<String>, artifacts: Option<StoreAddress>) -> Master {
        let folder = tempfile::tempdir().unwrap();
        if let Some(url) = database {
            fs::write(folder.path().join("database"), url).unwrap();
        }
        let clock = Arc::new(AtomicI64::new(START.0));
        Master::open_at_store(folder, clock, "http://master.example".to_string(), artifacts).await
    }

    async fn open_in(folder: TempDir, micros: Arc<AtomicI64>, public_url: String) -> Master {
        Master::open_at_store(folder, micros, public_url, None).await
    }

    async fn open_at_store(
        folder: TempDir,
        micros: Arc<AtomicI64>,
        public_url: String,
        own: Option<StoreAddress>,
    ) -> Master {
        let (config, stored) = config(folder.path(), public_url, own);
        Master::open_config(folder, micros, config, stored).await
    }

    async fn open_config(folder: TempDir, micros: Arc<AtomicI64>, config: Config, stored: PathBuf) -> Master {
        let clock = micros.clone();
        let app = anima_master::open(config, Arc::new(move || Timestamp(clock.load(Ordering::SeqCst)))).await.unwrap();
        let router = anima_master::router(&app);
        Master { app, router, micros, folder, stored }
    }

    /// Returns the file that the store has an artifact in, on whichever machine.
    pub fn stored(&self, sha256: Sha256) -> PathBuf {
        let name = sha256.to_string();
        self.stored.join(&name[..2]).join(&name[2..])
    }

    /// Sets its clock to so many seconds after the machine's.
    pub fn set_clock(&self, ahead_secs: i64) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        self.micros.store(now.as_micros() as i64 + ahead_secs * 1_000_000, Ordering::SeqCst);
    }

    pub fn pass_secs(&self, secs: i64) {
        self.micros.fetch_add(secs * 1_000_000, Ordering::SeqCst);
    }

    pub fn token(&self, role: &str) -> String {
        std::fs::read_to_string(self.folder.path().join("tokens").join(role)).unwrap().trim().to_string()
    }

    pub async fn send(&self, method: Method, path: &str, token: Option<&str>, body: Body) -> (StatusCode, Vec<u8>) {
        let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let status = response.status();
        (status, axum::body::to_bytes(response.into_body(), MAX_ANSWER_BYTES).await.unwrap().to_vec())
    }

    /// Sends a request as it is.
    pub async fn raw(&self, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = axum::body::to_bytes(response.into_body(), MAX_ANSWER_BYTES).await.unwrap();
        (status, headers, String::from_utf8_lossy(&body).into_owned())
    }

    /// Sends a request and looks no further than at its status: an answer may be a stream without an end.
    pub async fn status(&self, request: Request<Body>) -> StatusCode {
        self.router.clone().oneshot(request).await.unwrap().status()
    }

    /// Makes an account with these rights (`contributor`, `signer on key:1`), and returns a token of it.
    pub async fn person(&self, name: &str, rights: &[&str]) -> String {
        let account = json!({ "name": name, "password": PASSWORD });
        let (status, made) = self.post("/api/v1/accounts", "admin", account).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        for right in rights {
            let (role, on) = right.split_once(" on ").map_or((*right, None), |(role, on)| (role, Some(on)));
            let (status, given) =
                self.post("/api/v1/rights", "admin", json!({ "account": name, "role": role, "on": on })).await;
            assert_eq!(status, StatusCode::CREATED, "{given}");
        }
        let sign_in = json!({ "account": name, "password": PASSWORD });
        let (status, token) = self.json(Method::POST, "/api/v1/sign-in", None, sign_in).await;
        assert_eq!(status, StatusCode::CREATED, "{token}");
        token["secret"].as_str().unwrap().to_string()
    }

    /// Asks for a file with headers of one's own.
    pub async fn fetch(&self, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
        let request =
            headers.iter().fold(Request::builder().uri(path), |request, (name, value)| request.header(*name, *value));
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        (status, headers, axum::body::to_bytes(response.into_body(), MAX_ANSWER_BYTES).await.unwrap().to_vec())
    }

    /// Returns the folder that is served as the mirror "base".
    pub fn mirror(&self) -> PathBuf {
        self.folder.path().join("mirror")
    }

    /// Asks as a browser does.
    pub async fn browse(&self, path: &str) -> (StatusCode, HeaderMap, String) {
        let request = Request::builder().uri(path).header("accept", "text/html,*/*;q=0.8").body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = axum::body::to_bytes(response.into_body(), MAX_ANSWER_BYTES).await.unwrap();
        (status, headers, String::from_utf8(body.to_vec()).unwrap())
    }

    pub async fn json(&self, method: Method, path: &str, token: Option<&str>, body: Value) -> (StatusCode, Value) {
        let (status, bytes) = self.send(method, path, token, Body::from(body.to_string())).await;
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.json(Method::GET, path, None, Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    }

    pub async fn get_text(&self, path: &str) -> String {
        let (status, bytes) = self.send(Method::GET, path, None, Body::empty()).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        String::from_utf8(bytes).unwrap()
    }

    pub async fn post(&self, path: &str, role: &str, body: Value) -> (StatusCode, Value) {
        self.json(Method::POST, path, Some(&self.token(role)), body).await
    }

    /// Asks for a task without waiting.
    pub async fn claim(&self, role: &str, kinds: &[Kind]) -> Option<Value> {
        let (status, lease) = self.claim_as(role, kinds, "").await;
        match status {
            StatusCode::OK => Some(lease),
            StatusCode::NO_CONTENT => None,
            other => panic!("{other}: {lease}"),
        }
    }

    /// Asks for a task as a certain process, without waiting.
    pub async fn claim_as(&self, role: &str, kinds: &[Kind], instance: &str) -> (StatusCode, Value) {
        self.claim_since(role, kinds, (instance, None)).await
    }

    /// Asks for a task as a process that was started at a certain time by its node's clock, without waiting.
    pub async fn claim_since(
        &self,
        role: &str,
        kinds: &[Kind],
        (instance, started_at): (&str, Option<Timestamp>),
    ) -> (StatusCode, Value) {
        let claim = Claim {
            node: format!("{role}-1"),
            kinds: kinds.to_vec(),
            architectures: vec![Arch::X86_64],
            emulated: Vec::new(),
            slots: 1,
            version: "1".into(),
            instance: instance.to_string(),
            started_at,
            wait_secs: 0,
            condition: Condition { protocol: PROTOCOL, ..Condition::default() },
        };
        self.post("/api/v1/leases", role, serde_json::to_value(claim).unwrap()).await
    }

    /// Says what came of a task.
    pub async fn report(&self, lease: &Value, end: Value) -> (StatusCode, Value) {
        let body = json!({ "number": lease["number"], "phases": [], "end": end });
        let path = format!("/api/v1/tasks/{}/report", lease["task"]);
        self.json(Method::POST, &path, lease["secret"].as_str(), body).await
    }
}
