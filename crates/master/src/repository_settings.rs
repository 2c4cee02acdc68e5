//! How a repository's metadata is made, which of its snapshots stay, and what it has beside the metadata of its packages.

use anima_repodata::{Attachment as Packed, Items, Modules};
use anima_types::{
    id::RepositoryId,
    permission::Permission,
    repository::Attachment,
    retention::{Pin, RepositorySettings},
};
use axum::{body::Bytes, extract::State};
use serde::Deserialize;

use crate::{
    app::App,
    auth::Caller,
    conditional::IfMatch,
    error::{ApiError, ApiResult, Json, Path, Query},
    package_file::blocking,
    route::Route,
};
use anima_db::{Connection, event::NewEvent};

/// A reason at most.
const MAX_REASON_CHARS: usize = 500;
/// Kinds that are made of the packages.
const OWN_KINDS: [&str; 3] = ["primary", "filelists", "other"];
/// Snapshots that a rule keeps at least, so that a release can be taken back.
const MIN_SNAPSHOTS: u32 = 2;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/repositories/{repository}/settings", Permission::Read, settings),
        Route::put("/api/v1/repositories/{repository}/settings", Permission::Maintain, set),
        Route::put("/api/v1/repositories/{repository}/snapshots/{number}/pin", Permission::Release, pin),
        Route::delete("/api/v1/repositories/{repository}/snapshots/{number}/pin", Permission::Release, unpin),
        Route::get("/api/v1/repositories/{repository}/attachments", Permission::Read, attachments),
        Route::put("/api/v1/repositories/{repository}/attachments/{kind}", Permission::Release, attach),
        Route::delete("/api/v1/repositories/{repository}/attachments/{kind}", Permission::Release, detach),
    ]
}

async fn settings(State(app): State<App>, Path(id): Path<RepositoryId>) -> ApiResult<Json<RepositorySettings>> {
    let mut read = app.db.read().await?;
    Ok(Json(kept(&mut read, id).await?))
}

async fn kept(read: &mut Connection, id: RepositoryId) -> ApiResult<RepositorySettings> {
    let compression = anima_db::repository::compression(read, id).await?;
    Ok(RepositorySettings { compression, keep: anima_db::garbage::rule(read, id).await? })
}

async fn set(
    State(app): State<App>,
    Path(id): Path<RepositoryId>,
    caller: Caller,
    if_match: IfMatch,
    Json(wanted): Json<RepositorySettings>,
) -> ApiResult<Json<RepositorySettings>> {
    if wanted.keep.is_some_and(|rule| rule.newest_count < MIN_SNAPSHOTS) {
        let message = format!("a rule keeps the newest {MIN_SNAPSHOTS} snapshots at least");
        return Err(
            ApiError::unprocessable("too_few", message).hint("A release can only be taken back to one that is there.")
        );
    }
    let mut write = app.db.write(app.now(), &caller).await?;
    let repository = anima_db::repository::get(&mut write, id).await?;
    if_match.check(&kept(&mut write, id).await?)?;
    anima_db::repository::set_compression(&mut write, id, wanted.compression).await?;
    anima_db::garbage::set_rule(&mut write, id, wanted.keep).await?;
    let rule = wanted.keep.map_or("all snapshots stay".to_string(), |rule| {
        format!("the newest {} snapshots stay, and those of the last {} days", rule.newest_count, rule.days)
    });
    let message = format!(
        "{}/{}: {rule}; metadata is packed with {}.",
        repository.product,
        repository.path,
        wanted.compression.name()
    );
    let event = NewEvent { noun: "repository", verb: "configured", message, ..NewEvent::default() };
    anima_db::event::record(&mut write, event).await?;
    write.commit().await?;
    Ok(Json(wanted))
}

async fn pin(
    State(app): State<App>,
    Path((id, number)): Path<(RepositoryId, i64)>,
    caller: Caller,
    Json(wanted): Json<Pin>,
) -> ApiResult<()> {
    let reason = wanted.reason.trim();
    if reason.is_empty() || reason.chars().count() > MAX_REASON_CHARS {
        let message = format!("a pin has a reason of at most {MAX_REASON_CHARS} characters");
        return Err(ApiError::unprocessable("no_reason", message));
    }
    set_pin(&app, id, number, &caller, Some(reason)).await
}

async fn unpin(State(app): State<App>, Path((id, number)): Path<(RepositoryId, i64)>, caller: Caller) -> ApiResult<()> {
    set_pin(&app, id, number, &caller, None).await
}

async fn set_pin(app: &App, id: RepositoryId, number: i64, caller: &Caller, reason: Option<&str>) -> ApiResult<()> {
    let mut write = app.db.write(app.now(), caller).await?;
    let repository = anima_db::repository::get(&mut write, id).await?;
    anima_db::garbage::set_pin(&mut write, id, number, reason).await?;
    let address = format!("{}/{}@{number}", repository.product, repository.path);
    let (verb, message) = match reason {
        Some(reason) => ("pinned", format!("Snapshot {address} stays: {reason}.")),
        None => ("unpinned", format!("Snapshot {address} goes when its rule says so.")),
    };
    anima_db::event::record(&mut write, NewEvent { noun: "snapshot", verb, message, ..NewEvent::default() }).await?;
    Ok(write.commit().await?)
}

async fn attachments(State(app): State<App>, Path(id): Path<RepositoryId>) -> ApiResult<Json<Vec<Attachment>>> {
    let mut read = app.db.read().await?;
    anima_db::repository::get(&mut read, id).await?;
    Ok(Json(anima_db::repository::attachments(&mut read, id).await?))
}

#[derive(Deserialize)]
struct FileName {
    name: String,
}

async fn attach(
    State(app): State<App>,
    Path((id, kind)): Path<(RepositoryId, String)>,
    Query(FileName { name }): Query<FileName>,
    caller: Caller,
    body: Bytes,
) -> ApiResult<Json<Attachment>> {
    check(&kind, &name)?;
    let mut read = app.db.read().await?;
    let compression = anima_db::repository::compression(&mut read, id).await?;
    drop(read);
    let packed = blocking(move || {
        look_into(&kind, &body)?;
        Packed::pack(compression, &kind, &name, &body).map_err(ApiError::internal)
    });
    let Packed { kind, file, open_sha256, open_size_bytes } = packed.await?;
    let size_bytes = file.bytes.len() as u64;
    let sha256 = app.store.put_bytes(file.bytes).await?.sha256;
    let attachment = Attachment { kind, path: file.name, sha256, size_bytes, open_sha256, open_size_bytes };
    let mut write = app.db.write(app.now(), &caller).await?;
    let repository = anima_db::repository::get(&mut write, id).await?;
    anima_db::artifact::insert(&mut write, sha256, size_bytes).await?;
    anima_db::repository::set_attachment(&mut write, id, &attachment).await?;
    let message =
        format!("{}/{} has new {} from its next snapshot on.", repository.product, repository.path, attachment.kind);
    let event = NewEvent { noun: "repository", verb: "attached", message, ..NewEvent::default() };
    anima_db::event::record(&mut write, event).await?;
    write.commit().await?;
    Ok(Json(attachment))
}

async fn detach(
    State(app): State<App>,
    Path((id, kind)): Path<(RepositoryId, String)>,
    caller: Caller,
) -> ApiResult<()> {
    let mut write = app.db.write(app.now(), &caller).await?;
    let repository = anima_db::repository::get(&mut write, id).await?;
    if !anima_db::repository::remove_attachment(&mut write, id, &kind).await? {
        return Err(ApiError::not_found(format!("{}/{} has no {kind}", repository.product, repository.path)));
    }
    let message = format!("{}/{} has no {kind} from its next snapshot on.", repository.product, repository.path);
    let event = NewEvent { noun: "repository", verb: "detached", message, ..NewEvent::default() };
    anima_db::event::record(&mut write, event).await?;
    Ok(write.commit().await?)
}

fn check(kind: &str, name: &str) -> ApiResult<()> {
    let is_word = |text: &str| {
        !text.is_empty()
            && text.len() <= 64
            && !text.starts_with('.')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    match is_word(kind) && is_word(name) && !OWN_KINDS.contains(&kind) {
        true => Ok(()),
        false => {
            let message = format!("\"{kind}\" with the file \"{name}\" cannot be metadata of a repository");
            Err(ApiError::unprocessable("bad_name", message).hint("Such as `updateinfo` with `updateinfo.xml`."))
        }
    }
}

/// What clients would stumble over is refused here.
fn look_into(kind: &str, bytes: &[u8]) -> ApiResult<()> {
    let read = match kind {
        "updateinfo" | "group" => Items::parse(bytes, kind).map(drop),
        "modules" => Modules::parse(bytes).map(drop),
        _ => Ok(()),
    };
    read.map_err(|error| ApiError::unprocessable("bad_metadata", error.to_string()))
}
