//! Questions of people and the master: which repositories, branches and commits there are.

use axum::{
    Json,
    extract::{Path, Query, State},
};
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    error::Result,
    repository::{Branch, Commit},
};

/// Commits in one answer, where nothing is said, and at most.
const DEFAULT_COMMITS: u32 = 50;
const MAX_COMMITS: u32 = 500;

/// A repository as the API shows it.
#[derive(Serialize)]
pub(crate) struct Repository {
    name: String,
    /// Where to clone from and push to.
    url: String,
    branches: Vec<Branch>,
}

#[derive(Deserialize)]
pub(crate) struct CommitQuery {
    branch: String,
    limit: Option<u32>,
}

#[derive(Deserialize)]
pub(crate) struct ResolveQuery {
    reference: String,
}

#[derive(Serialize)]
pub(crate) struct Resolved {
    reference: String,
    commit: String,
}

pub(crate) async fn list(State(app): State<App>) -> Result<Json<Vec<String>>> {
    Ok(Json(app.repositories.names()?))
}

pub(crate) async fn show(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Repository>> {
    let branches = all_branches(&app, &name).await?;
    let url = format!("{}/{name}.git", app.config.public_url.trim_end_matches('/'));
    Ok(Json(Repository { name, url, branches }))
}

pub(crate) async fn branches(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Vec<Branch>>> {
    Ok(Json(all_branches(&app, &name).await?))
}

async fn all_branches(app: &App, name: &str) -> Result<Vec<Branch>> {
    let path = app.repositories.find(name)?;
    let branches = app.repositories.branches(&path).await?;
    Ok(branches.into_iter().map(|(name, commit)| Branch { name, commit }).collect())
}

pub(crate) async fn commits(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(query): Query<CommitQuery>,
) -> Result<Json<Vec<Commit>>> {
    let path = app.repositories.find(&name)?;
    let limit = query.limit.unwrap_or(DEFAULT_COMMITS).clamp(1, MAX_COMMITS);
    Ok(Json(app.repositories.commits(&path, &query.branch, limit).await?))
}

pub(crate) async fn resolve(
    State(app): State<App>,
    Path(name): Path<String>,
    Query(query): Query<ResolveQuery>,
) -> Result<Json<Resolved>> {
    let path = app.repositories.find(&name)?;
    let commit = app.repositories.resolve(&path, &query.reference).await?;
    Ok(Json(Resolved { reference: query.reference, commit }))
}
