//! The master as a node sees it: it gives tasks and keeps what comes.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use anima_types::Timestamp;
use anima_types::artifact::{Artifact, UploadQuery};
use anima_types::error::ErrorBody;
use anima_types::id::TaskId;
use anima_types::lease::{Heartbeat, Lease, LogQuery, LogSize, Report, STALE_LEASE};
use anima_types::work::Work;
use axum::body::Bytes;
use axum::extract::{self, DefaultBodyLimit, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use axum::{Json, Router};
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
    is_taken_back: AtomicBool,
    taken_back: Notify,
    log: Mutex<Vec<u8>>,
    reports: mpsc::UnboundedSender<Report>,
}

impl Master {
    /// Listens, and serves a folder besides.
    pub async fn start(served: &Path) -> Master {
        let (sender, receiver) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            works: Mutex::default(),
            given: Notify::new(),
            is_taken_back: AtomicBool::new(false),
            taken_back: Notify::new(),
            log: Mutex::default(),
            reports: sender,
        });
        let router = Router::new()
            .route("/api/v1/leases", post(claim))
            .route("/api/v1/tasks/{task}/heartbeat", post(heartbeat))
            .route("/api/v1/tasks/{task}/log", put(log))
            .route("/api/v1/tasks/{task}/artifacts/{sha256}", put(put_artifact))
            .route("/api/v1/tasks/{task}/report", post(report))
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
        self.shared.log.lock().unwrap().clear();
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

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.shared.log.lock().unwrap()).into_owned()
    }
}

type Task = extract::Path<i64>;

async fn claim(State(shared): State<Arc<Shared>>) -> Json<Lease> {
    loop {
        if let Some(work) = shared.works.lock().unwrap().pop_front() {
            return Json(Lease { task: TaskId(1), number: 1, secret: "secret".into(), expires_at: Timestamp(0), work });
        }
        shared.given.notified().await;
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
    let mut log = shared.log.lock().unwrap();
    log.truncate(query.offset as usize);
    log.extend_from_slice(&piece);
    Json(LogSize { size_bytes: log.len() as u64 })
}

async fn put_artifact(
    extract::Path((_, named)): extract::Path<(i64, anima_types::Sha256)>,
    Query(query): Query<UploadQuery>,
    bytes: Bytes,
) -> Json<Artifact> {
    Json(Artifact { sha256: named, kind: query.kind, name: query.name, size_bytes: bytes.len() as u64, signed: None })
}

async fn report(State(shared): State<Arc<Shared>>, _: Task, Json(report): Json<Report>) -> StatusCode {
    shared.reports.send(report).unwrap();
    StatusCode::NO_CONTENT
}
