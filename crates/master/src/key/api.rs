//! Keys over HTTP.

use anima_rpm_file::PublicKey;
use anima_types::{
    id::KeyId,
    key::{CreateKey, Key, KeyDetail, RevokeKey, RotateKey},
    key_policy::Policy,
    permission::Permission,
    signature::{ListQuery, Record},
};
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};

use super::{ask, check, check_policy, detail, revoke, rotate};
use crate::{
    app::App,
    auth::Caller,
    conditional::IfMatch,
    error::{ApiError, ApiResult, Json, Path, Query},
    paging::{Page, Paging},
    route::Route,
};

/// Signatures in one answer.
const MAX_LISTED: u32 = 1000;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/keys", Permission::Read, list),
        Route::post("/api/v1/keys", Permission::Configure, create),
        Route::get("/api/v1/keys/{key}", Permission::Read, show),
        Route::put("/api/v1/keys/{key}/policy", Permission::Configure, set_policy),
        Route::post("/api/v1/keys/{key}/revoke", Permission::Configure, take_out),
        Route::get("/api/v1/keys/{key}/signatures", Permission::Read, signatures),
        Route::get("/api/v1/keys/{key}/files.pem", Permission::Read, file_key),
        Route::post("/api/v1/products/{product}/key", Permission::Configure, replace),
    ]
}

async fn list(State(app): State<App>, paging: Paging) -> ApiResult<Page<Key>> {
    let mut read = app.db.read().await?;
    paging.page_of_all(anima_db::key::list(&mut read).await?, |key| key.id)
}

async fn show(State(app): State<App>, Path(id): Path<KeyId>) -> ApiResult<Json<KeyDetail>> {
    let mut read = app.db.read().await?;
    Ok(Json(detail(&mut read, id).await?))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(wanted): Json<CreateKey>,
) -> ApiResult<(StatusCode, Json<Key>)> {
    check(&wanted)?;
    let mut write = app.db.write(app.now(), &caller).await?;
    let id = ask(&mut write, &wanted, &Policy::default()).await?;
    let key = anima_db::key::get(&mut write, id).await?;
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(key)))
}

async fn set_policy(
    State(app): State<App>,
    Path(id): Path<KeyId>,
    caller: Caller,
    if_match: IfMatch,
    Json(policy): Json<Policy>,
) -> ApiResult<Json<Key>> {
    check_policy(&policy)?;
    let mut write = app.db.write(app.now(), &caller).await?;
    if_match.check(&detail(&mut write, id).await?)?;
    let key = anima_db::key::get(&mut write, id).await?;
    anima_db::key::set_policy(&mut write, &key, &policy).await?;
    let key = anima_db::key::get(&mut write, id).await?;
    write.commit().await?;
    app.everything_is_due();
    Ok(Json(key))
}

async fn take_out(
    State(app): State<App>,
    Path(id): Path<KeyId>,
    caller: Caller,
    Json(wanted): Json<RevokeKey>,
) -> ApiResult<Json<Key>> {
    let mut write = app.db.write(app.now(), &caller).await?;
    let key = anima_db::key::get(&mut write, id).await?;
    revoke(&mut write, &key, &wanted).await?;
    let key = anima_db::key::get(&mut write, id).await?;
    write.commit().await?;
    app.everything_is_due();
    Ok(Json(key))
}

async fn signatures(
    State(app): State<App>,
    Path(id): Path<KeyId>,
    Query(query): Query<ListQuery>,
    paging: Paging,
) -> ApiResult<Page<Record>> {
    let mut read = app.db.read().await?;
    anima_db::key::get(&mut read, id).await?;
    let (limit, after) = (paging.limit_of(MAX_LISTED, MAX_LISTED), paging.after()?.unwrap_or(query.after));
    let records = anima_db::signature::list(&mut read, id, after, limit + 1).await?;
    paging.page(records, limit, |record| record.id)
}

/// What an authority makes a certificate of, for the kernel's keyring.
async fn file_key(State(app): State<App>, Path(id): Path<KeyId>) -> ApiResult<Response> {
    let mut read = app.db.read().await?;
    let key = anima_db::key::get(&mut read, id).await?;
    let text =
        key.file_key.ok_or_else(|| ApiError::not_found(format!("key {} signs no files of packages", key.key.name)))?;
    let pem = PublicKey::from_armoured(&text).and_then(|public| public.to_pem()).map_err(ApiError::internal)?;
    Ok(([(header::CONTENT_TYPE, "application/x-pem-file")], pem).into_response())
}

async fn replace(
    State(app): State<App>,
    Path(product): Path<String>,
    caller: Caller,
    Json(wanted): Json<RotateKey>,
) -> ApiResult<(StatusCode, Json<Key>)> {
    let mut write = app.db.write(app.now(), &caller).await?;
    let product = anima_db::product::get(&mut write, &product).await?;
    let id = rotate::rotate(&mut write, &product, &wanted).await?;
    let key = anima_db::key::get(&mut write, id).await?;
    write.commit().await?;
    app.everything_is_due();
    Ok((StatusCode::CREATED, Json(key)))
}

/// Returns an error where a product has no key.
pub fn key_of(product: &anima_types::product::Product) -> ApiResult<KeyId> {
    product.key.ok_or_else(|| ApiError::conflict("no_key", format!("product {} has no key", product.product.name)))
}
