use super::*;
use crate::{
    build,
    task::{self, About},
    task_queue,
    testing::{self, Scratch},
};
use anima_types::{Arch, task::Event};

async fn tasks(write: &mut Write, build: BuildId, count: usize) -> Vec<TaskId> {
    let about = |_| (About { build: Some(build), arch: Some(Arch::X86_64), ..About::new(Kind::Build) }, None);
    let tasks: Vec<_> = (0..count).map(about).collect();
    task_queue::insert_all(write, &tasks, ("Waits.", "Waits.")).await.unwrap()
}

fn ids(tasks: &[Task]) -> Vec<TaskId> {
    tasks.iter().map(|task| task.id).collect()
}

#[tokio::test]
async fn a_team_has_one_line_for_all_its_builds_and_a_build_one_by_its_longest_chains() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let (first, second) = (testing::build(&mut write).await, testing::build(&mut write).await);
    let (of_first, of_second) = (tasks(&mut write, first, 3).await, tasks(&mut write, second, 2).await);
    for build in [first, second] {
        build::set_team(&mut write, build, "kernel").await.unwrap();
    }

    let places = [(of_first[0], Timestamp(1)), (of_first[1], Timestamp(3)), (of_second[0], Timestamp(2))];
    hold_for_team(&mut write, &places, "kernel", "Its team's turn.").await.unwrap();
    hold_for_team(&mut write, &[(of_second[1], Timestamp(9))], "desktop", "Its team's turn.").await.unwrap();
    hold_for_team(&mut write, &[(of_first[0], Timestamp(7))], "kernel", "Its team's turn.").await.unwrap();
    assert_eq!(teams(&mut write).await.unwrap(), ["desktop", "kernel"]);
    let line = held_for_team(&mut write, "kernel", 9).await.unwrap();
    assert_eq!(ids(&line), [of_first[0], of_second[0], of_first[1]], "an earlier place is kept");
    assert_eq!(begun(&mut write, first).await.unwrap(), Begun { ready: 0, leased: 0, for_team: 2 });

    let begin = |task: &Task| task_queue::Begun { task: task.clone(), queued_for: Timestamp(8), why: "Node.".into() };
    task_queue::begin_all(&mut write, &[begin(&line[0]), begin(&line[1])]).await.unwrap();
    assert_eq!(begun(&mut write, first).await.unwrap(), Begun { ready: 1, leased: 0, for_team: 1 });
    assert_eq!(ids(&in_line(&mut write, first).await.unwrap()), [of_first[0], of_first[1]]);
    let last = last_of_team(&mut write, "kernel", 1).await.unwrap();
    assert_eq!((ids(&last), last[0].queued_for), (vec![of_second[0]], Timestamp(2)));

    task::set_estimates(&mut write, &[(of_first[2], None, 50)]).await.unwrap();
    hold_for_build(&mut write, &of_first, "Paused.").await.unwrap();
    say(&mut write, first, "Bound.").await.unwrap();
    let held = held_by_build(&mut write, first, 9).await.unwrap();
    assert_eq!(ids(&held), [of_first[2], of_first[1]], "what is ready is not held");
    assert!(held.iter().all(|task| task.why == "Bound."));
    assert_eq!(teams(&mut write).await.unwrap(), ["desktop"]);
    task::apply(&mut write, &held[0], Event::Cancelled, "Stopped.").await.unwrap();
    assert_eq!(ids(&held_by_build(&mut write, first, 9).await.unwrap()), [of_first[1]]);
}

#[tokio::test]
async fn a_task_that_is_held_back_or_tried_again_keeps_what_it_had_waited() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write_at(100).await;
    let build = testing::build(&mut write).await;
    let id = tasks(&mut write, build, 1).await[0];
    let begin = async |write: &mut Write, secs: i64| {
        let task = task::get(write, id).await.unwrap();
        let queued_for = Timestamp(0).plus_secs(secs);
        task_queue::begin_all(write, &[task_queue::Begun { task, queued_for, why: "Node.".into() }]).await.unwrap();
        let task = task::get(write, id).await.unwrap();
        (task.queued_for.0 / 1_000_000, task)
    };

    let (place, task) = begin(&mut write, 130).await;
    assert_eq!(place, 130, "when it was made is no place");
    task::apply(&mut write, &task, Event::Held, "Paused.").await.unwrap();
    write.commit().await.unwrap();
    let mut write = scratch.write_at(1_000).await;
    let (place, task) = begin(&mut write, 1_020).await;
    assert_eq!(place, 130);
    task::claim(&mut write, &task, "n1", Timestamp(9), "It works.").await.unwrap();
    let leased = task::get(&mut write, id).await.unwrap();
    let ended = task::Ended { phases: Vec::new(), failure: None, result: None, report_hash: None };
    task::end(&mut write, &leased, Event::Failed, "Broken.", &ended).await.unwrap();
    write.commit().await.unwrap();
    let mut write = scratch.write_at(90_000).await;
    let failed = task::get(&mut write, id).await.unwrap();
    task::apply(&mut write, &failed, Event::Restarted, "Again.").await.unwrap();

    let (place, _) = begin(&mut write, 90_020).await;

    assert_eq!(place, 90_000 - 870, "a node took it 870 s after its place");
}
