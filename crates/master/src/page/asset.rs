//! What pages need beside themselves. Its address carries its hash, so that a browser asks for it once.

use std::sync::LazyLock;

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest as _, Sha256};

use crate::file;

const CSS: &str = include_str!("../../assets/anima.css");
const JS: &str = include_str!("../../assets/anima.js");
const FAVICON: &str = include_str!("../../assets/favicon.svg");
/// Hexadecimal digits of a hash that are enough to tell one version of a file from the next.
const VERSION_DIGITS: usize = 12;

/// The versions of the files, for their addresses.
#[derive(Debug)]
pub struct Versions {
    /// Of the style sheet.
    pub css: String,
    /// Of the script.
    pub js: String,
}

/// See [`Versions`].
pub static VERSIONS: LazyLock<Versions> = LazyLock::new(|| Versions { css: version(CSS), js: version(JS) });

fn version(text: &str) -> String {
    let mut hash = hex::encode(Sha256::digest(text));
    hash.truncate(VERSION_DIGITS);
    hash
}

/// The style sheet.
pub async fn css(headers: HeaderMap) -> Response {
    answer(&headers, "text/css; charset=utf-8", CSS)
}

/// The script.
pub async fn js(headers: HeaderMap) -> Response {
    answer(&headers, "text/javascript; charset=utf-8", JS)
}

/// The icon.
pub async fn favicon(headers: HeaderMap) -> Response {
    answer(&headers, "image/svg+xml", FAVICON)
}

fn answer(headers: &HeaderMap, media_type: &'static str, text: &'static str) -> Response {
    let etag = format!("\"{}\"", version(text));
    let fixed = [(header::CACHE_CONTROL, file::FOREVER), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, fixed, [(header::ETAG, etag)]).into_response();
    }
    (fixed, [(header::ETAG, etag)], [(header::CONTENT_TYPE, media_type)], text).into_response()
}
