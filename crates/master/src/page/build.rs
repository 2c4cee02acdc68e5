//! A build's page: whether it went well, then where each package stands, then what was done and made.

use anima_types::{
    Arch,
    artifact::{self, Artifact},
    build::{Build, BuildDetail, Circle, Source, Status},
    id::BuildId,
    permission::Permission,
    task::{Kind, Status as TaskStatus, Task},
    work::Check,
};
use askama::Template;
use axum::{
    extract::{Path, State as Extract},
    response::{IntoResponse as _, Redirect},
};

use super::{
    act::{Act, Acts, offered},
    answer::{Frame, PageResult, id, newest_event, page},
    finding::FindingView,
    matrix::{Matrix, matrices, took, verdicts},
    strip::{Scale, Strip, strip},
    words::{State, When, address_part, count, duration, short_commit, size, task_name, verdict},
};
use crate::{app::App, auth::Caller};

/// So many failures are told on a build's page; each is on its task's page, too.
const MAX_FAILURES: usize = 10;
/// So many circles are told there.
const MAX_CIRCLES: usize = 20;
/// Lines of one table: what has more is for the API. A page of a build of 2,000 packages stays readable.
const MAX_ROWS: usize = 300;

#[derive(Template)]
#[template(path = "build.html")]
struct BuildPage {
    frame: Frame,
    id: BuildId,
    state: State,
    summary: String,
    owner: String,
    reason: String,
    created: When,
    took: String,
    counts: String,
    /// Platforms that take packages from elsewhere without a look at their signatures, and from where.
    unverified: Vec<(String, String)>,
    sources: Vec<SourceRow>,
    matrices: Vec<Matrix>,
    tasks: Vec<TaskRow>,
    artifacts: Vec<FileRow>,
    verdicts: Vec<VerdictRow>,
    releases: Vec<ReleaseRow>,
    acts: Acts,
    uses: Vec<(String, String)>,
    unshown: usize,
    failures: Vec<FailedTask>,
    circles: Vec<CircleRow>,
    more_circles: usize,
}

/// Packages that wait for one another, and how they are built.
struct CircleRow {
    platform: String,
    path: String,
    taken: String,
    /// What builds once more those that began without the others.
    again: String,
}

/// A task that failed, with the likeliest cause.
struct FailedTask {
    task: anima_types::id::TaskId,
    name: String,
    finding: FindingView,
    more: usize,
}

struct SourceRow {
    package: String,
    address: String,
    reference: String,
    commit: String,
}

/// A task in one line.
pub struct TaskRow {
    /// Its id.
    pub id: anima_types::id::TaskId,
    /// What it is called.
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// Why.
    pub why: String,
    /// Which node has or had it.
    pub node: String,
    /// How long it ran.
    pub took: String,
    /// Its time.
    pub strip: Strip,
}

/// An artifact in one line.
pub struct FileRow {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: &'static str,
    /// How big it is.
    pub size: String,
    /// Its address.
    pub address: String,
    /// The address of the same with a signature.
    pub signed: Option<String>,
    /// Whether it can be signed at all.
    pub is_package: bool,
}

struct VerdictRow {
    nevra: String,
    target: String,
    state: State,
    task: anima_types::id::TaskId,
    red: Vec<Check>,
    green_count: usize,
    green: String,
}

struct ReleaseRow {
    id: anima_types::id::ReleaseId,
    state: State,
    product: String,
    summary: String,
}

/// `/builds/{build}`, and `/builds/{build}.json` for who looks for the API.
pub async fn show(Extract(app): Extract<App>, caller: Caller, Path(text): Path<String>) -> PageResult {
    if let Some(text) = text.strip_suffix(".json") {
        let build: BuildId = id("build", text)?;
        return Ok(Redirect::to(&format!("/api/v1/builds/{build}")).into_response());
    }
    let build: BuildId = id("build", &text)?;
    let after = newest_event(&app).await?;
    let detail = crate::build::detail(&app, build).await?;
    let mut releases = Vec::new();
    let mut read = app.db.read().await?;
    for &release in &detail.build.releases {
        releases.push(anima_db::release::get(&mut read, release).await?);
    }
    drop(read);
    let frame = Frame::new(format!("Build {build}"), "builds", format!("/api/v1/builds/{build}"));
    let acts = offered(&app, &caller, ("build", &text), acts(build, detail.build.status)).await?;
    let frame = frame.follow(after, &format!("build={build}"));
    page(&view(&app, &detail, &releases, frame, acts))
}

fn view(
    app: &App,
    detail: &BuildDetail,
    releases: &[anima_db::release::Release],
    frame: Frame,
    acts: Acts,
) -> BuildPage {
    let BuildDetail { build, tasks, circles } = detail;
    let now = app.now();
    let scale = Scale::of(tasks, now);
    // A lock belongs to one buildroot and is on its task's page; metadata and its signatures belong to the release.
    let files = tasks.iter().flat_map(|task| &task.artifacts).filter(|file| is_package(file));
    let release = |release: &anima_db::release::Release| ReleaseRow {
        id: release.id,
        state: release.status.into(),
        product: release.product.clone(),
        summary: release.summary.clone(),
    };
    BuildPage {
        frame,
        id: build.id,
        state: build.status.into(),
        summary: build.summary.clone(),
        owner: build.owner.clone(),
        reason: build.reason.clone(),
        created: When::new(build.created_at, now),
        took: duration(build.ended_at.unwrap_or(now).secs_since(build.created_at)),
        counts: counts(tasks, build.sources.len()),
        unverified: unverified(app, &build.platforms),
        sources: build.sources.iter().take(MAX_ROWS).map(source_row).collect(),
        matrices: matrices(app, detail, releases, MAX_ROWS),
        tasks: tasks.iter().take(MAX_ROWS).map(|task| task_row(task, app, scale)).collect(),
        artifacts: files.take(MAX_ROWS).map(file_row).collect(),
        verdicts: verdict_rows(tasks),
        releases: releases.iter().map(release).collect(),
        acts,
        uses: uses(app, build, tasks),
        unshown: tasks.len().saturating_sub(MAX_ROWS),
        failures: tasks.iter().filter_map(failed_task).take(MAX_FAILURES).collect(),
        circles: circles.iter().take(MAX_CIRCLES).map(circle_row).collect(),
        more_circles: circles.len().saturating_sub(MAX_CIRCLES),
    }
}

fn unverified(app: &App, platforms: &[String]) -> Vec<(String, String)> {
    let of = |name: &String| {
        let names: Vec<&str> = app.platform(name)?.unverified().map(|repository| repository.name.as_str()).collect();
        (!names.is_empty()).then(|| (name.clone(), names.join(", ")))
    };
    platforms.iter().filter_map(of).collect()
}

fn circle_row(circle: &Circle) -> CircleRow {
    let taken = circle.bootstrap.iter().map(|(first, other)| format!("{first} with what the platform has of {other}"));
    CircleRow {
        platform: circle.platform.clone(),
        path: circle.path.join(" → "),
        taken: taken.collect::<Vec<_>>().join(", "),
        again: format!("anima build create {} --platform {}", circle.again().join(" "), circle.platform),
    }
}

fn failed_task(task: &Task) -> Option<FailedTask> {
    let findings = &task.failure.as_ref()?.findings;
    let address = |line: u64| format!("/tasks/{}?line={line}#L{line}", task.id);
    let finding = FindingView::new(findings.first()?, address);
    Some(FailedTask { task: task.id, name: task_name(task), finding, more: findings.len() - 1 })
}

fn counts(tasks: &[Task], packages: usize) -> String {
    let mut parts = vec![count(packages, "package")];
    for class in ["good", "run", "wait", "bad"] {
        let states = tasks.iter().map(|task| State::from(task.status)).filter(|state| state.class == class);
        let states: Vec<State> = states.collect();
        if let Some(state) = states.first() {
            let word = match class {
                "good" => "done",
                "run" => "running",
                "wait" => "waiting",
                _ => "failed",
            };
            parts.push(format!("{} {} {word}", state.glyph, states.len()));
        }
    }
    parts.join(" · ")
}

fn source_row(source: &Source) -> SourceRow {
    SourceRow {
        package: source.package.clone(),
        address: address_part(&source.package),
        reference: source.reference.clone(),
        commit: short_commit(&source.commit),
    }
}

/// Returns a task's line.
pub fn task_row(task: &Task, app: &App, scale: Scale) -> TaskRow {
    TaskRow {
        id: task.id,
        name: task_name(task),
        state: task.status.into(),
        why: task.failure.as_ref().map_or_else(|| task.why.clone(), |failure| failure.message.clone()),
        node: task.node.clone().unwrap_or_default(),
        took: took(task, app),
        strip: strip(task, scale, app.now()),
    }
}

/// Returns an artifact's line.
pub fn file_row(file: &Artifact) -> FileRow {
    FileRow {
        name: file.name.clone(),
        kind: file.kind.name(),
        size: size(file.size_bytes),
        address: format!("/api/v1/artifacts/{}", file.sha256),
        signed: file.signed.map(|signed| format!("/api/v1/artifacts/{signed}")),
        is_package: is_package(file),
    }
}

fn is_package(file: &Artifact) -> bool {
    matches!(file.kind, artifact::Kind::Rpm | artifact::Kind::Srpm)
}

/// What is red stands first.
fn verdict_rows(tasks: &[Task]) -> Vec<VerdictRow> {
    let mut all = verdicts(tasks);
    all.sort_by_key(|(_, verdict)| (verdict.is_green, verdict.nevra.to_string()));
    let row = |(task, given): (&Task, anima_types::work::Verdict)| VerdictRow {
        nevra: given.nevra.to_string(),
        target: target(task),
        state: verdict(given.is_green),
        task: task.id,
        red: given.checks.iter().filter(|check| !check.is_green).cloned().collect(),
        green_count: given.checks.iter().filter(|check| check.is_green).count(),
        green: green(&given.checks),
    };
    all.into_iter().take(MAX_ROWS).map(row).collect()
}

fn green(checks: &[Check]) -> String {
    let names = checks.iter().filter(|check| check.is_green).map(|check| check.name.as_str());
    names.collect::<Vec<_>>().join(", ")
}

/// Returns a task's platform and architecture.
pub fn target(task: &Task) -> String {
    let arch = task.arch.map_or("", |arch| arch.name());
    match &task.platform {
        Some(platform) => format!("{platform} {arch}").trim_end().to_string(),
        None => arch.to_string(),
    }
}

/// Returns for each target that has packages the line that lets dnf install them, before they are released.
fn uses(app: &App, build: &Build, tasks: &[Task]) -> Vec<(String, String)> {
    let id = build.id;
    let targets = build.platforms.iter().flat_map(|platform| {
        let of_platform = app.platform(platform).map(|platform| platform.architectures.clone()).unwrap_or_default();
        let archs = build.architectures.iter().filter(move |arch| of_platform.contains(arch));
        archs.map(move |arch| (platform.clone(), *arch))
    });
    let line = |(platform, arch): (String, Arch)| {
        let url = app.url(&format!("builds/{id}/repo/{platform}/{arch}/"));
        (format!("{platform} on {arch}"), format!("dnf --repofrompath=build-{id},{url} --nogpgcheck install PACKAGE"))
    };
    let is_made = |(platform, arch): &(String, Arch)| {
        tasks.iter().any(|task| {
            task.kind == Kind::Build
                && task.status == TaskStatus::Succeeded
                && task.platform.as_ref() == Some(platform)
                && task.arch == Some(*arch)
        })
    };
    targets.filter(is_made).map(line).collect()
}

fn acts(id: BuildId, status: Status) -> Vec<Act> {
    let show = Act::look(format!("anima build show {id}"), "the build with how long each step took");
    let log = Act::look(format!("anima build log {id}"), "the logs of its tasks");
    let press = |act, word, says| {
        let command = format!("anima build {act} {id}");
        Act::press(word, format!("/builds/{id}/{act}"), Permission::Build, command, says)
    };
    match status {
        Status::Failed | Status::Cancelled => {
            let says = "try again what failed or was cancelled; what succeeded stays";
            vec![press("restart", "Try again", says).main(), log, show]
        }
        Status::Succeeded => vec![show, log],
        _ => vec![
            press("cancel", "Cancel", "stop it; it can be restarted"),
            Act::look(format!("anima build watch {id}"), "follow it live, to its end"),
            log,
        ],
    }
}
