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
    paging::{Page, Paging},
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

async fn list(
    State(app): State<App>,
    paging: Paging,
    Query(query): Query<RepositoryQuery>,
) -> ApiResult<Page<Repository>> {
    let mut read = app.db.read().await?;
    if let Some(product) = &query.product {
        anima_db::product::get(&mut read, product).await?;
    }
    paging.page_of_all(anima_db::repository::list(&mut read, query.product.as_deref()).await?, |one| one.id)
}

async fn show(State(app): State<App>, Path(id): Path<RepositoryId>) -> ApiResult<Json<Repository>> {
    let mut read = app.db.read().await?;
    Ok(Json(anima_db::repository::get(&mut read, id).await?))
}

async fn snapshots(State(app): State<App>, paging: Paging, Path(id): Path<RepositoryId>) -> ApiResult<Page<Snapshot>> {
    let mut read = app.db.read().await?;
    anima_db::repository::get(&mut read, id).await?;
    let limit = paging.limit_of(MAX_SNAPSHOTS, MAX_SNAPSHOTS);
    let snapshots = anima_db::snapshot::list(&mut read, id, paging.after()?, limit + 1).await?;
    paging.page(snapshots, limit, |snapshot| snapshot.number)
}

async fn packages(
    State(app): State<App>,
    paging: Paging,
    Path(id): Path<RepositoryId>,
) -> ApiResult<Page<RepositoryPackage>> {
    let key = |one: &RepositoryPackage| (one.nevra.name.clone(), one.nevra.to_string(), one.artifact.to_string());
    paging.page_of_all(current_packages(&app, id).await?, key)
}

/// Returns what users see in a repository.
pub async fn current_packages(app: &App, id: RepositoryId) -> ApiResult<Vec<RepositoryPackage>> {
    let mut read = app.db.read().await?;
    let repository = anima_db::repository::get(&mut read, id).await?;
    Ok(anima_db::snapshot::listed(&mut read, id, repository.current).await?)
}
