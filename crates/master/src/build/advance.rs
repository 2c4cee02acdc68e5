//! Moves a build on: looks at where its tasks stand, and does what follows, in one transaction. It may be called at any
//! time and any number of times; what was done is not done again.

use std::collections::{BTreeMap, BTreeSet};

use anima_db::{
    Write,
    build::Build,
    task::{About, Task},
};
use anima_types::{
    Arch,
    build::{Circle, Event, Status},
    id::{BuildId, EventId, ReleaseId, TaskId},
    task::{self, Kind},
};

use super::{
    order::{self, Ordered},
    queue,
    wake::wake,
};
use crate::{app::App, error::ApiResult, quota, release, signing};

/// Steps of one build at once at most: it has four statuses to go through, and each may make tasks. One that is not at rest by then
/// is looked at again at once.
const MAX_STEPS: usize = 16;

/// What of a build is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Look {
    /// What something was told of since the last look, and what that changes for others: at the end of one task of thousands a few.
    News,
    /// All of it, in case something was told that nobody looked at.
    All,
}

/// Moves a build on as far as it goes.
pub async fn advance_once(app: &App, id: BuildId) -> ApiResult<()> {
    look_once(app, id, Look::News).await
}

/// The same, and says what is looked at.
pub async fn look_once(app: &App, id: BuildId, look: Look) -> ApiResult<()> {
    let ahead = order::ahead(app, id).await?;
    let mut write = app.db.write(app.now(), "anima").await?;
    let released = move_on(app, &mut write, id, look, ahead).await?;
    write.commit().await?;
    released.into_iter().for_each(|id| app.release_is_due(id));
    Ok(())
}

/// The same in somebody's transaction; returns the releases that were begun, which have to be looked at after it.
pub async fn advance(app: &App, write: &mut Write, id: BuildId) -> ApiResult<Vec<ReleaseId>> {
    move_on(app, write, id, Look::News, None).await
}

/// The same with the order, where that was found before.
async fn move_on(
    app: &App,
    write: &mut Write,
    id: BuildId,
    look: Look,
    mut ahead: Option<Vec<Ordered<'_>>>,
) -> ApiResult<Vec<ReleaseId>> {
    let mut released = Vec::new();
    let mut after = match look {
        Look::News => anima_db::build::advanced(write, id).await?,
        Look::All => None,
    };
    let mut is_at_rest = false;
    for _ in 0..MAX_STEPS {
        let build = anima_db::build::get(write, id).await?;
        let moved = match build.status {
            Status::Sources => sources(app, write, &build, after, ahead.take()).await?,
            Status::Building => building(app, write, &build, after).await?,
            Status::Testing => testing(app, write, &build, after).await?,
            Status::Signing => signing(app, write, &build, &mut released).await?,
            Status::Succeeded | Status::Failed | Status::Cancelled => false,
        };
        // The next status looks at tasks for which this one had no eye, whenever something was told of them.
        after = None;
        if !moved {
            is_at_rest = true;
            break;
        }
    }
    if let Some(team) = anima_db::build::get(write, id).await?.team.filter(|team| app.config.quota.bounds(team)) {
        quota::give_turns(app, write, &team).await?;
    }
    match is_at_rest {
        true => anima_db::build::set_advanced(write, id).await?,
        // Whoever looks next goes on from where this look began.
        false => app.build_is_due(id),
    }
    Ok(released)
}

/// Returns the tasks that are the build's own; those of its releases are the releases'. What the work gave is not read.
async fn own_tasks(write: &mut Write, build: &Build) -> ApiResult<Vec<Task>> {
    let tasks = anima_db::task::standing_of_build(write, build.id).await?;
    Ok(tasks.into_iter().filter(|task| task.about.release.is_none()).collect())
}

/// Source packages are made; then the order is known.
async fn sources(
    app: &App,
    write: &mut Write,
    build: &Build,
    after: Option<EventId>,
    ahead: Option<Vec<Ordered<'_>>>,
) -> ApiResult<bool> {
    wake(app, write, build, &[Kind::Src], after).await?;
    if is_gathering(build, write) || anima_db::task::has_open(write, build.id, Kind::Src).await? {
        return Ok(false);
    }
    let tasks = own_tasks(write, build).await?;
    let sources = of_kind(&tasks, Kind::Src);
    if let Some(summary) = first_failure(&sources) {
        return fail(write, build, &summary).await;
    }
    let has_tasks = tasks.iter().any(|task| task.about.kind == Kind::Build);
    let mut circles = build.circles.clone();
    if !has_tasks {
        // What the sources say is read once, when all of it is there.
        let tasks = anima_db::task::of_kind(write, build.id, Kind::Src).await?;
        circles = match make_build_tasks(app, write, build, &tasks, ahead).await? {
            Ok(circles) => circles,
            Err(summary) => return fail(write, build, &summary).await,
        };
    }
    let summary = order::summary(sources.len(), &circles);
    anima_db::build::close_gathering(write, build.id).await?;
    anima_db::build::apply(write, build, Event::SourcesMade, &summary).await?;
    Ok(true)
}

fn is_gathering(build: &Build, write: &Write) -> bool {
    build.gather_until.is_some_and(|until| until > write.now)
}

/// Makes a task for each package and target, and writes down what waits for what; returns the circles. The inner error is the
/// user's; then nothing was made, also for the platforms that are in order.
async fn make_build_tasks(
    app: &App,
    write: &mut Write,
    build: &Build,
    tasks: &[Task],
    ahead: Option<Vec<Ordered<'_>>>,
) -> ApiResult<Result<Vec<Circle>, String>> {
    let ordered = match ahead.filter(|ahead| ahead.iter().all(|ordered| ordered.is_of(tasks))) {
        Some(ordered) => ordered,
        None => match order::of(app, write, build, tasks).await? {
            Ok(ordered) => ordered,
            Err(summary) => return Ok(Err(summary)),
        },
    };
    for ordered in &ordered {
        make_targets(write, build, ordered).await?;
    }
    let circles: Vec<Circle> = ordered.into_iter().flat_map(|ordered| ordered.circles).collect();
    if !circles.is_empty() {
        anima_db::build::set_circles(write, build.id, &circles).await?;
    }
    Ok(Ok(circles))
}

async fn make_targets(
    write: &mut Write,
    build: &Build,
    Ordered { platform, made, graph, .. }: &Ordered<'_>,
) -> ApiResult<()> {
    let waits = graph.waits();
    let archs: Vec<Arch> =
        platform.architectures.iter().copied().filter(|arch| build.architectures.contains(arch)).collect();
    let targets: Vec<(&str, Arch)> =
        made.keys().flat_map(|package| archs.iter().map(move |&arch| (package.as_str(), arch))).collect();
    let about = |&(package, arch): &(&str, Arch)| {
        let about = About {
            build: Some(build.id),
            package: Some(package.to_string()),
            platform: Some(platform.name.clone()),
            arch: Some(arch),
            ..About::new(Kind::Build)
        };
        (about, None)
    };
    let tasks: Vec<_> = targets.iter().map(about).collect();
    let waiting = "It waits until its order is known.";
    let made_ids = anima_db::task_queue::insert_all(write, &tasks, (waiting, waiting)).await?;
    let mut excluded = Vec::new();
    let nodes = anima_db::node::list(write).await?;
    let by_nodes = order::by_nodes(&archs, &nodes, write.now, Kind::Build);
    for ((&(package, arch), &id), (about, _)) in targets.iter().zip(&made_ids).zip(&tasks) {
        let why = order::excluded(&made[package], arch, &by_nodes);
        excluded.extend(why.map(|why| (id, about, why)));
    }
    anima_db::task::apply_to_waiting(write, &excluded, task::Event::Excluded).await?;
    let ids: BTreeMap<(&str, Arch), TaskId> = targets.into_iter().zip(made_ids).collect();
    let mut all_needs = Vec::new();
    for (&(package, arch), &id) in &ids {
        let needs = waits.get(package).into_iter().flatten();
        let needs = needs.flat_map(|need| {
            order::waited_for(&made[need], arch, &archs).filter_map(|other| ids.get(&(need.as_str(), other)).copied())
        });
        all_needs.extend(needs.collect::<BTreeSet<_>>().into_iter().map(|need| (id, need)));
    }
    anima_db::task_dependency::insert_all(write, &all_needs).await?;
    let mut graph = graph.clone();
    for &arch in &archs {
        let estimates = queue::estimate(write, &platform.name, arch, made, made).await?;
        graph.set_costs(estimates.values().map(|estimate| estimate.secs));
        let chains = graph.remaining_secs().expect("the circles were taken out");
        let estimates = estimates.iter().zip(chains).map(|((package, estimate), chain)| {
            (ids[&(package.as_str(), arch)], estimate.measured_secs(), chain.ceil() as i64)
        });
        anima_db::task::set_estimates(write, &estimates.collect::<Vec<_>>()).await?;
    }
    Ok(())
}

/// Packages are being made, each when those that it waits for are there.
async fn building(app: &App, write: &mut Write, build: &Build, after: Option<EventId>) -> ApiResult<bool> {
    wake(app, write, build, &[Kind::Build, Kind::Test], after).await?;
    if anima_db::task::has_open(write, build.id, Kind::Build).await? {
        // A slow architecture does not hold up the tests of the others; what goes out is still all or nothing.
        return make_early_tests(write, build).await;
    }
    let tasks = own_tasks(write, build).await?;
    let (builds, tests) = (of_kind(&tasks, Kind::Build), of_kind(&tasks, Kind::Test));
    if let Some(summary) = first_failure(&builds) {
        if tests.iter().any(|task| !task.status.is_ended()) {
            return Ok(false);
        }
        return fail(write, build, &summary).await;
    }
    if builds.iter().all(|task| task.status == task::Status::Excluded) {
        return fail(
            write,
            build,
            "Failed: nothing is left to build, as each package is for none of the architectures or was left out.",
        )
        .await;
    }
    let count = builds.iter().filter(|task| task.status == task::Status::Succeeded).count();
    let summary = format!("{count} packages are built; they are being tested.");
    anima_db::build::apply(write, build, Event::Built, &summary).await?;
    Ok(true)
}

/// Each target's packages are tested together.
async fn testing(app: &App, write: &mut Write, build: &Build, after: Option<EventId>) -> ApiResult<bool> {
    wake(app, write, build, &[Kind::Test], after).await?;
    let tasks = own_tasks(write, build).await?;
    let tests = of_kind(&tasks, Kind::Test);
    if make_tests(write, build, &tests, targets(&tasks).into_iter()).await? {
        return Ok(true);
    }
    if tests.iter().any(|task| !task.status.is_ended()) {
        return Ok(false);
    }
    if let Some(summary) = first_failure(&tests) {
        return fail(write, build, &summary).await;
    }
    anima_db::build::apply(write, build, Event::Tested, "Every verdict is green; the packages are being signed.")
        .await?;
    Ok(true)
}

/// Makes the test tasks of targets that are built, while others are not; returns whether there was any.
async fn make_early_tests(write: &mut Write, build: &Build) -> ApiResult<bool> {
    let tested = anima_db::task_target::tested(write, build.id).await?;
    let mut moved = false;
    for platform in &build.platforms {
        for &arch in &build.architectures {
            let is_tested = tested.iter().any(|(name, tested)| name == platform && *tested == arch);
            if !is_tested && anima_db::task_target::is_built(write, build.id, (platform, arch)).await? {
                make_test(write, build, (platform, arch)).await?;
                moved = true;
            }
        }
    }
    Ok(moved)
}

/// Makes the test tasks of targets that have none yet; returns whether there was any.
async fn make_tests<'a>(
    write: &mut Write,
    build: &Build,
    tests: &[&Task],
    targets: impl Iterator<Item = (&'a str, Arch)>,
) -> ApiResult<bool> {
    let mut moved = false;
    for (platform, arch) in targets {
        if !tests.iter().any(|task| is_of((platform, arch), task)) {
            make_test(write, build, (platform, arch)).await?;
            moved = true;
        }
    }
    Ok(moved)
}

async fn make_test(write: &mut Write, build: &Build, (platform, arch): (&str, Arch)) -> ApiResult<()> {
    let about = About {
        build: Some(build.id),
        platform: Some(platform.to_string()),
        arch: Some(arch),
        ..About::new(Kind::Test)
    };
    anima_db::task::insert(write, &about, "All packages of its target are built.").await?;
    Ok(())
}

fn is_of((platform, arch): (&str, Arch), task: &Task) -> bool {
    task.about.platform.as_deref() == Some(platform) && task.about.arch == Some(arch)
}

/// Returns the targets that something was built for.
fn targets(tasks: &[Task]) -> BTreeSet<(&str, Arch)> {
    let built = tasks.iter().filter(|task| task.about.kind == Kind::Build && task.status == task::Status::Succeeded);
    built.filter_map(|task| Some((task.about.platform.as_deref()?, task.about.arch?))).collect()
}

/// The packages are signed with the keys of the products that they are for; then they may go out.
async fn signing(app: &App, write: &mut Write, build: &Build, released: &mut Vec<ReleaseId>) -> ApiResult<bool> {
    let tasks = &own_tasks(write, build).await?;
    let products: BTreeSet<&str> =
        build.platforms.iter().filter_map(|name| app.platform(name)?.release_to.as_deref()).collect();
    let mut all_signed = true;
    for product in &products {
        match signing::packages(write, build.id, product, None, tasks).await? {
            signing::State::Signed => {}
            signing::State::Moved => return Ok(true),
            signing::State::Waits => all_signed = false,
            signing::State::Failed(summary) => return fail(write, build, &summary).await,
        }
    }
    if !all_signed {
        return Ok(false);
    }
    // A task that was started again has nothing left to do where another signed the same packages meanwhile.
    for task in of_kind(tasks, Kind::Sign) {
        if matches!(task.status, task::Status::Waiting | task::Status::Ready | task::Status::Blocked) {
            let why = "All that it was to sign is signed.";
            anima_db::task::apply(write, task, task::Event::Cancelled, why).await?;
        }
    }
    let summary = match products.is_empty() {
        true => "Built and tested; its platforms belong to no product, so nothing is signed yet.".to_string(),
        false => "Built, tested and signed.".to_string(),
    };
    anima_db::build::apply(write, build, Event::Signed, &summary).await?;
    // A person decides when all of a mass rebuild goes out.
    if anima_db::rebuild::find(write, build.id).await?.is_some() {
        return Ok(true);
    }
    for product in products {
        released.extend(release::begin_automatic(write, build.id, product).await?);
    }
    Ok(true)
}

fn of_kind(tasks: &[Task], kind: Kind) -> Vec<&Task> {
    tasks.iter().filter(|task| task.about.kind == kind).collect()
}

/// Returns the build's first line if a task failed: what failed first, which is what the others fell over.
pub fn first_failure(tasks: &[&Task]) -> Option<String> {
    let failed = |task: &&&Task| matches!(task.status, task::Status::Failed | task::Status::Cancelled);
    let first = tasks.iter().filter(failed).min_by_key(|task| (task.ended_at, task.id))?;
    let others =
        tasks.iter().filter(|task| !matches!(task.status, task::Status::Succeeded | task::Status::Excluded)).count()
            - 1;
    let others = if others > 0 { format!(" {others} more did not end well.") } else { String::new() };
    Some(match &first.failure {
        Some(failure) => format!("Failed: {}: {}{others}", name(&first.about), sentence(&failure.message)),
        None => format!("{}: {}{others}", name(&first.about), first.why),
    })
}

fn sentence(text: &str) -> String {
    let text = text.trim_end();
    if text.ends_with(['.', '!', '?']) { text.to_string() } else { format!("{text}.") }
}

/// Returns what a person calls a task.
pub fn name(about: &About) -> String {
    let package = about.package.as_deref().unwrap_or("packages");
    let arch = about.arch.map_or("", |arch| arch.name());
    match about.kind {
        Kind::Src => format!("source package of {package}"),
        Kind::Build => format!("{package} on {arch}"),
        Kind::Test => format!("test on {arch}"),
        Kind::Sign => "signing".to_string(),
        Kind::Plan => "release plan".to_string(),
        Kind::Publish => "publication".to_string(),
        Kind::Import => "import".to_string(),
    }
}

async fn fail(write: &mut Write, build: &Build, summary: &str) -> ApiResult<bool> {
    anima_db::build::close_gathering(write, build.id).await?;
    anima_db::build::apply(write, build, Event::Failed, summary).await?;
    Ok(true)
}
