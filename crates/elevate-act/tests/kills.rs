//! SIGKILL before every step of the journal: the root becomes exactly the new or exactly the old system.

mod common;

use std::{os::unix::process::ExitStatusExt, path::Path};

use anima_elevate_act::{Elevation, Manifest, Phase};
use common::{World, act, manifest};

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
