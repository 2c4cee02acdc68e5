//! How busy nodes were: told for some days, and then forgotten.

use anima_types::{
    Timestamp,
    node_load::{KEPT_SECS, LoadSample},
    permission::Permission,
};
use axum::extract::State;

use crate::{
    app::App,
    error::{ApiResult, Json, Path},
    route::Route,
};

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![Route::get("/api/v1/nodes/{node}/load", Permission::Read, show)]
}

async fn show(State(app): State<App>, Path(name): Path<String>) -> ApiResult<Json<Vec<LoadSample>>> {
    let mut read = app.db.read().await?;
    anima_db::node::get(&mut read, &name).await?;
    Ok(Json(anima_db::node_load::since(&mut read, &name, oldest(app.now())).await?))
}

/// Returns from when on anything is known.
pub fn oldest(now: Timestamp) -> Timestamp {
    now.plus_secs(-KEPT_SECS)
}

/// Forgets what is old.
pub async fn forget_once(app: &App, now: Timestamp) -> ApiResult<()> {
    let mut read = app.db.read().await?;
    let is_any = anima_db::node_load::has_before(&mut read, oldest(now)).await?;
    drop(read);
    if is_any {
        let mut write = app.db.write(now, "anima").await?;
        anima_db::node_load::drop_before(&mut write, oldest(now)).await?;
        write.commit().await?;
    }
    Ok(())
}
