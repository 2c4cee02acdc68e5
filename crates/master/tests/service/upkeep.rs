//! Backup, restore, move and check of a whole installation, with each damage planted.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anima_db::task::{About, Ended};
use anima_master::{
    Address, StoreAddress,
    upkeep::{Installation, backup, check, moving, restore},
};
use anima_testkit::{ObjectStore, Postgres};
use anima_types::{
    Arch, Sha256, Timestamp,
    fsck::{FaultKind, Report},
    id::TaskId,
    task::{Event, Kind},
    task_log::{LogId, LogName},
};

use crate::{
    master::{Master, bucket_address},
    one_switch::{PATHS, Product, made, product, publish},
};

fn quiet(_: &str) {}

fn installation(master: &Master) -> Installation {
    let app = &master.app;
    Installation { db: app.db.clone(), store: app.store.clone(), logs: app.logs.clone() }
}

/// A master with three snapshots of two repositories, and two tasks with logs.
async fn lived_in() -> (Master, Product, TaskId) {
    let master = Master::open().await;
    let product = product(&master).await;
    for number in 1..=3 {
        publish(&master, &product, number - 1, number).await;
    }
    let mut write = master.app.db.write(master.app.now(), "ann").await.unwrap();
    let about = About {
        package: Some("jq".into()),
        platform: Some("p1".into()),
        arch: Some(Arch::X86_64),
        ..About::new(Kind::Build)
    };
    let task = anima_db::task::insert(&mut write, &about, "Waits.").await.unwrap();
    let row = anima_db::task::get(&mut write, task).await.unwrap();
    anima_db::task::apply(&mut write, &row, Event::DependenciesMet, "It can go.").await.unwrap();
    let row = anima_db::task::get(&mut write, task).await.unwrap();
    anima_db::task::claim(&mut write, &row, "node", Timestamp(i64::MAX), "It goes.").await.unwrap();
    let row = anima_db::task::get(&mut write, task).await.unwrap();
    let ended = Ended { phases: Vec::new(), failure: None, result: None, report_hash: None };
    anima_db::task::end(&mut write, &row, Event::Succeeded, "Done.", &ended).await.unwrap();
    write.commit().await.unwrap();
    let logs = &master.app.logs;
    let newest = LogId::of_attempt(task, LogName::Build, 1);
    logs.append(newest, 0, "make\n").await.unwrap();
    logs.append(LogId::of_attempt(task, LogName::Root, 1), 0, "an earlier root\n").await.unwrap();
    logs.seal(newest).await.unwrap();
    logs.seal(LogId::of_attempt(task, LogName::Root, 1)).await.unwrap();
    (master, product, task)
}

async fn check(master: &Master, is_deep: bool, repairs: bool) -> Report {
    check::everything(&installation(master), check::Wanted { is_deep, repairs }, &quiet).await.unwrap()
}

fn kinds(report: &Report) -> Vec<FaultKind> {
    let mut kinds: Vec<FaultKind> = report.faults.iter().map(|fault| fault.kind).collect();
    kinds.sort();
    kinds
}

/// Everything that an installation has, to compare two of them.
async fn contents(
    of: &Installation,
) -> (anima_db::archive::Summary, BTreeMap<Sha256, Vec<u8>>, BTreeMap<String, Vec<u8>>) {
    let mut read = of.db.read().await.unwrap();
    let rows = anima_db::archive::write(of.db.address(), &mut read, |_| Ok(())).await.unwrap();
    let mut artifacts = BTreeMap::new();
    for (sha256, size_bytes) in anima_db::artifact::list_after(&mut read, None, 1_000).await.unwrap() {
        artifacts.insert(sha256, of.store.get_bytes(sha256, size_bytes).await.unwrap().to_vec());
    }
    let mut logs = BTreeMap::new();
    for entry in of.logs.list().await.unwrap() {
        logs.insert(entry.log.to_string(), of.logs.read_range(entry.log, 0, 1_000).await.unwrap().to_vec());
    }
    (rows, artifacts, logs)
}

#[tokio::test]
async fn a_whole_installation_is_whole_and_each_damage_is_told_as_what_it_is() {
    let (master, product, task) = lived_in().await;
    let whole = check(&master, true, false).await;
    assert!(whole.is_whole && whole.faults.is_empty(), "{whole:?}");
    assert_eq!((whole.snapshot_count, whole.log_count), (6, 2));

    // Harmless: what nobody names, and a log that was left.
    let stray = master.app.store.put_bytes("stray").await.unwrap().sha256;
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000);
    fs::File::open(master.stored(stray)).unwrap().set_modified(long_ago).unwrap();
    master.app.logs.append(LogId::of_attempt(task, LogName::State, 1), 0, "state\n").await.unwrap();
    let report = check(&master, false, false).await;
    assert!(report.is_whole);
    assert_eq!(kinds(&report), [FaultKind::OpenLog, FaultKind::StrayArtifact]);

    // Bytes that changed are seen by who looks at them.
    let damaged = made(1).fragment.sha256;
    fs::remove_file(master.stored(damaged)).unwrap();
    fs::write(master.stored(damaged), "packagE 1").unwrap();
    assert!(check(&master, false, false).await.is_whole, "their number is the same");
    let report = check(&master, true, false).await;
    assert!(!report.is_whole);
    assert_eq!(kinds(&report), [FaultKind::DamagedArtifact, FaultKind::OpenLog, FaultKind::StrayArtifact]);

    // A package that is gone, and an index that is gone.
    fs::remove_file(master.stored(made(2).fragment.sha256)).unwrap();
    let mut read = master.app.db.read().await.unwrap();
    let files = anima_db::snapshot::files(&mut read, product.repositories[0], 3).await.unwrap();
    drop(read);
    let (_, index) = files.iter().find(|(path, _)| path == "repodata/repomd.xml").unwrap();
    fs::remove_file(master.stored(*index)).unwrap();
    let report = check(&master, false, false).await;
    let told: Vec<&str> = report.faults.iter().map(|fault| fault.what.as_str()).collect();
    assert!(told.contains(&made(2).fragment.sha256.to_string().as_str()), "{report:?}");
    assert!(told.contains(&format!("p1/{}@3", PATHS[0]).as_str()), "{report:?}");
    assert_eq!(report.faults.iter().filter(|fault| fault.kind == FaultKind::MissingArtifact).count(), 2);

    // Repairing takes away what is wrong, so that what is right can come, and compresses the log.
    let report = check(&master, true, true).await;
    assert!(!report.is_whole, "what is lost is lost");
    assert!(report.faults.iter().any(|fault| fault.kind == FaultKind::OpenLog && fault.is_repaired));
    for lost in [1, 2] {
        assert!(master.app.store.put_bytes(made(lost).bytes).await.unwrap().is_new);
    }
    assert_eq!(master.app.logs.unsealed().await.unwrap(), []);
    let left = check(&master, true, false).await;
    assert!(left.faults.iter().all(|fault| fault.kind != FaultKind::DamagedArtifact), "{left:?}");

    // A task without its log.
    let folder = master.stored(stray).parent().unwrap().parent().unwrap().to_path_buf();
    fs::remove_file(folder.join(format!("logs/{task}@1.zst"))).unwrap();
    let report = check(&master, false, false).await;
    assert!(report.faults.iter().any(|fault| fault.kind == FaultKind::MissingLog), "{report:?}");
}

#[tokio::test]
async fn an_installation_moves_to_postgresql_and_s3_and_back_with_everything() {
    let (master, _, _) = lived_in().await;
    let (postgres, server) = (Postgres::start().unwrap(), ObjectStore::start().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let database = Address::new(&postgres.database("moved").unwrap());
    let bucket = bucket_address(&server.bucket("moved").unwrap(), &folder.path().join("cache"));
    let (from, before) = (installation(&master), contents(&installation(&master)).await);

    let dry = moving::everything(&from, &database, &bucket, true, &quiet).await.unwrap();
    assert_eq!(dry.copied_bytes, dry.artifact_bytes);
    // The first was interrupted after some artifacts: it goes on.
    let some = made(1);
    let store = anima_store::Store::open(&bucket).await.unwrap();
    store.put_bytes(some.bytes.clone()).await.unwrap();
    let done = moving::everything(&from, &database, &bucket, false, &quiet).await.unwrap();

    assert_eq!(done.copied_bytes, dry.copied_bytes - some.bytes.len() as u64);
    let there = Installation::open(&database, &bucket).await.unwrap();
    assert_eq!(contents(&there).await, before);
    let report = check::everything(&there, check::Wanted { is_deep: true, repairs: false }, &quiet).await.unwrap();
    assert!(report.is_whole && report.faults.is_empty(), "{report:?}");
    let again = moving::everything(&from, &database, &bucket, false, &quiet).await.unwrap_err().to_string();
    assert!(again.contains("is not empty"), "{again}");

    let (back_database, back_store) =
        (Address::File(folder.path().join("back.db")), StoreAddress::Folder(folder.path().join("back")));
    moving::everything(&there, &back_database, &back_store, false, &quiet).await.unwrap();
    let back = Installation::open(&back_database, &back_store).await.unwrap();
    assert_eq!(contents(&back).await, before);
    // The next id is the next.
    let mut write = back_open(&back_database).await;
    let about = About::new(Kind::Build);
    let next = anima_db::task::insert(&mut write, &about, "Waits.").await.unwrap();
    assert_eq!(next.0 as u64, before.0.tables["task"].row_count + 1);
}

async fn back_open(database: &Address) -> anima_db::Write {
    anima_db::Db::connect(database.clone()).await.unwrap().write(Timestamp(1), "test").await.unwrap()
}

fn others(data: &Path) -> backup::Files {
    fs::create_dir_all(data.join("git-service/repositories/jq.git/refs/heads")).unwrap();
    fs::create_dir_all(data.join("sign-server/keys")).unwrap();
    fs::write(data.join("anima.toml"), "# nothing\n").unwrap();
    fs::write(data.join("git-service/repositories/jq.git/refs/heads/main"), "4f2c1e\n").unwrap();
    fs::write(data.join("sign-server/keys/p1.asc"), "locked").unwrap();
    fs::write(data.join("sign-server/passphrase"), "open sesame").unwrap();
    std::os::unix::fs::symlink("p1.asc", data.join("sign-server/keys/link")).unwrap();
    let wanted = ["anima.toml", "platforms", "git-service", "sign-server/keys"].map(PathBuf::from).to_vec();
    backup::Files { data: data.to_path_buf(), wanted, ..backup::Files::default() }
}

#[tokio::test]
async fn a_backup_restores_everything_and_the_second_adds_only_what_is_new() {
    let (master, product, task) = lived_in().await;
    let (data, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = others(data.path());
    let from = installation(&master);
    let at = |secs: i64| Timestamp(1_764_000_000_000_000).plus_secs(secs);

    let first = backup::make(&from, &files, target.path(), at(0), &quiet).await.unwrap();
    let first_contents = contents(&from).await;
    let nothing_new = backup::make(&from, &files, target.path(), at(60), &quiet).await.unwrap();
    assert_eq!(nothing_new.new_bytes, 0, "nothing happened meanwhile");
    publish(&master, &product, 3, 4).await;
    master.app.logs.append(LogId::of_attempt(task, LogName::State, 1), 0, "it grows\n").await.unwrap();
    let second = backup::make(&from, &files, target.path(), at(120), &quiet).await.unwrap();
    assert!(second.new_bytes > 0 && second.new_bytes < first.new_bytes, "{} of {}", second.new_bytes, first.new_bytes);
    assert_eq!(backup::list(target.path()).unwrap().len(), 3);
    assert!(!holds(target.path(), b"open sesame"), "no passphrase is in a backup");
    // One that is killed in the middle has files, and no manifest: the former ones are whole.
    fs::write(target.path().join("blobs/tmp/half"), "hal").unwrap();
    fs::write(target.path().join("backups/.tmpHalf"), "{").unwrap();
    assert_eq!(backup::newest(target.path()).unwrap(), Some(second.name.clone()));

    for (name, wanted) in [(&first.name, &first_contents), (&second.name, &contents(&from).await)] {
        let manifest = backup::read(target.path(), name).unwrap();
        let place = tempfile::tempdir().unwrap();
        restore::files(target.path(), &manifest, place.path()).await.unwrap();
        let (database, store) =
            (Address::File(place.path().join("anima.db")), StoreAddress::Folder(place.path().join("artifacts")));
        restore::rows_and_artifacts(target.path(), &manifest, &database, &store, &quiet).await.unwrap();
        let restored = Installation::open(&database, &store).await.unwrap();
        assert_eq!(&contents(&restored).await, wanted);
        let head = place.path().join("git-service/repositories/jq.git/refs/heads/main");
        assert_eq!(fs::read_to_string(head).unwrap(), "4f2c1e\n");
        assert_eq!(fs::read_to_string(place.path().join("sign-server/keys/link")).unwrap(), "locked");
        assert!(!place.path().join("sign-server/passphrase").exists());
    }

    let (count, bytes) = backup::forget(target.path(), 1).await.unwrap();
    assert!(count == 2 && bytes > 0, "{count} {bytes}");
    let manifest = backup::read(target.path(), &second.name).unwrap();
    let place = tempfile::tempdir().unwrap();
    let (database, store) =
        (Address::File(place.path().join("anima.db")), StoreAddress::Folder(place.path().join("artifacts")));
    restore::rows_and_artifacts(target.path(), &manifest, &database, &store, &quiet).await.unwrap();
    assert!(backup::read(target.path(), &first.name).is_err());
}

/// Whether any file below a folder has these bytes.
fn holds(folder: &Path, wanted: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => holds(&path, wanted),
            false => fs::read(path).unwrap().windows(wanted.len()).any(|window| window == wanted),
        }
    })
}

#[tokio::test]
async fn a_damaged_backup_is_not_restored() {
    let (master, _, _) = lived_in().await;
    let target = tempfile::tempdir().unwrap();
    let made_backup =
        backup::make(&installation(&master), &backup::Files::default(), target.path(), Timestamp(0), &quiet)
            .await
            .unwrap();
    let name = made(2).fragment.sha256.to_string();
    let blob = target.path().join("blobs").join(&name[..2]).join(&name[2..]);
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, "packagE 2").unwrap();
    let place = tempfile::tempdir().unwrap();
    let (database, store) =
        (Address::File(place.path().join("anima.db")), StoreAddress::Folder(place.path().join("artifacts")));

    let restored = restore::rows_and_artifacts(target.path(), &made_backup.manifest, &database, &store, &quiet).await;

    let error = format!("{:#}", restored.unwrap_err());
    assert!(error.contains("hash to"), "{error}");
    assert!(!place.path().join("anima.db").exists(), "there are no rows of it");
}
