//! What the forms of pages do: the same as the API's routes, and then the reader sees the page again.

use anima_types::{
    Timestamp,
    id::{BuildId, ReleaseId, TaskId},
    node::DrainNode,
    permission::Permission,
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
    node,
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
        Route::form("/releases/{release}/commit", Permission::Release, commit),
        Route::form("/releases/{release}/force", Permission::Configure, force),
        Route::form("/releases/{release}/edit", Permission::Release, edit),
        Route::form("/releases/{release}/approve", Permission::Release, approve),
        Route::form("/releases/{release}/schedule", Permission::Release, schedule),
        Route::form("/releases/{release}/unschedule", Permission::Release, unschedule),
        Route::form("/releases/{release}/abandon", Permission::Release, abandon),
        Route::form("/releases/{release}/revert", Permission::Release, revert),
        Route::form("/releases/{release}/replan", Permission::Release, replan),
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
    /// Paths of repositories, with commas or spaces between them; none is nowhere.
    #[serde(default)]
    to: String,
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

    fn places(&self) -> Vec<String> {
        self.to.split([',', ' ']).map(str::trim).filter(|path| !path.is_empty()).map(str::to_string).collect()
    }
}

async fn press(app: &App, caller: &Caller, id: ReleaseId, said: &Said, act: Act) -> PageResult {
    let seen = Some(said.plan.as_str()).filter(|plan| !plan.is_empty());
    release::act(app, id, caller, seen, act).await?;
    Ok(see(&format!("/releases/{id}")))
}

async fn commit(
    Extract(app): Extract<App>,
    Path(id): Path<ReleaseId>,
    caller: Caller,
    Form(said): Form<Said>,
) -> PageResult {
    let decider = said.decider(&caller, false)?;
    press(&app, &caller, id, &said, Act::Commit(decider)).await
}

async fn force(
    Extract(app): Extract<App>,
    Path(id): Path<ReleaseId>,
    caller: Caller,
    Form(said): Form<Said>,
) -> PageResult {
    let decider = said.decider(&caller, true)?;
    press(&app, &caller, id, &said, Act::Commit(decider)).await
}

async fn edit(
    Extract(app): Extract<App>,
    Path(id): Path<ReleaseId>,
    caller: Caller,
    Form(said): Form<Said>,
) -> PageResult {
    let edit = Edit { package: said.package.trim().to_string(), to: said.places() };
    let wanted = EditRelease { edits: vec![edit], undo: Vec::new(), reason: said.reason.clone() };
    press(&app, &caller, id, &said, Act::Edit(wanted)).await
}

async fn approve(
    Extract(app): Extract<App>,
    Path(id): Path<ReleaseId>,
    caller: Caller,
    Form(said): Form<Said>,
) -> PageResult {
    let decider = said.decider(&caller, false)?;
    press(&app, &caller, id, &said, Act::Approve(decider)).await
}

async fn schedule(
    Extract(app): Extract<App>,
    Path(id): Path<ReleaseId>,
    caller: Caller,
    Form(said): Form<Said>,
) -> PageResult {
    let (decider, at) = (said.decider(&caller, false)?, said.at()?);
    press(&app, &caller, id, &said, Act::Schedule(decider, at)).await
}

async fn unschedule(
    Extract(app): Extract<App>,
    Path(id): Path<ReleaseId>,
    caller: Caller,
    Form(said): Form<Said>,
) -> PageResult {
    press(&app, &caller, id, &said, Act::Unschedule).await
}

async fn abandon(
    Extract(app): Extract<App>,
    Path(id): Path<ReleaseId>,
    caller: Caller,
    Form(said): Form<Said>,
) -> PageResult {
    press(&app, &caller, id, &said, Act::Abandon).await
}

async fn revert(
    Extract(app): Extract<App>,
    Path(id): Path<ReleaseId>,
    caller: Caller,
    Form(said): Form<Said>,
) -> PageResult {
    press(&app, &caller, id, &said, Act::Revert).await
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
        assert_eq!(said("to=a/b,+c").places(), ["a/b", "c"]);
        assert!(said("to=+").places().is_empty());
    }

    #[test]
    fn an_empty_reason_is_none() {
        assert_eq!(said("reason=+").reason(), None);
        assert_eq!(said("reason=+why+").reason(), Some("why"));
    }
}
