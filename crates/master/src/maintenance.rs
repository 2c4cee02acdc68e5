//! Maintenance of the whole: no task is given out, nodes end what they have, and then everything can be stopped. Requests,
//! pushes and users of repositories are served all the while.

use anima_types::{
    maintenance::{BeginMaintenance, MaintenanceState},
    permission::Permission,
};
use axum::extract::State;

use crate::{
    app::App,
    auth::Caller,
    error::{ApiError, ApiResult, Json},
    route::Route,
};

/// Characters of a reason at most: it stands in the lines of nodes and tasks.
const MAX_REASON_CHARS: usize = 500;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/maintenance", Permission::Read, show),
        Route::put("/api/v1/maintenance", Permission::Configure, begin),
        Route::delete("/api/v1/maintenance", Permission::Configure, end),
    ]
}

async fn show(State(app): State<App>) -> ApiResult<Json<MaintenanceState>> {
    state(&app).await
}

async fn begin(
    State(app): State<App>,
    caller: Caller,
    Json(wanted): Json<BeginMaintenance>,
) -> ApiResult<Json<MaintenanceState>> {
    if wanted.reason.as_ref().is_some_and(|reason| reason.chars().count() > MAX_REASON_CHARS) {
        let message = format!("a reason has {MAX_REASON_CHARS} characters at most");
        return Err(ApiError::unprocessable("too_long", message));
    }
    let mut write = app.db.write(app.now(), &caller).await?;
    anima_db::maintenance::begin(&mut write, wanted.reason.as_deref()).await?;
    write.commit().await?;
    state(&app).await
}

async fn end(State(app): State<App>, caller: Caller) -> ApiResult<Json<MaintenanceState>> {
    let mut write = app.db.write(app.now(), &caller).await?;
    anima_db::maintenance::end(&mut write).await?;
    write.commit().await?;
    state(&app).await
}

async fn state(app: &App) -> ApiResult<Json<MaintenanceState>> {
    let mut read = app.db.read().await?;
    let maintenance = anima_db::maintenance::get(&mut read).await?;
    let running_count = anima_db::task_lease::count(&mut read).await?;
    Ok(Json(MaintenanceState { maintenance, running_count }))
}
