//! Builds: what a person or a push asks for, and what becomes of it.

pub mod advance;
mod api;
pub mod hold;
mod last_built;
pub mod order;
mod plan;
pub mod queue;
mod wake;

use anima_db::{Write, build::Build, task::About};
use anima_types::{
    Arch,
    build::{self, Event, MAX_PACKAGES, Priority, Source, Status},
    id::BuildId,
    permission::Permission,
    platform::Platform,
    retention::FAILED_BUILD_DAYS,
    right::Target,
    task::{self, Kind},
};

use self::queue::Queue;
use crate::{
    app::App,
    auth::Caller,
    error::{ApiError, ApiResult},
    quota,
    task::restart_row,
};

pub use api::{all_architectures, cancel, detail, newest, resolve, restart, routes};
pub use plan::{dependants, known, routes as plan_routes, slots};

/// Adds packages to a build: their sources, and a `src` task of each for each platform, which begins at once, or when it is the turn
/// of a team that has a bound.
pub async fn add_sources(
    app: &App,
    write: &mut Write,
    build: BuildId,
    sources: &[Source],
    platforms: &[&Platform],
    architectures: &[Arch],
) -> ApiResult<()> {
    let tasks = insert_sources(app, write, build, sources, platforms, architectures).await?;
    let row = anima_db::build::get(write, build).await?;
    if row.team.as_deref().is_some_and(|team| app.config.quota.bounds(team)) {
        insert_waiting(write, tasks).await?;
        advance::advance(app, write, build).await?;
        return Ok(());
    }
    Queue::of(write, &row).await?.make_ready(write, tasks).await
}

/// Refuses an urgent build to who may not put it before everybody else's.
pub fn check_priority(caller: &Caller, priority: Priority, targets: &[Target]) -> ApiResult<()> {
    if priority != Priority::Urgent {
        return Ok(());
    }
    caller.check(Permission::Hurry, targets).map_err(|error| match error.body.code.as_str() {
        "forbidden" => {
            error.hint("Ask for it without --priority urgent, or ask a manager or who maintains the product.")
        }
        _ => error,
    })
}

/// Adds packages to a build, whose tasks begin when the build is moved on.
pub async fn add_held_sources(
    app: &App,
    write: &mut Write,
    build: BuildId,
    sources: &[Source],
    platforms: &[&Platform],
    architectures: &[Arch],
) -> ApiResult<()> {
    let tasks = insert_sources(app, write, build, sources, platforms, architectures).await?;
    insert_waiting(write, tasks).await
}

async fn insert_waiting(write: &mut Write, tasks: Vec<About>) -> ApiResult<()> {
    let tasks: Vec<_> = tasks.into_iter().map(|about| (about, None)).collect();
    anima_db::task_queue::insert_all(write, &tasks, (queue::ASKED, queue::ASKED)).await?;
    Ok(())
}

/// Writes sources, and returns the `src` tasks that they want.
async fn insert_sources(
    app: &App,
    write: &mut Write,
    build: BuildId,
    sources: &[Source],
    platforms: &[&Platform],
    architectures: &[Arch],
) -> ApiResult<Vec<About>> {
    anima_db::source::insert_all(write, build, sources).await?;
    note_team(write, build, platforms).await?;
    let team = anima_db::build::get(write, build).await?.team;
    quota::check_kept(app, write, team.as_deref()).await?;
    let mut tasks = Vec::with_capacity(sources.len() * platforms.len());
    let archs = source_archs(write, platforms, architectures).await?;
    for source in sources {
        for (platform, &arch) in platforms.iter().zip(&archs) {
            tasks.push(About {
                build: Some(build),
                package: Some(source.package.clone()),
                platform: Some(platform.name.clone()),
                arch: Some(arch),
                ..About::new(Kind::Src)
            });
        }
    }
    Ok(tasks)
}

/// Returns for each platform the architecture that its source packages are made on: a slow or absent one is not to hold up all others.
async fn source_archs(write: &mut Write, platforms: &[&Platform], wanted: &[Arch]) -> ApiResult<Vec<Arch>> {
    let nodes = anima_db::node::list(write).await?;
    let now = write.now;
    let one = |platform: &&Platform| {
        let archs = order::by_nodes(&platform.architectures, &nodes, now, Kind::Src);
        let arch = archs.into_iter().find(|arch| wanted.contains(arch));
        arch.ok_or_else(|| no_architecture(platform, wanted))
    };
    platforms.iter().map(one).collect()
}

/// Notes which team a build is for: the one whose product a platform of it releases to, or else the first by name that its owner is
/// in. Whatever a machine pushes for a team is the team's.
async fn note_team(write: &mut Write, id: BuildId, platforms: &[&Platform]) -> ApiResult<()> {
    let build = anima_db::build::get(write, id).await?;
    if build.team.is_some() {
        return Ok(());
    }
    for product in platforms.iter().filter_map(|platform| platform.release_to.as_deref()) {
        let product = anima_db::product::find(write, product).await?;
        if let Some(team) = product.and_then(|product| product.product.options.team) {
            return Ok(anima_db::build::set_team(write, id, &team).await?);
        }
    }
    let Some(account) = anima_db::account::find(write, &build.owner).await? else { return Ok(()) };
    match anima_db::team::of_account(write, account.account.id).await?.first() {
        Some(team) => Ok(anima_db::build::set_team(write, id, team).await?),
        None => Ok(()),
    }
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
    if row.deleted_at.is_some() {
        return Err(ApiError::conflict("deleted", format!("what build {id} made was deleted"))
            .hint("Make a new build of the same packages."));
    }
    if matches!(row.status, Status::Failed | Status::Cancelled) {
        for &linked in &row.options.linked {
            if anima_db::build::get(write, linked).await?.deleted_at.is_some() {
                let message = format!("build {id} is linked to build {linked}, and what that made was deleted");
                return Err(ApiError::conflict("deleted", message).hint("Make a new build that needs it no more."));
            }
        }
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

/// Stops a build.
pub async fn cancel_as(write: &mut Write, id: BuildId, who: &str) -> ApiResult<()> {
    let why = format!("Cancelled by {who}.");
    let row = anima_db::build::get(write, id).await?;
    anima_db::build::apply(write, &row, Event::Cancelled, &why).await?;
    anima_db::build::close_gathering(write, id).await?;
    for task in anima_db::task::standing_of_build(write, id).await? {
        if !task.status.is_ended() && task.about.release.is_none() {
            anima_db::task::apply(write, &task, task::Event::Cancelled, &why).await?;
        }
    }
    Ok(())
}

/// What was blocked by a task that is tried again, or is left out, waits again.
pub async fn restart_blocked(write: &mut Write, id: BuildId, who: &str) -> ApiResult<()> {
    for task in anima_db::task::standing_of_build(write, id).await? {
        if task.status == task::Status::Blocked {
            restart_row(write, &task, who).await?;
        }
    }
    Ok(())
}

/// Tries again what did not end well in a build.
pub async fn restart_as(write: &mut Write, id: BuildId, who: &str) -> ApiResult<()> {
    reopen(write, id, who).await?;
    for task in anima_db::task::standing_of_build(write, id).await? {
        let is_bad = matches!(task.status, task::Status::Failed | task::Status::Blocked | task::Status::Cancelled);
        if is_bad && task.about.release.is_none() {
            restart_row(write, &task, who).await?;
        }
    }
    Ok(())
}

/// Returns a build as the API shows it.
pub async fn view(connection: &mut anima_db::Connection, row: Build) -> ApiResult<build::Build> {
    let sources = anima_db::source::list(connection, row.id).await?;
    Ok(build::Build { sources, ..view_without_sources(connection, row).await? })
}

/// The same without its sources, which may be thousands.
pub async fn view_without_sources(connection: &mut anima_db::Connection, row: Build) -> ApiResult<build::Build> {
    let releases = anima_db::release::of_build(connection, row.id).await?;
    Ok(build::Build {
        id: row.id,
        status: row.status,
        owner: row.owner,
        priority: row.priority,
        reason: row.reason,
        sources: Vec::new(),
        platforms: row.platforms,
        architectures: row.architectures,
        created_at: row.created_at,
        ended_at: row.ended_at,
        summary: row.summary,
        options: row.options,
        deleted_at: row.deleted_at,
        releases: releases.into_iter().map(|(id, _)| id).collect(),
    })
}
