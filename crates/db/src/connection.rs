//! Opening, reading, writing, and telling of what was written.

use std::{
    ops::{Deref, DerefMut},
    path::Path,
    sync::Once,
    time::Duration,
};

use anima_types::{Timestamp, event::Event};
use sqlx::{
    Any, AnyPool, Executor as _, Transaction,
    any::AnyPoolOptions,
    migrate::{Migration, MigrationType, Migrator},
};
use sqlx::SqlSafeStr as _;
use tokio::sync::broadcast;

use crate::{Error, Result};

/// What SQL is sent to, within a transaction or not.
pub type Connection = sqlx::AnyConnection;

/// Readers at once: more than there are cores only wait for the disk together.
const READERS: u32 = 8;
/// How long a statement waits for another process that holds the file (a backup, an operator's shell).
const BUSY_TIMEOUT_MS: u32 = 10_000;
/// How long a caller waits for its turn to write: a queue that is longer is an overload, better told than hidden.
const TURN_TIMEOUT: Duration = Duration::from_secs(60);
/// Events kept for a listener that is slow; one that is slower reads them from the table.
const EVENTS_KEPT: usize = 4_096;

/// What every connection begins with.
///
/// WAL: readers and the writer do not wait for each other. FULL: a commit is on the disk before it is answered,
/// because an answer is a promise to another machine (a push was taken, a report arrived, a release is out) which
/// forgets its own copy then; a power cut must not undo it. That costs one fsync for each transaction.
fn settings() -> String {
    format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}; \
         PRAGMA foreign_keys = ON;"
    )
}

/// The database.
#[derive(Clone)]
pub struct Db {
    readers: AnyPool,
    /// One connection: SQLite has one writer, and a queue in front of it is fair where its lock is not.
    writer: AnyPool,
    events: broadcast::Sender<Event>,
}

/// A consistent view for reading.
pub struct Read(Transaction<'static, Any>);

/// A transaction that changes rows; nothing holds until [`Write::commit`].
pub struct Write {
    tx: Transaction<'static, Any>,
    sender: broadcast::Sender<Event>,
    /// When the changes happen.
    pub now: Timestamp,
    /// Who makes them.
    pub actor: String,
    pub(crate) events: Vec<Event>,
}

impl Db {
    /// Opens the database file, makes it where there is none, and brings it up to date.
    pub async fn open(path: &Path) -> Result<Db> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let url = url(path);
        let failed = |source| Error::Open { path: path.display().to_string(), source };
        let writer = pool(1).connect(&url).await.map_err(failed)?;
        migrations().run(&writer).await?;
        let readers = pool(READERS).connect(&url).await.map_err(failed)?;
        Ok(Db { readers, writer, events: broadcast::Sender::new(EVENTS_KEPT) })
    }

    /// Begins to read: everything that is read is of one moment.
    pub async fn read(&self) -> Result<Read> {
        Ok(Read(self.readers.begin().await?))
    }

    /// Begins to write, after those who came before.
    pub async fn write(&self, now: Timestamp, actor: &str) -> Result<Write> {
        let tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Write { tx, sender: self.events.clone(), now, actor: actor.to_string(), events: Vec::new() })
    }

    /// Returns a receiver of every event that is committed from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Closes all connections after their statements ended.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

impl Write {
    /// Makes the changes hold, and tells the listeners of the events.
    pub async fn commit(self) -> Result<()> {
        self.tx.commit().await?;
        for event in self.events {
            // Nobody listens: that is no failure.
            let _ = self.sender.send(event);
        }
        Ok(())
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

fn pool(connections: u32) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(TURN_TIMEOUT)
        // A connection that lives on keeps its prepared statements.
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute(sqlx::AssertSqlSafe(settings())).await.map(drop) })
        })
}

fn url(path: &Path) -> String {
    let mut url = String::from("sqlite://");
    for byte in path.to_string_lossy().bytes() {
        match byte {
            b'%' | b'?' | b'#' | b' ' | 0x80.. => url += &format!("%{byte:02X}"),
            _ => url.push(byte.into()),
        }
    }
    url + "?mode=rwc"
}

fn migrations() -> Migrator {
    let one = |version, description: &'static str, sql: &'static str| {
        Migration::new(version, description.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![one(1, "main line", include_str!("../migrations/sqlite/0001_main_line.sql"))])
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
