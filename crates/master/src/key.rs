//! Keys: asked for here, made and kept by the Sign Server alone.

use anima_db::{
    Write,
    task::{About, Subject},
};
use anima_types::{
    id::KeyId,
    key::{CreateKey, Key},
    permission::Permission,
    task::{Event, Kind},
};
use axum::{extract::State, http::StatusCode};

use crate::{
    app::App,
    auth::Caller,
    error::{ApiError, ApiResult, Json},
    route::Route,
};

/// Bytes of a key's name at most: it is a file's name.
const MAX_NAME_BYTES: usize = 64;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![Route::get("/api/v1/keys", Permission::Read, list), Route::post("/api/v1/keys", Permission::Configure, create)]
}

async fn list(State(app): State<App>) -> ApiResult<Json<Vec<Key>>> {
    let mut read = app.db.read().await?;
    Ok(Json(anima_db::key::list(&mut read).await?))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(wanted): Json<CreateKey>,
) -> ApiResult<(StatusCode, Json<Key>)> {
    check(&wanted)?;
    let mut write = app.db.write(app.now(), &caller.name).await?;
    let id = ask(&mut write, &wanted).await?;
    let key = anima_db::key::get(&mut write, id).await?;
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(key)))
}

fn check(wanted: &CreateKey) -> ApiResult<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let is_name = !wanted.name.is_empty() && wanted.name.len() <= MAX_NAME_BYTES && wanted.name.chars().all(plain);
    if !is_name || wanted.name.starts_with('.') {
        let message = "a key's name has letters, digits, '-', '.' and '_', and does not begin with '.'";
        return Err(ApiError::unprocessable("bad_name", message));
    }
    if wanted.user_id.trim().is_empty() {
        return Err(ApiError::unprocessable(
            "bad_user_id",
            "a key needs a user id such as \"NAME <mail@example.org>\"",
        ));
    }
    Ok(())
}

/// Why a task that makes a key is not done yet.
pub const WAITS: &str = "It waits for the Sign Server.";

/// Writes a key, and the task that makes it.
pub async fn ask(write: &mut Write, wanted: &CreateKey) -> ApiResult<KeyId> {
    let id = anima_db::key::insert(write, wanted).await?;
    let about = About { key: Some(id), subject: Some(Subject::Key), ..About::new(Kind::Sign) };
    let task = anima_db::task::insert(write, &about, "A key was asked for.").await?;
    let task = anima_db::task::get(write, task).await?;
    anima_db::task::apply(write, &task, Event::DependenciesMet, WAITS).await?;
    Ok(id)
}
