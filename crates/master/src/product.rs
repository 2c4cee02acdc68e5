//! Products: named sets of repositories that users take packages from.

use anima_db::Write;
use anima_types::{
    key::{Algorithm, CreateKey, Options},
    key_policy::Policy,
    permission::Permission,
    platform::Platform,
    product::{CreateProduct, Product},
    repository::Kind,
};
use axum::{extract::State, http::StatusCode};

use crate::{
    app::App,
    auth::Caller,
    error::{ApiError, ApiResult, Json, Path},
    key,
    route::Route,
};

/// The binary repository of a product that a platform brings along.
const DEFAULT_REPOSITORY: &str = "BaseOS";

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/products", Permission::Read, list),
        Route::post("/api/v1/products", Permission::Configure, create),
        Route::get("/api/v1/products/{product}", Permission::Read, show),
    ]
}

async fn list(State(app): State<App>) -> ApiResult<Json<Vec<Product>>> {
    let mut read = app.db.read().await?;
    Ok(Json(anima_db::product::list(&mut read).await?))
}

async fn show(State(app): State<App>, Path(name): Path<String>) -> ApiResult<Json<Product>> {
    let mut read = app.db.read().await?;
    Ok(Json(anima_db::product::get(&mut read, &name).await?))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(wanted): Json<CreateProduct>,
) -> ApiResult<(StatusCode, Json<Product>)> {
    check(&wanted)?;
    let mut write = app.db.write(app.now(), &caller.name).await?;
    make(&mut write, &wanted).await?;
    let product = anima_db::product::get(&mut write, &wanted.name).await?;
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(product)))
}

fn check(wanted: &CreateProduct) -> ApiResult<()> {
    let is_plain = |text: &str| {
        !text.is_empty()
            && !text.starts_with('.')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
    };
    if !is_plain(&wanted.name) || wanted.repositories.iter().any(|name| !is_plain(name)) {
        let message =
            "names of products and repositories have letters, digits, '-', '.' and '_', and do not begin with '.'";
        return Err(ApiError::unprocessable("bad_name", message));
    }
    if wanted.repositories.is_empty() || wanted.architectures.is_empty() {
        return Err(ApiError::unprocessable("empty", "a product has at least one repository and one architecture"));
    }
    if wanted.repositories.iter().any(|name| name == "debug" || name == "source") {
        return Err(ApiError::unprocessable(
            "bad_name",
            "\"debug\" and \"source\" are made beside the binary repositories",
        ));
    }
    Ok(())
}

/// Writes a product with its repositories, and asks for its key.
async fn make(write: &mut Write, wanted: &CreateProduct) -> ApiResult<()> {
    let user_id = format!("{} <{}@anima.invalid>", wanted.title, wanted.name);
    let key = CreateKey {
        name: wanted.name.to_ascii_lowercase(),
        algorithm: Algorithm::Ed25519,
        user_id,
        options: Options::default(),
    };
    key::check(&key)?;
    // A key that is made for a product signs for it and for no other.
    let policy = Policy { products: vec![wanted.name.clone()], ..Policy::default() };
    let key = key::ask(write, &key, &policy).await?;
    anima_db::product::insert(write, wanted, key).await?;
    for name in &wanted.repositories {
        for &arch in &wanted.architectures {
            let path = format!("{name}/{}", arch.name());
            anima_db::repository::insert(write, &wanted.name, &path, Kind::Binary, Some(arch)).await?;
        }
    }
    for &arch in &wanted.architectures {
        let path = format!("debug/{}", arch.name());
        anima_db::repository::insert(write, &wanted.name, &path, Kind::Debug, Some(arch)).await?;
    }
    anima_db::repository::insert(write, &wanted.name, "source", Kind::Source, None).await?;
    Ok(())
}

/// Makes the products that the platforms name and nobody made yet.
pub async fn make_configured(write: &mut Write, platforms: &[Platform]) -> ApiResult<()> {
    for platform in platforms {
        let Some(name) = &platform.release_to else { continue };
        if anima_db::product::find(write, name).await?.is_some() {
            continue;
        }
        let wanted = CreateProduct {
            name: name.clone(),
            title: platform.title.clone(),
            repositories: vec![DEFAULT_REPOSITORY.to_string()],
            architectures: platform.architectures.clone(),
            automatic: true,
            gates: Default::default(),
        };
        check(&wanted)?;
        make(write, &wanted).await?;
    }
    Ok(())
}
