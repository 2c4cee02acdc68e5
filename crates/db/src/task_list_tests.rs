use super::*;
use crate::{
    Write, task, task_dependency, task_hold, task_queue,
    testing::{self, Scratch},
};
use anima_types::{Timestamp, id::BuildId, task::Event};

async fn made(write: &mut Write, build: BuildId, name: &str, arch: Arch, queued_for: i64, is_ready: bool) -> TaskId {
    let id = testing::build_task(write, build, name, arch).await;
    let (place, why) = (Timestamp(queued_for), "It waits for a node.".to_string());
    match is_ready {
        true => {
            let task = task::get(write, id).await.unwrap();
            task_queue::begin_all(write, &[task_queue::Begun { task, queued_for: place, why }]).await.unwrap();
        }
        false => task_hold::hold_for_team(write, &[(id, place)], "desktop", "Held.").await.unwrap(),
    }
    id
}

async fn all(write: &mut Write, filter: &Filter) -> Vec<TaskId> {
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = page(write, filter, after, 2).await.unwrap();
        let Some(last) = page.last() else { return ids };
        after = Some(mark(filter, last));
        ids.extend(page.iter().map(|task| task.id));
    }
}

#[tokio::test]
async fn what_waits_is_listed_in_the_order_of_the_queue_and_all_else_the_newest_first() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let build = testing::build(&mut write).await;
    let late = made(&mut write, build, "a", Arch::X86_64, 300, true).await;
    let early = made(&mut write, build, "b", Arch::X86_64, 100, true).await;
    let same = made(&mut write, build, "c", Arch::Aarch64, 100, true).await;
    let waiting = made(&mut write, build, "d", Arch::X86_64, 100, false).await;
    let ready = Filter { status: Some(Status::Ready), ..Filter::default() };

    assert_eq!(all(&mut write, &ready).await, [early, same, late]);
    assert_eq!(all(&mut write, &Filter { arch: Some(Arch::X86_64), ..ready.clone() }).await, [early, late]);
    assert_eq!(all(&mut write, &Filter::default()).await, [waiting, same, early, late]);
    let owner = |owner: &str| Filter { owner: Some(owner.into()), ..ready.clone() };
    assert_eq!(all(&mut write, &owner("ada")).await.len(), 3);
    assert_eq!(all(&mut write, &owner("bob")).await, []);
    assert_eq!(all(&mut write, &Filter { kind: Some(Kind::Sign), ..ready.clone() }).await, []);
    for id in [early, late] {
        let task = task::get(&mut write, id).await.unwrap();
        task::claim(&mut write, &task, "n1", Timestamp(900), "It runs.").await.unwrap();
        let task = task::get(&mut write, id).await.unwrap();
        let ended = task::Ended { phases: Vec::new(), failure: None, result: None, report_hash: None };
        task::end(&mut write, &task, Event::Failed, "It failed.", &ended).await.unwrap();
    }
    let failed = Filter { status: Some(Status::Failed), ..Filter::default() };
    assert_eq!(all(&mut write, &failed).await, [late, early]);
    assert_eq!(all(&mut write, &Filter { node: Some("n1".into()), ..Filter::default() }).await, [early, late]);
    let failed_there = Filter { node: Some("n1".into()), ..failed.clone() };
    assert_eq!(all(&mut write, &failed_there).await, [early, late], "as the node took them");
    assert_eq!(all(&mut write, &Filter { node: Some("n2".into()), ..failed }).await, []);
    assert_eq!(set_aside(&mut write, 9, 9).await.unwrap(), [], "it was tried once");
}

#[tokio::test]
async fn what_waits_says_for_which_tasks() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let build = testing::build(&mut write).await;
    let first = made(&mut write, build, "a", Arch::X86_64, 1, true).await;
    let second = made(&mut write, build, "b", Arch::X86_64, 1, true).await;
    let waiting = made(&mut write, build, "c", Arch::X86_64, 1, false).await;
    task_dependency::replace(&mut write, waiting, &[first, second]).await.unwrap();

    let waits = waits_for(&mut write, &[waiting, first]).await.unwrap();

    assert_eq!(waits.len(), 1);
    assert_eq!((waits[0].task, waits[0].count, waits[0].first.id), (waiting, 2, first));
    let task = task::get(&mut write, waiting).await.unwrap();
    task::apply(&mut write, &task, Event::DependencyFailed, "It is blocked.").await.unwrap();
    assert_eq!(blocked(&mut write, 9).await.unwrap()[0].id, waiting);
}
