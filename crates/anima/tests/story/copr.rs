//! `dnf copr`, the real plugin of dnf-plugins-core, against a product: enabled, listed, searched, installed from, removed.

use std::fs;

use anima_testkit::{Root, SourcePackage};

use crate::{BUILD_LIMIT, system};

/// The section of the plugin's configuration that names our service.
const HUB: &str = "ours";

#[tokio::test]
async fn dnf_copr_enables_searches_lists_and_removes_a_product_and_installs_from_it_with_signatures_checked() {
    let system = system().await;
    let package = SourcePackage::tiny("acorn", "1").unwrap();
    let commit = system.push(&package, "s1").unwrap();
    let build = system.build_of("acorn", &commit).await.unwrap();
    system.released(build, BUILD_LIMIT).await.unwrap();
    let root = Root::new(system.master_url(), "seed-1").unwrap();
    // What is installed below comes by the plugin's file alone.
    fs::remove_file(root.path("repos/product.repo")).unwrap();
    let plugins = root.path("plugins");
    fs::create_dir_all(plugins.join("copr.d")).unwrap();
    let (host, port) =
        system.master_url().strip_prefix("http://").unwrap().trim_end_matches('/').split_once(':').unwrap();
    let hub = format!("[{HUB}]\nhostname = {host}\nprotocol = http\nport = {port}\n");
    fs::write(plugins.join("copr.d/ours.conf"), hub).unwrap();
    let configuration = format!("--setopt=pluginconfpath={}", plugins.display());
    let copr = |arguments: &[&str]| root.dnf(&[&[configuration.as_str(), "copr"], arguments].concat());
    let chroot = format!("seed-1-{}", std::env::consts::ARCH);

    let found = copr(&["search", "--hub", HUB, "seed"]).unwrap();
    let of_owner = copr(&["list", "--hub", HUB, "--available-by-user", "anima"]).unwrap();
    let absent = copr(&["enable", &format!("{HUB}/anima/nothing"), &chroot]).unwrap_err().to_string();
    let elsewhere = copr(&["enable", &format!("{HUB}/anima/seed-1"), "seed-1-s390x"]).unwrap_err().to_string();
    copr(&["enable", &format!("{HUB}/anima/seed-1"), &chroot]).unwrap();
    let enabled = copr(&["list", "--enabled"]).unwrap();
    let file = fs::read_to_string(root.path(&format!("repos/_copr:{host}:anima:seed-1.repo"))).unwrap();
    root.dnf(&["install", "acorn"]).unwrap();
    copr(&["remove", &format!("{HUB}/anima/seed-1")]).unwrap();
    let left = copr(&["list"]).unwrap();

    assert!(found.contains("anima/seed-1 : "), "{found}");
    assert!(of_owner.contains("anima/seed-1 : "), "{of_owner}");
    assert!(absent.contains("Project anima/nothing does not exist."), "{absent}");
    assert!(elsewhere.contains(&format!("Available repositories: '{chroot}'")), "{elsewhere}");
    assert!(enabled.contains(&format!("{host}/anima/seed-1")), "{enabled}");
    assert!(file.lines().filter(|line| line.starts_with('[')).count() >= 2, "{file}");
    for check in ["\ngpgcheck=1\n", "\nrepo_gpgcheck=1\n"] {
        assert_eq!(file.matches(check).count(), file.matches("\nmetalink=").count(), "{file}");
    }
    assert_eq!(fs::read_to_string(root.path("root/usr/share/acorn/version")).unwrap(), "1\n");
    assert!(!left.contains("anima/seed-1"), "{left}");
}
