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
use tower_http::services::ServeDir;

use crate::{
    app::App,
    error::{ApiError, ApiResult},
};

/// What is named by its hash never changes.
pub const FOREVER: &str = "public, max-age=31536000, immutable";
/// What a release moves has to be asked for each time; the ETag makes that cheap.
pub const ASK_AGAIN: &str = "no-cache";

/// Returns an artifact as a file, whichever machine it is on: it is streamed through. Whole ones are compared with their hash
/// on the way, and one that is damaged breaks the connection before it is complete.
pub async fn artifact(
    app: &App,
    sha256: Sha256,
    headers: &HeaderMap,
    cache: &'static str,
    media_type: &'static str,
) -> ApiResult<Response> {
    let etag = format!("\"{sha256}\"");
    let artifact = app.store.get(sha256).await?;
    if is_known(headers, &etag) {
        let headers = [(header::ETAG, etag), (header::CACHE_CONTROL, cache.to_string())];
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let size = artifact.size_bytes();
    // A part of this file does not complete what the client has of another.
    let has_begun_this = headers.get(header::IF_RANGE).is_none_or(|known| known.as_bytes() == etag.as_bytes());
    let mut response = match if has_begun_this { asked(headers, size) } else { Asked::Whole } {
        Asked::Whole => {
            let mut response = Body::from_stream(artifact.bytes()).into_response();
            response.headers_mut().insert(header::CONTENT_LENGTH, size.into());
            response
        }
        Asked::Part(from, to) => {
            let part = format!("bytes {from}-{}/{size}", to - 1);
            let headers = [(header::CONTENT_RANGE, part), (header::CONTENT_LENGTH, (to - from).to_string())];
            (StatusCode::PARTIAL_CONTENT, headers, Body::from_stream(artifact.range(from..to))).into_response()
        }
        Asked::Nothing => nothing(size),
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::ETAG, HeaderValue::from_str(&etag).map_err(ApiError::internal)?);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

/// What a `Range` asks for.
#[derive(Debug, Eq, PartialEq)]
pub enum Asked {
    /// Everything: what is not understood is as if it were not there (RFC 9110, 14.2).
    Whole,
    /// Bytes from the first to before the second.
    Part(u64, u64),
    /// What there is not.
    Nothing,
}

/// Returns what a request's `Range` asks for of so many bytes.
pub fn asked(headers: &HeaderMap, size: u64) -> Asked {
    let text = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    text.map_or(Asked::Whole, |text| range(text, size))
}

/// Answers who asked for what is not there.
pub fn nothing(size: u64) -> Response {
    let error = ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "bad_range", format!("there are {size} bytes"));
    ([(header::CONTENT_RANGE, format!("bytes */{size}"))], error).into_response()
}

/// Reads a range of RFC 9110 with one part.
fn range(text: &str, size: u64) -> Asked {
    let parsed = || {
        let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
        Some(match (first.trim(), last.trim()) {
            ("", last) => (size.saturating_sub(last.parse().ok()?), size),
            (first, "") => (first.parse().ok()?, size),
            (first, last) => {
                let (first, last) = (first.parse().ok()?, last.parse::<u64>().ok()?);
                // A range that ends before it begins is none.
                (first <= last).then_some(())?;
                (first, last.saturating_add(1).min(size))
            }
        })
    };
    match parsed() {
        None => Asked::Whole,
        Some((from, to)) if from < to => Asked::Part(from, to),
        Some(_) => Asked::Nothing,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_has_them() {
        assert_eq!(range("bytes=0-9", 100), Asked::Part(0, 10));
        assert_eq!(range("bytes=90-", 100), Asked::Part(90, 100));
        assert_eq!(range("bytes=-10", 100), Asked::Part(90, 100));
        assert_eq!(range("bytes=-1000", 100), Asked::Part(0, 100));
        assert_eq!(range("bytes=0-1000", 100), Asked::Part(0, 100));
        assert_eq!(range("bytes=100-", 100), Asked::Nothing);
        assert_eq!(range("bytes=0-", 0), Asked::Nothing);
        assert_eq!(range("lines=1-2", 100), Asked::Whole);
        assert_eq!(range("bytes=9-1", 100), Asked::Whole);
        assert_eq!(range("bytes=0-1,5-6", 100), Asked::Whole);
    }
}
