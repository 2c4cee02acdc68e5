//! Parts that go away and come back: the state says which, and nothing has to be done by hand.

use std::{fs, process::Command};

use anima_master::chores;
use anima_testkit::{ObjectStore, Postgres};
use anima_types::{
    health::{PartState, Readiness},
    lease::LEASE_SECS,
    task::Kind,
};
use axum::http::{Method, StatusCode};
use serde_json::Value;

use crate::master::{Master, bucket_address};

async fn look(master: &Master) -> Readiness {
    anima_master::health::look(&master.app).await
}

/// All but the clock: that of these tests stands still, and a database server's does not.
fn are_well(readiness: &Readiness) -> bool {
    readiness.parts.iter().all(|part| part.name == "clock" || part.state == PartState::Good)
}

fn state(readiness: &Readiness, name: &str) -> PartState {
    readiness.parts.iter().find(|part| part.name == name).unwrap().state
}

#[tokio::test]
async fn a_master_whose_parts_are_all_well_is_ready() {
    let master = Master::open().await;

    let (status, _, body) = master.fetch("/readyz", &[]).await;

    let told: Readiness = serde_json::from_slice(&body).unwrap();
    assert_eq!(status == StatusCode::OK, told.is_ready, "{told:?}");
    assert!(are_well(&told) && told.parts.len() == 4, "{told:?}");
}

#[tokio::test]
async fn an_object_store_that_is_away_is_told_and_all_goes_on_when_it_is_back() {
    let mut server = ObjectStore::start().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let address = bucket_address(&server.bucket("away").unwrap(), cache.path());
    let master = Master::open_with(None, Some(address)).await;
    let kept = master.app.store.put_bytes("kept").await.unwrap().sha256;

    server.down();

    let told = look(&master).await;
    assert!(!told.is_ready);
    assert_eq!(state(&told, "store"), PartState::Away, "{told:?}");
    assert_eq!(state(&told, "database"), PartState::Good);
    let (status, _, body) = master.fetch(&format!("/api/v1/artifacts/{}", "0".repeat(64)), &[]).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{}", String::from_utf8_lossy(&body));
    assert!(String::from_utf8_lossy(&body).contains("\"no_store\""));
    assert!(master.app.store.put_bytes("new").await.is_err());

    server.up().unwrap();

    assert!(are_well(&look(&master).await));
    assert_eq!(master.app.store.get_bytes(kept, 10).await.unwrap(), "kept");
    assert!(master.app.store.put_bytes("new").await.unwrap().is_new);
}

#[tokio::test]
async fn a_database_that_is_away_is_told_and_all_goes_on_when_it_is_back() {
    let mut postgres = Postgres::start().unwrap();
    let master = Master::open_with(Some(postgres.database("away").unwrap()), None).await;

    postgres.down().unwrap();

    let told = look(&master).await;
    assert_eq!(state(&told, "database"), PartState::Away, "{told:?}");
    assert_eq!(state(&told, "store"), PartState::Good, "{told:?}");

    postgres.up().unwrap();

    // The connections that it had are broken; each is found so by who uses it next.
    let mut told = look(&master).await;
    for _ in 0..20 {
        if are_well(&told) {
            break;
        }
        told = look(&master).await;
    }
    assert!(are_well(&told), "{told:?}");
}

/// A file system of its own, in memory.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new(mib: u32) -> Disk {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk(folder);
        disk.run(&["mount", "-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"]);
        disk
    }

    fn run(&self, command: &[&str]) {
        let done = Command::new(command[0]).args(&command[1..]).arg(self.0.path()).output().unwrap();
        assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_and_one_that_became_read_only_are_told_and_are_used_again_when_they_are_well() {
    let disk = Disk::new(8);
    let artifacts = disk.0.path().join("artifacts");
    let master = Master::open_with(None, Some(artifacts.as_path().into())).await;
    let kept = master.app.store.put_bytes("kept").await.unwrap().sha256;
    let filler = disk.0.path().join("filler");

    assert!(fs::write(&filler, vec![0; 9 << 20]).is_err(), "it is full now");
    let told = look(&master).await;
    assert_eq!(state(&told, "store"), PartState::Full, "{told:?}");
    assert_eq!(state(&told, "database"), PartState::Good);
    assert!(master.app.store.put_bytes(vec![1; 100_000]).await.is_err());
    assert_eq!(master.app.store.get_bytes(kept, 10).await.unwrap(), "kept", "what is there is read");
    fs::remove_file(&filler).unwrap();
    assert!(are_well(&look(&master).await));
    assert!(master.app.store.put_bytes(vec![1; 100_000]).await.unwrap().is_new);

    disk.run(&["mount", "-o", "remount,ro"]);
    let told = look(&master).await;
    assert_eq!(state(&told, "store"), PartState::ReadOnly, "{told:?}");
    disk.run(&["mount", "-o", "remount,rw"]);
    assert!(are_well(&look(&master).await));
}

async fn write_event(master: &Master, size_bytes: usize) -> anima_db::Result<()> {
    let mut write = master.app.db.write(master.app.now(), "ann").await?;
    let message = "x".repeat(size_bytes);
    let event = anima_db::event::NewEvent { noun: "test", verb: "done", message, ..Default::default() };
    anima_db::event::record(&mut write, event).await?;
    write.commit().await
}

#[tokio::test]
async fn a_full_disk_under_the_database_is_told_and_all_goes_on_when_there_is_room() {
    let disk = Disk::new(48);
    let file = disk.0.path().join("anima.db").display().to_string();
    let master = Master::open_with(Some(file), None).await;
    let filler = disk.0.path().join("filler");
    assert!(are_well(&look(&master).await));

    assert!(fs::write(&filler, vec![0; 64 << 20]).is_err(), "it is full now");
    let told = look(&master).await;
    assert_eq!(state(&told, "database"), PartState::Full, "{told:?}");
    // What SQLite has of the disk already takes some more.
    let refused = loop {
        if let Err(error) = write_event(&master, 100_000).await {
            break anima_master::error::ApiError::from(error);
        }
    };
    assert_eq!((refused.status, refused.body.code.as_str()), (StatusCode::INSUFFICIENT_STORAGE, "out_of_disk"));
    // What is there is read.
    master.get("/api/v1/builds").await;

    fs::remove_file(&filler).unwrap();
    assert!(are_well(&look(&master).await));
    write_event(&master, 100_000).await.unwrap();
}

#[tokio::test]
async fn a_clock_that_is_behind_what_has_happened_is_told() {
    let master = Master::open().await;
    write_event(&master, 10).await.unwrap();

    master.pass_secs(-3_600);

    let told = look(&master).await;
    assert_eq!(state(&told, "clock"), PartState::WrongClock, "{told:?}");
    master.pass_secs(3_600);
    assert_ne!(state(&look(&master).await, "database"), PartState::Away);
}

#[tokio::test]
async fn a_master_whose_clock_is_not_the_databases_takes_no_task_from_another_masters_node() {
    let postgres = Postgres::start().unwrap();
    let url = postgres.database("clocks").unwrap();
    let right = Master::open_with(Some(url.clone()), None).await;
    right.set_clock(0);
    let lease = right.claim("sign-server", &[Kind::Sign]).await.unwrap();
    let status = async || right.get(&format!("/api/v1/tasks/{}", lease["task"])).await["status"].clone();
    let wrong = Master::open_with(Some(url), None).await;
    let expire = async |master: &Master| {
        let pass = chores::expire_once(&master.app, master.app.now());
        chores::by_the_clock(&master.app, pass).await.unwrap()
    };

    for ahead_secs in [2 * LEASE_SECS, -2 * LEASE_SECS] {
        wrong.set_clock(ahead_secs);
        assert_eq!(expire(&wrong).await, None);
        assert_eq!(status().await, "leased");
        let told = look(&wrong).await;
        assert_eq!(state(&told, "clock"), PartState::WrongClock, "{told:?}");
        assert!(told.parts.iter().any(|part| part.message.contains("takes no task back")), "{told:?}");
    }
    // What it gives out itself holds for the other, though it is behind.
    let beat = format!("/api/v1/tasks/{}/heartbeat?wait_secs=0", lease["task"]);
    let (code, said) = wrong.json(Method::POST, &beat, lease["secret"].as_str(), Value::Null).await;
    assert_eq!(code, StatusCode::OK, "{said}");
    right.set_clock(0);
    assert_eq!(expire(&right).await, Some(0), "{said}");
    assert_eq!(status().await, "leased");

    // Set right, it does its part again.
    wrong.set_clock(0);
    assert_eq!(expire(&wrong).await, Some(0));
    assert_eq!(state(&look(&wrong).await, "clock"), PartState::Good);
}
