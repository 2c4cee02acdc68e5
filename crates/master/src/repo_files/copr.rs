//! What `dnf copr` asks for, so that the plugin which users have already enables a product, finds and lists them. A product
//! is the project `anima/PRODUCT`; its `.repo` file has both checks of signatures, as everywhere.
//!
//! Written after what dnf-plugins-core 4.3 sends ([copr.py](https://github.com/rpm-software-management/dnf-plugins-core)).

use anima_types::product::Product;
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::product_repository::config;
use crate::{
    app::App,
    error::{ApiError, ApiResult, Json, Path, Query},
    file,
    route::Route,
};
use anima_types::permission::Permission;

/// Whose projects they are: products have no owners of their own yet.
const OWNER: &str = "anima";

/// The header in which the plugin looks for what there is instead of what it asked for.
const ERROR_DATA: &str = "copr-error-data";

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/coprs/{owner}/{project}/repo/{chroot}/dnf.repo", Permission::Read, repo_file),
        Route::get("/api_3/project/search", Permission::Read, search),
        Route::get("/api_3/project/list", Permission::Read, list),
    ]
}

#[derive(Deserialize)]
struct Wanted {
    arch: String,
}

/// The `chroot` is the client's distribution without its architecture. It is not asked about: a product has
/// architectures, and who enables it chose it by its name.
async fn repo_file(
    State(app): State<App>,
    Path((owner, project, chroot)): Path<(String, String, String)>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let nothing = || ApiError::not_found(format!("there is no project {owner}/{project}"));
    let mut read = app.db.read().await?;
    let found = if owner == OWNER { anima_db::product::find(&mut read, &project).await? } else { None };
    let product = found.ok_or_else(nothing)?;
    if !product.product.architectures.iter().any(|arch| arch.name() == wanted.arch) {
        return Ok(other_architectures(&product, &chroot, &wanted.arch));
    }
    let repositories = anima_db::repository::list(&mut read, Some(&project)).await?;
    drop(read);
    let first = format!("copr:{}:{OWNER}:{project}", host(&app, &headers));
    let is_main = |repository: &str| product.product.repositories.first().is_some_and(|main| main == repository);
    // The plugin looks for the first section by the project's name, and names the file after it.
    let id = |repository: &str| match is_main(repository) {
        true => first.clone(),
        false => format!("{first}:{repository}"),
    };
    let text = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, file::ASK_AGAIN)];
    Ok((text, config(&app, &product, &repositories, &id)).into_response())
}

/// Says which architectures there are, in the form that the plugin shows to the user.
fn other_architectures(product: &Product, chroot: &str, arch: &str) -> Response {
    let name = &product.product.name;
    let available: Vec<String> = product.product.architectures.iter().map(|arch| format!("{chroot}-{arch}")).collect();
    let data = BASE64_STANDARD.encode(json!({ "available chroots": available }).to_string());
    let error = ApiError::not_found(format!("product {name} is not made for {arch}"));
    (StatusCode::NOT_FOUND, [(ERROR_DATA, data)], error).into_response()
}

/// Returns the host that the client knows this service by: the plugin looks for the section by it.
fn host(app: &App, headers: &HeaderMap) -> String {
    let asked = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let own = app.url("");
    let own = own.split("://").nth(1).unwrap_or_default().split('/').next().unwrap_or_default().to_string();
    let plain = |host: &str| host.rsplit_once(':').map_or(host, |(name, _)| name).to_string();
    let is_name =
        |host: &String| !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
    asked.map(plain).filter(is_name).unwrap_or_else(|| plain(&own))
}

#[derive(Deserialize)]
struct Search {
    query: String,
}

#[derive(Deserialize)]
struct Owner {
    ownername: String,
}

async fn search(State(app): State<App>, Query(wanted): Query<Search>) -> ApiResult<Json<Value>> {
    let query = wanted.query.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&query);
    projects(&app, |product| has(&product.product.name) || has(&product.product.title)).await
}

async fn list(State(app): State<App>, Query(wanted): Query<Owner>) -> ApiResult<Json<Value>> {
    projects(&app, |_| wanted.ownername == OWNER).await
}

async fn projects(app: &App, is_wanted: impl Fn(&Product) -> bool) -> ApiResult<Json<Value>> {
    let mut read = app.db.read().await?;
    let products = anima_db::product::list(&mut read).await?;
    let items: Vec<Value> = products.iter().filter(|product| is_wanted(product)).map(project).collect();
    Ok(Json(json!({ "items": items })))
}

fn project(product: &Product) -> Value {
    let name = &product.product.name;
    json!({
        "name": name,
        "ownername": OWNER,
        "full_name": format!("{OWNER}/{name}"),
        "description": product.product.title,
    })
}
