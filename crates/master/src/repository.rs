//! Repositories of products, their snapshots and their packages.

use anima_types::{
    id::RepositoryId,
    permission::Permission,
    repository::{Repository, RepositoryPackage, Snapshot},
};
use axum::extract::State;
use serde::Deserialize;

use crate::{
    app::App,
    error::{ApiResult, Json, Path, Query},
    route::Route,
};

/// Snapshots in one answer.
const MAX_SNAPSHOTS: u32 = 200;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/repositories", Permission::Read, list),
        Route::get("/api/v1/repositories/{repository}", Permission::Read, show),
        Route::get("/api/v1/repositories/{repository}/snapshots", Permission::Read, snapshots),
        Route::get("/api/v1/repositories/{repository}/packages", Permission::Read, packages),
    ]
}

#[derive(Deserialize)]
struct RepositoryQuery {
    product: Option<String>,
}

async fn list(State(app): State<App>, Query(query): Query<RepositoryQuery>) -> ApiResult<Json<Vec<Repository>>> {
    let mut read = app.db.read().await?;
    if let Some(product) = &query.product {
        anima_db::product::get(&mut read, product).await?;
    }
    Ok(Json(anima_db::repository::list(&mut read, query.product.as_deref()).await?))
}

async fn show(State(app): State<App>, Path(id): Path<RepositoryId>) -> ApiResult<Json<Repository>> {
    let mut read = app.db.read().await?;
    Ok(Json(anima_db::repository::get(&mut read, id).await?))
}

async fn snapshots(State(app): State<App>, Path(id): Path<RepositoryId>) -> ApiResult<Json<Vec<Snapshot>>> {
    let mut read = app.db.read().await?;
    anima_db::repository::get(&mut read, id).await?;
    Ok(Json(anima_db::snapshot::list(&mut read, id, MAX_SNAPSHOTS).await?))
}

async fn packages(State(app): State<App>, Path(id): Path<RepositoryId>) -> ApiResult<Json<Vec<RepositoryPackage>>> {
    Ok(Json(current_packages(&app, id).await?))
}

/// Returns what users see in a repository.
pub async fn current_packages(app: &App, id: RepositoryId) -> ApiResult<Vec<RepositoryPackage>> {
    let mut read = app.db.read().await?;
    let repository = anima_db::repository::get(&mut read, id).await?;
    Ok(anima_db::snapshot::listed(&mut read, id, repository.current).await?)
}
