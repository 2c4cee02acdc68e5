//! What people do with a plan before it goes: change it, say that it is good, say when it goes.

use anima_db::{Write, release::Release};
use anima_types::{
    Timestamp,
    gate::MAX_REASON_CHARS,
    release::{Approval, EditRelease, Event, MadeEdit, Status},
};

use super::{ask_for_plan, carried::known_places, decide::Decider, forget_plan};
use crate::error::{ApiError, ApiResult};

/// Edits of one release: more is a plan that should be made otherwise.
const MAX_EDITS: usize = 2_000;
/// A release is scheduled at most so far ahead: a plan ages.
const MAX_AHEAD_SECS: i64 = 366 * 24 * 60 * 60;

/// Changes where packages go, and has the plan made anew with that.
pub async fn edit(write: &mut Write, row: &Release, who: &str, wanted: &EditRelease) -> ApiResult<()> {
    let reason = wanted.reason.trim();
    if reason.is_empty() {
        return Err(ApiError::unprocessable("no_reason", "who changes a plan gives a reason"));
    }
    if reason.chars().count() > MAX_REASON_CHARS {
        return Err(ApiError::unprocessable("too_long", format!("a reason has {MAX_REASON_CHARS} characters at most")));
    }
    let is_empty = wanted.edits.is_empty() && wanted.undo.is_empty();
    if is_empty || wanted.edits.iter().any(|edit| edit.package.trim().is_empty()) {
        return Err(ApiError::unprocessable("empty", "an edit names a package"));
    }
    let is_made = |package: &&String| row.edits.iter().any(|made| made.edit.package == **package);
    if let Some(unknown) = wanted.undo.iter().find(|package| !is_made(package)) {
        let message = format!("nobody said that \"{unknown}\" goes elsewhere");
        return Err(ApiError::unprocessable("no_edit", message));
    }
    let repositories = anima_db::repository::list(write, Some(&row.product)).await?;
    wanted.edits.iter().try_for_each(|edit| known_places(&repositories, &edit.to))?;
    let mut edits = row.edits.clone();
    edits.retain(|made| {
        let package = &made.edit.package;
        !wanted.undo.contains(package) && !wanted.edits.iter().any(|edit| edit.package == *package)
    });
    edits.extend(wanted.edits.iter().map(|edit| MadeEdit {
        edit: edit.clone(),
        who: who.to_string(),
        reason: reason.to_string(),
        at: write.now,
    }));
    if edits.len() > MAX_EDITS {
        return Err(ApiError::unprocessable("too_many", format!("a plan has {MAX_EDITS} edits at most")));
    }
    let what = wanted.edits.iter().map(|edit| match edit.to.is_empty() {
        true => format!("{} is left out", edit.package),
        false => format!("{} goes to {}", edit.package, edit.to.join(", ")),
    });
    let what = what.chain(wanted.undo.iter().map(|package| format!("{package} goes where the plan finds best")));
    let summary = format!("{who}: {} ({reason}); it is planned with that.", what.collect::<Vec<_>>().join(", "));
    anima_db::release::apply(write, row, Event::Edited, &summary).await?;
    anima_db::release::set_edits(write, row.id, &edits).await?;
    forget_plan(write, row, &summary).await?;
    ask_for_plan(write, &row.content, row.id).await
}

/// Says that a plan is good, once for each person.
pub async fn approve(write: &mut Write, row: &Release, decider: &Decider) -> ApiResult<()> {
    if !matches!(row.status, Status::Planned) {
        let message = format!("release {} is {}: only a plan that waits is approved", row.id, row.status.name());
        return Err(ApiError::conflict("not_planned", message));
    }
    if row.approvals.iter().any(|approval| approval.who == decider.name) {
        return Err(ApiError::conflict("approved", format!("{} approved release {} already", decider.name, row.id)));
    }
    let mut approvals = row.approvals.clone();
    approvals.push(Approval { who: decider.name.clone(), reason: decider.reason.clone(), at: write.now });
    anima_db::release::set_approvals(write, row.id, &approvals).await?;
    let wanted = anima_db::product::get(write, &row.product).await?.product.options.approvals;
    let reason = decider.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let message = format!("{} approved it{reason}: {} of {wanted}.", decider.name, approvals.len());
    Ok(anima_db::release::note(write, row, "approved", message).await?)
}

/// Lets a plan go to users at a time. What is asked of a decision is asked now, and again when the time has come.
pub async fn schedule(write: &mut Write, row: &Release, decider: &Decider, at: Timestamp) -> ApiResult<()> {
    let ahead_secs = at.secs_since(write.now);
    if ahead_secs < 0.0 || ahead_secs > MAX_AHEAD_SECS as f64 {
        let message = format!("{at} is not within the next year");
        return Err(ApiError::unprocessable("bad_time", message).hint("A time is 2026-11-30T02:00:00Z."));
    }
    if row.status == Status::Planned && super::decide::is_ready(write, row, decider).await? {
        let reason = decider.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let summary = format!("{} scheduled it for {at}{reason}.", decider.name);
        anima_db::release::apply(write, row, Event::Scheduled, &summary).await?;
        anima_db::release::set_committed_by(write, row.id, Some(&decider.name), decider.reason.as_deref()).await?;
        anima_db::release::set_scheduled_at(write, row.id, Some(at)).await?;
        return Ok(());
    }
    if row.status != Status::Planned {
        let message = format!("release {} is {}: only a plan that waits is scheduled", row.id, row.status.name());
        return Err(ApiError::conflict("not_planned", message));
    }
    Ok(())
}

/// Takes the time back: the plan waits for a decision again.
pub async fn unschedule(write: &mut Write, row: &Release, who: &str) -> ApiResult<()> {
    let summary = format!("{who} took the time back; it waits for a decision.");
    anima_db::release::apply(write, row, Event::Unscheduled, &summary).await?;
    anima_db::release::set_committed_by(write, row.id, None, None).await?;
    Ok(anima_db::release::set_scheduled_at(write, row.id, None).await?)
}
