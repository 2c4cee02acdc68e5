//! Platforms: what their files say.

use anima_types::{permission::Permission, platform::Platform};
use axum::extract::State;

use crate::{
    app::App,
    error::{ApiError, ApiResult, Json, Path},
    route::Route,
};

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/platforms", Permission::Read, list),
        Route::get("/api/v1/platforms/{platform}", Permission::Read, show),
    ]
}

async fn list(State(app): State<App>) -> Json<Vec<Platform>> {
    Json(app.config.platforms.clone())
}

async fn show(State(app): State<App>, Path(name): Path<String>) -> ApiResult<Json<Platform>> {
    let platform = app.platform(&name).cloned();
    platform.map(Json).ok_or_else(|| ApiError::not_found(format!("there is no platform \"{name}\"")))
}
