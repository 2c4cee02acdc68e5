//! From branches that moved to pushes that the master knows of, and from what else changed to what its audit has.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anima_types::push::{GitChange, GitChanges, MAX_GIT_CHANGES, Push, PushAnswer};

use crate::{
    app::App,
    auth::Pusher,
    error::{Error, Result},
    outbox::{Seen, Word},
};

/// A master that is away is looked for this often.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// A master of a version before has no place for what is for the audit only; it is asked again this often, and whenever there is
/// something else to tell.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(600);
/// So many changes are kept for it, the newest: each is a small file that is read whenever there is something to tell.
const MAX_KEPT_CHANGES: usize = 1_000;
/// A pusher waits so long to be told what their push began.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Answers of the master that stay the same however often it is told: it does not understand the push, or it is too large for it.
/// Others pass when somebody mends an address or a token.
const REFUSALS: [u16; 5] = [400, 409, 413, 415, 422];

/// Writes down the pushes of branches that moved since last time, and what else changed; returns the pushes. The caller holds
/// the repository's lock, and wakes [`keep_telling`] once it has told what it tells itself.
pub(crate) async fn note(app: &App, name: &str, path: &Path, pusher: &Pusher) -> Result<Vec<(u64, Push)>> {
    let now = Seen::new(app.repositories.branches(path).await?, app.repositories.others(path).await?);
    let before = app.outbox.seen(name);
    let disk = |error| Error::disk("write a push down", error);
    let mut noted = Vec::new();
    for (branch, commit) in now.branches.iter().filter(|(branch, commit)| before.branches.get(*branch) != Some(*commit))
    {
        let push = Push {
            package: name.to_string(),
            branch: branch.clone(),
            commit: commit.clone(),
            subject: app.repositories.subject(path, commit).await,
            pusher: pusher.name.clone(),
            via: pusher.via.clone(),
            address: pusher.address.clone(),
        };
        let number = app.outbox.put(&Word::Push(push.clone())).map_err(disk)?;
        noted.push((number, push));
    }
    write_down(app, name, changes(&before, &now), pusher).map_err(disk)?;
    if now != before {
        app.outbox.set_seen(name, &now).map_err(disk)?;
    }
    Ok(noted)
}

/// Returns what changed besides branches that moved.
fn changes(before: &Seen, now: &Seen) -> Vec<GitChange> {
    let gone = |before: &BTreeMap<String, String>, now: &BTreeMap<String, String>, prefix: &str| {
        let gone = before.iter().filter(|(name, _)| !now.contains_key(*name));
        let deleted =
            gone.map(|(name, old)| GitChange::Deleted { reference: format!("{prefix}{name}"), old: old.clone() });
        deleted.collect::<Vec<_>>()
    };
    let mut changes = gone(&before.branches, &now.branches, "refs/heads/");
    // A version that did not look at them has left all of them to be seen for the first time.
    if let (Some(before), Some(now)) = (&before.others, &now.others) {
        changes.extend(gone(before, now, ""));
        let moved = now.iter().filter(|(name, new)| before.get(*name) != Some(*new));
        changes.extend(moved.map(|(name, new)| GitChange::Moved {
            reference: name.clone(),
            old: before.get(name).cloned(),
            new: new.clone(),
        }));
    }
    changes
}

/// Writes down what the master is to know for its audit; the caller wakes [`keep_telling`].
pub(crate) fn write_down(app: &App, name: &str, mut changes: Vec<GitChange>, pusher: &Pusher) -> std::io::Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let more_count = changes.len().saturating_sub(MAX_GIT_CHANGES) as u64;
    changes.truncate(MAX_GIT_CHANGES);
    let told = GitChanges {
        package: name.to_string(),
        changes,
        more_count,
        pusher: pusher.name.clone(),
        via: pusher.via.clone(),
        address: pusher.address.clone(),
    };
    app.outbox.put(&Word::Changes(told)).map(drop)
}

/// Tells the master of pushes and returns what the pusher is told. What it does not take soon is told to it later.
pub(crate) async fn tell_now(app: &App, noted: Vec<(u64, Push)>) -> Vec<String> {
    let mut lines = Vec::new();
    for (number, push) in noted {
        let line = match tokio::time::timeout(ANSWER_TIMEOUT, deliver(app, number, &push)).await {
            Ok(Ok(answer)) => answer.message,
            Ok(Err(error)) if is_refusal(&error) => format!("the push is in git, but the master refuses it: {error}"),
            Ok(Err(error)) => later(&error.to_string()),
            Err(_) => later("it does not answer"),
        };
        lines.push(line);
    }
    lines
}

fn later(reason: &str) -> String {
    format!("the push is written down, and is built when the master takes it: {reason}")
}

async fn deliver(app: &App, number: u64, push: &Push) -> std::result::Result<PushAnswer, anima_client::Error> {
    let answer = match app.master.report_push(push).await {
        Err(error) if is_refusal(&error) => {
            let Push { package, branch, commit, .. } = push;
            put_aside(app, number, &format!("the push of {commit} to {package}, branch {branch},"), &error);
            return Err(error);
        }
        answer => answer?,
    };
    delivered(app, number);
    Ok(answer)
}

/// Tells of what is for the audit only.
async fn deliver_changes(app: &App, number: u64, told: &GitChanges) -> std::result::Result<(), anima_client::Error> {
    match app.master.report_git_changes(told).await {
        Err(error) if is_refusal(&error) => {
            put_aside(app, number, &format!("what {} changed in {}", told.pusher, told.package), &error);
        }
        answer => {
            answer?;
            delivered(app, number);
        }
    }
    Ok(())
}

fn delivered(app: &App, number: u64) {
    if let Err(error) = app.outbox.delivered(number) {
        // It is told again later, which does no harm.
        tracing::error!("could not take a push out of the outbox: {error}");
    }
}

fn is_refusal(error: &anima_client::Error) -> bool {
    error.status().is_some_and(|status| REFUSALS.contains(&status))
}

fn put_aside(app: &App, number: u64, what: &str, refusal: &anima_client::Error) {
    tracing::error!(number, "{what} is put aside as number {number}: the master refuses it: {refusal}");
    if let Err(error) = app.outbox.set_aside(number) {
        tracing::error!("could not put push {number} of the outbox aside: {error}");
    }
}

/// Writes down the pushes that a killed service had not, in every repository.
pub(crate) async fn recover(app: &App) {
    for name in app.repositories.names().unwrap_or_default() {
        let lock = app.lock_of(&name);
        let _held = lock.lock().await;
        let Ok(path) = app.repositories.find(&name) else { continue };
        match note(app, &name, &path, &Pusher::found_again()).await {
            Ok(noted) if !noted.is_empty() => tracing::info!("{} pushes to {name} were found again", noted.len()),
            Ok(_) => {}
            Err(error) => tracing::error!("could not look at {name}: {}", error.message),
        }
    }
}

/// Tells the master of all that waits, for ever.
pub(crate) async fn keep_telling(app: App) {
    let mut is_warned = false;
    loop {
        match tell_waiting(&app).await {
            Told::All => app.outbox_filled.notified().await,
            Told::AllButChanges => {
                if !std::mem::replace(&mut is_warned, true) {
                    tracing::warn!(
                        "the master has no place for tags that move, branches that go and uploads (404): it is of a version before, \
                         and the newest {MAX_KEPT_CHANGES} of them are kept until it has"
                    );
                }
                let _ = tokio::time::timeout(ASK_AGAIN_AFTER, app.outbox_filled.notified()).await;
            }
            Told::IsAway => drop(tokio::time::timeout(RETRY_AFTER, app.outbox_filled.notified()).await),
        }
    }
}

/// What the master was told of all that waits.
enum Told {
    All,
    /// It has no place for changes, which wait on.
    AllButChanges,
    /// What is left waits for it.
    IsAway,
}

async fn tell_waiting(app: &App) -> Told {
    let waiting = app.outbox.waiting().unwrap_or_else(|error| {
        tracing::error!("could not read the outbox: {error}");
        Vec::new()
    });
    let mut kept = Vec::new();
    for (number, word) in waiting {
        let told = match &word {
            Word::Push(push) => deliver(app, number, push).await.map(|answer| {
                tracing::info!(package = push.package, branch = push.branch, "{}", answer.message);
            }),
            // It said so of one, and is not asked for each.
            Word::Changes(_) if !kept.is_empty() => {
                kept.push(number);
                continue;
            }
            Word::Changes(changes) => deliver_changes(app, number, changes).await,
        };
        match told {
            Ok(()) => {}
            Err(error) if is_refusal(&error) => {}
            Err(error) if error.status() == Some(404) && matches!(word, Word::Changes(_)) => kept.push(number),
            Err(error) => {
                tracing::warn!("the master could not be told of a push to {}: {error}", word.package());
                return Told::IsAway;
            }
        }
    }
    let too_many = kept.len().saturating_sub(MAX_KEPT_CHANGES);
    kept[..too_many].iter().for_each(|&number| delivered(app, number));
    if kept.is_empty() { Told::All } else { Told::AllButChanges }
}
