//! A task's page: why it stands where it stands, and its log, which goes on while somebody reads.

use anima_types::{
    id::{BuildId, ReleaseId, TaskId},
    permission::Permission,
    task::{Kind, Status, Task, TaskLog, attempts_in_words},
    task_log::{LogFound, LogMatch, LogName},
    work::Failure,
};
use askama::Template;
use axum::{
    extract::{Path, Query, State as Extract},
    response::{IntoResponse as _, Redirect},
};
use serde::Deserialize;

use super::{
    act::{Act, Acts, offered},
    answer::{Frame, PageResult, id, newest_event, page},
    build::{FileRow, file_row, target},
    finding::FindingView,
    log::{Part, part},
    matrix::took,
    strip::{Scale, Strip, strip},
    words::{State, StepRow, When, address_part, size, step_row, task_name},
};
use crate::{
    app::App,
    auth::Caller,
    error::ApiError,
    log::{WhichLog, task_row},
    log_search,
};

/// Which part of the log is shown.
#[derive(Debug, Default, Deserialize)]
pub struct LogQuery {
    line: Option<u64>,
    #[serde(default)]
    name: LogName,
    attempt: Option<i64>,
    /// What is searched for in the whole log.
    #[serde(default)]
    q: String,
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
    node_address: String,
    is_emulated: bool,
    attempt: i64,
    attempts: String,
    /// What became of each attempt, where there were several, with the address of its log.
    history: Vec<(String, String)>,
    created: When,
    took: String,
    waits_for: Vec<TaskId>,
    phases: Vec<StepRow>,
    strip: Strip,
    failure: Option<FailureView>,
    artifacts: Vec<FileRow>,
    log: LogView,
    acts: Acts,
}

/// A log on the page.
struct LogView {
    name: &'static str,
    /// What names it in an address.
    query: String,
    /// Whether it is the one that findings name lines of.
    is_findings: bool,
    size: String,
    tabs: Vec<Tab>,
    is_live: bool,
    /// What the live stream's address has besides.
    stream: String,
    part: Part,
    q: String,
    found: Option<FoundView>,
}

/// One of the task's logs to choose.
struct Tab {
    words: String,
    address: String,
    size: String,
    is_here: bool,
}

/// What a search found: number, address and text of each line.
struct FoundView {
    lines: Vec<(u64, String, String)>,
    is_more: bool,
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
    caller: Caller,
    Path(text): Path<String>,
    query: Result<Query<LogQuery>, axum::extract::rejection::QueryRejection>,
) -> PageResult {
    if let Some(text) = text.strip_suffix(".json") {
        let task: TaskId = id("task", text)?;
        return Ok(Redirect::to(&format!("/api/v1/tasks/{task}")).into_response());
    }
    let Query(query) = query.map_err(ApiError::from)?;
    let task: TaskId = id("task", &text)?;
    if !query.q.trim().is_empty() {
        app.limits.dear(&caller)?;
    }
    let after = newest_event(&app).await?;
    let task = crate::task::get(&app, task).await?;
    let view = log_view(&app, &task, &query).await?;
    let title = format!("Task {}: {}", task.id, task_name(&task));
    let frame = Frame::new(title, "builds", format!("/api/v1/tasks/{}", task.id));
    let filter = task.build.map(|build| format!("build={build}")).unwrap_or_default();
    let acts = offered(&app, &caller, ("task", &text), acts(&task)).await?;
    page(&page_of(&app, task, view, frame.follow(after, &filter), acts))
}

/// Reads the log that is asked for, and looks in it for what is searched for.
async fn log_view(app: &App, task: &Task, query: &LogQuery) -> Result<LogView, ApiError> {
    let attempt = query.attempt.filter(|&attempt| attempt != task.attempt);
    let log = WhichLog::new(query.name, attempt).open(app, &task_row(app, task.id).await?).await?;
    let is_findings = query.name == LogName::Build && attempt.is_none();
    let errors: Vec<u64> = match &task.failure {
        Some(failure) if is_findings => {
            failure.findings.iter().filter_map(|finding| finding.log_line).chain(failure.log_line).collect()
        }
        _ => Vec::new(),
    };
    let is_over = task.status.is_ended() || attempt.is_some();
    let part = part(&log, is_over, query.line, &errors).await?;
    let found = match query.q.trim() {
        "" => None,
        text => Some(log_search::find(log, log_search::wanted(text, false)?, 0).await?),
    };
    let number = attempt.unwrap_or(task.attempt);
    let size_bytes = task.logs.iter().find(|one| one.name == query.name && one.attempt == number);
    Ok(LogView {
        name: query.name.name(),
        query: address_query(task, query.name, number),
        is_findings,
        size: size(size_bytes.map_or(0, |one| one.size_bytes)),
        tabs: tabs(task, query.name, number),
        is_live: !is_over && !part.has_later,
        stream: if part.end > 0 { format!("&attempt={number}") } else { String::new() },
        part,
        q: query.q.trim().to_string(),
        found: found.map(|found| found_view(task, query.name, number, found)),
    })
}

/// Returns the beginning of a query that names a log; empty for the one that a page shows anyway.
fn address_query(task: &Task, name: LogName, attempt: i64) -> String {
    let mut query = String::new();
    if name != LogName::default() {
        query += &format!("name={}&", name.name());
    }
    if attempt != task.attempt {
        query += &format!("attempt={attempt}&");
    }
    query
}

fn tabs(task: &Task, name: LogName, attempt: i64) -> Vec<Tab> {
    let tab = |log: &TaskLog| {
        let is_earlier = log.attempt != task.attempt;
        let words =
            if is_earlier { format!("{} of attempt {}", log.name.name(), log.attempt) } else { log.name.name().into() };
        let address = format!("/tasks/{}?{}", task.id, address_query(task, log.name, log.attempt));
        Tab {
            words,
            address: address.trim_end_matches(['?', '&']).to_string(),
            size: size(log.size_bytes),
            is_here: log.name == name && log.attempt == attempt,
        }
    };
    task.logs.iter().map(tab).collect()
}

fn found_view(task: &Task, name: LogName, attempt: i64, found: LogFound) -> FoundView {
    let query = address_query(task, name, attempt);
    let line = |one: LogMatch| (one.line, format!("/tasks/{}?{query}line={1}#L{1}", task.id, one.line), one.text);
    FoundView { is_more: found.next_line.is_some(), lines: found.matches.into_iter().map(line).collect() }
}

fn page_of(app: &App, task: Task, log: LogView, frame: Frame, acts: Acts) -> TaskPage {
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
        node_address: address_part(task.node.as_deref().unwrap_or_default()),
        is_emulated: task.is_emulated,
        attempt: task.attempt,
        attempts: attempts_in_words(task.attempt, task.attempts),
        history: history(&task),
        created: When::new(task.created_at, now),
        took: took(&task, app),
        waits_for: task.waits_for.clone(),
        phases: task.phases.iter().map(step_row).collect(),
        strip: strip(&task, Scale::of(tasks, now), now),
        failure: task.failure.clone().map(|failure| failure_view(failure, &log)),
        artifacts: task.artifacts.iter().map(file_row).collect(),
        log,
        acts,
    }
}

fn history(task: &Task) -> Vec<(String, String)> {
    let address = |attempt| {
        let query = address_query(task, LogName::default(), attempt);
        format!("/tasks/{}?{query}", task.id).trim_end_matches(['?', '&']).to_string()
    };
    let all = task.history.iter().filter(|_| task.history.len() > 1);
    all.map(|one| (one.in_words(), address(one.attempt))).collect()
}

fn failure_view(failure: Failure, log: &LogView) -> FailureView {
    let findings = failure.findings.iter().map(|finding| FindingView::new(finding, |number| address(number, log)));
    let line = failure.log_line.map(|number| (number, address(number, log)));
    FailureView { line, findings: findings.collect(), failure }
}

fn address(line: u64, log: &LogView) -> String {
    if log.is_findings && log.part.has(line) { format!("#L{line}") } else { format!("?line={line}#L{line}") }
}

fn acts(task: &Task) -> Vec<Act> {
    let id = task.id;
    let is_releases =
        task.release.is_some() && matches!(task.kind, Kind::Plan | Kind::Publish | Kind::Sign | Kind::Import);
    let press = |act, word, says| {
        let command = format!("anima task {act} {id}");
        Act::press(word, format!("/tasks/{id}/{act}"), Permission::Build, command, says)
    };
    let log = Act::look(format!("anima task log {id}"), "the whole log");
    match task.status {
        Status::Failed | Status::Blocked | Status::Cancelled => {
            let says = if is_releases { "plan the release again" } else { "try it again, with what it blocked" };
            vec![press("restart", "Try again", says).main(), log]
        }
        Status::Succeeded | Status::Excluded => vec![log],
        _ => vec![
            Act::look(format!("anima task log {id} --follow"), "follow the log to its end"),
            press("cancel", "Cancel", "stop it; it can be restarted"),
        ],
    }
}
