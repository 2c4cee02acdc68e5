//! What an operator does with a whole installation: move it to PostgreSQL and S3, back it up while it works, lose it, restore
//! it, and go on.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use anima_testkit::{ObjectStore, Postgres, Root, SourcePackage, System};

use crate::{BUILD_LIMIT, said, system};

async fn build(system: &System, name: &str) {
    let package = SourcePackage::tiny(name, "1").unwrap();
    let commit = system.push(&package, "s1").unwrap();
    let build = system.build_of(name, &commit).await.unwrap();
    system.released(build, BUILD_LIMIT).await.unwrap();
}

fn run(system: &System, arguments: &[&str]) -> String {
    let output = system.anima(arguments).unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

fn installs(system: &System, names: &[&str]) {
    let root = Root::new(system.master_url(), "seed-1").unwrap();
    root.dnf(&[&["install"], names].concat()).unwrap();
}

/// Runs the program and kills it as soon as it has said so many lines of how far it is.
fn kill_after(lines: usize, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anima"));
    let mut process = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(process.stderr.take().unwrap()).lines().take(lines).count();
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(said, lines, "it had an end of its own");
}

#[tokio::test]
async fn an_installation_moves_to_postgresql_and_s3_is_backed_up_while_it_works_and_restored_after_it_was_lost() {
    let mut system = system().await;
    build(&system, "acorn").await;
    let (postgres, server) = (Postgres::start().unwrap(), ObjectStore::start().unwrap());
    let now = fs::read_to_string(system.data().join("anima.toml")).unwrap();
    let new = format!(
        "{now}\n[database]\nurl = \"{}\"\n[store]\n{}",
        postgres.database("moved").unwrap(),
        server.config("moved").unwrap()
    );
    let new_file = system.data().join("new.toml");
    fs::write(&new_file, new).unwrap();
    let move_to = ["move", "--to", new_file.to_str().unwrap()];
    let refused = system.anima(&move_to).unwrap();
    assert_eq!(refused.status.code(), Some(3), "a master runs: {}", said(&refused));

    system.stop().unwrap();
    let dry = run(&system, &[&move_to[..], &["--dry-run"]].concat());
    assert!(dry.contains("would be moved"), "{dry}");
    run(&system, &move_to);
    assert!(fs::read_to_string(system.data().join("anima.toml")).unwrap().contains("s3://moved"));
    fs::rename(system.data().join("master/artifacts"), system.data().join("master/old-artifacts")).unwrap();
    fs::rename(system.data().join("master/anima.db"), system.data().join("master/old.db")).unwrap();
    system.up().await.unwrap();
    installs(&system, &["acorn"]);
    build(&system, "beech").await;
    installs(&system, &["acorn", "beech"]);
    run(&system, &["fsck", "--deep"]);

    let backups = tempfile::tempdir().unwrap();
    let (target, data) = (backups.path().to_str().unwrap(), system.data());
    run(&system, &["backup", target]);
    build(&system, "cedar").await;
    // One that is killed is none, and the former one stays.
    let list =
        || -> Vec<String> { serde_json::from_str(&run(&system, &["--json", "backup", target, "--list"])).unwrap() };
    let former = list();
    for lines in 1..=2 {
        kill_after(lines, &["--data", data.to_str().unwrap(), "backup", target]);
        // It may have been done in the moment before.
        assert!(list().ends_with(&former), "killed after {lines} lines: {:?}", list());
    }
    let second = run(&system, &["--json", "backup", target]);
    let second: serde_json::Value = serde_json::from_str(&second[second.find('{').unwrap()..]).unwrap();
    assert!(second["manifest"]["row_count"].as_u64().unwrap() > 100, "{second}");

    // Everything is lost but the passphrase, which was kept elsewhere: machine, database and bucket.
    system.stop().unwrap();
    let passphrase = fs::read(data.join("sign-server/passphrase")).unwrap();
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(data.join("sign-server/passphrase")).unwrap());
    for entry in fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()) {
        match entry.is_dir() {
            true => fs::remove_dir_all(entry).unwrap(),
            false => fs::remove_file(entry).unwrap(),
        }
    }
    drop((postgres, server));
    let one_machine = data.join("one-machine.toml");
    fs::write(&one_machine, now).unwrap();
    run(&system, &["--config", one_machine.to_str().unwrap(), "restore", target]);
    fs::rename(&one_machine, data.join("anima.toml")).unwrap();
    fs::write(data.join("sign-server/passphrase"), passphrase).unwrap();
    std::os::unix::fs::chown(data.join("sign-server/passphrase"), Some(owner), None).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(data.join("sign-server/passphrase"), mode).unwrap();

    system.up().await.unwrap();
    run(&system, &["fsck", "--deep"]);
    installs(&system, &["acorn", "beech", "cedar"]);
}
