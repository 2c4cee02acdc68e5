//! Sign tasks: which packages still need a product's signature, and what has become of asking for it.

use anima_db::{
    Write,
    task::{About, Subject, Task},
};
use anima_types::{
    id::{BuildId, KeyId, ReleaseId},
    task::{Event, Kind, Status},
};

use crate::{build::advance::first_failure, error::ApiResult};

/// Where the signatures stand.
pub enum State {
    /// All are there.
    Signed,
    /// Something was done just now: look again.
    Moved,
    /// They are being made.
    Waits,
    /// They could not be made.
    Failed(String),
}

/// Sees to it that all packages of a build have a product's signature. `tasks` are those of the build, or of the
/// release where that asks.
pub async fn packages(
    write: &mut Write,
    build: BuildId,
    product: &str,
    release: Option<ReleaseId>,
    tasks: &[Task],
) -> ApiResult<State> {
    let product = anima_db::product::get(write, product).await?;
    let Some(key) = product.key else {
        return Ok(State::Failed(format!("Failed: product {} has no key.", product.product.name)));
    };
    if is_signed(write, build, key).await? {
        return Ok(State::Signed);
    }
    let wanted = About {
        build: Some(build),
        release,
        key: Some(key),
        subject: Some(Subject::Packages),
        ..About::new(Kind::Sign)
    };
    task(write, wanted, tasks).await
}

/// Sees to it that the metadata of a release is signed with a key.
pub async fn metadata(
    write: &mut Write,
    build: BuildId,
    release: ReleaseId,
    key: KeyId,
    tasks: &[Task],
) -> ApiResult<State> {
    let wanted = About {
        build: Some(build),
        release: Some(release),
        key: Some(key),
        subject: Some(Subject::Metadata),
        ..About::new(Kind::Sign)
    };
    task(write, wanted, tasks).await
}

async fn is_signed(write: &mut Write, build: BuildId, key: KeyId) -> ApiResult<bool> {
    let signed = anima_db::package::signed_of_build(write, build, key).await?;
    let packages = anima_db::package::of_build(write, build).await?;
    Ok(packages.iter().all(|(_, package)| signed.contains_key(&package.sha256)))
}

/// Makes the task where there is none, and tells how it stands. The newest counts: an older one was for an older plan.
async fn task(write: &mut Write, wanted: About, tasks: &[Task]) -> ApiResult<State> {
    let key = anima_db::key::get(write, wanted.key.unwrap_or(KeyId(0))).await?;
    let Some(task) = tasks.iter().rev().find(|task| task.about == wanted) else {
        let id = anima_db::task::insert(write, &wanted, "It waits for the key.").await?;
        if let Some(making) = anima_db::task::of_key(write, key.id).await?.last() {
            anima_db::task_dependency::replace(write, id, &[making.id]).await?;
        }
        return Ok(State::Moved);
    };
    match task.status {
        Status::Waiting if key.fingerprint.is_some() => {
            anima_db::task::apply(write, task, Event::DependenciesMet, "It waits for the Sign Server.").await?;
            Ok(State::Moved)
        }
        Status::Waiting => {
            let making = anima_db::task::of_key(write, key.id).await?;
            let why = match making.last().filter(|making| making.status.is_ended()) {
                Some(making) => {
                    let (name, id) = (&key.key.name, making.id);
                    format!("Key {name} could not be made: {} Restart task {id}; this one follows.", making.why)
                }
                None => format!("The Sign Server has not made key {} yet.", key.key.name),
            };
            if task.why != why {
                anima_db::task::set_why(write, task.id, &why).await?;
            }
            Ok(State::Waits)
        }
        Status::Ready | Status::Leased => Ok(State::Waits),
        Status::Succeeded => Ok(State::Signed),
        Status::Failed | Status::Blocked | Status::Excluded | Status::Cancelled => Ok(State::Failed(
            first_failure(&[task]).unwrap_or_else(|| "Failed: the packages were not signed.".to_string()),
        )),
    }
}
