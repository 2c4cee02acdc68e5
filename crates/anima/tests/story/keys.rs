//! A key's life as its owner sees it: made, audited, imported, rotated, revoked; and what users' dnf says of each.

use std::{fs, io::Write, os::unix::fs::PermissionsExt, path::Path, process::Command};

use anima_testkit::{Root, SourcePackage, System};
use anima_types::key::{KeyDetail, Status};

use crate::{BUILD_LIMIT, said, system};

/// Runs the program, which has to end well, and returns what it printed.
fn anima(system: &System, arguments: &[&str]) -> String {
    let output = system.anima(arguments).unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn key(system: &System, name: &str) -> KeyDetail {
    serde_json::from_str(&anima(system, &["key", "show", name, "--json"])).unwrap()
}

/// Has gpg make a key, and returns its file.
fn made_by_gpg(folder: &Path) -> std::path::PathBuf {
    let home = folder.join("gpg");
    fs::create_dir(&home).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
    let gpg = |arguments: &[&str]| {
        let mut command = Command::new("gpg");
        command.args(["--batch", "--pinentry-mode", "loopback", "--passphrase", "old words", "--homedir"]).arg(&home);
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        output.stdout
    };
    gpg(&["--quick-gen-key", "Imported <imported@example.org>", "ed25519", "sign", "3y"]);
    let file = folder.join("secret.asc");
    fs::write(&file, gpg(&["--armor", "--export-secret-keys"])).unwrap();
    let _ = Command::new("gpgconf").arg("--homedir").arg(&home).args(["--kill", "all"]).output();
    file
}

#[tokio::test]
async fn a_product_goes_from_its_first_key_to_an_imported_one_and_users_follow() {
    let system = system().await;
    let folder = tempfile::tempdir().unwrap();
    let package = SourcePackage::tiny("story-key", "1").unwrap();
    let commit = system.push(&package, "s1").unwrap();
    let build = system.build_of("story-key", &commit).await.unwrap();
    system.released(build, BUILD_LIMIT).await.unwrap();
    let root = Root::new(system.master_url(), "seed-1").unwrap();
    root.dnf(&["install", "story-key"]).unwrap();

    // The journal and the master know the same, until somebody's hand is in it.
    let report = anima(&system, &["key", "audit"]);
    assert!(report.contains("no other is known to one alone"), "{report}");
    let journal = system.data().join("sign-server/journal.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let mut line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    line["bytes_sha256"] = "0".repeat(64).into();
    fs::OpenOptions::new().append(true).open(&journal).unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    let differs = system.anima(&["key", "audit"]).unwrap();
    assert_eq!(differs.status.code(), Some(9), "{}", said(&differs));
    assert!(said(&differs).contains("journal"), "{}", said(&differs));
    fs::write(&journal, text).unwrap();

    // Another key comes, which somebody made elsewhere.
    let file = made_by_gpg(folder.path());
    let passphrase = folder.path().join("passphrase");
    fs::write(&passphrase, "old words\n").unwrap();
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).unwrap();
    let (file, passphrase) = (file.to_str().unwrap(), passphrase.to_str().unwrap());
    anima(
        &system,
        &["key", "import", file, "--name", "imported", "--product", "seed-1", "--passphrase-file", passphrase],
    );
    let made = system.wait(BUILD_LIMIT, async || (key(&system, "imported").key.status == Status::Active).then_some(()));
    made.await.expect("the Sign Server shows that it has the key");
    assert_eq!(key(&system, "seed-1").key.status, Status::Retired);
    let again = SourcePackage::tiny("story-key", "2").unwrap();
    fs::copy(again.path("story-key.spec"), package.path("story-key.spec")).unwrap();
    let commit = system.push(&package, "s1").unwrap();
    let build = system.build_of("story-key", &commit).await.unwrap();
    system.released(build, BUILD_LIMIT).await.unwrap();

    let detail = key(&system, "imported");
    assert_eq!(detail.products, ["seed-1"]);
    assert!(detail.newest.iter().any(|record| record.name.starts_with("story-key-2-")), "{:?}", detail.newest);
    root.dnf(&["upgrade", "story-key", "--refresh"]).unwrap();
    assert_eq!(fs::read_to_string(root.path("root/usr/share/story-key/version")).unwrap(), "2\n");
    assert!(anima(&system, &["key", "audit"]).contains("no other is known to one alone"));

    // The first key is said to be stolen.
    anima(&system, &["key", "revoke", "seed-1", "--why", "compromised", "--reason", "a disk was stolen"]);
    let revoked = || {
        let url = format!("{}/repos/seed-1/RPM-GPG-KEY-revoked", system.master_url());
        Command::new("curl").args(["-sSf", &url]).output().unwrap()
    };
    let published = system.wait(BUILD_LIMIT, async || {
        let text = key(&system, "seed-1").key.public_key?;
        let said = shown(folder.path(), &text);
        said.contains("pub:r:").then_some(())
    });
    published.await.expect("its public half says that it is revoked");
    assert!(revoked().status.success());
}

/// Returns what gpg says of a public key.
fn shown(folder: &Path, public: &str) -> String {
    let path = folder.join("shown.asc");
    fs::write(&path, public).unwrap();
    let mut gpg = Command::new("gpg");
    gpg.args(["--batch", "--with-colons", "--show-keys", "--homedir"]).arg(folder.join("gpg")).arg(path);
    String::from_utf8_lossy(&gpg.output().unwrap().stdout).into_owned()
}
