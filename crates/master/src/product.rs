//! Products: named sets of repositories that users take packages from.

use anima_db::Write;
use anima_types::{
    Arch,
    key::{self as key_types, Algorithm, CreateKey},
    key_policy::Policy,
    permission::Permission,
    platform::Platform,
    product::{CreateProduct, Options, Product},
    repository::Kind,
};
use axum::{extract::State, http::StatusCode};

use crate::{
    app::App,
    auth::Caller,
    conditional::IfMatch,
    error::{ApiError, ApiResult, Json, Path},
    key,
    paging::{Page, Paging},
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
        Route::put("/api/v1/products/{product}", Permission::Maintain, change),
    ]
}

async fn list(State(app): State<App>, paging: Paging) -> ApiResult<Page<Product>> {
    let mut read = app.db.read().await?;
    paging.page_of_all(anima_db::product::list(&mut read).await?, |one| one.product.name.clone())
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
    check(&app.config.platforms, &wanted)?;
    let mut write = app.db.write(app.now(), &caller).await?;
    make(&mut write, &wanted).await?;
    let product = anima_db::product::get(&mut write, &wanted.name).await?;
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(product)))
}

/// Changes what a product says of itself. Repositories and architectures are added; none is taken away, as users may have it.
async fn change(
    State(app): State<App>,
    Path(name): Path<String>,
    caller: Caller,
    if_match: IfMatch,
    Json(wanted): Json<CreateProduct>,
) -> ApiResult<Json<Product>> {
    check(&app.config.platforms, &wanted)?;
    let mut write = app.db.write(app.now(), &caller).await?;
    let old = anima_db::product::get(&mut write, &name).await?;
    if_match.check(&old)?;
    let old = old.product;
    if wanted.name != name {
        return Err(ApiError::unprocessable("bad_name", "a product keeps its name: it is in its users' configuration"));
    }
    let lost_repository = old.repositories.iter().find(|one| !wanted.repositories.contains(one));
    let lost_arch =
        old.architectures.iter().find(|one| !wanted.architectures.contains(one)).map(|arch| arch.to_string());
    if let Some(lost) = lost_repository.cloned().or(lost_arch) {
        let message = format!("\"{lost}\" cannot be taken from product {name}: its users may have it");
        return Err(ApiError::conflict("in_use", message));
    }
    let bounds = |product: &CreateProduct| {
        let options = &product.options;
        // A reference has the Release System read an address, or a folder of its machine, as an import has.
        (options.team.clone(), options.quota, options.approvals, options.references.clone(), product.gates.clone())
    };
    // Whoever minds a product does not widen what they are held to.
    if bounds(&old) != bounds(&wanted) {
        caller.check(Permission::Configure, &[])?;
    }
    for (path, kind, arch) in places(&wanted) {
        if anima_db::repository::find(&mut write, &name, &path).await?.is_none() {
            anima_db::repository::insert(&mut write, &name, &path, kind, arch).await?;
        }
    }
    anima_db::product::update(&mut write, &wanted).await?;
    let product = anima_db::product::get(&mut write, &name).await?;
    write.commit().await?;
    Ok(Json(product))
}

fn check(platforms: &[Platform], wanted: &CreateProduct) -> ApiResult<()> {
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
    let is_known = |name: &&String| platforms.iter().any(|platform| platform.name == **name);
    if let Some(unknown) = wanted.options.platforms.iter().find(|name| !is_known(name)) {
        let message = format!("there is no platform \"{unknown}\"");
        return Err(ApiError::unprocessable("unknown_platform", message).hint("`anima platform list` shows them."));
    }
    if let Some(lost) =
        wanted.options.references.iter().find(|reference| !wanted.repositories.contains(&reference.repository))
    {
        let message = format!("a reference is for repository \"{}\", which the product has not", lost.repository);
        return Err(ApiError::unprocessable("unknown_repository", message));
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
        options: key_types::Options::default(),
    };
    key::check(&key)?;
    // A key that is made for a product signs for it and for no other.
    let policy = Policy { products: vec![wanted.name.clone()], ..Policy::default() };
    let key = key::ask(write, &key, &policy).await?;
    anima_db::product::insert(write, wanted, key).await?;
    for (path, kind, arch) in places(wanted) {
        anima_db::repository::insert(write, &wanted.name, &path, kind, arch).await?;
    }
    Ok(())
}

/// Returns the repositories of a product.
fn places(wanted: &CreateProduct) -> Vec<(String, Kind, Option<Arch>)> {
    let binary = wanted.repositories.iter().map(|name| (name.as_str(), Kind::Binary));
    let of_archs = binary.chain([("debug", Kind::Debug)]).flat_map(|(name, kind)| {
        wanted.architectures.iter().map(move |&arch| (format!("{name}/{arch}"), kind, Some(arch)))
    });
    of_archs.chain([("source".to_string(), Kind::Source, None)]).collect()
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
            options: Options { platforms: vec![platform.name.clone()], ..Options::default() },
        };
        check(platforms, &wanted)?;
        make(write, &wanted).await?;
    }
    Ok(())
}
