//! Logs of tasks: appended to by the holder of a lease, read while they grow.

use std::{convert::Infallible, time::Duration};

use anima_types::{
    id::TaskId,
    lease::{LogQuery, LogSize, MAX_LOG_PIECE_BYTES},
    permission::Permission,
};
use async_stream::stream;
use axum::{
    extract::{FromRequest as _, Request, State},
    http::{HeaderMap, StatusCode, header},
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
    lease,
    route::Route,
};

/// A log is read in pieces of this size.
const READ_BYTES: usize = 64 * 1024;
/// One answer has so much of a log at most; a client asks for the rest.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;
/// A reader is told so often that the line lives.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// News of a log that grew may be lost in a crowd; so a reader looks this often by itself.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::put("/api/v1/tasks/{task}/log", Permission::HoldLease, append),
        Route::get("/api/v1/tasks/{task}/log", Permission::Read, read),
        Route::get("/api/v1/tasks/{task}/log/stream", Permission::Read, follow),
    ]
}

async fn append(
    State(app): State<App>,
    Path(task): Path<TaskId>,
    Query(query): Query<LogQuery>,
    caller: Caller,
    request: Request,
) -> ApiResult<Json<LogSize>> {
    let mut read = app.db.read().await?;
    lease::held(&mut read, &caller, task).await?;
    drop(read);
    let piece = Bytes::from_request(request, &()).await?;
    if piece.len() > MAX_LOG_PIECE_BYTES {
        let message = format!("a piece of a log has at most {MAX_LOG_PIECE_BYTES} bytes");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_long", message));
    }
    let size_bytes = app.logs.append(task, query.offset, piece).await?;
    // Nobody reads it: that is no failure.
    let _ = app.log_grew.send(task);
    Ok(Json(LogSize { size_bytes }))
}

/// The whole log, or with `Range: bytes=FROM-[TO]` or `bytes=-LAST` a part of it.
async fn read(State(app): State<App>, Path(task): Path<TaskId>, headers: HeaderMap) -> ApiResult<Response> {
    let mut connection = app.db.read().await?;
    anima_db::task::get(&mut connection, task).await?;
    drop(connection);
    let size = app.logs.size(task).await?;
    let asked = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let (from, to) = match asked.map(|asked| range(asked, size)) {
        None => (0, size),
        Some(Some(range)) => range,
        Some(None) => {
            let unsatisfied = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, unsatisfied).into_response());
        }
    };
    let to = to.min(from + MAX_ANSWER_BYTES);
    let mut body = Vec::with_capacity((to - from) as usize);
    while from + (body.len() as u64) < to {
        let at = from + body.len() as u64;
        let piece = app.logs.read_range(task, at, READ_BYTES.min((to - at) as usize)).await?;
        if piece.is_empty() {
            break;
        }
        body.extend_from_slice(&piece);
    }
    let plain = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_string()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_string()),
    ];
    if from == 0 && to == size {
        return Ok((plain, body).into_response());
    }
    let end = (from + body.len() as u64).max(1) - 1;
    let part = [(header::CONTENT_RANGE, format!("bytes {from}-{end}/{size}"))];
    Ok((StatusCode::PARTIAL_CONTENT, plain, part, body).into_response())
}

/// Reads a range of RFC 9110 with one part; returns begin and end, or nothing if the log does not have it.
fn range(text: &str, size: u64) -> Option<(u64, u64)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (first.trim(), last.trim()) {
        ("", last) => (size.saturating_sub(last.parse().ok()?), size),
        (first, "") => (first.parse().ok()?, size),
        (first, last) => (first.parse().ok()?, last.parse::<u64>().ok()?.saturating_add(1).min(size)),
    };
    (range.0 < range.1 || (size == 0 && range.0 == 0)).then_some(range)
}

#[derive(Deserialize)]
struct FollowQuery {
    #[serde(default)]
    offset: u64,
}

/// Pieces of the log as they come: `id` is the offset at which the piece ends, `data` its text as JSON; `end` is last.
async fn follow(
    State(app): State<App>,
    Path(task): Path<TaskId>,
    Query(query): Query<FollowQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let mut connection = app.db.read().await?;
    anima_db::task::get(&mut connection, task).await?;
    drop(connection);
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let pieces = pieces(app, task, last.unwrap_or(query.offset));
    let sse = Sse::new(pieces).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    // Proxies that buffer would hold the lines back.
    Ok(([("x-accel-buffering", "no")], sse).into_response())
}

fn pieces(app: App, task: TaskId, mut offset: u64) -> impl Stream<Item = Result<Event, Infallible>> {
    stream! {
        let (mut news, mut events) = (app.log_grew.subscribe(), app.db.subscribe());
        loop {
            // Whether it ended is asked before the log is read: what came before the end is then not missed.
            let Ok(is_ended) = is_ended(&app, task).await else { break };
            while let Some((event, end)) = next_piece(&app, task, offset, is_ended).await {
                offset = end;
                yield Ok(event);
            }
            if is_ended {
                yield Ok(Event::default().event("end").id(offset.to_string()).data("{}"));
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

async fn is_ended(app: &App, task: TaskId) -> ApiResult<bool> {
    let mut connection = app.db.read().await?;
    Ok(anima_db::task::get(&mut connection, task).await?.status.is_ended())
}

/// Returns the next piece that ends with a whole character, unless nothing more will come.
async fn next_piece(app: &App, task: TaskId, offset: u64, is_ended: bool) -> Option<(Event, u64)> {
    let piece = app.logs.read_range(task, offset, READ_BYTES).await.ok()?;
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
    match std::str::from_utf8(bytes) {
        // More than the beginning of a character is no UTF-8 at all, and goes out as it is.
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_has_them() {
        assert_eq!(range("bytes=0-9", 100), Some((0, 10)));
        assert_eq!(range("bytes=90-", 100), Some((90, 100)));
        assert_eq!(range("bytes=-10", 100), Some((90, 100)));
        assert_eq!(range("bytes=-1000", 100), Some((0, 100)));
        assert_eq!(range("bytes=0-1000", 100), Some((0, 100)));
        assert_eq!(range("bytes=100-", 100), None);
        assert_eq!(range("lines=1-2", 100), None);
    }

    #[test]
    fn a_character_is_not_cut_in_two() {
        let text = "naïve".as_bytes();

        assert_eq!(whole_characters(&text[..3]), 2);
        assert_eq!(whole_characters(&text[..4]), 4);
        assert_eq!(whole_characters(b"\xff\xfe"), 2);
    }
}
