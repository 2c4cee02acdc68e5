//! All rows of the database as lines of text, the same for SQLite and PostgreSQL: for backups, and to move from one to
//! the other.
//!
//! ```text
//! {"anima_rows":1,"migrations":[1,2,…]}                   what this is, and how the tables are
//! {"table":"token","columns":["created_at",…],"next":7}   a table; none comes before one that it refers to
//! [1700000000000000,…]                                    a row of it
//! {"end":true}                                            the last line: without it, something was cut off
//! ```
//!
//! An older archive is read by a newer program: the tables are made as they were, filled, and brought up to date afterwards.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sqlx::{Any, Row as _, Transaction, TypeInfo as _, ValueRef as _, any::AnyRow};

use crate::{Address, Connection, Error, Result, row::Columns as _};

/// The form of the lines.
const FORMAT: u32 = 1;
/// Rows of one statement at most, and values in it: SQLite takes 32,766.
const ROWS_AT_ONCE: usize = 200;
const VALUES_AT_ONCE: usize = 10_000;

/// What an archive holds. Two are equal if all rows of all tables are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Summary {
    /// The migrations that the tables have.
    pub migrations: Vec<i64>,
    /// The tables, by name.
    pub tables: BTreeMap<String, TableSummary>,
}

/// What a table holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TableSummary {
    /// How many rows.
    pub row_count: u64,
    /// The sum of what they hash to, whatever their order.
    pub digest: u128,
}

impl Summary {
    /// Returns how many rows there are in all tables.
    pub fn row_count(&self) -> u64 {
        self.tables.values().map(|table| table.row_count).sum()
    }
}

impl TableSummary {
    fn add(&mut self, line: &str) {
        let hash = Sha256::digest(line);
        let part = hash.first_chunk::<16>().expect("a hash has 32 bytes");
        self.digest = self.digest.wrapping_add(u128::from_le_bytes(*part));
        self.row_count += 1;
    }
}

#[derive(Serialize, Deserialize)]
struct Head {
    anima_rows: u32,
    migrations: Vec<i64>,
}

#[derive(Serialize, Deserialize)]
struct TableHead {
    table: String,
    columns: Vec<String>,
    /// The number that the last counted id had, where ids are counted.
    next: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct End {
    end: bool,
}

/// Hands over all rows as lines, as they are at one moment if the connection is a [`crate::Read`].
pub async fn write(
    address: &Address,
    connection: &mut Connection,
    mut take: impl FnMut(&str) -> std::io::Result<()>,
) -> Result<Summary> {
    let mut summary = Summary { migrations: migrations(connection).await?, tables: BTreeMap::new() };
    let mut line = |text: &str| take(text).map_err(|error| Error::Archive { reason: error.to_string() });
    line(&to_line(&Head { anima_rows: FORMAT, migrations: summary.migrations.clone() }))?;
    for table in tables(address, connection).await? {
        let mut columns: Vec<String> = columns(address, connection, &table).await?.into_keys().collect();
        columns.sort();
        let next = next_id(address, connection, &table, &columns).await?;
        line(&to_line(&TableHead { table: table.clone(), columns: columns.clone(), next }))?;
        let sql = format!("SELECT {} FROM {}", quoted(&columns), quote(&table));
        let mut rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch(&mut *connection);
        let mut told = TableSummary::default();
        while let Some(row) = rows.try_next().await? {
            let values = (0..columns.len()).map(|index| value(&row, index)).collect::<Result<Vec<_>>>()?;
            let text = to_line(&values);
            line(&text)?;
            told.add(&text);
        }
        drop(rows);
        summary.tables.insert(table, told);
    }
    line(&to_line(&End { end: true }))?;
    Ok(summary)
}

/// Fills an empty database, all of it in one transaction.
pub struct Reader {
    address: Address,
    pool: sqlx::AnyPool,
    tx: Option<Transaction<'static, Any>>,
    summary: Summary,
    table: Option<Open>,
    is_whole: bool,
}

/// The table whose rows come.
struct Open {
    head: TableHead,
    /// Of each column, whether it is a text.
    are_texts: Vec<bool>,
    rows: Vec<Vec<Value>>,
}

impl Reader {
    /// Begins; the database has to be there, and may have no rows.
    pub fn new(address: Address) -> Reader {
        let pool = address.lazy();
        Reader { address, pool, tx: None, summary: Summary::default(), table: None, is_whole: false }
    }

    /// Takes the next line.
    pub async fn line(&mut self, text: &str) -> Result<()> {
        let bad = |error: serde_json::Error| archive(format!("a line cannot be read: {error}"));
        let Some(tx) = &mut self.tx else {
            let head: Head = serde_json::from_str(text).map_err(bad)?;
            if head.anima_rows != FORMAT {
                return Err(archive(format!("it has form {}, and this program knows form {FORMAT}", head.anima_rows)));
            }
            self.pool = self.address.make(&head.migrations).await?;
            self.summary.migrations = head.migrations;
            let mut tx = self.pool.begin().await?;
            refuse_rows(&self.address, &mut tx).await?;
            self.tx = Some(tx);
            return Ok(());
        };
        if text.starts_with('[') {
            let Some(open) = &mut self.table else { return Err(archive("a row comes before its table")) };
            open.rows.push(serde_json::from_str(text).map_err(bad)?);
            self.summary.tables.entry(open.head.table.clone()).or_default().add(text);
            if open.rows.len() >= ROWS_AT_ONCE.min(VALUES_AT_ONCE / open.head.columns.len().max(1)) {
                flush(tx, open).await?;
            }
            return Ok(());
        }
        if let Some(mut open) = self.table.take() {
            flush(tx, &mut open).await?;
            set_next_id(&self.address, tx, &open.head).await?;
        }
        if let Ok(End { end: true }) = serde_json::from_str(text) {
            self.is_whole = true;
            return Ok(());
        }
        let head: TableHead = serde_json::from_str(text).map_err(bad)?;
        let known = columns(&self.address, tx, &head.table).await?;
        let are_texts = head.columns.iter().map(|name| known.get(name).copied()).collect::<Option<Vec<_>>>();
        let are_texts = are_texts.ok_or_else(|| archive(format!("table {} has other columns", head.table)))?;
        self.summary.tables.entry(head.table.clone()).or_default();
        self.table = Some(Open { head, are_texts, rows: Vec::new() });
        Ok(())
    }

    /// Makes all rows hold, after they were read back and compared. An archive that was cut off leaves nothing.
    pub async fn finish(mut self) -> Result<Summary> {
        let Some(mut tx) = self.tx.take().filter(|_| self.is_whole) else {
            return Err(archive("it was cut off"));
        };
        let there = write(&self.address, &mut tx, |_| Ok(())).await?;
        if there != self.summary {
            return Err(archive("what was written is not what was read"));
        }
        tx.commit().await?;
        self.pool.close().await;
        Ok(there)
    }
}

fn archive(reason: impl Into<String>) -> Error {
    Error::Archive { reason: reason.into() }
}

fn to_line(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and numbers are always JSON")
}

/// Returns the migrations that the tables have.
pub(crate) async fn migrations(connection: &mut Connection) -> Result<Vec<i64>> {
    let rows = sqlx::query("SELECT version FROM _sqlx_migrations ORDER BY version").fetch_all(connection).await?;
    rows.iter().map(|row| row.int("version")).collect()
}

/// Returns what the database itself finds wrong with its file; nothing where it looks after that by itself.
pub async fn faults(address: &Address, connection: &mut Connection) -> Result<Vec<String>> {
    if !matches!(address, Address::File(_)) {
        return Ok(Vec::new());
    }
    let mut faults = Vec::new();
    for row in
        sqlx::query("SELECT integrity_check AS fault FROM pragma_integrity_check").fetch_all(&mut *connection).await?
    {
        faults.push(row.text("fault")?);
    }
    faults.retain(|fault| fault != "ok");
    let lost = "SELECT \"table\" AS child, parent, COUNT(*) AS count FROM pragma_foreign_key_check GROUP BY 1, 2";
    for row in sqlx::query(lost).fetch_all(connection).await? {
        let (child, parent, count) = (row.text("child")?, row.text("parent")?, row.int("count")?);
        faults.push(format!("{count} rows of {child} refer to rows of {parent} that are not there"));
    }
    Ok(faults)
}

async fn refuse_rows(address: &Address, connection: &mut Connection) -> Result<()> {
    for table in tables(address, connection).await? {
        let sql = format!("SELECT COUNT(*) AS count FROM {}", quote(&table));
        let row = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_one(&mut *connection).await?;
        if row.int("count")? > 0 {
            return Err(archive(format!("database {address} is not empty: there are rows in table {table}")));
        }
    }
    Ok(())
}

/// Returns all tables, each after those that it refers to.
async fn tables(address: &Address, connection: &mut Connection) -> Result<Vec<String>> {
    let (names, references) = match address {
        Address::File(_) => (
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
            "SELECT child.name AS child, parent.\"table\" AS parent FROM sqlite_master AS child
             JOIN pragma_foreign_key_list(child.name) AS parent WHERE child.type = 'table'",
        ),
        Address::Postgres(_) => (
            "SELECT table_name::text AS name FROM information_schema.tables
             WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'",
            "SELECT child.relname::text AS child, parent.relname::text AS parent FROM pg_constraint
             JOIN pg_class AS child ON child.oid = conrelid
             JOIN pg_class AS parent ON parent.oid = confrelid
             WHERE contype = 'f' AND connamespace = current_schema()::regnamespace",
        ),
    };
    let mut left = BTreeSet::new();
    for row in sqlx::query(names).fetch_all(&mut *connection).await? {
        left.insert(row.text("name")?);
    }
    left.remove("_sqlx_migrations");
    let mut edges = Vec::new();
    for row in sqlx::query(references).fetch_all(&mut *connection).await? {
        edges.push((row.text("child")?, row.text("parent")?));
    }
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let waits = |table: &String| {
            edges.iter().any(|(child, parent)| child == table && parent != table && left.contains(parent))
        };
        let (free, rest): (BTreeSet<_>, BTreeSet<_>) = left.iter().cloned().partition(|table| !waits(table));
        assert!(!free.is_empty(), "tables refer to one another in a circle: {rest:?}");
        ordered.extend(free);
        left = rest;
    }
    Ok(ordered)
}

/// Returns the columns of a table, and of each whether it is a text.
async fn columns(address: &Address, connection: &mut Connection, table: &str) -> Result<BTreeMap<String, bool>> {
    let sql = match address {
        Address::File(_) => "SELECT name, type FROM pragma_table_info($1)",
        Address::Postgres(_) => {
            "SELECT column_name::text AS name, data_type::text AS type FROM information_schema.columns
             WHERE table_schema = current_schema() AND table_name::text = $1"
        }
    };
    let mut columns = BTreeMap::new();
    for row in sqlx::query(sql).bind(table.to_string()).fetch_all(connection).await? {
        columns.insert(row.text("name")?, row.text("type")?.eq_ignore_ascii_case("text"));
    }
    Ok(columns)
}

async fn next_id(
    address: &Address,
    connection: &mut Connection,
    table: &str,
    columns: &[String],
) -> Result<Option<i64>> {
    if !columns.iter().any(|column| column == "id") {
        return Ok(None);
    }
    let sql = match address {
        Address::File(_) => "SELECT seq AS last FROM sqlite_sequence WHERE name = $1",
        Address::Postgres(_) => {
            "SELECT last_value AS last FROM pg_sequences
             WHERE quote_ident(schemaname) || '.' || quote_ident(sequencename) = pg_get_serial_sequence($1, 'id')"
        }
    };
    let row = sqlx::query(sql).bind(table.to_string()).fetch_optional(connection).await?;
    row.map(|row| row.maybe_int("last")).transpose().map(Option::flatten)
}

async fn set_next_id(address: &Address, connection: &mut Connection, head: &TableHead) -> Result<()> {
    // None was counted yet: the first is 1.
    let Some(next) = head.next.filter(|next| *next > 0) else { return Ok(()) };
    let statements: &[&str] = match address {
        Address::File(_) => &[
            "DELETE FROM sqlite_sequence WHERE name = $1 AND seq <> $2",
            "INSERT INTO sqlite_sequence (name, seq)
             SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = $1)",
        ],
        Address::Postgres(_) => &["SELECT setval(pg_get_serial_sequence($1, 'id'), $2)"],
    };
    for sql in statements {
        sqlx::query(*sql).bind(head.table.clone()).bind(next).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn flush(connection: &mut Connection, open: &mut Open) -> Result<()> {
    if open.rows.is_empty() {
        return Ok(());
    }
    let width = open.head.columns.len();
    let row = |index: usize| {
        let places = (1..=width).map(|column| format!("${}", index * width + column)).collect::<Vec<_>>();
        format!("({})", places.join(", "))
    };
    let rows = (0..open.rows.len()).map(row).collect::<Vec<_>>().join(", ");
    let sql = format!("INSERT INTO {} ({}) VALUES {rows}", quote(&open.head.table), quoted(&open.head.columns));
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
    for values in open.rows.drain(..) {
        if values.len() != width {
            return Err(archive(format!("a row of table {} has {} values", open.head.table, values.len())));
        }
        for (value, is_text) in values.into_iter().zip(&open.are_texts) {
            query = match (value, is_text) {
                (Value::Null, true) => query.bind(None::<String>),
                (Value::Null, false) => query.bind(None::<i64>),
                (Value::String(text), true) => query.bind(text),
                (Value::Number(number), false) if number.is_i64() => query.bind(number.as_i64()),
                (other, _) => return Err(archive(format!("{other} does not fit table {}", open.head.table))),
            };
        }
    }
    query.execute(connection).await?;
    Ok(())
}

fn value(row: &AnyRow, index: usize) -> Result<Value> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let type_info = raw.type_info();
    match type_info.name() {
        "TEXT" => Ok(Value::String(row.try_get(index)?)),
        "SMALLINT" | "INTEGER" | "BIGINT" => Ok(Value::from(row.try_get::<i64, _>(index)?)),
        other => Err(archive(format!("a column is a {other}: all of ours are texts and numbers"))),
    }
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use anima_types::{Arch, Sha256 as Hash, artifact::Kind};

    use super::*;
    use crate::{Db, testing::Scratch};

    async fn filled(scratch: &Scratch) {
        let mut write = scratch.write().await;
        let build = crate::testing::build(&mut write).await;
        for package in ["a", "it's \"quoted\"\n", "ünïcode 木"] {
            let task = crate::testing::build_task(&mut write, build, package, Arch::X86_64).await;
            for number in 0..150 {
                let sha256 = Hash([number; 32]);
                crate::artifact::insert(&mut write, sha256, 5).await.unwrap();
                crate::artifact::link(&mut write, task, sha256, Kind::Rpm, package).await.unwrap();
            }
        }
        write.commit().await.unwrap();
    }

    async fn lines(scratch: &Scratch) -> (Vec<String>, Summary) {
        let (mut lines, mut read) = (Vec::new(), scratch.db.read().await.unwrap());
        let taken = |line: &str| {
            lines.push(line.to_string());
            Ok(())
        };
        let summary = write(&scratch.address, &mut read, taken).await.unwrap();
        (lines, summary)
    }

    fn empty(folder: &std::path::Path) -> Address {
        match anima_testkit::database_of_second_run() {
            Some(url) => Address::new(&url),
            None => Address::File(folder.join("new.db")),
        }
    }

    #[tokio::test]
    async fn what_was_archived_is_there_again_and_ids_go_on() {
        let scratch = Scratch::new().await;
        filled(&scratch).await;
        let mut write = scratch.write().await;
        let gone = crate::testing::build(&mut write).await;
        sqlx::query("DELETE FROM event WHERE build_id = $1").bind(gone.0).execute(&mut *write).await.unwrap();
        sqlx::query("DELETE FROM build WHERE id = $1").bind(gone.0).execute(&mut *write).await.unwrap();
        write.commit().await.unwrap();
        let (lines, before) = lines(&scratch).await;
        let folder = tempfile::tempdir().unwrap();
        let address = empty(folder.path());

        let mut reader = Reader::new(address.clone());
        for line in &lines {
            reader.line(line).await.unwrap();
        }
        let after = reader.finish().await.unwrap();

        assert_eq!(before, after);
        assert_eq!(before.tables["task"].row_count, 3);
        let db = Db::connect(address.clone()).await.unwrap();
        let mut write = db.write(anima_types::Timestamp(0), "tester").await.unwrap();
        let next = crate::testing::build(&mut write).await;
        assert_eq!(next.0, gone.0 + 1, "an id that was given out is not given out again");
        write.commit().await.unwrap();
        let mut again = Reader::new(address);
        let error = again.line(&lines[0]).await.unwrap_err().to_string();
        assert!(error.contains("is not empty"), "{error}");
    }

    #[tokio::test]
    async fn an_archive_that_is_cut_off_or_altered_leaves_nothing() {
        let scratch = Scratch::new().await;
        filled(&scratch).await;
        let (lines, _) = lines(&scratch).await;
        let folder = tempfile::tempdir().unwrap();
        let address = empty(folder.path());
        for end in [1, 10, lines.len() / 2, lines.len() - 1] {
            let mut reader = Reader::new(address.clone());
            for line in &lines[..end] {
                reader.line(line).await.unwrap();
            }
            let error = reader.finish().await.unwrap_err().to_string();
            assert!(error.contains("it was cut off"), "{error}");
        }
        let newer = "{\"anima_rows\":1,\"migrations\":[1,9999]}";
        let error = Reader::new(address.clone()).line(newer).await.unwrap_err().to_string();
        assert!(error.contains("migration 9999"), "{error}");
        let strange = ["{\"anima_rows\":2,\"migrations\":[1]}", "[1]", "{\"table\":1}"];
        for line in strange {
            assert!(Reader::new(address.clone()).line(line).await.is_err(), "{line}");
        }

        let db = Db::connect(address).await.unwrap();
        let mut read = db.read().await.unwrap();
        assert_eq!(write(&db_address(&db), &mut read, |_| Ok(())).await.unwrap().row_count(), 0);
    }

    fn db_address(db: &Db) -> Address {
        db.address().clone()
    }
}
