use super::*;
use crate::{
    task::{self, About},
    testing::{self, Scratch},
};
use anima_types::{id::BuildId, task::Event};

async fn ready(write: &mut Write, build: BuildId, kind: Kind, arch: Option<Arch>, queued_for: i64) -> TaskId {
    let about = About { build: Some(build), arch, ..About::new(kind) };
    let id = task::insert(write, &about, "Waits.").await.unwrap();
    let task = task::get(write, id).await.unwrap();
    set_queued_for(write, id, Timestamp(queued_for)).await.unwrap();
    task::apply(write, &task, Event::DependenciesMet, "It waits for a node.").await.unwrap();
    id
}

async fn next(write: &mut Write, kinds: &[Kind], archs: &[Arch]) -> Option<TaskId> {
    find_ready(write, kinds, archs).await.unwrap().map(|task| task.id)
}

#[tokio::test]
async fn the_next_task_is_the_first_of_the_queue_that_the_node_can_do() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let build = testing::build(&mut write).await;
    let late = ready(&mut write, build, Kind::Build, Some(Arch::X86_64), 300).await;
    let early = ready(&mut write, build, Kind::Build, Some(Arch::X86_64), 100).await;
    let src = ready(&mut write, build, Kind::Src, Some(Arch::X86_64), 50).await;
    let foreign = ready(&mut write, build, Kind::Build, Some(Arch::Aarch64), 10).await;
    let sign = ready(&mut write, build, Kind::Sign, None, 0).await;

    assert_eq!(next(&mut write, &[Kind::Build], &[Arch::X86_64]).await, Some(early));
    assert_eq!(next(&mut write, &[Kind::Src, Kind::Build], &[Arch::X86_64]).await, Some(src));
    assert_eq!(next(&mut write, &[Kind::Build], &[Arch::X86_64, Arch::Aarch64]).await, Some(foreign));
    assert_eq!(next(&mut write, &[Kind::Sign], &[]).await, Some(sign));
    assert_eq!(next(&mut write, &[Kind::Test], &[Arch::X86_64]).await, None);
    let late = task::get(&mut write, late).await.unwrap();
    assert_eq!(count_before(&mut write, &late).await.unwrap(), 1);
    assert_eq!(count_of_owner(&mut write, "ada").await.unwrap(), 5);
}

#[tokio::test]
async fn the_first_of_a_long_queue_is_found_by_the_index() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    if scratch.db.is_shared() {
        // PostgreSQL decides by statistics, which an empty table has not.
        return;
    }
    let rows = sqlx::query(
        "EXPLAIN QUERY PLAN
         SELECT * FROM task WHERE status = 'ready' AND kind = 'build' AND arch = 'x86_64' ORDER BY queued_for, id LIMIT 1",
    )
    .fetch_all(&mut *write)
    .await
    .unwrap();

    let plan: Vec<String> = rows.iter().map(|row| crate::row::Columns::text(row, "detail").unwrap()).collect();
    assert!(
        plan.iter().all(|line| line.contains("USING INDEX task_queue") && !line.contains("TEMP B-TREE")),
        "{plan:?}"
    );
}
