//! Moves a release on, as [`crate::build::advance`] moves a build. The last step shows it to users: all pointers of
//! the product move in one transaction, or none does.

use anima_db::{
    Write,
    release::Release,
    snapshot::NewSnapshot,
    task::{Subject, Task},
};
use anima_types::{
    artifact,
    gate::{self, Decision},
    id::ReleaseId,
    release::{Content, Event, Status},
    task::{self, Kind},
    work::{Outcome, PlanOutcome, PublishedRepository},
};
use axum::http::StatusCode;

use super::{
    beside, carried, change,
    decide::{Decider, commit, waits_for},
    is_current, replan_as_it_is_now,
};
use crate::{
    app::App,
    build::advance::first_failure,
    error::{ApiError, ApiResult},
    signing,
};

/// Steps of one release at once at most.
const MAX_STEPS: usize = 16;

/// Moves a release on as far as it goes.
pub async fn advance_once(app: &App, id: ReleaseId) -> ApiResult<()> {
    let mut write = app.db.write(app.now(), "anima").await?;
    let mut has_moved = false;
    for _ in 0..MAX_STEPS {
        let row = anima_db::release::get(&mut write, id).await?;
        let tasks = anima_db::task::of_release(&mut write, id).await?;
        let moved = match row.status {
            Status::Planning => planning(&mut write, &row, &tasks).await?,
            Status::Planned => planned(&mut write, &row).await?,
            Status::Publishing => publishing(&mut write, &row, &tasks).await?,
            Status::Signing => metadata(&mut write, &row, &tasks).await?,
            // Its time comes by a chore.
            Status::Scheduled => false,
            Status::Released | Status::Reverted | Status::Failed | Status::Abandoned => false,
        };
        if !moved {
            break;
        }
        has_moved = true;
    }
    let row = anima_db::release::get(&mut write, id).await?;
    let others = match is_out_of_the_way(row.status, has_moved) {
        true => anima_db::release::list_beside(&mut write, &row).await?,
        false => Vec::new(),
    };
    write.commit().await?;
    others.into_iter().for_each(|other| app.release_is_due(other));
    Ok(())
}

/// Returns whether others of the product may go on by what became of a release: it ended, or is no more on its way by now.
const fn is_out_of_the_way(status: Status, has_moved: bool) -> bool {
    match status {
        Status::Released | Status::Reverted | Status::Failed | Status::Abandoned => true,
        Status::Planning | Status::Planned | Status::Scheduled => has_moved,
        Status::Publishing | Status::Signing => false,
    }
}

/// The packages get their signatures, then the plan is made.
async fn planning(write: &mut Write, row: &Release, tasks: &[Task]) -> ApiResult<bool> {
    if matches!(row.content, Content::Import { .. }) {
        let Some(task) = carried::import_task(tasks) else { return Ok(false) };
        if task.status != task::Status::Succeeded {
            return fail_with(write, row, task).await;
        }
    }
    if let Some(missing) = carried::missing_source(write, &row.content).await? {
        return fail(write, row, &format!("Failed: {missing}.")).await;
    }
    let signed = match row.build {
        Some(build) => signing::packages(write, build, &row.product, Some(row.id), tasks).await?,
        None => signing::carried(write, row, tasks).await?,
    };
    match signed {
        signing::State::Signed => {}
        signing::State::Moved => return Ok(true),
        signing::State::Waits => return Ok(false),
        signing::State::Failed(summary) => return fail(write, row, &summary).await,
    }
    let Some(task) = newest(tasks, Kind::Plan) else { return Ok(false) };
    match (task.status, &task.result) {
        (task::Status::Waiting, _) => {
            let why = "It waits for the Release System.";
            anima_db::task::apply(write, task, task::Event::DependenciesMet, why).await?;
            Ok(true)
        }
        (task::Status::Succeeded, Some(Outcome::Plan(made))) => {
            anima_db::release::set_outcome(write, row.id, made, &row.base).await?;
            let planned = anima_db::release::get(write, row.id).await?;
            let attachments = beside::of_release(write, &planned).await?;
            anima_db::release::set_attachments(write, row.id, &attachments).await?;
            let wanted = anima_db::product::get(write, &row.product).await?.product.options.approvals;
            let summary =
                format!("Planned: {}; {}.", in_numbers(made, attachments.len()), waits_for(&made.gates, wanted));
            anima_db::release::apply(write, row, Event::PlanMade, &summary).await?;
            Ok(true)
        }
        _ => fail_with(write, row, task).await,
    }
}

/// Says what a plan does: `7 packages have a place, 2 go, 1 is left out, 1 file changes beside the packages`.
fn in_numbers(made: &PlanOutcome, attachment_count: usize) -> String {
    let mut parts = vec![format!("{} packages have a place", made.entries.len())];
    if !made.removals.is_empty() {
        parts.push(format!("{} go", made.removals.len()));
    }
    if !made.left_out.is_empty() {
        parts.push(format!("{} are left out", made.left_out.len()));
    }
    match attachment_count {
        0 => {}
        1 => parts.push("1 file changes beside the packages".to_string()),
        count => parts.push(format!("{count} files change beside the packages")),
    }
    parts.join(", ")
}

/// A product may decide by itself, where neither a gate nor the product wants a person. What takes packages away, or brings
/// them from elsewhere, is always a person's to decide.
///
/// What goes by rule goes one after the other. Each release is made over what users see: of many that end together, all but one
/// would be made for nothing, be planned anew, and made for nothing again.
async fn planned(write: &mut Write, row: &Release) -> ApiResult<bool> {
    if let (Content::Resign { .. }, Some(name)) = (&row.content, &row.committed_by) {
        return decided_before(write, row, name).await;
    }
    let product = anima_db::product::get(write, &row.product).await?.product;
    let is_of_build = row.build.is_some() && row.edits.is_empty();
    if !product.automatic || !is_of_build || product.options.approvals > 0 || gate::decide(&row.gates) != Decision::Open
    {
        return Ok(false);
    }
    if let Some(ahead) = anima_db::release::find_ahead(write, row).await? {
        let summary = format!("Planned: it goes by the product's rule after release {ahead}.");
        if row.summary != summary {
            anima_db::release::set_summary(write, row.id, &summary).await?;
        }
        return Ok(false);
    }
    commit(write, row, &Decider::by_rule()).await?;
    Ok(true)
}

/// Somebody decided that all that users see is signed anew, and then users saw something else: it goes as they wanted, where the
/// gates let it still.
async fn decided_before(write: &mut Write, row: &Release, name: &str) -> ApiResult<bool> {
    let decider = Decider { name: name.to_string(), reason: row.reason.clone(), forces: false };
    match commit(write, row, &decider).await {
        Ok(()) => Ok(true),
        Err(error) if error.status == StatusCode::CONFLICT => {
            tracing::info!(release = row.id.0, "release {} has to be decided again: {}", row.id, error.body.message);
            anima_db::release::set_committed_by(write, row.id, None, None).await?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// The metadata is made.
async fn publishing(write: &mut Write, row: &Release, tasks: &[Task]) -> ApiResult<bool> {
    if is_late(write, row).await? {
        return Ok(true);
    }
    let Some(task) = newest(tasks, Kind::Publish) else { return Ok(false) };
    match (task.status, &task.result) {
        (task::Status::Succeeded, Some(Outcome::Publish(made))) => {
            anima_db::release::set_published(write, row.id, Some(made)).await?;
            anima_db::release::apply(write, row, Event::MetadataMade, "The metadata is made and is being signed.")
                .await?;
            Ok(true)
        }
        _ => fail_with(write, row, task).await,
    }
}

/// The metadata is signed; then users see it.
async fn metadata(write: &mut Write, row: &Release, tasks: &[Task]) -> ApiResult<bool> {
    if is_late(write, row).await? {
        return Ok(true);
    }
    let product = anima_db::product::get(write, &row.product).await?;
    let key = product.key.ok_or_else(|| ApiError::internal(format!("product {} has no key", row.product)))?;
    // A signature of metadata that was made for an earlier plan is not for this.
    let since = newest(tasks, Kind::Publish).map(|task| task.id);
    let tasks: Vec<Task> = tasks.iter().filter(|task| Some(task.id) >= since).cloned().collect();
    match signing::metadata(write, row.build, row.id, key, &tasks).await? {
        signing::State::Signed => switch(write, row, &tasks).await,
        signing::State::Moved => Ok(true),
        signing::State::Waits => Ok(false),
        signing::State::Failed(summary) => fail(write, row, &summary).await,
    }
}

/// Plans a release anew whose metadata is for something that users no longer see; returns whether it was. Another release was
/// first: its end makes this one due, so that nobody makes or signs what cannot go.
async fn is_late(write: &mut Write, row: &Release) -> ApiResult<bool> {
    let is_late = !is_current(write, row).await?;
    if is_late {
        replan_as_it_is_now(write, row).await?;
    }
    Ok(is_late)
}

/// Shows the release to users.
async fn switch(write: &mut Write, row: &Release, tasks: &[Task]) -> ApiResult<bool> {
    let published =
        row.published.as_ref().ok_or_else(|| ApiError::internal(format!("release {} has no metadata", row.id)))?;
    let signer = tasks.iter().rev().find(|task| task.about.subject == Some(Subject::Metadata));
    let signer = signer.ok_or_else(|| ApiError::internal(format!("release {} has no signatures", row.id)))?;
    let signatures = anima_db::artifact::of_task(write, signer.id).await?;
    for repository in &published.repositories {
        let name = format!("{}.asc", repository.repomd);
        let signature = signatures.iter().find(|file| file.kind == artifact::Kind::Signature && file.name == name);
        let signature = signature.ok_or_else(|| ApiError::internal(format!("{name} is missing")))?.sha256;
        show(write, row, repository, signature).await?;
    }
    let gone = match row.removals.len() {
        0 => String::new(),
        gone => format!(", and {gone} no longer"),
    };
    let summary = format!("Released: users of {} see {} packages{gone}.", row.product, row.plan.len());
    anima_db::release::apply(write, row, Event::Switched, &summary).await?;
    Ok(true)
}

async fn show(
    write: &mut Write,
    row: &Release,
    published: &PublishedRepository,
    signature: anima_types::Sha256,
) -> ApiResult<()> {
    let repository = published.repository;
    let base = row.base.get(&repository).copied().unwrap_or(0);
    let change = change(write, row, repository).await?;
    let mut files: Vec<_> = published.files.iter().map(|file| (file.path.clone(), file.sha256)).collect();
    files.push(("repodata/repomd.xml".to_string(), published.repomd));
    files.push(("repodata/repomd.xml.asc".to_string(), signature));
    let new = NewSnapshot {
        repository,
        base,
        release: row.id,
        added: change.added.into_iter().collect(),
        removed: change.removed.into_iter().map(|package| package.artifact).collect(),
        files,
        layout: published.layout,
    };
    let number = anima_db::snapshot::insert(write, &new).await?;
    anima_db::repository::set_current(write, repository, base, number).await?;
    Ok(())
}

fn newest(tasks: &[Task], kind: Kind) -> Option<&Task> {
    tasks.iter().rev().find(|task| task.about.kind == kind)
}

/// Fails the release if its task did; a task that runs is waited for.
async fn fail_with(write: &mut Write, row: &Release, task: &Task) -> ApiResult<bool> {
    match first_failure(&[task]) {
        Some(summary) => fail(write, row, &summary).await,
        None => Ok(false),
    }
}

async fn fail(write: &mut Write, row: &Release, summary: &str) -> ApiResult<bool> {
    anima_db::release::apply(write, row, Event::Failed, summary).await?;
    Ok(true)
}
