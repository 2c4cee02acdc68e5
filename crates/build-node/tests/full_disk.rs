//! The disk of the machine is filled by somebody else while a package is built.

mod common;

use anima_types::lease::End;
use anima_types::work::{Failure, Work};
use common::{World, spec};

/// Enough for a node to take a task, and taken from the machine's own disk only as far as it is written to.
const DISK_MIB: u64 = 4096;

/// Writes a little for some seconds, and minds whether it could.
const WRITER: &str = "%build\necho begun\nfor ((i = 0; i < 60; i++)); do head -c 1M /dev/zero > piece.$i || exit 1; sleep 0.1; done\nrm piece.*";

/// Gives the task to the node, fills the disk when the build has begun, and returns why it came back.
async fn built_while_the_disk_is_filled(world: &World, work: &Work) -> Failure {
    world.master.give(work.clone());
    world.until("the build", || world.master.log().contains("\nbegun\n")).await;
    world.disk().fill().unwrap();
    match world.master.report().await.end {
        End::GivenBack(failure) => failure,
        other => panic!("{other:?}\n{}", world.master.log()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_given_back_when_others_fill_the_disk_and_done_when_there_is_room_again() {
    let world = World::on_small_disk(DISK_MIB).await;
    let source = world.src("writer", &world.commit("writer", &[("writer.spec", &spec("writer", "", WRITER))])).await;
    let work = Work::Build(world.build_work(&source.unwrap()));

    let failure = built_while_the_disk_is_filled(&world, &work).await;

    assert_eq!(failure.code, "node_disk_full");
    let message = "%build failed: the disk of the machine was full, which is not the build's doing: it had not reached its own limit";
    assert_eq!(failure.message, message);
    let log = world.master.log();
    assert!(log.contains("No space left on device") && log.contains("\nFAILED (node_disk_full): "), "{log}");
    let line = failure.findings[0].log_line.and_then(|line| log.lines().nth(line as usize - 1)).unwrap();
    assert!(line.contains("No space left on device"), "{line}");
    world.until("that the node says so", || world.master.condition().problem.is_some()).await;
    let problem = world.master.condition().problem.unwrap();
    assert!(problem.starts_with("its disk is too full: "), "{problem}");
    assert_eq!(world.leftovers(), [""; 0]);

    world.master.give(work);
    world.disk().make_room().unwrap();

    let report = tokio::time::timeout(common::LIMIT, world.master.report()).await.unwrap();
    assert!(matches!(report.end, End::Succeeded(_)), "{report:?}\n{}", world.master.log());
    assert_eq!(world.master.condition().problem, None);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_does_not_fit_on_a_full_disk_gives_the_task_back_too() {
    let world = World::on_small_disk(DISK_MIB).await;
    let commit = world.commit("first", &[("first.spec", &spec("first", "", ""))]);
    world.until("that it asks for a task", || world.master.condition().machine.is_some()).await;
    world.disk().fill().unwrap();

    // It had asked while there was room.
    let end = world.report(world.src_work("first", &commit)).await.end;

    let End::GivenBack(failure) = end else { panic!("{end:?}") };
    assert_eq!(failure.code, "node_disk_full", "{failure:?}");
    assert!(failure.message.contains("disk") || failure.message.contains("No space left"), "{failure:?}");
}
