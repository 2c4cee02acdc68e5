//! What a build has made so far, as a repository for the tasks that come after, and for people who want to try it. It is
//! not signed.
//!
//! Hundreds of roots ask it while a mass rebuild goes on: a package is one look by its name, a file of metadata is known by its
//! hash, and the index is made once for each state.

use std::{
    collections::BTreeMap,
    sync::{Arc as Shared, Mutex as SyncMutex, PoisonError},
};

use anima_db::task::BuiltState;
use anima_repodata::{Compression, PackageXml, RepodataBuilder};
use anima_types::{Arch, Sha256, Timestamp, id::BuildId, permission::Permission};
use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use tokio::sync::Mutex;

use crate::{
    app::App,
    error::{ApiError, ApiResult, Path},
    file, package_file,
    route::Route,
    work::{built, of_target},
};

/// Indices that are kept, of some kilobytes each: more builds than go on at once.
const MAX_KEPT: usize = 256;
/// An index is kept for so long at most: the files that it names are nobody's, and are taken away some time.
const KEPT_SECS: i64 = 600;

/// The indices that were made last.
#[derive(Debug, Default)]
pub struct Indices(SyncMutex<BTreeMap<Target, Shared<Mutex<Option<Index>>>>>);

type Target = (BuildId, String, Arch);

#[derive(Clone, Debug)]
struct Index {
    state: BuiltState,
    made_at: Timestamp,
    repomd: Bytes,
}

impl Indices {
    /// Returns the place of a target's index; who makes it holds it, so that others wait for the same.
    fn place(&self, target: Target) -> Shared<Mutex<Option<Index>>> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= MAX_KEPT {
            places.retain(|_, place| Shared::strong_count(place) > 1);
        }
        places.entry(target).or_default().clone()
    }
}

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
    let row = anima_db::build::get(&mut read, build).await?;
    // Before anything is built it is an empty repository; of what was deleted, or of another platform, it is none.
    if row.deleted_at.is_some() {
        return Err(ApiError::not_found(format!("what build {build} made was deleted")));
    }
    if !row.platforms.contains(&platform) {
        let message = format!("build {build} is not for platform \"{platform}\"");
        return Err(ApiError::not_found(message).hint("`anima build show` lists its platforms"));
    }
    if let Some(package) = path.strip_prefix("Packages/") {
        let file_name = package.rsplit('/').next().unwrap_or(package);
        let named = anima_db::package::built_as(&mut read, build, &platform, file_name).await?;
        drop(read);
        let package = of_target(named, arch).into_iter().next().ok_or_else(nothing)?;
        return file::artifact(&app, package.artifact, &headers, file::FOREVER, file::media_type(&path)).await;
    }
    drop(read);
    if path == "repodata/repomd.xml" {
        let repomd = index(&app, (build, platform, arch)).await?;
        let headers = [(header::CONTENT_TYPE, file::media_type(&path)), (header::CACHE_CONTROL, file::ASK_AGAIN)];
        return Ok((headers, repomd).into_response());
    }
    // A file of metadata has its hash in its name, and was stored when its repomd.xml was asked for.
    let hash = path.strip_prefix("repodata/").and_then(|name| name.split_once('-')?.0.parse::<Sha256>().ok());
    file::artifact(&app, hash.ok_or_else(nothing)?, &headers, file::FOREVER, file::media_type(&path)).await
}

/// Returns repomd.xml of what is built by now.
async fn index(app: &App, target: Target) -> ApiResult<Bytes> {
    let place = app.build_indices.place(target.clone());
    let mut kept = place.lock().await;
    let (build, platform, arch) = target;
    let mut read = app.db.read().await?;
    let state = anima_db::task::built_state(&mut read, build, &platform).await?;
    let is_fresh = |index: &&Index| index.state == state && app.now().secs_since(index.made_at) < KEPT_SECS as f64;
    if let Some(index) = kept.as_ref().filter(is_fresh) {
        return Ok(index.repomd.clone());
    }
    let packages = built(&mut read, build, &platform, arch).await?;
    let wanted = packages.iter().map(|package| package.artifact).collect();
    let mut xml = anima_db::package::xml_of(&mut read, &wanted).await?;
    drop(read);
    let xml = packages.iter().filter_map(|package| xml.remove(&package.artifact)).collect();
    let repomd = Bytes::from(repodata(app, xml, state.ended_at.epoch_secs()).await?);
    *kept = Some(Index { state, made_at: app.now(), repomd: repomd.clone() });
    Ok(repomd)
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
