//! A database for a test: SQLite in a temporary folder, or a new one in the PostgreSQL that the environment names.

use anima_types::{
    Arch, Timestamp,
    id::{BuildId, TaskId},
    key::{Algorithm, CreateKey, Options},
    task::Kind,
};
use tempfile::TempDir;

use crate::{
    Address, Db, Write, build,
    task::{self, About},
};

pub(crate) struct Scratch {
    pub(crate) db: Db,
    pub(crate) address: Address,
    #[expect(dead_code, reason = "the folder is removed when this is dropped")]
    pub(crate) dir: TempDir,
}

impl Scratch {
    pub(crate) async fn new() -> Scratch {
        let (dir, address) = fresh_address();
        Scratch { db: Db::connect(address.clone()).await.unwrap(), address, dir }
    }

    pub(crate) async fn write(&self) -> Write {
        self.write_at(1).await
    }

    pub(crate) async fn write_at(&self, secs: i64) -> Write {
        self.db.write(Timestamp(0).plus_secs(secs), "tester").await.unwrap()
    }
}

/// Returns a database that nothing is in, and the folder that may be around it.
pub(crate) fn fresh_address() -> (TempDir, Address) {
    let dir = tempfile::tempdir().unwrap();
    let address = match anima_testkit::database_of_second_run() {
        Some(url) => Address::new(&url),
        None => Address::File(dir.path().join("with space %20?.db")),
    };
    (dir, address)
}

pub(crate) fn key(name: &str, algorithm: Algorithm) -> CreateKey {
    CreateKey { name: name.into(), algorithm, user_id: "Seed".into(), options: Options::default() }
}

pub(crate) async fn build(write: &mut Write) -> BuildId {
    let new = build::NewBuild {
        owner: "ada".into(),
        reason: "asked for by ada".into(),
        platforms: vec!["seed-1".into()],
        architectures: vec![Arch::X86_64],
        priority: Default::default(),
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

#[test]
fn all_this_holds_on_postgresql_too() {
    anima_testkit::again_on_postgres();
}
