//! Mass rebuilds: how far each is, what failed, and how long it goes on.

use anima_types::{
    build::Status,
    id::{BuildId, ReleaseId},
    permission::Permission,
    rebuild::{Progress, Rebuild},
};
use askama::Template;
use axum::extract::{Path, Query, State as Extract};
use serde::Deserialize;

use super::{
    act::{Act, Acts, Field, offered},
    answer::{Frame, PageResult, id, newest_event, page},
    words::{State, When, count, duration},
};
use crate::{app::App, auth::Caller, error::ApiError, rebuild::DEFAULT_LIMIT};

#[derive(Template)]
#[template(path = "rebuilds.html")]
struct List {
    frame: Frame,
    answer: String,
    rows: Vec<Row>,
    older: Option<BuildId>,
    is_newest: bool,
}

/// Which part of the list is shown.
#[derive(Debug, Default, Deserialize)]
pub struct ListQuery {
    before: Option<BuildId>,
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
    acts: Acts,
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
pub async fn list(
    Extract(app): Extract<App>,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> PageResult {
    let Query(ListQuery { before }) = query.map_err(ApiError::from)?;
    let after = newest_event(&app).await?;
    // One more says whether there are more.
    let mut all = crate::rebuild::newest(&app, before, DEFAULT_LIMIT + 1).await?;
    let is_more = all.len() > DEFAULT_LIMIT as usize;
    all.truncate(DEFAULT_LIMIT as usize);
    let open = all.iter().filter(|rebuild| !rebuild.build.status.is_ended()).count();
    let answer = match (all.len(), is_more || before.is_some()) {
        (0, true) => "There is none before.".to_string(),
        (0, false) => "There was none yet.".to_string(),
        (shown, true) => format!("{} under way of these {shown}.", count(open, "mass rebuild")),
        (shown, false) => format!("{} under way, {shown} in all.", count(open, "mass rebuild")),
    };
    let mut frame = Frame::new("Mass rebuilds", "builds", "/api/v1/rebuilds");
    if before.is_none() {
        frame = frame.follow(after, "");
    }
    page(&List {
        frame,
        answer,
        rows: all.iter().map(|rebuild| row(rebuild, &app)).collect(),
        older: all.last().filter(|_| is_more).map(|rebuild| rebuild.build.id),
        is_newest: before.is_none(),
    })
}

/// `/rebuilds/{build}`
pub async fn show(Extract(app): Extract<App>, caller: Caller, Path(text): Path<String>) -> PageResult {
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
        acts: offered(&app, &caller, ("rebuild", &build.to_string()), acts(&rebuild)).await?,
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

fn acts(rebuild: &Rebuild) -> Vec<Act> {
    let id = rebuild.build.id;
    let act = |word, verb: &str, more: &str, says| {
        let address = format!("/rebuilds/{id}/{verb}");
        Act::press(word, address, Permission::Build, format!("anima rebuild {verb} {id}{more}"), says)
    };
    let cancel = act("Cancel", "cancel", "", "stop it; it can be retried");
    match rebuild.build.status {
        Status::Succeeded => {
            let (address, command) = (format!("/rebuilds/{id}/release"), format!("anima rebuild release {id}"));
            let says = "plan one release of all that was rebuilt";
            vec![Act::press("Plan its release", address, Permission::Release, command, says).main()]
        }
        Status::Failed | Status::Cancelled => vec![
            act("Retry", "retry", "", "try again what failed; what succeeded stays").main(),
            act("Leave out", "leave-out", " PACKAGE --reason TEXT", "go on without packages that fail")
                .asking(Field::text("to", "Packages (none named: all that failed)"))
                .asking(Field::text("reason", "Why").required()),
        ],
        _ if rebuild.is_paused => vec![act("Resume", "resume", "", "go on").main(), cancel],
        _ => vec![
            act("Pause", "pause", "", "begin nothing more; what nodes work on goes on").main(),
            act("Set a bound", "limit", " NUMBER", "so many tasks under way at once at most")
                .asking(Field::text("limit", "Tasks (nothing: no bound)")),
            cancel,
        ],
    }
}
