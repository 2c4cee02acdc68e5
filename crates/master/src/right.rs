//! Rights: who may what and where, as rows. They count from the next request on.

use anima_db::{Write, right::Holder};
use anima_types::{
    id::RightId,
    permission::{Permission, Role},
    right::{GiveRight, GivenRight, Right, Thing},
};
use axum::{extract::State, http::StatusCode};

use crate::{
    app::App,
    auth::Caller,
    error::{ApiError, ApiResult, Json, Path},
    paging::{Page, Paging},
    route::Route,
};

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/rights", Permission::ManagePeople, list),
        Route::post("/api/v1/rights", Permission::ManagePeople, create),
        Route::delete("/api/v1/rights/{right}", Permission::ManagePeople, delete),
    ]
}

async fn list(State(app): State<App>, paging: Paging) -> ApiResult<Page<GivenRight>> {
    let mut read = app.db.read().await?;
    paging.page_of_all(anima_db::right::list(&mut read).await?, |given| given.id)
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(wanted): Json<GiveRight>,
) -> ApiResult<(StatusCode, Json<GivenRight>)> {
    let mut write = app.db.write(app.now(), &caller).await?;
    check(&app, &mut write, &wanted.right).await?;
    let holder = match (wanted.account, wanted.team) {
        (Some(name), None) => Holder::Account(anima_db::account::get(&mut write, &name).await?.id, name),
        (None, Some(name)) => {
            anima_db::team::title(&mut write, &name).await?;
            Holder::Team(name)
        }
        _ => return Err(ApiError::unprocessable("no_holder", "a right is given to an account or to a team")),
    };
    let id = anima_db::right::insert(&mut write, &holder, &wanted.right).await?;
    let given = anima_db::right::get(&mut write, id).await?;
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(given)))
}

/// Takes a right away.
pub async fn delete(State(app): State<App>, Path(id): Path<RightId>, caller: Caller) -> ApiResult<()> {
    let mut write = app.db.write(app.now(), &caller).await?;
    anima_db::right::delete(&mut write, id).await?;
    Ok(write.commit().await?)
}

/// Refuses a right that would mean nothing, or is for what is not there.
pub async fn check(app: &App, write: &mut Write, right: &Right) -> ApiResult<()> {
    if !right.role.is_of_people() {
        let message = format!("{} is nothing that people are", right.role.name());
        return Err(ApiError::unprocessable("bad_role", message));
    }
    let Some(on) = &right.on else { return Ok(()) };
    if !counts_on(right.role, on) {
        let message = format!("a {} has nothing to do with {on} alone", right.role.name());
        return Err(ApiError::unprocessable("bad_role", message).hint("Give the right everywhere, or for a product."));
    }
    match on {
        Thing::Platform(name) if app.platform(name).is_none() => {
            Err(ApiError::not_found(format!("there is no platform \"{name}\"")))
        }
        Thing::Platform(_) => Ok(()),
        Thing::Product(name) => Ok(anima_db::product::get(write, name).await.map(drop)?),
        Thing::Key(id) => Ok(anima_db::key::get(write, *id).await.map(drop)?),
    }
}

/// Returns whether a role means anything for one such thing.
const fn counts_on(role: Role, thing: &Thing) -> bool {
    use Role::*;
    match thing {
        Thing::Platform(_) => matches!(role, Admin | Manager | Contributor),
        Thing::Product(_) => !matches!(role, Observer),
        Thing::Key(_) => matches!(role, Admin | Signer),
    }
}
