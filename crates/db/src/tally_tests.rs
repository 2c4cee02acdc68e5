use anima_types::{Arch, task::Event};

use super::*;
use crate::{
    task,
    testing::{Scratch, build, build_task},
};

#[tokio::test]
async fn tasks_are_counted_where_they_stand_with_the_age_of_the_first() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write_at(1).await;
    let id = build(&mut write).await;
    let first = build_task(&mut write, id, "a", Arch::X86_64).await;
    build_task(&mut write, id, "b", Arch::X86_64).await;
    write.commit().await.unwrap();
    let mut write = scratch.write_at(9).await;
    let row = task::get(&mut write, first).await.unwrap();
    task::apply(&mut write, &row, Event::DependenciesMet, "It can begin.").await.unwrap();
    write.commit().await.unwrap();

    let mut read = scratch.db.read().await.unwrap();
    let tasks = open_tasks(&mut read).await.unwrap();

    let at = |status: Status| tasks.iter().find(|tasks| tasks.status == status).map(|tasks| (tasks.count, tasks.since));
    assert_eq!(at(Status::Ready), Some((1, Timestamp(0).plus_secs(9))));
    assert_eq!(at(Status::Waiting), Some((1, Timestamp(0).plus_secs(1))));
    assert_eq!(open_builds(&mut read).await.unwrap(), [(anima_types::build::Status::Sources, 1)]);
    drop(read);

    let mut write = scratch.write_at(20).await;
    let row = task::get(&mut write, first).await.unwrap();
    task::apply(&mut write, &row, Event::Cancelled, "Somebody stopped it.").await.unwrap();
    write.commit().await.unwrap();
    let mut read = scratch.db.read().await.unwrap();
    assert!(open_tasks(&mut read).await.unwrap().iter().all(|tasks| tasks.status == Status::Waiting));
}

#[tokio::test]
async fn committed_events_are_counted_and_others_are_not() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write_at(1).await;
    build(&mut write).await;
    drop(write);
    assert!(scratch.db.events_committed().is_empty());
    let mut write = scratch.write_at(1).await;
    build(&mut write).await;
    write.commit().await.unwrap();
    assert_eq!(scratch.db.events_committed().values().sum::<u64>(), 1);
}
