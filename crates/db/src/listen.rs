//! Events of other masters on the same PostgreSQL: whoever commits some says so by NOTIFY, and every master, the one that
//! committed too, reads what is new from the table and tells its listeners, in the order of the ids.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use anima_types::{
    event::{Event, PRIVATE},
    id::EventId,
};
use sqlx::{AnyPool, postgres::PgListener};
use tokio::sync::broadcast;

use crate::{Result, connection::note_tokens, event};

/// The channel of NOTIFY.
const CHANNEL: &str = "anima_event";
/// What a writer says before it commits.
pub(crate) const NOTIFY: &str = "SELECT pg_notify('anima_event', '')";
/// How many events are read at once.
const BATCH: u32 = 1_000;
/// How long it waits after the database could not be reached.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// It looks that often without being told, so that a word that was lost costs a while and nothing else.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The task that listens; it ends when this is dropped.
pub(crate) struct Listener(tokio::task::JoinHandle<()>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Listener {
    /// Listens from now on.
    pub async fn start(
        url: &str,
        readers: AnyPool,
        sender: broadcast::Sender<Event>,
        token_changes: Arc<AtomicU64>,
    ) -> Result<Listener> {
        let mut listener = PgListener::connect(url).await?;
        listener.listen(CHANNEL).await?;
        let mut newest = event::newest(&mut *readers.acquire().await?).await?;
        Ok(Listener(tokio::spawn(async move {
            loop {
                // It connects anew by itself; then nobody knows what was said meanwhile, and the table is read.
                let heard = tokio::time::timeout(LOOK_EVERY, listener.try_recv()).await;
                let told = tell(&readers, &sender, &token_changes, &mut newest).await;
                if told.is_err() || matches!(heard, Ok(Err(_))) {
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        })))
    }
}

async fn tell(
    readers: &AnyPool,
    sender: &broadcast::Sender<Event>,
    token_changes: &AtomicU64,
    newest: &mut EventId,
) -> Result<()> {
    loop {
        // Those that are for the audit only are of interest here, and are told to nobody.
        let events = event::list_all(&mut *readers.acquire().await?, *newest, BATCH).await?;
        let is_all = events.len() < BATCH as usize;
        note_tokens(token_changes, &events);
        for event in events {
            *newest = event.id;
            if !PRIVATE.contains(&event.noun.as_str()) {
                // Nobody listens: that is no failure.
                let _ = sender.send(event);
            }
        }
        if is_all {
            return Ok(());
        }
    }
}
