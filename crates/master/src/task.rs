//! Tasks: how they are shown, restarted and cancelled.

use std::collections::BTreeMap;

use anima_db::{artifact, task::Subject, task_dependency};
use anima_types::{
    artifact::Artifact,
    id::TaskId,
    permission::Permission,
    task::{Event, Kind, Task, TaskLog},
    task_log::{KEPT_ATTEMPTS, LogName},
    work::Outcome,
};
use axum::extract::State;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::{
    app::App,
    auth::Caller,
    build,
    error::{ApiError, ApiResult, Json, Path},
    key,
    log::WhichLog,
    release,
    route::Route,
    signing,
};

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/tasks/{task}", Permission::Read, show),
        Route::post("/api/v1/tasks/{task}/cancel", Permission::Build, cancel),
        Route::post("/api/v1/tasks/{task}/restart", Permission::Build, restart),
    ]
}

async fn show(State(app): State<App>, Path(id): Path<TaskId>) -> ApiResult<Json<Task>> {
    Ok(Json(get(&app, id).await?))
}

/// Logs whose sizes are asked for at once.
const LOGS_AT_ONCE: usize = 32;

/// Attempts of one task that are told, the newest: those since it was last restarted, and some before.
const MAX_HISTORY: u32 = 20;

/// Returns a task with its artifacts.
pub async fn get(app: &App, id: TaskId) -> ApiResult<Task> {
    let mut read = app.db.read().await?;
    let task = anima_db::task::get(&mut read, id).await?;
    let waits_for = task_dependency::of_task(&mut read, id).await?;
    let artifacts = artifact::of_task(&mut read, id).await?;
    let history = anima_db::lease::history(&mut read, id, MAX_HISTORY).await?;
    drop(read);
    let logs = logs(app, &task).await?;
    Ok(Task { logs, history, ..view(app, task, waits_for, artifacts).await? })
}

/// Returns a task's logs that there are, the newest attempt's first.
async fn logs(app: &App, task: &anima_db::task::Task) -> ApiResult<Vec<TaskLog>> {
    let mut logs = Vec::new();
    for attempt in (1..=task.lease_number).rev().take(KEPT_ATTEMPTS as usize + 1) {
        for name in LogName::ALL {
            let size_bytes = WhichLog::new(name, Some(attempt)).size(app, task).await?;
            if size_bytes > 0 {
                logs.push(TaskLog { name, attempt, size_bytes });
            }
        }
    }
    Ok(logs)
}

/// Returns tasks with their artifacts, given what belongs to each.
pub async fn views(
    app: &App,
    tasks: Vec<anima_db::task::Task>,
    mut waits_for: BTreeMap<TaskId, Vec<TaskId>>,
    mut artifacts: BTreeMap<TaskId, Vec<Artifact>>,
) -> ApiResult<Vec<Task>> {
    let with_all = tasks.into_iter().map(|task| {
        let (waits_for, artifacts) = (waits_for.remove(&task.id), artifacts.remove(&task.id));
        view(app, task, waits_for.unwrap_or_default(), artifacts.unwrap_or_default())
    });
    // In a bucket each log is a question or some: thousands of them one after the other would take minutes.
    let with_all: Vec<_> = with_all.collect();
    stream::iter(with_all).buffered(LOGS_AT_ONCE).try_collect().await
}

async fn view(
    app: &App,
    task: anima_db::task::Task,
    waits_for: Vec<TaskId>,
    artifacts: Vec<Artifact>,
) -> ApiResult<Task> {
    let log_size_bytes = WhichLog::default().size(app, &task).await?;
    let about = task.about;
    Ok(Task {
        id: task.id,
        kind: about.kind,
        status: task.status,
        build: about.build,
        release: about.release,
        package: about.package,
        platform: about.platform,
        arch: about.arch,
        why: task.why,
        waits_for,
        attempts: task.attempts,
        estimate_secs: task.estimate_secs,
        node: task.node,
        is_emulated: task.is_emulated,
        created_at: task.created_at,
        started_at: task.started_at,
        ended_at: task.ended_at,
        phases: task.phases,
        failure: task.failure,
        artifacts,
        log_size_bytes,
        attempt: task.lease_number,
        logs: Vec::new(),
        history: Vec::new(),
        result: task.result.as_ref().map(inner_value).transpose()?,
    })
}

fn inner_value(outcome: &Outcome) -> ApiResult<serde_json::Value> {
    serde_json::to_value(outcome).map_err(ApiError::internal)
}

/// Stops a task.
pub async fn cancel(State(app): State<App>, Path(id): Path<TaskId>, caller: Caller) -> ApiResult<()> {
    let mut write = app.db.write(app.now(), &caller).await?;
    let task = anima_db::task::get(&mut write, id).await?;
    let why = format!("Cancelled by {}.", caller.name);
    anima_db::task::apply(&mut write, &task, Event::Cancelled, &why).await?;
    write.commit().await?;
    is_due(&app, &task);
    Ok(())
}

/// Tries a task again, with what it blocked.
pub async fn restart(State(app): State<App>, Path(id): Path<TaskId>, caller: Caller) -> ApiResult<()> {
    let mut write = app.db.write(app.now(), &caller).await?;
    let task = anima_db::task::get(&mut write, id).await?;
    if let (Some(id), Kind::Plan | Kind::Publish | Kind::Sign | Kind::Import) = (task.about.release, task.about.kind) {
        drop(write);
        return release::replan_as(&app, id, &caller).await;
    }
    restart_row(&mut write, &task, &caller.name).await?;
    match task.about.build {
        Some(id) => {
            build::reopen(&mut write, id, &caller.name).await?;
            build::restart_blocked(&mut write, id, &caller.name).await?;
        }
        None if task.about.subject == Some(Subject::File) => signing::file::restarted(&mut write, id).await?,
        // A key is made for itself: no build or release moves its task on.
        None => {
            let task = anima_db::task::get(&mut write, id).await?;
            anima_db::task::apply(&mut write, &task, Event::DependenciesMet, key::WAITS).await?;
        }
    }
    write.commit().await?;
    is_due(&app, &task);
    app.everything_is_due();
    Ok(())
}

/// Restarts one task: what it made before is forgotten.
pub async fn restart_row(write: &mut anima_db::Write, task: &anima_db::task::Task, who: &str) -> ApiResult<()> {
    anima_db::task::apply(write, task, Event::Restarted, &format!("Restarted by {who}.")).await?;
    artifact::unlink_all(write, task.id).await?;
    Ok(())
}

/// Notes that what a task belongs to has to be looked at.
pub fn is_due(app: &App, task: &anima_db::task::Task) {
    if let Some(release) = task.about.release {
        app.release_is_due(release);
    }
    if let Some(build) = task.about.build {
        app.build_is_due(build);
    }
}
