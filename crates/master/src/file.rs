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
    if !app.store.contains(sha256).await? {
        return Err(ApiError::not_found(format!("there is no artifact {sha256}")));
    }
    if is_known(headers, &etag) {
        let headers = [(header::ETAG, etag), (header::CACHE_CONTROL, cache.to_string())];
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let mut request = Request::new(Body::empty());
    // A part of this file does not complete what the client has of another.
    let has_begun_this = headers.get(header::IF_RANGE).is_none_or(|known| known.as_bytes() == etag.as_bytes());
    if let Some(range) = headers.get(header::RANGE).filter(|_| has_begun_this) {
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

/// Returns whether the client has these bytes: tags are compared weakly, and `*` is any
/// ([RFC 9110, 13.1.2](https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2)).
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
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
    let mut response = served.map_err(ApiError::internal)?.map(Body::new).into_response();
    // What others made is never a page of ours, whatever it says of itself.
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
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
