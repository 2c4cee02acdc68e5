//! Repositories: what users see now, and what each snapshot changed.

use anima_types::{
    id::{ReleaseId, RepositoryId},
    repository::{Repository, Snapshot},
};
use askama::Template;
use axum::extract::{Path, State as Extract};

use super::{
    answer::{Frame, PageResult, id, newest_event, page},
    words::{When, address_part, count},
};
use crate::app::App;

/// Snapshots on a page.
const MAX_SNAPSHOTS: u32 = 50;
/// Packages that a snapshot's line names of what came and what went.
const MAX_NAMED: usize = 20;
/// Packages on a page; a repository of a distribution has tens of thousands.
const MAX_PACKAGES: usize = 500;

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

#[derive(Template)]
#[template(path = "repository.html")]
struct RepositoryPage {
    frame: Frame,
    answer: String,
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
    let answer = format!("{} in {places}; users see {packages} packages.", count(products.len(), "product"));
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

/// `/repositories/{repository}`
pub async fn show(Extract(app): Extract<App>, Path(text): Path<String>) -> PageResult {
    let repository: RepositoryId = id("repository", &text)?;
    let after = newest_event(&app).await?;
    let mut read = app.db.read().await?;
    let repository = anima_db::repository::get(&mut read, repository).await?;
    let snapshots = anima_db::snapshot::list(&mut read, repository.id, MAX_SNAPSHOTS).await?;
    drop(read);
    let packages = crate::repository::current_packages(&app, repository.id).await?;
    let answer = match repository.current {
        0 => "Nothing was released to it yet.".to_string(),
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
        snapshots: snapshots.into_iter().map(|snapshot| snapshot_row(&app, snapshot, &base)).collect(),
        packages: rows.collect(),
        unshown,
        address: base,
        repository,
    })
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
        address: format!("{base}@{}/repodata/repomd.xml", snapshot.number),
    }
}
