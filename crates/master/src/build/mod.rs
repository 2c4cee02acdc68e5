//! Builds: what a person or a push asks for, and what becomes of it.

pub mod advance;
mod api;
mod plan;
pub mod queue;

use anima_db::{Write, build::Build};
use anima_types::{
    Arch,
    build::{self, Event, MAX_PACKAGES, Source, Status},
    id::BuildId,
    platform::Platform,
    retention::FAILED_BUILD_DAYS,
    task::Kind,
};

use self::queue::Queue;
use crate::{
    app::App,
    error::{ApiError, ApiResult},
};

pub use api::{cancel, detail, newest, restart, routes};
pub use plan::routes as plan_routes;

/// Adds a package to a build: its source, and a `src` task for each platform, which begins at once.
pub async fn add_source(
    write: &mut Write,
    build: BuildId,
    source: &Source,
    platforms: &[&Platform],
    architectures: &[Arch],
) -> ApiResult<()> {
    anima_db::source::insert(write, build, source).await?;
    let row = anima_db::build::get(write, build).await?;
    let mut queue = Queue::of(write, &row).await?;
    for platform in platforms {
        let arch = platform.architectures.iter().copied().find(|arch| architectures.contains(arch));
        let arch = arch.ok_or_else(|| no_architecture(platform, architectures))?;
        let mut about = anima_db::task::About::new(Kind::Src);
        about.build = Some(build);
        about.package = Some(source.package.clone());
        about.platform = Some(platform.name.clone());
        about.arch = Some(arch);
        let id = anima_db::task::insert(write, &about, "It was asked for.").await?;
        let task = anima_db::task::get(write, id).await?;
        queue.ready(write, &task).await?;
    }
    Ok(())
}

fn no_architecture(platform: &Platform, wanted: &[Arch]) -> ApiError {
    let list = |archs: &[Arch]| archs.iter().map(|arch| arch.name()).collect::<Vec<_>>().join(", ");
    let message = format!("platform {} has none of the architectures {}", platform.name, list(wanted));
    ApiError::unprocessable("unknown_architecture", message).hint(format!("It has {}.", list(&platform.architectures)))
}

/// Returns the platforms of these names, or says which there are.
pub fn platforms<'a>(app: &'a App, names: &[String]) -> ApiResult<Vec<&'a Platform>> {
    let found = names.iter().map(|name| {
        app.platform(name).ok_or_else(|| {
            let there =
                app.config.platforms.iter().map(|platform| platform.name.as_str()).collect::<Vec<_>>().join(", ");
            ApiError::unprocessable("unknown_platform", format!("there is no platform \"{name}\""))
                .hint(format!("There are {there}."))
        })
    });
    let found = found.collect::<ApiResult<Vec<_>>>()?;
    if found.is_empty() {
        return Err(ApiError::unprocessable("no_platform", "a build has to name a platform"));
    }
    Ok(found)
}

/// Refuses a build of nothing, of too much, or of the same twice.
pub fn check_packages<'a>(packages: impl Iterator<Item = &'a str>) -> ApiResult<()> {
    let mut seen = std::collections::BTreeSet::new();
    for package in packages {
        if !seen.insert(package) {
            return Err(ApiError::unprocessable("twice", format!("{package} is named twice")));
        }
        if seen.len() > MAX_PACKAGES {
            return Err(ApiError::unprocessable("too_many", format!("a build has at most {MAX_PACKAGES} packages")));
        }
    }
    if seen.is_empty() {
        return Err(ApiError::unprocessable("no_packages", "a build has to name a package"));
    }
    Ok(())
}

/// Lets a build that ended badly go on; one that runs, runs on.
pub async fn reopen(write: &mut Write, id: BuildId, who: &str) -> ApiResult<()> {
    let row = anima_db::build::get(write, id).await?;
    if matches!(row.status, Status::Failed | Status::Cancelled) {
        let keeps_secs = (FAILED_BUILD_DAYS * 86_400) as f64;
        if row.ended_at.is_some_and(|ended_at| write.now.secs_since(ended_at) > keeps_secs) {
            let message =
                format!("build {id} ended more than {FAILED_BUILD_DAYS} days ago: what its tasks made is dropped");
            return Err(ApiError::conflict("too_old", message).hint("Make a new build of the same packages."));
        }
        anima_db::build::apply(write, &row, Event::Restarted, &format!("Restarted by {who}.")).await?;
    }
    Ok(())
}

/// Returns a build as the API shows it.
pub async fn view(connection: &mut anima_db::Connection, row: Build) -> ApiResult<build::Build> {
    let sources = anima_db::source::list(connection, row.id).await?;
    let releases = anima_db::release::of_build(connection, row.id).await?;
    Ok(build::Build {
        id: row.id,
        status: row.status,
        owner: row.owner,
        priority: row.priority,
        reason: row.reason,
        sources,
        platforms: row.platforms,
        architectures: row.architectures,
        created_at: row.created_at,
        ended_at: row.ended_at,
        summary: row.summary,
        releases: releases.into_iter().map(|(id, _)| id).collect(),
    })
}
