//! What a release carries: the packages before they have the product's signature, and where each comes from.

use std::collections::{BTreeMap, BTreeSet};

use anima_db::{Connection, release::Release, task::Task};
use anima_types::{
    Arch, Nevra, Sha256,
    id::{BuildId, KeyId, RepositoryId},
    release::{Content, Import, PlanRemoval},
    repository::{Kind as RepositoryKind, Repository, RepositoryPackage},
    task::{self, Kind},
    work::Outcome,
};
use axum::http::StatusCode;

use super::releasable;
use crate::error::{ApiError, ApiResult};

/// A package that a release carries.
#[derive(Clone, Debug)]
pub struct Carried {
    /// The package as it came: from a node, or from elsewhere. The artifact is the one without the product's signature.
    pub original: RepositoryPackage,
    /// The architecture of the target that it is for.
    pub target_arch: Option<Arch>,
    /// Where it is, or is wanted: addresses within the product.
    pub places: Vec<String>,
}

/// Returns all that a release carries.
pub async fn all(connection: &mut Connection, row: &Release) -> ApiResult<Vec<Carried>> {
    match &row.content {
        Content::Build { build, only } => of_build(connection, *build, only).await,
        Content::Copy { copy, only, .. } => {
            let mut places = Vec::new();
            for place in copy {
                places.push(find(connection, place).await?);
            }
            of_snapshots(connection, places, only).await
        }
        // What users see by now: a release that came meanwhile is signed anew with the rest.
        Content::Resign { resign } => {
            let all = anima_db::repository::list(connection, Some(&row.product)).await?;
            let is_meant = |one: &Repository| resign.is_empty() || resign.contains(&one.path);
            let places = all.into_iter().filter(is_meant).map(|repository| (repository.current, repository));
            of_snapshots(connection, places.map(|(number, one)| (one, number)).collect(), &[]).await
        }
        Content::Import { import } => of_import(connection, row, import).await,
        Content::Removal { .. } | Content::Attachments { .. } => Ok(Vec::new()),
    }
}

async fn of_build(connection: &mut Connection, build: BuildId, only: &[String]) -> ApiResult<Vec<Carried>> {
    let tasks = anima_db::task::standing_of_build(connection, build).await?;
    let packages = releasable(connection, &tasks, build).await?;
    let wanted = packages.into_iter().filter(|(_, package)| is_named(only, &package.nevra, &package.source));
    let carried = wanted.map(|(arch, original)| Carried {
        target_arch: if original.is_source() { None } else { arch },
        original,
        places: Vec::new(),
    });
    Ok(carried.collect())
}

async fn of_snapshots(
    connection: &mut Connection,
    from: Vec<(Repository, i64)>,
    only: &[String],
) -> ApiResult<Vec<Carried>> {
    let mut carried: BTreeMap<Sha256, Carried> = BTreeMap::new();
    for (repository, number) in from {
        let target_arch = repository.arch.as_deref().and_then(|arch| arch.parse().ok());
        for original in anima_db::snapshot::originals(connection, repository.id, number).await? {
            if !is_named(only, &original.nevra, &original.source) {
                continue;
            }
            let known = carried.entry(original.artifact);
            let known = known.or_insert_with(|| Carried { original, target_arch, places: Vec::new() });
            known.places.push(repository.path.clone());
        }
    }
    Ok(carried.into_values().collect())
}

async fn of_import(connection: &mut Connection, row: &Release, import: &Import) -> ApiResult<Vec<Carried>> {
    let tasks = anima_db::task::of_release(connection, row.id).await?;
    let Some(task) = import_task(&tasks) else { return Ok(Vec::new()) };
    let repositories = anima_db::repository::list(connection, Some(&row.product)).await?;
    let mut carried = Vec::new();
    for package in anima_db::package::of_task(connection, task.id).await? {
        // What was signed here once is what it was made from: its builder and its verdicts are known.
        let sha256 = anima_db::package::original(connection, package.sha256).await?;
        let original =
            if sha256 == package.sha256 { package } else { anima_db::package::get(connection, sha256).await? };
        let original = original.listed();
        carried.push(Carried {
            target_arch: original.nevra.arch.parse().ok(),
            places: wanted_places(&repositories, import.repository.as_deref(), &original),
            original,
        });
    }
    Ok(carried)
}

/// Returns where an import wants a binary package: in the one repository that it names, or in that of the name for each
/// architecture that the package is for; 32-bit packages without repositories of their own are beside 64-bit ones.
fn wanted_places(repositories: &[Repository], wanted: Option<&str>, package: &RepositoryPackage) -> Vec<String> {
    let Some(wanted) = wanted.filter(|_| !package.is_source() && !is_debug(&package.nevra)) else { return Vec::new() };
    let binary = || repositories.iter().filter(|repository| repository.kind == RepositoryKind::Binary);
    if binary().any(|repository| repository.path == wanted) {
        return vec![wanted.to_string()];
    }
    let arch = package.nevra.arch.as_str();
    let has = |arch: &str| binary().any(|repository| repository.path == format!("{wanted}/{arch}"));
    let arch = if arch == "i686" && !has(arch) { "x86_64" } else { arch };
    let is_meant = |repository: &&Repository| {
        let of = repository.arch.as_deref().unwrap_or_default();
        repository.path == format!("{wanted}/{of}") && (arch == "noarch" || arch == of)
    };
    binary().filter(is_meant).map(|repository| repository.path.clone()).collect()
}

fn is_debug(nevra: &Nevra) -> bool {
    nevra.name.ends_with("-debuginfo")
        || nevra.name.ends_with("-debugsource")
        || nevra.name.contains("-debuginfo-common")
}

/// Returns which of the packages that a release carries have a key's signature: the artifact without it, and with it.
pub async fn signed(
    connection: &mut Connection,
    carried: &[Carried],
    key: KeyId,
) -> ApiResult<BTreeMap<Sha256, Sha256>> {
    let wanted = carried.iter().map(|carried| carried.original.artifact).collect();
    Ok(anima_db::package::signed_of(connection, &wanted, key).await?)
}

/// Returns the newest task that fetches what is imported.
pub fn import_task(tasks: &[Task]) -> Option<&Task> {
    tasks.iter().rev().find(|task| task.about.kind == Kind::Import && task.status != task::Status::Cancelled)
}

/// Returns whether a package is meant by a list of names, names of source packages, and NEVRAs; no list means all.
pub fn is_named(only: &[String], nevra: &Nevra, source: &str) -> bool {
    let text = || nevra.to_string();
    only.is_empty() || only.iter().any(|wanted| *wanted == nevra.name || *wanted == source || *wanted == text())
}

/// Pins what is copied: `PRODUCT` becomes the snapshots of all its repositories that users see now. What is not there is the
/// caller's mistake.
pub async fn pin(connection: &mut Connection, from: &[String]) -> ApiResult<Vec<String>> {
    let mut pinned = Vec::new();
    for text in from {
        let text = text.trim_matches('/');
        let product = text.split('/').next().unwrap_or_default();
        if !text.contains('/') && !text.contains('@') {
            anima_db::product::get(connection, product).await?;
            for repository in anima_db::repository::list(connection, Some(product)).await? {
                if repository.current > 0 {
                    pinned.push(format!("{product}/{}@{}", repository.path, repository.current));
                }
            }
            continue;
        }
        let (repository, number) = find(connection, text).await?;
        pinned.push(format!("{product}/{}@{number}", repository.path));
    }
    match pinned.is_empty() {
        true => Err(ApiError::unprocessable("nothing", "there is nothing to copy: nothing was released there yet")),
        false => Ok(pinned),
    }
}

/// Returns the snapshots of a repository that a copy is pinned to.
pub fn copied_from<'a>(content: &'a Content, repository: &'a Repository) -> impl Iterator<Item = i64> + 'a {
    let places: &[String] = if let Content::Copy { copy, .. } = content { copy } else { &[] };
    places.iter().filter_map(|place| {
        let (address, number) = place.rsplit_once('@')?;
        let (product, path) = address.split_once('/')?;
        (product == repository.product && path == repository.path).then(|| number.parse().ok())?
    })
}

/// Returns what is wrong with a copy whose source is not there any more.
pub async fn missing_source(connection: &mut Connection, content: &Content) -> ApiResult<Option<String>> {
    let Content::Copy { copy, .. } = content else { return Ok(None) };
    for place in copy {
        match find(connection, place).await {
            Ok(_) => {}
            Err(error) if error.status == StatusCode::NOT_FOUND => return Ok(Some(error.body.message)),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

async fn find(connection: &mut Connection, text: &str) -> ApiResult<(Repository, i64)> {
    let hint =
        "Say PRODUCT, PRODUCT/PATH or PRODUCT/PATH@N, such as seed-1/BaseOS/x86_64@3; `anima repo list` shows them.";
    let unknown = || ApiError::not_found(format!("there is no snapshot \"{text}\"")).hint(hint);
    let (address, number) = match text.rsplit_once('@') {
        Some((address, number)) => (address, Some(number.parse::<i64>().map_err(|_| unknown())?)),
        None => (text, None),
    };
    let (product, path) = address.trim_end_matches('/').split_once('/').ok_or_else(unknown)?;
    let repository = anima_db::repository::find(connection, product, path).await?.ok_or_else(unknown)?;
    let number = number.unwrap_or(repository.current);
    match anima_db::snapshot::exists(connection, repository.id, number).await? {
        true => Ok((repository, number)),
        false => Err(unknown()),
    }
}

/// Returns what goes without a successor: what a removal names, and of an exact copy what is not where it is copied from.
pub async fn removals(
    connection: &mut Connection,
    row: &Release,
    there: &BTreeMap<RepositoryId, (Repository, Vec<RepositoryPackage>)>,
) -> ApiResult<Vec<PlanRemoval>> {
    let removal = |repository: &Repository, package: &RepositoryPackage, reason: String| PlanRemoval {
        nevra: package.nevra.clone(),
        repository: repository.id,
        repository_path: repository.path.clone(),
        reason,
    };
    let mut removals = Vec::new();
    match &row.content {
        Content::Removal { remove, from } => {
            for (repository, packages) in there.values() {
                if !from.is_empty() && !from.contains(&repository.path) {
                    continue;
                }
                let named = packages.iter().filter(|package| is_named(remove, &package.nevra, &package.source));
                removals.extend(named.map(|package| removal(repository, package, "it is to be removed".to_string())));
            }
        }
        Content::Copy { copy, exact: true, .. } => {
            let mut wanted: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
            for place in copy {
                let (repository, number) = find(connection, place).await?;
                let packages = anima_db::snapshot::listed(connection, repository.id, number).await?;
                let names = packages.into_iter().map(|package| (package.nevra.name, package.nevra.arch));
                wanted.entry(repository.path).or_default().extend(names);
            }
            for (repository, packages) in there.values() {
                let Some(wanted) = wanted.get(&repository.path) else { continue };
                let gone = packages
                    .iter()
                    .filter(|package| !wanted.contains(&(package.nevra.name.clone(), package.nevra.arch.clone())));
                let reason = "it is not where it is copied from";
                removals.extend(gone.map(|package| removal(repository, package, reason.to_string())));
            }
        }
        _ => {}
    }
    Ok(removals)
}

/// What the tests said of packages, in all builds that made them.
#[derive(Debug, Default)]
pub struct Verdicts {
    builds: BTreeMap<Sha256, BTreeSet<BuildId>>,
    said: BTreeMap<BuildId, BTreeMap<Nevra, bool>>,
}

impl Verdicts {
    /// Reads what is to be known of all that a release carries.
    pub async fn read(connection: &mut Connection, carried: &[Carried]) -> ApiResult<Verdicts> {
        let wanted = carried.iter().map(|carried| carried.original.artifact).collect();
        let builds = anima_db::package::builds(connection, &wanted).await?;
        let mut said = BTreeMap::new();
        for build in builds.values().flatten().copied().collect::<BTreeSet<BuildId>>() {
            said.insert(build, verdicts(connection, build).await?);
        }
        Ok(Verdicts { builds, said })
    }

    /// Returns what the tests said of a package; nothing where it was never tested.
    pub fn of(&self, carried: &Carried) -> Option<bool> {
        let builds = self.builds.get(&carried.original.artifact)?;
        let said = builds.iter().filter_map(|build| self.said.get(build)?.get(&carried.original.nevra));
        said.copied().reduce(|one, other| one && other)
    }
}

async fn verdicts(connection: &mut Connection, build: BuildId) -> ApiResult<BTreeMap<Nevra, bool>> {
    let mut verdicts = BTreeMap::new();
    for task in anima_db::task::of_kind(connection, build, Kind::Test).await? {
        if let Some(Outcome::Test(made)) = &task.result {
            for verdict in &made.verdicts {
                let known = verdicts.entry(verdict.nevra.clone()).or_insert(true);
                *known &= verdict.is_green;
            }
        }
    }
    Ok(verdicts)
}

/// Refuses a repository that is not there, by its address or without its architecture.
pub fn known_places(repositories: &[Repository], places: &[String]) -> ApiResult<()> {
    let is_there = |place: &String| {
        repositories.iter().any(|repository| {
            let of_any_arch = repository.arch.as_ref().is_some_and(|arch| repository.path == format!("{place}/{arch}"));
            repository.path == *place || of_any_arch
        })
    };
    match places.iter().find(|place| !is_there(place)) {
        None => Ok(()),
        Some(place) => {
            let message = format!("the product has no repository \"{place}\"");
            let hint = "`anima repo list --product PRODUCT` shows them; leave the architecture away to mean each.";
            Err(ApiError::unprocessable("unknown_repository", message).hint(hint))
        }
    }
}
