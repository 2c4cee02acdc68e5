//! A machine of Seed's first release becomes one of the second, and goes back.

mod common;

use std::{fs, path::Path, process::Command};

use anima_elevate_act::{Elevation, Error, How, Level, Manifest, Package, Phase, STORE, Watch, Work};
use common::{World, helper, machines, manifest, packages, run, work};

/// Asks a copy of the database: even a question writes beside it.
fn installed(root: &Path) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    run(Command::new("cp").arg("-a").arg(root.join("var/lib/rpm")).arg(folder.path()));
    let mut rpm = Command::new("rpm");
    rpm.arg("--dbpath").arg(folder.path().join("rpm")).args(["-qa", "--qf", "%{NAME}-%{VERSION} "]);
    let mut names: Vec<String> = run(&mut rpm).split_whitespace().map(str::to_owned).collect();
    names.sort();
    names
}

fn text(root: &Path, path: &str) -> String {
    fs::read_to_string(root.join(path)).unwrap()
}

#[test]
fn a_rehearsal_runs_the_whole_transaction_and_leaves_the_root_as_it_was() {
    let world = World::new();
    let root = world.path("root");
    let before = Manifest::read(&root, &[]).unwrap();

    let rehearsal = world.rehearse();

    assert_eq!(before.differences(&Manifest::read(&root, &[]).unwrap()), Vec::<std::path::PathBuf>::new());
    assert_eq!(rehearsal.unchanged_count, before.entries.len());
    let found =
        |id: &str| rehearsal.findings.iter().filter(|it| it.id == id).map(|it| it.text.as_str()).collect::<Vec<_>>();
    assert_eq!(found("config_to_merge"), ["/etc/configured.conf.rpmnew", "/etc/replaced.conf.rpmsave"]);
    assert!(found("script_failed").iter().any(|text| text.contains("this script fails")), "{:?}", rehearsal.findings);
    assert!(!rehearsal.is_blocked(), "{:?}", rehearsal.findings);
    let names: Vec<&str> = rehearsal.after.iter().map(|nevra| nevra.split("-2-").next().unwrap()).collect();
    let expected = "configured editor ftp-client machine-release mailer manual mover perl-all python-core python-tools \
                    runtime-17 scripted shapes tool-a tool-b";
    assert_eq!(names.join(" "), expected);
    let noarch = rehearsal.after.iter().find(|nevra| nevra.starts_with("manual-")).unwrap();
    assert!(noarch.ends_with(".noarch"), "{noarch}");
}

#[test]
fn acting_makes_the_rehearsed_system_real_and_rolling_back_makes_the_old_one() {
    let world = World::new();
    let root = world.path("root");
    let before = manifest(&root);
    let installed_before = installed(&root);
    world.rehearse();

    world.elevation().act(&How::default(), &mut ()).unwrap();

    assert_eq!(world.elevation().status().unwrap().phase, Some(Phase::Done));
    assert!(installed(&root).contains(&"perl-all-2".to_owned()) && !installed(&root).contains(&"games-1".to_owned()));
    assert_eq!(text(&root, "etc/configured.conf"), "colour = mine\n");
    assert_eq!(text(&root, "etc/configured.conf.rpmnew"), "colour = green\n");
    assert_eq!(text(&root, "usr/bin/ed"), "editor of seed 2\n");
    assert_eq!(text(&root, "usr/share/shapes/folder/in"), "in\n", "a folder became a link to a folder that was a link");
    assert_eq!(text(&root, "usr/share/shapes/real"), "now-a-file\n");
    assert_eq!(text(&root, "home/linked"), "mover 1\n", "the owner's second name of a file keeps what it had");
    // What is changed afterwards is not lost by going back.
    fs::write(root.join("etc/configured.conf.rpmnew"), "merged\n").unwrap();

    world.elevation().rollback(&mut ()).unwrap();

    assert_eq!(before.differences(&manifest(&root)), Vec::<std::path::PathBuf>::new());
    assert_eq!(installed(&root), installed_before);
    let left = fs::read_dir(root.join(STORE).join("left")).unwrap();
    assert!(left.flatten().any(|file| fs::read(file.path()).is_ok_and(|text| text == b"merged\n")));
    world.elevation().finish(&mut ()).unwrap();
    assert!(!root.join(STORE).exists());
}

#[test]
fn a_machine_becomes_one_of_another_brand_of_the_same_version() {
    let world = World::new();
    let root = world.path("root");
    let mut to_sibling = work("sibling");
    to_sibling.erase.retain(|nevra| !nevra.starts_with("machine-release"));
    world.elevation().rehearse(&to_sibling, helper(), &mut ()).unwrap();

    world.elevation().act(&How::default(), &mut ()).unwrap();

    assert!(text(&root, "etc/os-release").starts_with("ID=sprout\n"));
    let names = installed(&root);
    assert!(names.contains(&"sprout-release-1".to_owned()) && !names.contains(&"machine-release-1".to_owned()));
}

#[test]
fn a_script_that_refuses_and_a_file_of_two_packages_are_found_and_change_nothing() {
    for trap in common::TRAPS {
        let world = World::new();
        let before = Manifest::read(&world.path("root"), &[]).unwrap();
        let mut trapped = work("2");
        trapped.install.extend(packages("2").into_iter().filter(|package| package.nevra.starts_with(trap)));

        let error = world.elevation().rehearse(&trapped, helper(), &mut ()).unwrap_err();

        assert!(matches!(&error, Error::Refused { said, .. } if said.contains(trap)), "{error}");
        assert_eq!(
            before.differences(&Manifest::read(&world.path("root"), &[]).unwrap()),
            Vec::<std::path::PathBuf>::new()
        );
        assert!(matches!(world.elevation().act(&How::default(), &mut ()), Err(Error::NotRehearsed)));
    }
}

#[test]
fn what_would_break_a_third_partys_package_is_refused_by_rpm() {
    let world = World::new();
    let mut without_agent = work("2");
    without_agent.erase.retain(|nevra| !nevra.starts_with("agent-"));

    let error = world.elevation().rehearse(&without_agent, helper(), &mut ()).unwrap_err().to_string();

    assert!(error.contains("games is needed by") && error.contains("agent-1"), "{error}");
}

#[test]
fn a_package_that_is_not_the_planned_one_is_refused() {
    let world = World::new();
    let mut other = work("2");
    let cut = world.path("cut.rpm");
    let whole = fs::read(&other.install[0].path).unwrap();
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    other.install[0].path = cut.clone();

    let unplanned = world.elevation().rehearse(&other, helper(), &mut ()).unwrap_err();
    other.install[0].sha256 = Some("00".repeat(32));
    let planned = world.elevation().rehearse(&other, helper(), &mut ()).unwrap_err();

    assert!(matches!(unplanned, Error::Refused { .. }), "{unplanned}");
    assert!(matches!(planned, Error::Package { .. }) && planned.to_string().contains("plan again"), "{planned}");
}

#[test]
fn unsigned_packages_are_refused_where_signatures_are_wanted() {
    let world = World::new();
    let signed = Work { wants_signatures: true, ..work("2") };

    let error = world.elevation().rehearse(&signed, helper(), &mut ()).unwrap_err();

    assert!(matches!(error, Error::Signatures { .. }) && error.to_string().contains("not signed"), "{error}");
}

#[test]
fn signed_packages_are_taken_when_the_root_knows_their_key_and_refused_when_it_does_not() {
    let world = World::new();
    let root = world.path("root");
    let keys = world.path("keys");
    fs::create_dir(&keys).unwrap();
    fs::set_permissions(&keys, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let gpg = || {
        let mut gpg = Command::new("gpg");
        gpg.arg("--homedir").arg(&keys).args(["--batch", "--quiet", "--passphrase", ""]);
        gpg
    };
    run(gpg().args(["--quick-gen-key", "seed@example.org", "rsa2048", "sign", "never"]));
    fs::write(world.path("key"), run(gpg().args(["--armor", "--export"]))).unwrap();
    let mut signed = Work { wants_signatures: true, ..work("2") };
    for package in &mut signed.install {
        let copy = world.path(&format!("{}.rpm", package.nevra));
        fs::copy(&package.path, &copy).unwrap();
        package.path = copy;
    }
    let mut rpmsign = Command::new("rpmsign");
    rpmsign.args(["--define", "_gpg_name seed@example.org", "--define", &format!("_gpg_path {}", keys.display())]);
    rpmsign.args(["--define", "__gpg /usr/bin/gpg"]);
    run(rpmsign.arg("--addsign").args(signed.install.iter().map(|package| &package.path)));
    let before = manifest(&root);

    let missing = world.elevation().rehearse(&signed, helper(), &mut ()).unwrap_err().to_string();

    assert!(missing.contains("NOKEY") && missing.contains("nothing was changed"), "{missing}");
    assert!(missing.contains("rpm --import"), "{missing}");
    assert_eq!(before.differences(&manifest(&root)), Vec::<std::path::PathBuf>::new());
    let mut import = Command::new("rpm");
    run(import.arg("--root").arg(&root).args(["--define", "_dbpath /var/lib/rpm", "--import"]).arg(world.path("key")));
    let rehearsal = world.elevation().rehearse(&signed, helper(), &mut ()).unwrap();
    assert!(!rehearsal.is_blocked(), "{:?}", rehearsal.findings);
    let _ = Command::new("gpgconf").arg("--homedir").arg(&keys).args(["--kill", "all"]).status();
}

#[test]
fn a_package_that_went_away_and_a_full_state_folder_are_told_of_and_change_nothing() {
    let mut world = World::new();
    let root = world.path("root");
    let before = manifest(&root);
    let mut gone = work("2");
    gone.install[0].path = world.path("gone.rpm");
    let small = world.path("small");
    world.mounts.add(&["-t", "tmpfs", "-o", "size=400k", "tmpfs"], &small);

    let missing = world.elevation().rehearse(&gone, helper(), &mut ()).unwrap_err().to_string();
    let full = Elevation::open(&root, &small).unwrap().rehearse(&work("2"), helper(), &mut ()).unwrap_err().to_string();

    assert!(missing.contains("gone.rpm") && missing.contains("No such file"), "{missing}");
    assert!(full.to_lowercase().contains("no space") || full.contains("needs"), "{full}");
    assert_eq!(before.differences(&manifest(&root)), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_broken_database_is_told_of_before_anything_is_tried() {
    let world = World::new();
    let path = world.path("root/var/lib/rpm/rpmdb.sqlite");
    fs::write(&path, b"no database").unwrap();

    let error = world.elevation().rehearse(&work("2"), helper(), &mut ()).unwrap_err();

    assert!(matches!(error, Error::Database { .. }), "{error}");
    assert_eq!(fs::read(path).unwrap(), b"no database");
}

#[test]
fn what_changed_since_the_rehearsal_stops_the_act() {
    let world = World::new();
    world.rehearse();
    fs::write(world.path("root/usr/bin/tool"), "changed").unwrap();

    let error = world.elevation().act(&How::default(), &mut ()).unwrap_err();

    assert!(matches!(error, Error::Changed { .. }) && error.to_string().contains("usr/bin/tool"), "{error}");
    assert!(!world.path("root").join(STORE).exists());
}

#[test]
fn a_rehearsal_can_be_forgotten_and_an_act_cannot() {
    let world = World::new();
    world.rehearse();
    world.elevation().abort(&mut ()).unwrap();
    assert!(!world.elevation().status().unwrap().is_rehearsed);
    world.rehearse();
    world.elevation().act(&How::default(), &mut ()).unwrap();

    let error = world.elevation().abort(&mut ()).unwrap_err().to_string();

    assert!(error.contains("done") && error.contains("rollback"), "{error}");
    let again = world.elevation().rehearse(&work("2"), helper(), &mut ()).unwrap_err();
    assert!(matches!(again, Error::Phase { .. }), "{again}");
}

#[test]
fn one_root_is_worked_on_by_one_process() {
    struct Second<'a>(&'a World, usize);
    impl Watch for Second<'_> {
        fn step(&mut self) {
            let other = self.0.elevation().rollback(&mut ());
            assert!(matches!(other, Err(Error::Busy { .. })));
            self.1 += 1;
        }
    }
    let world = World::new();
    world.rehearse();
    let mut second = Second(&world, 0);

    world.elevation().act(&How::default(), &mut second).unwrap();

    assert!(second.1 > 0);
}

/// A file system of its own with little room, unmounted when dropped.
struct Small(std::path::PathBuf);

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_fills_up_in_the_middle_leaves_the_old_system() {
    struct Filler(std::path::PathBuf, bool);
    impl Watch for Filler {
        fn step(&mut self) {
            if !self.1 {
                self.1 = true;
                // All the room that is left, at once.
                let mut file = fs::File::create(&self.0).unwrap();
                let block = vec![1_u8; 64 * 1024];
                while std::io::Write::write_all(&mut file, &block).is_ok() {}
                while std::io::Write::write_all(&mut file, &[1]).is_ok() {}
            }
        }
    }
    let world = World::new();
    let small = Small(world.path("small"));
    fs::create_dir(&small.0).unwrap();
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(&small.0));
    run(Command::new("cp").arg("-a").arg(world.path("root")).arg(small.0.join("root")));
    let root = small.0.join("root");
    let elevation = Elevation::open(&root, &world.path("state")).unwrap();
    elevation.rehearse(&work("2"), helper(), &mut ()).unwrap();
    let before = manifest(&root);

    let error = elevation.act(&How::default(), &mut Filler(small.0.join("filler"), false)).unwrap_err().to_string();

    assert!(error.contains("No space left"), "{error}");
    assert_eq!(before.differences(&manifest(&root)), Vec::<std::path::PathBuf>::new());
    let refused = elevation.act(&How::default(), &mut ()).unwrap_err();
    assert!(matches!(refused, Error::Space { .. }), "{refused}");
    fs::remove_file(small.0.join("filler")).unwrap();
    elevation.act(&How::default(), &mut ()).unwrap();
}

#[test]
fn a_rehearsal_finds_a_unit_whose_program_goes() {
    let world = World::new();
    let wants = world.path("root/etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants).unwrap();
    fs::write(world.path("root/etc/systemd/system/mine.service"), "[Service]\nExecStart=/usr/bin/game --serve\n")
        .unwrap();
    std::os::unix::fs::symlink("/etc/systemd/system/mine.service", wants.join("mine.service")).unwrap();

    let rehearsal = world.rehearse();

    let found = rehearsal.findings.iter().find(|finding| finding.id == "program_missing").unwrap();
    assert!(found.text.contains("/usr/bin/game") && found.level == Level::Warn, "{found:?}");
}

#[test]
fn the_two_releases_are_there_with_their_repositories() {
    for (release, repository) in [("1", "base"), ("2", "base"), ("2", "extras"), ("sibling", "extras")] {
        assert!(machines().join(release).join(repository).join("repodata/repomd.xml").exists());
    }
    let _: Vec<Package> = packages("2");
}
