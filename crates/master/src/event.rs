//! Events: everything that happened, in order, from the table and as it happens.

use std::{convert::Infallible, time::Duration};

use anima_types::{
    event::Event,
    id::{BuildId, EventId},
    permission::Permission,
};
use async_stream::stream;
use axum::{
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse, Response, Sse,
        sse::{self, KeepAlive},
    },
};
use futures_util::Stream;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;

use crate::{
    app::App,
    auth::Caller,
    error::{ApiResult, Query},
    limit::OpenStream,
    paging::{Page, Paging},
    route::Route,
};

/// Events in one answer, where nothing is said, and at most.
const DEFAULT_LIMIT: u32 = 200;
const MAX_LIMIT: u32 = 1_000;
/// A reader is told so often that the line lives.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/events", Permission::Read, follow),
        Route::get("/api/v1/events/list", Permission::Read, list),
    ]
}

#[derive(Deserialize)]
struct EventQuery {
    after: Option<EventId>,
    build: Option<BuildId>,
}

async fn list(State(app): State<App>, paging: Paging, Query(query): Query<EventQuery>) -> ApiResult<Page<Event>> {
    let limit = paging.limit_of(DEFAULT_LIMIT, MAX_LIMIT);
    let after = paging.after()?.or(query.after).unwrap_or(EventId(0));
    let mut read = app.db.read().await?;
    let events = anima_db::event::list(&mut read, after, query.build, limit + 1).await?;
    paging.page(events, limit, |event| event.id)
}

/// Events after `Last-Event-ID` or `after`, or from now on; `id` is the event's.
async fn follow(
    State(app): State<App>,
    Query(query): Query<EventQuery>,
    headers: HeaderMap,
    caller: Caller,
) -> ApiResult<Response> {
    let open = app.limits.stream(&caller)?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let after = match last.or(query.after) {
        Some(after) => after,
        None => {
            let mut read = app.db.read().await?;
            anima_db::event::newest(&mut read).await?
        }
    };
    let sse = Sse::new(events(app, after, query.build, open)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Ok(([("x-accel-buffering", "no")], sse).into_response())
}

/// Everything comes from the table, in its order; the broadcast only says that there is more.
fn events(
    app: App,
    mut after: EventId,
    build: Option<BuildId>,
    open: OpenStream,
) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    stream! {
        let _open = open;
        let mut news = app.db.subscribe();
        loop {
            while let Some(batch) = batch(&app, after, build).await {
                for event in batch {
                    after = event.id;
                    if let Ok(message) = sse::Event::default().id(event.id.to_string()).json_data(&event) {
                        yield Ok(message);
                    }
                }
            }
            match news.recv().await {
                Err(RecvError::Closed) => break,
                // All that came meanwhile is in the table.
                Ok(_) | Err(RecvError::Lagged(_)) => while news.try_recv().is_ok() {},
            }
        }
    }
}

async fn batch(app: &App, after: EventId, build: Option<BuildId>) -> Option<Vec<Event>> {
    let mut read = app.db.read().await.ok()?;
    let events = anima_db::event::list(&mut read, after, build, MAX_LIMIT).await.ok()?;
    (!events.is_empty()).then_some(events)
}
