//! The audit: who changed what, when, from where, and through which token or session.

use anima_types::{
    audit::{Entry, ListQuery},
    permission::Permission,
};
use axum::extract::State;

use crate::{
    app::App,
    error::{ApiResult, Query},
    paging::{Page, Paging},
    route::Route,
};

/// Entries in one answer, where nothing is said, and at most.
const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1_000;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![Route::get("/api/v1/audit", Permission::Audit, list)]
}

async fn list(State(app): State<App>, paging: Paging, Query(query): Query<ListQuery>) -> ApiResult<Page<Entry>> {
    let limit = paging.limit_of(DEFAULT_LIMIT, MAX_LIMIT);
    let before = paging.after()?.or(query.before);
    let entries = entries(&app, &ListQuery { before, limit: Some(limit + 1), ..query }).await?;
    paging.page(entries, limit, |entry| entry.event.id)
}

/// Returns entries, the newest first.
pub async fn entries(app: &App, query: &ListQuery) -> ApiResult<Vec<Entry>> {
    // One more says whether there are more.
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT + 1);
    let mut read = app.db.read().await?;
    Ok(anima_db::audit::list(&mut read, &query.filter, query.before, limit).await?)
}
