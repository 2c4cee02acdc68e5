//! The API's releases.

use anima_db::package::Package;
use anima_repodata::PackageXml;
use anima_types::{
    build,
    id::{ReleaseId, RepositoryId},
    permission::Permission,
    release::{CommitRelease, CreateRelease, Event, Release},
};
use axum::{body::Bytes, extract::State, http::StatusCode};

use super::{
    begin, change,
    decide::{Decider, commit},
    packages_after, replan_as, revert, view,
};
use crate::{
    app::App,
    auth::Caller,
    error::{ApiError, ApiResult, Json, Path},
    route::Route,
};

/// Releases in one answer: some weeks of a busy distribution.
const MAX_LISTED: u32 = 500;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/releases", Permission::Read, list),
        Route::post("/api/v1/releases", Permission::Release, create),
        Route::get("/api/v1/releases/{release}", Permission::Read, show),
        Route::post("/api/v1/releases/{release}/commit", Permission::Release, decide),
        Route::post("/api/v1/releases/{release}/force", Permission::Configure, force),
        Route::post("/api/v1/releases/{release}/abandon", Permission::Release, abandon),
        Route::post("/api/v1/releases/{release}/revert", Permission::Release, take_back),
        Route::post("/api/v1/releases/{release}/replan", Permission::Release, plan_again),
        Route::get("/api/v1/releases/{release}/repositories/{repository}/packages", Permission::Read, packages),
        Route::get("/api/v1/releases/{release}/repositories/{repository}/added", Permission::Read, added),
    ]
}

async fn list(State(app): State<App>) -> ApiResult<Json<Vec<Release>>> {
    Ok(Json(newest(&app).await?))
}

/// Returns releases, the newest first.
pub async fn newest(app: &App) -> ApiResult<Vec<Release>> {
    let mut read = app.db.read().await?;
    let mut releases = Vec::new();
    for row in anima_db::release::list(&mut read, None, MAX_LISTED).await? {
        releases.push(view(&mut read, row).await?);
    }
    Ok(releases)
}

async fn show(State(app): State<App>, Path(id): Path<ReleaseId>) -> ApiResult<Json<Release>> {
    let mut read = app.db.read().await?;
    let row = anima_db::release::get(&mut read, id).await?;
    Ok(Json(view(&mut read, row).await?))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(wanted): Json<CreateRelease>,
) -> ApiResult<(StatusCode, Json<Release>)> {
    let mut write = app.db.write(app.now(), &caller.name).await?;
    let row = anima_db::build::get(&mut write, wanted.build).await?;
    anima_db::product::get(&mut write, &wanted.product).await?;
    if row.status != build::Status::Succeeded {
        let message = format!("build {} is {}: only what was built and tested is released", row.id, row.status.name());
        return Err(ApiError::conflict("not_succeeded", message));
    }
    let id = begin(&mut write, wanted.build, &wanted.product).await?;
    let row = anima_db::release::get(&mut write, id).await?;
    let release = view(&mut write, row).await?;
    write.commit().await?;
    app.release_is_due(id);
    Ok((StatusCode::CREATED, Json(release)))
}

async fn decide(
    State(app): State<App>,
    Path(id): Path<ReleaseId>,
    caller: Caller,
    body: Bytes,
) -> ApiResult<Json<Release>> {
    // Who has nothing to say sends no body, as all did before there were gates.
    let said: CommitRelease = if body.is_empty() { CommitRelease::default() } else { Json::from_bytes(&body)?.0 };
    give(&app, id, Decider::person(&caller.name, said.reason.as_deref(), false)?).await
}

async fn force(
    State(app): State<App>,
    Path(id): Path<ReleaseId>,
    caller: Caller,
    Json(said): Json<CommitRelease>,
) -> ApiResult<Json<Release>> {
    give(&app, id, Decider::person(&caller.name, said.reason.as_deref(), true)?).await
}

async fn give(app: &App, id: ReleaseId, decider: Decider) -> ApiResult<Json<Release>> {
    let mut write = app.db.write(app.now(), &decider.name).await?;
    let row = anima_db::release::get(&mut write, id).await?;
    commit(&mut write, &row, &decider).await?;
    let row = anima_db::release::get(&mut write, id).await?;
    let release = view(&mut write, row).await?;
    write.commit().await?;
    app.release_is_due(id);
    Ok(Json(release))
}

async fn abandon(State(app): State<App>, Path(id): Path<ReleaseId>, caller: Caller) -> ApiResult<()> {
    let mut write = app.db.write(app.now(), &caller.name).await?;
    let row = anima_db::release::get(&mut write, id).await?;
    let why = format!("{} threw it away.", caller.name);
    anima_db::release::apply(&mut write, &row, Event::Abandoned, &why).await?;
    for task in anima_db::task::of_release(&mut write, id).await? {
        if !task.status.is_ended() {
            anima_db::task::apply(&mut write, &task, anima_types::task::Event::Cancelled, &why).await?;
        }
    }
    Ok(write.commit().await?)
}

async fn take_back(State(app): State<App>, Path(id): Path<ReleaseId>, caller: Caller) -> ApiResult<()> {
    let mut write = app.db.write(app.now(), &caller.name).await?;
    let row = anima_db::release::get(&mut write, id).await?;
    revert(&mut write, &row, &caller.name).await?;
    Ok(write.commit().await?)
}

async fn plan_again(State(app): State<App>, Path(id): Path<ReleaseId>, caller: Caller) -> ApiResult<()> {
    replan_as(&app, id, &caller).await
}

/// What the Release System makes a repository's metadata from.
async fn packages(
    State(app): State<App>,
    Path((id, repository)): Path<(ReleaseId, RepositoryId)>,
) -> ApiResult<Json<Vec<PackageXml>>> {
    let mut read = app.db.read().await?;
    let row = anima_db::release::get(&mut read, id).await?;
    listed(packages_after(&mut read, &row, repository).await?)
}

/// What comes to the last state: all that the Release System needs where that state's metadata can be built upon.
async fn added(
    State(app): State<App>,
    Path((id, repository)): Path<(ReleaseId, RepositoryId)>,
) -> ApiResult<Json<Vec<PackageXml>>> {
    let mut read = app.db.read().await?;
    let row = anima_db::release::get(&mut read, id).await?;
    let change = change(&mut read, &row, repository).await?;
    listed(super::packages(&mut read, change.added).await?)
}

fn listed(packages: Vec<Package>) -> ApiResult<Json<Vec<PackageXml>>> {
    let xml = packages.iter().map(|package| serde_json::from_str(&package.xml).map_err(ApiError::internal));
    Ok(Json(xml.collect::<ApiResult<_>>()?))
}
