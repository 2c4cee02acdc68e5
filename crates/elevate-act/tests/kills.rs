//! SIGKILL before every step of the journal: the root becomes exactly the new or exactly the old system.

mod common;

use std::{fs, os::unix::process::ExitStatusExt, path::Path, process::Command};

use anima_elevate_act::{Elevation, Manifest, Phase, STORE};
use common::{World, act, helper, list, machines, manifest, work};

const KILLED: i32 = 9;

/// A rehearsed machine, and what it is before and after.
struct Rehearsed {
    world: World,
    old: Manifest,
    new: Manifest,
    step_count: u64,
}

impl Rehearsed {
    fn new() -> Rehearsed {
        Rehearsed::of(World::in_memory())
    }

    fn of(world: World) -> Rehearsed {
        let state = world.path("state");
        world.rehearse();
        let old = manifest(&world.path("root"));
        let copy = world.copy();
        let output = act("act", &copy, &state, 0);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let step_count = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
        let new = manifest(&copy);
        Rehearsed { world, old, new, step_count }
    }

    fn act(&self, verb: &str, root: &Path, kill_at: u64) -> bool {
        let output = act(verb, root, &self.world.path("state"), kill_at);
        let said = String::from_utf8_lossy(&output.stderr);
        let was_killed = output.status.signal() == Some(KILLED);
        assert!(was_killed || output.status.success(), "{verb}, killed at {kill_at}: {said}");
        was_killed
    }

    fn phase(&self, root: &Path) -> Option<Phase> {
        Elevation::open(root, &self.world.path("state")).unwrap().status().unwrap().phase
    }

    fn assert_is(&self, expected: &Manifest, root: &Path, what: &str) {
        assert_eq!(expected.differences(&manifest(root)), Vec::<std::path::PathBuf>::new(), "{what}");
    }
}

#[test]
fn killed_before_any_step_it_resumes_to_exactly_the_new_system_and_goes_back_from_there() {
    let machine = Rehearsed::new();
    assert!(machine.step_count > 100, "{}", machine.step_count);
    assert!(!machine.old.differences(&machine.new).is_empty());

    for kill_at in 1..=machine.step_count {
        let root = machine.world.copy();
        assert!(machine.act("act", &root, kill_at));

        match machine.phase(&root) {
            // So early that nothing was begun: it can be begun again.
            None => assert!(!machine.act("act", &root, 0)),
            Some(_) => assert!(!machine.act("resume", &root, 0)),
        }

        machine.assert_is(&machine.new, &root, &format!("resumed after a kill at step {kill_at}"));
        assert!(!machine.act("rollback", &root, 0));
        machine.assert_is(&machine.old, &root, &format!("taken back after a kill at step {kill_at}"));
    }
}

#[test]
fn killed_before_any_step_it_rolls_back_to_exactly_the_old_system() {
    let machine = Rehearsed::new();

    for kill_at in 1..=machine.step_count {
        let root = machine.world.copy();
        assert!(machine.act("act", &root, kill_at));

        if machine.phase(&root).is_some() {
            assert!(!machine.act("rollback", &root, 0));
        }

        machine.assert_is(&machine.old, &root, &format!("rolled back after a kill at step {kill_at}"));
    }
}

/// What a file system calls a rename or a second name is its own affair: so on each that machines have.
#[test]
fn on_ext4_and_xfs_killed_before_any_step_it_is_the_new_or_the_old_system() {
    for mkfs in ["mkfs.ext4", "mkfs.xfs"] {
        let machine = Rehearsed::of(World::on(mkfs));

        for kill_at in 1..=machine.step_count {
            let root = machine.world.copy();
            assert!(machine.act("act", &root, kill_at));
            let is_begun = machine.phase(&root).is_some();

            if kill_at.is_multiple_of(2) {
                assert!(!machine.act(if is_begun { "resume" } else { "act" }, &root, 0));
                machine.assert_is(&machine.new, &root, &format!("{mkfs}: resumed after a kill at step {kill_at}"));
            }
            if is_begun || kill_at.is_multiple_of(2) {
                assert!(!machine.act("rollback", &root, 0));
            }
            machine.assert_is(&machine.old, &root, &format!("{mkfs}: taken back after a kill at step {kill_at}"));
        }
    }
}

#[test]
fn a_rollback_that_is_killed_itself_ends_in_exactly_the_old_system() {
    let machine = Rehearsed::new();
    let mut kill_at = 1;
    loop {
        let root = machine.world.copy();
        assert!(!machine.act("act", &root, 0));
        if !machine.act("rollback", &root, kill_at) {
            break;
        }

        // Either verb ends it.
        let verb = if kill_at.is_multiple_of(2) { "rollback" } else { "resume" };
        let is_begun = machine.phase(&root) != Some(Phase::Done);
        assert!(!machine.act(if is_begun { verb } else { "rollback" }, &root, 0));

        machine.assert_is(&machine.old, &root, &format!("rollback killed at step {kill_at}, then {verb}"));
        kill_at += 1;
    }
    assert!(kill_at > 50, "{kill_at}");
}

#[test]
fn a_rehearsal_that_is_killed_while_its_layer_is_mounted_can_be_forgotten_and_done_again() {
    // What it tells third is that the transaction begins.
    const AFTER_THE_MOUNT: &str = "3";
    let world = World::in_memory();
    let root = world.path("root");
    fs::write(world.path("list"), list("2", &machines())).unwrap();
    // A state folder in the root has its layer in an image.
    for state in [world.path("state"), root.join("var/lib/anima-elevate")] {
        let elevation = Elevation::open(&root, &state).unwrap();
        let read = || {
            let without = ["var/lib/anima-elevate", STORE].map(std::path::PathBuf::from);
            let mut manifest = Manifest::read(&root, &without).unwrap();
            manifest.entries.get_mut(Path::new("")).unwrap().modified = (0, 0);
            manifest
        };
        let old = read();
        let merged = state.join("layer/merged/etc/os-release");
        let kill = || {
            let mut helper = Command::new(helper());
            helper.arg("rehearse").args([&root, &state]).arg(AFTER_THE_MOUNT).arg(world.path("list"));
            let output = helper.output().unwrap();
            assert_eq!(output.status.signal(), Some(KILLED), "{}", String::from_utf8_lossy(&output.stderr));
            assert!(merged.exists());
        };

        kill();
        elevation.abort(&mut ()).unwrap();
        assert!(!state.join("layer").exists());
        kill();
        let rehearsal = elevation.rehearse(&work("2"), helper(), &mut ()).unwrap();

        assert!(!rehearsal.changes.is_empty() && !merged.exists());
        elevation.abort(&mut ()).unwrap();
        assert_eq!(old.differences(&read()), Vec::<std::path::PathBuf>::new());
    }
}
