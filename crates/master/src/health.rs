//! Whether the service answers, for supervisors and load balancers, and which part of it does not.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anima_types::{
    health::{Part, PartState, Readiness},
    permission::Permission,
};
use axum::{extract::State, http::StatusCode, response::IntoResponse};
use tokio::sync::Mutex;

use crate::{
    app::App,
    clock::{self, MAX_SKEW_SECS},
    error::{ApiResult, Json},
    route::Route,
};

/// A part that does not answer in this time is away.
const PART_LIMIT: Duration = Duration::from_secs(10);
/// Answers are as old as this: to look costs a file on the disk and a request to the object store.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/healthz", Permission::Read, health),
        Route::get("/readyz", Permission::Read, ready),
        Route::get("/robots.txt", Permission::Read, robots),
    ]
}

/// It answers when the database does.
async fn health(State(app): State<App>) -> ApiResult<&'static str> {
    let mut read = app.db.read().await?;
    anima_db::event::newest(&mut read).await?;
    Ok("ok\n")
}

/// What was found last, and when; whoever asks meanwhile waits for the one who looks.
pub type Looked = Arc<Mutex<Option<(Instant, Readiness)>>>;

async fn ready(State(app): State<App>) -> impl IntoResponse {
    let mut looked = app.looked.lock().await;
    let told = match &*looked {
        Some((at, told)) if at.elapsed() < LOOK_AGAIN => told.clone(),
        _ => look(&app).await,
    };
    *looked = Some((Instant::now(), told.clone()));
    (if told.is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(told))
}

/// Looks at every part.
pub async fn look(app: &App) -> Readiness {
    let (database, store, disk, clock) = tokio::join!(
        part("database", database(app)),
        part("store", store(app)),
        part("disk", disk(app)),
        part("clock", time(app)),
    );
    // A disk that just took nothing takes no package either.
    if [&store, &disk].into_iter().any(|part| part.state == PartState::Full) {
        app.room.ran_out();
    }
    let parts = vec![database, store, disk, clock];
    Readiness { is_ready: parts.iter().all(|part| part.state == PartState::Good), parts }
}

type Found = Result<(), (PartState, String)>;

async fn part(name: &str, found: impl Future<Output = Found>) -> Part {
    let away = || Err((PartState::Away, format!("it does not answer within {} s", PART_LIMIT.as_secs())));
    let found = tokio::time::timeout(PART_LIMIT, found).await.unwrap_or_else(|_| away());
    let (state, message) = match found {
        Ok(()) => (PartState::Good, "ok".to_string()),
        Err(found) => found,
    };
    Part { name: name.to_string(), state, message }
}

async fn database(app: &App) -> Found {
    let written = async {
        let mut write = app.db.write(app.now(), "anima").await?;
        anima_db::probe::write(&mut write).await?;
        // Only here does the disk have to take it.
        write.commit().await
    };
    written.await.map_err(|error| (state_of_database(app.db.address(), &error), error.to_string()))?;
    // What SQLite has of the disk already takes this row long after there is no room for others.
    match app.db.address() {
        anima_db::Address::File(file) => writes_in(file.parent().unwrap_or(file).to_path_buf(), "database's").await,
        anima_db::Address::Postgres(_) => Ok(()),
    }
}

fn state_of_database(address: &anima_db::Address, error: &anima_db::Error) -> PartState {
    if error.is_of_full_disk() {
        return PartState::Full;
    }
    let is_read_only = match address {
        // SQLite has one word for all that the kernel refuses.
        anima_db::Address::File(path) => is_on_read_only_disk(path),
        anima_db::Address::Postgres(_) => false,
    };
    if is_read_only || error.is_of_read_only() { PartState::ReadOnly } else { PartState::Away }
}

fn is_on_read_only_disk(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|disk| disk.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

async fn store(app: &App) -> Found {
    app.store.probe().await.map_err(|error| (state_of(&error), error.to_string()))
}

/// What this master alone works in.
async fn disk(app: &App) -> Found {
    writes_in(app.config.data.clone(), "data").await
}

async fn writes_in(folder: PathBuf, whose: &str) -> Found {
    let written = tokio::task::spawn_blocking(move || {
        use std::io::Write as _;
        let mut file = tempfile::NamedTempFile::new_in(&folder)?;
        file.write_all(&[0; 4096])?;
        file.as_file().sync_data()
    });
    match written.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err((state_of_io(&error), format!("could not write to the {whose} folder: {error}"))),
        Err(error) => Err((PartState::Faulty, error.to_string())),
    }
}

/// The database's clock, where it is another machine's; and the newest event, which cannot be of the future.
async fn time(app: &App) -> Found {
    // That the database is away is said of the database.
    let Ok(ahead_secs) = clock::ahead_secs(app).await else { return Ok(()) };
    if let Some(message) = clock::in_words(ahead_secs) {
        return Err((PartState::WrongClock, message));
    }
    let (now, read) = (app.now(), app.db.read().await);
    let Ok(mut read) = read else { return Ok(()) };
    let Ok(theirs) = anima_db::event::clock(&mut read, false).await else { return Ok(()) };
    match theirs.newest_event.map(|at| at.secs_since(now)) {
        Some(ahead_secs) if ahead_secs > MAX_SKEW_SECS => {
            let message = format!("the newest event is {ahead_secs:.0} s ahead of this machine's clock");
            Err((PartState::WrongClock, message))
        }
        _ => Ok(()),
    }
}

fn state_of(error: &anima_store::Error) -> PartState {
    match error {
        anima_store::Error::DiskFull { .. } => PartState::Full,
        anima_store::Error::Away { .. } => PartState::Away,
        anima_store::Error::Io { source, .. } => state_of_io(source),
        _ => PartState::Faulty,
    }
}

fn state_of_io(error: &std::io::Error) -> PartState {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => PartState::Full,
        ErrorKind::ReadOnlyFilesystem => PartState::ReadOnly,
        _ => PartState::Faulty,
    }
}

/// Machines that index pages have no use for logs.
async fn robots() -> &'static str {
    "User-agent: *\nDisallow: /api/\nDisallow: /tasks/\n"
}
