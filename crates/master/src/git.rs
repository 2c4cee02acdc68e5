//! What the Master Service asks the Git Service: which commit a branch, tag or shortened hash names.

use std::{sync::LazyLock, time::Duration};

use axum::http::StatusCode;
use serde::Deserialize;

use crate::{
    app::App,
    error::{ApiError, ApiResult},
};

/// It is on the same machine, or next to it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// One for all, which keeps its connections: a mass rebuild asks thousands of times.
static HTTP: LazyLock<reqwest::Client> =
    LazyLock::new(|| reqwest::Client::builder().timeout(TIMEOUT).build().expect("its settings are fixed"));

/// A branch or tag with its commit.
#[derive(Deserialize)]
struct Resolved {
    commit: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// Returns the commit that a reference of a package names now.
pub async fn resolve(app: &App, package: &str, reference: &str) -> ApiResult<String> {
    let address = |rest: &str| {
        let git = app.config.git_url.trim_end_matches('/');
        let url = format!("{git}/api/git/v1/repositories/{package}{rest}");
        reqwest::Url::parse(&url).map_err(|_| unknown_package(package))
    };
    let mut url = address("/resolve")?;
    url.query_pairs_mut().append_pair("reference", reference);
    let answer = HTTP.get(url).send().await.map_err(no_git_service)?;
    if answer.status().is_success() {
        return Ok(answer.json::<Resolved>().await.map_err(no_git_service)?.commit);
    }
    let branches = HTTP.get(address("/branches")?).send().await.map_err(no_git_service)?;
    if !branches.status().is_success() {
        return Err(unknown_package(package));
    }
    let branches = branches.json::<Vec<Named>>().await.map_err(no_git_service)?;
    let branches = branches.into_iter().map(|branch| branch.name).collect::<Vec<_>>().join(", ");
    let message = format!("{package} has no branch, tag or commit \"{reference}\"");
    Err(ApiError::unprocessable("unknown_reference", message).hint(format!("It has the branches {branches}.")))
}

fn unknown_package(package: &str) -> ApiError {
    ApiError::unprocessable("unknown_package", format!("the Git Service has no repository \"{package}\""))
        .hint("Push it first: `git push GIT_SERVICE/NAME.git BRANCH`.")
}

fn no_git_service(error: reqwest::Error) -> ApiError {
    ApiError::new(StatusCode::BAD_GATEWAY, "no_git_service", format!("the Git Service does not answer: {error}"))
        .hint("Try again when it runs.")
}
