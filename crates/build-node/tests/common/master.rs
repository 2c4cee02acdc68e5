//! The master as a node sees it: it gives tasks, keeps what comes, and can take a lease back.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use anima_types::artifact::{Artifact, Kind, UploadQuery};
use anima_types::error::ErrorBody;
use anima_types::id::TaskId;
use anima_types::lease::{Claim, Condition, Heartbeat, Lease, LogQuery, LogSize, Report, STALE_LEASE};
use anima_types::task_log::LogName;
use anima_types::work::Work;
use anima_types::{Sha256, Timestamp};
use axum::body::Bytes;
use axum::extract::{self, DefaultBodyLimit, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use sha2::Digest;
use tokio::sync::{Notify, mpsc};
use tower_http::services::ServeDir;

pub struct Master {
    pub url: String,
    shared: Arc<Shared>,
    reports: tokio::sync::Mutex<mpsc::UnboundedReceiver<Report>>,
}

struct Shared {
    works: Mutex<VecDeque<Work>>,
    given: Notify,
    next_task: AtomicI64,
    is_taken_back: AtomicBool,
    taken_back: Notify,
    logs: Mutex<HashMap<LogName, Vec<u8>>>,
    artifacts: Mutex<HashMap<Sha256, Bytes>>,
    provenance: Mutex<Option<Sha256>>,
    reports: mpsc::UnboundedSender<Report>,
    /// What the last claim said of the node.
    condition: Mutex<Condition>,
}

impl Master {
    /// Listens, and serves a folder besides.
    pub async fn start(served: &Path) -> Master {
        let (sender, receiver) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            works: Mutex::default(),
            given: Notify::new(),
            next_task: AtomicI64::new(1),
            is_taken_back: AtomicBool::new(false),
            taken_back: Notify::new(),
            logs: Mutex::default(),
            artifacts: Mutex::default(),
            provenance: Mutex::default(),
            reports: sender,
            condition: Mutex::default(),
        });
        let router = Router::new()
            .route("/api/v1/leases", post(claim))
            .route("/api/v1/tasks/{task}/heartbeat", post(heartbeat))
            .route("/api/v1/tasks/{task}/log", put(log))
            .route("/api/v1/tasks/{task}/artifacts/{sha256}", put(put_artifact))
            .route("/api/v1/tasks/{task}/report", post(report))
            .route("/api/v1/artifacts/{sha256}", get(get_artifact))
            .layer(DefaultBodyLimit::disable())
            .with_state(shared.clone())
            .fallback_service(ServeDir::new(served));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Master { url, shared, reports: tokio::sync::Mutex::new(receiver) }
    }

    /// Gives a task to the next claim; its log begins anew.
    pub fn give(&self, work: Work) {
        self.shared.logs.lock().unwrap().clear();
        self.shared.is_taken_back.store(false, Ordering::SeqCst);
        self.shared.works.lock().unwrap().push_back(work);
        self.shared.given.notify_one();
    }

    /// Takes the running task's lease back.
    pub fn take_back(&self) {
        self.shared.is_taken_back.store(true, Ordering::SeqCst);
        self.shared.taken_back.notify_waiters();
    }

    pub async fn report(&self) -> Report {
        self.reports.lock().await.recv().await.unwrap()
    }

    /// Returns how the node said that it is, when it asked last.
    pub fn condition(&self) -> Condition {
        self.shared.condition.lock().unwrap().clone()
    }

    pub fn log(&self) -> String {
        self.log_of(LogName::Build)
    }

    pub fn log_of(&self, name: LogName) -> String {
        let logs = self.shared.logs.lock().unwrap();
        logs.get(&name).map_or_else(String::new, |log| String::from_utf8_lossy(log).into_owned())
    }

    pub fn artifact(&self, sha256: Sha256) -> Bytes {
        self.shared.artifacts.lock().unwrap()[&sha256].clone()
    }

    /// Returns the newest provenance that was uploaded.
    pub fn provenance(&self) -> String {
        let sha256 = self.shared.provenance.lock().unwrap().expect("a provenance was uploaded");
        String::from_utf8(self.artifact(sha256).to_vec()).unwrap()
    }

    pub fn keep_artifact(&self, bytes: impl Into<Bytes>) -> Sha256 {
        let bytes = bytes.into();
        let sha256 = sha256(&bytes);
        self.shared.artifacts.lock().unwrap().insert(sha256, bytes);
        sha256
    }
}

type Task = extract::Path<i64>;

async fn claim(State(shared): State<Arc<Shared>>, Json(claim): Json<Claim>) -> Response {
    let is_unfit = claim.condition.problem.is_some();
    *shared.condition.lock().unwrap() = claim.condition;
    let giving = async {
        loop {
            let work = if is_unfit { None } else { shared.works.lock().unwrap().pop_front() };
            if let Some(work) = work {
                let task = TaskId(shared.next_task.fetch_add(1, Ordering::SeqCst));
                return Lease { task, number: 1, secret: "secret".into(), expires_at: Timestamp(0), work };
            }
            shared.given.notified().await;
        }
    };
    match tokio::time::timeout(std::time::Duration::from_secs(claim.wait_secs), giving).await {
        Ok(lease) => Json(lease).into_response(),
        Err(_) => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn heartbeat(State(shared): State<Arc<Shared>>, _: Task) -> Response {
    let taken_back = shared.taken_back.notified();
    if !shared.is_taken_back.load(Ordering::SeqCst) {
        let _ = tokio::time::timeout(std::time::Duration::from_secs(5), taken_back).await;
    }
    match shared.is_taken_back.load(Ordering::SeqCst) {
        false => Json(Heartbeat { expires_at: Timestamp(0) }).into_response(),
        true => {
            let body = ErrorBody { code: STALE_LEASE.into(), message: "the lease is lost".into(), hint: None };
            (StatusCode::CONFLICT, Json(body)).into_response()
        }
    }
}

async fn log(State(shared): State<Arc<Shared>>, _: Task, Query(query): Query<LogQuery>, piece: Bytes) -> Json<LogSize> {
    let mut logs = shared.logs.lock().unwrap();
    let log = logs.entry(query.name).or_default();
    log.truncate(query.offset as usize);
    log.extend_from_slice(&piece);
    Json(LogSize { size_bytes: log.len() as u64 })
}

async fn put_artifact(
    State(shared): State<Arc<Shared>>,
    extract::Path((_, named)): extract::Path<(i64, Sha256)>,
    Query(query): Query<UploadQuery>,
    bytes: Bytes,
) -> Json<Artifact> {
    assert_eq!(sha256(&bytes), named);
    let size_bytes = bytes.len() as u64;
    shared.artifacts.lock().unwrap().insert(named, bytes);
    if query.kind == Kind::Provenance {
        *shared.provenance.lock().unwrap() = Some(named);
    }
    Json(Artifact { sha256: named, kind: query.kind, name: query.name, size_bytes, signed: None })
}

async fn get_artifact(State(shared): State<Arc<Shared>>, extract::Path(named): extract::Path<Sha256>) -> Bytes {
    shared.artifacts.lock().unwrap()[&named].clone()
}

async fn report(State(shared): State<Arc<Shared>>, _: Task, Json(report): Json<Report>) {
    let _ = shared.reports.send(report);
}

fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}
