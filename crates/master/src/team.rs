//! Teams: people who may the same. A product's team builds for it and releases into it.

use anima_db::Connection;
use anima_types::{
    account::{CreateTeam, Team, check_name},
    permission::Permission,
};
use axum::{extract::State, http::StatusCode};

use crate::{
    account::check_title,
    app::App,
    auth::Caller,
    conditional::IfMatch,
    error::{ApiError, ApiResult, Json, Path},
    paging::{Page, Paging},
    route::Route,
};

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/teams", Permission::Own, list),
        Route::post("/api/v1/teams", Permission::ManagePeople, create),
        Route::get("/api/v1/teams/{team}", Permission::Own, show),
        Route::delete("/api/v1/teams/{team}", Permission::ManagePeople, delete),
        Route::put("/api/v1/teams/{team}/members/{account}", Permission::ManagePeople, add),
        Route::delete("/api/v1/teams/{team}/members/{account}", Permission::ManagePeople, remove),
    ]
}

async fn list(State(app): State<App>, paging: Paging) -> ApiResult<Page<Team>> {
    paging.page_of_all(all(&app).await?, |team| team.name.clone())
}

/// Returns all teams with all that is said of them.
pub async fn all(app: &App) -> ApiResult<Vec<Team>> {
    let mut read = app.db.read().await?;
    let mut teams = Vec::new();
    for name in anima_db::team::list(&mut read).await? {
        teams.push(view(&mut read, &name).await?);
    }
    Ok(teams)
}

async fn view(read: &mut Connection, name: &str) -> ApiResult<Team> {
    let title = anima_db::team::title(read, name).await?;
    let products = anima_db::team::products(read, &[name.to_string()]).await?;
    Ok(Team {
        name: name.to_string(),
        title,
        members: anima_db::team::members(read, name).await?,
        products: products.into_iter().map(|(_, product)| product).collect(),
        rights: anima_db::right::of_team(read, name).await?,
    })
}

async fn show(State(app): State<App>, Path(name): Path<String>) -> ApiResult<Json<Team>> {
    let mut read = app.db.read().await?;
    Ok(Json(view(&mut read, &name).await?))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(wanted): Json<CreateTeam>,
) -> ApiResult<(StatusCode, Json<Team>)> {
    check_name(&wanted.name).map_err(|message| ApiError::unprocessable("bad_name", message))?;
    check_title(&wanted.title)?;
    let mut write = app.db.write(app.now(), &caller).await?;
    anima_db::team::insert(&mut write, &wanted).await?;
    let team = view(&mut write, &wanted.name).await?;
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(team)))
}

async fn delete(State(app): State<App>, Path(name): Path<String>, caller: Caller, if_match: IfMatch) -> ApiResult<()> {
    let mut write = app.db.write(app.now(), &caller).await?;
    if_match.check(&view(&mut write, &name).await?)?;
    let products = anima_db::team::products(&mut write, std::slice::from_ref(&name)).await?;
    if let Some((_, product)) = products.first() {
        let message = format!("product {product} belongs to team {name}");
        return Err(ApiError::conflict("in_use", message).hint("Give the product to another team first."));
    }
    anima_db::team::delete(&mut write, &name).await?;
    Ok(write.commit().await?)
}

async fn add(
    State(app): State<App>,
    Path((team, account)): Path<(String, String)>,
    caller: Caller,
) -> ApiResult<Json<Team>> {
    let mut write = app.db.write(app.now(), &caller).await?;
    let account = anima_db::account::get(&mut write, &account).await?;
    anima_db::team::add(&mut write, &team, account.id, &account.name).await?;
    let team = view(&mut write, &team).await?;
    write.commit().await?;
    Ok(Json(team))
}

async fn remove(
    State(app): State<App>,
    Path((team, account)): Path<(String, String)>,
    caller: Caller,
) -> ApiResult<()> {
    let mut write = app.db.write(app.now(), &caller).await?;
    let account = anima_db::account::get(&mut write, &account).await?;
    anima_db::team::remove(&mut write, &team, account.id, &account.name).await?;
    Ok(write.commit().await?)
}
