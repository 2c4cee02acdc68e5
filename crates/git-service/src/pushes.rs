//! From branches that moved to pushes that the master knows of.

use std::{path::Path, time::Duration};

use anima_types::push::{Push, PushAnswer};

use crate::{
    app::App,
    auth::Pusher,
    error::{Error, Result},
};

/// A master that is away is looked for this often.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// A pusher waits so long to be told what their push began.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Answers of the master that stay the same however often it is told: it does not understand the push, or it is too large for it.
/// Others pass when somebody mends an address or a token.
const REFUSALS: [u16; 5] = [400, 409, 413, 415, 422];

/// Writes down the pushes of branches that moved since last time. The caller holds the repository's lock.
pub(crate) async fn note(app: &App, name: &str, path: &Path, pusher: &Pusher) -> Result<Vec<(u64, Push)>> {
    let now = app.repositories.branches(path).await?;
    let before = app.outbox.seen(name);
    let mut noted = Vec::new();
    for (branch, commit) in now.iter().filter(|(branch, commit)| before.get(*branch) != Some(*commit)) {
        let push = Push {
            package: name.to_string(),
            branch: branch.clone(),
            commit: commit.clone(),
            subject: app.repositories.subject(path, commit).await,
            pusher: pusher.name.clone(),
            via: pusher.via.clone(),
            address: pusher.address.clone(),
        };
        let number = app.outbox.put(&push).map_err(|error| Error::disk("write a push down", error))?;
        noted.push((number, push));
    }
    if now != before {
        app.outbox.set_seen(name, now).map_err(|error| Error::disk("write a push down", error))?;
    }
    Ok(noted)
}

/// Tells the master of pushes and returns what the pusher is told. What it does not take soon is told to it later.
pub(crate) async fn tell_now(app: &App, noted: Vec<(u64, Push)>) -> Vec<String> {
    let mut lines = Vec::new();
    for (number, push) in noted {
        let line = match tokio::time::timeout(ANSWER_TIMEOUT, deliver(app, number, &push)).await {
            Ok(Ok(answer)) => answer.message,
            Ok(Err(error)) if is_refusal(&error) => format!("the push is in git, but the master refuses it: {error}"),
            Ok(Err(error)) => later(app, &error.to_string()),
            Err(_) => later(app, "it does not answer"),
        };
        lines.push(line);
    }
    lines
}

fn later(app: &App, reason: &str) -> String {
    app.outbox_filled.notify_one();
    format!("the push is written down, and is built when the master takes it: {reason}")
}

async fn deliver(app: &App, number: u64, push: &Push) -> std::result::Result<PushAnswer, anima_client::Error> {
    let answer = match app.master.report_push(push).await {
        Err(error) if is_refusal(&error) => {
            put_aside(app, number, push, &error);
            return Err(error);
        }
        answer => answer?,
    };
    if let Err(error) = app.outbox.delivered(number) {
        // It is told again later, which does no harm.
        tracing::error!("could not take a push out of the outbox: {error}");
    }
    Ok(answer)
}

fn is_refusal(error: &anima_client::Error) -> bool {
    error.status().is_some_and(|status| REFUSALS.contains(&status))
}

fn put_aside(app: &App, number: u64, push: &Push, refusal: &anima_client::Error) {
    let Push { package, branch, commit, .. } = push;
    tracing::error!(
        package,
        branch,
        commit,
        number,
        "the push of {commit} to {package}, branch {branch}, is put aside as number {number}: the master refuses it: {refusal}"
    );
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
    loop {
        let waiting = app.outbox.waiting().unwrap_or_else(|error| {
            tracing::error!("could not read the outbox: {error}");
            Vec::new()
        });
        let mut is_away = false;
        for (number, push) in waiting {
            match deliver(&app, number, &push).await {
                Ok(answer) => tracing::info!(package = push.package, branch = push.branch, "{}", answer.message),
                Err(error) if is_refusal(&error) => {}
                Err(error) => {
                    tracing::warn!("the master could not be told of a push to {}: {error}", push.package);
                    is_away = true;
                    break;
                }
            }
        }
        if is_away {
            tokio::time::sleep(RETRY_AFTER).await;
        } else {
            app.outbox_filled.notified().await;
        }
    }
}
