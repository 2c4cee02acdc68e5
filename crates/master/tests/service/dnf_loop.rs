//! The real dnf, which checks the index's signature and reads again and again while releases come and are taken back, with
//! the `.repo` file that users get.

use std::{
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
};

use anima_rpm_file::SigningKey;
use tempfile::TempDir;

use crate::{
    master::Master,
    one_switch::{product, publish, take_back},
};

/// Clients at once.
const CLIENTS: usize = 2;
/// So often each client reads at least.
const READINGS: usize = 4;
/// So many switches there are at least while the clients read, however slow the machine is.
const LEAST_SWITCHES: i64 = 6;
/// The environment's word for another number; `cargo xtask interop` asks for many more.
const SWITCHES: &str = "ANIMA_SWITCHES";

/// A user's machine.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new(repo_file: &[u8]) -> Machine {
        let machine = Machine { folder: tempfile::tempdir().unwrap() };
        for folder in ["repos", "log", "root"] {
            std::fs::create_dir(machine.path(folder)).unwrap();
        }
        std::fs::write(machine.path("repos/p1.repo"), repo_file).unwrap();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns what dnf printed.
    fn read(&self, arguments: &[&str]) -> String {
        let folder = self.folder.path().display();
        let output = Command::new("dnf")
            .args(["-q", "-y", "--disableplugin=local", "--releasever=1", "--forcearch=x86_64"])
            .args(["--setopt=skip_if_unavailable=0", "--setopt=retries=1"])
            .args(["reposdir=repos", "cachedir=cache", "persistdir=persist", "logdir=log"].map(|option| {
                let (name, value) = option.split_once('=').unwrap();
                format!("--setopt={name}={folder}/{value}")
            }))
            .arg(format!("--installroot={folder}/root"))
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", self.folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        // Not the bare number: a port or a fingerprint may have it.
        assert!(!said.contains("rror") && !said.contains("Status code: 404"), "{said}");
        String::from_utf8(output.stdout).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dnf_that_checks_signatures_reads_whole_states_while_they_are_switched() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let master = Arc::new(Master::open_at(&address).await);
    master.listen(listener);
    let mut product = product(&master).await;
    product.key = Some(key(&master).await);
    publish(&master, &product, 0, 1).await;
    let repo_file = master.get_text("/repos/p1/p1.repo").await;
    assert!(repo_file.contains("repo_gpgcheck=1"), "{repo_file}");
    let wanted_switches: i64 = std::env::var(SWITCHES).ok().map_or(LEAST_SWITCHES, |text| text.parse().unwrap());
    let (switches, readers) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicUsize::new(CLIENTS)));

    let clients = (0..CLIENTS).map(|_| {
        let (repo_file, switches, readers) = (repo_file.clone(), switches.clone(), readers.clone());
        tokio::task::spawn_blocking(move || {
            let machine = Machine::new(repo_file.as_bytes());
            let mut seen = Vec::new();
            while seen.len() < READINGS || switches.load(Ordering::SeqCst) < wanted_switches {
                let listed = machine.read(&["--refresh", "--repo=p1-BaseOS", "repoquery", "-l", "jq"]);
                // The version is in the first file, the path in the second: both are of one state. What was read a moment
                // ago is not read again for the second question.
                let lines: Vec<&str> = listed.lines().collect();
                let [path] = lines[..] else { panic!("{listed}") };
                let version = machine.read(&["--repo=p1-BaseOS", "repoquery", "--qf=%{version}", "jq"]);
                seen.push((version.trim().to_string(), path.to_string()));
            }
            readers.fetch_sub(1, Ordering::SeqCst);
            seen
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut current = 1;
    let mut number = 2;
    while readers.load(Ordering::SeqCst) > 0 && !clients.iter().all(|client| client.is_finished()) {
        publish(&master, &product, current, number).await;
        if number % 3 == 0 {
            take_back(&master, &product, number, current).await;
            switches.fetch_add(1, Ordering::SeqCst);
        } else {
            current = number;
        }
        switches.fetch_add(1, Ordering::SeqCst);
        number += 1;
    }

    let mut states = std::collections::BTreeSet::new();
    for client in clients {
        for (version, path) in client.await.unwrap() {
            assert_eq!(path, format!("/usr/share/{version}"));
            states.insert(version);
        }
    }
    assert!(states.len() > 1, "the clients saw nothing but {states:?}");
    assert!(switches.load(Ordering::SeqCst) >= wanted_switches);
    println!("{} switches, {} states seen", switches.load(Ordering::SeqCst), states.len());
}

/// Makes the product's key, as the Sign Server would.
async fn key(master: &Master) -> SigningKey {
    let key = SigningKey::generate_ed25519("P 1 <p1@example.org>", 1_600_000_000).unwrap();
    let mut write = master.app.db.write(master.app.now(), "sign").await.unwrap();
    let id = anima_db::product::get(&mut write, "p1").await.unwrap().key.unwrap();
    let public_key = key.to_armoured_public().unwrap();
    let made = anima_db::key::Made { fingerprint: key.fingerprint(), public_key, file_key: None, expires_at: None };
    anima_db::key::made(&mut write, id, &made).await.unwrap();
    write.commit().await.unwrap();
    key
}
