//! `anima build show`: a build with its tasks, and how long each step took.

use anima_types::{
    build::{BuildDetail, Circle},
    id::BuildId,
    release::Release,
    task::{Status, Task},
};
use serde::Serialize;

use super::{Ask, times};
use crate::{
    cmd::diagnose::excerpt,
    cmd::task::{failure_text, name, took},
    exit::Result,
    output::{self, or_dash},
};

/// What `--json` prints: the API's answer, with the steps beside it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    detail: BuildDetail,
    times: Vec<times::Times>,
}

/// Shows a build.
pub async fn show(ask: &Ask, id: BuildId) -> Result {
    let shown = look(ask, id).await?;
    ask.output.show(&shown, |shown| describe(&shown.detail, &shown.times))
}

/// Shows how long the steps of builds took.
pub async fn times(ask: &Ask, ids: &[BuildId]) -> Result {
    let mut all = Vec::new();
    for id in ids {
        all.extend(look(ask, *id).await?.times);
    }
    ask.output.show(&all, |all| times::table(all))
}

async fn look(ask: &Ask, id: BuildId) -> Result<Shown> {
    let detail = ask.client.build(id).await?;
    let mut released: Option<Release> = None;
    for id in &detail.build.releases {
        let release = ask.client.release(*id).await?;
        // The first that users saw: a later one may bring the same build to another product.
        let is_first = released.as_ref().is_none_or(|first| release.released_at < first.released_at);
        released = if release.released_at.is_some() && is_first { Some(release) } else { released };
    }
    let times = times::of(&detail, released.as_ref());
    Ok(Shown { detail, times })
}

fn describe(detail: &BuildDetail, times: &[times::Times]) -> String {
    let build = &detail.build;
    let releases: Vec<_> = build.releases.iter().map(ToString::to_string).collect();
    let mut fields = vec![
        ("build", build.id.to_string()),
        ("status", build.status.name().to_string()),
        ("summary", build.summary.clone()),
        ("reason", build.reason.clone()),
        ("platforms", build.platforms.join(", ")),
        ("began", output::moment(build.created_at)),
        ("took", or_dash(build.ended_at.map(|ended_at| output::span(ended_at.secs_since(build.created_at))))),
        ("releases", or_dash(Some(releases.join(", ")).filter(|text| !text.is_empty()))),
    ];
    fields.extend(detail.circles.iter().map(|circle| ("circle", circle_text(circle))));
    let fields = output::fields(&fields);
    let tasks = output::table(["task", "what", "status", "took", "node", "why"], detail.tasks.iter().map(row));
    format!("{fields}\n\n{tasks}\n\n{}{}", times::table(times), failures(detail))
}

fn circle_text(circle: &Circle) -> String {
    format!(
        "{} on {}; when this is released: anima build create {} --platform {}",
        circle.path.join(" → "),
        circle.platform,
        circle.again().join(" "),
        circle.platform
    )
}

fn row(task: &Task) -> [String; 6] {
    [
        task.id.to_string(),
        name(task),
        task.status.name().to_string(),
        or_dash(took(task).map(output::span)),
        or_dash(task.node.as_ref()),
        if task.status.is_ended() { String::new() } else { task.why.clone() },
    ]
}

/// Returns why a build failed: a paragraph for each of its tasks that did; empty if none did.
pub fn failures(detail: &BuildDetail) -> String {
    let failed = detail.tasks.iter().filter(|task| task.status == Status::Failed);
    failed.map(|task| format!("\n\n{}", failure(detail.build.id, task))).collect()
}

fn failure(build: BuildId, task: &Task) -> String {
    let reason = task.failure.as_ref().map_or_else(|| task.why.clone(), failure_text);
    let hint = task.failure.as_ref().and_then(|failure| failure.hint.as_ref());
    let hint = hint.map(|hint| format!("\n  {hint}")).unwrap_or_default();
    let first = task.failure.as_ref().and_then(|failure| failure.findings.first());
    let lines = first.map(excerpt).unwrap_or_default();
    format!("{} failed: {reason}{lines}{hint}\n  log: anima build log {build}/{}", name(task), task.id)
}
