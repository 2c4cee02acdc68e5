use super::*;
use crate::testing::{Scratch, build, build_task};
use anima_types::{
    Arch,
    id::{BuildId, EventId},
};

async fn ready(write: &mut Write, build: BuildId, count: usize) -> Vec<Task> {
    let mut tasks = Vec::new();
    for number in 0..count {
        let id = build_task(write, build, &format!("p{number}"), Arch::X86_64).await;
        let task = crate::task::get(write, id).await.unwrap();
        crate::task::apply(write, &task, Event::DependenciesMet, "Ready.").await.unwrap();
        tasks.push(crate::task::get(write, id).await.unwrap());
    }
    tasks
}

fn given<'a>(task: &'a Task, node: &'a str) -> Claimed<'a> {
    Claimed { task, node, is_emulated: node == "n2", why: format!("{node} works on it.") }
}

#[tokio::test]
async fn many_claims_in_one_statement_are_what_each_of_them_would_be() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write_at(100).await;
    let build = build(&mut write).await;
    let tasks = ready(&mut write, build, 23).await;
    let nodes = ["n1", "n2", "n3"];
    let claimed: Vec<_> = tasks.iter().enumerate().map(|(at, task)| given(task, nodes[at % 3])).collect();

    claim_all(&mut write, &claimed, Timestamp(900)).await.unwrap();

    for Claimed { task, node, is_emulated, why } in claimed {
        let now = crate::task::get(&mut write, task.id).await.unwrap();
        let wanted = Task {
            status: Status::Leased,
            why,
            attempts: 1,
            lease_number: 1,
            lease_expires_at: Some(Timestamp(900)),
            node: Some(node.to_string()),
            is_emulated,
            started_at: Some(write.now),
            ..task.clone()
        };
        assert_eq!(now, wanted);
    }
    let events = event::list(&mut write, EventId(0), Some(build), 1_000).await.unwrap();
    let last = &events[events.len() - tasks.len()..];
    let told: Vec<_> = last.iter().map(|event| (event.task, event.verb.as_str(), event.actor.as_str())).collect();
    let wanted: Vec<_> = tasks.iter().enumerate().map(|(at, task)| (Some(task.id), "claimed", nodes[at % 3])).collect();
    assert_eq!(told, wanted);
}

#[tokio::test]
async fn of_claims_together_none_is_given_where_one_cannot_be() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let build = build(&mut write).await;
    let tasks = ready(&mut write, build, 5).await;
    crate::task::apply(&mut write, &tasks[3], Event::Cancelled, "Stopped.").await.unwrap();
    write.commit().await.unwrap();

    let mut write = scratch.write().await;
    let claimed: Vec<_> = tasks.iter().map(|task| given(task, "n1")).collect();
    let refused = claim_all(&mut write, &claimed, Timestamp(900)).await.unwrap_err();
    drop(write);

    assert!(matches!(refused, Error::Conflict { id, .. } if id == tasks[3].id.0), "{refused}");
    let mut write = scratch.write().await;
    assert_eq!(count(&mut write).await.unwrap(), 0);
}

#[tokio::test]
async fn leases_that_are_over_are_found_and_those_that_were_extended_are_not() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let build = build(&mut write).await;
    let tasks = ready(&mut write, build, 4).await;
    for (task, until) in tasks.iter().zip([30, 10, 20, 40]) {
        claim_all(&mut write, &[given(task, "n1")], Timestamp(until)).await.unwrap();
    }

    extend_all(&mut write, &[(tasks[0].id, 1), (tasks[3].id, 9)], Timestamp(99)).await.unwrap();

    let expired = list_expired(&mut write, Timestamp(40), 9).await.unwrap();
    assert_eq!(expired, [tasks[1].id, tasks[2].id, tasks[3].id]);
    assert_eq!(list_expired(&mut write, Timestamp(40), 1).await.unwrap(), [tasks[1].id]);
    assert_eq!(list_of_node(&mut write, "n1").await.unwrap().len(), 4);
    assert_eq!(list_of_node(&mut write, "n2").await.unwrap(), []);
}
