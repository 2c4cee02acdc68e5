//! The API's releases.

use std::collections::{BTreeMap, BTreeSet};

use anima_db::{Write, release::Filter};
use anima_types::{
    Nevra, Sha256, Timestamp, build,
    id::{ReleaseId, RepositoryId},
    permission::Permission,
    release::{
        CommitRelease, Content, CreateRelease, EditRelease, ListQuery, ListedRelease, Release, ScheduleRelease, Status,
    },
    repository::Repository,
    task::Task,
    why::ReleaseWhy,
};
use async_stream::stream;
use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use sha2::Digest as _;

use super::{
    abandon, begin, beside, carried, change,
    decide::{Decider, commit},
    packages_after, people, replan_as, revert, to_release, view,
};
use crate::{
    app::App,
    auth::{Caller, Unchecked},
    error::{ApiError, ApiResult, Json, Path, Query},
    paging::{Page, Paging},
    route::Route,
    target,
};

/// Releases in one answer, where nothing is said and at most.
const DEFAULT_LISTED: u32 = 50;
const MAX_LISTED: u32 = 500;

/// Packages whose metadata is in memory at once for one answer: some megabytes.
const SENT_AT_ONCE: usize = 64;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/releases", Permission::Read, list),
        Route::post("/api/v1/releases", Permission::Release, create).about_body(),
        Route::get("/api/v1/releases/{release}", Permission::Read, show),
        Route::post("/api/v1/releases/{release}/commit", Permission::Release, decide),
        Route::post("/api/v1/releases/{release}/force", Permission::Configure, force),
        Route::post("/api/v1/releases/{release}/edit", Permission::Release, say_where),
        Route::post("/api/v1/releases/{release}/approve", Permission::Release, say_good),
        Route::post("/api/v1/releases/{release}/schedule", Permission::Release, set_time),
        Route::post("/api/v1/releases/{release}/unschedule", Permission::Release, take_time_back),
        Route::post("/api/v1/releases/{release}/abandon", Permission::Release, throw_away),
        Route::post("/api/v1/releases/{release}/revert", Permission::Release, take_back),
        Route::post("/api/v1/releases/{release}/replan", Permission::Release, plan_again),
        Route::get("/api/v1/releases/{release}/why", Permission::Read, because),
        Route::get("/api/v1/releases/{release}/tasks", Permission::Read, tasks),
        Route::get("/api/v1/releases/{release}/packages", Permission::Read, carried_packages),
        Route::get("/api/v1/releases/{release}/repositories/{repository}/packages", Permission::Read, packages),
        Route::get("/api/v1/releases/{release}/repositories/{repository}/added", Permission::Read, added),
    ]
}

async fn list(
    State(app): State<App>,
    paging: Paging,
    Query(query): Query<ListQuery>,
) -> ApiResult<Page<ListedRelease>> {
    let limit = paging.limit_of(DEFAULT_LISTED, MAX_LISTED);
    let filter = Filter { before: paging.after()?, product: query.product, status: query.status };
    let releases = those_that(&app, &filter, limit + 1).await?;
    paging.page(releases, limit, |release| release.id)
}

/// Returns the newest releases, of those that stand so.
pub async fn newest(app: &App, status: Option<Status>) -> ApiResult<Vec<ListedRelease>> {
    those_that(app, &Filter { status, ..Filter::default() }, DEFAULT_LISTED).await
}

async fn those_that(app: &App, filter: &Filter, limit: u32) -> ApiResult<Vec<ListedRelease>> {
    let mut read = app.db.read().await?;
    Ok(anima_db::release::list(&mut read, filter, limit).await?)
}

async fn show(State(app): State<App>, Path(id): Path<ReleaseId>) -> ApiResult<Json<Release>> {
    let mut read = app.db.read().await?;
    let row = anima_db::release::get(&mut read, id).await?;
    Ok(Json(view(&mut read, row).await?))
}

async fn because(State(app): State<App>, Path(id): Path<ReleaseId>) -> ApiResult<Json<ReleaseWhy>> {
    Ok(Json(super::why::why(&app, id).await?))
}

async fn create(
    State(app): State<App>,
    unchecked: Unchecked,
    Json(wanted): Json<CreateRelease>,
) -> ApiResult<(StatusCode, Json<Release>)> {
    let caller = unchecked.about(&[target::product(&wanted.product)])?;
    let mut write = app.db.write(app.now(), &caller).await?;
    anima_db::product::get(&mut write, &wanted.product).await?;
    let content = checked(&mut write, &caller, wanted.product.as_str(), wanted.content).await?;
    let id = begin(&mut write, content, &wanted.product).await?;
    let row = anima_db::release::get(&mut write, id).await?;
    let release = view(&mut write, row).await?;
    write.commit().await?;
    app.release_is_due(id);
    Ok((StatusCode::CREATED, Json(release)))
}

/// Refuses what cannot be released, and pins what moves.
async fn checked(write: &mut Write, caller: &Caller, product: &str, content: Content) -> ApiResult<Content> {
    let nothing = |message: String| Err(ApiError::unprocessable("nothing", message));
    match content {
        Content::Build { build, only } => {
            let row = anima_db::build::get(write, build).await?;
            if row.status != build::Status::Succeeded {
                let message =
                    format!("build {} is {}: only what was built and tested is released", row.id, row.status.name());
                return Err(ApiError::conflict("not_succeeded", message));
            }
            let packages = to_release(write, &row).await?;
            if let Some(missing) =
                missing(&only, packages.iter().map(|(_, package)| (&package.nevra, package.source.as_str())))
            {
                return nothing(format!("build {build} has no package \"{missing}\""));
            }
            Ok(Content::Build { build, only })
        }
        Content::Copy { copy, only, exact } => {
            let copy = carried::pin(write, &copy).await?;
            if exact && !only.is_empty() {
                return nothing("an exact copy is of all packages".to_string());
            }
            Ok(Content::Copy { copy, only, exact })
        }
        Content::Removal { remove, from } => {
            let repositories = anima_db::repository::list(write, Some(product)).await?;
            carried::known_places(&repositories, &from)?;
            let mut there = Vec::new();
            for repository in &repositories {
                there.extend(anima_db::snapshot::listed(write, repository.id, repository.current).await?);
            }
            match missing(&remove, there.iter().map(|package| (&package.nevra, package.source.as_str()))) {
                _ if remove.is_empty() => nothing("a removal names packages".to_string()),
                Some(missing) => nothing(format!("users of {product} see no package \"{missing}\"")),
                None => Ok(Content::Removal { remove, from }),
            }
        }
        Content::Resign { resign } => {
            let repositories = anima_db::repository::list(write, Some(product)).await?;
            if let Some(unknown) = resign.iter().find(|path| !repositories.iter().any(|one| one.path == **path)) {
                return nothing(format!("{product} has no repository \"{unknown}\""));
            }
            let is_meant = |one: &&Repository| resign.is_empty() || resign.contains(&one.path);
            match repositories.iter().filter(is_meant).any(|repository| repository.package_count > 0) {
                true => Ok(Content::Resign { resign }),
                false => nothing(format!("users of {product} see no package there yet")),
            }
        }
        Content::Attachments { attachments } => {
            let repositories = anima_db::repository::list(write, Some(product)).await?;
            if let Some(unknown) = attachments.iter().find(|path| !repositories.iter().any(|one| one.path == **path)) {
                return nothing(format!("{product} has no repository \"{unknown}\""));
            }
            if !attachments.is_empty() {
                return Ok(Content::Attachments { attachments });
            }
            let mut differ = Vec::new();
            for repository in repositories {
                if !beside::differs(write, &repository).await?.is_empty() {
                    differ.push(repository.path);
                }
            }
            match differ.is_empty() {
                true => nothing(format!("users of {product} see all that its repositories have beside their packages")),
                false => Ok(Content::Attachments { attachments: differ }),
            }
        }
        Content::Import { import } => {
            // It has the Release System read an address, or a folder of its machine.
            caller.check(Permission::Configure, &[])?;
            let repositories = anima_db::repository::list(write, Some(product)).await?;
            carried::known_places(&repositories, import.repository.as_slice())?;
            Ok(Content::Import { import })
        }
    }
}

/// Returns the first of the names that none of the packages has.
fn missing<'a>(wanted: &[String], packages: impl Iterator<Item = (&'a Nevra, &'a str)> + Clone) -> Option<String> {
    let is_there = |name: &String| {
        let name = std::slice::from_ref(name);
        packages.clone().any(|(nevra, source)| carried::is_named(name, nevra, source))
    };
    wanted.iter().find(|name| !is_there(name)).cloned()
}

/// What somebody does with a release.
pub enum Act {
    /// Lets packages go elsewhere.
    Edit(EditRelease),
    /// Says that the plan is good.
    Approve(Decider),
    /// Says when it goes.
    Schedule(Decider, Timestamp),
    /// Takes that back.
    Unschedule,
    /// Lets it go.
    Commit(Decider),
    /// Throws the plan away.
    Abandon,
    /// Takes back what users see.
    Revert,
}

/// Returns a word for what a plan says: who decides on a page is held to what they saw there.
pub fn word_of_plan(release: &Release) -> String {
    let plan = (&release.plan, &release.removals, &release.left_out, &release.attachments, &release.gates);
    // What cannot be written as JSON has never been read from it.
    let json = serde_json::to_vec(&plan).unwrap_or_default();
    hex::encode(&sha2::Sha256::digest(json)[..16])
}

/// Does it, and answers with how the release stands then. Where `seen` is the word of another plan than the release has now,
/// nothing is done: who decided has seen something else.
pub async fn act(app: &App, id: ReleaseId, caller: &Caller, seen: Option<&str>, act: Act) -> ApiResult<Json<Release>> {
    let mut write = app.db.write(app.now(), caller).await?;
    let row = anima_db::release::get(&mut write, id).await?;
    if let Some(seen) = seen
        && word_of_plan(&view(&mut write, row.clone()).await?) != seen
    {
        let message = format!("the plan of release {id} is not the one that you saw: it changed meanwhile");
        return Err(ApiError::conflict("plan_changed", message).hint("Look at the plan again, then decide."));
    }
    match act {
        Act::Edit(wanted) => people::edit(&mut write, &row, &caller.name, &wanted).await?,
        Act::Approve(decider) => people::approve(&mut write, &row, &decider).await?,
        Act::Schedule(decider, at) => people::schedule(&mut write, &row, &decider, at).await?,
        Act::Unschedule => people::unschedule(&mut write, &row, &caller.name).await?,
        Act::Commit(decider) => commit(&mut write, &row, &decider).await?,
        Act::Abandon => abandon(&mut write, &row, &caller.name).await?,
        Act::Revert => revert(&mut write, &row, &caller.name).await?,
    }
    let row = anima_db::release::get(&mut write, id).await?;
    let release = view(&mut write, row).await?;
    write.commit().await?;
    app.release_is_due(id);
    Ok(Json(release))
}

/// Returns what somebody says with an act. Who has nothing to say sends no body, as all did before there were gates.
fn said(body: &Bytes) -> ApiResult<Option<String>> {
    let said = if body.is_empty() { CommitRelease::default() } else { Json::from_bytes(body)?.0 };
    Ok(said.reason)
}

async fn say_where(
    State(app): State<App>,
    Path(id): Path<ReleaseId>,
    caller: Caller,
    Json(wanted): Json<EditRelease>,
) -> ApiResult<Json<Release>> {
    act(&app, id, &caller, None, Act::Edit(wanted)).await
}

async fn say_good(
    State(app): State<App>,
    Path(id): Path<ReleaseId>,
    caller: Caller,
    body: Bytes,
) -> ApiResult<Json<Release>> {
    let decider = Decider::person(&caller.name, said(&body)?.as_deref(), false)?;
    act(&app, id, &caller, None, Act::Approve(decider)).await
}

async fn set_time(
    State(app): State<App>,
    Path(id): Path<ReleaseId>,
    caller: Caller,
    Json(wanted): Json<ScheduleRelease>,
) -> ApiResult<Json<Release>> {
    let decider = Decider::person(&caller.name, wanted.reason.as_deref(), false)?;
    act(&app, id, &caller, None, Act::Schedule(decider, wanted.at)).await
}

async fn take_time_back(State(app): State<App>, Path(id): Path<ReleaseId>, caller: Caller) -> ApiResult<Json<Release>> {
    act(&app, id, &caller, None, Act::Unschedule).await
}

async fn decide(
    State(app): State<App>,
    Path(id): Path<ReleaseId>,
    caller: Caller,
    body: Bytes,
) -> ApiResult<Json<Release>> {
    let decider = Decider::person(&caller.name, said(&body)?.as_deref(), false)?;
    act(&app, id, &caller, None, Act::Commit(decider)).await
}

async fn force(
    State(app): State<App>,
    Path(id): Path<ReleaseId>,
    caller: Caller,
    Json(said): Json<CommitRelease>,
) -> ApiResult<Json<Release>> {
    let decider = Decider::person(&caller.name, said.reason.as_deref(), true)?;
    act(&app, id, &caller, None, Act::Commit(decider)).await
}

async fn throw_away(State(app): State<App>, Path(id): Path<ReleaseId>, caller: Caller) -> ApiResult<()> {
    act(&app, id, &caller, None, Act::Abandon).await.map(drop)
}

async fn take_back(State(app): State<App>, Path(id): Path<ReleaseId>, caller: Caller) -> ApiResult<()> {
    act(&app, id, &caller, None, Act::Revert).await.map(drop)
}

async fn plan_again(State(app): State<App>, Path(id): Path<ReleaseId>, caller: Caller) -> ApiResult<()> {
    replan_as(&app, id, &caller).await
}

async fn tasks(State(app): State<App>, paging: Paging, Path(id): Path<ReleaseId>) -> ApiResult<Page<Task>> {
    let mut read = app.db.read().await?;
    anima_db::release::get(&mut read, id).await?;
    let tasks = anima_db::task::of_release(&mut read, id).await?;
    drop(read);
    let tasks = crate::task::views(&app, tasks, Default::default(), Default::default()).await?;
    paging.page_of_all(tasks, |task| task.id)
}

/// What the Release System asks its gates with: the metadata of what the release carries, with the product's signatures.
async fn carried_packages(State(app): State<App>, Path(id): Path<ReleaseId>) -> ApiResult<Response> {
    let mut read = app.db.read().await?;
    let row = anima_db::release::get(&mut read, id).await?;
    let product = anima_db::product::get(&mut read, &row.product).await?;
    let all = carried::all(&mut read, &row).await?;
    let signed = match product.key {
        Some(key) => carried::signed(&mut read, &all, key).await?,
        None => BTreeMap::new(),
    };
    drop(read);
    let signed: BTreeSet<Sha256> = signed.into_values().collect();
    Ok(listed(&app, signed.into_iter().collect()))
}

/// What the Release System makes a repository's metadata from.
async fn packages(
    State(app): State<App>,
    Path((id, repository)): Path<(ReleaseId, RepositoryId)>,
) -> ApiResult<Response> {
    let mut read = app.db.read().await?;
    let row = anima_db::release::get(&mut read, id).await?;
    let packages = packages_after(&mut read, &row, repository).await?;
    drop(read);
    Ok(listed(&app, packages))
}

/// What comes to the last state: all that the Release System needs where that state's metadata can be built upon.
async fn added(State(app): State<App>, Path((id, repository)): Path<(ReleaseId, RepositoryId)>) -> ApiResult<Response> {
    let mut read = app.db.read().await?;
    let row = anima_db::release::get(&mut read, id).await?;
    let change = change(&mut read, &row, repository).await?;
    drop(read);
    Ok(listed(&app, change.added.into_iter().collect()))
}

/// Answers with the metadata of packages, in this order: read and sent some at a time, for those of a distribution have
/// gigabytes. What cannot be read breaks the connection.
fn listed(app: &App, packages: Vec<Sha256>) -> Response {
    let app = app.clone();
    let pieces = stream! {
        yield Ok("[".to_string());
        for (number, some) in packages.chunks(SENT_AT_ONCE).enumerate() {
            let text = match texts(&app, some).await {
                Ok(texts) => texts.join(","),
                Err(error) => {
                    yield Err(error.body.message);
                    return;
                }
            };
            yield Ok(if number > 0 { format!(",{text}") } else { text });
        }
        yield Ok("]".to_string());
    };
    ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(pieces)).into_response()
}

/// Returns what is kept of packages: a [`anima_repodata::PackageXml`] each, as JSON.
async fn texts(app: &App, packages: &[Sha256]) -> ApiResult<Vec<String>> {
    let mut read = app.db.read().await?;
    let mut texts = anima_db::package::xml_of(&mut read, &packages.iter().copied().collect()).await?;
    let text =
        |sha256| texts.remove(sha256).ok_or_else(|| ApiError::internal(format!("package {sha256} is not known")));
    packages.iter().map(text).collect()
}
