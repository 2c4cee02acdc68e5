//! Roots of several file systems, and roots that are a subvolume of a btrfs: killed before every step, they become exactly the
//! new or exactly the old system.

mod common;

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Command,
};

use anima_elevate_act::{Backend, Elevation, Error, How, Manifest, Phase};
use common::{Mounts, World, act_by, helper, manifest, manifest_of, run, work};

const KILLED: i32 = 9;
/// The file systems of a machine with `/usr` and `/var` of its own.
const PLACES: [&str; 3] = ["", "usr", "var"];
const IMAGE_BYTES: u64 = 256 * 1024 * 1024;

fn no_paths() -> Vec<PathBuf> {
    Vec::new()
}

/// Does a verb in a process of its own; returns whether it was killed, and how many steps there were.
fn verb(backend: &str, verb: &str, root: &Path, state: &Path, kill_at: u64) -> (bool, u64) {
    let output = act_by(backend, verb, root, state, kill_at);
    let was_killed = output.status.signal() == Some(KILLED);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(was_killed || output.status.success(), "{verb}, killed at {kill_at}: {said}");
    (was_killed, String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(0))
}

fn phase(root: &Path, state: &Path) -> Option<Phase> {
    Elevation::open(root, state).unwrap().status().unwrap().phase
}

/// Mounts three file systems in memory as one root.
fn split(root: &Path, mounts: &mut Mounts) {
    for place in PLACES {
        mounts.add(&["-t", "tmpfs", "tmpfs"], &common_join(root, place));
    }
}

fn common_join(root: &Path, place: &str) -> PathBuf {
    if place.is_empty() { root.to_owned() } else { root.join(place) }
}

#[test]
fn a_root_of_several_file_systems_has_a_store_on_each_and_is_killed_at_every_step() {
    let mut world = World::in_memory_on(split);
    let (root, state) = (world.path("root"), world.path("state"));
    let rehearsal = world.rehearse();
    assert_eq!(rehearsal.places.all().len(), PLACES.len());
    let old = manifest_of(&root, &PLACES);
    let copy = world.path("copy");
    let fresh = |mounts: &mut Mounts| {
        for place in PLACES.iter().rev().filter(|_| copy.exists()) {
            mounts.take(&common_join(&copy, place));
        }
        split(&copy, mounts);
        run(Command::new("cp").arg("-aT").arg(&root).arg(&copy));
        // A new tmpfs is sticky, and cp leaves that.
        for place in PLACES {
            let mode = fs::metadata(common_join(&root, place)).unwrap().permissions();
            fs::set_permissions(common_join(&copy, place), mode).unwrap();
        }
        copy.clone()
    };
    let first = fresh(&mut world.mounts);
    let (_, step_count) = verb("layer", "act", &first, &state, 0);
    let new = manifest_of(&first, &PLACES);
    assert!(first.join("usr/.anima-elevate").exists() && first.join("var/.anima-elevate").exists());
    assert!(!old.differences(&new).is_empty() && step_count > 100, "{step_count}");

    for kill_at in 1..=step_count {
        let root = fresh(&mut world.mounts);
        assert!(verb("layer", "act", &root, &state, kill_at).0);
        let is_begun = phase(&root, &state).is_some();

        // Every second one goes on before it goes back.
        if kill_at % 2 == 0 {
            verb("layer", if is_begun { "resume" } else { "act" }, &root, &state, 0);
            assert_eq!(new.differences(&manifest_of(&root, &PLACES)), no_paths(), "resumed, killed at {kill_at}");
            verb("layer", "rollback", &root, &state, 0);
        } else if is_begun {
            verb("layer", "rollback", &root, &state, 0);
        }
        let is = manifest_of(&root, &PLACES);
        let top = |manifest: &Manifest| format!("{:?}", manifest.entries.get(Path::new("")));
        assert_eq!(old.differences(&is), no_paths(), "taken back, killed at {kill_at}: {} {}", top(&old), top(&is));
    }
}

#[test]
fn what_a_package_would_write_to_a_file_system_that_cannot_be_written_blocks() {
    let world = World::in_memory_on(|root, mounts| {
        mounts.add(&["-t", "tmpfs", "tmpfs"], root);
        mounts.add(&["-t", "tmpfs", "tmpfs"], &root.join("usr/share"));
    });
    run(Command::new("mount").args(["-o", "remount,ro"]).arg(world.path("root/usr/share")));

    let rehearsal = world.elevation().rehearse(&work("2"), helper(), &mut ());

    // rpm sees an empty folder there, and writes into it.
    let rehearsal = rehearsal.unwrap();
    let found = rehearsal.findings.iter().find(|finding| finding.id == "foreign_file_system").unwrap();
    assert!(found.text.contains("usr/share") && found.text.contains("read-only"), "{found:?}");
    assert!(matches!(world.elevation().act(&How::default(), &mut ()), Err(Error::Phase { phase: "blocked", .. })));
}

#[test]
fn a_file_system_that_is_away_is_asked_for_before_anything_goes_on() {
    let mut world = World::in_memory_on(split);
    let (root, state) = (world.path("root"), world.path("state"));
    world.rehearse();
    let old = manifest_of(&root, &PLACES);
    let steps = 60;
    assert!(verb("layer", "act", &root, &state, steps).0);
    let usr = root.join("usr");
    run(Command::new("mount")
        .arg("--move")
        .arg(&usr)
        .arg(fs::create_dir(world.path("aside")).map(|()| world.path("aside")).unwrap()));

    let error = world.elevation().rollback(&mut ()).unwrap_err().to_string();

    assert!(error.contains("usr/.anima-elevate") && error.contains("mount"), "{error}");
    run(Command::new("mount").arg("--move").arg(world.path("aside")).arg(&usr));
    world.elevation().rollback(&mut ()).unwrap();
    assert_eq!(old.differences(&manifest_of(&root, &PLACES)), no_paths());
    world.mounts = Mounts::default();
}

/// A machine whose root is a subvolume of a btrfs, and has a `/usr/share` of its own on another file system or not.
struct Btrfs {
    world: World,
    /// The top of the file system.
    top: PathBuf,
    device: String,
}

impl Btrfs {
    fn new() -> Btrfs {
        let (mut top, mut device) = (PathBuf::new(), String::new());
        let world = World::in_memory_on(|root, mounts| {
            let image = root.with_file_name("image");
            fs::File::create(&image).unwrap().set_len(IMAGE_BYTES).unwrap();
            run(Command::new("mkfs.btrfs").arg("-q").arg(&image));
            top = root.with_file_name("top");
            mounts.add(&["-o", "loop", image.to_str().unwrap()], &top);
            device = run(Command::new("findmnt").args(["-no", "SOURCE"]).arg(&top)).trim().to_owned();
            run(Command::new("btrfs").args(["-q", "subvolume", "create"]).arg(top.join("machine")));
            mounts.add(&["-o", "subvol=machine", &device], root);
        });
        Btrfs { world, top, device }
    }

    /// Starts the machine anew: what is named `machine` is its root.
    fn restart(&mut self) -> PathBuf {
        let root = self.world.path("root");
        self.world.mounts.take(&root);
        self.world.mounts.add(&["-o", "subvol=machine", &self.device], &root);
        root
    }

    fn subvolume(&self, verb: &str, paths: &[&str]) {
        let mut command = Command::new("btrfs");
        run(command.args(["-q", "subvolume", verb]).args(paths.iter().map(|path| self.top.join(path))));
    }

    /// Puts the machine back to what it was when `kept` was made.
    fn reset(&mut self) {
        let root = self.world.path("root");
        self.world.mounts.take(&root);
        for path in [".anima-elevate/other", "machine"].iter().filter(|path| self.top.join(path).exists()) {
            self.subvolume("delete", &[path]);
        }
        let _ = fs::remove_dir_all(self.top.join(".anima-elevate"));
        self.subvolume("snapshot", &["kept", "machine"]);
        self.world.mounts.add(&["-o", "subvol=machine", &self.device], &root);
    }
}

#[test]
fn a_subvolume_is_cloned_and_exchanged_and_killed_at_every_step_it_starts_one_whole_system() {
    let mut machine = Btrfs::new();
    let (root, state) = (machine.world.path("root"), machine.world.path("state"));
    machine.world.rehearse();
    machine.subvolume("snapshot", &["machine", "kept"]);
    let old = Manifest::read(&root, &[]).unwrap();
    machine.reset();
    let (_, step_count) = verb("btrfs", "act", &root, &state, 0);
    assert_eq!(old.differences(&Manifest::read(&root, &[]).unwrap()), no_paths(), "what runs is not touched");
    let new = Manifest::read(&machine.restart(), &[]).unwrap();
    assert!(!old.differences(&new).is_empty());
    assert!(step_count > 50, "{step_count}");

    for kill_at in 1..=step_count {
        machine.reset();
        assert!(verb("btrfs", "act", &root, &state, kill_at).0);
        machine.restart();
        let is = Manifest::read(&root, &[]).unwrap();
        assert!(old.differences(&is).is_empty() || new.differences(&is).is_empty(), "killed at {kill_at}");
        let is_begun = phase(&root, &state).is_some();

        if kill_at % 2 == 0 {
            verb("btrfs", if is_begun { "resume" } else { "act" }, &root, &state, 0);
            let is = Manifest::read(&machine.restart(), &[]).unwrap();
            assert_eq!(new.differences(&is), no_paths(), "resumed, killed at {kill_at}");
        }
        if kill_at % 2 == 0 || is_begun {
            verb("btrfs", "rollback", &root, &state, 0);
        }
        let is = Manifest::read(&machine.restart(), &[]).unwrap();
        assert_eq!(old.differences(&is), no_paths(), "taken back, killed at {kill_at}");
    }
}

#[test]
fn a_rollback_of_a_subvolume_that_is_killed_ends_in_exactly_the_old_system() {
    let mut machine = Btrfs::new();
    let (root, state) = (machine.world.path("root"), machine.world.path("state"));
    machine.world.rehearse();
    machine.subvolume("snapshot", &["machine", "kept"]);
    let old = Manifest::read(&root, &[]).unwrap();
    for kill_at in 1.. {
        machine.reset();
        verb("btrfs", "act", &root, &state, 0);
        if !verb("btrfs", "rollback", &root, &state, kill_at).0 {
            assert!(kill_at > 3, "{kill_at}");
            break;
        }
        machine.restart();

        verb("btrfs", if kill_at % 2 == 0 { "rollback" } else { "resume" }, &root, &state, 0);
        if phase(&root, &state) == Some(Phase::Done) {
            verb("btrfs", "rollback", &root, &state, 0);
        }

        assert_eq!(old.differences(&Manifest::read(&machine.restart(), &[]).unwrap()), no_paths(), "{kill_at}");
    }
}

#[test]
fn the_subvolume_that_runs_is_not_removed_and_the_other_one_is() {
    let mut machine = Btrfs::new();
    let (root, top) = (machine.world.path("root"), machine.top.clone());
    let default = |top: &Path| run(Command::new("btrfs").args(["subvolume", "get-default"]).arg(top));
    let id = run(Command::new("btrfs").args(["inspect-internal", "rootid"]).arg(&root));
    run(Command::new("btrfs").args(["subvolume", "set-default", id.trim()]).arg(&top));
    machine.world.rehearse();
    let elevation = machine.world.elevation();
    let offers = elevation.backends().unwrap();
    assert_eq!((offers[0].backend, &offers[0].obstacle), (Backend::Btrfs, &None));
    elevation.act(&How::default(), &mut ()).unwrap();
    assert_eq!(elevation.status().unwrap().backend, Some(Backend::Btrfs));
    assert!(default(&top).ends_with("path machine\n") && !default(&top).starts_with(&format!("ID {} ", id.trim())));

    let error = elevation.finish(&mut ()).unwrap_err().to_string();

    assert!(error.contains("in use") && error.contains("restart"), "{error}");
    assert!(root.join("etc/os-release").exists());
    machine.restart();
    let elevation = machine.world.elevation();
    elevation.finish(&mut ()).unwrap();
    assert!(!top.join(".anima-elevate").exists());
    assert!(fs::read_to_string(root.join("etc/os-release")).unwrap().contains("VERSION_ID=2"));
    assert_eq!(elevation.status().unwrap().phase, None);
}

#[test]
fn a_snapshot_that_would_leave_something_out_is_refused_and_the_layer_is_taken() {
    let machine = Btrfs::new();
    let root = machine.world.path("root");
    run(Command::new("btrfs").args(["-q", "subvolume", "create"]).arg(root.join("srv")));
    fs::write(root.join("srv/data"), "data").unwrap();
    machine.world.rehearse();
    let elevation = machine.world.elevation();
    let old = manifest(&root);

    let by_btrfs = How { backend: Some(Backend::Btrfs), ..How::default() };
    let error = elevation.act(&by_btrfs, &mut ()).unwrap_err().to_string();
    elevation.act(&How::default(), &mut ()).unwrap();

    assert!(error.contains("srv"), "{error}");
    assert_eq!(elevation.status().unwrap().backend, Some(Backend::Layer));
    elevation.rollback(&mut ()).unwrap();
    assert_eq!(old.differences(&manifest(&root)), no_paths());
}

#[test]
fn by_lvm_a_root_that_is_no_volume_says_so() {
    let world = World::new();
    world.rehearse();

    let how = How { backend: Some(Backend::Lvm), ..How::default() };
    let error = world.elevation().act(&how, &mut ()).unwrap_err();

    assert!(matches!(error, Error::Backend { backend: "lvm", .. }), "{error}");
}

#[test]
fn a_state_folder_in_the_root_keeps_its_layer_in_an_image() {
    let world = World::in_memory_on(|root, mounts| mounts.add(&["-t", "tmpfs", "-o", "size=512m", "tmpfs"], root));
    let root = world.path("root");
    let state = root.join("var/lib/anima-elevate");
    let elevation = Elevation::open(&root, &state).unwrap();
    let read = || {
        let without = ["var/lib/anima-elevate", common_store()].map(PathBuf::from);
        let mut manifest = Manifest::read(&root, &without).unwrap();
        manifest.entries.get_mut(Path::new("")).unwrap().modified = (0, 0);
        manifest
    };
    let old = read();

    elevation.rehearse(&work("2"), helper(), &mut ()).unwrap();
    assert!(state.join("layer.img").exists());
    elevation.act(&How::default(), &mut ()).unwrap();
    assert!(fs::read_to_string(root.join("etc/os-release")).unwrap().contains("VERSION_ID=2"));
    elevation.rollback(&mut ()).unwrap();

    assert_eq!(old.differences(&read()), no_paths());
    elevation.finish(&mut ()).unwrap();
    assert!(!state.join("layer.img").exists());
}

fn common_store() -> &'static str {
    anima_elevate_act::STORE
}
