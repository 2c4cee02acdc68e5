//! Mass rebuilds: begun, held in bounds, looked at, and released as one. What moves them on is `build::advance`.

use std::collections::{BTreeMap, BTreeSet};

use anima_db::{
    Write,
    build::{Build, NewBuild},
    rebuild::{Rebuild as Row, Standing},
    task::Task,
};
use anima_types::{
    Arch,
    build::{Source, SourceRef, Status as BuildStatus},
    id::BuildId,
    permission::Permission,
    platform::Platform,
    rebuild::{CreateRebuild, FailedTask, LeaveOut, LimitRebuild, MAX_PACKAGES, Progress, Rebuild, RebuildReleases},
    task::{Event, Kind, Status},
    work::SrcOutcome,
};
use axum::{extract::State, http::StatusCode};

use crate::{
    app::App,
    auth::{Caller, Unchecked},
    build::{self, queue::UNKNOWN_SECS},
    error::{ApiError, ApiResult, Json, Path},
    paging::{Page, Paging},
    route::Route,
    target,
    task::restart_row,
};

/// Rebuilds in one answer, where nothing is said, and at most: all tasks of each are added up.
pub const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 100;
/// Failed tasks that are told of at most; how many there are is said.
const MAX_FAILED: u32 = 200;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/rebuilds", Permission::Read, list),
        Route::post("/api/v1/rebuilds", Permission::Build, create).about_body(),
        Route::get("/api/v1/rebuilds/{build}", Permission::Read, show),
        on("/api/v1/rebuilds/{build}/pause", || Act::Pause),
        on("/api/v1/rebuilds/{build}/resume", || Act::Resume),
        Route::put("/api/v1/rebuilds/{build}/limit", Permission::Build, limit),
        on("/api/v1/rebuilds/{build}/retry", || Act::Retry),
        Route::post("/api/v1/rebuilds/{build}/leave-out", Permission::Build, without),
        on("/api/v1/rebuilds/{build}/cancel", || Act::Cancel),
        Route::post("/api/v1/rebuilds/{build}/release", Permission::Release, release_all),
    ]
}

async fn list(State(app): State<App>, paging: Paging) -> ApiResult<Page<Rebuild>> {
    let limit = paging.limit_of(DEFAULT_LIMIT, MAX_LIMIT);
    // One more says whether there are more.
    let rebuilds = newest(&app, paging.after()?, limit + 1).await?;
    paging.page(rebuilds, limit, |rebuild| rebuild.build.id)
}

/// Returns mass rebuilds, the newest first, before one where that is said.
pub async fn newest(app: &App, before: Option<BuildId>, limit: u32) -> ApiResult<Vec<Rebuild>> {
    let mut read = app.db.read().await?;
    let mut rebuilds = Vec::new();
    for row in anima_db::rebuild::list(&mut read, before, limit).await? {
        rebuilds.push(view(app, &mut read, row).await?);
    }
    Ok(rebuilds)
}

async fn show(State(app): State<App>, Path(id): Path<BuildId>) -> ApiResult<Json<Rebuild>> {
    Ok(Json(one(&app, id).await?))
}

/// Returns a mass rebuild.
pub async fn one(app: &App, id: BuildId) -> ApiResult<Rebuild> {
    let mut read = app.db.read().await?;
    let row = anima_db::rebuild::get(&mut read, id).await?;
    view(app, &mut read, row).await
}

async fn create(
    State(app): State<App>,
    unchecked: Unchecked,
    Json(wanted): Json<CreateRebuild>,
) -> ApiResult<(StatusCode, Json<Rebuild>)> {
    let targets = [target::platform(&app, &wanted.platform)];
    let caller = unchecked.about(&targets)?;
    build::check_priority(&caller, wanted.priority, &targets)?;
    check_limit(wanted.limit)?;
    let platform = build::platforms(&app, std::slice::from_ref(&wanted.platform))?[0];
    let sources = sources(&app, platform, &wanted).await?;
    let architectures = match wanted.architectures.is_empty() {
        true => build::all_architectures(&[platform]),
        false => wanted.architectures,
    };
    let mut write = app.db.write(app.now(), &caller).await?;
    let new = NewBuild {
        owner: caller.name.clone(),
        reason: format!("a mass rebuild that {} asked for", caller.name),
        platforms: vec![platform.name.clone()],
        architectures: architectures.clone(),
        priority: wanted.priority,
        summary: "Source packages are made.".to_string(),
        gather: None,
    };
    let id = anima_db::build::insert(&mut write, &new).await?;
    let mut row = Row { build: id, is_paused: false, limit: None };
    anima_db::rebuild::insert(&mut write, &row).await?;
    if wanted.limit.is_some() {
        row.limit = wanted.limit;
        anima_db::rebuild::set(&mut write, &row, "limited", limited(&caller.name, wanted.limit)).await?;
    }
    if wanted.is_paused {
        row.is_paused = true;
        anima_db::rebuild::set(&mut write, &row, "paused", paused(&caller.name)).await?;
    }
    // What is begun is the bounds' to say.
    build::add_held_sources(&app, &mut write, id, &sources, &[platform], &architectures).await?;
    build::advance::advance(&app, &mut write, id).await?;
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(one(&app, id).await?)))
}

/// Returns the packages of a rebuild at their commits.
async fn sources(app: &App, platform: &Platform, wanted: &CreateRebuild) -> ApiResult<Vec<Source>> {
    let mut read = app.db.read().await?;
    let known = build::known(&mut read, platform).await?;
    let names = names(wanted, &known)?;
    if let Some(reference) = &wanted.reference {
        drop(read);
        let named = names
            .into_iter()
            .map(|package| SourceRef { package: package.to_string(), reference: Some(reference.clone()) });
        return build::resolve(app, &named.collect::<Vec<_>>(), platform).await;
    }
    let mut last = anima_db::source::last_made(&mut read, &platform.name).await?;
    let of = |package: &str| {
        last.remove(package).ok_or_else(|| {
            ApiError::unprocessable("never_built", format!("{package} was never built on {}", platform.name))
                .hint("Say --reference BRANCH, so that its newest commit is built.")
        })
    };
    names.into_iter().map(of).collect()
}

fn names<'a>(wanted: &'a CreateRebuild, known: &'a BTreeMap<String, SrcOutcome>) -> ApiResult<BTreeSet<&'a str>> {
    let mut names: BTreeSet<&str> = match wanted.packages.is_empty() {
        true => known.keys().map(String::as_str).collect(),
        false => wanted.packages.iter().map(String::as_str).collect(),
    };
    if wanted.with_dependants {
        names.extend(build::dependants(&names, known));
    }
    if names.is_empty() {
        return Err(ApiError::unprocessable(
            "nothing_known",
            format!("no package was ever built on {}: there is nothing to rebuild", wanted.platform),
        ));
    }
    if names.len() > MAX_PACKAGES {
        let message = format!("a mass rebuild has at most {MAX_PACKAGES} packages, and these are {}", names.len());
        return Err(ApiError::unprocessable("too_many", message).hint("Rebuild them in parts, one after the other."));
    }
    Ok(names)
}

fn check_limit(limit: Option<u32>) -> ApiResult<()> {
    match limit {
        Some(0) => Err(ApiError::unprocessable("no_limit", "a bound of no task at all would never end")
            .hint("Pause it: `anima rebuild pause`.")),
        _ => Ok(()),
    }
}

/// What is done with a mass rebuild that is there.
pub enum Act {
    /// Nothing more is begun.
    Pause,
    /// It goes on.
    Resume,
    /// So many tasks are under way at once at most; none takes the bound away.
    Limit(Option<u32>),
    /// What failed is tried again.
    Retry,
    /// It goes on without packages.
    LeaveOut(LeaveOut),
    /// It is stopped.
    Cancel,
}

/// Does it; returns the rebuild as it is then.
pub async fn act(app: &App, id: BuildId, caller: &Caller, act: Act) -> ApiResult<Rebuild> {
    let who = &caller.name;
    match act {
        Act::Pause => hold(app, id, caller, "paused", paused(who), |row| row.is_paused = true).await?,
        Act::Resume => {
            let message = format!("{who} resumed the rebuild.");
            hold(app, id, caller, "resumed", message, |row| row.is_paused = false).await?;
        }
        Act::Limit(limit) => {
            check_limit(limit)?;
            hold(app, id, caller, "limited", limited(who, limit), |row| row.limit = limit).await?;
        }
        Act::Retry => {
            let mut write = app.db.write(app.now(), caller).await?;
            anima_db::rebuild::get(&mut write, id).await?;
            build::restart_as(&mut write, id, who).await?;
            write.commit().await?;
            app.build_is_due(id);
        }
        Act::LeaveOut(wanted) => leave_out(app, id, caller, &wanted).await?,
        Act::Cancel => {
            let mut write = app.db.write(app.now(), caller).await?;
            anima_db::rebuild::get(&mut write, id).await?;
            build::cancel_as(&mut write, id, who).await?;
            write.commit().await?;
        }
    }
    one(app, id).await
}

/// Returns a route of the API that does something for which nothing else has to be said.
fn on(path: &'static str, what: fn() -> Act) -> Route {
    Route::post(
        path,
        Permission::Build,
        async move |State(app): State<App>, Path(id): Path<BuildId>, caller: Caller| {
            act(&app, id, &caller, what()).await.map(Json)
        },
    )
}

async fn limit(
    State(app): State<App>,
    Path(id): Path<BuildId>,
    caller: Caller,
    Json(wanted): Json<LimitRebuild>,
) -> ApiResult<Json<Rebuild>> {
    act(&app, id, &caller, Act::Limit(wanted.limit)).await.map(Json)
}

async fn without(
    State(app): State<App>,
    Path(id): Path<BuildId>,
    caller: Caller,
    Json(wanted): Json<LeaveOut>,
) -> ApiResult<Json<Rebuild>> {
    act(&app, id, &caller, Act::LeaveOut(wanted)).await.map(Json)
}

fn paused(who: &str) -> String {
    format!("{who} paused the rebuild: nothing is begun, what runs goes on.")
}

fn limited(who: &str, limit: Option<u32>) -> String {
    match limit {
        Some(1) => format!("{who} lets the rebuild have at most 1 task under way at once."),
        Some(limit) => format!("{who} lets the rebuild have at most {limit} tasks under way at once."),
        None => format!("{who} took the rebuild's bound away."),
    }
}

/// Changes the bounds, and what is under way with them: both hold when this is answered.
async fn hold(
    app: &App,
    id: BuildId,
    caller: &Caller,
    verb: &'static str,
    message: String,
    change: impl FnOnce(&mut Row),
) -> ApiResult<()> {
    let mut write = app.db.write(app.now(), caller).await?;
    let before = anima_db::rebuild::get(&mut write, id).await?;
    let mut row = before;
    change(&mut row);
    if row != before {
        anima_db::rebuild::set(&mut write, &row, verb, message).await?;
        build::advance::advance(app, &mut write, id).await?;
        write.commit().await?;
        app.build_is_due(id);
    }
    Ok(())
}

/// Lets a rebuild go on without packages that fail: what needs them is built with what was released.
async fn leave_out(app: &App, id: BuildId, caller: &Caller, wanted: &LeaveOut) -> ApiResult<()> {
    let mut write = app.db.write(app.now(), caller).await?;
    anima_db::rebuild::get(&mut write, id).await?;
    let tasks = anima_db::task::standing_of_build(&mut write, id).await?;
    let tasks: Vec<&Task> = tasks.iter().filter(|task| matches!(task.about.kind, Kind::Src | Kind::Build)).collect();
    let failed = |task: &&&Task| matches!(task.status, Status::Failed | Status::Cancelled);
    let meant: BTreeSet<&str> = match wanted.packages.is_empty() {
        true => tasks.iter().filter(failed).filter_map(|task| task.about.package.as_deref()).collect(),
        false => wanted.packages.iter().map(String::as_str).collect(),
    };
    if let Some(unknown) =
        meant.iter().find(|name| !tasks.iter().any(|task| task.about.package.as_deref() == Some(**name)))
    {
        return Err(ApiError::not_found(format!("the rebuild {id} has no package \"{unknown}\"")));
    }
    if meant.is_empty() {
        return Err(ApiError::conflict("nothing_failed", format!("nothing of the rebuild {id} failed")));
    }
    if let Some(built) = meant.iter().find(|name| is_built(&tasks, name)) {
        let hint = format!(
            "Leave it out of the release, once that is planned: `anima release edit RELEASE {built} --leave-out --reason TEXT`."
        );
        let message =
            format!("{built} is built: what the rebuild {id} made of it stays, and others were built with it");
        return Err(ApiError::conflict("already_built", message).hint(hint));
    }
    build::reopen(&mut write, id, &caller.name).await?;
    for task in tasks.into_iter().filter(|task| task.about.package.as_deref().is_some_and(|name| meant.contains(name)))
    {
        leave_out_task(&mut write, task, &caller.name, &wanted.reason).await?;
    }
    build::restart_blocked(&mut write, id, &caller.name).await?;
    write.commit().await?;
    app.build_is_due(id);
    Ok(())
}

/// Returns whether nothing of a package is left to be left out, as it was built.
fn is_built(tasks: &[&Task], package: &str) -> bool {
    let its = || tasks.iter().filter(|task| task.about.package.as_deref() == Some(package));
    its().any(|task| task.about.kind == Kind::Build && task.status == Status::Succeeded)
        && its().all(|task| matches!(task.status, Status::Succeeded | Status::Excluded))
}

async fn leave_out_task(write: &mut Write, task: &Task, who: &str, reason: &str) -> ApiResult<()> {
    let why = format!("{who} left it out: {reason}");
    match task.status {
        Status::Waiting | Status::Ready => {
            anima_db::task::apply(write, task, Event::Excluded, &why).await?;
        }
        Status::Failed | Status::Blocked | Status::Cancelled | Status::Leased => {
            // Who wants it out wants the node to stop, too.
            if task.status == Status::Leased {
                anima_db::task::apply(write, task, Event::Cancelled, &why).await?;
            }
            let task = anima_db::task::get(write, task.id).await?;
            restart_row(write, &task, who).await?;
            let task = anima_db::task::get(write, task.id).await?;
            anima_db::task::apply(write, &task, Event::Excluded, &why).await?;
        }
        Status::Succeeded | Status::Excluded => {}
    }
    Ok(())
}

/// Plans one release of all that was rebuilt, for each product that the platform releases to; gates are asked as always.
pub async fn release(app: &App, id: BuildId, caller: &Caller) -> ApiResult<RebuildReleases> {
    let mut write = app.db.write(app.now(), caller).await?;
    anima_db::rebuild::get(&mut write, id).await?;
    let row = anima_db::build::get(&mut write, id).await?;
    if row.status != BuildStatus::Succeeded {
        let message =
            format!("rebuild {id} is {}: it is released when all of it is built and tested", row.status.name());
        return Err(ApiError::conflict("not_succeeded", message)
            .hint("Retry what failed, or leave it out: `anima rebuild retry`, `anima rebuild leave-out`."));
    }
    crate::release::to_release(&mut write, &row).await?;
    let products: BTreeSet<String> =
        row.platforms.iter().filter_map(|name| app.platform(name)?.release_to.clone()).collect();
    if products.is_empty() {
        return Err(ApiError::unprocessable(
            "no_product",
            format!("the platform of rebuild {id} releases to no product"),
        ));
    }
    // The address is about the platform or its product: who has the platform alone builds for it, and gives users nothing.
    for product in &products {
        caller.check(Permission::Release, &[target::product(product)])?;
    }
    let earlier = anima_db::release::of_build(&mut write, id).await?;
    let mut releases: Vec<_> = earlier.iter().map(|(id, _)| *id).collect();
    let wanted = products.into_iter().filter(|product| !earlier.iter().any(|(_, other)| other == product));
    for product in wanted.collect::<Vec<_>>() {
        releases.push(crate::release::begin(&mut write, id, &product).await?);
    }
    write.commit().await?;
    releases.iter().for_each(|release| app.release_is_due(*release));
    Ok(RebuildReleases { build: id, releases })
}

async fn release_all(
    State(app): State<App>,
    Path(id): Path<BuildId>,
    caller: Caller,
) -> ApiResult<(StatusCode, Json<RebuildReleases>)> {
    Ok((StatusCode::CREATED, Json(release(&app, id, &caller).await?)))
}

async fn view(app: &App, read: &mut anima_db::Read, row: Row) -> ApiResult<Rebuild> {
    let build = anima_db::build::get(read, row.build).await?;
    let tasks = anima_db::rebuild::standing(read, row.build).await?;
    let failed = anima_db::task::failed_of_build(read, row.build, MAX_FAILED).await?;
    let package_count = anima_db::source::count(read, row.build).await?;
    let platform = app.platform(build.platforms.first().map_or("", String::as_str));
    let slots = match platform.filter(|_| !build.status.is_ended()) {
        Some(platform) => build::slots(app, platform).await?,
        None => BTreeMap::new(),
    };
    let at_most = |slots: u32| slots.min(row.limit.unwrap_or(u32::MAX));
    let slots = slots.into_iter().map(|(arch, slots)| (arch, at_most(slots))).collect();
    let view = build::view_without_sources(read, build.clone()).await?;
    Ok(Rebuild {
        releases: view.releases.clone(),
        build: view,
        package_count,
        is_paused: row.is_paused,
        limit: row.limit,
        progress: progress(&tasks),
        secs_left: secs_left(&build, &tasks, &slots),
        failed_count: tasks.iter().filter(|group| group.status == Status::Failed).map(|group| group.count).sum(),
        failed: failed.into_iter().map(told).collect(),
    })
}

fn told(task: Task) -> FailedTask {
    FailedTask {
        task: task.id,
        kind: task.about.kind,
        package: task.about.package,
        arch: task.about.arch,
        why: task.failure.map_or(task.why, |failure| failure.message),
    }
}

fn progress(tasks: &[Standing]) -> Vec<Progress> {
    let mut by_place: BTreeMap<(Kind, Option<Arch>), Progress> = BTreeMap::new();
    for group in tasks {
        let kind = group.kind;
        let arch = group.arch.filter(|_| kind != Kind::Src);
        let none = || Progress { kind, arch, waiting: 0, ready: 0, leased: 0, done: 0, failed: 0 };
        let place = by_place.entry((kind, arch)).or_insert_with(none);
        let part = match group.status {
            Status::Waiting => &mut place.waiting,
            Status::Ready => &mut place.ready,
            Status::Leased => &mut place.leased,
            Status::Succeeded | Status::Excluded => &mut place.done,
            Status::Failed | Status::Blocked | Status::Cancelled => &mut place.failed,
        };
        *part += group.count;
    }
    by_place.into_values().collect()
}

/// Returns about how long the packages that are not built yet take: the work on the slots of its architecture, or the longest
/// chain, whichever is longer, of the slowest architecture.
fn secs_left(build: &Build, tasks: &[Standing], slots: &BTreeMap<Arch, u32>) -> Option<f64> {
    if build.status.is_ended() {
        return Some(0.0);
    }
    let builds: Vec<&Standing> = tasks.iter().filter(|group| group.kind == Kind::Build).collect();
    if builds.is_empty() {
        return None;
    }
    let mut longest: f64 = 0.0;
    for (&arch, &slots) in slots {
        let open = builds.iter().filter(|group| group.arch == Some(arch) && !group.status.is_ended());
        let (work, chain) = open.fold((0.0_f64, 0.0_f64), |(work, chain), group| {
            let unknown_secs = group.unknown_count as f64 * UNKNOWN_SECS;
            let longest = (group.longest_secs as f64).max(unknown_secs.min(UNKNOWN_SECS));
            (work + group.known_secs as f64 + unknown_secs, chain.max(longest))
        });
        longest = longest.max(chain).max(work / f64::from(slots.max(1)));
    }
    Some(longest)
}

#[cfg(test)]
mod tests {
    use anima_types::{Timestamp, build::Priority};

    use super::*;

    fn group(status: Status, [known_secs, unknown_count, longest_secs]: [i64; 3]) -> Standing {
        let (kind, arch) = (Kind::Build, Some(Arch::X86_64));
        Standing { kind, arch, status, count: 1, known_secs, unknown_count, longest_secs }
    }

    fn building(status: BuildStatus) -> Build {
        Build {
            id: BuildId(1),
            status,
            owner: "ann".into(),
            team: None,
            reason: String::new(),
            platforms: vec!["p1".into()],
            architectures: vec![Arch::X86_64],
            priority: Priority::Background,
            summary: String::new(),
            gather_until: None,
            created_at: Timestamp(0),
            ended_at: None,
            options: Default::default(),
            deleted_at: None,
            circles: Vec::new(),
        }
    }

    #[test]
    fn what_is_left_is_the_work_on_the_slots_or_the_longest_chain() {
        let open = building(BuildStatus::Building);
        let slots = |count| BTreeMap::from([(Arch::X86_64, count)]);
        let tasks = [
            group(Status::Succeeded, [900, 0, 900]),
            group(Status::Ready, [100, 0, 250]),
            group(Status::Waiting, [150, 1, 150]),
        ];

        assert_eq!(secs_left(&open, &tasks, &slots(1)), Some(310.0), "one slot does all the work");
        assert_eq!(secs_left(&open, &tasks, &slots(9)), Some(250.0), "a chain is a chain");
        assert_eq!(secs_left(&open, &[], &slots(1)), None, "the order is not known yet");
        assert_eq!(secs_left(&building(BuildStatus::Succeeded), &tasks, &slots(1)), Some(0.0));
    }

    #[test]
    fn progress_counts_each_task_once() {
        let all = Status::ALL.map(|status| group(status, [0, 1, 0]));

        let found = progress(&all);
        let [one] = &found[..] else { panic!("{found:?}") };

        assert_eq!((one.waiting, one.ready, one.leased, one.done, one.failed), (1, 1, 1, 2, 3));
    }
}
