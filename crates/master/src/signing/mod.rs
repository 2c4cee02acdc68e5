//! Sign tasks: what still needs a signature, whether the key's policy allows it, and what has become of asking for it.

pub mod account;
pub mod file;
pub mod work;

use anima_db::{
    Connection, Write,
    release::Release,
    task::{About, Subject, Task},
};
use anima_types::{
    Timestamp,
    id::{BuildId, KeyId, ReleaseId},
    key::{Key, Status as KeyStatus},
    signature::Account,
    task::{Event, Kind, Status},
};

use crate::{build::advance::first_failure, error::ApiResult, release};

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

/// Sees to it that all packages that a release of no build carries have its product's signature.
pub async fn carried(write: &mut Write, row: &Release, tasks: &[Task]) -> ApiResult<State> {
    let product = anima_db::product::get(write, &row.product).await?;
    let Some(key) = product.key else {
        return Ok(State::Failed(format!("Failed: product {} has no key.", row.product)));
    };
    let all = release::carried::all(write, row).await?;
    let signed = release::carried::signed(write, &all, key).await?;
    if all.iter().all(|carried| signed.contains_key(&carried.original.artifact)) {
        return Ok(State::Signed);
    }
    let wanted =
        About { release: Some(row.id), key: Some(key), subject: Some(Subject::Packages), ..About::new(Kind::Sign) };
    task(write, wanted, tasks).await
}

/// Sees to it that the metadata of a release is signed with a key.
pub async fn metadata(
    write: &mut Write,
    build: Option<BuildId>,
    release: ReleaseId,
    key: KeyId,
    tasks: &[Task],
) -> ApiResult<State> {
    let wanted = About {
        build,
        release: Some(release),
        key: Some(key),
        subject: Some(Subject::Metadata),
        ..About::new(Kind::Sign)
    };
    task(write, wanted, tasks).await
}

async fn is_signed(write: &mut Write, build: BuildId, key: KeyId) -> ApiResult<bool> {
    Ok(anima_db::package::unsigned_of_build(write, build, key, 1).await?.is_empty())
}

/// Makes the task where there is none, and tells how it stands. The newest counts: an older one was for an older plan.
async fn task(write: &mut Write, wanted: About, tasks: &[Task]) -> ApiResult<State> {
    let key = anima_db::key::get(write, wanted.key.unwrap_or(KeyId(0))).await?;
    // One task signs so many packages; whoever asks for packages still misses some.
    let is_next = |task: &Task| task.status == Status::Succeeded && wanted.subject == Some(Subject::Packages);
    // What failed before the release was planned again is tried again with it.
    let plan = tasks.iter().rev().find(|task| task.about.kind == Kind::Plan).map(|task| task.id);
    let is_over = |task: &Task| task.status.is_ended() && task.status != Status::Succeeded && Some(task.id) < plan;
    let newest = tasks.iter().rev().find(|task| task.about == wanted);
    let Some(task) = newest.filter(|task| !is_next(task) && !is_over(task)) else {
        let id = anima_db::task::insert(write, &wanted, "It waits for the key.").await?;
        if let Some(making) = anima_db::task::of_key(write, key.id, Subject::Key).await?.last() {
            anima_db::task_dependency::replace(write, id, &[making.id]).await?;
        }
        return Ok(State::Moved);
    };
    match task.status {
        Status::Waiting => waiting(write, task, &key).await,
        Status::Ready | Status::Leased => Ok(State::Waits),
        Status::Succeeded => Ok(State::Signed),
        Status::Failed | Status::Blocked | Status::Excluded | Status::Cancelled => Ok(State::Failed(
            first_failure(&[task]).unwrap_or_else(|| "Failed: the packages were not signed.".to_string()),
        )),
    }
}

/// Lets a task that waits begin, if the key signs and its policy has nothing against it.
async fn waiting(write: &mut Write, task: &Task, key: &Key) -> ApiResult<State> {
    let accounts = account::of_task(write, task).await?;
    let (event, why) = match decide(key, &accounts, write.now) {
        Decision::Go => (Event::DependenciesMet, "It waits for the Sign Server.".to_string()),
        Decision::Wait(why) => {
            let why = not_made(write, key).await?.unwrap_or(why);
            if task.why != why {
                anima_db::task::set_why(write, task.id, &why).await?;
            }
            return Ok(State::Waits);
        }
        Decision::Refuse(why) => (Event::DependencyFailed, why),
    };
    anima_db::task::apply(write, task, event, &why).await?;
    Ok(if event == Event::DependencyFailed { State::Failed(format!("Failed: {why}")) } else { State::Moved })
}

/// Returns why a key is not made, where its task has failed: it is waited for without end otherwise.
async fn not_made(write: &mut Write, key: &Key) -> ApiResult<Option<String>> {
    if key.status != KeyStatus::Asked {
        return Ok(None);
    }
    let making = anima_db::task::of_key(write, key.id, Subject::Key).await?;
    Ok(making.last().filter(|making| making.status.is_ended()).map(|making| {
        let (name, id) = (&key.key.name, making.id);
        format!("Key {name} could not be made: {} Restart task {id}; this one follows.", making.why)
    }))
}

/// Returns what there is to say of a sign task that waits or is blocked: of its key and who approved, and what to do about it; nothing of
/// any other task.
pub async fn why_not(
    connection: &mut Connection,
    task: &Task,
    now: Timestamp,
) -> ApiResult<Option<(String, Option<String>)>> {
    let (Kind::Sign, Status::Waiting | Status::Blocked, Some(key)) = (task.about.kind, task.status, task.about.key)
    else {
        return Ok(None);
    };
    let key = anima_db::key::get(connection, key).await?;
    let approved_by = anima_db::signature::approvals(connection, task.id).await?;
    let name = &key.key.name;
    let who = if approved_by.is_empty() { String::new() } else { format!(": {}", approved_by.join(", ")) };
    let fact = match key.policy.requires.approvals {
        0 => format!("Key {name} signs it."),
        wanted => format!("Key {name} signs it; {} of {wanted} approvals are there{who}.", approved_by.len()),
    };
    let accounts = account::of_task(connection, task).await?;
    let id = task.id;
    let hint = match decide(&key, &accounts, now) {
        Decision::Go if task.status == Status::Blocked => {
            Some(format!("Nothing forbids it any more: `anima task restart {id}`."))
        }
        Decision::Go => None,
        Decision::Wait(_) if key.status == KeyStatus::Asked => Some(format!(
            "The Sign Server makes key {name} when it is there (`anima key show {name}`); this one follows."
        )),
        Decision::Wait(_) => Some(format!("Others than who asked for it say `anima key approve {id} --reason TEXT`.")),
        Decision::Refuse(_) => Some(format!(
            "Mend what is refused, or change what the key signs (`anima key policy {name}`); then `anima task restart {id}`."
        )),
    };
    Ok(Some((fact, hint)))
}

/// Whether a key may sign something now.
#[derive(Debug, Eq, PartialEq)]
enum Decision {
    Go,
    /// Not yet.
    Wait(String),
    /// Never, as things stand.
    Refuse(String),
}

fn decide(key: &Key, accounts: &[Account], now: Timestamp) -> Decision {
    if key.status == KeyStatus::Asked {
        return Decision::Wait(format!("The Sign Server has not made key {} yet.", key.key.name));
    }
    if let Some(refused) = key.refuses(now) {
        return Decision::Refuse(format!("Nothing is signed: {refused}."));
    }
    let mut missing = None;
    for account in accounts {
        let Some(refused) = key.policy.refuses(account) else { continue };
        let only_approvals = key.policy.requires.missing_approvals(account) > 0
            && key.policy.refuses(&approved_by_all(account, key.policy.requires.approvals)).is_none();
        if !only_approvals {
            return Decision::Refuse(format!("could not sign {} with key {}: {refused}.", account.name, key.key.name));
        }
        missing.get_or_insert(refused);
    }
    match missing {
        Some(missing) => Decision::Wait(format!("Key {} waits for {missing}.", key.key.name)),
        None => Decision::Go,
    }
}

/// Returns the account as it were if enough people had approved: is anything else in the way?
fn approved_by_all(account: &Account, approvals: u32) -> Account {
    let people = (0..approvals).map(|number| format!("{number}"));
    Account { approved_by: people.collect(), asked_by: None, ..account.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anima_types::{
        Timestamp,
        id::TaskId,
        key::{Algorithm, CreateKey, Options},
        key_policy::{Policy, Requires},
        signature::{Kind as Signed, MadeBy},
    };

    fn key(policy: Policy) -> Key {
        Key {
            id: KeyId(1),
            key: CreateKey {
                name: "p1".into(),
                algorithm: Algorithm::Ed25519,
                user_id: "P <p@example.org>".into(),
                options: Options::default(),
            },
            status: KeyStatus::Active,
            fingerprint: None,
            public_key: None,
            file_key: None,
            policy,
            created_at: Timestamp(0),
            expires_at: Some(Timestamp(10_000_000)),
            ended_at: None,
            reason: None,
        }
    }

    fn account() -> Account {
        Account {
            kind: Signed::Rpm,
            name: "jq-1.7-1.x86_64".into(),
            product: "p1".into(),
            platform: Some("p1".into()),
            build: None,
            release: None,
            made_by: Some(MadeBy { task: TaskId(1), lease: 1, node: "b".into() }),
            is_green: true,
            imported: None,
            asked_by: None,
            approved_by: Vec::new(),
        }
    }

    #[test]
    fn a_key_that_is_not_made_is_waited_for_and_one_that_ended_is_not() {
        let now = Timestamp(1);
        let mut key = key(Policy::default());

        assert_eq!(decide(&key, &[account()], now), Decision::Go);
        assert!(
            matches!(decide(&key, &[account()], Timestamp(10_000_000)), Decision::Refuse(why) if why.contains("expired"))
        );
        key.status = KeyStatus::Asked;
        assert!(matches!(decide(&key, &[account()], now), Decision::Wait(_)));
        key.status = KeyStatus::Revoked;
        assert!(matches!(decide(&key, &[account()], now), Decision::Refuse(why) if why.contains("revoked")));
    }

    #[test]
    fn approvals_are_waited_for_and_anything_else_is_refused_at_once() {
        let now = Timestamp(1);
        let wants = key(Policy { requires: Requires { approvals: 1, ..Requires::default() }, ..Policy::default() });
        let approved = Account { approved_by: vec!["bob".into()], ..account() };
        let red = Account { is_green: false, ..account() };

        assert!(matches!(decide(&wants, &[account()], now), Decision::Wait(why) if why.contains("1 more approval")));
        assert_eq!(decide(&wants, std::slice::from_ref(&approved), now), Decision::Go);
        assert!(matches!(decide(&wants, &[approved, red], now), Decision::Refuse(why) if why.contains("tests")));
    }
}
