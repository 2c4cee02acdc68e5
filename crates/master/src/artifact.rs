//! Artifacts: uploaded by the holder of a lease, read by everybody, known by their SHA-256.

use anima_store::Piece;
use anima_types::{
    Sha256,
    artifact::{Artifact, Kind, UploadQuery},
    id::TaskId,
    permission::Permission,
    splice::{Splice, SplicePiece},
    work::uploads,
};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};

use crate::{
    app::App,
    auth::Caller,
    error::{ApiError, ApiResult, Json, Path, Query},
    file, lease, package_file,
    route::Route,
};

/// The largest packages of Enterprise Linux (kernel and browser debuginfo) have some 4 GB.
const MAX_PACKAGE_BYTES: u64 = 16 << 30;
/// Locks, metadata: those of 100,000 packages have some 200 MB.
const MAX_OTHER_BYTES: u64 = 2 << 30;
/// The new bytes of a splice at most: where more is new, the file is uploaded.
const MAX_SPLICE_BYTES: usize = 256 << 20;
/// A file's name at most, as file systems have it.
const MAX_NAME_BYTES: usize = 255;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::put("/api/v1/tasks/{task}/artifacts/{sha256}", Permission::HoldLease, upload),
        Route::post("/api/v1/tasks/{task}/splices", Permission::HoldLease, splice),
        Route::get("/api/v1/artifacts/{sha256}", Permission::Read, download),
        Route::get("/api/v1/artifacts/{sha256}/header", Permission::Read, header_of),
    ]
}

async fn upload(
    State(app): State<App>,
    Path((task, sha256)): Path<(TaskId, Sha256)>,
    Query(query): Query<UploadQuery>,
    caller: Caller,
    body: Body,
) -> ApiResult<Json<Artifact>> {
    let mut read = app.db.read().await?;
    let row = lease::held(&mut read, &caller, task).await?;
    drop(read);
    check(&query, row.about.kind)?;
    let is_package = matches!(query.kind, Kind::Rpm | Kind::Srpm);
    let max_bytes = if is_package { MAX_PACKAGE_BYTES } else { MAX_OTHER_BYTES };
    let stored = app.store.put_stream(sha256, max_bytes, body.into_data_stream()).await?;
    let package = if is_package { Some(package_file::read(&app, sha256).await?) } else { None };
    if let Some((package, _)) = &package
        && package.is_source != (query.kind == Kind::Srpm)
    {
        let message = format!("{} is said to be a {}, and is not", query.name, query.kind.name());
        return Err(ApiError::unprocessable("wrong_kind", message));
    }
    let mut write = app.db.write(app.now(), &caller.name).await?;
    lease::held(&mut write, &caller, task).await?;
    anima_db::artifact::insert(&mut write, sha256, stored.size_bytes).await?;
    if let Some((package, searchable)) = &package {
        anima_db::package::insert(&mut write, package).await?;
        anima_db::package_search::insert(&mut write, package.header_sha256, searchable).await?;
    }
    anima_db::artifact::link(&mut write, task, sha256, query.kind, &query.name).await?;
    write.commit().await?;
    let UploadQuery { kind, name } = query;
    Ok(Json(Artifact { sha256, kind, name, size_bytes: stored.size_bytes, signed: None }))
}

/// Makes an artifact out of pieces of one that is there. Packages are not made so: their headers have to be read.
async fn splice(
    State(app): State<App>,
    Path(task): Path<TaskId>,
    caller: Caller,
    body: Body,
) -> ApiResult<Json<Artifact>> {
    let mut read = app.db.read().await?;
    let row = lease::held(&mut read, &caller, task).await?;
    drop(read);
    let bad = |reason: String| ApiError::unprocessable("bad_splice", format!("the splice cannot be read: {reason}"));
    let body = axum::body::to_bytes(body, MAX_SPLICE_BYTES).await.map_err(|error| bad(error.to_string()))?;
    let (Splice { base, pieces, kind, name }, mut at) = Splice::decode(&body).map_err(bad)?;
    if matches!(kind, Kind::Rpm | Kind::Srpm) {
        return Err(ApiError::unprocessable("wrong_kind", "packages are uploaded as they are"));
    }
    let query = UploadQuery { kind, name };
    check(&query, row.about.kind)?;
    let piece = |piece| match piece {
        SplicePiece::Old(start, length) => Piece::Old(start..start.saturating_add(length)),
        SplicePiece::New(length) => {
            // Decoding has seen that there are so many.
            let start = at;
            at += length as usize;
            Piece::New(body.slice(start..at))
        }
    };
    let stored = app.store.splice(base, pieces.into_iter().map(piece).collect(), MAX_OTHER_BYTES).await?;
    let sha256 = stored.sha256;
    let mut write = app.db.write(app.now(), &caller.name).await?;
    lease::held(&mut write, &caller, task).await?;
    anima_db::artifact::insert(&mut write, sha256, stored.size_bytes).await?;
    anima_db::artifact::link(&mut write, task, sha256, query.kind, &query.name).await?;
    write.commit().await?;
    let UploadQuery { kind, name } = query;
    Ok(Json(Artifact { sha256, kind, name, size_bytes: stored.size_bytes, signed: None }))
}

fn check(query: &UploadQuery, kind: anima_types::task::Kind) -> ApiResult<()> {
    if !uploads(kind).contains(&query.kind) {
        let message = format!("a {} task uploads no {}", kind.name(), query.kind.name());
        return Err(ApiError::unprocessable("wrong_kind", message));
    }
    let name = &query.name;
    let is_name = !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && !name.starts_with('.')
        && !name.contains(['/', '\0', '\n', '"']);
    if is_name { Ok(()) } else { Err(ApiError::unprocessable("bad_name", format!("{name:?} is no name for a file"))) }
}

async fn download(State(app): State<App>, Path(sha256): Path<Sha256>, headers: HeaderMap) -> ApiResult<Response> {
    let mut read = app.db.read().await?;
    let name = anima_db::artifact::find(&mut read, sha256).await?.map(|artifact| artifact.name);
    drop(read);
    let name = name.unwrap_or_else(|| sha256.to_string());
    let mut response = file::artifact(&app, sha256, &headers, file::FOREVER, file::media_type(&name)).await?;
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// What of a package is signed: the Sign Server never sees more.
async fn header_of(State(app): State<App>, Path(sha256): Path<Sha256>) -> ApiResult<Response> {
    if !app.store.contains(sha256).await? {
        return Err(ApiError::not_found(format!("there is no artifact {sha256}")));
    }
    let path = app.store.path(sha256);
    let header = package_file::blocking(move || {
        anima_rpm_file::header_bytes(&path).map_err(|error| ApiError::unprocessable("bad_package", error.to_string()))
    });
    let headers = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, file::FOREVER)];
    Ok((headers, header.await?.bytes).into_response())
}
