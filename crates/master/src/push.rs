//! Pushes: the Git Service tells of a branch that moved, and a build begins. Pushes of one pusher that come close
//! together are one build, so that packages that need one another can be pushed together. What else it tells of is for the
//! audit.

use anima_db::{Origin, Write, build::NewBuild, event::NewEvent};
use anima_types::{
    build::{Priority, Source},
    id::BuildId,
    permission::Permission,
    platform::Platform,
    push::{GitChanges, MAX_GIT_CHANGES, Push, PushAnswer},
};
use axum::extract::State;

use crate::{
    app::App,
    auth::Caller,
    build::add_sources,
    error::{ApiError, ApiResult, Json},
    route::Route,
};

/// A push that comes this long after the one before it still joins its build: longer than pushing one package of a
/// list takes, shorter than a person's patience.
pub const GATHER_SECS: i64 = 1;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::post("/api/v1/pushes", Permission::ReportPush, take),
        Route::post("/api/v1/git-changes", Permission::ReportPush, take_changes),
    ]
}

async fn take(State(app): State<App>, _: Caller, Json(push): Json<Push>) -> ApiResult<Json<PushAnswer>> {
    let now = app.now();
    let request = push.via.as_ref().map(|_| format!("git push {} {}", push.package, push.branch));
    let origin = Origin { actor: push.pusher.clone(), via: push.via.clone(), address: push.address.clone(), request };
    let mut write = app.db.write(now, origin).await?;
    // The answer to the first telling may have been lost.
    if let Some(build) = anima_db::push::find(&mut write, &push).await? {
        return Ok(Json(begun(&app, build)));
    }
    let platforms: Vec<&Platform> =
        app.config.platforms.iter().filter(|platform| platform.branch == push.branch).collect();
    if platforms.is_empty() {
        let Push { package, branch, commit, .. } = &push;
        record(&mut write, "pushed", format!("{} pushed {commit} to branch {branch} of {package}.", push.pusher))
            .await?;
        write.commit().await?;
        return Ok(Json(PushAnswer { build: None, message: nothing_is_built(&app, &push) }));
    }
    let build = join_or_begin(&app, &mut write, &push, &platforms).await?;
    anima_db::push::insert(&mut write, &push, build).await?;
    write.commit().await?;
    app.gathering_changed();
    Ok(Json(begun(&app, build)))
}

/// Writes into the audit what is changed in the Git Service and builds nothing. Told twice it stands there twice, which is
/// better than not at all.
async fn take_changes(State(app): State<App>, _: Caller, Json(told): Json<GitChanges>) -> ApiResult<()> {
    if told.changes.len() > MAX_GIT_CHANGES {
        let message = format!("at most {MAX_GIT_CHANGES} changes are told at once");
        return Err(ApiError::unprocessable("too_many", message));
    }
    let GitChanges { package, changes, more_count, pusher, via, address } = told;
    let request = via.as_ref().map(|_| format!("git {package}"));
    let mut write = app.db.write(app.now(), Origin { actor: pusher.clone(), via, address, request }).await?;
    for change in &changes {
        record(&mut write, change.verb(), format!("In {package}, by {pusher}: {change}.")).await?;
    }
    if more_count > 0 {
        let message = format!("In {package}, by {pusher}: {more_count} more references were moved or deleted.");
        record(&mut write, "changed", message).await?;
    }
    Ok(write.commit().await?)
}

async fn record(write: &mut Write, verb: &'static str, message: String) -> ApiResult<()> {
    let event = NewEvent { noun: "git", verb, message, ..NewEvent::default() };
    Ok(anima_db::event::record(write, event).await.map(drop)?)
}

async fn join_or_begin(app: &App, write: &mut Write, push: &Push, platforms: &[&Platform]) -> ApiResult<BuildId> {
    let key = format!("{}@{}", push.pusher, push.branch);
    let until = write.now.plus_secs(GATHER_SECS);
    let source = Source { package: push.package.clone(), reference: push.branch.clone(), commit: push.commit.clone() };
    let now = write.now;
    if let Some(build) = anima_db::build::find_gathering(write, &key, now).await? {
        let sources = anima_db::source::list(write, build.id).await?;
        if !sources.iter().any(|other| other.package == push.package) {
            add_sources(app, write, build.id, &[source], platforms, &build.architectures).await?;
            anima_db::build::extend_gathering(write, build.id, until).await?;
            return Ok(build.id);
        }
        // The same package again: the build that gathers has the older commit, and goes on alone.
        anima_db::build::close_gathering(write, build.id).await?;
    }
    let mut architectures: Vec<_> =
        platforms.iter().flat_map(|platform| platform.architectures.iter().copied()).collect();
    architectures.sort();
    architectures.dedup();
    let new = NewBuild {
        owner: push.pusher.clone(),
        reason: format!("pushed to {}@{}", push.package, push.branch),
        platforms: platforms.iter().map(|platform| platform.name.clone()).collect(),
        architectures: architectures.clone(),
        priority: Priority::Normal,
        summary: "Source packages are made.".to_string(),
        gather: Some((key, until)),
    };
    let build = anima_db::build::insert(write, &new).await?;
    add_sources(app, write, build, &[source], platforms, &architectures).await?;
    Ok(build)
}

fn begun(app: &App, build: BuildId) -> PushAnswer {
    PushAnswer { build: Some(build), message: format!("build {build}: {}", app.url(&format!("builds/{build}"))) }
}

fn nothing_is_built(app: &App, push: &Push) -> String {
    let built = app.config.platforms.iter().map(|platform| format!("{} ({})", platform.branch, platform.name));
    let built = built.collect::<Vec<_>>().join(", ");
    format!("nothing is built of branch {}: the branches that are built are {built}", push.branch)
}
