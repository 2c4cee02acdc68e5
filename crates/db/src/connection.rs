//! Opening, reading, writing, and telling of what was written.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anima_types::{Timestamp, event::Event};
use sqlx::{Any, AnyPool, Executor as _, Transaction};
use tokio::sync::broadcast;

use crate::{
    Result, audit,
    engine::Address,
    listen::{Listener, NOTIFY},
};

/// What SQL is sent to, within a transaction or not.
pub type Connection = sqlx::AnyConnection;

/// Events kept for a listener that is slow; one that is slower reads them from the table.
const EVENTS_KEPT: usize = 4_096;

/// The database.
#[derive(Clone)]
pub struct Db {
    address: Address,
    readers: AnyPool,
    /// One connection.
    writer: AnyPool,
    events: broadcast::Sender<Event>,
    /// Tells of events where masters share the database; elsewhere the writer does it.
    listener: Option<Arc<Listener>>,
    counts: Arc<Mutex<Counts>>,
    token_changes: Arc<AtomicU64>,
}

/// How many events were committed, by noun and verb.
pub type Counts = BTreeMap<(String, String), u64>;

/// A consistent view for reading.
pub struct Read(Transaction<'static, Any>);

/// Who changes something, through what and from where.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Origin {
    /// Who: an account's, a token's or a node's name, or `anima`.
    pub actor: String,
    /// Through what, where it is a person or an operator: `token:7`, `session:3`. Such a change always leaves an event.
    pub via: Option<String>,
    /// From which address.
    pub address: Option<String>,
    /// By which request: its method and path.
    pub request: Option<String>,
}

impl From<&str> for Origin {
    fn from(actor: &str) -> Origin {
        Origin { actor: actor.to_string(), ..Origin::default() }
    }
}

impl From<&String> for Origin {
    fn from(actor: &String) -> Origin {
        Origin::from(actor.as_str())
    }
}

/// A transaction that changes rows; nothing holds until [`Write::commit`].
pub struct Write {
    tx: Transaction<'static, Any>,
    /// None where the database itself tells of the events.
    sender: Option<broadcast::Sender<Event>>,
    /// When the changes happen.
    pub now: Timestamp,
    /// Who makes them.
    pub origin: Origin,
    pub(crate) events: Vec<Event>,
    counts: Arc<Mutex<Counts>>,
    token_changes: Arc<AtomicU64>,
}

impl Db {
    /// Opens the database file, makes it where there is none, and brings it up to date.
    pub async fn open(path: &Path) -> Result<Db> {
        Db::connect(Address::File(path.to_path_buf())).await
    }

    /// Opens a database and brings it up to date.
    pub async fn connect(address: Address) -> Result<Db> {
        let (readers, writer) = address.connect().await?;
        let events = broadcast::Sender::new(EVENTS_KEPT);
        let token_changes = Arc::<AtomicU64>::default();
        let listener = match &address {
            Address::File(_) => None,
            Address::Postgres(url) => {
                let listener = Listener::start(url, readers.clone(), events.clone(), token_changes.clone());
                Some(Arc::new(listener.await?))
            }
        };
        Ok(Db { address, readers, writer, events, listener, counts: Arc::default(), token_changes })
    }

    /// Opens a database as it is, beside those who work with it: nothing is made, nothing brought up to date. Its events are
    /// not told.
    pub async fn connect_as_is(address: Address) -> Result<Db> {
        let (readers, writer) = address.connect_as_is().await?;
        Ok(Db {
            address,
            readers,
            writer,
            events: broadcast::Sender::new(1),
            listener: None,
            counts: Default::default(),
            token_changes: Default::default(),
        })
    }

    /// Returns where it is.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Returns whether other masters may use the same database.
    pub const fn is_shared(&self) -> bool {
        self.listener.is_some()
    }

    /// Begins to read: everything that is read is of one moment.
    pub async fn read(&self) -> Result<Read> {
        Ok(Read(self.readers.begin_with(self.address.begin_read()).await?))
    }

    /// Begins to write, after those who came before.
    pub async fn write(&self, now: Timestamp, origin: impl Into<Origin>) -> Result<Write> {
        let origin = origin.into();
        let mut tx = self.writer.begin_with(self.address.begin_write()).await?;
        if let Some(sql) = self.address.take_turn() {
            tx.execute(sqlx::AssertSqlSafe(sql)).await?;
        }
        let sender = match self.listener {
            None => Some(self.events.clone()),
            Some(_) => None,
        };
        Ok(Write {
            tx,
            sender,
            now,
            origin,
            events: Vec::new(),
            counts: self.counts.clone(),
            token_changes: self.token_changes.clone(),
        })
    }

    /// Returns a receiver of every event that is committed from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Returns a number that is another one after tokens were made or revoked: at once where this master did it, and where another
    /// did it as soon as its events are heard of.
    pub fn token_changes(&self) -> u64 {
        self.token_changes.load(Ordering::Acquire)
    }

    /// Counts the events that were committed here since it was opened, not those of other masters.
    pub fn events_committed(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes all connections after their statements ended.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

impl Write {
    /// Returns who makes the changes.
    pub fn actor(&self) -> &str {
        &self.origin.actor
    }

    /// Makes the changes hold, and tells the listeners of the events.
    pub async fn commit(mut self) -> Result<()> {
        if self.events.is_empty() && self.origin.via.is_some() {
            audit::note(&mut self).await?;
        }
        if self.sender.is_none() && !self.events.is_empty() {
            self.tx.execute(NOTIFY).await?;
        }
        self.tx.commit().await?;
        count(&self.counts, &self.events);
        note_tokens(&self.token_changes, &self.events);
        if let Some(sender) = self.sender {
            for event in self.events {
                // Nobody listens: that is no failure.
                let _ = sender.send(event);
            }
        }
        Ok(())
    }
}

/// Counts one where events tell of tokens.
pub(crate) fn note_tokens(changes: &AtomicU64, events: &[Event]) {
    if events.iter().any(|event| event.noun == "token") {
        changes.fetch_add(1, Ordering::AcqRel);
    }
}

fn count(counts: &Mutex<Counts>, events: &[Event]) {
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    for event in events {
        *counts.entry((event.noun.clone(), event.verb.clone())).or_default() += 1;
    }
}

impl Deref for Read {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Read {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}

impl Deref for Write {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.tx
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.tx
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
