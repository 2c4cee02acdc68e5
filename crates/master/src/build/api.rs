//! The API's builds.

use anima_db::Write;
use anima_types::{
    build::{Build, BuildDetail, CreateBuild, ListQuery, MAX_LINKED, Source, SourceRef},
    id::BuildId,
    permission::Permission,
    platform::Platform,
    release,
};
use axum::{extract::State, http::StatusCode};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{add_sources, check_packages, check_priority, platforms, view};
use crate::{
    app::App,
    auth::{Caller, Unchecked},
    error::{ApiError, ApiResult, Json, Path, Query},
    git,
    paging::{Page, Paging},
    route::Route,
    target,
    task::views,
};

/// Packages whose commits are asked for at once.
const RESOLVED_AT_ONCE: usize = 16;
/// Builds in one answer, where nothing is said, and at most.
const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 500;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/builds", Permission::Read, list),
        Route::post("/api/v1/builds", Permission::Build, create).about_body(),
        Route::get("/api/v1/builds/{build}", Permission::Read, show),
        Route::delete("/api/v1/builds/{build}", Permission::Build, delete),
        Route::post("/api/v1/builds/{build}/cancel", Permission::Build, cancel),
        Route::post("/api/v1/builds/{build}/restart", Permission::Build, restart),
    ]
}

async fn list(State(app): State<App>, paging: Paging, Query(query): Query<ListQuery>) -> ApiResult<Page<Build>> {
    let limit = paging.limit_of(DEFAULT_LIMIT, MAX_LIMIT);
    let before = paging.after()?.or(query.before);
    let builds = newest(&app, ListQuery { before, limit: Some(limit + 1), ..query }).await?;
    paging.page(builds, limit, |build| build.id)
}

/// Returns builds, the newest first.
pub async fn newest(app: &App, query: ListQuery) -> ApiResult<Vec<Build>> {
    // One more says whether there are more.
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT + 1);
    let ListQuery { before, package, platform, owner, status, .. } = query;
    let filter = anima_db::build::Filter { before, package, platform, owner, status };
    let mut read = app.db.read().await?;
    let mut builds = Vec::new();
    for row in anima_db::build::list(&mut read, &filter, limit).await? {
        builds.push(view(&mut read, row).await?);
    }
    Ok(builds)
}

async fn show(State(app): State<App>, Path(id): Path<BuildId>) -> ApiResult<Json<BuildDetail>> {
    Ok(Json(detail(&app, id).await?))
}

/// Returns a build with its tasks.
pub async fn detail(app: &App, id: BuildId) -> ApiResult<BuildDetail> {
    let mut read = app.db.read().await?;
    let row = anima_db::build::get(&mut read, id).await?;
    let circles = row.circles.clone();
    let build = view(&mut read, row).await?;
    let tasks = anima_db::task::of_build(&mut read, id).await?;
    let waits_for = anima_db::task_dependency::of_build(&mut read, id).await?;
    let artifacts = anima_db::artifact::of_build(&mut read, id).await?;
    drop(read);
    Ok(BuildDetail { build, tasks: views(app, tasks, waits_for, artifacts).await?, circles })
}

async fn create(
    State(app): State<App>,
    unchecked: Unchecked,
    Json(wanted): Json<CreateBuild>,
) -> ApiResult<(StatusCode, Json<Build>)> {
    let targets: Vec<_> = wanted.platforms.iter().map(|name| target::platform(&app, name)).collect();
    let caller = unchecked.about(&targets)?;
    check_priority(&caller, wanted.priority, &targets)?;
    let platforms = platforms(&app, &wanted.platforms)?;
    check_packages(wanted.packages.iter().map(|source| source.package.as_str()))?;
    let architectures = match wanted.architectures.is_empty() {
        true => all_architectures(&platforms),
        false => wanted.architectures,
    };
    for platform in &platforms {
        platform.with_flavors(&wanted.options.flavors).map_err(|why| ApiError::unprocessable("unknown_flavor", why))?;
    }
    let sources = resolve(&app, &wanted.packages, platforms[0]).await?;
    let mut write = app.db.write(app.now(), &caller).await?;
    check_linked(&mut write, &wanted.options.linked, &wanted.platforms).await?;
    let new = anima_db::build::NewBuild {
        owner: caller.name.clone(),
        reason: format!("asked for by {}", caller.name),
        platforms: wanted.platforms,
        architectures: architectures.clone(),
        priority: wanted.priority,
        summary: "Source packages are made.".to_string(),
        gather: None,
    };
    let id = anima_db::build::insert(&mut write, &new).await?;
    anima_db::build::set_options(&mut write, id, &wanted.options).await?;
    add_sources(&app, &mut write, id, &sources, &platforms, &architectures).await?;
    let row = anima_db::build::get(&mut write, id).await?;
    let build = view(&mut write, row).await?;
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(build)))
}

/// Refuses to link what has nothing to offer: another platform's builds, and those that are deleted.
async fn check_linked(write: &mut Write, linked: &[BuildId], platforms: &[String]) -> ApiResult<()> {
    if linked.len() > MAX_LINKED {
        return Err(ApiError::unprocessable("too_many", format!("a build has at most {MAX_LINKED} linked builds")));
    }
    for &id in linked {
        let row = anima_db::build::get(write, id).await?;
        if row.deleted_at.is_some() || !row.platforms.iter().any(|name| platforms.contains(name)) {
            let message = format!("build {id} has no packages for {}", platforms.join(", "));
            return Err(ApiError::unprocessable("not_linked", message));
        }
    }
    Ok(())
}

/// Drops what an ended build made, unless somebody needs it: a release that users may see, or a build that goes on.
async fn delete(State(app): State<App>, Path(id): Path<BuildId>, caller: Caller) -> ApiResult<Json<Build>> {
    let mut write = app.db.write(app.now(), &caller).await?;
    let row = anima_db::build::get(&mut write, id).await?;
    let in_use = |why: String| Err(ApiError::conflict("in_use", why));
    if !row.status.is_ended() {
        return in_use(format!("build {id} is not ended: cancel it first"));
    }
    for (release, _) in anima_db::release::of_build(&mut write, id).await? {
        let release = anima_db::release::get(&mut write, release).await?;
        if release.status != release::Status::Abandoned {
            return in_use(format!("release {} carries build {id} and is {}", release.id, release.status.name()));
        }
    }
    if let Some(other) = anima_db::build::find_linked_to(&mut write, id).await? {
        return in_use(format!("build {other} is linked to build {id} and is not ended"));
    }
    if row.deleted_at.is_none() {
        let summary = format!("Deleted by {}: what it made is dropped with the next collection.", caller.name);
        anima_db::build::delete(&mut write, &row, &summary).await?;
    }
    let row = anima_db::build::get(&mut write, id).await?;
    let build = view(&mut write, row).await?;
    write.commit().await?;
    Ok(Json(build))
}

/// Asks the Git Service for the commits; a package without a reference is built from the platform's branch.
pub async fn resolve(app: &App, packages: &[SourceRef], platform: &Platform) -> ApiResult<Vec<Source>> {
    let one = async |SourceRef { package, reference }: &SourceRef| {
        let reference = reference.clone().unwrap_or_else(|| platform.branch.clone());
        let commit = git::resolve(app, package, &reference).await?;
        Ok(Source { package: package.clone(), reference, commit })
    };
    stream::iter(packages.iter().map(one)).buffered(RESOLVED_AT_ONCE).try_collect().await
}

/// Returns all architectures that some of the platforms have.
pub fn all_architectures(platforms: &[&Platform]) -> Vec<anima_types::Arch> {
    let mut all: Vec<_> = platforms.iter().flat_map(|platform| platform.architectures.iter().copied()).collect();
    all.sort();
    all.dedup();
    all
}

/// Stops a build and all its tasks that have not ended.
pub async fn cancel(State(app): State<App>, Path(id): Path<BuildId>, caller: Caller) -> ApiResult<()> {
    let mut write = app.db.write(app.now(), &caller).await?;
    super::cancel_as(&mut write, id, &caller.name).await?;
    Ok(write.commit().await?)
}

/// Tries again what failed, was blocked or cancelled of a build.
pub async fn restart(State(app): State<App>, Path(id): Path<BuildId>, caller: Caller) -> ApiResult<()> {
    let mut write = app.db.write(app.now(), &caller).await?;
    super::restart_as(&mut write, id, &caller.name).await?;
    write.commit().await?;
    app.build_is_due(id);
    Ok(())
}
