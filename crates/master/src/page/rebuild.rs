//! Mass rebuilds: how far each is, what failed, and how long it goes on.

use anima_types::{
    build::Status,
    id::{BuildId, ReleaseId},
    rebuild::{Progress, Rebuild},
};
use askama::Template;
use axum::extract::{Path, State as Extract};

use super::{
    answer::{Frame, PageResult, id, newest_event, page},
    words::{State, When, count, duration},
};
use crate::app::App;

#[derive(Template)]
#[template(path = "rebuilds.html")]
struct List {
    frame: Frame,
    answer: String,
    rows: Vec<Row>,
}

struct Row {
    id: BuildId,
    state: State,
    is_paused: bool,
    packages: usize,
    platform: String,
    owner: String,
    percent: usize,
    left: String,
    created: When,
}

#[derive(Template)]
#[template(path = "rebuild.html")]
struct Page {
    frame: Frame,
    row: Row,
    summary: String,
    bound: String,
    lines: Vec<Line>,
    failed: Vec<Failed>,
    unshown: usize,
    releases: Vec<ReleaseId>,
    commands: Vec<(String, &'static str)>,
}

/// Tasks of one kind and architecture.
struct Line {
    name: String,
    counts: [usize; 5],
    total: usize,
    percent: usize,
}

struct Failed {
    task: anima_types::id::TaskId,
    name: String,
    why: String,
}

/// `/rebuilds`
pub async fn list(Extract(app): Extract<App>) -> PageResult {
    let after = newest_event(&app).await?;
    let all = crate::rebuild::newest(&app).await?;
    let open = all.iter().filter(|rebuild| !rebuild.build.status.is_ended()).count();
    let answer = match all.len() {
        0 => "There was none yet.".to_string(),
        _ => format!("{} under way, {} in all.", count(open, "mass rebuild"), all.len()),
    };
    let rows = all.iter().map(|rebuild| row(rebuild, &app)).collect();
    page(&List { frame: Frame::new("Mass rebuilds", "builds", "/api/v1/rebuilds").follow(after, ""), answer, rows })
}

/// `/rebuilds/{build}`
pub async fn show(Extract(app): Extract<App>, Path(text): Path<String>) -> PageResult {
    let build: BuildId = id("rebuild", &text)?;
    let after = newest_event(&app).await?;
    let rebuild = crate::rebuild::one(&app, build).await?;
    let frame = Frame::new(format!("Mass rebuild {build}"), "builds", format!("/api/v1/rebuilds/{build}"));
    let failed = rebuild.failed.iter().map(|failed| Failed {
        task: failed.task,
        name: [failed.package.as_deref(), failed.arch.map(|arch| arch.name())].map(Option::unwrap_or_default).join(" "),
        why: failed.why.clone(),
    });
    page(&Page {
        frame: frame.follow(after, &format!("build={build}")),
        summary: rebuild.build.summary.clone(),
        bound: rebuild
            .limit
            .map_or("no bound".to_string(), |limit| format!("at most {}", count(limit as usize, "task"))),
        lines: rebuild.progress.iter().map(line).collect(),
        failed: failed.collect(),
        unshown: rebuild.failed_count - rebuild.failed.len(),
        releases: rebuild.releases.clone(),
        commands: commands(&rebuild),
        row: row(&rebuild, &app),
    })
}

fn row(rebuild: &Rebuild, app: &App) -> Row {
    let Rebuild { build, .. } = rebuild;
    let total: usize = rebuild.progress.iter().map(total).sum();
    let done: usize = rebuild.progress.iter().map(|progress| progress.done).sum();
    Row {
        id: build.id,
        state: build.status.into(),
        is_paused: rebuild.is_paused && !build.status.is_ended(),
        packages: rebuild.package_count,
        platform: build.platforms.join(", "),
        owner: build.owner.clone(),
        percent: percent(done, total),
        left: match rebuild.secs_left {
            _ if build.status.is_ended() => String::new(),
            Some(secs) => format!("about {} left", duration(secs)),
            None => "how long is not known before the order is".to_string(),
        },
        created: When::new(build.created_at, app.now()),
    }
}

fn line(progress: &Progress) -> Line {
    let Progress { waiting, ready, leased, done, failed, .. } = *progress;
    let arch = progress.arch.map_or(String::new(), |arch| format!(" on {arch}"));
    let total = total(progress);
    let counts = [waiting, ready, leased, done, failed];
    Line { name: format!("{}{arch}", progress.kind.name()), counts, total, percent: percent(done, total) }
}

const fn total(progress: &Progress) -> usize {
    progress.waiting + progress.ready + progress.leased + progress.done + progress.failed
}

fn percent(part: usize, whole: usize) -> usize {
    (100 * part).checked_div(whole).unwrap_or_default()
}

fn commands(rebuild: &Rebuild) -> Vec<(String, &'static str)> {
    let id = rebuild.build.id;
    let line = |verb: &str, what| (format!("anima rebuild {verb}"), what);
    match rebuild.build.status {
        Status::Succeeded => vec![line(&format!("release {id}"), "plan one release of all that was rebuilt")],
        Status::Failed | Status::Cancelled => vec![
            line(&format!("retry {id}"), "try again what failed; what succeeded stays"),
            line(&format!("leave-out {id} PACKAGE --reason TEXT"), "go on without packages that fail"),
        ],
        _ if rebuild.is_paused => {
            vec![line(&format!("resume {id}"), "go on"), line(&format!("cancel {id}"), "stop it; it can be retried")]
        }
        _ => vec![
            line(&format!("pause {id}"), "begin nothing more; what nodes work on goes on"),
            line(&format!("limit {id} NUMBER"), "so many tasks under way at once at most"),
            line(&format!("cancel {id}"), "stop it; it can be retried"),
        ],
    }
}
