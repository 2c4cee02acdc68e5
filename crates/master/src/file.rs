//! Answers that are files: with their hash as ETag, in parts where the client asks for parts.

use std::path::Path;

use anima_types::Sha256;
use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tower::ServiceExt as _;
use tower_http::services::{ServeDir, ServeFile};

use crate::{
    app::App,
    error::{ApiError, ApiResult},
};

/// What is named by its hash never changes.
pub const FOREVER: &str = "public, max-age=31536000, immutable";
/// What a release moves has to be asked for each time; the ETag makes that cheap.
pub const ASK_AGAIN: &str = "no-cache";

/// Returns an artifact as a file.
pub async fn artifact(
    app: &App,
    sha256: Sha256,
    headers: &HeaderMap,
    cache: &'static str,
    media_type: &'static str,
) -> ApiResult<Response> {
    let etag = format!("\"{sha256}\"");
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    if !app.store.contains(sha256).await? {
        return Err(ApiError::not_found(format!("there is no artifact {sha256}")));
    }
    let mut request = Request::new(Body::empty());
    if let Some(range) = headers.get(header::RANGE) {
        request.headers_mut().insert(header::RANGE, range.clone());
    }
    let served = ServeFile::new(app.store.path(sha256)).oneshot(request).await.map_err(ApiError::internal)?;
    let mut response = served.map(Body::new).into_response();
    let headers = response.headers_mut();
    // The time of the file in the store means nothing to a client; its hash does.
    headers.remove(header::LAST_MODIFIED);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::ETAG, HeaderValue::from_str(&etag).map_err(ApiError::internal)?);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

/// Returns a file below a folder; addresses that leave the folder find nothing.
pub async fn below(folder: &Path, path: &str, headers: &HeaderMap) -> ApiResult<Response> {
    let uri = format!("/{path}").parse::<axum::http::Uri>();
    let uri = uri.map_err(|_| ApiError::not_found(format!("there is nothing at {path}")))?;
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = uri;
    for name in [header::RANGE, header::IF_MODIFIED_SINCE] {
        if let Some(value) = headers.get(&name) {
            request.headers_mut().insert(name, value.clone());
        }
    }
    let served = ServeDir::new(folder).append_index_html_on_directories(false).oneshot(request).await;
    let response = served.map_err(ApiError::internal)?.map(Body::new).into_response();
    match response.status() {
        StatusCode::NOT_FOUND => Err(ApiError::not_found(format!("there is nothing at {path}"))),
        _ => Ok(response),
    }
}

/// Returns what a file of a repository is, by its name.
pub fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "xml" => "application/xml",
        "asc" => "application/pgp-signature",
        "gz" => "application/gzip",
        "zst" => "application/zstd",
        "rpm" => "application/x-rpm",
        _ => "application/octet-stream",
    }
}
