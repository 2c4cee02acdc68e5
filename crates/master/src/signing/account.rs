//! What the master can say of what a task signs: under which lease it came, what the tests say, who wants it signed.

use std::collections::{BTreeMap, BTreeSet};

use anima_db::{
    Connection,
    release::Release,
    task::{Subject, Task},
};
use anima_types::{
    Sha256,
    id::{BuildId, ReleaseId, TaskId},
    release::Content,
    signature::{Account, Imported, Kind as Signed, MadeBy},
    task::{Kind, Status},
};

use crate::{
    error::{ApiError, ApiResult},
    release,
};

/// Returns what can be said of all that a task signs.
pub async fn of_task(connection: &mut Connection, task: &Task) -> ApiResult<Vec<Account>> {
    Ok(match task.about.subject {
        Some(Subject::Packages) => of_packages(connection, task).await?.into_values().collect(),
        Some(Subject::Metadata) => of_metadata(connection, task).await?.into_values().collect(),
        Some(Subject::File) => vec![of_file(connection, task).await?],
        Some(Subject::Key | Subject::Revocation) | None => Vec::new(),
    })
}

/// Returns what can be said of the packages of the task's build.
pub async fn of_packages(connection: &mut Connection, task: &Task) -> ApiResult<BTreeMap<Sha256, Account>> {
    let Some(build) = task.about.build else { return of_carried(connection, task).await };
    let product = product_of(connection, task).await?;
    let row = anima_db::build::get(connection, build).await?;
    let tasks: BTreeMap<TaskId, Task> =
        anima_db::task::standing_of_build(connection, build).await?.into_iter().map(|task| (task.id, task)).collect();
    let approved_by = anima_db::signature::approvals(connection, task.id).await?;
    // Once for each platform: a mass rebuild has as many packages as it has tasks, and more.
    let platforms: BTreeSet<&str> = tasks.values().filter_map(|task| task.about.platform.as_deref()).collect();
    let green: BTreeSet<&str> =
        platforms.into_iter().filter(|platform| is_green(tasks.values(), Some(platform))).collect();
    let mut accounts = BTreeMap::new();
    for (made_by, package) in anima_db::package::of_build(connection, build).await? {
        let made_by = tasks.get(&made_by).filter(|task| task.status == Status::Succeeded);
        let platform = made_by.and_then(|task| task.about.platform.clone());
        let account = Account {
            kind: Signed::Rpm,
            name: package.nevra.to_string(),
            product: product.clone(),
            is_green: platform.as_deref().is_some_and(|platform| green.contains(platform)),
            imported: None,
            made_by: made_by.and_then(lease_of),
            platform,
            build: Some(build),
            release: task.about.release,
            asked_by: Some(row.owner.clone()),
            approved_by: approved_by.clone(),
        };
        accounts.insert(package.artifact, account);
    }
    Ok(accounts)
}

/// Returns what can be said of the packages that a release of no build carries: who built them, or fetched them.
async fn of_carried(connection: &mut Connection, task: &Task) -> ApiResult<BTreeMap<Sha256, Account>> {
    let row = release_of(connection, task).await?;
    let approved_by = anima_db::signature::approvals(connection, task.id).await?;
    let all = release::carried::all(connection, &row).await?;
    let wanted = all.iter().map(|carried| carried.original.artifact).collect();
    let makers = Makers::read(connection, &wanted).await?;
    let mut accounts = BTreeMap::new();
    for carried in all {
        let maker = makers.of(carried.original.artifact);
        let platform = maker.and_then(|task| task.about.platform.clone());
        let build = maker.and_then(|task| task.about.build);
        let account = Account {
            kind: Signed::Rpm,
            name: carried.original.nevra.to_string(),
            product: row.product.clone(),
            // A package of a build of ours is as good as the tests of that build for its platform say, its source package too.
            is_green: build.is_some_and(|build| is_green(makers.builds[&build].iter(), platform.as_deref())),
            imported: maker.and_then(|task| makers.imports.get(&task.about.release?).cloned()),
            platform,
            build,
            release: Some(row.id),
            made_by: maker.and_then(lease_of),
            asked_by: None,
            approved_by: approved_by.clone(),
        };
        accounts.insert(carried.original.artifact, account);
    }
    Ok(accounts)
}

/// Who made packages: tasks of builds, and tasks that imported.
#[derive(Default)]
struct Makers {
    of: BTreeMap<Sha256, TaskId>,
    tasks: BTreeMap<TaskId, Task>,
    builds: BTreeMap<BuildId, Vec<Task>>,
    imports: BTreeMap<ReleaseId, Imported>,
}

impl Makers {
    async fn read(connection: &mut Connection, packages: &BTreeSet<Sha256>) -> ApiResult<Makers> {
        let mut makers = Makers { of: anima_db::package::makers(connection, packages).await?, ..Makers::default() };
        for id in makers.of.values().copied().collect::<BTreeSet<TaskId>>() {
            let task = anima_db::task::get(connection, id).await?;
            if let Some(build) = task.about.build
                && !makers.builds.contains_key(&build)
            {
                makers.builds.insert(build, anima_db::task::standing_of_build(connection, build).await?);
            }
            if let (Kind::Import, Some(release)) = (task.about.kind, task.about.release)
                && let Content::Import { import } = anima_db::release::get(connection, release).await?.content
            {
                let is_verified = !import.gpg_keys.is_empty();
                makers.imports.insert(release, Imported { url: import.url, is_verified });
            }
            makers.tasks.insert(id, task);
        }
        Ok(makers)
    }

    fn of(&self, package: Sha256) -> Option<&Task> {
        self.tasks.get(self.of.get(&package)?)
    }
}

/// Returns the release of a task.
pub async fn release_of(connection: &mut Connection, task: &Task) -> ApiResult<Release> {
    let release = task.about.release.ok_or_else(|| ApiError::internal(format!("task {} has no release", task.id)))?;
    Ok(anima_db::release::get(connection, release).await?)
}

/// Returns what can be said of the indexes of the task's release.
pub async fn of_metadata(connection: &mut Connection, task: &Task) -> ApiResult<BTreeMap<Sha256, Account>> {
    let row = release_of(connection, task).await?;
    let release = row.id;
    let published =
        row.published.ok_or_else(|| ApiError::internal(format!("release {release} has no metadata yet")))?;
    let paths: BTreeMap<_, _> = anima_db::repository::list(connection, Some(&row.product))
        .await?
        .into_iter()
        .map(|repository| (repository.id, repository.path))
        .collect();
    let tasks = anima_db::task::of_release(connection, release).await?;
    let publisher =
        tasks.iter().rev().find(|task| task.about.kind == Kind::Publish && task.status == Status::Succeeded);
    let mut accounts = BTreeMap::new();
    for repository in &published.repositories {
        let path = paths.get(&repository.repository).map_or("", String::as_str);
        let account = Account {
            kind: Signed::Repomd,
            name: format!("{}/{path}/repodata/repomd.xml", row.product),
            product: row.product.clone(),
            platform: None,
            build: task.about.build,
            release: Some(release),
            made_by: publisher.and_then(lease_of),
            is_green: false,
            imported: None,
            asked_by: row.committed_by.clone(),
            approved_by: Vec::new(),
        };
        accounts.insert(repository.repomd, account);
    }
    Ok(accounts)
}

/// Returns what can be said of the file that a person brought.
pub async fn of_file(connection: &mut Connection, task: &Task) -> ApiResult<Account> {
    let file = anima_db::signature::file(connection, task.id).await?;
    Ok(Account {
        kind: file.kind,
        name: file.name,
        product: file.product,
        platform: None,
        build: None,
        release: None,
        made_by: None,
        is_green: false,
        imported: None,
        asked_by: Some(file.asked_by),
        approved_by: anima_db::signature::approvals(connection, task.id).await?,
    })
}

fn lease_of(task: &Task) -> Option<MadeBy> {
    let node = task.node.clone()?;
    Some(MadeBy { task: task.id, lease: task.lease_number, node })
}

/// Whether there are tests of a platform's packages, and all say that they are good.
fn is_green<'a>(tasks: impl Iterator<Item = &'a Task>, platform: Option<&str>) -> bool {
    let mut tests = tasks
        .filter(|task| task.about.kind == Kind::Test && task.about.platform.as_deref() == platform)
        .filter(|task| task.status != Status::Excluded)
        .peekable();
    platform.is_some() && tests.peek().is_some() && tests.all(|task| task.status == Status::Succeeded)
}

/// Returns the product that a build's packages are signed for: the release's, or the one that has the key.
async fn product_of(connection: &mut Connection, task: &Task) -> ApiResult<String> {
    if let Some(release) = task.about.release {
        return Ok(anima_db::release::get(connection, release).await?.product);
    }
    let products = anima_db::product::list(connection).await?;
    let product = products.into_iter().find(|product| product.key == task.about.key);
    let product = product.ok_or_else(|| {
        ApiError::conflict("no_product", "the task's key is no product's any more").hint("Restart the build's signing.")
    })?;
    Ok(product.product.name)
}
