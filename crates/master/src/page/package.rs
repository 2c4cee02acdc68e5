//! Packages: all of them, and the way of one from its commits to its users.

use anima_types::{
    id::{BuildId, TaskId},
    package::{PackageDetail, PackageSummary, TargetStatistics},
};
use askama::Template;
use axum::extract::{Path, Query, State as Extract};
use serde::Deserialize;

use super::{
    answer::{Frame, PageError, PageResult, newest_event, page},
    matrix::{Cell, matrices},
    words::{State, StepRow, When, address_part, count, duration, short_commit, step_row},
};
use crate::{app::App, error::ApiError};

/// Packages on one page; a distribution has thousands, which the search narrows down.
const MAX_LISTED: usize = 300;
/// Builds whose way is drawn.
const MAX_PIPELINES: usize = 25;

/// What is searched for; it stays in the address.
#[derive(Debug, Default, Deserialize)]
pub struct PackageQuery {
    #[serde(default)]
    q: String,
}

#[derive(Template)]
#[template(path = "packages.html")]
struct PackagesPage {
    frame: Frame,
    answer: String,
    search: String,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    address: String,
    state: Option<State>,
    build: Option<BuildId>,
    version: String,
    released_to: String,
    changed: Option<When>,
}

#[derive(Template)]
#[template(path = "package.html")]
struct PackagePage {
    frame: Frame,
    name: String,
    answer: String,
    state: Option<State>,
    released_to: Vec<String>,
    lines: Vec<Line>,
    older: Vec<Older>,
    statistics: Vec<TargetRow>,
    commands: Vec<(String, &'static str)>,
}

/// What builds for one target take.
struct TargetRow {
    name: String,
    secs: String,
    builds: String,
    task: TaskId,
    steps: Vec<StepRow>,
}

fn target_row(target: &TargetStatistics) -> TargetRow {
    TargetRow {
        name: format!("{} {}", target.platform, target.arch),
        secs: duration(target.secs),
        builds: count(target.build_count as usize, "build"),
        task: target.task,
        steps: target.phases.iter().map(step_row).collect(),
    }
}

/// A build of the package, from the commit to its release.
struct Line {
    build: BuildId,
    state: State,
    commit: String,
    reference: String,
    platform: String,
    steps: Vec<(String, Cell)>,
    summary: String,
    created: When,
}

struct Older {
    build: BuildId,
    state: State,
    summary: String,
    created: When,
}

/// `/packages`
pub async fn list(
    Extract(app): Extract<App>,
    query: Result<Query<PackageQuery>, axum::extract::rejection::QueryRejection>,
) -> PageResult {
    let Query(query) = query.map_err(ApiError::from)?;
    let after = newest_event(&app).await?;
    let search = query.q.trim().to_string();
    let wanted = search.to_lowercase();
    let all = crate::package::all(&app).await?;
    let found: Vec<PackageSummary> =
        all.into_iter().filter(|package| package.name.to_lowercase().contains(&wanted)).collect();
    let answer = match (found.len(), search.is_empty()) {
        (0, true) => {
            let branches = app.config.platforms.iter().map(|platform| platform.branch.as_str());
            let branches = branches.collect::<Vec<_>>().join(", ");
            format!("No package was pushed yet. A push to a branch that is built ({branches}) makes the first.")
        }
        (0, false) => format!("No package has \"{search}\" in its name."),
        (all, _) if all > MAX_LISTED => format!("{all} packages; the first {MAX_LISTED} are shown. Search for others."),
        (all, _) => format!("{}.", count(all, "package")),
    };
    let row = |package: PackageSummary| Row {
        address: address_part(&package.name),
        name: package.name,
        state: package.status.map(State::from),
        build: package.last_build,
        version: package.version.unwrap_or_default(),
        released_to: package.released_to.join(", "),
        changed: package.changed_at.map(|at| When::new(at, app.now())),
    };
    page(&PackagesPage {
        frame: Frame::new("Packages", "packages", "/api/v1/packages").follow(after, ""),
        answer,
        search,
        rows: found.into_iter().take(MAX_LISTED).map(row).collect(),
    })
}

/// `/packages/{package}`
pub async fn show(Extract(app): Extract<App>, Path(name): Path<String>) -> PageResult {
    let after = newest_event(&app).await?;
    let PackageDetail { package, builds, statistics } = crate::package::detail(&app, &name).await?;
    let mut lines = Vec::new();
    for build in builds.iter().take(MAX_PIPELINES) {
        lines.extend(pipelines(&app, build.id, &name).await?);
    }
    let older = builds.into_iter().skip(MAX_PIPELINES).map(|build| Older {
        build: build.id,
        state: build.status.into(),
        created: When::new(build.created_at, app.now()),
        summary: build.summary,
    });
    let address = address_part(&name);
    page(&PackagePage {
        frame: Frame::new(&name, "packages", format!("/api/v1/packages/{address}"))
            .follow(after, "")
            .with_feed(format!("/packages/{address}/feed.atom")),
        answer: answer(&package),
        state: package.status.map(State::from),
        released_to: package.released_to,
        older: older.collect(),
        lines,
        statistics: statistics.iter().map(target_row).collect(),
        commands: commands(&name),
        name,
    })
}

fn answer(package: &PackageSummary) -> String {
    let version = package.version.as_deref().unwrap_or("no version yet");
    match package.released_to.as_slice() {
        [] => format!("Newest: {version}. It was not released yet."),
        places => format!("Newest: {version}. Users find the package in {}.", places.join(", ")),
    }
}

async fn pipelines(app: &App, build: BuildId, package: &str) -> Result<Vec<Line>, PageError> {
    let mut detail = crate::build::detail(app, build).await?;
    let mut releases = Vec::new();
    let mut read = app.db.read().await?;
    for &release in &detail.build.releases {
        releases.push(anima_db::release::get(&mut read, release).await?);
    }
    drop(read);
    detail.build.sources.retain(|source| source.package == package);
    let Some(source) = detail.build.sources.first().cloned() else { return Ok(Vec::new()) };
    let matrices = matrices(app, &detail, &releases, 1);
    let line = |matrix: super::matrix::Matrix| Line {
        build,
        state: detail.build.status.into(),
        commit: short_commit(&source.commit),
        reference: source.reference.clone(),
        platform: matrix.platform,
        steps: matrix.heads.into_iter().zip(matrix.rows.into_iter().flat_map(|row| row.cells)).collect(),
        summary: detail.build.summary.clone(),
        created: When::new(detail.build.created_at, app.now()),
    };
    Ok(matrices.into_iter().map(line).collect())
}

fn commands(name: &str) -> Vec<(String, &'static str)> {
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "-._+".contains(c)) && !name.starts_with('-');
    if !is_plain {
        // A line that is copied to a shell must not do anything else there.
        return Vec::new();
    }
    vec![(format!("anima package show {name}"), "its builds and where users find it")]
}
