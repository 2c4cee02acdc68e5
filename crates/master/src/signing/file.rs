//! Small files that a person wants signed, such as lists of checksums and advisories, and approvals of sign tasks.

use anima_db::{
    Write,
    signature::File,
    task::{About, Subject, Task},
};
use anima_types::{
    artifact,
    id::TaskId,
    permission::Permission,
    signature::{Approve, Form, Kind as Signed, SignFile},
    task::{self, Kind, Status},
};
use axum::{extract::State, http::StatusCode};

use super::{State as Signing, waiting};
use crate::{
    app::App,
    auth::Caller,
    error::{ApiError, ApiResult, Json, Path},
    key,
    route::Route,
    task::is_due,
};

/// A list of checksums or an advisory: what is larger is something else.
const MAX_FILE_BYTES: usize = 1 << 20;
const MAX_NAME_BYTES: usize = 128;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::post("/api/v1/products/{product}/signed-files", Permission::Sign, create),
        Route::post("/api/v1/tasks/{task}/approve", Permission::Sign, approve),
    ]
}

async fn create(
    State(app): State<App>,
    Path(product): Path<String>,
    caller: Caller,
    Json(wanted): Json<SignFile>,
) -> ApiResult<(StatusCode, Json<task::Task>)> {
    check(&wanted)?;
    let size_bytes = wanted.text.len() as u64;
    let stored = app.store.put_bytes(wanted.text.clone().into_bytes()).await?;
    let mut write = app.db.write(app.now(), &caller).await?;
    let product = anima_db::product::get(&mut write, &product).await?;
    let about = About { key: Some(key::key_of(&product)?), subject: Some(Subject::File), ..About::new(Kind::Sign) };
    let why = format!("{} wants {} signed.", caller.name, wanted.name);
    let id = anima_db::task::insert(&mut write, &about, &why).await?;
    anima_db::artifact::insert(&mut write, stored.sha256, size_bytes).await?;
    anima_db::artifact::link(&mut write, id, stored.sha256, artifact::Kind::Document, &wanted.name).await?;
    let file = File {
        product: product.product.name,
        name: wanted.name,
        kind: wanted.kind,
        form: wanted.form,
        sha256: stored.sha256,
        asked_by: caller.name,
    };
    anima_db::signature::insert_file(&mut write, id, &file).await?;
    write.commit().await?;
    advance_once(&app).await?;
    Ok((StatusCode::CREATED, Json(crate::task::get(&app, id).await?)))
}

fn check(wanted: &SignFile) -> ApiResult<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:+".contains(c);
    let is_name = !wanted.name.is_empty() && wanted.name.len() <= MAX_NAME_BYTES && wanted.name.chars().all(plain);
    if !is_name || wanted.name.starts_with('.') {
        let message = "a file's name has letters, digits, '-', '.', '_', ':' and '+', and does not begin with '.'";
        return Err(ApiError::unprocessable("bad_name", message));
    }
    if !matches!(wanted.kind, Signed::Checksum | Signed::Advisory) || wanted.form.is_of_package() {
        let message = "files of people are lists of checksums and advisories, signed detached or clear";
        return Err(ApiError::unprocessable("bad_kind", message)
            .hint("Packages and indexes are signed when they were built and tested."));
    }
    if wanted.text.is_empty() || wanted.text.len() > MAX_FILE_BYTES {
        return Err(ApiError::unprocessable("bad_text", format!("a file has 1 to {MAX_FILE_BYTES} bytes")));
    }
    if wanted.form == Form::Clear && wanted.text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
    {
        return Err(ApiError::unprocessable("bad_text", "a text that is signed clear has no control characters"));
    }
    Ok(())
}

async fn approve(
    State(app): State<App>,
    Path(id): Path<TaskId>,
    caller: Caller,
    Json(said): Json<Approve>,
) -> ApiResult<Json<task::Task>> {
    let mut write = app.db.write(app.now(), &caller).await?;
    let task = anima_db::task::get(&mut write, id).await?;
    let is_open = task.about.kind == Kind::Sign && task.status == Status::Waiting;
    if !is_open {
        let message = format!("task {id} waits for nobody's approval: it is {}", task.status.name());
        return Err(ApiError::conflict("wrong_status", message));
    }
    let asked_by = super::account::of_task(&mut write, &task).await?.into_iter().find_map(|account| account.asked_by);
    if asked_by.as_ref() == Some(&caller.name) {
        let message = format!("{} asked for it: another has to approve", caller.name);
        return Err(ApiError::conflict("own_work", message));
    }
    anima_db::signature::approve(&mut write, &task, &said.reason).await?;
    write.commit().await?;
    is_due(&app, &task);
    advance_once(&app).await?;
    Ok(Json(crate::task::get(&app, id).await?))
}

/// What a person brought stays with its task when that is tried again.
pub async fn restarted(write: &mut Write, id: TaskId) -> ApiResult<()> {
    let file = anima_db::signature::file(write, id).await?;
    Ok(anima_db::artifact::link(write, id, file.sha256, artifact::Kind::Document, &file.name).await?)
}

/// Lets files be signed whose key is there and that enough people approved. Returns whether any moved.
pub async fn advance_once(app: &App) -> ApiResult<bool> {
    let mut read = app.db.read().await?;
    let waiting_files = anima_db::signature::waiting_files(&mut read).await?;
    drop(read);
    let mut any = false;
    for id in waiting_files {
        let mut write = app.db.write(app.now(), "anima").await?;
        let task: Task = anima_db::task::get(&mut write, id).await?;
        if task.status != Status::Waiting {
            continue;
        }
        let key = super::work::key_of(&mut write, &task).await?;
        any |= !matches!(waiting(&mut write, &task, &key).await?, Signing::Waits);
        write.commit().await?;
    }
    Ok(any)
}
