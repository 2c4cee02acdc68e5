//! What a node is told to do: a task's row, and all that it rests on, in words that need no database.

use std::collections::BTreeMap;

use anima_db::{Write, package::Built, task::Task};
use anima_repodata::Part;
use anima_types::{
    Arch, Sha256,
    artifact::Artifact,
    build::{Options, Source},
    id::{BuildId, ReleaseId, RepositoryId},
    platform::Platform,
    product::{Product, Reference},
    release::Content,
    repository::{self, RepositoryPackage},
    task::Kind,
    work::{
        BuildWork, FileRef, ImportWork, Input, Outcome, PublishChange, PublishRepository, PublishWork, ReferenceInput,
        RemovedPackage, SrcOutcome, SrcWork, StandsOn, TestPackage, TestWork, Work,
    },
};

use crate::{
    app::App,
    error::{ApiError, ApiResult},
    noarch,
    package_file::location,
    release, signing,
};

/// What was built in the same build is preferred to what the platform has.
const BUILD_PRIORITY: i32 = 1;
/// Then what was built in builds that are linked to it.
const LINKED_PRIORITY: i32 = 2;
/// What was released is like what the platform has: of two versions of a package the higher is taken.
const RELEASED_PRIORITY: i32 = 99;

/// The sources of packages, with what their builds' options are, by build and package.
pub type Sources = BTreeMap<(BuildId, String), (Source, Options)>;

/// Returns the sources of tasks that are given out together: one question of the database, and not one for each task.
pub async fn sources(write: &mut Write, tasks: impl Iterator<Item = &Task>) -> ApiResult<Sources> {
    let from_source = tasks.filter(|task| matches!(task.about.kind, Kind::Src | Kind::Build));
    let packages = from_source.filter_map(|task| Some((task.about.build?, task.about.package.as_deref()?)));
    Ok(anima_db::source::find_all(write, &packages.collect::<Vec<_>>()).await?)
}

/// Returns the work of a task whose source is among `sources`. It may write what the work was made from, in the transaction that
/// gives the task out.
pub async fn of(app: &App, write: &mut Write, sources: &Sources, task: &Task) -> ApiResult<Work> {
    match task.about.kind {
        Kind::Src => src(app, write, sources, task).await.map(Work::Src),
        Kind::Build => build(app, write, sources, task).await.map(Work::Build),
        Kind::Test => test(app, write, task).await.map(Work::Test),
        Kind::Sign => signing::work::of(app, write, task).await.map(Work::Sign),
        Kind::Plan => release::plan_work::of(app, write, task).await.map(Work::Plan),
        Kind::Publish => publish(app, write, task).await.map(Work::Publish),
        Kind::Import => import(write, task).await.map(Work::Import),
    }
}

async fn src(app: &App, write: &mut Write, sources: &Sources, task: &Task) -> ApiResult<SrcWork> {
    let (build, package) = (build_of(task)?, package_of(task)?);
    let (source, options) = sources
        .get(&(build, package.clone()))
        .ok_or_else(|| ApiError::internal(format!("build {build} has no source {package}")))?;
    let (platform, arch) = (platform_with(app, task, options)?, arch_of(task)?);
    let git = app.config.git_url.trim_end_matches('/');
    Ok(SrcWork {
        build,
        git_url: format!("{git}/{package}.git"),
        commit: source.commit.clone(),
        lookaside_url: format!("{git}/lookaside"),
        inputs: platform_inputs(app, write, &platform, arch).await?,
        package,
        platform,
        arch,
    })
}

async fn build(app: &App, write: &mut Write, sources: &Sources, task: &Task) -> ApiResult<BuildWork> {
    let (build, package) = (build_of(task)?, package_of(task)?);
    let source = sources.get(&(build, package.clone())).cloned();
    let (commit, options) = source.map(|(source, options)| (source.commit, options)).unwrap_or_default();
    let (platform, arch) = (platform_with(app, task, &options)?, arch_of(task)?);
    let made_of = anima_db::task::of_package(write, build, Kind::Src, &package, &platform.name).await?;
    let made = source_package(&made_of, &package, &platform.name)
        .ok_or_else(|| ApiError::internal(format!("{package} of build {build} has no source package")))?;
    let srpm = file(app, write, made.srpm).await?;
    let linked = &options.linked;
    let inputs = inputs_with_build(app, write, (build, linked), &platform, arch).await?;
    Ok(BuildWork { build, package, srpm, commit, inputs, platform, arch })
}

async fn test(app: &App, write: &mut Write, task: &Task) -> ApiResult<TestWork> {
    let build = build_of(task)?;
    let options = anima_db::build::get(write, build).await?.options;
    let (platform, arch) = (platform_with(app, task, &options)?, arch_of(task)?);
    let built = built(write, build, &platform.name, arch).await?;
    let wanted: Vec<Sha256> = built.iter().map(|package| package.artifact).collect();
    let files = anima_db::artifact::find_all(write, &wanted).await?;
    let mut packages = Vec::with_capacity(built.len());
    for package in built {
        let file = file_ref(app, package.artifact, files.get(&package.artifact).cloned())?;
        packages.push(TestPackage { file, nevra: package.nevra });
    }
    let inputs = inputs_with_build(app, write, (build, &options.linked), &platform, arch).await?;
    Ok(TestWork { build, packages, inputs, platform, arch })
}

/// Returns what a product's packages may need beside its own repositories: what its platforms are built from, and what was
/// released of them. A product that a platform releases to stands on that platform.
pub async fn stands_on(app: &App, write: &mut Write, product: &Product) -> ApiResult<Vec<StandsOn>> {
    let product = &product.product;
    let is_its = |platform: &&Platform| {
        product.options.platforms.contains(&platform.name) || platform.release_to.as_ref() == Some(&product.name)
    };
    let platforms: Vec<&Platform> = app.config.platforms.iter().filter(is_its).collect();
    let mut stands_on = Vec::new();
    for &arch in &product.architectures {
        let mut inputs: Vec<Input> = Vec::new();
        for platform in platforms.iter().filter(|platform| platform.architectures.contains(&arch)) {
            let own = platform_inputs(app, write, platform, arch).await?;
            let is_own = |input: &Input| input.url.starts_with(&app.url(&format!("repos/{}/", product.name)));
            inputs.extend(own.into_iter().filter(|input| !is_own(input)));
        }
        stands_on.push(StandsOn { arch, inputs });
    }
    Ok(stands_on)
}

/// Returns the repositories elsewhere that a product is compared with.
pub fn references(app: &App, product: &Product) -> Vec<ReferenceInput> {
    let product = &product.product;
    let of = |reference: &Reference, arch: &Arch| ReferenceInput {
        path: format!("{}/{arch}", reference.repository),
        url: reference.url.replace("{arch}", arch.name()).replace("{master}", app.url("").trim_end_matches('/')),
    };
    let all =
        product.architectures.iter().flat_map(|arch| product.options.references.iter().map(move |one| of(one, arch)));
    all.collect()
}

async fn import(write: &mut Write, task: &Task) -> ApiResult<ImportWork> {
    let id = release_of(task)?;
    match anima_db::release::get(write, id).await?.content {
        Content::Import { import } => Ok(ImportWork { release: id, import }),
        other => Err(ApiError::internal(format!("release {id} carries {other}, which is not fetched"))),
    }
}

async fn publish(app: &App, write: &mut Write, task: &Task) -> ApiResult<PublishWork> {
    let id = release_of(task)?;
    let row = anima_db::release::get(write, id).await?;
    let mut repositories = Vec::new();
    for repository in release::changed_repositories(write, &row).await? {
        let address = app.url(&format!("api/v1/releases/{id}/repositories/{repository}"));
        repositories.push(PublishRepository {
            repository,
            packages_url: format!("{address}/packages"),
            compression: anima_db::repository::compression(write, repository).await?,
            change: publish_change(app, write, &row, repository, format!("{address}/added")).await?,
            attachments: anima_db::repository::attachments(write, repository).await?,
        });
    }
    Ok(PublishWork { release: id, revision: write.now.epoch_secs(), repositories })
}

/// Returns what is different from the last state, where the Release System can build upon that state's metadata.
async fn publish_change(
    app: &App,
    write: &mut Write,
    row: &anima_db::release::Release,
    repository: RepositoryId,
    added_url: String,
) -> ApiResult<Option<PublishChange>> {
    let base = row.base.get(&repository).copied().unwrap_or(0);
    let Some(metadata) = anima_db::snapshot::metadata(write, repository, base).await? else { return Ok(None) };
    let mut files = Vec::new();
    for part in Part::ALL {
        let end = format!("-{}", part.file_name());
        let Some((_, sha256)) = metadata.files.iter().find(|(path, _)| path.contains(&end)) else { return Ok(None) };
        files.push(file(app, write, *sha256).await?);
    }
    let change = release::change(write, row, repository).await?;
    let removed = change.removed.into_iter();
    let removed = removed
        .map(|package| RemovedPackage { location: location(&package.nevra), sha256: package.artifact })
        .collect();
    Ok(Some(PublishChange { layout: file(app, write, metadata.layout).await?, files, added_url, removed }))
}

/// Returns the packages that succeeded tasks of a target made; what is noarch is for every target.
pub async fn built(
    connection: &mut anima_db::Connection,
    build: BuildId,
    platform: &str,
    arch: Arch,
) -> ApiResult<Vec<RepositoryPackage>> {
    Ok(of_target(anima_db::package::built(connection, build, platform).await?, arch))
}

/// Leaves what is for an architecture of all that was built.
pub fn of_target(mut built: Vec<Built>, arch: Arch) -> Vec<RepositoryPackage> {
    built.retain(|one| one.arch == Some(arch) || one.package.nevra.arch == "noarch");
    noarch::taken_once(built).into_iter().map(|one| one.package).collect()
}

/// Returns what the `src` task of a package said, if it succeeded.
pub fn source_package<'a>(tasks: &'a [Task], package: &str, platform: &str) -> Option<&'a SrcOutcome> {
    let is_its = |task: &&Task| {
        task.about.kind == Kind::Src
            && task.about.package.as_deref() == Some(package)
            && task.about.platform.as_deref() == Some(platform)
    };
    match tasks.iter().find(is_its)?.result.as_ref()? {
        Outcome::Src(made) => Some(made),
        _ => None,
    }
}

/// Returns a repository of what was built here.
fn own_input(name: String, url: String, priority: i32) -> Input {
    Input { name, url, priority, module_hotfixes: true, is_own: true, ..Input::default() }
}

async fn inputs_with_build(
    app: &App,
    write: &mut Write,
    (build, linked): (BuildId, &[BuildId]),
    platform: &Platform,
    arch: Arch,
) -> ApiResult<Vec<Input>> {
    let mut inputs = platform_inputs(app, write, platform, arch).await?;
    if anima_db::task::has_built(write, build).await? {
        let url = app.url(&format!("builds/{build}/repo/{}/{}/", platform.name, arch.name()));
        let name = format!("build-{build}");
        inputs.push(own_input(name, url, BUILD_PRIORITY));
    }
    for &linked in linked {
        if anima_db::task::has_built(write, linked).await? {
            let url = app.url(&format!("builds/{linked}/repo/{}/{}/", platform.name, arch.name()));
            let name = format!("build-{linked}");
            inputs.push(own_input(name, url, LINKED_PRIORITY));
        }
    }
    Ok(inputs)
}

/// Returns the platform's own repositories, and what was released of it so far: a package may need another that was
/// built before it. A release's snapshot never changes, so that a root can be told from its inputs.
async fn platform_inputs(app: &App, write: &mut Write, platform: &Platform, arch: Arch) -> ApiResult<Vec<Input>> {
    let input = |repository: &anima_types::platform::Repository| repository.input(arch, &app.config.public_url);
    let mut inputs: Vec<Input> = platform.repositories.iter().map(input).collect();
    let Some(product) = &platform.release_to else { return Ok(inputs) };
    for repository in anima_db::repository::list(write, Some(product)).await? {
        let is_its = repository.kind == repository::Kind::Binary && repository.arch.as_deref() == Some(arch.name());
        if is_its && repository.current > 0 {
            let path = format!("{product}/{}@{}", repository.path, repository.current);
            let (name, url) =
                (format!("{product}-{}", repository.path.replace('/', "-")), app.url(&format!("repos/{path}/")));
            inputs.push(own_input(name, url, RELEASED_PRIORITY));
        }
    }
    Ok(inputs)
}

async fn file(app: &App, write: &mut Write, sha256: Sha256) -> ApiResult<FileRef> {
    file_ref(app, sha256, anima_db::artifact::find(write, sha256).await?)
}

fn file_ref(app: &App, sha256: Sha256, artifact: Option<Artifact>) -> ApiResult<FileRef> {
    let artifact = artifact.ok_or_else(|| ApiError::internal(format!("artifact {sha256} is not known")))?;
    let url = app.url(&format!("api/v1/artifacts/{sha256}"));
    Ok(FileRef { sha256, name: artifact.name, url, size_bytes: artifact.size_bytes })
}

fn platform_of(app: &App, task: &Task) -> ApiResult<Platform> {
    let name = task.about.platform.as_deref().unwrap_or_default();
    app.platform(name).cloned().ok_or_else(|| {
        ApiError::unprocessable("unknown_platform", format!("platform \"{name}\" is not configured any more"))
            .hint("Put its file back, or cancel the build.")
    })
}

/// Returns the platform with the flavors of the task's build.
fn platform_with(app: &App, task: &Task, options: &Options) -> ApiResult<Platform> {
    let mut platform = platform_of(app, task)?.with_flavors(&options.flavors).map_err(|why| {
        ApiError::unprocessable("unknown_flavor", why)
            .hint("Put it back into the platform's file, or cancel the build.")
    })?;
    // That is the master's to look at, and a node of an earlier version does not know the word.
    platform.packages.values_mut().for_each(|options| options.needs.clear());
    Ok(platform)
}

fn build_of(task: &Task) -> ApiResult<BuildId> {
    task.about.build.ok_or_else(|| ApiError::internal(format!("task {} has no build", task.id)))
}

/// Returns the release of a task that has to have one.
pub fn release_of(task: &Task) -> ApiResult<ReleaseId> {
    task.about.release.ok_or_else(|| ApiError::internal(format!("task {} has no release", task.id)))
}

fn package_of(task: &Task) -> ApiResult<String> {
    task.about.package.clone().ok_or_else(|| ApiError::internal(format!("task {} has no package", task.id)))
}

fn arch_of(task: &Task) -> ApiResult<Arch> {
    task.about.arch.ok_or_else(|| ApiError::internal(format!("task {} has no architecture", task.id)))
}
