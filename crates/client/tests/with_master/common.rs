//! A master of a few routes that keeps what it was told, and fails as the test wants it to.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use anima_client::{
    Client,
    lease::{Cancel, Context, Handler, Runner, Stop},
};
use anima_types::{
    Arch, Sha256, Timestamp,
    artifact::{Artifact, UploadQuery},
    error::ErrorBody,
    id::TaskId,
    lease::{
        Claim, Condition, Heartbeat, HeartbeatQuery, LOG_GAP, Lease, LogQuery, LogSize, NODE_ENDS, Report, STALE_LEASE,
    },
    splice::{Splice, SplicePiece},
    task,
    work::{Outcome, PhaseTime, SignOutcome, SignWork, Work},
};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use futures_util::StreamExt;
use sha2::Digest;
use tokio::{net::TcpListener, runtime::Runtime, sync::watch};

/// Nothing in these tests takes so long unless it is broken.
pub const BOUND: Duration = Duration::from_secs(20);
pub const TASK: TaskId = TaskId(7);
pub const SECRET: &str = "lease-secret";

/// What the master was told, and how it behaves.
#[derive(Debug, Default)]
pub struct Book {
    pub leases: VecDeque<Lease>,
    pub log: Vec<u8>,
    pub heartbeats: usize,
    pub reports: Vec<Report>,
    pub artifacts: Vec<(Artifact, Bytes)>,
    /// What is served under `files/`, by name.
    pub files: BTreeMap<String, Bytes>,
    /// The node shall end.
    pub wants_end: bool,
    /// The lease is another node's.
    pub is_lost: bool,
    /// So many pieces of log are taken, and their answer is lost.
    pub lost_log_answers: usize,
    /// So many uploads break in the middle.
    pub broken_uploads: usize,
    /// So many uploads find no room.
    pub full_uploads: u32,
    /// What each connection to a stream is answered with, and where each said that it goes on.
    pub streams: VecDeque<String>,
    pub asked_from: Vec<String>,
}

#[derive(Clone)]
struct Shared(Arc<(Mutex<Book>, watch::Sender<()>)>);

pub struct Master {
    shared: Shared,
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Drop for Master {
    fn drop(&mut self) {
        self.go_away();
    }
}

impl Master {
    pub async fn start() -> Master {
        let shared = Shared(Arc::new((Mutex::default(), watch::Sender::new(()))));
        let mut master = Master { shared, address: ([127, 0, 0, 1], 0).into(), runtime: None };
        master.come_back().await;
        master
    }

    /// Ends all connections, and refuses new ones.
    pub fn go_away(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Is there again at the same address, and knows everything.
    pub async fn come_back(&mut self) {
        let listener = bind(self.address).await;
        self.address = listener.local_addr().unwrap();
        let listener = listener.into_std().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let routes = routes(self.shared.clone());
        runtime.spawn(async move { axum::serve(TcpListener::from_std(listener).unwrap(), routes).await });
        self.runtime = Some(runtime);
    }

    /// While it is away: takes connections and breaks them, until there were so many.
    pub async fn break_connections(&self, count: usize) {
        let listener = bind(self.address).await;
        for _ in 0..count {
            drop(tokio::time::timeout(BOUND, listener.accept()).await.expect("the client goes on trying").unwrap());
        }
    }

    pub fn client(&self, token: &str) -> Client {
        Client::new(&format!("http://{}", self.address), Some(token.to_string())).unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.shared.book()
    }

    pub fn change(&self, change: impl FnOnce(&mut Book)) {
        change(&mut self.book());
        self.shared.told();
    }

    pub async fn wait_until(&self, what: &str, condition: impl Fn(&Book) -> bool) {
        let mut changes = self.shared.0.1.subscribe();
        let waited = tokio::time::timeout(BOUND, async {
            while !condition(&self.book()) {
                changes.changed().await.unwrap();
            }
        });
        waited.await.unwrap_or_else(|_| panic!("it never happened that {what}: {:?}", self.book()));
    }

    /// Gives one task to a node that does `handler`; the node stops when the answer is dropped.
    pub fn node<H: Handler>(&self, handler: H) -> Node {
        self.change(|book| book.leases.push_back(lease()));
        let shutdown = Cancel::new();
        let runner = Runner::new(self.client("node-token"), claim()).with_grace(Duration::ZERO);
        Node { shutdown: shutdown.clone(), _task: tokio::spawn(runner.run(Arc::new(handler), shutdown)) }
    }
}

pub struct Node {
    shutdown: Cancel,
    _task: tokio::task::JoinHandle<Result<(), anima_client::Error>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

/// A handler out of a closure.
pub struct Do<F>(pub F);

impl<F, T> Handler for Do<F>
where
    F: Fn(Context) -> T + Send + Sync + 'static,
    T: Future<Output = Result<(), Stop>> + Send,
{
    async fn run(&self, _: Lease, context: Context) -> Result<(Outcome, Vec<PhaseTime>), Stop> {
        (self.0)(context).await.map(|()| (Outcome::Sign(SignOutcome::Signatures(Vec::new())), Vec::new()))
    }
}

pub fn claim() -> Claim {
    let (node, version) = ("node-1".to_string(), "0".to_string());
    Claim {
        node,
        kinds: vec![task::Kind::Sign],
        architectures: vec![Arch::X86_64],
        emulated: Vec::new(),
        slots: 1,
        version,
        instance: String::new(),
        started_at: None,
        wait_secs: 0,
        condition: Condition::default(),
    }
}

pub fn lease() -> Lease {
    let work = Work::Sign(SignWork::Signatures { fingerprint: "AB".to_string(), items: Vec::new() });
    Lease { task: TASK, number: 3, secret: SECRET.to_string(), expires_at: Timestamp(0), work }
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.0.lock().unwrap()
    }

    fn told(&self) {
        self.0.1.send_replace(());
    }
}

/// The port may be busy for a moment after it was let go.
async fn bind(address: SocketAddr) -> TcpListener {
    let bound = async {
        loop {
            match TcpListener::bind(address).await {
                Ok(listener) => return listener,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(BOUND, bound).await.expect("the port is free again")
}

fn routes(shared: Shared) -> Router {
    Router::new()
        .route("/api/v1/leases", post(claim_task))
        .route("/api/v1/tasks/{task}/heartbeat", post(heartbeat))
        .route("/api/v1/tasks/{task}/log", put(append))
        .route("/api/v1/tasks/{task}/artifacts/{sha256}", put(upload))
        .route("/api/v1/tasks/{task}/splices", post(splice))
        .route("/api/v1/tasks/{task}/report", post(report))
        .route("/api/v1/tasks/{task}/log/stream", get(stream))
        .route("/api/v1/events", get(stream))
        .route("/file", get(|| async { "content" }))
        .route("/files/{name}", get(file))
        .with_state(shared)
}

fn refused(status: StatusCode, code: &str) -> Response {
    let body = ErrorBody { code: code.to_string(), message: "no".to_string(), hint: None };
    (status, Json(body)).into_response()
}

/// What every call of a lease's holder is checked for.
fn not_held(shared: &Shared, headers: &HeaderMap) -> Option<Response> {
    assert_eq!(headers["authorization"], format!("Bearer {SECRET}"), "only the lease's secret opens its task");
    shared.book().is_lost.then(|| refused(StatusCode::CONFLICT, STALE_LEASE))
}

async fn claim_task(State(shared): State<Shared>, headers: HeaderMap, Json(_): Json<Claim>) -> Response {
    if headers["authorization"] != "Bearer node-token" {
        return refused(StatusCode::UNAUTHORIZED, "unauthorized");
    }
    let mut changes = shared.0.1.subscribe();
    loop {
        let (lease, wants_end) = {
            let mut book = shared.book();
            (book.leases.pop_front(), book.wants_end)
        };
        match lease {
            Some(lease) => return Json(lease).into_response(),
            None if wants_end => return refused(StatusCode::CONFLICT, NODE_ENDS),
            None => changes.changed().await.unwrap(),
        }
    }
}

async fn heartbeat(State(shared): State<Shared>, Query(query): Query<HeartbeatQuery>, headers: HeaderMap) -> Response {
    let mut changes = shared.0.1.subscribe();
    shared.book().heartbeats += 1;
    shared.told();
    // Half a second stands for the ten of the real one.
    let wait = tokio::time::sleep(Duration::from_millis(query.wait_secs.min(1) * 500));
    tokio::pin!(wait);
    loop {
        if let Some(refused) = not_held(&shared, &headers) {
            return refused;
        }
        tokio::select! {
            () = &mut wait => return Json(Heartbeat { expires_at: Timestamp(0) }).into_response(),
            _ = changes.changed() => (),
        }
    }
}

async fn append(
    State(shared): State<Shared>,
    Query(query): Query<LogQuery>,
    headers: HeaderMap,
    piece: Bytes,
) -> Response {
    if let Some(refused) = not_held(&shared, &headers) {
        return refused;
    }
    let answer = {
        let mut book = shared.book();
        let offset = query.offset as usize;
        if offset > book.log.len() {
            return refused(StatusCode::CONFLICT, LOG_GAP);
        }
        let known = (book.log.len() - offset).min(piece.len());
        assert_eq!(book.log[offset..offset + known], piece[..known], "a piece that comes again is the same");
        book.log.extend_from_slice(&piece[known..]);
        let is_lost = book.lost_log_answers > 0;
        book.lost_log_answers -= usize::from(is_lost);
        match is_lost {
            true => StatusCode::BAD_GATEWAY.into_response(),
            false => Json(LogSize { size_bytes: book.log.len() as u64 }).into_response(),
        }
    };
    shared.told();
    answer
}

async fn upload(
    State(shared): State<Shared>,
    Path((_, sha256)): Path<(i64, Sha256)>,
    Query(query): Query<UploadQuery>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if let Some(refused) = not_held(&shared, &headers) {
        return refused;
    }
    let is_broken = {
        let mut book = shared.book();
        let is_broken = book.broken_uploads > 0;
        book.broken_uploads -= usize::from(is_broken);
        is_broken
    };
    if is_broken {
        let mut pieces = body.into_data_stream();
        pieces.next().await.unwrap().unwrap();
        // The connection ends here, with most of the file on its way.
        panic!("the master is killed in the middle of an upload, which this test wants");
    }
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    if shared.book().full_uploads > 0 {
        shared.book().full_uploads -= 1;
        return refused(StatusCode::INSUFFICIENT_STORAGE, "out_of_disk");
    }
    let artifact =
        Artifact { sha256, kind: query.kind, name: query.name, size_bytes: bytes.len() as u64, signed: None };
    shared.book().artifacts.push((artifact.clone(), bytes));
    shared.told();
    Json(artifact).into_response()
}

/// Puts pieces of a file that is served together with new bytes.
async fn splice(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(refused) = not_held(&shared, &headers) {
        return refused;
    }
    let (splice, mut at) = Splice::decode(&body).unwrap();
    let old = shared.book().files[&splice.base.to_string()].clone();
    let mut bytes = Vec::new();
    for piece in splice.pieces {
        match piece {
            SplicePiece::Old(start, length) => bytes.extend_from_slice(&old[start as usize..(start + length) as usize]),
            SplicePiece::New(length) => {
                bytes.extend_from_slice(&body[at..at + length as usize]);
                at += length as usize;
            }
        }
    }
    let (sha256, size_bytes) = (Sha256(sha2::Sha256::digest(&bytes).into()), bytes.len() as u64);
    let artifact = Artifact { sha256, kind: splice.kind, name: splice.name, size_bytes, signed: None };
    shared.book().artifacts.push((artifact.clone(), bytes.into()));
    shared.told();
    Json(artifact).into_response()
}

async fn report(State(shared): State<Shared>, headers: HeaderMap, Json(report): Json<Report>) -> Response {
    if let Some(refused) = not_held(&shared, &headers) {
        return refused;
    }
    shared.book().reports.push(report);
    shared.told();
    StatusCode::NO_CONTENT.into_response()
}

async fn file(State(shared): State<Shared>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let range = headers.get("range").map(|range| range.to_str().unwrap().trim_start_matches("bytes="));
    let range = range.map(|range| range.split_once('-').unwrap());
    match (shared.book().files.get(&name), range) {
        (Some(bytes), Some((first, last))) => {
            let part = bytes.slice(first.parse::<usize>().unwrap()..=last.parse::<usize>().unwrap());
            (StatusCode::PARTIAL_CONTENT, part).into_response()
        }
        (Some(bytes), None) => bytes.clone().into_response(),
        (None, _) => refused(StatusCode::NOT_FOUND, "not_found"),
    }
}

async fn stream(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let from = headers.get("last-event-id").map_or("", |id| id.to_str().unwrap()).to_string();
    let mut book = shared.book();
    book.asked_from.push(from);
    match book.streams.pop_front() {
        Some(text) => ([("content-type", "text/event-stream")], text).into_response(),
        None => refused(StatusCode::NOT_FOUND, "not_found"),
    }
}
