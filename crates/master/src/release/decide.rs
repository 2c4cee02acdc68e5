//! The decision that a planned release goes to users: by a person, by a person against the gates, or by the product's rule.

use anima_db::{Write, release::Release, task::About};
use anima_types::{
    gate::{self, Decision, MAX_REASON_CHARS},
    release::{Content, Event, Status},
    task::{self, Kind},
};

use super::{is_current, replan_as_it_is_now};
use crate::error::{ApiError, ApiResult};

/// Who decides, and why.
#[derive(Clone, Debug)]
pub struct Decider {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: Option<String>,
    /// Whether it goes through gates that block.
    pub forces: bool,
}

impl Decider {
    /// Returns the one that decides where a product releases by itself.
    pub fn by_rule() -> Decider {
        Decider { name: "anima".to_string(), reason: None, forces: false }
    }

    /// Returns a person, with the reason as it is kept: without the space around it.
    pub fn person(name: &str, reason: Option<&str>, forces: bool) -> ApiResult<Decider> {
        let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
        if reason.is_some_and(|reason| reason.chars().count() > MAX_REASON_CHARS) {
            let message = format!("a reason has {MAX_REASON_CHARS} characters at most");
            return Err(ApiError::unprocessable("too_long", message).hint("Give a link to the rest."));
        }
        if forces && reason.is_none() {
            return Err(ApiError::unprocessable("no_reason", "who forces a release gives a reason"));
        }
        Ok(Decider { name: name.to_string(), reason: reason.map(str::to_string), forces })
    }
}

/// Decides that a planned release goes to users. A plan that was made over what users no longer see is made anew instead,
/// and has to be decided again: what goes out is what somebody could read.
pub async fn commit(write: &mut Write, row: &Release, decider: &Decider) -> ApiResult<()> {
    if matches!(row.status, Status::Planned | Status::Scheduled) && !is_ready(write, row, decider).await? {
        return Ok(());
    }
    anima_db::release::apply(write, row, Event::Committed, &summary(decider)).await?;
    anima_db::release::set_committed_by(write, row.id, Some(&decider.name), decider.reason.as_deref()).await?;
    let about = About { build: row.build, release: Some(row.id), ..About::new(Kind::Publish) };
    let id = anima_db::task::insert(write, &about, "It was decided.").await?;
    let task = anima_db::task::get(write, id).await?;
    anima_db::task::apply(write, &task, task::Event::DependenciesMet, "It waits for the Release System.").await?;
    Ok(())
}

/// Returns whether a plan may go as `decider` wants it; false means that it is planned anew instead. What the gates or the
/// product do not let through is an error.
pub async fn is_ready(write: &mut Write, row: &Release, decider: &Decider) -> ApiResult<bool> {
    if !is_current(write, row).await? {
        replan_as_it_is_now(write, row).await?;
        if matches!(row.content, Content::Resign { .. }) {
            anima_db::release::set_committed_by(write, row.id, Some(&decider.name), decider.reason.as_deref()).await?;
        }
        return Ok(false);
    }
    let wanted = anima_db::product::get(write, &row.product).await?.product.options.approvals;
    check(row, decider, wanted)?;
    Ok(true)
}

/// Refuses what the gates and the product do not let through.
fn check(row: &Release, decider: &Decider, approvals_wanted: u32) -> ApiResult<()> {
    let id = row.id;
    let approvals = row.approvals.len();
    if approvals < approvals_wanted as usize {
        let message = format!("release {id} has {approvals} of {approvals_wanted} approvals");
        let hint = format!("Others say that it is good with `anima release approve {id}`.");
        return Err(ApiError::conflict("approvals_missing", message).hint(hint));
    }
    match gate::decide(&row.gates) {
        Decision::Blocked(gates) if !decider.forces => {
            let message = format!("release {id} is blocked by {}", gate::list(&gates));
            let hint = format!(
                "See `anima release show {id}`. An admin may force it: `anima release force {id} --reason TEXT`."
            );
            Err(ApiError::conflict("gate_blocks", message).hint(hint))
        }
        Decision::Asks(gates) if decider.reason.is_none() => {
            let message = format!("release {id} needs a reason because of {}", gate::list(&gates));
            let hint = format!("See `anima release show {id}`, then `anima release commit {id} --reason TEXT`.");
            Err(ApiError::conflict("gate_asks", message).hint(hint))
        }
        Decision::Blocked(_) | Decision::Asks(_) | Decision::Open => Ok(()),
    }
}

fn summary(decider: &Decider) -> String {
    let verb = if decider.forces { "forced it" } else { "decided" };
    let reason = decider.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("{} {verb}{reason}; the metadata is being made.", decider.name)
}

/// Returns what a plan waits for, in one sentence.
pub fn waits_for(answers: &[gate::Answer], approvals_wanted: u32) -> String {
    match gate::decide(answers) {
        Decision::Open if approvals_wanted == 1 => "it waits for an approval and a decision".to_string(),
        Decision::Open if approvals_wanted > 1 => format!("it waits for {approvals_wanted} approvals and a decision"),
        Decision::Open => "it waits for a decision".to_string(),
        Decision::Asks(gates) => format!("it waits for a person's reason because of {}", gate::list(&gates)),
        Decision::Blocked(gates) => format!("it is blocked by {}", gate::list(&gates)),
    }
}
