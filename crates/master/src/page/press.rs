//! What the forms of pages do: the same as the API's routes, and then the reader sees the page again.

use anima_types::{
    Timestamp,
    id::{BuildId, ReleaseId, TaskId},
    node::DrainNode,
    permission::Permission,
    rebuild::LeaveOut,
    release::{Edit, EditRelease},
};
use axum::extract::State as Extract;
use serde::Deserialize;

use super::{answer::PageResult, sign_in::see, words::address_part};
use crate::{
    app::App,
    auth::Caller,
    build,
    error::{ApiError, Form, Json, Path},
    node, rebuild,
    release::{self, Act, Decider},
    route::Route,
    task,
};

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::form("/builds/{build}/cancel", Permission::Build, cancel_build),
        Route::form("/builds/{build}/restart", Permission::Build, restart_build),
        Route::form("/tasks/{task}/cancel", Permission::Build, cancel_task),
        Route::form("/tasks/{task}/restart", Permission::Build, restart_task),
        Route::form("/nodes/{node}/drain", Permission::Operate, drain),
        Route::form("/nodes/{node}/undrain", Permission::Operate, undrain),
        on_release("/releases/{release}/commit", Permission::Release, |said, caller| {
            said.decider(caller, false).map(Act::Commit)
        }),
        on_release("/releases/{release}/force", Permission::Configure, |said, caller| {
            said.decider(caller, true).map(Act::Commit)
        }),
        on_release("/releases/{release}/edit", Permission::Release, |said, _| {
            let edit = Edit { package: said.package.trim().to_string(), to: said.list() };
            Ok(Act::Edit(EditRelease { edits: vec![edit], undo: Vec::new(), reason: said.reason.clone() }))
        }),
        on_release("/releases/{release}/approve", Permission::Release, |said, caller| {
            said.decider(caller, false).map(Act::Approve)
        }),
        on_release("/releases/{release}/schedule", Permission::Release, |said, caller| {
            Ok(Act::Schedule(said.decider(caller, false)?, said.at()?))
        }),
        on_release("/releases/{release}/unschedule", Permission::Release, |_, _| Ok(Act::Unschedule)),
        on_release("/releases/{release}/abandon", Permission::Release, |_, _| Ok(Act::Abandon)),
        on_release("/releases/{release}/revert", Permission::Release, |_, _| Ok(Act::Revert)),
        Route::form("/releases/{release}/replan", Permission::Release, replan),
        on_rebuild("/rebuilds/{build}/pause", |_| Ok(rebuild::Act::Pause)),
        on_rebuild("/rebuilds/{build}/resume", |_| Ok(rebuild::Act::Resume)),
        on_rebuild("/rebuilds/{build}/limit", |said| said.limit().map(rebuild::Act::Limit)),
        on_rebuild("/rebuilds/{build}/retry", |_| Ok(rebuild::Act::Retry)),
        on_rebuild("/rebuilds/{build}/leave-out", |said| {
            let reason =
                said.reason().ok_or_else(|| ApiError::unprocessable("no_reason", "say why they are left out"))?;
            Ok(rebuild::Act::LeaveOut(LeaveOut { packages: said.list(), reason: reason.to_string() }))
        }),
        on_rebuild("/rebuilds/{build}/cancel", |_| Ok(rebuild::Act::Cancel)),
        Route::form("/rebuilds/{build}/release", Permission::Release, release_rebuild),
    ]
}

/// What forms send; each has some of it.
#[derive(Deserialize)]
pub struct Said {
    #[serde(default)]
    reason: String,
    /// The plan that the reader saw.
    #[serde(default)]
    plan: String,
    /// In UTC, as a browser writes it: `2026-11-30T02:00`.
    #[serde(default)]
    at: String,
    #[serde(default)]
    package: String,
    /// Paths of repositories or names of packages, with commas or spaces between them; of repositories, none is nowhere.
    #[serde(default)]
    to: String,
    /// How many tasks; none is no bound.
    #[serde(default)]
    limit: String,
}

impl Said {
    fn reason(&self) -> Option<&str> {
        Some(self.reason.trim()).filter(|reason| !reason.is_empty())
    }

    fn decider(&self, caller: &Caller, is_forced: bool) -> Result<Decider, ApiError> {
        Decider::person(&caller.name, self.reason(), is_forced)
    }

    /// Browsers leave the seconds out where they are none.
    fn at(&self) -> Result<Timestamp, ApiError> {
        let at = self.at.trim();
        let parsed = [format!("{at}:00Z"), format!("{at}Z")]
            .into_iter()
            .find_map(|text| serde_json::from_value(serde_json::Value::String(text)).ok());
        parsed.ok_or_else(|| ApiError::unprocessable("bad_time", format!("\"{at}\" is no day and time")))
    }

    fn list(&self) -> Vec<String> {
        self.to.split([',', ' ']).map(str::trim).filter(|path| !path.is_empty()).map(str::to_string).collect()
    }

    fn limit(&self) -> Result<Option<u32>, ApiError> {
        let text = self.limit.trim();
        let number =
            text.parse().map_err(|_| ApiError::unprocessable("bad_limit", format!("\"{text}\" is no number of tasks")));
        if text.is_empty() { Ok(None) } else { number.map(Some) }
    }
}

/// Returns the route of a form that decides something of a release, on the plan that the reader saw.
fn on_release(path: &'static str, permission: Permission, act: fn(&Said, &Caller) -> Result<Act, ApiError>) -> Route {
    let press =
        async move |Extract(app): Extract<App>, Path(id): Path<ReleaseId>, caller: Caller, Form(said): Form<Said>| {
            let act = act(&said, &caller)?;
            let seen = Some(said.plan.as_str()).filter(|plan| !plan.is_empty());
            release::act(&app, id, &caller, seen, act).await?;
            PageResult::Ok(see(&format!("/releases/{id}")))
        };
    Route::form(path, permission, press)
}

/// Returns the route of a form that does something with a mass rebuild.
fn on_rebuild(path: &'static str, act: fn(&Said) -> Result<rebuild::Act, ApiError>) -> Route {
    let press =
        async move |Extract(app): Extract<App>, Path(id): Path<BuildId>, caller: Caller, Form(said): Form<Said>| {
            rebuild::act(&app, id, &caller, act(&said)?).await?;
            PageResult::Ok(see(&format!("/rebuilds/{id}")))
        };
    Route::form(path, Permission::Build, press)
}

async fn release_rebuild(Extract(app): Extract<App>, Path(id): Path<BuildId>, caller: Caller) -> PageResult {
    let planned = rebuild::release(&app, id, &caller).await?;
    // As a rule there is one: the reader sees its plan.
    Ok(see(&match planned.releases[..] {
        [release] => format!("/releases/{release}"),
        _ => format!("/rebuilds/{id}"),
    }))
}

async fn replan(Extract(app): Extract<App>, Path(id): Path<ReleaseId>, caller: Caller) -> PageResult {
    release::replan_as(&app, id, &caller).await?;
    Ok(see(&format!("/releases/{id}")))
}

async fn cancel_build(Extract(app): Extract<App>, Path(id): Path<BuildId>, caller: Caller) -> PageResult {
    build::cancel(Extract(app), Path(id), caller).await?;
    Ok(see(&format!("/builds/{id}")))
}

async fn restart_build(Extract(app): Extract<App>, Path(id): Path<BuildId>, caller: Caller) -> PageResult {
    build::restart(Extract(app), Path(id), caller).await?;
    Ok(see(&format!("/builds/{id}")))
}

async fn cancel_task(Extract(app): Extract<App>, Path(id): Path<TaskId>, caller: Caller) -> PageResult {
    task::cancel(Extract(app), Path(id), caller).await?;
    Ok(see(&format!("/tasks/{id}")))
}

async fn restart_task(Extract(app): Extract<App>, Path(id): Path<TaskId>, caller: Caller) -> PageResult {
    task::restart(Extract(app), Path(id), caller).await?;
    Ok(see(&format!("/tasks/{id}")))
}

async fn drain(
    Extract(app): Extract<App>,
    Path(name): Path<String>,
    caller: Caller,
    Form(said): Form<Said>,
) -> PageResult {
    let wanted = DrainNode { reason: said.reason().map(str::to_string), then_end: false };
    node::drain(Extract(app), Path(name.clone()), caller, Json(wanted)).await?;
    Ok(see(&format!("/nodes/{}", address_part(&name))))
}

async fn undrain(Extract(app): Extract<App>, Path(name): Path<String>, caller: Caller) -> PageResult {
    node::undrain(Extract(app), Path(name.clone()), caller).await?;
    Ok(see(&format!("/nodes/{}", address_part(&name))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Said {
        let pairs = form_urlencoded::parse(text.as_bytes()).into_owned().collect::<std::collections::BTreeMap<_, _>>();
        serde_json::from_value(serde_json::to_value(pairs).unwrap()).unwrap()
    }

    #[test]
    fn a_time_is_read_as_browsers_write_it() {
        let expected: Timestamp = serde_json::from_str("\"2026-11-30T02:00:00Z\"").unwrap();

        assert_eq!(said("at=2026-11-30T02:00").at().unwrap(), expected);
        assert_eq!(said("at=2026-11-30T02:00:00").at().unwrap(), expected);
        for no in ["", "tomorrow", "2026-11-30", "2026-11-30T02:00Z"] {
            assert!(said(&format!("at={no}")).at().is_err(), "{no}");
        }
    }

    #[test]
    fn places_have_commas_or_spaces_between_them_and_none_is_nowhere() {
        assert_eq!(said("to=a/b,+c").list(), ["a/b", "c"]);
        assert!(said("to=+").list().is_empty());
    }

    #[test]
    fn a_bound_is_a_number_or_nothing() {
        assert_eq!(said("limit=+12").limit().unwrap(), Some(12));
        assert_eq!(said("limit=+").limit().unwrap(), None);
        assert!(said("limit=many").limit().is_err() && said("limit=-1").limit().is_err());
    }

    #[test]
    fn an_empty_reason_is_none() {
        assert_eq!(said("reason=+").reason(), None);
        assert_eq!(said("reason=+why+").reason(), Some("why"));
    }
}
