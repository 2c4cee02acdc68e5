//! What has to be done without being asked: builds and releases that can go on, pushes whose time is over, leases that
//! ended. Each is one pass; the loops around them are at the end.

use std::{collections::BTreeMap, time::Duration};

use anima_db::event::News;
use anima_types::{
    Timestamp,
    id::{BuildId, EventId, ReleaseId},
    release::{Event, Status},
};
use tokio_util::sync::CancellationToken;

pub use crate::clock::by_the_clock;
pub use crate::lease::{expire_after, expire_once};
pub use crate::log::seal_once;

use crate::{
    app::App, build, build::advance::Look, error::ApiResult, garbage, idempotency, key, lease, log, node, node_load,
    quota, release, search, session, signing, waiting, webhook,
};

pub use crate::key::expire_once as expire_keys_once;
pub use crate::node::forget_once as forget_nodes_once;
pub use crate::quota::wake_once as wake_teams_once;
pub use crate::webhook::{deliver_once, forget_once, run as deliver};

/// Leases end at most this late.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);
/// What another master should have moved on, and cannot any more because it was killed, is found by the second look.
const SHARED_LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// A master that is alone knows what is due; it looks for what was lost by a fault of its own.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// After so many looks everything is looked at, whatever was told of it, in case somebody forgot to tell.
const LOOKS_TO_EVERYTHING: u64 = 60;
/// Builds that another master began to gather pushes for are closed at most this late.
const SHARED_GATHER_INTERVAL: Duration = Duration::from_secs(1);
/// Garbage is of no hurry: what goes has been of no use for a day at least.
const COLLECT_INTERVAL: Duration = Duration::from_secs(6 * 3_600);
/// Keys expire at most this late; who signs looks at the moment itself.
const KEY_INTERVAL: Duration = Duration::from_secs(60);
/// Sessions that are over are refused at once; their rows, and those of nodes that are gone, go at most so late.
const SESSION_INTERVAL: Duration = Duration::from_secs(3_600);
/// Logs that were left uncompressed are looked for this often.
const SEAL_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// A scheduled release goes at most so late.
const SCHEDULE_INTERVAL: Duration = Duration::from_secs(1);
/// What failed by the database's fault is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Moves on all that is due; returns whether anything was.
pub async fn advance_once(app: &App) -> ApiResult<bool> {
    let mut due = app.take_due();
    if due.everything {
        let mut read = app.db.read().await?;
        due.builds.extend(anima_db::build::list_open(&mut read).await?);
        due.releases.extend(anima_db::release::list_open_ids(&mut read).await?);
    }
    let mut any = !due.builds.is_empty() || !due.releases.is_empty();
    if due.everything {
        any |= signing::file::advance_once(app).await?;
    }
    for &id in &due.builds {
        let look = if due.everything { Look::All } else { Look::News };
        if let Err(error) = build::advance::look_once(app, id, look).await {
            tracing::error!(build = id.0, "build {id} could not be moved on: {}", error.body.message);
            app.build_failed_to_move(id);
        }
    }
    for &id in &due.releases {
        if let Err(error) = release::advance::advance_once(app, id).await {
            tracing::error!(release = id.0, "release {id} could not be moved on: {}", error.body.message);
            app.release_failed_to_move(id);
        }
    }
    Ok(any)
}

/// What was found by the last look for what is due.
#[derive(Debug, Default)]
pub struct Looked {
    /// The builds of which something was told, with the event up to which they were moved on.
    builds: BTreeMap<BuildId, EventId>,
    /// The newest event, once it was looked for.
    newest: Option<EventId>,
}

/// Looks for what is due and what nobody knows it of any more: of what happened, whoever made it so is to see what follows; a
/// build that stands as it did at the last look though something was told of it is nobody's. Of builds and releases at rest
/// nothing is read.
pub async fn look_once(app: &App, looked: &mut Looked) -> ApiResult<()> {
    let mut read = app.db.read().await?;
    let builds = anima_db::build::list_with_news(&mut read).await?;
    let news = match looked.newest {
        Some(after) => anima_db::event::news(&mut read, after).await?,
        None => News { newest: anima_db::event::newest(&mut read).await?, is_of_release: true, is_of_key: false },
    };
    let releases = match news.is_of_release {
        true => anima_db::release::list_open_ids(&mut read).await?,
        false => Vec::new(),
    };
    drop(read);
    let is_nobodys = |(id, advanced): &(&BuildId, &EventId)| looked.builds.get(id) == Some(advanced);
    builds.iter().filter(is_nobodys).for_each(|(id, _)| app.build_is_due(*id));
    releases.into_iter().for_each(|id| app.release_is_due(id));
    if news.is_of_key {
        app.everything_is_due();
    }
    *looked = Looked { builds, newest: Some(news.newest) };
    Ok(())
}

/// Gives to users what was decided for now; returns how many.
pub async fn give_scheduled_once(app: &App, now: Timestamp) -> ApiResult<usize> {
    let mut read = app.db.read().await?;
    let due = anima_db::release::list_due(&mut read, now).await?;
    drop(read);
    let mut given_count = 0;
    for row in &due {
        match give_if_due(app, row.id, now).await {
            Ok(is_given) => given_count += usize::from(is_given),
            Err(error) => {
                let why = &error.body.message;
                tracing::error!(release = row.id.0, "release {} could not go at its time: {why}", row.id);
            }
        }
    }
    Ok(given_count)
}

/// Gives a release to users if it is still to go by now; returns whether. While the writer was waited for, somebody may have
/// taken the time back, or another master may have been first.
pub async fn give_if_due(app: &App, id: ReleaseId, now: Timestamp) -> ApiResult<bool> {
    let mut write = app.db.write(now, "anima").await?;
    let row = anima_db::release::get(&mut write, id).await?;
    if row.status != Status::Scheduled || row.scheduled_at.is_none_or(|at| at > now) {
        return Ok(false);
    }
    let name = row.committed_by.clone().unwrap_or_else(|| "anima".to_string());
    let decider = release::decide::Decider { name, reason: row.reason.clone(), forces: false };
    // What was well when it was decided may not be by now: a person has to look again.
    if let Err(error) = release::decide::commit(&mut write, &row, &decider).await {
        let why = format!("It could not go at its time: {}.", error.body.message);
        anima_db::release::apply(&mut write, &row, Event::Unscheduled, &why).await?;
        anima_db::release::set_scheduled_at(&mut write, id, None).await?;
    }
    write.commit().await?;
    app.release_is_due(id);
    Ok(true)
}

/// Closes builds that pushes may no longer join; returns when the next one is due.
pub async fn close_gathered_once(app: &App, now: Timestamp) -> ApiResult<Option<Timestamp>> {
    let mut read = app.db.read().await?;
    let (due, next) = anima_db::build::list_gathered(&mut read, now).await?;
    drop(read);
    for id in due {
        let mut write = app.db.write(now, "anima").await?;
        anima_db::build::close_gathering(&mut write, id).await?;
        write.commit().await?;
        app.build_is_due(id);
    }
    Ok(next)
}

/// Runs all chores until `shutdown`.
pub async fn run(app: App, shutdown: CancellationToken) {
    let all = async {
        tokio::join!(
            advance(&app),
            gather(&app),
            expire(&app),
            expire_keys(&app),
            give(&app),
            retry(&app),
            look(&app),
            collect(&app),
            end_sessions(&app),
            seal(&app),
            webhook::run(&app),
            waiting::run(&app),
            take_turns(&app),
            fill_index(&app)
        )
    };
    tokio::select! {
        _ = all => {}
        () = shutdown.cancelled() => {}
    }
}

async fn advance(app: &App) {
    loop {
        if let Err(error) = advance_once(app).await {
            tracing::error!("nothing could be moved on: {}", error.body.message);
            app.everything_failed_to_move();
        }
        app.something_is_due().await;
    }
}

/// Ends when all is there: what comes from then on is computed as it comes.
async fn fill_index(app: &App) {
    loop {
        match search::index::fill_once(app).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                tracing::error!("what packages are searched by could not be computed: {}", error.body.message);
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
}

async fn gather(app: &App) {
    loop {
        let next = close_gathered_once(app, app.now()).await.unwrap_or(Some(app.now().plus_secs(1)));
        match next {
            Some(at) => {
                let mut wait = Duration::from_secs_f64(at.secs_since(app.now()).max(0.001));
                if app.db.is_shared() {
                    wait = wait.min(SHARED_GATHER_INTERVAL);
                }
                let _ = tokio::time::timeout(wait, app.gathering_changes()).await;
            }
            None if app.db.is_shared() => {
                let _ = tokio::time::timeout(SHARED_GATHER_INTERVAL, app.gathering_changes()).await;
            }
            None => app.gathering_changes().await,
        }
    }
}

async fn give(app: &App) {
    loop {
        tokio::time::sleep(SCHEDULE_INTERVAL).await;
        if let Err(error) = by_the_clock(app, give_scheduled_once(app, app.now())).await {
            tracing::error!("scheduled releases could not be looked at: {}", error.body.message);
        }
    }
}

async fn expire(app: &App) {
    let mut looked_at = app.now();
    loop {
        tokio::time::sleep(EXPIRY_INTERVAL).await;
        let now = app.now();
        match by_the_clock(app, lease::expire_after(app, now, looked_at)).await {
            Ok(Some(_)) => looked_at = now,
            // When the clock is right again, this was long ago: every lease begins anew.
            Ok(None) => {}
            Err(error) => tracing::error!("leases could not be looked at: {}", error.body.message),
        }
    }
}

/// What waits for its team's turn begins when a task left the queue, which every master hears.
async fn take_turns(app: &App) {
    if app.config.quota.is_empty() {
        return;
    }
    let mut events = app.db.subscribe();
    loop {
        let looked = quota::wake_once(app).await;
        if let Err(error) = &looked {
            tracing::error!("whose turn it is could not be looked at: {}", error.body.message);
        }
        let freed = quota::until_freed(&mut events);
        match looked {
            Ok(_) => freed.await,
            Err(_) => drop(tokio::time::timeout(RETRY_AFTER, freed).await),
        }
    }
}

async fn expire_keys(app: &App) {
    loop {
        if let Err(error) = by_the_clock(app, key::expire_once(app, app.now())).await {
            tracing::error!("keys could not be looked at: {}", error.body.message);
        }
        tokio::time::sleep(KEY_INTERVAL).await;
    }
}

/// What is due is known to the master that made it so, and lost with it.
async fn look(app: &App) {
    let interval = if app.db.is_shared() { SHARED_LOOK_INTERVAL } else { LOOK_INTERVAL };
    let mut looked = Looked::default();
    for count in 1_u64.. {
        tokio::time::sleep(interval).await;
        app.plan.forget_old(app.now());
        if count.is_multiple_of(LOOKS_TO_EVERYTHING) {
            app.everything_is_due();
        } else if let Err(error) = look_once(app, &mut looked).await {
            tracing::error!("what is due could not be looked for: {}", error.body.message);
        }
    }
}

async fn collect(app: &App) {
    loop {
        tokio::time::sleep(COLLECT_INTERVAL).await;
        if let Err(error) = by_the_clock(app, garbage::collect_once(app, app.now(), "anima", false)).await {
            tracing::error!("garbage could not be collected: {}", error.body.message);
        }
        if let Err(error) = by_the_clock(app, webhook::forget_once(app, app.now())).await {
            tracing::error!("old messages to webhooks could not be forgotten: {}", error.body.message);
        }
    }
}

async fn end_sessions(app: &App) {
    loop {
        if let Err(error) = by_the_clock(app, session::drop_once(app, app.now())).await {
            tracing::error!("old sessions could not be dropped: {}", error.body.message);
        }
        if let Err(error) = by_the_clock(app, node::forget_once(app, app.now())).await {
            tracing::error!("nodes that are gone could not be forgotten: {}", error.body.message);
        }
        if let Err(error) = by_the_clock(app, node_load::forget_once(app, app.now())).await {
            tracing::error!("old loads of nodes could not be forgotten: {}", error.body.message);
        }
        if let Err(error) = by_the_clock(app, idempotency::drop_once(app, app.now())).await {
            tracing::error!("old keys of requests could not be dropped: {}", error.body.message);
        }
        tokio::time::sleep(SESSION_INTERVAL).await;
    }
}

/// Most logs are compressed as their task ends; this is for those of tasks that were cancelled, and of a master that was killed.
async fn seal(app: &App) {
    loop {
        if let Err(error) = log::seal_once(app).await {
            tracing::error!("logs could not be compressed: {}", error.body.message);
        }
        tokio::time::sleep(SEAL_INTERVAL).await;
    }
}

async fn retry(app: &App) {
    loop {
        tokio::time::sleep(RETRY_AFTER).await;
        app.retry_what_failed();
    }
}
