//! Repositories: what users see now, and what each snapshot changed.

use anima_types::{
    id::{ReleaseId, RepositoryId},
    repository::{Repository, Snapshot},
    repository_diff::{Query as Wanted, RepositoryDiff},
    search::{Hit, SearchKind},
};
use askama::Template;
use axum::extract::{Path, Query, State as Extract};
use serde::Deserialize;

use super::{
    answer::{Frame, PageResult, id, newest_event, page},
    words::{When, address_part, count},
};
use crate::{app::App, auth::Caller, error::ApiError};

/// Snapshots on a page.
const MAX_SNAPSHOTS: u32 = 50;
/// Packages that a snapshot's line names of what came and what went.
const MAX_NAMED: usize = 20;
/// Packages on a page; a repository of a distribution has tens of thousands.
const MAX_PACKAGES: usize = 300;
/// Packages whose changes are shown in full.
const MAX_CHANGED: usize = 100;

#[derive(Template)]
#[template(path = "repositories.html")]
struct RepositoriesPage {
    frame: Frame,
    answer: String,
    products: Vec<Product>,
}

struct Product {
    name: String,
    setup: String,
    repositories: Vec<Repository>,
}

/// What is searched for in a repository; it stays in the address.
#[derive(Debug, Default, Deserialize)]
pub struct SearchQuery {
    #[serde(default)]
    q: String,
    #[serde(default, rename = "in")]
    kind: SearchKind,
}

#[derive(Template)]
#[template(path = "repository.html")]
struct RepositoryPage {
    frame: Frame,
    answer: String,
    search: String,
    kinds: Vec<(&'static str, bool)>,
    found: Option<Found>,
    repository: Repository,
    kind: &'static str,
    address: String,
    setup: String,
    copr: String,
    snapshots: Vec<SnapshotRow>,
    packages: Vec<PackageRow>,
    unshown: usize,
}

struct SnapshotRow {
    number: i64,
    release: ReleaseId,
    created: When,
    package_count: i64,
    added: Vec<String>,
    removed: Vec<String>,
    unnamed: usize,
    is_current: bool,
    address: String,
    /// Where the difference to the snapshot that it was made from is shown; none for the first.
    diff: Option<String>,
    /// The command that takes it back, for the one that users see.
    back: Option<String>,
}

/// What a search found.
struct Found {
    answer: String,
    hits: Vec<Hit>,
}

#[derive(Template)]
#[template(path = "repository_diff.html")]
struct DiffPage {
    frame: Frame,
    repository: Repository,
    answer: String,
    older: i64,
    newer: i64,
    diff: RepositoryDiff,
    unshown: usize,
    command: String,
}

/// Two snapshots of a repository.
#[derive(Debug, Deserialize)]
pub struct DiffQuery {
    old: i64,
    new: i64,
}

struct PackageRow {
    nevra: String,
    source: String,
    source_address: String,
    file: String,
    file_name: String,
}

/// `/repositories`
pub async fn list(Extract(app): Extract<App>) -> PageResult {
    let after = newest_event(&app).await?;
    let mut read = app.db.read().await?;
    let all = anima_db::repository::list(&mut read, None).await?;
    drop(read);
    let mut products: Vec<Product> = Vec::new();
    let (count_all, packages) = (all.len(), all.iter().map(|repository| repository.package_count).sum::<i64>());
    for repository in all {
        match products.iter_mut().find(|product| product.name == repository.product) {
            Some(product) => product.repositories.push(repository),
            None => products.push(Product {
                name: repository.product.clone(),
                setup: setup(&app, &repository.product),
                repositories: vec![repository],
            }),
        }
    }
    let places = if count_all == 1 { "1 repository".to_string() } else { format!("{count_all} repositories") };
    let answer = match products.len() {
        0 => "There is no product yet: a product is a named set of repositories for users.".to_string(),
        all => format!("{} in {places}; users see {packages} packages.", count(all, "product")),
    };
    let frame = Frame::new("Repositories", "repositories", "/api/v1/repositories").follow(after, "");
    page(&RepositoriesPage { frame, answer, products })
}

/// Returns the line that lets dnf know a product.
fn setup(app: &App, product: &str) -> String {
    // Names of products are checked when they are made: nothing in them means anything to a shell.
    format!("curl -o /etc/yum.repos.d/{product}.repo {}", app.url(&format!("repos/{product}/{product}.repo")))
}

/// Returns the line for who has `dnf copr`.
fn copr(app: &App, product: &str) -> String {
    format!("dnf copr enable --hub {} anima/{product}", app.url("").trim_end_matches('/'))
}

/// `/repositories/{repository}/diff?old=3&new=4`
pub async fn diff(
    Extract(app): Extract<App>,
    Path(text): Path<String>,
    query: Result<Query<DiffQuery>, axum::extract::rejection::QueryRejection>,
    caller: Caller,
) -> PageResult {
    app.limits.dear(&caller)?;
    let Query(DiffQuery { old, new }) = query.map_err(ApiError::from)?;
    let repository: RepositoryId = id("repository", &text)?;
    let mut read = app.db.read().await?;
    let repository = anima_db::repository::get(&mut read, repository).await?;
    drop(read);
    let address = format!("{}/{}", repository.product, repository.path);
    let wanted = Wanted { old: format!("{address}@{old}"), new: format!("{address}@{new}") };
    let api = format!("/api/v1/repository-diff?old={}&new={}", address_part(&wanted.old), address_part(&wanted.new));
    let mut diff = crate::repository_diff::compare(&app, &wanted).await?;
    let all = diff.added.len() + diff.removed.len() + diff.changed.len();
    let (added, removed, changed) = (diff.added.len(), diff.removed.len(), diff.changed.len());
    let answer = match all {
        0 => format!("@{old} and @{new} have the same packages."),
        _ => format!("From @{old} to @{new}: {added} came, {removed} went, {changed} changed."),
    };
    diff.added.truncate(MAX_PACKAGES);
    diff.removed.truncate(MAX_PACKAGES);
    diff.changed.truncate(MAX_CHANGED);
    for change in diff.changed.iter_mut().flat_map(|change| &mut change.contents) {
        change.added.truncate(MAX_NAMED);
        change.removed.truncate(MAX_NAMED);
    }
    let shown = diff.added.len() + diff.removed.len() + diff.changed.len();
    page(&DiffPage {
        frame: Frame::new(format!("{address} @{old} to @{new}"), "repositories", api),
        answer,
        older: old,
        newer: new,
        unshown: all - shown,
        command: format!("anima repo diff {address}@{old} {new} --full"),
        diff,
        repository,
    })
}

/// `/repositories/{repository}`
pub async fn show(
    Extract(app): Extract<App>,
    Path(text): Path<String>,
    query: Result<Query<SearchQuery>, axum::extract::rejection::QueryRejection>,
) -> PageResult {
    let Query(query) = query.map_err(ApiError::from)?;
    let repository: RepositoryId = id("repository", &text)?;
    let after = newest_event(&app).await?;
    let mut read = app.db.read().await?;
    let repository = anima_db::repository::get(&mut read, repository).await?;
    let snapshots = anima_db::snapshot::list(&mut read, repository.id, None, MAX_SNAPSHOTS).await?;
    drop(read);
    let packages = crate::repository::current_packages(&app, repository.id).await?;
    let search = query.q.trim().to_string();
    let found = match search.is_empty() {
        true => None,
        false => Some(found(&app, &repository, query.kind, &search).await?),
    };
    let answer = match repository.current {
        0 => "Nothing was released to it yet: dnf cannot read it before its product's first release.".to_string(),
        current => format!("Users see snapshot {current} with {}.", count(packages.len(), "package")),
    };
    let base = format!("/repos/{}/{}", repository.product, repository.path);
    let title = format!("{}/{}", repository.product, repository.path);
    let frame = Frame::new(title, "repositories", format!("/api/v1/repositories/{}", repository.id));
    let unshown = packages.len().saturating_sub(MAX_PACKAGES);
    let rows = packages.into_iter().take(MAX_PACKAGES).map(|package| PackageRow {
        file_name: package.nevra.file_name(),
        nevra: package.nevra.to_string(),
        source_address: address_part(&package.source),
        source: package.source,
        file: format!("/api/v1/artifacts/{}", package.artifact),
    });
    page(&RepositoryPage {
        frame: frame.follow(after, ""),
        answer,
        kind: repository.kind.name(),
        setup: setup(&app, &repository.product),
        copr: copr(&app, &repository.product),
        search,
        kinds: SearchKind::ALL.map(|kind| (kind.name(), kind == query.kind)).into(),
        found,
        snapshots: snapshots.into_iter().map(|snapshot| snapshot_row(&app, snapshot, &base)).collect(),
        packages: rows.collect(),
        unshown,
        address: base,
        repository,
    })
}

async fn found(app: &App, repository: &Repository, kind: SearchKind, text: &str) -> Result<Found, ApiError> {
    let search = crate::search::search(app, repository, kind, text).await?;
    let what = match kind {
        SearchKind::Packages => "has it in its name or summary",
        SearchKind::Provides => "provides it",
        SearchKind::Files => "has such a file",
    };
    let answer = match (search.hits.len(), search.is_cut) {
        (0, _) => format!("No package {what}."),
        (hits, false) => format!("{} with \"{text}\".", count(hits, "package")),
        (hits, true) => format!("The first {hits} packages with \"{text}\"; there are more."),
    };
    Ok(Found { answer, hits: search.hits })
}

fn snapshot_row(app: &App, mut snapshot: Snapshot, base: &str) -> SnapshotRow {
    let changed = snapshot.added.len() + snapshot.removed.len();
    snapshot.added.truncate(MAX_NAMED);
    snapshot.removed.truncate(MAX_NAMED);
    SnapshotRow {
        number: snapshot.number,
        release: snapshot.release,
        created: When::new(snapshot.created_at, app.now()),
        package_count: snapshot.package_count,
        unnamed: changed - snapshot.added.len() - snapshot.removed.len(),
        added: snapshot.added,
        removed: snapshot.removed,
        is_current: snapshot.is_current,
        diff: (snapshot.base > 0).then(|| {
            format!("/repositories/{}/diff?old={}&new={}", snapshot.repository, snapshot.base, snapshot.number)
        }),
        back: snapshot.is_current.then(|| format!("anima release revert {}", snapshot.release)),
        address: format!("{base}@{}/repodata/repomd.xml", snapshot.number),
    }
}
