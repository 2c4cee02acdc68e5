use super::*;
use crate::{
    build, event,
    task::{self, About},
    testing::{self, Scratch},
};
use anima_types::{
    id::{BuildId, EventId},
    task::Event,
};

async fn ready(write: &mut Write, build: BuildId, kind: Kind, arch: Option<Arch>, queued_for: i64) -> TaskId {
    let about = About { build: Some(build), arch, ..About::new(kind) };
    let id = task::insert(write, &about, "Waits.").await.unwrap();
    let task = task::get(write, id).await.unwrap();
    let why = "It waits for a node.".to_string();
    begin_all(write, &[Begun { task, queued_for: Timestamp(queued_for), why }]).await.unwrap();
    id
}

async fn head(write: &mut Write, kind: Kind, arch: Option<Arch>, limit: usize) -> Vec<TaskId> {
    behind(write, (kind, arch), FRONT, limit).await.unwrap().into_iter().map(|task| task.id).collect()
}

#[tokio::test]
async fn the_first_of_a_queue_are_those_with_the_lowest_places() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let build = testing::build(&mut write).await;
    let late = ready(&mut write, build, Kind::Build, Some(Arch::X86_64), 300).await;
    let early = ready(&mut write, build, Kind::Build, Some(Arch::X86_64), 100).await;
    let same = ready(&mut write, build, Kind::Build, Some(Arch::X86_64), 100).await;
    let foreign = ready(&mut write, build, Kind::Build, Some(Arch::Aarch64), 10).await;
    let sign = ready(&mut write, build, Kind::Sign, None, 0).await;

    assert_eq!(head(&mut write, Kind::Build, Some(Arch::X86_64), 2).await, [early, same]);
    assert_eq!(head(&mut write, Kind::Build, Some(Arch::X86_64), 9).await, [early, same, late]);
    assert_eq!(head(&mut write, Kind::Build, Some(Arch::Aarch64), 1).await, [foreign]);
    assert_eq!(head(&mut write, Kind::Sign, None, 1).await, [sign]);
    assert_eq!(head(&mut write, Kind::Build, None, 1).await, []);
    let late = task::get(&mut write, late).await.unwrap();
    let next = behind(&mut write, (Kind::Build, Some(Arch::X86_64)), (Timestamp(100), early), 9).await.unwrap();
    assert_eq!(next.iter().map(|task| task.id).collect::<Vec<_>>(), [same, late.id]);
    task::set_estimates(&mut write, &[(early, Some(70), 0)]).await.unwrap();
    let expected = Before { count: 2, known_secs: 70, unknown_count: 1 };
    assert_eq!(between(&mut write, FRONT, &late).await.unwrap(), expected);
    let same = task::get(&mut write, same).await.unwrap();
    let first = between(&mut write, FRONT, &same).await.unwrap();
    let rest = between(&mut write, (same.queued_for, same.id), &late).await.unwrap();
    assert_eq!((first.count, rest.count, first + rest), (1, 1, expected), "each is counted once");
    let sign = task::get(&mut write, sign).await.unwrap();
    assert_eq!(between(&mut write, FRONT, &sign).await.unwrap(), Before::default());
}

#[tokio::test]
async fn what_an_owner_has_in_the_queue_is_counted_to_a_limit_and_only_where_builds_go_on() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let build = testing::build(&mut write).await;
    for place in 0..5 {
        ready(&mut write, build, Kind::Build, Some(Arch::X86_64), place).await;
    }

    let mut owned = async |owner: &str, limit| share(&mut write, (owner, None), limit).await.unwrap().owned;
    assert_eq!((owned("ada", 9).await, owned("ada", 3).await, owned("bob", 9).await), (5, 3, 0));
    let row = build::get(&mut write, build).await.unwrap();
    build::apply(&mut write, &row, anima_types::build::Event::Cancelled, "Stopped.").await.unwrap();
    assert_eq!(share(&mut write, ("ada", None), 9).await.unwrap().owned, 0);
}

#[tokio::test]
async fn what_a_team_has_is_counted_with_its_people_and_apart_from_what_they_do_for_others() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let (own, team) = (testing::build(&mut write).await, testing::build(&mut write).await);
    build::set_team(&mut write, team, "desktop").await.unwrap();
    for (build, count) in [(own, 3), (team, 2)] {
        for place in 0..count {
            ready(&mut write, build, Kind::Build, Some(Arch::X86_64), place).await;
        }
    }
    let alone = Share { owned: 3, people: 1 };
    assert_eq!(share(&mut write, ("ada", None), 9).await.unwrap(), alone);
    assert_eq!(share(&mut write, ("ada", Some("desktop")), 9).await.unwrap(), Share { owned: 2, people: 1 });
    assert_eq!(share(&mut write, ("bob", Some("desktop")), 9).await.unwrap(), Share { owned: 0, people: 2 });
    assert_eq!(count_of_team(&mut write, "desktop").await.unwrap(), 2);
}

#[tokio::test]
async fn many_ready_tasks_are_made_in_their_order_each_with_both_events() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let build = testing::build(&mut write).await;
    let about = |number: i64| About {
        build: Some(build),
        package: Some(format!("p{number}")),
        arch: Some(Arch::X86_64),
        ..About::new(Kind::Src)
    };
    // Pieces of several sizes, and places that are not in the order of the tasks.
    let tasks: Vec<_> = (0..333).map(|number| (about(number), Some(Timestamp(number * 7 % 333)))).collect();

    insert_all(&mut write, &tasks, ("Asked.", "Waits.")).await.unwrap();

    let made = task::of_build(&mut write, build).await.unwrap();
    let rows: Vec<_> = made.iter().map(|task| (task.about.clone(), Some(task.queued_for))).collect();
    assert_eq!(rows, tasks);
    assert!(made.iter().all(|task| (task.status, task.why.as_str()) == (Status::Ready, "Waits.")));
    let next = behind(&mut write, (Kind::Src, Some(Arch::X86_64)), FRONT, 333).await.unwrap();
    assert!(next.is_sorted_by_key(|task| task.queued_for) && next.len() == 333);
    let events = event::list(&mut write, EventId(0), Some(build), 1_000).await.unwrap();
    for task in &made {
        let its: Vec<_> = events.iter().filter(|event| event.task == Some(task.id)).collect();
        let told: Vec<_> = its.iter().map(|event| (event.verb.as_str(), event.status.as_deref())).collect();
        assert_eq!(told, [("created", Some("waiting")), ("dependencies_met", Some("ready"))]);
    }
    let ids: Vec<_> = events.iter().map(|event| event.id).collect();
    assert!(ids.is_sorted() && events.len() == 1 + 2 * 333);
    assert_eq!(write.events, events, "listeners are told what is written");

    insert_all(&mut write, &[(about(900), None)], ("Asked.", "Waits.")).await.unwrap();
    let task = task::of_build(&mut write, build).await.unwrap().pop().unwrap();
    assert_eq!((task.status, task.why.as_str()), (Status::Waiting, "Asked."));
    assert_eq!(write.events.last().unwrap().verb, "created");
}

#[tokio::test]
async fn the_first_of_a_long_queue_is_found_by_the_index() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    if scratch.db.is_shared() {
        // PostgreSQL decides by statistics, which an empty table has not.
        return;
    }
    let query = sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {BEHIND}")));
    let query = query.bind("ready").bind("build").bind(FRONT.0.0).bind(FRONT.1.0).bind("x86_64").bind(1_i64);
    let rows = query.fetch_all(&mut *write).await.unwrap();

    let plan: Vec<String> = rows.iter().map(|row| crate::row::Columns::text(row, "detail").unwrap()).collect();
    assert!(
        plan.iter().all(|line| line.contains("USING INDEX task_queue") && !line.contains("TEMP B-TREE")),
        "{plan:?}"
    );
}

#[tokio::test]
async fn a_task_that_gets_its_place_knows_the_node_that_built_its_package_for_its_target_last() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    let build = testing::build(&mut write).await;
    let mut made = async |package: &str, arch| {
        let about = About {
            build: Some(build),
            package: Some(package.into()),
            platform: Some("p1".into()),
            arch: Some(arch),
            ..About::new(Kind::Build)
        };
        let id = task::insert(&mut write, &about, "Waits.").await.unwrap();
        let task = task::get(&mut write, id).await.unwrap();
        let why = "It waits for a node.".to_string();
        begin_all(&mut write, &[Begun { task, queued_for: Timestamp(1), why }]).await.unwrap();
        let ready = task::get(&mut write, id).await.unwrap();
        task::claim(&mut write, &ready, &format!("n{id}"), Timestamp(9), "It works.").await.unwrap();
        let leased = task::get(&mut write, id).await.unwrap();
        let ended = task::Ended { phases: Vec::new(), failure: None, result: None, report_hash: None };
        task::end(&mut write, &leased, Event::Succeeded, "Done.", &ended).await.unwrap();
        (format!("n{id}"), ready.home)
    };

    let (_, none) = made("jq", Arch::X86_64).await;
    let (second, _) = made("jq", Arch::X86_64).await;
    let (_, other) = made("jq", Arch::Aarch64).await;
    let (_, third) = made("jq", Arch::X86_64).await;

    assert_eq!((none, other, third), (None, None, Some(second)));
}
