//! Logs of tasks: appended to by the holder of a lease, read while they grow.

use std::{convert::Infallible, time::Duration};

use anima_db::task::Task;
use anima_store::{LOG_READ_BYTES, LogReader};
use anima_types::{
    id::TaskId,
    lease::{Lease, LogQuery, LogSize, MAX_LOG_PIECE_BYTES},
    permission::Permission,
    task_log::{LogId, LogName},
};
use async_stream::stream;
use axum::{
    body::Body,
    extract::{FromRequest as _, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use bytes::Bytes;
use futures_util::Stream;
use serde::Deserialize;

use crate::{
    app::App,
    auth::Caller,
    error::{ApiError, ApiResult, Json, Path, Query},
    file::{self, Asked},
    lease,
    limit::OpenStream,
    log_search,
    route::Route,
};

/// A live log is sent in pieces of this size at most.
const READ_BYTES: usize = 64 * 1024;
/// A reader is told so often that the line lives.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// News of a log that grew may be lost in a crowd; so a reader looks this often by itself.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::put("/api/v1/tasks/{task}/log", Permission::HoldLease, append),
        Route::get("/api/v1/tasks/{task}/log", Permission::Read, read),
        Route::get("/api/v1/tasks/{task}/log/search", Permission::Read, log_search::search),
        Route::get("/api/v1/tasks/{task}/log/stream", Permission::Read, follow),
    ]
}

/// Which log is asked for.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct WhichLog {
    /// Which of the task's logs.
    #[serde(default)]
    name: LogName,
    /// The number of an earlier attempt's lease.
    attempt: Option<i64>,
}

impl WhichLog {
    /// Returns what a query says.
    pub fn new(name: LogName, attempt: Option<i64>) -> WhichLog {
        WhichLog { name, attempt }
    }

    /// Opens the log of a task that is meant, for reading.
    pub async fn open(self, app: &App, task: &Task) -> ApiResult<LogReader> {
        let attempt = self.attempt.unwrap_or(task.lease_number);
        let reader = app.logs.reader(LogId::of_attempt(task.id, self.name, attempt)).await?;
        if attempt == task.lease_number && reader.size().await? == 0 {
            // The last attempt before logs had numbers has its log without one, until there is another attempt.
            return Ok(app.logs.reader(LogId::new(task.id, self.name)).await?);
        }
        Ok(reader)
    }

    /// Returns the size of the log of a task that is meant, in bytes. Of what has ended the row says it: in a bucket it is a question
    /// or two, and a build has thousands of tasks.
    pub async fn size(self, app: &App, task: &Task) -> ApiResult<u64> {
        if task.lease_number == 0 {
            return Ok(0);
        }
        let is_last = self.attempt.is_none_or(|attempt| attempt == task.lease_number);
        let is_known = is_last && self.name == LogName::Build && task.status.is_ended();
        if let Some(size_bytes) = task.log_size_bytes.filter(|_| is_known) {
            return Ok(size_bytes);
        }
        Ok(self.open(app, task).await?.size().await?)
    }
}

/// Returns a task's row.
pub async fn task_row(app: &App, task: TaskId) -> ApiResult<Task> {
    let mut connection = app.db.read().await?;
    Ok(anima_db::task::get(&mut connection, task).await?)
}

async fn append(
    State(app): State<App>,
    Path(task): Path<TaskId>,
    Query(query): Query<LogQuery>,
    caller: Caller,
    request: Request,
) -> ApiResult<Json<LogSize>> {
    let mut read = app.db.read().await?;
    let number = lease::held(&mut read, &caller, task).await?.lease_number;
    drop(read);
    let piece = Bytes::from_request(request, &()).await?;
    if piece.len() > MAX_LOG_PIECE_BYTES {
        let message = format!("a piece of a log has at most {MAX_LOG_PIECE_BYTES} bytes");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_long", message));
    }
    let size_bytes = app.logs.append(LogId::of_attempt(task, query.name, number), query.offset, piece).await?;
    // Nobody reads it: that is no failure.
    let _ = app.log_grew.send(task);
    Ok(Json(LogSize { size_bytes }))
}

/// The whole log, or with `Range: bytes=FROM-[TO]` or `bytes=-LAST` a part of it; however long it is, it goes out in
/// pieces as they are read. A log that grows is answered as it is at this moment.
async fn read(
    State(app): State<App>,
    Path(task): Path<TaskId>,
    Query(which): Query<WhichLog>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let task = task_row(&app, task).await?;
    let reader = which.open(&app, &task).await?;
    let size = reader.size().await?;
    let (status, from, to) = match file::asked(&headers, size) {
        Asked::Whole => (StatusCode::OK, 0, size),
        Asked::Part(from, to) => (StatusCode::PARTIAL_CONTENT, from, to),
        Asked::Nothing => return Ok(file::nothing(size)),
    };
    let mut response = (status, Body::from_stream(bytes(reader, from, to))).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, (to - from).into());
    if status == StatusCode::PARTIAL_CONTENT {
        let part = format!("bytes {from}-{}/{size}", to - 1);
        headers.insert(header::CONTENT_RANGE, HeaderValue::try_from(part).map_err(ApiError::internal)?);
    }
    Ok(response)
}

/// Reads a part of a log piece by piece. One that ends too soon breaks the connection: its length was promised.
fn bytes(reader: LogReader, mut from: u64, to: u64) -> impl Stream<Item = Result<Bytes, String>> {
    stream! {
        while from < to {
            let most = usize::try_from(to - from).unwrap_or(LOG_READ_BYTES);
            match reader.read(from, most).await {
                Ok(piece) if piece.is_empty() => yield Err("the log is shorter than it was".to_string()),
                Ok(piece) => {
                    from += piece.len() as u64;
                    yield Ok(piece);
                    continue;
                }
                Err(error) => yield Err(error.to_string()),
            }
            break;
        }
    }
}

#[derive(Clone, Copy, Deserialize)]
struct FollowQuery {
    #[serde(default, deserialize_with = "anima_types::natural::deserialize")]
    offset: u64,
    #[serde(default)]
    name: LogName,
    attempt: Option<i64>,
}

/// Pieces of the log as they come: `id` is the offset at which the piece ends, `data` its text as JSON; `end` is last.
/// It stays with one attempt: when another begins, this one's log has ended.
async fn follow(
    State(app): State<App>,
    Path(task): Path<TaskId>,
    Query(query): Query<FollowQuery>,
    headers: HeaderMap,
    caller: Caller,
) -> ApiResult<Response> {
    task_row(&app, task).await?;
    let open = app.limits.stream(&caller)?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let pieces = pieces(app, task, FollowQuery { offset: last.unwrap_or(query.offset), ..query }, open);
    let sse = Sse::new(pieces).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    // Proxies that buffer would hold the lines back.
    Ok(([("x-accel-buffering", "no")], sse).into_response())
}

fn pieces(
    app: App,
    task: TaskId,
    query: FollowQuery,
    open: OpenStream,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let FollowQuery { mut offset, name, mut attempt } = query;
    stream! {
        let _open = open;
        let (mut news, mut events) = (app.log_grew.subscribe(), app.db.subscribe());
        loop {
            // Whether it ended is asked before the log is read: what came before the end is then not missed.
            let Ok(row) = task_row(&app, task).await else { break };
            // Who has read nothing yet wants the newest attempt, whichever that is.
            if offset > 0 {
                attempt = attempt.or(Some(row.lease_number));
            }
            let is_earlier = attempt.is_some_and(|attempt| attempt != row.lease_number);
            let is_ended = row.status.is_ended() || is_earlier;
            let Ok(log) = WhichLog { name, attempt }.open(&app, &row).await else { break };
            while let Some((event, end)) = next_piece(&log, offset, is_ended).await {
                offset = end;
                yield Ok(event);
            }
            if is_ended {
                let data = if is_earlier { r#"{"is_earlier":true}"# } else { "{}" };
                yield Ok(Event::default().event("end").id(offset.to_string()).data(data));
                break;
            }
            tokio::select! {
                () = is_about(&mut news, |other| *other == task) => {}
                () = is_about(&mut events, |event| event.task == Some(task)) => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }
}

async fn is_about<T: Clone>(news: &mut tokio::sync::broadcast::Receiver<T>, wanted: impl Fn(&T) -> bool) {
    use tokio::sync::broadcast::error::RecvError;
    loop {
        match news.recv().await {
            Ok(item) if !wanted(&item) => {}
            Ok(_) | Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Returns the next piece that ends with a whole character, unless nothing more will come.
async fn next_piece(log: &LogReader, offset: u64, is_ended: bool) -> Option<(Event, u64)> {
    let piece = log.read(offset, READ_BYTES).await.ok()?;
    let whole = if is_ended && piece.len() < READ_BYTES { piece.len() } else { whole_characters(&piece) };
    if whole == 0 {
        return None;
    }
    let end = offset + whole as u64;
    let text = String::from_utf8_lossy(&piece[..whole]);
    let event = Event::default().id(end.to_string()).json_data(text).ok()?;
    Some((event, end))
}

/// Returns how many bytes there are without a character at the end that is cut in two.
fn whole_characters(bytes: &[u8]) -> usize {
    let mut whole = 0;
    for chunk in bytes.utf8_chunks() {
        let is_cut = whole + chunk.valid().len() + chunk.invalid().len() == bytes.len()
            && std::str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none());
        whole += chunk.valid().len() + if is_cut { 0 } else { chunk.invalid().len() };
    }
    whole
}

/// Compresses the logs of tasks that have ended and of earlier attempts; returns how many. Those of a master that was
/// killed meanwhile are among them.
pub async fn seal_once(app: &App) -> ApiResult<usize> {
    let mut count = 0;
    for log in app.logs.unsealed().await? {
        let is_over = task_row(app, log.task).await.is_ok_and(|task| is_over(&task, log));
        // One that cannot be compressed stays readable, and does not keep the others.
        if is_over {
            match app.logs.seal(log).await {
                Ok(is_sealed) => count += usize::from(is_sealed),
                Err(error) => tracing::warn!(%error, "log {log} stays as it is: {error}"),
            }
        }
    }
    Ok(count)
}

/// Returns whether nothing more comes to a task's log.
pub fn is_over(task: &Task, log: LogId) -> bool {
    task.status.is_ended() || log.attempt.is_some_and(|attempt| attempt < task.lease_number)
}

/// Drops, beside what goes on, the logs that are too much now that tasks were given out another time.
pub fn put_aside_soon<'a>(app: &App, given: impl Iterator<Item = &'a Lease>) {
    let ended: Vec<(TaskId, i64)> =
        given.map(|lease| (lease.task, lease.number - 1)).filter(|ended| ended.1 > 0).collect();
    if ended.is_empty() {
        return;
    }
    let app = app.clone();
    tokio::spawn(async move {
        for (task, attempt) in ended {
            if let Err(error) = app.logs.put_aside(task, attempt).await {
                tracing::warn!(task = task.0, %error, "an old log of task {task} may stay: {error}");
            }
        }
    });
}

/// Compresses the logs of an attempt that has ended, beside what goes on.
pub fn seal_soon(app: &App, task: TaskId, attempt: i64) {
    let app = app.clone();
    tokio::spawn(async move {
        for name in LogName::ALL {
            if let Err(error) = app.logs.seal(LogId::of_attempt(task, name, attempt)).await {
                tracing::warn!(%error, "a log of task {task} is compressed later: {error}");
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_not_cut_in_two() {
        let text = "naïve".as_bytes();

        assert_eq!(whole_characters(&text[..3]), 2);
        assert_eq!(whole_characters(&text[..4]), 4);
        assert_eq!(whole_characters(b"\xff\xfe"), 2);
        assert_eq!(whole_characters(b"\xff na\xc3"), 4);
    }
}
