//! What the Sign Server is told to sign, and what it is told of it.

use std::collections::{BTreeMap, BTreeSet};

use anima_db::{
    Connection,
    task::{Subject, Task},
};
use anima_types::{
    Sha256,
    key::{Key, Revocation},
    repository::RepositoryPackage,
    signature::{Account, Form},
    work::{SignItem, SignWork},
};

use super::account;
use crate::{
    app::App,
    error::{ApiError, ApiResult},
    package_file, release,
};

/// Returns a sign task's work. What the key or its policy refuses is an error with the reason.
pub async fn of(app: &App, connection: &mut Connection, task: &Task) -> ApiResult<SignWork> {
    let key = key_of(connection, task).await?;
    match task.about.subject {
        Some(Subject::Key) => return Ok(SignWork::CreateKey { key: key.id, wanted: key.key }),
        Some(Subject::Revocation) => return revocation(key),
        _ => {}
    }
    let refused = |why: String| ApiError::unprocessable("refused_by_policy", why);
    if let Some(why) = key.refuses(app.now()) {
        return Err(refused(format!("could not sign: {why}")).hint("Give the product another key: `anima key rotate`."));
    }
    let items = items(app, connection, task, &key).await?;
    for item in &items {
        let Some(account) = &item.account else { continue };
        if let Some(why) = key.policy.refuses(account) {
            return Err(refused(format!("could not sign {} with key {}: {why}", account.name, key.key.name)));
        }
    }
    let fingerprint =
        key.fingerprint.ok_or_else(|| ApiError::internal(format!("key {} is not made yet", key.key.name)))?;
    Ok(SignWork::Signatures { fingerprint, items })
}

/// Returns the key of a sign task.
pub async fn key_of(connection: &mut Connection, task: &Task) -> ApiResult<Key> {
    let key = task.about.key.ok_or_else(|| ApiError::internal("a sign task has no key"))?;
    Ok(anima_db::key::get(connection, key).await?)
}

/// Packages that one task signs at most: a task that is cut off loses no more than some seconds, and the headers of so many
/// fit into memory. Another task signs the next.
pub const MAX_PACKAGES: u32 = 1_000;

/// Returns the signatures that a task has to make next.
pub async fn items(app: &App, connection: &mut Connection, task: &Task, key: &Key) -> ApiResult<Vec<SignItem>> {
    match task.about.subject {
        Some(Subject::Packages) => {
            let packages = unsigned(connection, task, key, MAX_PACKAGES).await?;
            package_items(app, connection, task, key, packages).await
        }
        Some(Subject::Metadata) => metadata_items(app, connection, task).await,
        Some(Subject::File) => file_item(app, connection, task).await,
        Some(Subject::Key | Subject::Revocation) | None => Ok(Vec::new()),
    }
}

/// Returns the signatures that a report of a task has to have: of files all, of packages those that it speaks of, for others
/// may have been signed meanwhile. One that speaks of none has to have the first that is missing.
pub async fn reported(
    app: &App,
    connection: &mut Connection,
    task: &Task,
    key: &Key,
    spoken_of: &BTreeSet<Sha256>,
) -> ApiResult<Vec<SignItem>> {
    if task.about.subject != Some(Subject::Packages) {
        return items(app, connection, task, key).await;
    }
    let missing = unsigned(connection, task, key, u32::MAX).await?;
    let (meant, others): (Vec<_>, Vec<_>) =
        missing.into_iter().partition(|package| spoken_of.contains(&package.artifact));
    let first = others.into_iter().take(usize::from(meant.is_empty()));
    package_items(app, connection, task, key, meant.into_iter().chain(first)).await
}

/// Computes what signatures over payloads need, before there is a transaction that everybody waits for.
pub async fn prepare(app: &App, task: &Task) -> ApiResult<()> {
    if task.about.subject != Some(Subject::Packages) {
        return Ok(());
    }
    let mut read = app.db.read().await?;
    let key = key_of(&mut read, task).await?;
    if !key.key.options.signs_payload {
        return Ok(());
    }
    let mut missing = Vec::new();
    for package in unsigned(&mut read, task, &key, MAX_PACKAGES).await? {
        if anima_db::signature::state(&mut read, package.artifact).await?.is_none() {
            missing.push(package.artifact);
        }
    }
    drop(read);
    for sha256 in missing {
        let (state, digest) = package_file::digest_state(app, sha256).await?;
        let mut write = app.db.write(app.now(), "anima").await?;
        anima_db::signature::insert_state(&mut write, sha256, &state, digest).await?;
        write.commit().await?;
    }
    Ok(())
}

fn revocation(key: Key) -> ApiResult<SignWork> {
    let fingerprint =
        key.fingerprint.ok_or_else(|| ApiError::internal(format!("key {} is not made yet", key.key.name)))?;
    let words = key.reason.unwrap_or_default();
    let (why, reason) = words.split_once(": ").unwrap_or((&words, ""));
    let all = [Revocation::Unsaid, Revocation::Superseded, Revocation::Compromised, Revocation::Retired];
    let why = all.into_iter().find(|known| known.name() == why).unwrap_or_default();
    Ok(SignWork::Revoke { fingerprint, why, reason: reason.to_string() })
}

/// Returns the packages of the task's build, or of its release, that have no signature by this key yet, ordered by hash, at most
/// `limit`.
async fn unsigned(
    connection: &mut Connection,
    task: &Task,
    key: &Key,
    limit: u32,
) -> ApiResult<Vec<RepositoryPackage>> {
    match task.about.build {
        Some(build) => Ok(anima_db::package::unsigned_of_build(connection, build, key.id, limit).await?),
        None => {
            let mut unsigned = unsigned_of_release(connection, task, key).await?;
            unsigned.truncate(limit as usize);
            Ok(unsigned)
        }
    }
}

async fn unsigned_of_release(connection: &mut Connection, task: &Task, key: &Key) -> ApiResult<Vec<RepositoryPackage>> {
    let row = account::release_of(connection, task).await?;
    let all = release::carried::all(connection, &row).await?;
    let signed = release::carried::signed(connection, &all, key.id).await?;
    let unsigned = all.into_iter().map(|carried| (carried.original.artifact, carried.original));
    let unsigned: BTreeMap<_, _> = unsigned.filter(|(artifact, _)| !signed.contains_key(artifact)).collect();
    Ok(unsigned.into_values().collect())
}

/// Returns the signatures of packages, of which none is there yet.
async fn package_items(
    app: &App,
    connection: &mut Connection,
    task: &Task,
    key: &Key,
    packages: impl IntoIterator<Item = RepositoryPackage>,
) -> ApiResult<Vec<SignItem>> {
    let mut accounts = account::of_packages(connection, task).await?;
    let mut items = Vec::new();
    for package in packages {
        items.extend(items_of(app, connection, key, &package, accounts.remove(&package.artifact)).await?);
    }
    Ok(items)
}

/// Returns the signatures that one package gets.
pub async fn items_of(
    app: &App,
    connection: &mut Connection,
    key: &Key,
    package: &RepositoryPackage,
    account: Option<Account>,
) -> ApiResult<Vec<SignItem>> {
    let artifact = package.artifact;
    let bytes_sha256 = package
        .header_sha256
        .ok_or_else(|| ApiError::internal(format!("the hash of the header of {} is not known", package.nevra)))?;
    let url = app.url(&format!("api/v1/artifacts/{artifact}/header"));
    let header = SignItem { artifact, form: Form::RpmHeader, url, bytes_sha256, state: None, account };
    let mut items = vec![header.clone()];
    if key.key.options.signs_payload {
        let (state, bytes_sha256) = match anima_db::signature::state(connection, artifact).await? {
            Some(state) => state,
            None => package_file::digest_state(app, artifact).await?,
        };
        items.push(SignItem { form: Form::RpmPayload, bytes_sha256, state: Some(state), ..header.clone() });
    }
    if key.key.options.signs_files {
        items.push(SignItem { form: Form::RpmFiles, ..header });
    }
    Ok(items)
}

async fn metadata_items(app: &App, connection: &mut Connection, task: &Task) -> ApiResult<Vec<SignItem>> {
    let accounts = account::of_metadata(connection, task).await?;
    Ok(accounts.into_iter().map(|(repomd, account)| whole_file(app, repomd, Form::Detached, account)).collect())
}

async fn file_item(app: &App, connection: &mut Connection, task: &Task) -> ApiResult<Vec<SignItem>> {
    let file = anima_db::signature::file(connection, task.id).await?;
    let account = account::of_file(connection, task).await?;
    Ok(vec![whole_file(app, file.sha256, file.form, account)])
}

fn whole_file(app: &App, sha256: Sha256, form: Form, account: Account) -> SignItem {
    let url = app.url(&format!("api/v1/artifacts/{sha256}"));
    SignItem { artifact: sha256, form, url, bytes_sha256: sha256, state: None, account: Some(account) }
}
