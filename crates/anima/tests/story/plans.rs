//! Release plans, as people work with them: a copy into a product that asks a second person, changed, approved, scheduled,
//! given to users and taken back; a removal that would break what others need; an import.

use std::{fs, os::unix::fs::MetadataExt, process::Command};

use anima_testkit::{Browser, Root, SourcePackage, System};
use anima_types::{
    Timestamp,
    id::ReleaseId,
    release::{Release, Status},
};

use crate::{
    BUILD_LIMIT,
    people::{PASSWORD, shot, sign_in},
    said, system,
};

/// Waits until a release stands so.
pub async fn stands(system: &System, id: ReleaseId, wanted: Status) -> Release {
    let client = system.client();
    let look = async || client.release(id).await.ok().filter(|release| release.status == wanted);
    match system.wait(BUILD_LIMIT, look).await {
        Some(release) => release,
        None => panic!("release {id} is not {wanted:?}: {:#?}", client.release(id).await),
    }
}

/// Runs a command that begins a release, and returns the release once it is planned.
pub async fn planned(system: &System, arguments: &[&str]) -> Release {
    let output = system.anima(&[&["--json"], arguments].concat()).unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    // An import says what its task does before it shows the release.
    let text = String::from_utf8(output.stdout).unwrap();
    let from = text.find("{\n").unwrap_or_else(|| panic!("{text}"));
    let release: Release = serde_json::from_str(&text[from..]).unwrap_or_else(|error| panic!("{error}: {text}"));
    stands(system, release.id, Status::Planned).await
}

/// Runs a command that has to succeed, and returns what it said.
pub fn ok(system: &System, arguments: &[&str]) -> String {
    let output = system.anima(arguments).unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

/// Runs a command that must not succeed, and returns what it said.
pub fn refused(system: &System, arguments: &[&str]) -> String {
    let output = system.anima(arguments).unwrap();
    assert!(!output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

async fn push(system: &System, package: &SourcePackage) {
    let commit = system.push(package, "s1").unwrap();
    let build = system.build_of(package.name(), &commit).await.unwrap();
    system.released(build, BUILD_LIMIT).await.unwrap();
}

/// The file of an advisory about one package.
fn advisory(name: &str, version_and_release: &str) -> String {
    let (version, release) = version_and_release.split_once('-').unwrap();
    format!(
        "<?xml version=\"1.0\"?>\n<updates><update from=\"story\" status=\"final\" type=\"security\" version=\"1\">\
         <id>STORY-2026:1</id><title>a story</title><issued date=\"2026-11-25 00:00:00\"/><pkglist><collection short=\"s\">\
         <name>s</name><package name=\"{name}\" version=\"{version}\" release=\"{release}\" epoch=\"0\" arch=\"noarch\">\
         <filename>{name}-{version_and_release}.noarch.rpm</filename></package></collection></pkglist></update></updates>\n"
    )
}

#[tokio::test]
async fn a_plan_is_changed_approved_scheduled_given_to_users_and_taken_back() {
    let system = system().await;
    push(&system, &SourcePackage::tiny("acorn", "1").unwrap()).await;
    push(&system, &SourcePackage::tiny_with("oak", "1", "Requires: acorn = 1\n").unwrap()).await;

    // A removal that takes away what another package needs is blocked, with the chain.
    let removal = planned(&system, &["release", "remove", "acorn", "--product", "seed-1"]).await;
    let shown = ok(&system, &["release", "show", &removal.id.to_string()]);
    assert!(shown.contains("oak-1-1") && shown.contains("needs acorn = 1"), "{shown}");
    assert!(refused(&system, &["release", "commit", &removal.id.to_string()]).contains("closure"), "{shown}");
    ok(&system, &["release", "abandon", &removal.id.to_string()]);

    // Advisories alone go to users by a plan of their own.
    let folder = tempfile::tempdir().unwrap();
    let updateinfo = folder.path().join("updateinfo.xml").display().to_string();
    fs::write(&updateinfo, advisory("acorn", "1-1.s1")).unwrap();
    let base_os = format!("seed-1/BaseOS/{}", std::env::consts::ARCH);
    ok(&system, &["repo", "attach", &base_os, "updateinfo", &updateinfo]);
    let advisories = planned(&system, &["release", "attachments", "seed-1"]).await;
    assert_eq!((advisories.plan.len(), advisories.attachments.len()), (0, 1), "{advisories:#?}");
    ok(&system, &["release", "commit", &advisories.id.to_string()]);
    stands(&system, advisories.id, Status::Released).await;
    let user = Root::new(system.master_url(), "seed-1").unwrap();
    let listed = user.dnf(&["repoquery", "--advisory=STORY-2026:1", "--queryformat=%{name}"]).unwrap();
    assert!(listed.lines().any(|line| line == "acorn"), "{listed}");

    // A copy into a product with another key, two repositories and a second pair of eyes.
    let create =
        ["product", "create", "stable", "--repository", "BaseOS", "--repository", "AppStream", "--arch", "x86_64"];
    ok(&system, &[&create[..], &["--platform", "seed-1", "--approvals", "1"]].concat());
    let copy = planned(&system, &["release", "copy", "seed-1", "--product", "stable"]).await;
    let id = copy.id.to_string();
    let at = |release: &Release, name: &str| {
        let entries = release.plan.iter().filter(|entry| entry.nevra.name == name && entry.nevra.arch != "src");
        entries.map(|entry| entry.repository_path.clone()).collect::<Vec<_>>()
    };
    assert_eq!(at(&copy, "acorn"), ["BaseOS/x86_64"], "{copy:#?}");
    assert!(copy.gates.iter().all(|answer| !answer.is_shut()), "{:#?}", copy.gates);
    ok(&system, &["release", "edit", &id, "acorn", "--to", "AppStream", "--reason", "only developers eat acorns"]);
    let edited = stands(&system, copy.id, Status::Planned).await;
    assert_eq!(at(&edited, "acorn"), ["AppStream/x86_64"], "{edited:#?}");
    assert!(refused(&system, &["release", "commit", &id]).contains("0 of 1 approvals"));
    ok(&system, &["release", "approve", &id, "--reason", "read it"]);
    let soon = Timestamp(jiff::Timestamp::now().as_microsecond()).plus_secs(2).to_string();
    ok(&system, &["release", "schedule", &id, "--at", &soon]);
    let released = stands(&system, copy.id, Status::Released).await;
    assert_eq!(released.committed_by.as_deref(), Some("admin"));

    // Users of the product have it, from where it was put, with the product's own key.
    let root = Root::on(system.master_url(), "stable", "seed-1").unwrap();
    root.dnf(&["install", "oak"]).unwrap();
    assert_eq!(fs::read_to_string(root.path("root/usr/share/acorn/version")).unwrap(), "1\n");
    let listed = root.dnf(&["repoquery", "--queryformat", "%{name} %{repoid}", "acorn"]).unwrap();
    assert!(listed.contains("acorn stable-AppStream-x86_64") || listed.contains("AppStream"), "{listed}");
    ok(&system, &["release", "revert", &id]);
    let gone = root.dnf(&["--refresh", "repoquery", "acorn"]);
    assert!(gone.as_ref().map_or(true, |text| !text.contains("acorn-")), "{gone:?}");

    // Who did what and why is on record.
    let events = ok(&system, &["event", "list"]);
    for words in ["only developers eat acorns", "approved it (read it)", "scheduled it for", "took it back"] {
        assert!(events.contains(words), "{words} is not in\n{events}");
    }

    // The same packages once more, as if they came from somebody else's repository.
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key").display().to_string();
    let address = format!("{}/repos/seed-1/RPM-GPG-KEY", system.master_url().trim_end_matches('/'));
    assert!(Command::new("curl").args(["-sSf", "-o", &key, &address]).status().unwrap().success());
    let source = format!("{}/repos/seed-1/BaseOS/x86_64", system.master_url().trim_end_matches('/'));
    let import =
        ["repo", "import", &source, "--product", "stable", "--repository", "BaseOS", "--key", &key, "--signed-index"];
    let import = planned(&system, &import).await;
    assert_eq!(at(&import, "acorn"), ["BaseOS/x86_64"], "{import:#?}");
    let id = import.id.to_string();
    press_twice(&system, &id).await;
    let released = stands(&system, import.id, Status::Released).await;
    assert_eq!(released.committed_by.as_deref(), Some("rita"));
    let root = Root::on(system.master_url(), "stable", "seed-1").unwrap();
    root.dnf(&["install", "acorn"]).unwrap();

    // A package that nobody here built, and whose own signature nobody checked, is signed only where the key's policy says so.
    let foreign = folder.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::copy(of_the_seed("seed-release-"), foreign.join("seed-release.rpm")).unwrap();
    assert!(Command::new("createrepo_c").args(["-q".as_ref(), foreign.as_os_str()]).status().unwrap().success());
    let foreign = foreign.display().to_string();
    // It says so by its exit code where it has seen that by then.
    let import = ["--json", "repo", "import", &foreign, "--product", "stable", "--repository", "BaseOS"];
    let import = String::from_utf8(system.anima(&import).unwrap().stdout).unwrap();
    let from = import.find("{\n").unwrap_or_else(|| panic!("{import}"));
    let import: Release = serde_json::from_str(&import[from..]).unwrap();
    let failed = stands(&system, import.id, Status::Failed).await;
    assert!(failed.summary.contains("no key was named there"), "{}", failed.summary);
    let policy = folder.path().join("policy.toml").display().to_string();
    let before = ok(&system, &["key", "policy", "stable"]);
    assert!(before.contains("imports = \"verified\""), "{before}");
    fs::write(&policy, before.replace("\"verified\"", "\"any\"")).unwrap();
    ok(&system, &["key", "policy", "stable", "--set", &policy]);
    ok(&system, &["release", "replan", &import.id.to_string()]);
    // And where the one on the Sign Server's own machine says so, too.
    let failed = stands(&system, import.id, Status::Failed).await;
    assert!(failed.summary.starts_with("Failed: signing: could not sign"), "{}", failed.summary);
    let own = system.data().join("sign-server/policy.toml");
    fs::write(&own, "[keys.stable.policy.requires]\nimports = \"any\"\n").unwrap();
    let folder = fs::metadata(own.parent().unwrap()).unwrap();
    std::os::unix::fs::chown(&own, Some(folder.uid()), Some(folder.gid())).unwrap();
    system.kill("sign-server").await.unwrap();
    ok(&system, &["release", "replan", &import.id.to_string()]);
    let planned = stands(&system, import.id, Status::Planned).await;
    assert_eq!(at(&planned, "seed-release"), ["BaseOS/x86_64"], "{planned:#?}");
}

/// A release manager approves a plan and gives it to users, in a browser.
async fn press_twice(system: &System, release: &str) {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("password");
    fs::write(&file, PASSWORD).unwrap();
    ok(system, &["account", "create", "rita", "--password-file", file.to_str().unwrap()]);
    ok(system, &["right", "give", "release-manager", "--to", "rita", "--on", "product:stable"]);
    let browser = Browser::open(1280, 900).await.unwrap();
    sign_in(&browser, system, "rita").await;
    let page = format!("/releases/{release}");
    for act in ["approve", "commit"] {
        browser.go(&format!("{}{page}", system.master_url())).await.unwrap();
        let form = format!("form[action='{page}/{act}']");
        // A form that asks something is folded.
        let open = format!(
            "const form = document.querySelector(\"{form}\"); if (form.closest('details')) form.closest('details').open = true; \
             const reason = form.querySelector('[name=reason]'); if (reason) reason.value = 'they are ours';"
        );
        browser.run(&open).await.unwrap();
        shot(&browser, &format!("{page}/{act}"), 1280).await;
        browser.click(&format!("{form} button")).await.unwrap();
        let said = if act == "approve" { "1 of 1 approvals" } else { "decided by rita" };
        browser.wait_for_text("#head", said, BUILD_LIMIT).await.unwrap();
    }
    for page in
        [page.as_str(), "/releases", "/keys", "/keys/1", "/packages?q=acorn", "/repositories", "/repositories/1"]
    {
        browser.go(&format!("{}{page}", system.master_url())).await.unwrap();
        shot(&browser, page, 1280).await;
    }
    browser.close().await.unwrap();
}

/// Returns a package of Seed Linux whose file's name begins so.
fn of_the_seed(name: &str) -> std::path::PathBuf {
    let mut folders = vec![anima_testkit::seed().unwrap().join("seed-1")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap().to_string_lossy().starts_with(name) {
                return path;
            }
        }
    }
    panic!("Seed Linux has no {name}");
}
