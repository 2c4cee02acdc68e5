//! What a request is about: from the variable parts of its address, and what they belong to.

use anima_db::Connection;
use anima_types::{
    id::{BuildId, KeyId, ReleaseId, RepositoryId, TaskId},
    permission::Permission,
    right::{Target, Thing},
};

use crate::{
    app::App,
    error::{ApiError, ApiResult},
};

/// Returns what building for a platform is about: the platform, or the product that it releases to.
pub fn platform(app: &App, name: &str) -> Target {
    let product = app.platform(name).and_then(|platform| platform.release_to.clone());
    [Thing::Platform(name.to_string())].into_iter().chain(product.map(Thing::Product)).collect()
}

/// Returns what something with a product is about.
pub fn product(name: &str) -> Target {
    vec![Thing::Product(name.to_string())]
}

/// Returns what the address is about: a target for each variable part that rights can be for. Other parts, such as a
/// node, concern the whole system.
pub async fn of_address(app: &App, permission: Permission, params: &[(String, String)]) -> ApiResult<Vec<Target>> {
    let mut read = app.db.read().await?;
    let mut targets = Vec::new();
    for (name, value) in params {
        match name.as_str() {
            "product" => targets.push(signing_with(&mut read, permission, value).await?),
            "platform" => targets.push(platform(app, value)),
            "build" | "rebuild" => targets.extend(of_build(app, &mut read, id(name, value)?).await?),
            "release" => {
                let row = anima_db::release::get(&mut read, id::<ReleaseId>(name, value)?).await?;
                targets.push(product(&row.product));
            }
            // It is in a release's address beside the release, or alone.
            "repository" => {
                let repository = anima_db::repository::get(&mut read, id::<RepositoryId>(name, value)?).await?;
                targets.push(product(&repository.product));
            }
            "key" => targets.push(of_key(&mut read, id(name, value)?).await?),
            "task" => targets.extend(of_task(app, &mut read, id(name, value)?).await?),
            _ => {}
        }
    }
    Ok(targets)
}

/// A product's key signs for it: who may with the key may for the product.
async fn signing_with(read: &mut Connection, permission: Permission, name: &str) -> ApiResult<Target> {
    let mut target = product(name);
    if permission == Permission::Sign {
        let key = anima_db::product::get(read, name).await?.key;
        target.extend(key.map(Thing::Key));
    }
    Ok(target)
}

async fn of_key(read: &mut Connection, key: KeyId) -> ApiResult<Target> {
    let products = anima_db::key::products_of(read, key).await?;
    Ok([Thing::Key(key)].into_iter().chain(products.into_iter().map(Thing::Product)).collect())
}

async fn of_build(app: &App, read: &mut Connection, build: BuildId) -> ApiResult<Vec<Target>> {
    let row = anima_db::build::get(read, build).await?;
    Ok(row.platforms.iter().map(|name| platform(app, name)).collect())
}

/// A sign task is about its key; another about what it belongs to.
async fn of_task(app: &App, read: &mut Connection, id: TaskId) -> ApiResult<Vec<Target>> {
    let about = anima_db::task::get(read, id).await?.about;
    if let Some(key) = about.key {
        return Ok(vec![of_key(read, key).await?]);
    }
    if let Some(release) = about.release {
        return Ok(vec![product(&anima_db::release::get(read, release).await?.product)]);
    }
    match about.build {
        Some(build) => of_build(app, read, build).await,
        None => Ok(Vec::new()),
    }
}

fn id<T: std::str::FromStr>(noun: &str, text: &str) -> ApiResult<T> {
    text.parse().map_err(|_| {
        ApiError::new(axum::http::StatusCode::BAD_REQUEST, "bad_address", format!("there is no {noun} \"{text}\""))
    })
}
