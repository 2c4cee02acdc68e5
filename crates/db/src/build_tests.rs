use super::*;
use crate::{
    push, source,
    testing::{self, Scratch},
};
use anima_types::{build::Source, push::Push};

#[tokio::test]
async fn every_step_of_the_table_is_taken_and_every_other_pair_is_refused() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let id = testing::build(&mut write).await;

    for status in Status::ALL {
        for event in Event::ALL {
            sqlx::query("UPDATE build SET status = $1").bind(status.name()).execute(&mut *write).await.unwrap();
            let build = get(&mut write, id).await.unwrap();
            match (next(status, event), apply(&mut write, &build, event, "why").await) {
                (Some(wanted), Ok(got)) => assert_eq!(wanted, got),
                (None, Err(Error::Transition { .. })) => {}
                (wanted, got) => panic!("{status:?} {event:?}: {wanted:?} {got:?}"),
            }
        }
    }
}

#[tokio::test]
async fn builds_are_listed_the_newest_first_by_what_is_asked_for() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let mut ids = Vec::new();
    for package in ["jq", "xz", "jq"] {
        let id = testing::build(&mut write).await;
        let source = Source { package: package.into(), reference: "s1".into(), commit: "1".into() };
        source::insert_all(&mut write, id, &[source]).await.unwrap();
        ids.push(id);
    }
    let first = get(&mut write, ids[0]).await.unwrap();
    apply(&mut write, &first, Event::Cancelled, "Stopped.").await.unwrap();

    let mut listed = async |filter: Filter, limit| {
        let builds = list(&mut write, &filter, limit).await.unwrap();
        builds.into_iter().map(|build| build.id).collect::<Vec<_>>()
    };

    assert_eq!(listed(Filter::default(), 2).await, [ids[2], ids[1]]);
    assert_eq!(listed(Filter { before: Some(ids[1]), ..Filter::default() }, 9).await, [ids[0]]);
    assert_eq!(listed(Filter { package: Some("jq".into()), ..Filter::default() }, 9).await, [ids[2], ids[0]]);
    assert_eq!(listed(Filter { status: Some(Status::Cancelled), ..Filter::default() }, 9).await, [ids[0]]);
    assert_eq!(listed(Filter { owner: Some("bob".into()), ..Filter::default() }, 9).await, []);
    assert_eq!(list_open(&mut write).await.unwrap(), [ids[1], ids[2]]);
    let newest: Vec<_> =
        source::newest(&mut write).await.unwrap().into_iter().map(|one| (one.package, one.build)).collect();
    assert_eq!(newest, [("jq".to_string(), ids[2]), ("xz".to_string(), ids[1])]);
}

#[tokio::test]
async fn pushes_find_the_build_that_gathers_until_its_time_is_over() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write_at(10).await;
    let until = write.now.plus_secs(1);
    let new = NewBuild {
        owner: "ada".into(),
        reason: "pushed".into(),
        platforms: vec![],
        architectures: vec![],
        priority: Default::default(),
        summary: String::new(),
        gather: Some(("ada s1".into(), until)),
    };
    let id = insert(&mut write, &new).await.unwrap();
    let now = write.now;

    let mut found = async |at| find_gathering(&mut write, "ada s1", at).await.unwrap().map(|build| build.id);
    assert_eq!(found(now).await, Some(id));
    assert_eq!(found(until).await, None);
    assert_eq!(find_gathering(&mut write, "bob s1", now).await.unwrap(), None);

    extend_gathering(&mut write, id, until.plus_secs(1)).await.unwrap();
    assert_eq!(list_gathered(&mut write, until).await.unwrap(), (vec![], Some(until.plus_secs(1))));
    assert_eq!(list_gathered(&mut write, until.plus_secs(1)).await.unwrap(), (vec![id], None));
    close_gathering(&mut write, id).await.unwrap();
    assert_eq!(list_gathered(&mut write, until.plus_secs(9)).await.unwrap(), (vec![], None));
    assert_eq!(get(&mut write, id).await.unwrap().gather_until, None);
}

#[tokio::test]
async fn a_push_is_written_once() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let id = testing::build(&mut write).await;
    let push = Push {
        package: "jq".into(),
        branch: "s1".into(),
        commit: "c1".into(),
        subject: "Update".into(),
        pusher: "ada".into(),
        via: None,
        address: None,
    };

    push::insert(&mut write, &push, id).await.unwrap();

    assert_eq!(push::find(&mut write, &push).await.unwrap(), Some(id));
    assert!(matches!(push::insert(&mut write, &push, id).await, Err(Error::Taken { .. })));
}
