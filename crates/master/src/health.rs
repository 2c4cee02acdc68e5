//! Whether the service answers, for supervisors and load balancers.

use anima_types::permission::Permission;
use axum::extract::State;

use crate::{app::App, error::ApiResult, route::Route};

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![Route::get("/healthz", Permission::Read, health), Route::get("/robots.txt", Permission::Read, robots)]
}

/// It answers when the database does.
async fn health(State(app): State<App>) -> ApiResult<&'static str> {
    let mut read = app.db.read().await?;
    anima_db::event::newest(&mut read).await?;
    Ok("ok\n")
}

/// Machines that index pages have no use for logs.
async fn robots() -> &'static str {
    "User-agent: *\nDisallow: /api/\nDisallow: /tasks/\n"
}
