//! A key's life as its owner sees it: made, audited, imported, rotated, revoked; and what users' dnf says of each.

use std::{fs, io::Write, os::unix::fs::PermissionsExt, path::Path, process::Command};

use anima_testkit::{Root, SourcePackage, System};
use anima_types::{
    key::{KeyDetail, Status},
    release,
};

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

/// Returns what rpm says of the keys that a root knows.
fn known_keys(root: &Root) -> usize {
    let mut rpm = Command::new("rpm");
    // dnf has put its database where this machine's rpm looks for one: below the home folder.
    rpm.env("HOME", root.path("home")).args(["-q", "gpg-pubkey", "--root"]).arg(root.path("root"));
    let said = String::from_utf8_lossy(&rpm.output().unwrap().stdout).into_owned();
    said.lines().filter(|line| line.starts_with("gpg-pubkey-")).count()
}

/// Lets a machine know one key alone, and no place to get another from.
fn trusts_only(root: &Root, key: &Path) {
    let file = root.path("repos/product.repo");
    let lines = fs::read_to_string(&file).unwrap();
    let lines = lines.lines().map(|line| match line.starts_with("gpgkey=") {
        true => format!("gpgkey=file://{}", key.display()),
        false => line.to_string(),
    });
    fs::write(&file, lines.collect::<Vec<_>>().join("\n")).unwrap();
}

#[tokio::test]
async fn what_was_released_is_signed_anew_with_the_new_key_in_one_release_and_machines_of_both_keys_follow() {
    let system = system().await;
    let folder = tempfile::tempdir().unwrap();
    for name in ["story-turn", "story-later"] {
        let package = SourcePackage::tiny(name, "1").unwrap();
        let commit = system.push(&package, "s1").unwrap();
        let build = system.build_of(name, &commit).await.unwrap();
        system.released(build, BUILD_LIMIT).await.unwrap();
    }
    let old = Root::new(system.master_url(), "seed-1").unwrap();
    old.dnf(&["install", "story-turn"]).unwrap();
    assert_eq!(known_keys(&old), 1);

    // Another key, and a plan that signs everything with it. The Sign Server dies before it has made the key.
    system.kill("sign-server").await.unwrap();
    let said = anima(&system, &["key", "rotate", "seed-1", "--resign"]);
    assert!(said.contains("seed-1-key2") && said.contains("is planning"), "{said}");
    let client = system.client();
    let plan = async || {
        let newest = client.releases(&release::ListQuery::default(), 1).await.ok()?.into_iter().next()?;
        client.release(newest.id).await.ok().filter(|it| it.status == release::Status::Planned)
    };
    let plan = system.wait(BUILD_LIMIT, plan).await.expect("it is planned");
    assert!(plan.gates.iter().all(|answer| !answer.is_shut()), "{:#?}", plan.gates);
    let names: Vec<&str> = plan.plan.iter().map(|entry| entry.nevra.name.as_str()).collect();
    assert!(names.contains(&"story-turn") && names.contains(&"story-later"), "{names:?}");
    assert!(plan.removals.is_empty() && plan.left_out.is_empty(), "{plan:#?}");
    // Until it is given to users, they see what they saw.
    old.dnf(&["repoquery", "--refresh", "story-later"]).unwrap();
    anima(&system, &["release", "commit", &plan.id.to_string()]);
    let released = async || client.release(plan.id).await.ok().filter(|it| it.status == release::Status::Released);
    let released = system.wait(BUILD_LIMIT, released).await.expect("users see it");
    let places = |release: &release::Release| {
        let places = release.plan.iter().map(|entry| entry.repository_path.clone());
        places.collect::<std::collections::BTreeSet<_>>()
    };
    let switched = released.snapshots.iter().map(|snapshot| snapshot.split('@').next().unwrap().to_string());
    assert_eq!(switched.collect::<std::collections::BTreeSet<_>>(), places(&plan), "all in one step");

    // A machine that has the old key alone takes the new one from where its repository file says, and goes on.
    let said = old.dnf(&["install", "--refresh", "story-later"]).unwrap();
    assert_eq!(known_keys(&old), 2, "{said}");
    // One that is told the new key alone needs no other.
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    anima(&system, &["key", "export", "seed-1", "--output", first.to_str().unwrap()]);
    anima(&system, &["key", "export", "seed-1-key2", "--output", second.to_str().unwrap()]);
    let new = Root::new(system.master_url(), "seed-1").unwrap();
    trusts_only(&new, &second);
    new.dnf(&["install", "story-turn", "story-later"]).unwrap();
    assert_eq!(known_keys(&new), 1);
    // With the old key alone nothing of it is taken any more; and what was there before is still what it was.
    let stale = Root::new(system.master_url(), "seed-1").unwrap();
    trusts_only(&stale, &first);
    assert!(stale.dnf(&["install", "story-turn"]).is_err());
    anima(&system, &["release", "revert", &plan.id.to_string()]);
    stale.dnf(&["install", "--refresh", "story-turn"]).unwrap();
    assert!(anima(&system, &["key", "audit"]).contains("no other is known to one alone"));
}

/// Returns what gpg says of a public key.
fn shown(folder: &Path, public: &str) -> String {
    let path = folder.join("shown.asc");
    fs::write(&path, public).unwrap();
    let mut gpg = Command::new("gpg");
    gpg.args(["--batch", "--with-colons", "--show-keys", "--homedir"]).arg(folder.join("gpg")).arg(path);
    String::from_utf8_lossy(&gpg.output().unwrap().stdout).into_owned()
}
