//! Searches a repository as users see it: in its published metadata, so that an index of all files of a distribution is not
//! kept a second time.

use anima_repodata::{FilelistsReader, PrimaryReader, unpacked_file};
use anima_types::{
    Sha256,
    id::RepositoryId,
    permission::Permission,
    repository::Repository,
    search::{Hit, Search, SearchKind},
};
use axum::extract::State;
use serde::Deserialize;

use crate::{
    app::App,
    error::{ApiError, ApiResult, Json, Path, Query},
    package_file::blocking,
    route::Route,
};

/// Packages in one answer: who finds more searches for more.
const MAX_HITS: usize = 100;
/// Provides or paths of one package in an answer.
const MAX_FOUND: usize = 5;
/// A text at most: longer than any path that is searched for.
const MAX_TEXT_CHARS: usize = 500;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![Route::get("/api/v1/repositories/{repository}/search", Permission::Read, show)]
}

#[derive(Deserialize)]
struct SearchQuery {
    q: String,
    #[serde(default, rename = "in")]
    kind: SearchKind,
}

async fn show(
    State(app): State<App>,
    Path(id): Path<RepositoryId>,
    Query(query): Query<SearchQuery>,
) -> ApiResult<Json<Search>> {
    let mut read = app.db.read().await?;
    let repository = anima_db::repository::get(&mut read, id).await?;
    drop(read);
    Ok(Json(search(&app, &repository, query.kind, query.q.trim()).await?))
}

/// Searches in what users see now. Upper and lower case are the same in names and summaries.
pub async fn search(app: &App, repository: &Repository, kind: SearchKind, text: &str) -> ApiResult<Search> {
    if text.is_empty() || text.chars().count() > MAX_TEXT_CHARS {
        let message = format!("a search is for 1 to {MAX_TEXT_CHARS} characters");
        return Err(ApiError::unprocessable("bad_search", message));
    }
    let which = if kind == SearchKind::Files { "filelists" } else { "primary" };
    let Some(sha256) = metadata(app, repository, which).await? else { return Ok(Search::default()) };
    let (path, text) = (app.store.local(sha256).await?, text.to_string());
    blocking(move || {
        let found = match kind {
            SearchKind::Files => in_files(&path, &text),
            SearchKind::Packages | SearchKind::Provides => in_primary(&path, kind, &text),
        };
        found.map_err(ApiError::internal)
    })
    .await
}

/// Returns the published file of a kind; none before the first release.
async fn metadata(app: &App, repository: &Repository, which: &str) -> ApiResult<Option<Sha256>> {
    let mut read = app.db.read().await?;
    let files = anima_db::snapshot::files(&mut read, repository.id, repository.current).await?;
    let is_it =
        |path: &str| path.rsplit(['/', '-']).next().is_some_and(|name| name.starts_with(&format!("{which}.xml")));
    Ok(files.into_iter().find(|(path, _)| is_it(path)).map(|(_, sha256)| sha256))
}

fn in_primary(path: &std::path::Path, kind: SearchKind, text: &str) -> anima_repodata::Result<Search> {
    let wanted = text.to_lowercase();
    let mut search = Search::default();
    for package in PrimaryReader::new(unpacked_file(path)?, "primary.xml") {
        let package = package?;
        let found: Vec<String> = match kind {
            SearchKind::Provides => {
                let provides = package.provides.iter().filter(|one| one.name.contains(text));
                provides.take(MAX_FOUND).map(ToString::to_string).collect()
            }
            _ => Vec::new(),
        };
        let is_named =
            || package.nevra.name.to_lowercase().contains(&wanted) || package.summary.to_lowercase().contains(&wanted);
        let is_hit = if kind == SearchKind::Provides { !found.is_empty() } else { is_named() };
        if is_hit && !add(&mut search, package.nevra.to_string(), package.summary, found) {
            break;
        }
    }
    Ok(search)
}

fn in_files(path: &std::path::Path, text: &str) -> anima_repodata::Result<Search> {
    let mut search = Search::default();
    for package in FilelistsReader::new(unpacked_file(path)?, "filelists.xml") {
        let package = package?;
        let paths = package.files.into_iter().map(|file| file.path).filter(|path| path.contains(text));
        let found: Vec<String> = paths.take(MAX_FOUND).collect();
        if !found.is_empty() && !add(&mut search, package.nevra.to_string(), String::new(), found) {
            break;
        }
    }
    Ok(search)
}

/// Adds a hit; returns false when there are enough.
fn add(search: &mut Search, nevra: String, summary: String, found: Vec<String>) -> bool {
    search.is_cut = search.hits.len() >= MAX_HITS;
    if !search.is_cut {
        search.hits.push(Hit { nevra, summary, found });
    }
    !search.is_cut
}
