//! A task's page: why it stands where it stands, and its log, which goes on while somebody reads.

use anima_types::{
    id::{BuildId, ReleaseId, TaskId},
    task::{Kind, Status, Task},
    work::Failure,
};
use askama::Template;
use axum::{
    extract::{Path, Query, State as Extract},
    response::{IntoResponse as _, Redirect},
};
use serde::Deserialize;

use super::{
    answer::{Frame, PageResult, id, newest_event, page},
    build::{FileRow, file_row, target},
    finding::FindingView,
    log::{Part, part},
    matrix::took,
    strip::{Scale, Strip, strip},
    words::{State, When, address_part, duration, size, task_name},
};
use crate::{app::App, error::ApiError};

/// Which part of the log is shown.
#[derive(Debug, Default, Deserialize)]
pub struct LogQuery {
    line: Option<u64>,
}

#[derive(Template)]
#[template(path = "task.html")]
struct TaskPage {
    frame: Frame,
    id: TaskId,
    name: String,
    state: State,
    why: String,
    build: Option<BuildId>,
    release: Option<ReleaseId>,
    package: Option<(String, String)>,
    target: String,
    node: String,
    is_emulated: bool,
    attempts: u32,
    created: When,
    took: String,
    waits_for: Vec<TaskId>,
    phases: Vec<(String, String)>,
    strip: Strip,
    failure: Option<FailureView>,
    artifacts: Vec<FileRow>,
    log: Part,
    log_size: String,
    is_live: bool,
    commands: Vec<(String, &'static str)>,
}

struct FailureView {
    failure: Failure,
    /// Where the line is that says it: on this page, or around it on another part of the log.
    line: Option<(u64, String)>,
    findings: Vec<FindingView>,
}

/// `/tasks/{task}`
pub async fn show(
    Extract(app): Extract<App>,
    Path(text): Path<String>,
    query: Result<Query<LogQuery>, axum::extract::rejection::QueryRejection>,
) -> PageResult {
    if let Some(text) = text.strip_suffix(".json") {
        let task: TaskId = id("task", text)?;
        return Ok(Redirect::to(&format!("/api/v1/tasks/{task}")).into_response());
    }
    let Query(query) = query.map_err(ApiError::from)?;
    let task: TaskId = id("task", &text)?;
    let after = newest_event(&app).await?;
    let task = crate::task::get(&app, task).await?;
    let log = part(&app, &task, query.line).await?;
    let title = format!("Task {}: {}", task.id, task_name(&task));
    let frame = Frame::new(title, "builds", format!("/api/v1/tasks/{}", task.id));
    let filter = task.build.map(|build| format!("build={build}")).unwrap_or_default();
    page(&view(&app, task, log, frame.follow(after, &filter)))
}

fn view(app: &App, task: Task, log: Part, frame: Frame) -> TaskPage {
    let now = app.now();
    let tasks = std::slice::from_ref(&task);
    TaskPage {
        frame,
        id: task.id,
        name: task_name(&task),
        state: task.status.into(),
        why: task.why.clone(),
        build: task.build,
        release: task.release,
        package: task.package.as_ref().map(|name| (name.clone(), address_part(name))),
        target: target(&task),
        node: task.node.clone().unwrap_or_default(),
        is_emulated: task.is_emulated,
        attempts: task.attempts,
        created: When::new(task.created_at, now),
        took: took(&task, app),
        waits_for: task.waits_for.clone(),
        phases: task.phases.iter().map(|phase| (phase.name.clone(), duration(phase.secs))).collect(),
        strip: strip(&task, Scale::of(tasks, now), now),
        failure: task.failure.clone().map(|failure| failure_view(failure, &log)),
        artifacts: task.artifacts.iter().map(file_row).collect(),
        log_size: size(task.log_size_bytes),
        is_live: !task.status.is_ended() && !log.has_later,
        log,
        commands: commands(&task),
    }
}

fn failure_view(failure: Failure, log: &Part) -> FailureView {
    let findings = failure.findings.iter().map(|finding| FindingView::new(finding, |number| address(number, log)));
    let line = failure.log_line.map(|number| (number, address(number, log)));
    FailureView { line, findings: findings.collect(), failure }
}

fn address(line: u64, log: &Part) -> String {
    if log.has(line) { format!("#L{line}") } else { format!("?line={line}#L{line}") }
}

fn commands(task: &Task) -> Vec<(String, &'static str)> {
    let id = task.id;
    let is_releases = task.release.is_some() && matches!(task.kind, Kind::Plan | Kind::Publish | Kind::Sign);
    match task.status {
        Status::Failed | Status::Blocked | Status::Cancelled => {
            let what = if is_releases { "plan the release again" } else { "try it again, with what it blocked" };
            vec![(format!("anima task restart {id}"), what), (format!("anima task log {id}"), "the whole log")]
        }
        Status::Succeeded | Status::Excluded => vec![(format!("anima task log {id}"), "the whole log")],
        _ => vec![
            (format!("anima task log {id} --follow"), "follow the log to its end"),
            (format!("anima task cancel {id}"), "stop it; it can be restarted"),
        ],
    }
}
