//! What users check: signatures; what packagers wait for: buildroots.

use std::{fs, process::Command};

use anima_testkit::{Root, SourcePackage};
use anima_types::{build::BuildDetail, task, work::Outcome};

use crate::{BUILD_LIMIT, said, system};

#[tokio::test]
async fn a_second_build_with_the_same_dependencies_mounts_layers_that_are_there() {
    let system = system().await;
    let package = SourcePackage::tiny("story-again", "1").unwrap();
    let first = system.push(&package, "s1").unwrap();
    let build = system.build_of("story-again", &first).await.unwrap();
    system.released(build, BUILD_LIMIT).await.unwrap();

    let again = SourcePackage::tiny("story-again", "2").unwrap();
    fs::copy(again.path("story-again.spec"), package.path("story-again.spec")).unwrap();
    let second = system.push(&package, "s1").unwrap();
    let build = system.build_of("story-again", &second).await.unwrap();
    let detail = system.released(build, BUILD_LIMIT).await.unwrap();

    let task = build_task(&detail, "story-again");
    let outcome: Outcome = serde_json::from_value(task.result.clone().expect("it has a result")).unwrap();
    let Outcome::Build(outcome) = outcome else { panic!("{outcome:#?}") };
    assert!(outcome.layers_hit, "{task:#?}");
    assert!(task.phases.iter().any(|phase| phase.name == "buildroot"), "{task:#?}");
    let log = log_of(&system, task.id);
    assert!(log.lines().any(|line| line.to_lowercase().contains("buildroot")), "{log}");
    let root = Root::new(system.master_url(), "seed-1").unwrap();
    root.dnf(&["install", "story-again", "coreutils"]).unwrap();
    assert_eq!(root.run(&["cat", "/usr/share/story-again/version"]).unwrap(), "2\n");
}

#[tokio::test]
async fn an_edited_repomd_and_an_unsigned_package_are_refused_by_dnf() {
    let system = system().await;
    let package = SourcePackage::tiny("story-signed", "1").unwrap();
    let commit = system.push(&package, "s1").unwrap();
    let build = system.build_of("story-signed", &commit).await.unwrap();
    system.released(build, BUILD_LIMIT).await.unwrap();

    // A mirror of the released repository that somebody has their hands in.
    let mirror = Mirror::of(&system);
    let good = mirror.root(system.master_url());
    good.dnf(&["install", "story-signed"]).unwrap();

    mirror.edit("repodata/repomd.xml", |text| text.replacen("<revision>", "<revision>1", 1));
    let refused = mirror.root(system.master_url()).dnf(&["install", "story-signed"]).unwrap_err().to_string();
    assert!(refused.contains("signature"), "{refused}");

    mirror.replace_by_unsigned(&system, &mirror.root(system.master_url()));
}

/// The product's binary repository, exported to a folder.
struct Mirror {
    folder: tempfile::TempDir,
}

impl Mirror {
    fn of(system: &anima_testkit::System) -> Mirror {
        let mirror = Mirror { folder: tempfile::tempdir().unwrap() };
        let base = base_url(system.master_url());
        let repository = base.split_once("/repos/").unwrap().1.trim_end_matches('/');
        let folder = mirror.folder.path().to_str().unwrap();
        let export = |arguments: &[&str]| -> serde_json::Value {
            let output =
                system.anima(&[&["--json", "repo", "export", repository, folder], arguments].concat()).unwrap();
            assert!(output.status.success(), "{}", said(&output));
            serde_json::from_slice(&output.stdout).unwrap()
        };

        let first = export(&[]);
        let again = export(&[]);

        assert!(first["copied_count"].as_u64() >= Some(4), "three files and a package: {first}");
        assert_eq!((&again["copied_count"], &again["file_count"]), (&0.into(), &first["file_count"]));
        mirror
    }

    fn edit(&self, name: &str, change: impl FnOnce(String) -> String) {
        let path = self.folder.path().join(name);
        let old = fs::read_to_string(&path).unwrap();
        let new = change(old.clone());
        assert_ne!(old, new);
        fs::write(path, new).unwrap();
    }

    /// A user's root that takes the product from this mirror, with the checks that the product's file asks for.
    fn root(&self, master_url: &str) -> Root {
        let root = Root::new(master_url, "seed-1").unwrap();
        root.take_from("seed-1", self.folder.path()).unwrap();
        root
    }

    /// Takes the build's own, unsigned file in place of the signed one, in metadata of our own: what is left is the
    /// check of the package itself.
    fn replace_by_unsigned(&self, system: &anima_testkit::System, root: &Root) {
        let unsigned = self.unsigned_package(system);
        let packages = find(self.folder.path(), ".rpm");
        fs::copy(unsigned, &packages[0]).unwrap();
        fs::remove_dir_all(self.folder.path().join("repodata")).unwrap();
        let status = Command::new("createrepo_c").arg("--quiet").arg(self.folder.path()).status().unwrap();
        assert!(status.success());
        let file = root.path("repos/product.repo");
        let text = fs::read_to_string(&file).unwrap().replace("repo_gpgcheck=1", "repo_gpgcheck=0");
        fs::write(&file, text).unwrap();

        let refused = root.dnf(&["install", "story-signed"]).unwrap_err().to_string();
        assert!(refused.contains("is not signed"), "{refused}");
    }

    fn unsigned_package(&self, system: &anima_testkit::System) -> std::path::PathBuf {
        let path = self.folder.path().join("unsigned.rpm");
        let base = format!("{}/builds/1/repo/seed-1/{}/", system.master_url(), std::env::consts::ARCH);
        let href =
            hrefs(&primary_of(&base)).into_iter().find(|href| href.contains("story-signed")).expect("it is there");
        let status =
            Command::new("curl").args(["-sSf", "-o"]).arg(&path).arg(format!("{base}{href}")).status().unwrap();
        assert!(status.success());
        let moved = tempfile::NamedTempFile::new().unwrap().keep().unwrap().1;
        fs::copy(&path, &moved).unwrap();
        fs::remove_file(path).unwrap();
        moved
    }
}

/// Returns the open list of packages of a repository.
fn primary_of(base: &str) -> String {
    let shell = |script: String| {
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let repomd = shell(format!("curl -sSf {base}repodata/repomd.xml"));
    let primary = hrefs(&repomd).into_iter().find(|href| href.contains("primary")).expect("it has a list");
    shell(format!("curl -sSf {base}{primary} | zcat"))
}

fn base_url(master_url: &str) -> String {
    let file = Command::new("curl").args(["-sSf", &format!("{master_url}/repos/seed-1/seed-1.repo")]).output().unwrap();
    let text = String::from_utf8(file.stdout).unwrap();
    let base = text.lines().find_map(|line| line.strip_prefix("metalink=")).expect("it has an address");
    let base = base.trim_end_matches("metalink.xml").replace("$basearch", std::env::consts::ARCH);
    format!("{}/", base.trim_end_matches('/'))
}

fn hrefs(xml: &str) -> Vec<String> {
    xml.split("<location href=\"").skip(1).filter_map(|rest| rest.split('"').next().map(str::to_string)).collect()
}

fn find(folder: &std::path::Path, suffix: &str) -> Vec<std::path::PathBuf> {
    let output = Command::new("find").arg(folder).args(["-name", &format!("*{suffix}")]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(Into::into).collect()
}

fn build_task<'a>(detail: &'a BuildDetail, package: &str) -> &'a task::Task {
    let is_its = |task: &&task::Task| task.kind == task::Kind::Build && task.package.as_deref() == Some(package);
    detail.tasks.iter().find(is_its).unwrap_or_else(|| panic!("{package} has no build task: {detail:#?}"))
}

fn log_of(system: &anima_testkit::System, task: anima_types::id::TaskId) -> String {
    let output = system.anima(&["task", "log", &task.to_string()]).unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
