//! The main line: from a commit to a package on a user's machine, and back.

use std::fs;

use anima_testkit::{ObjectStore, Root, SourcePackage};
use anima_types::{build_plan::BuildPlan, task::Kind};

use crate::{BUILD_LIMIT, said, system};

#[tokio::test]
async fn a_push_becomes_a_package_that_dnf_installs_with_every_signature_checked() {
    let system = system().await;
    let package = SourcePackage::tiny("acorn", "1").unwrap();

    let commit = system.push(&package, "s1").unwrap();
    let build = system.build_of("acorn", &commit).await.unwrap();
    system.released(build, BUILD_LIMIT).await.unwrap();
    let root = Root::new(system.master_url(), "seed-1").unwrap();
    root.dnf(&["install", "acorn"]).unwrap();

    assert_eq!(version_in(&root), "1\n");
}

#[tokio::test]
async fn packages_that_are_pushed_together_are_built_in_the_order_of_their_needs() {
    let system = system().await;
    let needy = SourcePackage::tiny_with("oak", "1", "BuildRequires: acorn >= 2").unwrap();
    let needed = SourcePackage::tiny("acorn", "2").unwrap();

    // The one that needs the other comes first: the order is not that of the pushes.
    let commit = system.push(&needy, "s1").unwrap();
    let other = system.push(&needed, "s1").unwrap();
    let build = system.build_of("oak", &commit).await.unwrap();
    let detail = system.released(build, BUILD_LIMIT).await.unwrap();

    assert_eq!(system.build_of("acorn", &other).await.unwrap(), build);
    let task = |name: &str| {
        let is_its =
            |task: &&anima_types::task::Task| task.kind == Kind::Build && task.package.as_deref() == Some(name);
        detail.tasks.iter().find(is_its).unwrap()
    };
    assert!(task("acorn").ended_at.unwrap() <= task("oak").started_at.unwrap());

    // Whoever wants to change the one is told what follows.
    let plan = system.anima(&["plan", "--platform", "seed-1", "--what-if", "acorn", "--json"]).unwrap();
    assert!(plan.status.success(), "{}", said(&plan));
    let plan: BuildPlan = serde_json::from_slice(&plan.stdout).unwrap();
    let planned = plan.packages.iter().map(|package| (package.package.as_str(), package.wave, package.is_dependant));
    assert_eq!(planned.collect::<Vec<_>>(), [("acorn", 0, false), ("oak", 1, true)]);
    assert!(plan.packages.iter().all(|package| package.is_measured && package.estimate_secs > 0.0));
    assert_eq!((plan.critical_path, plan.unknown), (vec!["acorn".to_string(), "oak".to_string()], vec![]));
}

#[tokio::test]
async fn a_package_may_need_another_that_was_released_before_it() {
    let system = system().await;
    let needed = SourcePackage::tiny("acorn", "1").unwrap();
    let commit = system.push(&needed, "s1").unwrap();
    let build = system.build_of("acorn", &commit).await.unwrap();
    system.released(build, BUILD_LIMIT).await.unwrap();

    let needy = SourcePackage::tiny_with("oak", "1", "BuildRequires: acorn\nRequires: acorn").unwrap();
    let commit = system.push(&needy, "s1").unwrap();
    let build = system.build_of("oak", &commit).await.unwrap();

    system.released(build, BUILD_LIMIT).await.unwrap();
}

#[tokio::test]
async fn an_update_reaches_users_and_a_release_that_is_taken_back_gives_them_what_they_had() {
    let system = system().await;
    let package = SourcePackage::tiny("acorn", "1").unwrap();
    let first = system.push(&package, "s1").unwrap();
    let build = system.build_of("acorn", &first).await.unwrap();
    system.released(build, BUILD_LIMIT).await.unwrap();
    let root = Root::new(system.master_url(), "seed-1").unwrap();
    root.dnf(&["install", "acorn"]).unwrap();
    let mirror = tempfile::tempdir_in(system.data()).unwrap();
    let server = ObjectStore::start().unwrap();
    let bucket = server.bucket("mirror").unwrap();
    let first_in_bucket = export_to_bucket(&system, &server);
    let first_export = export(&system, mirror.path());

    let spec = fs::read_to_string(package.path("acorn.spec")).unwrap();
    package.write("acorn.spec", spec.replace("Version: 1", "Version: 2").as_bytes()).unwrap();
    let second = system.push(&package, "s1").unwrap();
    let build = system.build_of("acorn", &second).await.unwrap();
    let detail = system.released(build, BUILD_LIMIT).await.unwrap();
    root.dnf(&["--refresh", "upgrade", "acorn"]).unwrap();
    let updated = version_in(&root);
    let second_export = export(&system, mirror.path());
    let from_mirror = Root::new(system.master_url(), "seed-1").unwrap();
    from_mirror.take_from("seed-1", mirror.path()).unwrap();
    from_mirror.dnf(&["install", "acorn"]).unwrap();
    let second_in_bucket = export_to_bucket(&system, &server);
    let again_in_bucket = export_to_bucket(&system, &server);
    let web = WebServer::start(&bucket.folder);
    let from_bucket = Root::new(system.master_url(), "seed-1").unwrap();
    from_bucket.take_from_url("seed-1", &format!("{}/dist/", web.url)).unwrap();
    from_bucket.dnf(&["install", "acorn"]).unwrap();
    let reverted = system.anima(&["release", "revert", &detail.build.releases[0].to_string()]).unwrap();
    root.dnf(&["--refresh", "distro-sync", "acorn"]).unwrap();

    assert!(reverted.status.success(), "{}", said(&reverted));
    assert_eq!((updated.as_str(), version_in(&root).as_str()), ("2\n", "1\n"));
    assert_eq!(version_in(&from_mirror), "2\n");
    assert_eq!(version_in(&from_bucket), "2\n");
    assert_eq!(first_in_bucket["copied_count"], first_in_bucket["file_count"]);
    assert_eq!(second_in_bucket["copied_count"], 4, "three files and the new package: {second_in_bucket}");
    assert_eq!(again_in_bucket["copied_count"], 0, "{again_in_bucket}");
    // On one file system nothing is copied; the second time only what the release changed is linked.
    assert_eq!(
        (&first_export["linked_count"], &first_export["copied_count"]),
        (&first_export["file_count"], &0.into())
    );
    assert_eq!(second_export["linked_count"], 4, "three files and the new package: {second_export}");
}

fn version_in(root: &Root) -> String {
    fs::read_to_string(root.path("root/usr/share/acorn/version")).unwrap()
}

/// Serves the files of a bucket to everybody, as the web server in front of an object store does.
struct WebServer {
    url: String,
    process: std::process::Child,
}

impl WebServer {
    fn start(folder: &std::path::Path) -> WebServer {
        let code = "import functools, http.server as h\n\
                    class H(h.SimpleHTTPRequestHandler):\n    log_message = lambda *_: None\n\
                    s = h.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(H, directory='.'))\n\
                    print(s.server_port, flush=True)\ns.serve_forever()";
        let mut command = std::process::Command::new("python3");
        command.args(["-c", code]).current_dir(folder).stdout(std::process::Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut port = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(process.stdout.take().unwrap()), &mut port).unwrap();
        WebServer { url: format!("http://127.0.0.1:{}", port.trim()), process }
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn export_to_bucket(system: &anima_testkit::System, server: &ObjectStore) -> serde_json::Value {
    let (address, file, endpoint) = (main_repository(system), server.credentials_file().unwrap(), server.endpoint());
    let target = ["repo", "export", &address, "s3://mirror/dist", "--endpoint", &endpoint];
    let key = ["--credentials-file", file.to_str().unwrap()];
    let output = system.anima(&[&["--json"], &target[..], &key].concat()).unwrap();
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The product's main repository.
fn main_repository(system: &anima_testkit::System) -> String {
    let repositories = system.anima(&["--json", "repo", "list", "--product", "seed-1"]).unwrap();
    let repositories: serde_json::Value = serde_json::from_slice(&repositories.stdout).unwrap();
    let main = repositories.as_array().unwrap().iter().find(|one| one["kind"] == "binary").unwrap();
    format!("seed-1/{}", main["path"].as_str().unwrap())
}

/// Exports it to a folder on the master's file system.
fn export(system: &anima_testkit::System, folder: &std::path::Path) -> serde_json::Value {
    let (address, artifacts) = (main_repository(system), system.data().join("master/artifacts"));
    let (folder, artifacts) = (folder.to_str().unwrap(), artifacts.to_str().unwrap());
    let output = system.anima(&["--json", "repo", "export", &address, folder, "--artifacts", artifacts]).unwrap();
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}
