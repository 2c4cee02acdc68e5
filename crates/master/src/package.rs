//! Packages by name: what was pushed, built and released under each.

use anima_types::{
    build,
    package::{PackageDetail, PackageSummary, TargetStatistics},
    permission::Permission,
    task::Kind,
    work::Outcome,
};
use axum::extract::State;

use crate::{
    app::App,
    build::{queue, view},
    error::{ApiError, ApiResult, Json, Path},
    paging::{Page, Paging},
    route::Route,
};

/// Builds on a package's page: years of a busy one.
const MAX_BUILDS: u32 = 200;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/packages", Permission::Read, list),
        Route::get("/api/v1/packages/{package}", Permission::Read, show),
    ]
}

async fn list(State(app): State<App>, paging: Paging) -> ApiResult<Page<PackageSummary>> {
    paging.page_of_all(all(&app).await?, |one| one.name.clone())
}

/// Returns all packages by name. The number of questions to the database is the same however many there are.
pub async fn all(app: &App) -> ApiResult<Vec<PackageSummary>> {
    let mut read = app.db.read().await?;
    let newest = anima_db::source::newest(&mut read).await?;
    let mut holding = anima_db::repository::holding_sources(&mut read).await?;
    let summary = |one: anima_db::source::Newest| PackageSummary {
        last_build: Some(one.build),
        status: Some(one.status),
        version: version(one.made.as_ref()),
        released_to: holding.remove(&one.package).unwrap_or_default(),
        changed_at: one.ended_at.or(Some(one.created_at)),
        name: one.package,
    };
    Ok(newest.into_iter().map(summary).collect())
}

/// Returns the version and release that a `src` task made.
fn version(made: Option<&Outcome>) -> Option<String> {
    match made {
        Some(Outcome::Src(made)) => Some(format!("{}-{}", made.nevra.evr.version, made.nevra.evr.release)),
        _ => None,
    }
}

async fn show(State(app): State<App>, Path(name): Path<String>) -> ApiResult<Json<PackageDetail>> {
    Ok(Json(detail(&app, &name).await?))
}

/// Returns a package with its builds.
pub async fn detail(app: &App, name: &str) -> ApiResult<PackageDetail> {
    let mut read = app.db.read().await?;
    let filter = anima_db::build::Filter { package: Some(name.to_string()), ..Default::default() };
    let rows = anima_db::build::list(&mut read, &filter, MAX_BUILDS).await?;
    let newest = rows.first().map(|row| row.id).ok_or_else(|| {
        ApiError::not_found(format!("no package \"{name}\" was ever pushed to a branch that is built"))
    })?;
    let package = summary(&mut read, name.to_string(), newest).await?;
    let mut builds: Vec<build::Build> = Vec::with_capacity(rows.len());
    for row in rows {
        builds.push(view(&mut read, row).await?);
    }
    let mut statistics = Vec::new();
    for (platform, arch) in anima_db::task::targets_of_package(&mut read, name).await? {
        let last = queue::last_builds(&mut read, name, &platform, arch).await?;
        if let (Some(newest), Some(secs)) = (last.first(), queue::measured_secs(&last)) {
            let (build_count, phases) = (last.len() as u32, newest.phases.clone());
            statistics.push(TargetStatistics { platform, arch, build_count, secs, task: newest.id, phases });
        }
    }
    Ok(PackageDetail { package, builds, statistics })
}

async fn summary(
    connection: &mut anima_db::Connection,
    name: String,
    newest: anima_types::id::BuildId,
) -> ApiResult<PackageSummary> {
    let build = anima_db::build::get(connection, newest).await?;
    let tasks = anima_db::task::of_build(connection, newest).await?;
    let its =
        |task: &&anima_db::task::Task| task.about.kind == Kind::Src && task.about.package.as_deref() == Some(&name);
    let version = tasks.iter().find(its).and_then(|task| version(task.result.as_ref()));
    Ok(PackageSummary {
        last_build: Some(newest),
        status: Some(build.status),
        version,
        released_to: anima_db::repository::holding_source(connection, &name).await?,
        changed_at: build.ended_at.or(Some(build.created_at)),
        name,
    })
}
