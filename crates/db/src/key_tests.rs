use super::*;
use crate::{
    signature,
    testing::{self, Scratch},
};
use anima_types::{
    Sha256,
    id::TaskId,
    signature::{Form, Kind},
};

fn made(expires_at: Option<Timestamp>) -> Made {
    Made { fingerprint: "ABCD".into(), public_key: "armour".into(), file_key: None, expires_at }
}

async fn active(write: &mut Write, expires_at: Option<Timestamp>) -> Key {
    let id = insert(write, &testing::key("seed-1", Algorithm::Ed25519), &Policy::default()).await.unwrap();
    super::made(write, id, &made(expires_at)).await.unwrap();
    get(write, id).await.unwrap()
}

#[tokio::test]
async fn a_key_ends_once_and_by_its_table() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let key = active(&mut write, None).await;

    apply(&mut write, &key, Event::Rotated, "Another took its place.").await.unwrap();

    let retired = get(&mut write, key.id).await.unwrap();
    assert_eq!((retired.status, retired.ended_at), (Status::Retired, Some(write.now)));
    assert!(matches!(apply(&mut write, &key, Event::Expired, "").await, Err(Error::Conflict { .. })));
    assert!(matches!(apply(&mut write, &retired, Event::Expired, "").await, Err(Error::Transition { .. })));
    apply(&mut write, &retired, Event::Revoked, "Stolen.").await.unwrap();
}

#[tokio::test]
async fn people_are_told_once_of_each_number_of_days() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let key = active(&mut write, Some(Timestamp(5))).await;

    assert!(warn(&mut write, &key, 90, "In 80 days.").await.unwrap());
    assert!(!warn(&mut write, &key, 90, "In 79 days.").await.unwrap());
    assert!(warn(&mut write, &key, 30, "In 29 days.").await.unwrap());

    assert_eq!(list_expiring(&mut write, Timestamp(6)).await.unwrap().len(), 1);
    assert_eq!(list_expiring(&mut write, Timestamp(5)).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_policy_is_kept_as_it_was_said() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let key = active(&mut write, None).await;
    let policy = Policy { kinds: vec![Kind::Rpm], products: vec!["seed-1".into()], ..Policy::default() };

    set_policy(&mut write, &key, &policy).await.unwrap();

    assert_eq!(get(&mut write, key.id).await.unwrap().policy, policy);
}

#[tokio::test]
async fn a_signature_is_written_once_and_listed_in_its_order() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let key = active(&mut write, None).await;
    let build = testing::build(&mut write).await;
    let task = testing::build_task(&mut write, build, "jq", anima_types::Arch::X86_64).await;
    let new = |byte: u8, form: Form| signature::New {
        artifact: Sha256([byte; 32]),
        kind: Kind::Rpm,
        form,
        name: "jq".into(),
        bytes_sha256: Sha256([byte + 100; 32]),
    };

    for new in [new(1, Form::RpmHeader), new(1, Form::RpmHeader), new(1, Form::RpmPayload), new(2, Form::RpmHeader)] {
        signature::insert(&mut write, key.id, task, &new).await.unwrap();
    }

    let all = signature::list(&mut write, key.id, 0, 10).await.unwrap();
    assert_eq!(all.iter().map(|one| one.artifact.0[0]).collect::<Vec<_>>(), [1, 1, 2]);
    assert_eq!(signature::list(&mut write, key.id, all[1].id, 10).await.unwrap(), all[2..]);
    assert_eq!(signature::newest(&mut write, key.id, 1).await.unwrap(), all[2..]);
    assert_eq!(signature::counts(&mut write, key.id).await.unwrap()[0].count, 3);
    assert_eq!(signature::approvals(&mut write, TaskId(task.0)).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_person_approves_of_a_task_once() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let build = testing::build(&mut write).await;
    let id = testing::build_task(&mut write, build, "jq", anima_types::Arch::X86_64).await;
    let task = crate::task::get(&mut write, id).await.unwrap();

    for _ in 0..2 {
        signature::approve(&mut write, &task, "looked at it").await.unwrap();
    }

    assert_eq!(signature::approvals(&mut write, id).await.unwrap(), ["tester"]);
}
