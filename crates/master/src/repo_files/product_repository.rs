//! Released repositories: `/repos/PRODUCT/PATH/…` is what users see now, `/repos/PRODUCT/PATH@N/…` (or `PATH/@N/…`) is
//! snapshot N for ever.
//!
//! A client reads an index, its signature, the metadata and the packages one after another, and a release may come between
//! any two. So what a client learnt to be there stays there below the moving address, though users see another state
//! meanwhile; and one that asks for `metalink.xml` is told the snapshot's own address and the hash of its index.

use anima_db::Connection;
use anima_types::{
    Sha256,
    permission::Permission,
    product::Product,
    repository::{Kind, Repository},
};
use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};

use crate::{
    app::App,
    error::{ApiError, ApiResult, Path},
    file, key,
    repo_files::metalink,
    route::Route,
};

/// The file with the public keys: of the key that signs now, and of those before it.
const KEY_FILE: &str = "RPM-GPG-KEY";
/// The file with keys that are not to be trusted any more, as `gpg --import` takes them.
const REVOKED_KEY_FILE: &str = "RPM-GPG-KEY-revoked";
/// The index, which with its signature is all of the metadata that is not named by its content.
const INDEX: &str = "repodata/repomd.xml";
/// The folder of the packages.
const PACKAGES: &str = "Packages/";

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![Route::get("/repos/{product}/{*path}", Permission::Read, show)]
}

async fn show(
    State(app): State<App>,
    Path((name, path)): Path<(String, String)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let mut read = app.db.read().await?;
    let product = anima_db::product::get(&mut read, &name).await?;
    let repositories = anima_db::repository::list(&mut read, Some(&name)).await?;
    let text = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, file::ASK_AGAIN)];
    if path == format!("{name}.repo") {
        return Ok(
            (text, config(&app, &product, &repositories, &|repository| format!("{name}-{repository}"))).into_response()
        );
    }
    if path == KEY_FILE || path == REVOKED_KEY_FILE {
        return Ok((text, public_keys(&mut read, &product, path == REVOKED_KEY_FILE).await?).into_response());
    }
    let nothing = || ApiError::not_found(format!("there is nothing at /repos/{name}/{path}"));
    let (repository, snapshot, rest) = split(&repositories, &path).ok_or_else(nothing)?;
    let number = snapshot.unwrap_or(repository.current);
    if number == 0 {
        let message = format!("nothing was released to {name}/{} yet", repository.path);
        return Err(ApiError::not_found(message));
    }
    let is_moving = snapshot.is_none() && rest.starts_with(INDEX);
    if snapshot.is_none() && (rest == metalink::MIRRORLIST || rest == metalink::METALINK) {
        let made = metalink::make(&app, &mut read, repository, rest).await?;
        let kind = [(header::CONTENT_TYPE, metalink::media_type(rest)), (header::CACHE_CONTROL, file::ASK_AGAIN)];
        return Ok((kind, made).into_response());
    }
    let mut found = find(&mut read, repository, number, rest).await?;
    if found.is_none() && snapshot.is_none() && !is_moving {
        found = find_ever(&mut read, repository, rest).await?;
    }
    drop(read);
    let found = found.ok_or_else(nothing)?;
    let cache = if is_moving { file::ASK_AGAIN } else { file::FOREVER };
    file::artifact(&app, found, &headers, cache, file::media_type(rest)).await
}

/// Returns a file of a snapshot.
async fn find(
    connection: &mut Connection,
    repository: &Repository,
    number: i64,
    path: &str,
) -> ApiResult<Option<Sha256>> {
    let found = match path.strip_prefix(PACKAGES) {
        Some(package) => {
            anima_db::snapshot::find_package(connection, repository.id, number, file_name(package)).await?
        }
        None => anima_db::snapshot::find_file(connection, repository.id, number, path).await?,
    };
    Ok(found)
}

/// Returns a file of any snapshot: metadata but the index is named by its content, and never another's.
async fn find_ever(connection: &mut Connection, repository: &Repository, path: &str) -> ApiResult<Option<Sha256>> {
    let found = match path.strip_prefix(PACKAGES) {
        Some(package) => anima_db::snapshot::find_package_ever(connection, repository.id, file_name(package)).await?,
        None => anima_db::snapshot::find_file_ever(connection, repository.id, path).await?,
    };
    Ok(found)
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Returns the repository that an address is in, the snapshot that it names, and the rest of it.
fn split<'a>(repositories: &'a [Repository], path: &'a str) -> Option<(&'a Repository, Option<i64>, &'a str)> {
    repositories.iter().find_map(|repository| {
        let rest = path.strip_prefix(&repository.path)?;
        let Some(pinned) = rest.strip_prefix('@').or_else(|| rest.strip_prefix("/@")) else {
            return Some((repository, None, rest.strip_prefix('/')?));
        };
        let (number, rest) = pinned.split_once('/')?;
        Some((repository, Some(number.parse().ok()?), rest))
    })
}

async fn public_keys(connection: &mut Connection, product: &Product, are_revoked: bool) -> ApiResult<String> {
    let name = &product.product.name;
    let keys = key::published(connection, name, are_revoked).await?;
    match keys.is_empty() {
        true if are_revoked => Err(ApiError::not_found(format!("no key of product {name} was revoked"))),
        true => Err(ApiError::not_found(format!("the key of product {name} is not made yet"))),
        false => Ok(keys.concat()),
    }
}

/// Returns a product's configuration for `dnf`, whose sections have these ids ([dnf.conf(5)](https://dnf.readthedocs.io/en/latest/conf_ref.html)).
pub fn config(app: &App, product: &Product, repositories: &[Repository], id: &dyn Fn(&str) -> String) -> String {
    let name = &product.product.name;
    // Not the address itself: the metalink leads to one snapshot, where the index and its signature belong together
    // whatever is released meanwhile.
    let address = |path: &str| app.url(&format!("repos/{name}/{path}/{}", metalink::METALINK));
    let section = |id: String, title: &str, path: &str, enabled: bool| {
        format!(
            "[{id}]\nname={} {title}\nmetalink={}\nenabled={}\ngpgcheck=1\nrepo_gpgcheck=1\ngpgkey={}\nmetadata_expire=60\n",
            product.product.title,
            address(path),
            i32::from(enabled),
            app.url(&format!("repos/{name}/{KEY_FILE}")),
        )
    };
    let mut sections: Vec<String> = product
        .product
        .repositories
        .iter()
        .map(|repository| section(id(repository), repository, &format!("{repository}/$basearch"), true))
        .collect();
    sections.push(section(id("debug"), "debug information", "debug/$basearch", false));
    if let Some(source) = repositories.iter().find(|repository| repository.kind == Kind::Source) {
        sections.push(section(id("source"), "sources", &source.path, false));
    }
    sections.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anima_types::id::RepositoryId;

    fn repository(path: &str) -> Repository {
        let (product, arch) = ("p".to_string(), None);
        Repository {
            id: RepositoryId(1),
            product,
            path: path.to_string(),
            kind: Kind::Binary,
            arch,
            current: 3,
            package_count: 0,
        }
    }

    #[test]
    fn an_address_names_the_current_state_or_a_snapshot() {
        let repositories = [repository("BaseOS/x86_64"), repository("source")];
        let parts = |path| {
            split(&repositories, path)
                .map(|(repository, number, rest)| (repository.path.as_str(), number, rest.to_string()))
        };

        assert_eq!(
            parts("BaseOS/x86_64/repodata/repomd.xml"),
            Some(("BaseOS/x86_64", None, "repodata/repomd.xml".into()))
        );
        assert_eq!(parts("BaseOS/x86_64@2/Packages/a.rpm"), Some(("BaseOS/x86_64", Some(2), "Packages/a.rpm".into())));
        assert_eq!(parts("source/@7/repodata/repomd.xml"), Some(("source", Some(7), "repodata/repomd.xml".into())));
        assert_eq!(parts("source@x/repodata/repomd.xml"), None);
        assert_eq!(parts("sources/repodata/repomd.xml"), None);
        assert_eq!(parts("nothing"), None);
    }
}
