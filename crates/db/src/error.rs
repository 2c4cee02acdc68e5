//! Why the database did not do something.

/// SQLite's codes.
const SQLITE_READONLY: u32 = 8;
const SQLITE_FULL: u32 = 13;

/// Why the database did not do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be opened or brought up to date.
    #[error("could not open database {path}: {source}")]
    Open {
        /// The file.
        path: String,
        /// What the database says.
        source: sqlx::Error,
    },
    /// A migration could not be applied.
    #[error("could not bring the database up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The tables are of another version of this program.
    #[error("could not use database {path}: only one of it and this program has migration {migration}")]
    Version {
        /// The database.
        path: String,
        /// A migration that only the tables have, or only this program.
        migration: i64,
    },
    /// Rows could not be archived, or an archive not be read.
    #[error("could not use the archive of rows: {reason}")]
    Archive {
        /// What is wrong.
        reason: String,
    },
    /// A statement failed.
    #[error("could not use the database: {0}")]
    Query(#[from] sqlx::Error),
    /// A column holds what this program does not understand.
    #[error("could not read column {column} of the database: {reason}")]
    Column {
        /// The column.
        column: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Nothing has this id.
    #[error("could not find {noun} {id}")]
    Missing {
        /// What kind of thing.
        noun: &'static str,
        /// Its id or name.
        id: String,
    },
    /// Something has this name already.
    #[error("could not make {noun} {id}: it is there already")]
    Taken {
        /// What kind of thing.
        noun: &'static str,
        /// Its name.
        id: String,
    },
    /// The transition table has no such step.
    #[error("could not apply \"{event}\" to {noun} {id}: it is {status}")]
    Transition {
        /// What kind of thing.
        noun: &'static str,
        /// Its id.
        id: i64,
        /// Its status.
        status: &'static str,
        /// What should have happened.
        event: &'static str,
    },
    /// Somebody else changed the row since it was read.
    #[error("could not change {noun} {id}: it is not {status} any more")]
    Conflict {
        /// What kind of thing.
        noun: &'static str,
        /// Its id.
        id: i64,
        /// The status that it had when it was read.
        status: &'static str,
    },
}

impl Error {
    pub(crate) fn missing(noun: &'static str, id: impl ToString) -> Error {
        Error::Missing { noun, id: id.to_string() }
    }

    /// Returns whether the database takes no such value (PostgreSQL's class 22): then the caller's word is at fault, and the
    /// database is well.
    pub fn is_of_value(&self) -> bool {
        let Error::Query(error) = self else { return false };
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        // Five letters: a number of SQLite's may begin so, too.
        code.is_some_and(|code| code.len() == 5 && code.starts_with("22"))
    }

    /// Returns whether there is no room for what was to be written.
    pub fn is_of_full_disk(&self) -> bool {
        self.has_code(SQLITE_FULL, "53100")
    }

    /// Returns whether the database takes nothing: its file, or the server, is read-only.
    pub fn is_of_read_only(&self) -> bool {
        self.has_code(SQLITE_READONLY, "25006")
    }

    /// Compares the database's code with one of SQLite's and one of PostgreSQL's.
    fn has_code(&self, sqlite: u32, postgres: &str) -> bool {
        let Error::Query(error) = self else { return false };
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        // SQLite's code is in the last byte of a number that says more; PostgreSQL's has five letters.
        code.is_some_and(|code| match code.len() {
            5 => code == postgres,
            _ => code.parse::<u32>().is_ok_and(|code| code & 0xff == sqlite),
        })
    }

    /// Turns a violated uniqueness into [`Error::Taken`].
    pub(crate) fn taken(error: sqlx::Error, noun: &'static str, id: impl ToString) -> Error {
        match error.as_database_error() {
            Some(database) if database.is_unique_violation() => Error::Taken { noun, id: id.to_string() },
            _ => Error::Query(error),
        }
    }
}
