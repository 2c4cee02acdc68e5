//! What modules hide, beside what dnf hides, with the real metadata in `../shared/data`; where that is not, the build script
//! says so, and this is left out.
#![cfg(shared_data)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anima_repodata::{Repository, Streams};

const REPOSITORIES: [&str; 2] = ["el-appstream-x86_64", "el-baseos-x86_64"];
const FORMAT: &str = "%{name}-%{epoch}:%{version}-%{release}.%{arch}";

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/repodata")
}

fn ours(enabled: &[&str]) -> BTreeSet<String> {
    let mut modules = Streams::default();
    let mut packages = Vec::new();
    for name in REPOSITORIES {
        let repository = Repository::open(&data().join(name)).unwrap();
        if let Ok(record) = repository.repomd.record("modules") {
            let file = std::fs::File::open(data().join(name).join(&record.location)).unwrap();
            modules.merge(Streams::read(&record.location, std::io::BufReader::new(file)).unwrap());
        }
        packages.extend(repository.read_packages().unwrap());
    }
    let filter = modules.filter(&enabled.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>()).unwrap();
    let text = |package: &anima_repodata::Package| {
        let nevra = &package.nevra;
        format!("{}-{}:{}-{}.{}", nevra.name, nevra.evr.epoch, nevra.evr.version, nevra.evr.release, nevra.arch)
    };
    let is_seen = |package: &&anima_repodata::Package| {
        let bears = |name: &str| filter.names.contains(name);
        let is_named = bears(&package.nevra.name) || package.provides.iter().any(|it| bears(&it.name));
        let nevra = text(package);
        filter.shown.contains(&nevra) || !(filter.hidden.contains(&nevra) || is_named)
    };
    packages.iter().filter(is_seen).map(text).collect()
}

/// dnf on a root of its own, in which the modules are enabled.
fn dnfs(enabled: &[&str]) -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mut config = format!(
        "[main]\nreposdir=/nonexistent\ncachedir={0}\nlogdir={0}\npersistdir={0}\nmodule_platform_id=platform:el9\ngpgcheck=0\n",
        path("cache")
    );
    for name in REPOSITORIES {
        let data = data().canonicalize().unwrap();
        config += &format!("[{name}]\nname={name}\nbaseurl=file://{}/{name}\n", data.display());
    }
    std::fs::write(path("dnf.conf"), config).unwrap();
    let dnf = |arguments: &[&str]| {
        let output = Command::new("dnf")
            .args(["--quiet", "--assumeyes", "--releasever=9", "--disableplugin=local"])
            .args([format!("--config={}", path("dnf.conf")), format!("--installroot={}", path("root"))])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    if !enabled.is_empty() {
        dnf(&[&["module", "enable"], enabled].concat());
    }
    dnf(&["repoquery", "--qf", FORMAT]).lines().map(str::to_owned).collect()
}

#[test]
fn of_a_real_distribution_dnf_sees_the_same_packages() {
    for enabled in [&[][..], &["nodejs:20", "php:8.2"], &["postgresql:16", "ruby:3.3"]] {
        let (ours, dnfs) = (ours(enabled), dnfs(enabled));

        assert!(dnfs.len() > 18_000, "{}", dnfs.len());
        let only = |one: &BTreeSet<String>, other| one.difference(other).take(5).cloned().collect::<Vec<_>>();
        assert_eq!((only(&ours, &dnfs), only(&dnfs, &ours)), (vec![], vec![]), "{enabled:?}");
    }
}
