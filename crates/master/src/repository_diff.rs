//! Compares two snapshots: which packages came, went and changed, and what of the changed ones is different.

mod metadata;

use std::collections::BTreeMap;

use anima_db::{Connection, package::Package};
use anima_repodata::{PackageXml, content_changes};
use anima_types::{
    id::RepositoryId,
    permission::Permission,
    repository_diff::{Kind, PackageChange, Query as Wanted, RepositoryDiff},
};
use axum::extract::State;

use crate::{
    app::App,
    auth::Caller,
    error::{ApiError, ApiResult, Json, Query},
    route::Route,
};

/// Changed packages that are looked into: a mass rebuild changes tens of thousands, and nobody reads all their files.
const MAX_READ: usize = 1_000;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![Route::get("/api/v1/repository-diff", Permission::Read, show)]
}

async fn show(State(app): State<App>, Query(wanted): Query<Wanted>, caller: Caller) -> ApiResult<Json<RepositoryDiff>> {
    app.limits.dear(&caller)?;
    Ok(Json(compare(&app, &wanted).await?))
}

/// A snapshot that was asked for.
struct Place {
    repository: RepositoryId,
    number: i64,
    address: String,
}

/// Returns what differs between two snapshots.
pub async fn compare(app: &App, wanted: &Wanted) -> ApiResult<RepositoryDiff> {
    let mut read = app.db.read().await?;
    let old = place(&mut read, &wanted.old).await?;
    let new = place(&mut read, &wanted.new).await?;
    let (old_at, new_at) = ((old.repository, old.number), (new.repository, new.number));
    let gone = anima_db::snapshot::only_in(&mut read, old_at, new_at).await?;
    let come = anima_db::snapshot::only_in(&mut read, new_at, old_at).await?;
    let old_files = anima_db::snapshot::files(&mut read, old.repository, old.number).await?;
    let new_files = anima_db::snapshot::files(&mut read, new.repository, new.number).await?;
    drop(read);
    let (pairs, store, runtime) = (pairs(gone, come), app.store.clone(), tokio::runtime::Handle::current());
    // Reading the metadata of a thousand packages takes a second; others want to be answered meanwhile.
    let told = tokio::task::spawn_blocking(move || {
        let diff = tell(old.address, new.address, pairs)?;
        let local = |sha256| Ok(runtime.block_on(store.local(sha256))?);
        let metadata = metadata::changes(&old_files, &new_files, &local).map_err(ApiError::internal)?;
        Ok(RepositoryDiff { metadata, ..diff })
    });
    told.await.map_err(ApiError::internal)?
}

/// Finds `PRODUCT/PATH@N`, or `PRODUCT/PATH` as users see it now. Number 0 is the empty state before the first release.
async fn place(connection: &mut Connection, text: &str) -> ApiResult<Place> {
    let hint = "A snapshot is PRODUCT/PATH@N, such as seed-1/BaseOS/x86_64@3; `anima repo list` shows repositories.";
    let unknown = || ApiError::not_found(format!("there is no snapshot \"{text}\"")).hint(hint);
    let (address, number) = match text.trim_matches('/').rsplit_once('@') {
        Some((address, number)) => (address.trim_end_matches('/'), Some(number.parse::<i64>().map_err(|_| unknown())?)),
        None => (text.trim_matches('/'), None),
    };
    let (product, path) = address.split_once('/').ok_or_else(unknown)?;
    let repository = anima_db::repository::find(connection, product, path).await?.ok_or_else(unknown)?;
    let number = number.unwrap_or(repository.current);
    if number != 0 && !anima_db::snapshot::exists(connection, repository.id, number).await? {
        return Err(unknown());
    }
    Ok(Place { repository: repository.id, number, address: format!("{address}@{number}") })
}

/// Packages that differ, matched by name and architecture.
#[derive(Debug, Default)]
struct Pairs {
    added: Vec<Package>,
    removed: Vec<Package>,
    changed: Vec<(Package, Package)>,
}

/// Matches what went with what came. Where a name has several versions, as kernels do, the highest meets the highest.
fn pairs(gone: Vec<Package>, come: Vec<Package>) -> Pairs {
    let mut by_name: BTreeMap<(String, String), (Vec<Package>, Vec<Package>)> = BTreeMap::new();
    let key = |package: &Package| (package.nevra.name.clone(), package.nevra.arch.clone());
    for package in gone {
        by_name.entry(key(&package)).or_default().0.push(package);
    }
    for package in come {
        by_name.entry(key(&package)).or_default().1.push(package);
    }
    let mut pairs = Pairs::default();
    for (mut gone, mut come) in by_name.into_values() {
        gone.sort_by(|a, b| a.nevra.evr.cmp(&b.nevra.evr));
        come.sort_by(|a, b| a.nevra.evr.cmp(&b.nevra.evr));
        while !gone.is_empty() && !come.is_empty() {
            pairs.changed.extend(gone.pop().zip(come.pop()));
        }
        pairs.removed.append(&mut gone);
        pairs.added.append(&mut come);
    }
    pairs
}

fn tell(old: String, new: String, pairs: Pairs) -> ApiResult<RepositoryDiff> {
    let names = |packages: &[Package]| packages.iter().map(|package| package.nevra.to_string()).collect();
    let unread_count = pairs.changed.len().saturating_sub(MAX_READ);
    let changed = pairs.changed.iter().enumerate().map(|(index, pair)| package_change(pair, index < MAX_READ));
    Ok(RepositoryDiff {
        old,
        new,
        added: names(&pairs.added),
        removed: names(&pairs.removed),
        changed: changed.collect::<ApiResult<_>>()?,
        unread_count,
        metadata: Vec::new(),
    })
}

fn package_change((old, new): &(Package, Package), is_read: bool) -> ApiResult<PackageChange> {
    let fragment = |package: &Package| serde_json::from_str::<PackageXml>(&package.xml).map_err(ApiError::internal);
    let contents = match is_read {
        true => content_changes(&fragment(old)?, &fragment(new)?).map_err(ApiError::internal)?,
        false => Vec::new(),
    };
    Ok(PackageChange {
        name: new.nevra.name.clone(),
        arch: new.nevra.arch.clone(),
        old: old.nevra.evr.to_string(),
        new: new.nevra.evr.to_string(),
        kind: Kind::between(&old.nevra.evr, &new.nevra.evr),
        contents,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anima_types::Sha256;

    fn package(byte: u8, nevra: &str) -> Package {
        let nevra: anima_types::Nevra = nevra.parse().unwrap();
        Package {
            sha256: Sha256([byte; 32]),
            file_name: nevra.file_name(),
            source: nevra.name.clone(),
            is_source: false,
            nevra,
            xml: "{}".into(),
            header_sha256: Sha256([byte; 32]),
        }
    }

    #[test]
    fn versions_of_one_name_are_matched_from_the_highest_down() {
        let gone =
            vec![package(1, "kernel-6.9-1.x86_64"), package(2, "kernel-6.8-1.x86_64"), package(3, "jq-1-1.i686")];
        let come = vec![package(4, "kernel-6.10-1.x86_64"), package(5, "jq-1-1.x86_64")];

        let pairs = pairs(gone, come);

        let names = |packages: &[Package]| packages.iter().map(|one| one.nevra.to_string()).collect::<Vec<_>>();
        assert_eq!(names(&pairs.added), ["jq-1-1.x86_64"]);
        assert_eq!(names(&pairs.removed), ["jq-1-1.i686", "kernel-6.8-1.x86_64"]);
        let (old, new) = &pairs.changed[0];
        assert_eq!((old.nevra.evr.to_string().as_str(), new.nevra.evr.to_string().as_str()), ("6.9-1", "6.10-1"));
    }
}
