//! Releases: what goes where and why, before it goes and after.

use anima_types::{
    gate::{self, Decision},
    id::{BuildId, ReleaseId, RepositoryId},
    release::{PlanEntry, Release, Status, Trust},
};
use askama::Template;
use axum::extract::{Path, State as Extract};

use super::{
    answer::{Frame, PageResult, id, newest_event, page},
    build::{TaskRow, task_row},
    strip::Scale,
    words::{State, When, count},
};
use crate::{app::App, task::views};

/// Releases on a page.
const MAX_LISTED: usize = 50;
/// Lines of a plan on a page.
const MAX_ENTRIES: usize = 500;

#[derive(Template)]
#[template(path = "releases.html")]
struct ReleasesPage {
    frame: Frame,
    answer: String,
    rows: Vec<Row>,
}

struct Row {
    id: ReleaseId,
    state: State,
    product: String,
    build: BuildId,
    entries: usize,
    summary: String,
    created: When,
}

#[derive(Template)]
#[template(path = "release.html")]
struct ReleasePage {
    frame: Frame,
    id: ReleaseId,
    state: State,
    summary: String,
    product: String,
    build: BuildId,
    committed_by: Option<String>,
    reason: Option<String>,
    created: When,
    released: Option<When>,
    counts: String,
    gates: Vec<GateRow>,
    entries: Vec<Entry>,
    unshown: usize,
    snapshots: Vec<(String, RepositoryId)>,
    tasks: Vec<TaskRow>,
    commands: Vec<(String, &'static str)>,
}

struct GateRow {
    name: &'static str,
    wants: &'static str,
    state: State,
    found: Vec<String>,
    unshown: u64,
}

struct Entry {
    nevra: String,
    address: String,
    repository: RepositoryId,
    path: String,
    replaces: String,
    is_new: bool,
    trust: &'static str,
    reason: String,
    asks: bool,
}

/// `/releases`
pub async fn list(Extract(app): Extract<App>) -> PageResult {
    let after = newest_event(&app).await?;
    let releases = crate::release::newest(&app).await?;
    let waiting = releases.iter().filter(|release| release.status == Status::Planned).count();
    let answer = match (releases.first(), waiting) {
        (None, _) => "Nothing was released yet.".to_string(),
        (Some(newest), 0) => format!("No plan waits for a decision. The newest release is {}.", newest.id),
        (Some(_), 1) => "1 plan waits for a decision.".to_string(),
        (Some(_), plans) => format!("{plans} plans wait for a decision."),
    };
    let row = |release: Release| Row {
        id: release.id,
        state: release.status.into(),
        product: release.product,
        build: release.build,
        entries: release.plan.len(),
        summary: release.summary,
        created: When::new(release.created_at, app.now()),
    };
    let frame = Frame::new("Releases", "releases", "/api/v1/releases").follow(after, "");
    page(&ReleasesPage { frame, answer, rows: releases.into_iter().take(MAX_LISTED).map(row).collect() })
}

/// `/releases/{release}`
pub async fn show(Extract(app): Extract<App>, Path(text): Path<String>) -> PageResult {
    let release: ReleaseId = id("release", &text)?;
    let after = newest_event(&app).await?;
    let mut read = app.db.read().await?;
    let row = anima_db::release::get(&mut read, release).await?;
    let release = crate::release::view(&mut read, row).await?;
    let made = anima_db::snapshot::of_release(&mut read, release.id).await?;
    let tasks = anima_db::task::of_release(&mut read, release.id).await?;
    drop(read);
    let tasks = views(&app, tasks, Default::default(), Default::default()).await?;
    let (now, scale) = (app.now(), Scale::of(&tasks, app.now()));
    let frame = Frame::new(format!("Release {}", release.id), "releases", format!("/api/v1/releases/{}", release.id));
    page(&ReleasePage {
        frame: frame.follow(after, &format!("build={}", release.build)),
        id: release.id,
        state: release.status.into(),
        counts: counts(&release.plan),
        commands: commands(&release),
        gates: release.gates.iter().map(gate_row).collect(),
        reason: release.reason,
        unshown: release.plan.len().saturating_sub(MAX_ENTRIES),
        entries: release.plan.into_iter().take(MAX_ENTRIES).map(entry).collect(),
        summary: release.summary,
        product: release.product,
        build: release.build,
        committed_by: release.committed_by,
        created: When::new(release.created_at, now),
        released: release.released_at.map(|at| When::new(at, now)),
        snapshots: made.into_iter().map(|made| (format!("{}@{}", made.path, made.number), made.repository)).collect(),
        tasks: tasks.iter().map(|task| task_row(task, &app, scale)).collect(),
    })
}

fn counts(plan: &[PlanEntry]) -> String {
    let mut places: Vec<_> = plan.iter().map(|entry| entry.repository).collect();
    places.sort();
    places.dedup();
    let repositories = if places.len() == 1 { "repository" } else { "repositories" };
    let asks = plan.iter().filter(|entry| entry.trust == Trust::Default).count();
    let asks = if asks > 0 { format!("; look at {asks} whose place is only the default") } else { String::new() };
    format!("{} into {} {repositories}{asks}", count(plan.len(), "package"), places.len())
}

fn gate_row(answer: &gate::Answer) -> GateRow {
    GateRow {
        name: answer.gate.name(),
        wants: answer.gate.wants(),
        state: answer.into(),
        found: answer.found.clone(),
        unshown: answer.found_count.saturating_sub(answer.found.len() as u64),
    }
}

fn entry(entry: PlanEntry) -> Entry {
    Entry {
        nevra: entry.nevra.to_string(),
        address: format!("/api/v1/artifacts/{}", entry.artifact),
        repository: entry.repository,
        path: entry.repository_path,
        is_new: entry.replaces.is_empty(),
        replaces: entry.replaces.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        trust: match entry.trust {
            Trust::SameName => "same name",
            Trust::SameSource => "same source",
            Trust::ByKind => "by its kind",
            Trust::Default => "default",
        },
        asks: entry.trust == Trust::Default,
        reason: entry.reason,
    }
}

/// Returns the command that gives a planned release to users, as its gates want it.
fn go(release: &Release) -> (String, &'static str) {
    let id = release.id;
    match gate::decide(&release.gates) {
        Decision::Open => (format!("anima release commit {id}"), "give it to users: all its repositories move at once"),
        Decision::Asks(_) => {
            (format!("anima release commit {id} --reason TEXT"), "give it to users, and say why although a gate asks")
        }
        Decision::Blocked(_) => {
            (format!("anima release force {id} --reason TEXT"), "an admin gives it to users although a gate blocks it")
        }
    }
}

fn commands(release: &Release) -> Vec<(String, &'static str)> {
    let (id, status) = (release.id, release.status);
    let replan = (format!("anima release replan {id}"), "plan it again over what users see now");
    let abandon = (format!("anima release abandon {id}"), "throw the plan away; users see no change");
    match status {
        Status::Planned => vec![go(release), replan, abandon],
        Status::Released => {
            vec![(format!("anima release revert {id}"), "take it back: users see again what they saw before")]
        }
        Status::Planning => vec![abandon],
        Status::Failed => vec![replan, abandon],
        Status::Publishing | Status::Signing => vec![replan],
        Status::Reverted | Status::Abandoned => vec![(format!("anima release show {id}"), "the release with its plan")],
    }
}
