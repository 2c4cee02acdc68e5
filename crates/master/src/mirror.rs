//! Folders of packages that the service hands on, such as a mirror of the distribution that is built upon.

use anima_types::permission::Permission;
use axum::{extract::State, http::HeaderMap, response::Response};

use crate::{
    app::App,
    error::{ApiError, ApiResult, Path},
    file,
    route::Route,
};

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![Route::get("/mirror/{mirror}/{*path}", Permission::Read, show)]
}

async fn show(
    State(app): State<App>,
    Path((name, path)): Path<(String, String)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let folder = app.config.mirrors.get(&name);
    let folder = folder.ok_or_else(|| ApiError::not_found(format!("there is no mirror \"{name}\"")))?;
    file::below(folder, &encoded(&path), &headers).await
}

/// Returns the path as an address has it again.
fn encoded(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~+@:,=!$&'()*;".contains(&byte);
    path.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
