//! An upgrade that the boot loader tries once: killed before any step, what starts next is one whole system.

mod common;

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
};

use anima_elevate_act::{Elevation, Error, How, Manifest, Phase};
use common::{World, act_with, helper};

const KILLED: i32 = 9;
const OPTIONS: &str = "root=/dev/a ro";

/// A machine with a boot loader's entries in its root.
fn world() -> World {
    let world = World::in_memory();
    furnish(&world.path("root"));
    world
}

fn furnish(root: &Path) {
    let boot = root.join("boot");
    for folder in ["loader/entries", "grub2"] {
        fs::create_dir_all(boot.join(folder)).unwrap();
    }
    fs::write(boot.join("vmlinuz-1"), "kernel").unwrap();
    fs::write(boot.join("initramfs-1.img"), "initramfs").unwrap();
    let entry = format!("title Seed 1\nversion 1\nlinux /vmlinuz-1\ninitrd /initramfs-1.img\noptions {OPTIONS}\n");
    fs::write(boot.join("loader/entries/seed-1.conf"), entry).unwrap();
    let mut block = b"# GRUB Environment Block\nsaved_entry=seed-1\n".to_vec();
    block.resize(1024, b'#');
    fs::write(boot.join("grub2/grubenv"), block).unwrap();
}

/// Everything but the times of what the boot loader's files are in, which are written anew.
fn manifest(root: &Path) -> Manifest {
    let mut manifest = common::manifest(root);
    for (path, entry) in &mut manifest.entries {
        if path.starts_with("boot") {
            entry.modified = (0, 0);
        }
    }
    manifest
}

/// The system alone.
fn system(root: &Path) -> Manifest {
    let mut manifest = manifest(root);
    manifest.entries.retain(|path, _| !path.starts_with("boot"));
    manifest
}

/// Starts what GRUB would start, and does what the initramfs does. Returns the entry's name.
fn start(root: &Path, state: &Path) -> String {
    let path = root.join("boot/grub2/grubenv");
    let text = fs::read_to_string(&path).unwrap();
    let value =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned);
    let entry = value("next_entry").or_else(|| value("saved_entry")).unwrap();
    let mut left = text.replace(&format!("next_entry={entry}\n"), "");
    left.push_str(&"#".repeat(1024 - left.len()));
    fs::remove_file(&path).unwrap();
    fs::write(&path, left).unwrap();
    let conf = fs::read_to_string(root.join(format!("boot/loader/entries/{entry}.conf"))).unwrap();
    let line =
        |key: &str| conf.lines().filter_map(|line| line.strip_prefix(key)).map(str::to_owned).collect::<Vec<_>>();
    for file in line("linux ").iter().chain(&line("initrd ")) {
        assert!(root.join("boot").join(file.trim_start_matches('/')).exists(), "{entry} needs {file}");
    }
    Elevation::open(root, state).unwrap().at_boot(&line("options ")[0], &mut ()).unwrap();
    entry
}

fn phase(root: &Path, state: &Path) -> Option<Phase> {
    Elevation::open(root, state).unwrap().status().unwrap().phase
}

#[test]
fn killed_before_any_step_the_next_start_is_one_whole_system_and_the_one_after_it_the_old_one() {
    let world = world();
    let state = world.path("state");
    world.rehearse();
    let old = manifest(&world.path("root"));
    let old_system = system(&world.path("root"));
    let root = world.copy();
    let output = act_with(&["layer", "try"], "act", &root, &state, 0);
    assert!(output.status.success(), "{output:?}");
    let step_count: u64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
    let new = system(&root);
    assert!(!old_system.differences(&new).is_empty());
    let (mut new_count, mut old_count) = (0, 0);

    // The last time it is not killed at all.
    for kill_at in 1..=step_count + 1 {
        let root = world.copy();
        let output = act_with(&["layer", "try"], "act", &root, &state, kill_at);
        assert_eq!(output.status.signal(), (kill_at <= step_count).then_some(KILLED), "{output:?}");

        let entry = start(&root, &state);
        let expected = if entry == "anima-elevate-new" { &new } else { &old_system };
        assert_eq!(expected.differences(&system(&root)), Vec::<PathBuf>::new(), "{entry}, killed at {kill_at}");
        *(if entry == "anima-elevate-new" { &mut new_count } else { &mut old_count }) += 1;

        // Nobody said that it is well.
        start(&root, &state);
        assert_eq!(old_system.differences(&system(&root)), Vec::<PathBuf>::new(), "killed at {kill_at}");
        if phase(&root, &state).is_some_and(|phase| phase != Phase::Restored) {
            Elevation::open(&root, &state).unwrap().rollback(&mut ()).unwrap();
        }
        if phase(&root, &state).is_some() {
            assert_eq!(old.differences(&manifest(&root)), Vec::<PathBuf>::new(), "killed at {kill_at}");
        }
    }
    assert!(new_count == 1 && old_count > 50, "{new_count} {old_count}");
}

#[test]
fn what_is_well_is_kept_and_can_still_be_taken_back() {
    let world = world();
    let (root, state) = (world.path("root"), world.path("state"));
    let old = manifest(&root);
    world.rehearse();
    let elevation = world.elevation();
    let early = elevation.confirm(&mut ()).unwrap_err();
    assert!(matches!(early, Error::Phase { verb: "confirm", .. }), "{early}");
    let returner = Some(vec![helper().display().to_string(), "at-boot".to_owned()]);
    elevation.act(&How { returner, ..How::default() }, &mut ()).unwrap();
    assert_eq!(phase(&root, &state), Some(Phase::Trying));
    assert!(elevation.finish(&mut ()).unwrap_err().to_string().contains("restart"));
    assert_eq!(start(&root, &state), "anima-elevate-new");
    let new = system(&root);

    elevation.confirm(&mut ()).unwrap();

    assert_eq!(phase(&root, &state), Some(Phase::Done));
    for _ in 0..2 {
        assert_eq!(start(&root, &state), "seed-1");
        assert_eq!(new.differences(&system(&root)), Vec::<PathBuf>::new());
    }
    elevation.rollback(&mut ()).unwrap();
    assert_eq!(old.differences(&manifest(&root)), Vec::<PathBuf>::new());
}

#[test]
fn a_full_boot_is_told_of_and_nothing_is_changed() {
    let world = World::in_memory_on(|root, mounts| {
        mounts.add(&["-t", "tmpfs", "tmpfs"], root);
        mounts.add(&["-t", "tmpfs", "-o", "size=2m", "tmpfs"], &root.join("boot"));
    });
    let root = world.path("root");
    furnish(&root);
    world.rehearse();
    let read = || common::manifest_of(&root, &["", "boot"]);
    let old = read();
    let returner = Some(vec![helper().display().to_string(), "at-boot".to_owned()]);

    let error = world.elevation().act(&How { returner, ..How::default() }, &mut ()).unwrap_err();

    assert!(matches!(&error, Error::Space { root, .. } if root.ends_with("boot")), "{error}");
    assert!(error.to_string().contains("make room"), "{error}");
    assert_eq!(old.differences(&read()), Vec::<PathBuf>::new());
    assert_eq!(phase(&root, &world.path("state")), None);
}
