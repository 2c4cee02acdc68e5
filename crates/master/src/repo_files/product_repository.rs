//! Released repositories: `/repos/PRODUCT/PATH/…` is what users see now, `/repos/PRODUCT/PATH@N/…` is snapshot N for ever.

use anima_db::Connection;
use anima_types::{
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
    file,
    route::Route,
};

/// The file with the public key.
const KEY_FILE: &str = "RPM-GPG-KEY";

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
    if path == KEY_FILE {
        return Ok((text, public_key(&mut read, &product).await?).into_response());
    }
    let nothing = || ApiError::not_found(format!("there is nothing at /repos/{name}/{path}"));
    let (repository, snapshot, rest) = split(&repositories, &path).ok_or_else(nothing)?;
    let number = snapshot.unwrap_or(repository.current);
    if number == 0 {
        let message = format!("nothing was released to {name}/{} yet", repository.path);
        return Err(ApiError::not_found(message));
    }
    let found = match rest.strip_prefix("Packages/") {
        Some(package) => {
            let file_name = package.rsplit('/').next().unwrap_or(package);
            anima_db::snapshot::find_package(&mut read, repository.id, number, file_name).await?
        }
        None => anima_db::snapshot::find_file(&mut read, repository.id, number, rest).await?,
    };
    drop(read);
    let found = found.ok_or_else(nothing)?;
    let is_moving = snapshot.is_none() && rest.starts_with("repodata/repomd.xml");
    let cache = if is_moving { file::ASK_AGAIN } else { file::FOREVER };
    file::artifact(&app, found, &headers, cache, file::media_type(rest)).await
}

/// Returns the repository that an address is in, the snapshot that it names, and the rest of it.
fn split<'a>(repositories: &'a [Repository], path: &'a str) -> Option<(&'a Repository, Option<i64>, &'a str)> {
    repositories.iter().find_map(|repository| {
        let rest = path.strip_prefix(&repository.path)?;
        if let Some(rest) = rest.strip_prefix('/') {
            return Some((repository, None, rest));
        }
        let (number, rest) = rest.strip_prefix('@')?.split_once('/')?;
        Some((repository, Some(number.parse().ok()?), rest))
    })
}

async fn public_key(connection: &mut Connection, product: &Product) -> ApiResult<String> {
    let missing = || ApiError::not_found(format!("the key of product {} is not made yet", product.product.name));
    let key = anima_db::key::get(connection, product.key.ok_or_else(missing)?).await?;
    key.public_key.ok_or_else(missing)
}

/// Returns a product's configuration for `dnf`, whose sections have these ids ([dnf.conf(5)](https://dnf.readthedocs.io/en/latest/conf_ref.html)).
pub fn config(app: &App, product: &Product, repositories: &[Repository], id: &dyn Fn(&str) -> String) -> String {
    let name = &product.product.name;
    let address = |path: &str| app.url(&format!("repos/{name}/{path}/"));
    let section = |id: String, title: &str, path: &str, enabled: bool| {
        format!(
            "[{id}]\nname={} {title}\nbaseurl={}\nenabled={}\ngpgcheck=1\nrepo_gpgcheck=1\ngpgkey={}\nmetadata_expire=60\n",
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
        assert_eq!(parts("source@x/repodata/repomd.xml"), None);
        assert_eq!(parts("sources/repodata/repomd.xml"), None);
        assert_eq!(parts("nothing"), None);
    }
}
