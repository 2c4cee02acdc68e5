//! A database for a test: SQLite in a temporary folder, or a new one in the PostgreSQL that the environment names.

use std::{
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use anima_testkit::Postgres;

use anima_types::{
    Arch, Timestamp,
    id::{BuildId, TaskId},
    task::Kind,
};
use tempfile::TempDir;

use crate::{
    Address, Db, Write, build,
    task::{self, About},
};

/// The address of a PostgreSQL server's first database.
const POSTGRES: &str = "ANIMA_TEST_POSTGRES";

pub(crate) struct Scratch {
    pub(crate) db: Db,
    pub(crate) address: Address,
    #[expect(dead_code, reason = "the folder is removed when this is dropped")]
    pub(crate) dir: TempDir,
}

impl Scratch {
    pub(crate) async fn new() -> Scratch {
        let dir = tempfile::tempdir().unwrap();
        let address = match std::env::var(POSTGRES) {
            Ok(server) => new_database(&server).await,
            Err(_) => Address::File(dir.path().join("with space %20?.db")),
        };
        Scratch { db: Db::connect(address.clone()).await.unwrap(), address, dir }
    }

    pub(crate) async fn write(&self) -> Write {
        self.write_at(1).await
    }

    pub(crate) async fn write_at(&self, secs: i64) -> Write {
        self.db.write(Timestamp(0).plus_secs(secs), "tester").await.unwrap()
    }
}

pub(crate) async fn build(write: &mut Write) -> BuildId {
    let new = build::NewBuild {
        owner: "ada".into(),
        reason: "asked for by ada".into(),
        platforms: vec!["seed-1".into()],
        architectures: vec![Arch::X86_64],
        summary: "Waits.".into(),
        gather: None,
    };
    build::insert(write, &new).await.unwrap()
}

pub(crate) async fn build_task(write: &mut Write, build: BuildId, package: &str, arch: Arch) -> TaskId {
    let about = About {
        build: Some(build),
        package: Some(package.into()),
        platform: Some("seed-1".into()),
        arch: Some(arch),
        ..About::new(Kind::Build)
    };
    task::insert(write, &about, "Waits for its source.").await.unwrap()
}

/// Returns whether tests run on PostgreSQL now.
pub(crate) fn is_postgres() -> bool {
    std::env::var(POSTGRES).is_ok()
}

async fn new_database(server: &str) -> Address {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("t{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    sqlx::any::install_default_drivers();
    let mut connection = <sqlx::AnyConnection as sqlx::Connection>::connect(server).await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
    Address::new(&server.replace("/postgres", &format!("/{name}")))
}

/// Runs all other tests of this crate again, on PostgreSQL.
#[test]
fn all_this_holds_on_postgresql_too() {
    if is_postgres() {
        return;
    }
    let postgres = Postgres::start().unwrap();

    let output = Command::new(std::env::current_exe().unwrap())
        .env(POSTGRES, postgres.url("postgres"))
        .output()
        .unwrap();

    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("test result: ok"), "{text}");
}
