//! Which database: SQLite in a file, for one machine; PostgreSQL, for several masters. The statements are the same; what
//! differs is here.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Once,
    time::Duration,
};

use sqlx::{
    AnyPool, Connection as _, Executor as _, SqlSafeStr as _,
    any::AnyPoolOptions,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use crate::{Error, Result};

/// Readers at once: more than there are cores only wait for the disk together.
const READERS: u32 = 8;
/// How long a statement waits for another process that holds the file (a backup, an operator's shell).
const BUSY_TIMEOUT_MS: u32 = 10_000;
/// Pages of SQLite's file that a connection keeps in memory at most: those above the leaves of a hundred thousand packages.
const CACHE_KIB: u32 = 8_192;
/// How long a caller waits for its turn to write: a queue that is longer is an overload, better told than hidden.
const TURN_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a master that starts waits for another one that brings the database up to date: an index over all events of a
/// large distribution takes minutes.
const MIGRATION_PATIENCE: Duration = Duration::from_secs(3_600);
/// PostgreSQL's word for a lock that was not there in the time that it was waited for.
const LOCK_NOT_AVAILABLE: &str = "55P03";
/// A writer that says nothing to PostgreSQL for so long in its turn loses it, as its machine is frozen or gone, and nobody else
/// writes meanwhile. What a master does between two statements is at most a request to the object store with its retries: two
/// minutes.
const IDLE_WRITER_SECS: u32 = 180;
/// A connection to PostgreSQL of which nothing is heard is asked for a sign of life after this, ...
const ALIVE_AFTER_SECS: u32 = 30;
/// ... so often and so many times, and is closed then: after a minute in all, as where what was sent is not taken.
const ALIVE_EVERY_SECS: u32 = 10;
const ALIVE_TRIES: u32 = 3;
const ALIVE_WITHIN_SECS: u32 = 60;
/// The name under which writers of all masters wait for their turn: "anima" in ASCII.
const WRITER_LOCK: i64 = 0x61_6e69_6d61;

/// Where a database is.
#[derive(Clone, Eq, PartialEq)]
pub enum Address {
    /// A file of SQLite.
    File(PathBuf),
    /// A database of PostgreSQL, by its address (`postgres://user@host/name`).
    Postgres(String),
}

/// What connections are for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Pool {
    /// Whoever reads.
    Readers,
    /// The one that writes.
    Writer,
    /// All that one command does, beside masters or without them.
    Single,
}

impl Address {
    /// Reads an address: one of PostgreSQL if it begins as such, a path otherwise.
    pub fn new(text: &str) -> Address {
        match text.starts_with("postgres://") || text.starts_with("postgresql://") {
            true => Address::Postgres(text.to_string()),
            false => Address::File(PathBuf::from(text)),
        }
    }

    fn url(&self) -> String {
        match self {
            Address::File(path) => file_url(path),
            Address::Postgres(url) => url.clone(),
        }
    }

    /// What every connection begins with.
    ///
    /// SQLite: WAL, so that readers and the writer do not wait for each other. FULL, so that a commit is on the disk
    /// before it is answered, because an answer is a promise to another machine (a push was taken, a report arrived, a
    /// release is out) which forgets its own copy then; a power cut must not undo it. That costs one fsync for each
    /// transaction. PostgreSQL does both by default. The cache of pages is larger than SQLite's own 2 MiB, which a
    /// repository of some thousand packages goes through with each question.
    ///
    /// PostgreSQL itself lets a session that holds the turn and does nothing hold it for ever, and hears of a machine that is
    /// gone after two hours. What its operator says of that, in the address, for the role or for the server, holds; where
    /// nobody said anything, our bounds do.
    fn settings(&self, pool: Pool) -> String {
        match self {
            Address::File(_) => format!(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}; \
                 PRAGMA foreign_keys = ON; PRAGMA cache_size = -{CACHE_KIB};"
            ),
            Address::Postgres(_) => {
                let mut bounds = vec![
                    ("tcp_keepalives_idle", format!("{ALIVE_AFTER_SECS}s")),
                    ("tcp_keepalives_interval", format!("{ALIVE_EVERY_SECS}s")),
                    ("tcp_keepalives_count", ALIVE_TRIES.to_string()),
                    ("tcp_user_timeout", format!("{ALIVE_WITHIN_SECS}s")),
                ];
                if pool == Pool::Writer {
                    bounds.push(("idle_in_transaction_session_timeout", format!("{IDLE_WRITER_SECS}s")));
                    bounds.push(("lock_timeout", format!("{}s", TURN_TIMEOUT.as_secs())));
                }
                let bounds: Vec<String> =
                    bounds.into_iter().map(|(name, value)| format!("('{name}', '{value}')")).collect();
                format!(
                    "SET client_min_messages = warning; SET application_name = 'anima';
                     SELECT set_config(bound.name, bound.value, false) FROM pg_settings
                     JOIN (VALUES {}) AS bound (name, value) ON bound.name = pg_settings.name
                     WHERE pg_settings.source = 'default'",
                    bounds.join(", ")
                )
            }
        }
    }

    /// How a transaction begins that sees one moment and changes nothing.
    pub(crate) const fn begin_read(&self) -> &'static str {
        match self {
            Address::File(_) => "BEGIN",
            Address::Postgres(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }

    /// How a transaction begins that writes.
    pub(crate) const fn begin_write(&self) -> &'static str {
        match self {
            Address::File(_) => "BEGIN IMMEDIATE",
            Address::Postgres(_) => "BEGIN ISOLATION LEVEL READ COMMITTED",
        }
    }

    /// What a writer does first so that it is the only one, where beginning does not do that.
    ///
    /// With one writer at a time over all masters, the rows that a pass read are still so when it writes, and the ids
    /// of events are in the order of their commits: who has read up to one never misses an earlier one.
    pub(crate) fn take_turn(&self) -> Option<String> {
        match self {
            Address::File(_) => None,
            Address::Postgres(_) => Some(format!("SELECT pg_advisory_xact_lock({WRITER_LOCK})")),
        }
    }

    /// Opens the connections: of readers, and the one of the writer. SQLite has one writer, and on both a queue in front
    /// of it is fair where a lock is not.
    pub(crate) async fn connect(&self) -> Result<(AnyPool, AnyPool)> {
        install_drivers();
        let url = self.url();
        let failed = |source| Error::Open { path: self.to_string(), source };
        let writer = self.pool(Pool::Writer).connect(&url).await.map_err(failed)?;
        self.migrate(&writer).await?;
        let readers = self.pool(Pool::Readers).connect(&url).await.map_err(failed)?;
        Ok((readers, writer))
    }

    /// Brings the database up to date, or waits for another master that does so: that takes minutes where tables are large, and
    /// who starts meanwhile is to serve after it, and not to fail. On PostgreSQL a lock is waited for as long as for a turn; then
    /// it is said, and waited for again.
    async fn migrate(&self, writer: &AnyPool) -> Result<()> {
        let migrations = self.migrations();
        let tries = MIGRATION_PATIENCE.as_secs() / TURN_TIMEOUT.as_secs();
        for _ in 0..tries {
            match migrations.run(writer).await {
                Err(error) if is_lock_timeout(&error) => {
                    tracing::warn!("database {self} is locked: another master brings it up to date, and is waited for");
                    // Where the lock among masters was had and one of a table was not: the next try takes it anew.
                    writer.execute("SELECT pg_advisory_unlock_all()").await?;
                }
                other => return Ok(other?),
            }
        }
        Ok(migrations.run(writer).await?)
    }

    /// Opens the connections to a database that is there and as this program has it.
    pub(crate) async fn connect_as_is(&self) -> Result<(AnyPool, AnyPool)> {
        if let Address::File(path) = self
            && !path.exists()
        {
            let source = sqlx::Error::Io(std::io::ErrorKind::NotFound.into());
            return Err(Error::Open { path: self.to_string(), source });
        }
        let (readers, writer) = (self.lazy(), self.lazy_of(Pool::Writer));
        let failed = |source| Error::Open { path: self.to_string(), source };
        let mut connection = readers.acquire().await.map_err(failed)?;
        let found = crate::archive::migrations(&mut connection).await?;
        let known: Vec<i64> = self.migrations().iter().map(|migration| migration.version).collect();
        let odd = |one: &[i64], other: &[i64]| one.iter().copied().find(|version| !other.contains(version));
        match odd(&found, &known).or_else(|| odd(&known, &found)) {
            None => Ok((readers, writer)),
            Some(migration) => Err(Error::Version { path: self.to_string(), migration }),
        }
    }

    /// Returns a connection that is opened when it is first used.
    pub(crate) fn lazy(&self) -> AnyPool {
        self.lazy_of(Pool::Single)
    }

    fn lazy_of(&self, pool: Pool) -> AnyPool {
        install_drivers();
        self.pool(pool).connect_lazy(&self.url()).expect("an address of ours can be read")
    }

    /// Makes the tables as they are with these migrations and no others.
    pub(crate) async fn make(&self, wanted: &[i64]) -> Result<AnyPool> {
        let mut known: Vec<Migration> = self.migrations().iter().cloned().collect();
        let is_known = |version: &i64| known.iter().any(|migration| migration.version == *version);
        if let Some(migration) = wanted.iter().copied().find(|version| !is_known(version)) {
            return Err(Error::Version { path: self.to_string(), migration });
        }
        known.retain(|migration| wanted.contains(&migration.version));
        let pool = self.lazy();
        Migrator::with_migrations(known).run(&pool).await?;
        Ok(pool)
    }

    fn pool(&self, pool: Pool) -> AnyPoolOptions {
        let settings = self.settings(pool);
        AnyPoolOptions::new()
            .max_connections(if pool == Pool::Readers { READERS } else { 1 })
            .acquire_timeout(TURN_TIMEOUT)
            // A file does not go away as a server's connection does: it need not be asked each time.
            .test_before_acquire(matches!(self, Address::Postgres(_)))
            // SQLite ends a transaction by itself where the disk takes no more of it; the driver then cannot, and believes for ever
            // that it is in one. Of one writer that would be the end of all writing.
            .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
            // A connection that lives on keeps its prepared statements.
            .idle_timeout(None)
            .max_lifetime(None)
            .after_connect(move |connection, _| {
                let settings = settings.clone();
                Box::pin(async move { connection.execute(sqlx::AssertSqlSafe(settings)).await.map(drop) })
            })
    }

    fn migrations(&self) -> Migrator {
        let one = |version, description: &'static str, sql: &'static str| {
            let sql = self.dialect(sql);
            Migration::new(version, description.into(), MigrationType::Simple, sql, false)
        };
        Migrator::with_migrations(vec![
            one(1, "main line", include_str!("../migrations/0001_main_line.sql")),
            one(2, "node instance", include_str!("../migrations/0002_node_instance.sql")),
            one(3, "task queue", include_str!("../migrations/0003_task_queue.sql")),
            one(4, "gates", include_str!("../migrations/0004_gates.sql")),
            one(5, "node life", include_str!("../migrations/0005_node_life.sql")),
            one(6, "publishing", include_str!("../migrations/0006_publishing.sql")),
            one(7, "retention", include_str!("../migrations/0007_retention.sql")),
            one(8, "emulated", include_str!("../migrations/0008_emulated.sql")),
            one(9, "keys", include_str!("../migrations/0009_keys.sql")),
            one(10, "release plans", include_str!("../migrations/0010_release_plans.sql")),
            one(11, "accounts", include_str!("../migrations/0011_accounts.sql")),
            one(12, "rights", include_str!("../migrations/0012_rights.sql")),
            one(13, "audit", include_str!("../migrations/0013_audit.sql")),
            one(14, "enrolment", include_str!("../migrations/0014_enrolment.sql")),
            one(25, "node started at", include_str!("../migrations/0025_node_started_at.sql")),
            one(26, "task node", include_str!("../migrations/0026_task_node.sql")),
            one(28, "plan attachments", include_str!("../migrations/0028_plan_attachments.sql")),
            one(29, "package search", include_str!("../migrations/0029_package_search.sql")),
            one(35, "task standing", include_str!("../migrations/0035_task_standing.sql")),
            one(36, "webhooks", include_str!("../migrations/0036_webhooks.sql")),
            one(37, "maintenance", include_str!("../migrations/0037_maintenance.sql")),
            one(40, "identity", include_str!("../migrations/0040_identity.sql")),
            one(41, "idempotency", include_str!("../migrations/0041_idempotency.sql")),
            one(47, "task lease", include_str!("../migrations/0047_task_lease.sql")),
            one(48, "rebuild", include_str!("../migrations/0048_rebuild.sql")),
            one(49, "build options", include_str!("../migrations/0049_build_options.sql")),
            one(50, "snapshot layout", include_str!("../migrations/0050_snapshot_layout.sql")),
            one(53, "webhook turns", include_str!("../migrations/0053_webhook_turns.sql")),
            one(60, "task home", include_str!("../migrations/0060_task_home.sql")),
            one(61, "lease end", include_str!("../migrations/0061_lease_end.sql")),
            one(62, "build team", include_str!("../migrations/0062_build_team.sql")),
            one(65, "build circles", include_str!("../migrations/0065_build_circles.sql")),
            one(70, "build news", include_str!("../migrations/0070_build_news.sql")),
            one(71, "task build status", include_str!("../migrations/0071_task_build_status.sql")),
            one(72, "retention by age", include_str!("../migrations/0072_retention_by_age.sql")),
            one(80, "search", include_str!("../migrations/0080_search.sql")),
            one(81, "task order", include_str!("../migrations/0081_task_order.sql")),
            one(82, "node load", include_str!("../migrations/0082_node_load.sql")),
            one(90, "task held", include_str!("../migrations/0090_task_held.sql")),
            one(91, "build team index", include_str!("../migrations/0091_build_team_index.sql")),
            one(93, "probe", include_str!("../migrations/0093_probe.sql")),
            one(94, "uncounted lease", include_str!("../migrations/0094_uncounted_lease.sql")),
            one(95, "task log size", include_str!("../migrations/0095_task_log_size.sql")),
        ])
    }

    /// Migrations are written for SQLite, in a form of which only the counted ids are written otherwise elsewhere.
    fn dialect(&self, sql: &'static str) -> sqlx::SqlStr {
        const COUNTED: &str = "INTEGER PRIMARY KEY AUTOINCREMENT";
        match self {
            Address::File(_) => sql.into_sql_str(),
            Address::Postgres(_) => {
                let sql = sql.replace(COUNTED, "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY");
                sqlx::AssertSqlSafe(sql).into_sql_str()
            }
        }
    }
}

impl fmt::Display for Address {
    /// Writes the address without the password that may be in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::File(path) => write!(f, "{}", path.display()),
            Address::Postgres(url) => match (url.find("://"), url.rfind('@')) {
                (Some(scheme), Some(at)) if at > scheme => {
                    let user = &url[scheme + 3..at];
                    let user = user.split(':').next().unwrap_or_default();
                    // A query may have one, too.
                    let rest = url[at..].split('?').next().unwrap_or_default();
                    write!(f, "{}{user}{rest}", &url[..scheme + 3])
                }
                _ => f.write_str(url.split('?').next().unwrap_or_default()),
            },
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn is_lock_timeout(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else { return false };
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == LOCK_NOT_AVAILABLE)
}

fn install_drivers() {
    static DRIVERS: Once = Once::new();
    DRIVERS.call_once(sqlx::any::install_default_drivers);
}

fn file_url(path: &Path) -> String {
    let mut url = String::from("sqlite://");
    for byte in path.to_string_lossy().bytes() {
        match byte {
            b'%' | b'?' | b'#' | b' ' | 0x80.. => url += &format!("%{byte:02X}"),
            _ => url.push(byte.into()),
        }
    }
    url + "?mode=rwc"
}

#[cfg(test)]
#[path = "migration_tests.rs"]
mod migration_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_path_unless_it_says_what_it_is() {
        assert_eq!(Address::new("/data/anima.db"), Address::File("/data/anima.db".into()));
        assert!(matches!(Address::new("postgresql://host/anima"), Address::Postgres(_)));
    }

    #[test]
    fn no_password_is_shown() {
        let shown = |url: &str| Address::new(url).to_string();
        assert_eq!(shown("postgres://anima:se@cret@db.example/anima"), "postgres://anima@db.example/anima");
        assert_eq!(shown("postgres://db.example/anima?password=secret"), "postgres://db.example/anima");
        assert_eq!(format!("{:?}", Address::new("postgres://a:secret@h/d")), "postgres://a@h/d");
    }
}
