//! What a build has made so far, as a repository for the tasks that come after, and for people who want to try it. It is
//! not signed.

use anima_repodata::{Compression, PackageXml, RepodataBuilder};
use anima_types::{Arch, Sha256, id::BuildId, permission::Permission};
use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};

use crate::{
    app::App,
    error::{ApiError, ApiResult, Path},
    file, package_file,
    route::Route,
    work::built,
};

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![Route::get("/builds/{build}/repo/{platform}/{arch}/{*path}", Permission::Read, show)]
}

async fn show(
    State(app): State<App>,
    Path((build, platform, arch, path)): Path<(BuildId, String, String, String)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let nothing = || ApiError::not_found(format!("there is nothing at {path} in the results of build {build}"));
    let arch: Arch = arch.parse().map_err(|_| nothing())?;
    let mut read = app.db.read().await?;
    anima_db::build::get(&mut read, build).await?;
    let tasks = anima_db::task::of_build(&mut read, build).await?;
    // Before anything is built it is an empty repository; of another platform it is none.
    if !tasks.iter().any(|task| task.about.platform.as_ref() == Some(&platform)) {
        let message = format!("build {build} is not for platform \"{platform}\"");
        return Err(ApiError::not_found(message).hint("`anima build show` lists its platforms"));
    }
    let packages = built(&mut read, &tasks, build, &platform, arch).await?;
    drop(read);
    if let Some(package) = path.strip_prefix("Packages/") {
        let file_name = package.rsplit('/').next().unwrap_or(package);
        let (_, package) =
            packages.into_iter().find(|(_, package)| package.file_name == file_name).ok_or_else(nothing)?;
        return file::artifact(&app, package.sha256, &headers, file::FOREVER, file::media_type(&path)).await;
    }
    if path == "repodata/repomd.xml" {
        let revision = tasks.iter().filter_map(|task| task.ended_at).max().unwrap_or_default().epoch_secs();
        let xml = packages.into_iter().map(|(_, package)| package.xml).collect();
        let repomd = repodata(&app, xml, revision).await?;
        let headers = [(header::CONTENT_TYPE, file::media_type(&path)), (header::CACHE_CONTROL, file::ASK_AGAIN)];
        return Ok((headers, repomd).into_response());
    }
    // A file of metadata has its hash in its name, and was stored when its repomd.xml was asked for.
    let hash = path.strip_prefix("repodata/").and_then(|name| name.split_once('-')?.0.parse::<Sha256>().ok());
    file::artifact(&app, hash.ok_or_else(nothing)?, &headers, file::FOREVER, file::media_type(&path)).await
}

/// Makes the metadata, stores its files, and returns repomd.xml.
async fn repodata(app: &App, xml: Vec<String>, revision_secs: i64) -> ApiResult<Vec<u8>> {
    let made = package_file::blocking(move || {
        let packages = xml.iter().map(|text| serde_json::from_str::<PackageXml>(text).map_err(ApiError::internal));
        let packages = packages.collect::<ApiResult<Vec<_>>>()?;
        let builder = packages.iter().fold(RepodataBuilder::new(Compression::Gzip), RepodataBuilder::add);
        builder.finish(revision_secs).map_err(ApiError::internal)
    })
    .await?;
    for file in made.files {
        app.store.put_bytes(file.bytes).await?;
    }
    Ok(made.repomd_xml)
}
