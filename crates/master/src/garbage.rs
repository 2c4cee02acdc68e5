//! Retention: which snapshots and artifacts go, and why. Nothing goes that something names: a snapshot that stays, a build
//! or release that may go on, a repository, a platform's file. A dry run asks the same as if it was done, and only reads.
//!
//! Snapshots go some at a time, and are looked at again when they do. What nothing names then is looked for while others write, and looked at again when its
//! rows are dropped.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use anima_db::{
    Connection, Origin, Write,
    event::NewEvent,
    garbage::{Ages, Going},
    release::Footing,
};
use anima_types::{
    Sha256, Timestamp,
    permission::Permission,
    release::Status,
    repository::Repository,
    retention::{
        Collection, DroppedArtifact, FAILED_BUILD_DAYS, Fate, MAX_NAMED, STRAY_FILE_DAYS, SnapshotFate,
        UNUSED_METADATA_DAYS, decide,
    },
};
use axum::extract::State;

use crate::{
    app::App,
    auth::Caller,
    error::{ApiResult, Json},
    release::carried,
    retention,
    route::Route,
};

const DAY_SECS: i64 = 86_400;
/// Snapshots that one transaction drops at most: each is a look at all packages that ever were in its repository.
const MAX_SNAPSHOTS: usize = 10;
/// Artifacts that one pass drops at most: others wait for it no longer than some seconds.
const MAX_ARTIFACTS: u32 = 5_000;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v1/store/garbage", Permission::Configure, preview),
        Route::post("/api/v1/store/collect", Permission::Configure, collect),
    ]
}

async fn preview(State(app): State<App>) -> ApiResult<Json<Collection>> {
    Ok(Json(collect_once(&app, app.now(), "anima", true).await?))
}

async fn collect(State(app): State<App>, caller: Caller) -> ApiResult<Json<Collection>> {
    Ok(Json(collect_once(&app, app.now(), &caller, false).await?))
}

/// Drops what may go, or says what would go. What is left over for its number goes with the next pass.
pub async fn collect_once(
    app: &App,
    now: Timestamp,
    who: impl Into<Origin>,
    is_dry_run: bool,
) -> ApiResult<Collection> {
    let who: Origin = who.into();
    let rules = app.config.retention;
    let mut collection = Collection { is_dry_run, rules, ..Collection::default() };
    let going = decide_all(app, now, &mut collection).await?;
    let days_ago = |days: i64| now.plus_secs(-days * DAY_SECS);
    let ages = Ages { came_to_nothing: days_ago(FAILED_BUILD_DAYS), made_metadata: days_ago(UNUSED_METADATA_DAYS) };
    let before = days_ago(STRAY_FILE_DAYS);
    let (forgotten, mut dropped) = if is_dry_run {
        // It only reads: nobody waits for who asks what would go.
        let mut read = app.db.read().await?;
        let forgotten = anima_db::garbage::find_forgotten(&mut read, ages).await?;
        let builds = retention::find_unreleased(app, &mut read, now).await?;
        collection.build_count = builds.len();
        let snapshots = going.iter().map(|(repository, number, _)| (repository.id, *number)).collect();
        collection.snapshots = going.into_iter().map(|(_, _, fate)| fate).collect();
        let going = Going { ages, builds, snapshots };
        (forgotten, find_unnamed(&mut read, before, Some(&going)).await?)
    } else {
        collection.snapshots = drop_snapshots(app, now, &who, &going).await?;
        let mut write = app.db.write(now, who.clone()).await?;
        collection.build_count = retention::delete_unreleased(app, &mut write).await?;
        let forgotten = anima_db::garbage::find_forgotten(&mut write, ages).await?;
        anima_db::garbage::forget(&mut write, &forgotten).await?;
        write.commit().await?;
        (forgotten, drop_unnamed(app, now, who.clone(), before).await?)
    };
    let mut reasons: BTreeMap<Sha256, String> =
        forgotten.into_iter().map(|forgotten| (forgotten.sha256, forgotten.why)).collect();
    // One that fails keeps none of the others from going.
    let log_count = retention::drop_logs_once(app, now, is_dry_run).await;
    let event_count = retention::drop_events_once(app, now, &who, is_dry_run).await;
    for artifact in &mut dropped {
        if let Some(reason) = reasons.remove(&artifact.sha256) {
            artifact.reason = reason;
        }
    }
    dropped.extend(strays(app, is_dry_run).await?);
    collection.artifact_count = dropped.len();
    collection.size_bytes = dropped.iter().map(|artifact| artifact.size_bytes).sum();
    dropped.sort_by_key(|artifact| (std::cmp::Reverse(artifact.size_bytes), artifact.sha256));
    dropped.truncate(MAX_NAMED);
    collection.artifacts = dropped;
    (collection.log_count, collection.event_count) = (log_count?, event_count?);
    Ok(collection)
}

/// Decides over all snapshots while others write; returns those that go, and notes those that stay.
async fn decide_all(
    app: &App,
    now: Timestamp,
    collection: &mut Collection,
) -> ApiResult<Vec<(Repository, i64, SnapshotFate)>> {
    let mut read = app.db.read().await?;
    let releases = anima_db::release::list_footings(&mut read).await?;
    let mut going = Vec::new();
    for repository in anima_db::repository::list(&mut read, None).await? {
        for (number, fate) in fates(app, &mut read, &repository, &releases, now).await? {
            let address = format!("{}/{}@{number}", repository.product, repository.path);
            match fate {
                Fate::Kept(reason) => collection.kept_snapshots.push(SnapshotFate { address, reason }),
                Fate::Dropped(reason) => going.push((repository.clone(), number, SnapshotFate { address, reason })),
            }
        }
    }
    Ok(going)
}

/// Drops snapshots, some in each transaction, of those that still are to go by then; returns which.
async fn drop_snapshots(
    app: &App,
    now: Timestamp,
    who: &Origin,
    going: &[(Repository, i64, SnapshotFate)],
) -> ApiResult<Vec<SnapshotFate>> {
    let mut dropped = Vec::new();
    for piece in going.chunk_by(|one, other| one.0.id == other.0.id).flat_map(|of_one| of_one.chunks(MAX_SNAPSHOTS)) {
        let mut write = app.db.write(now, who.clone()).await?;
        let releases = anima_db::release::list_footings(&mut write).await?;
        let repository = anima_db::repository::get(&mut write, piece[0].0.id).await?;
        let fates: BTreeMap<i64, Fate> =
            fates(app, &mut write, &repository, &releases, now).await?.into_iter().collect();
        let mut snapshots = Vec::new();
        for (_, number, fate) in piece {
            if matches!(fates.get(number), Some(Fate::Dropped(_))) {
                anima_db::garbage::drop_snapshot(&mut write, repository.id, *number).await?;
                snapshots.push(fate.clone());
            }
        }
        record_snapshots(&mut write, &snapshots).await?;
        write.commit().await?;
        dropped.extend(snapshots);
    }
    Ok(dropped)
}

/// Returns which snapshots of a repository go and which stay, and why.
async fn fates(
    app: &App,
    connection: &mut Connection,
    repository: &Repository,
    releases: &[Footing],
    now: Timestamp,
) -> ApiResult<Vec<(i64, Fate)>> {
    let rule = anima_db::garbage::rule(connection, repository.id).await?;
    let snapshots = anima_db::garbage::snapshots(connection, repository.id).await?;
    let mut in_use = named_by_platforms(app, repository);
    for release in releases {
        // One that failed is planned upon what users see then, and copies from where it did.
        let base = release.base.get(&repository.id).filter(|_| release.status != Status::Failed);
        in_use.extend(base.map(|number| (*number, format!("release {} is planned upon it", release.id))));
        let copied = carried::copied_from(&release.content, repository);
        in_use.extend(copied.map(|number| (number, format!("release {} copies from it", release.id))));
    }
    Ok(decide(&snapshots, rule, repository.current, &in_use, now))
}

async fn find_unnamed(
    connection: &mut Connection,
    before: Timestamp,
    going: Option<&Going>,
) -> ApiResult<Vec<DroppedArtifact>> {
    let wanted = wanted_by_releases(connection).await?;
    Ok(anima_db::garbage::find_unnamed(connection, before, &wanted, going, MAX_ARTIFACTS).await?)
}

/// Looks through all artifacts while others write, then drops those that nothing names by then either, and their files.
async fn drop_unnamed(app: &App, now: Timestamp, who: Origin, before: Timestamp) -> ApiResult<Vec<DroppedArtifact>> {
    let mut read = app.db.read().await?;
    let found = find_unnamed(&mut read, before, None).await?;
    drop(read);
    if found.is_empty() {
        return Ok(found);
    }
    let mut write = app.db.write(now, who).await?;
    let wanted = wanted_by_releases(&mut write).await?;
    let dropped = anima_db::garbage::drop_unnamed(&mut write, before, &wanted, found).await?;
    record_artifacts(&mut write, &dropped).await?;
    write.commit().await?;
    remove_files(app, &dropped).await?;
    Ok(dropped)
}

/// Returns the snapshots of a repository that platforms' files build upon: `{master}/repos/PRODUCT/PATH@N/`.
fn named_by_platforms(app: &App, repository: &Repository) -> Vec<(i64, String)> {
    let place = format!("/repos/{}/{}", repository.product, repository.path);
    let mut named = Vec::new();
    for platform in &app.config.platforms {
        let inputs = platform.all_repositories();
        for (input, arch) in inputs.flat_map(|input| platform.architectures.iter().map(move |arch| (input, arch))) {
            let url = input.url_for(*arch, &app.config.public_url);
            let number = url.split_once(&place).and_then(|(_, rest)| {
                let rest = rest.strip_prefix('@').or_else(|| rest.strip_prefix("/@"))?;
                rest.split('/').next()?.parse().ok()
            });
            named.extend(number.map(|number| (number, format!("platform {} builds upon it", platform.name))));
        }
    }
    named
}

/// Returns what releases name that may still go out.
async fn wanted_by_releases(connection: &mut Connection) -> ApiResult<BTreeSet<Sha256>> {
    let mut wanted = BTreeSet::new();
    for release in anima_db::release::list_that_may_go(connection).await? {
        wanted.extend(release.plan.iter().map(|entry| entry.artifact));
        for repository in release.published.iter().flat_map(|published| &published.repositories) {
            wanted.insert(repository.repomd);
            wanted.extend(repository.layout);
            wanted.extend(repository.files.iter().map(|file| file.sha256));
        }
    }
    Ok(wanted)
}

async fn record_snapshots(write: &mut Write, snapshots: &[SnapshotFate]) -> ApiResult<()> {
    for snapshot in snapshots {
        let message = format!("Snapshot {} was dropped: {}.", snapshot.address, snapshot.reason);
        let event = NewEvent { noun: "snapshot", verb: "dropped", message, ..NewEvent::default() };
        anima_db::event::record(write, event).await?;
    }
    Ok(())
}

async fn record_artifacts(write: &mut Write, dropped: &[DroppedArtifact]) -> ApiResult<()> {
    if !dropped.is_empty() {
        let size_bytes: u64 = dropped.iter().map(|artifact| artifact.size_bytes).sum();
        let message = format!("{} artifacts with {size_bytes} bytes were dropped: nothing names them.", dropped.len());
        let event = NewEvent { noun: "store", verb: "collected", message, ..NewEvent::default() };
        anima_db::event::record(write, event).await?;
    }
    Ok(())
}

/// The rows are gone; a file that somebody stores again meanwhile stays.
async fn remove_files(app: &App, dropped: &[DroppedArtifact]) -> ApiResult<()> {
    let before = a_day_ago();
    for artifact in dropped {
        app.store.remove(artifact.sha256, before).await?;
    }
    Ok(())
}

/// Files that no row names: the metadata of builds' own repositories, what uploads left whose task was taken away.
async fn strays(app: &App, is_dry_run: bool) -> ApiResult<Vec<DroppedArtifact>> {
    let before = a_day_ago();
    let mut strays = Vec::new();
    for first_byte in 0..=u8::MAX {
        let there = app.store.list(first_byte, before).await?;
        let mut read = app.db.read().await?;
        let known =
            anima_db::garbage::known(&mut read, &there.iter().map(|(sha256, _)| *sha256).collect::<Vec<_>>()).await?;
        drop(read);
        for (sha256, size_bytes) in there.into_iter().filter(|(sha256, _)| !known.contains(sha256)) {
            if is_dry_run || app.store.remove(sha256, before).await? {
                let reason = "no task made it, or the task is gone".to_string();
                strays.push(DroppedArtifact { sha256, name: String::new(), size_bytes, reason });
            }
        }
    }
    Ok(strays)
}

/// By the clock of the disk: it says when a file was stored.
fn a_day_ago() -> SystemTime {
    SystemTime::now() - Duration::from_secs(STRAY_FILE_DAYS.unsigned_abs() * DAY_SECS.unsigned_abs())
}
