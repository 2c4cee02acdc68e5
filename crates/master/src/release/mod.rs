//! Releases: what of a build, of another product or from elsewhere goes to which repositories of a product, decided by a person or the product's rule, and
//! shown to users by one move of all pointers.

pub mod advance;
mod api;
pub mod beside;
pub mod carried;
pub mod decide;
pub mod people;
pub mod plan_work;
pub mod why;

use std::collections::{BTreeMap, BTreeSet};

use anima_db::{
    Connection, Write,
    build::Build,
    release::Release,
    task::{About, Task},
};
use anima_types::{
    Arch, Nevra, Sha256,
    id::{BuildId, ReleaseId, RepositoryId, TaskId},
    release::{self, Content, Event, Status},
    repository::{Repository, RepositoryPackage},
    task::{self, Kind},
    work::PlanOutcome,
};

use crate::{
    app::App,
    auth::Caller,
    error::{ApiError, ApiResult},
};

pub use api::{Act, act, newest, routes, word_of_plan};
pub use decide::Decider;

/// Begins a release of a build where the product says so, once.
pub async fn begin_automatic(write: &mut Write, build: BuildId, product: &str) -> ApiResult<Option<ReleaseId>> {
    let row = anima_db::product::get(write, product).await?;
    let earlier = anima_db::release::of_build(write, build).await?;
    if !row.product.automatic || earlier.iter().any(|(_, other)| other == product) {
        return Ok(None);
    }
    Ok(Some(begin(write, build, product).await?))
}

/// Begins a release: it is planned next.
pub async fn begin(write: &mut Write, content: impl Into<Content>, product: &str) -> ApiResult<ReleaseId> {
    let content: Content = content.into();
    let id = anima_db::release::insert(write, product, content.clone(), "It is being planned.").await?;
    ask_for_plan(write, &content, id).await?;
    Ok(id)
}

/// Makes the task that plans it, which begins when all packages are signed; before it, the one that fetches what is
/// imported, unless that was done.
async fn ask_for_plan(write: &mut Write, content: &Content, release: ReleaseId) -> ApiResult<()> {
    let about = |kind| About { build: content.build(), release: Some(release), ..About::new(kind) };
    if matches!(content, Content::Import { .. }) {
        let tasks = anima_db::task::of_release(write, release).await?;
        let is_there = carried::import_task(&tasks).is_some_and(|task| task.status == task::Status::Succeeded);
        if !is_there {
            let id = anima_db::task::insert(write, &about(Kind::Import), "It is asked for.").await?;
            let task = anima_db::task::get(write, id).await?;
            let why = "It waits for the Release System.";
            anima_db::task::apply(write, &task, task::Event::DependenciesMet, why).await?;
        }
    }
    anima_db::task::insert(write, &about(Kind::Plan), "It waits for the signatures.").await?;
    Ok(())
}

/// Plans a release anew: what was planned and made for it before is forgotten.
pub async fn replan(write: &mut Write, row: &Release, why: &str) -> ApiResult<()> {
    anima_db::release::apply(write, row, Event::Replanned, why).await?;
    forget_plan(write, row, why).await?;
    ask_for_plan(write, &row.content, row.id).await
}

/// Plans a release anew because users see something else by now.
///
/// Who decided that all that users see is signed anew decided it of whatever that is: their word and the approvals stay, and it
/// goes as soon as it is planned if the gates let it. Anything else has to be decided again.
pub async fn replan_as_it_is_now(write: &mut Write, row: &Release) -> ApiResult<()> {
    const WHY: &str = "What it was made from is no longer so; it is planned again.";
    if !matches!(row.content, Content::Resign { .. }) {
        return replan(write, row, WHY).await;
    }
    anima_db::release::apply(write, row, Event::Replanned, WHY).await?;
    forget_outcome(write, row, WHY).await?;
    ask_for_plan(write, &row.content, row.id).await
}

/// Has a release planned anew whose packages were signed with a key that the product has no more. One that is being planned is
/// planned once more.
pub async fn replan_for_key(write: &mut Write, row: &Release) -> ApiResult<()> {
    const WHY: &str = "The product has another key; it is planned again.";
    match row.status {
        Status::Planned | Status::Scheduled | Status::Publishing | Status::Signing => replan(write, row, WHY).await,
        Status::Planning => {
            let tasks = anima_db::task::of_release(write, row.id).await?;
            let plan = tasks.iter().rev().find(|task| task.about.kind == Kind::Plan);
            if plan.is_some_and(|task| task.status == task::Status::Waiting) {
                return Ok(());
            }
            for task in tasks.iter().filter(|task| task.about.kind == Kind::Plan && !task.status.is_ended()) {
                anima_db::task::apply(write, task, task::Event::Cancelled, WHY).await?;
            }
            let about = About { build: row.build, release: Some(row.id), ..About::new(Kind::Plan) };
            anima_db::task::insert(write, &about, "It waits for the signatures.").await?;
            Ok(())
        }
        Status::Released | Status::Reverted | Status::Failed | Status::Abandoned => Ok(()),
    }
}

/// Forgets what was planned, decided and made for a release; what people said of it stays.
async fn forget_plan(write: &mut Write, row: &Release, why: &str) -> ApiResult<()> {
    anima_db::release::set_approvals(write, row.id, &[]).await?;
    anima_db::release::set_committed_by(write, row.id, None, None).await?;
    forget_outcome(write, row, why).await
}

/// Forgets what was planned and made for a release.
async fn forget_outcome(write: &mut Write, row: &Release, why: &str) -> ApiResult<()> {
    anima_db::release::set_outcome(write, row.id, &PlanOutcome::default(), &BTreeMap::new()).await?;
    anima_db::release::set_attachments(write, row.id, &[]).await?;
    anima_db::release::set_scheduled_at(write, row.id, None).await?;
    anima_db::release::set_published(write, row.id, None).await?;
    cancel_tasks(write, row.id, why).await
}

/// Plans a release anew because somebody wants it.
pub async fn replan_as(app: &App, id: ReleaseId, caller: &Caller) -> ApiResult<()> {
    let mut write = app.db.write(app.now(), caller).await?;
    let row = anima_db::release::get(&mut write, id).await?;
    replan(&mut write, &row, &format!("{} wants it planned again.", caller.name)).await?;
    write.commit().await?;
    app.release_is_due(id);
    Ok(())
}

/// Returns the packages of a build that go out, each with the architecture of the task that made it. Of the source packages that several
/// platforms made, each goes out.
pub async fn releasable(
    connection: &mut Connection,
    tasks: &[Task],
    build: BuildId,
) -> ApiResult<Vec<(Option<Arch>, RepositoryPackage)>> {
    let packages = anima_db::package::of_build(connection, build).await?;
    let succeeded = tasks.iter().filter(|task| task.status == task::Status::Succeeded);
    let archs: BTreeMap<TaskId, Option<Arch>> = succeeded.map(|task| (task.id, task.about.arch)).collect();
    Ok(packages.into_iter().filter_map(|(id, package)| Some((*archs.get(&id)?, package))).collect())
}

/// Returns the packages of a build that somebody wants to release; refuses one of which nothing is there.
pub async fn to_release(connection: &mut Connection, row: &Build) -> ApiResult<Vec<(Option<Arch>, RepositoryPackage)>> {
    let id = row.id;
    if row.deleted_at.is_some() {
        return Err(ApiError::conflict("deleted", format!("what build {id} made was deleted"))
            .hint("Make a new build of the same packages."));
    }
    let tasks = anima_db::task::standing_of_build(connection, id).await?;
    let packages = releasable(connection, &tasks, id).await?;
    if packages.is_empty() {
        return Err(ApiError::unprocessable("nothing", format!("build {id} made no packages")));
    }
    Ok(packages)
}

/// Returns the repositories whose metadata a release makes: those that get something, and those that users have never
/// seen, so that all of a product can be read from its first release on.
pub async fn changed_repositories(connection: &mut Connection, row: &Release) -> ApiResult<Vec<RepositoryId>> {
    let named: &[String] = match &row.content {
        Content::Attachments { attachments } => attachments,
        _ => &[],
    };
    let comes = row.plan.iter().map(|entry| entry.repository);
    let gets: BTreeSet<RepositoryId> = comes.chain(row.removals.iter().map(|removal| removal.repository)).collect();
    let all = anima_db::repository::list(connection, Some(&row.product)).await?;
    let changed = all.into_iter().filter(|repository| {
        repository.current == 0 || gets.contains(&repository.id) || named.contains(&repository.path)
    });
    Ok(changed.map(|repository| repository.id).collect())
}

/// What a release changes in one repository.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Change {
    /// What comes to what was there when the plan was made.
    pub added: BTreeSet<Sha256>,
    /// What goes.
    pub removed: Vec<RepositoryPackage>,
}

/// Returns what a release changes in a repository, without looking at what stays.
pub async fn change(connection: &mut Connection, row: &Release, repository: RepositoryId) -> ApiResult<Change> {
    let base = row.base.get(&repository).copied().unwrap_or(0);
    let entries = || row.plan.iter().filter(|entry| entry.repository == repository);
    let coming: BTreeMap<&Nevra, Sha256> = entries().map(|entry| (&entry.nevra, entry.artifact)).collect();
    let mut change = Change { added: coming.values().copied().collect(), removed: Vec::new() };
    // The same NEVRA again takes the place of the one that is there.
    let gone = row.removals.iter().filter(|removal| removal.repository == repository).map(|removal| &removal.nevra);
    let replaced = entries().flat_map(|entry| &entry.replaces);
    let nevras: BTreeSet<&Nevra> = replaced.chain(coming.keys().copied()).chain(gone).collect();
    let wanted = change.added.clone();
    for nevra in nevras {
        for package in anima_db::snapshot::of_nevra(connection, repository, base, nevra).await? {
            match wanted.contains(&package.artifact) {
                true => drop(change.added.remove(&package.artifact)),
                false => change.removed.push(package),
            }
        }
    }
    Ok(change)
}

/// Returns all that a repository holds after the release.
pub async fn packages_after(
    connection: &mut Connection,
    row: &Release,
    repository: RepositoryId,
) -> ApiResult<Vec<Sha256>> {
    let base = row.base.get(&repository).copied().unwrap_or(0);
    let change = change(connection, row, repository).await?;
    let removed: BTreeSet<Sha256> = change.removed.iter().map(|package| package.artifact).collect();
    let before = anima_db::snapshot::listed(connection, repository, base).await?.into_iter();
    let stay = before.map(|package| package.artifact).filter(|artifact| !removed.contains(artifact));
    Ok(stay.chain(change.added).collect())
}

/// Returns whether users still see what the plan was made from, and repositories still have beside their packages what it
/// says.
pub async fn is_current(connection: &mut Connection, row: &Release) -> ApiResult<bool> {
    let all: Vec<Repository> = anima_db::repository::list(connection, Some(&row.product)).await?;
    let is_seen = all.iter().all(|repository| row.base.get(&repository.id) == Some(&repository.current));
    Ok(is_seen && beside::of_release(connection, row).await? == row.attachments)
}

/// Takes a release back: users see again what they saw before it.
pub async fn revert(write: &mut Write, row: &Release, who: &str) -> ApiResult<()> {
    let made = anima_db::snapshot::of_release(write, row.id).await?;
    if let Some(later) = made.iter().find(|snapshot| snapshot.current != snapshot.number) {
        let message = format!("{} is at @{} by now, this release made @{}", later.path, later.current, later.number);
        return Err(ApiError::conflict("not_newest", message).hint("Take the later release back first."));
    }
    for snapshot in &made {
        if snapshot.base > 0 && !anima_db::snapshot::exists(write, snapshot.repository, snapshot.base).await? {
            let message =
                format!("{}@{}, which users saw before, was dropped by its rule", snapshot.path, snapshot.base);
            return Err(ApiError::conflict("snapshot_dropped", message).hint("Release what they shall have instead."));
        }
        anima_db::repository::set_current(write, snapshot.repository, snapshot.number, snapshot.base).await?;
    }
    let summary = format!("{who} took it back: users see again what they saw before.");
    anima_db::release::apply(write, row, Event::Reverted, &summary).await?;
    Ok(())
}

/// Throws a plan away, with what is being made for it.
pub async fn abandon(write: &mut Write, row: &Release, who: &str) -> ApiResult<()> {
    let why = format!("{who} threw it away.");
    anima_db::release::apply(write, row, Event::Abandoned, &why).await?;
    cancel_tasks(write, row.id, &why).await
}

async fn cancel_tasks(write: &mut Write, id: ReleaseId, why: &str) -> ApiResult<()> {
    for task in anima_db::task::of_release(write, id).await? {
        if !task.status.is_ended() {
            anima_db::task::apply(write, &task, task::Event::Cancelled, why).await?;
        }
    }
    Ok(())
}

/// Returns a release as the API shows it.
pub async fn view(connection: &mut Connection, row: Release) -> ApiResult<release::Release> {
    let snapshots = published(connection, row.id).await?;
    let product = anima_db::product::get(connection, &row.product).await?;
    Ok(release::Release {
        id: row.id,
        status: row.status,
        product: row.product,
        content: row.content,
        build: row.build,
        plan: row.plan,
        removals: row.removals,
        left_out: row.left_out,
        attachments: row.attachments,
        edits: row.edits,
        approvals: row.approvals,
        approvals_wanted: product.product.options.approvals,
        scheduled_at: row.scheduled_at,
        gates: row.gates,
        snapshots,
        summary: row.summary,
        committed_by: row.committed_by,
        reason: row.reason,
        created_at: row.created_at,
        released_at: row.released_at,
    })
}

/// Returns the addresses of the snapshots that a release made.
async fn published(connection: &mut Connection, release: ReleaseId) -> ApiResult<Vec<String>> {
    let made = anima_db::snapshot::of_release(connection, release).await?;
    Ok(made.into_iter().map(|snapshot| format!("{}@{}", snapshot.path, snapshot.number)).collect())
}
