//! The first page: what was asked for lately, and what became of it.

use anima_types::{
    build::{Build, ListQuery, Status},
    id::BuildId,
};
use askama::Template;
use axum::extract::{Query, State as Extract};
use serde::Deserialize;

use super::{
    answer::{Frame, PageResult, newest_event, page},
    words::{State, When, address_part, duration},
};
use crate::{app::App, error::ApiError};

/// Builds on one page: some screens, and below the bound of a page's size.
const BUILDS: u32 = 50;
/// Packages of a build that are named in its line.
const NAMED: usize = 5;

/// What of the builds is shown; it stays in the address.
#[derive(Debug, Default, Deserialize)]
pub struct FeedQuery {
    before: Option<BuildId>,
    #[serde(default)]
    owner: String,
    #[serde(default)]
    status: String,
}

#[derive(Template)]
#[template(path = "feed.html")]
struct Feed {
    frame: Frame,
    rows: Vec<Row>,
    answer: String,
    older: Option<String>,
    statuses: Vec<(&'static str, bool)>,
    owner: String,
    is_newest: bool,
}

/// A build in one line.
pub struct Row {
    /// Its id.
    pub id: BuildId,
    /// Where it stands.
    pub state: State,
    /// Its packages with their addresses, the first of them.
    pub packages: Vec<(String, String)>,
    /// How many more it has.
    pub more: usize,
    /// Its platforms.
    pub platforms: String,
    /// Who asked for it.
    pub owner: String,
    /// Its state in one sentence.
    pub summary: String,
    /// When it was asked for.
    pub created: When,
    /// How long it took, or takes so far.
    pub took: String,
}

impl Row {
    /// Returns a build's line.
    pub fn new(build: Build, app: &App) -> Row {
        let now = app.now();
        let named = build.sources.iter().take(NAMED);
        Row {
            id: build.id,
            state: build.status.into(),
            packages: named.map(|source| (source.package.clone(), address_part(&source.package))).collect(),
            more: build.sources.len().saturating_sub(NAMED),
            platforms: build.platforms.join(", "),
            owner: build.owner,
            summary: build.summary,
            created: When::new(build.created_at, now),
            took: duration(build.ended_at.unwrap_or(now).secs_since(build.created_at)),
        }
    }
}

/// `/` and `/builds`
pub async fn show(
    Extract(app): Extract<App>,
    query: Result<Query<FeedQuery>, axum::extract::rejection::QueryRejection>,
) -> PageResult {
    let Query(query) = query.map_err(ApiError::from)?;
    let after = newest_event(&app).await?;
    let status = Status::ALL.into_iter().find(|status| status.name() == query.status);
    let owner = query.owner.trim().to_string();
    let filter = ListQuery {
        limit: Some(BUILDS),
        before: query.before,
        owner: (!owner.is_empty()).then(|| owner.clone()),
        status,
        ..ListQuery::default()
    };
    let builds = crate::build::newest(&app, filter).await?;
    let is_full = builds.len() == BUILDS as usize;
    let last = builds.last().filter(|_| is_full).map(|build| build.id);
    let word = status.map_or("", Status::name);
    let older = last.map(|id| format!("/builds?before={id}&owner={}&status={word}", address_part(&owner)));
    let mut frame = Frame::new("Builds", "builds", "/api/v1/builds").with_feed("/feed.atom");
    if query.before.is_none() {
        frame = frame.follow(after, "");
    }
    page(&Feed {
        frame,
        answer: answer(&builds, !owner.is_empty() || status.is_some() || query.before.is_some(), &app.config.git_url),
        rows: builds.into_iter().map(|build| Row::new(build, &app)).collect(),
        older,
        statuses: Status::ALL.into_iter().map(|other| (other.name(), Some(other) == status)).collect(),
        owner,
        is_newest: query.before.is_none(),
    })
}

/// Says in words what the page shows.
fn answer(builds: &[Build], is_filtered: bool, git_url: &str) -> String {
    let Some(newest) = builds.first() else {
        return match is_filtered {
            true => "There is no such build.".to_string(),
            false => format!(
                "Nothing was built yet. A push to {}/PACKAGE.git is a build, or `anima build create PACKAGE@BRANCH --platform PLATFORM`.",
                git_url.trim_end_matches('/')
            ),
        };
    };
    let of = |wanted: fn(Status) -> bool| builds.iter().filter(|build| wanted(build.status)).count();
    let running = of(|status| State::from(status).class == "run");
    let failed = of(|status| status == Status::Failed);
    let what = match running {
        0 => "Nothing is being built".to_string(),
        1 => "1 build runs".to_string(),
        count => format!("{count} builds run"),
    };
    format!("{what}; {failed} of these {} failed. The newest is {}.", builds.len(), newest.id)
}
