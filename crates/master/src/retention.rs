//! What goes by its age alone, where the configuration says how old it may be (`[retention]`): logs, what builds made that nobody
//! released, and events. Each pass takes some, and the rest goes with those to come.

use anima_db::{Connection, Origin, Write, event::NewEvent};
use anima_types::{
    Timestamp,
    id::{BuildId, TaskId},
    platform::Platform,
};
use futures_util::{StreamExt as _, stream};

use crate::{app::App, error::ApiResult};

const DAY_SECS: i64 = 86_400;
/// Builds that one pass deletes at most: each has some thousand artifacts at most, and others wait for it.
const MAX_BUILDS: u32 = 20;
/// Tasks whose logs one pass drops at most: in a bucket each is some dozen questions.
const MAX_LOGGED_TASKS: u32 = 5_000;
/// Logs in a bucket are dropped so many at once.
const LOGS_AT_ONCE: usize = 32;
/// Events that one transaction drops at most, and transactions of one pass.
const MAX_EVENTS: u32 = 5_000;
const MAX_EVENT_TURNS: usize = 20;

/// Returns the moment before which something goes by a rule.
fn before(now: Timestamp, days: u32) -> Timestamp {
    now.plus_secs(-i64::from(days) * DAY_SECS)
}

/// Deletes what builds made that [`find_unreleased`] finds; returns how many builds.
pub async fn delete_unreleased(app: &App, write: &mut Write) -> ApiResult<usize> {
    let now = write.now;
    let deleted = find_unreleased(app, write, now).await?;
    for &id in &deleted {
        let row = anima_db::build::get(write, id).await?;
        let days = app.config.retention.unreleased_build_days.unwrap_or_default();
        let summary = format!("Deleted after {days} days: no release carries it.");
        anima_db::build::delete(write, &row, &summary).await?;
    }
    Ok(deleted.len())
}

/// Returns builds that ended well long enough ago, and that no release carries and nobody builds upon: the oldest, at most
/// [`MAX_BUILDS`]. Those that stay take nobody's place.
pub async fn find_unreleased(app: &App, connection: &mut Connection, now: Timestamp) -> ApiResult<Vec<BuildId>> {
    let Some(days) = app.config.retention.unreleased_build_days else { return Ok(Vec::new()) };
    let before = before(now, days);
    let linked = anima_db::build::linked(connection).await?;
    let (mut found, mut after) = (Vec::new(), BuildId(0));
    loop {
        let page = anima_db::garbage::list_unreleased(connection, before, after, MAX_BUILDS).await?;
        let Some(&last) = page.last() else { return Ok(found) };
        found.extend(page.into_iter().filter(|id| !linked.contains_key(id) && !is_built_upon(app, *id)));
        if found.len() >= MAX_BUILDS as usize {
            found.truncate(MAX_BUILDS as usize);
            return Ok(found);
        }
        after = last;
    }
}

/// Whether a platform's file names a build's repository: `{master}/builds/N/repo/…`.
fn is_built_upon(app: &App, build: BuildId) -> bool {
    let place = format!("/builds/{build}/repo/");
    let mut repositories = app.config.platforms.iter().flat_map(Platform::all_repositories);
    repositories.any(|repository| repository.url.contains(&place))
}

/// Drops the logs of tasks that ended long ago, and of builds that somebody deleted; returns of how many tasks.
pub async fn drop_logs_once(app: &App, now: Timestamp, is_dry_run: bool) -> ApiResult<usize> {
    let age = app.config.retention.logs_days.map(|days| before(now, days));
    let mut read = app.db.read().await?;
    let old = anima_db::garbage::list_old_logs(&mut read, age, MAX_LOGGED_TASKS).await?;
    drop(read);
    if is_dry_run || old.is_empty() {
        return Ok(old.len());
    }
    // Before it is written down: what is cut off here is done again.
    let removals: Vec<_> = old.iter().map(|&logs| remove_logs(app, logs)).collect();
    let removed: Vec<_> = stream::iter(removals).buffer_unordered(LOGS_AT_ONCE).collect().await;
    let (mut gone, mut failed) = (Vec::new(), Vec::new());
    for one in removed {
        match one {
            Ok(logs) => gone.push(logs),
            Err(why) => failed.push(why),
        }
    }
    if let Some((task, error)) = failed.first() {
        // One line for all: a store that is away refuses thousands in the same words.
        tracing::error!(task = task.0, "logs of {} tasks stay until the next collection: {error}", failed.len());
    }
    let mut write = app.db.write(now, "anima").await?;
    anima_db::garbage::set_logs_dropped(&mut write, &gone).await?;
    write.commit().await?;
    Ok(gone.len())
}

/// Removes the logs of one task, or says why they stay: those of others go all the same.
async fn remove_logs(app: &App, logs: (TaskId, i64)) -> Result<(TaskId, i64), (TaskId, anima_store::Error)> {
    let (task, attempt) = logs;
    app.logs.remove(task, attempt).await.map(|()| logs).map_err(|error| (task, error))
}

/// Drops events that happened long ago; returns how many.
pub async fn drop_events_once(app: &App, now: Timestamp, who: &Origin, is_dry_run: bool) -> ApiResult<usize> {
    let Some(days) = app.config.retention.audit_days else { return Ok(0) };
    let mut count = 0;
    for _ in 0..MAX_EVENT_TURNS {
        let mut read = app.db.read().await?;
        let found = anima_db::garbage::find_old_events(&mut read, before(now, days), MAX_EVENTS).await?;
        drop(read);
        let Some((last, found_count)) = found else { break };
        if is_dry_run {
            return Ok(found_count);
        }
        let mut write = app.db.write(now, who.clone()).await?;
        let dropped = anima_db::garbage::drop_events(&mut write, last).await?;
        if dropped == 0 {
            break;
        }
        let message = format!("{dropped} events that are older than {days} days were dropped.");
        let event = NewEvent { noun: "store", verb: "collected", message, ..NewEvent::default() };
        anima_db::event::record(&mut write, event).await?;
        write.commit().await?;
        count += usize::try_from(dropped).unwrap_or(usize::MAX);
    }
    Ok(count)
}
