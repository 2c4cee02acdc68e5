//! Searches a repository as users see it. What could be it is known from what was computed when the packages came
//! ([`index`]); paths are then looked for in the package's part of the metadata.

pub mod everywhere;
pub mod index;

use anima_db::{
    Connection,
    package_search::{Candidate, Column, Searchable},
    snapshot,
};
use anima_repodata::{FilelistsReader, unpacked_file};
use anima_types::{
    Sha256,
    id::RepositoryId,
    permission::Permission,
    repository::Repository,
    search::{Hit, Search, SearchKind},
};
use axum::extract::State;
use serde::Deserialize;
use tokio::sync::Semaphore;

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

/// Fewer bytes say nothing of where they may be.
const MIN_INDEXED_BYTES: usize = 3;

/// A search for paths has what all packages of a repository are searched by in memory: more at once would be felt by everybody else.
static PATHS_AT_ONCE: Semaphore = Semaphore::const_new(2);

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/search", Permission::Read, everywhere::show),
        Route::get("/api/v1/repositories/{repository}/search", Permission::Read, show),
    ]
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
    check(text)?;
    let _permit = match kind {
        SearchKind::Files => Some(PATHS_AT_ONCE.acquire().await),
        SearchKind::Packages | SearchKind::Provides => None,
    };
    match kind {
        SearchKind::Packages => in_texts(app, repository, Column::Words, &text.to_lowercase()).await,
        SearchKind::Provides => in_texts(app, repository, Column::Provides, text).await,
        SearchKind::Files if text.len() < MIN_INDEXED_BYTES => in_published_files(app, repository, text).await,
        SearchKind::Files => in_files(app, repository, text).await,
    }
}

/// Refuses a text that is none, or that nothing has.
fn check(text: &str) -> ApiResult<()> {
    if text.is_empty() || text.chars().count() > MAX_TEXT_CHARS || text.contains(char::is_control) {
        let message = format!("a search is for 1 to {MAX_TEXT_CHARS} characters");
        return Err(ApiError::unprocessable("bad_search", message));
    }
    Ok(())
}

/// Searches what is kept as text.
async fn in_texts(app: &App, repository: &Repository, column: Column, text: &str) -> ApiResult<Search> {
    let mut search = Search::default();
    let mut read = app.db.read().await?;
    let of = (repository.id, repository.current);
    // Packages without a row are looked into, and need not have it: where they are many, all are asked for.
    for limit in [MAX_HITS as u32 + 1, u32::MAX] {
        search = Search::default();
        let candidates = anima_db::package_search::with_text(&mut read, of, column, text, limit).await?;
        let are_all = candidates.len() < limit as usize;
        for Candidate { sha256, nevra, searchable } in candidates {
            let row = row(&mut read, sha256, searchable).await?;
            let has = match column {
                Column::Words => &row.words,
                Column::Provides => &row.provides,
            };
            let lines: Vec<&str> = has.lines().filter(|line| line.contains(text)).collect();
            let found = match column {
                Column::Words => Vec::new(),
                Column::Provides => lines.iter().take(MAX_FOUND).map(ToString::to_string).collect(),
            };
            if !lines.is_empty() && !add(&mut search, nevra.to_string(), row.summary, found) {
                return Ok(search);
            }
        }
        if are_all {
            break;
        }
    }
    Ok(search)
}

/// Returns what a package is searched by; of one that has no row yet it is read.
async fn row(connection: &mut Connection, package: Sha256, known: Option<Searchable>) -> ApiResult<Searchable> {
    match known {
        Some(row) => Ok(row),
        None => Ok(index::of_metadata(&anima_db::package::get(connection, package).await?)),
    }
}

/// Searches the paths of packages that may have it.
async fn in_files(app: &App, repository: &Repository, text: &str) -> ApiResult<Search> {
    let mut search = Search::default();
    let mut read = app.db.read().await?;
    for Candidate { sha256, nevra, searchable } in
        anima_db::package_search::all(&mut read, (repository.id, repository.current)).await?
    {
        let row = row(&mut read, sha256, searchable).await?;
        if !index::may_have(&row.files, text) {
            continue;
        }
        let paths = index::paths(&anima_db::package::get(&mut read, sha256).await?)?
            .into_iter()
            .filter(|path| path.contains(text));
        let found: Vec<String> = paths.take(MAX_FOUND).collect();
        if !found.is_empty() && !add(&mut search, nevra.to_string(), row.summary, found) {
            break;
        }
    }
    Ok(search)
}

/// Searches all paths that are published: nearly all packages have one with so few characters, so it ends soon.
async fn in_published_files(app: &App, repository: &Repository, text: &str) -> ApiResult<Search> {
    let Some(sha256) = filelists(app, repository).await? else { return Ok(Search::default()) };
    let (path, text) = (app.store.local(sha256).await?, text.to_string());
    let found = move || -> anima_repodata::Result<Search> {
        let mut search = Search::default();
        for package in FilelistsReader::new(unpacked_file(&path)?, "filelists.xml") {
            let package = package?;
            let paths = package.files.into_iter().map(|file| file.path).filter(|path| path.contains(&text));
            let found: Vec<String> = paths.take(MAX_FOUND).collect();
            if !found.is_empty() && !add(&mut search, package.nevra.to_string(), String::new(), found) {
                break;
            }
        }
        Ok(search)
    };
    blocking(move || found().map_err(ApiError::internal)).await
}

/// Returns the published lists of files; none before the first release.
async fn filelists(app: &App, repository: &Repository) -> ApiResult<Option<Sha256>> {
    let mut read = app.db.read().await?;
    let files = snapshot::files(&mut read, repository.id, repository.current).await?;
    let is_it = |path: &str| path.rsplit(['/', '-']).next().is_some_and(|name| name.starts_with("filelists.xml"));
    Ok(files.into_iter().find(|(path, _)| is_it(path)).map(|(_, sha256)| sha256))
}

/// Adds a hit; returns false when there are enough.
fn add(search: &mut Search, nevra: String, summary: String, found: Vec<String>) -> bool {
    search.is_cut = search.hits.len() >= MAX_HITS;
    if !search.is_cut {
        search.hits.push(Hit { nevra, summary, found });
    }
    !search.is_cut
}
