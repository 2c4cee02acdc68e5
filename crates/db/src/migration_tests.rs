//! An upgrade with rows in flight: a task that a node holds, a release that waits for a decision, a mass rebuild that is paused.

use anima_types::{
    Timestamp,
    id::{BuildId, EventId, ReleaseId, TaskId},
    task,
};
use sqlx::AnyPool;

use super::*;
use crate::{
    Db, build, event, lease, rebuild, release,
    task::Ended,
    task_lease,
    testing::{self, fresh_address},
};

/// The schemas that are upgraded: that of the first version, and the first that has mass rebuilds.
const OLD: [i64; 2] = [1, 48];

/// Makes the tables as they were with the migrations up to one, and rows as they were written then.
async fn old(address: &Address, newest: i64) {
    let mut versions: Vec<i64> = address.migrations().iter().map(|migration| migration.version).collect();
    versions.retain(|version| *version <= newest);
    let pool = address.make(&versions).await.unwrap();
    for sql in [
        "INSERT INTO product (name, title, repositories, architectures, automatic, created_at)
         VALUES ('seed-1', 'Seed 1', '[\"BaseOS\"]', '[\"x86_64\"]', 1, 5)",
        "INSERT INTO repository (product, path, kind, arch, current) VALUES ('seed-1', 'BaseOS/x86_64', 'binary', 'x86_64', 0)",
        "INSERT INTO build (status, owner, reason, platforms, architectures, summary, created_at)
         VALUES ('building', 'ada', 'asked for by ada', '[\"seed-1\"]', '[\"x86_64\"]', 'Packages are being built.', 5)",
        "INSERT INTO source (build_id, package, reference, commit_id) VALUES (1, 'jq', 'seed-1', 'c0ffee')",
        "INSERT INTO task (kind, status, build_id, package, platform, arch, why, attempts, lease_number, lease_expires_at,
                           node, created_at, started_at)
         VALUES ('build', 'leased', 1, 'jq', 'seed-1', 'x86_64', 'build-1 works on it.', 1, 1, 30000000, 'build-1', 5, 6)",
        "INSERT INTO lease (hash, task_id, number, node, granted_at) VALUES ('5ec', 1, 1, 'build-1', 6)",
        "INSERT INTO release_plan (status, product, build_id, plan, base, summary, created_at)
         VALUES ('planned', 'seed-1', 1, '[]', '{}', 'Planned.', 7)",
        "INSERT INTO event (at, noun, verb, status, actor, build_id, task_id, message)
         VALUES (6, 'task', 'claimed', 'leased', 'build-1', 1, 1, 'build-1 works on it.')",
        "INSERT INTO event (at, noun, verb, status, actor, build_id, release_id, message)
         VALUES (7, 'release', 'plan_made', 'planned', 'anima', 1, 1, 'Planned.')",
    ] {
        run(&pool, sql).await;
    }
    if newest >= 48 {
        run(&pool, "UPDATE release_plan SET content = '{\"build\":1}'").await;
        run(&pool, "INSERT INTO rebuild (build_id, is_paused, task_limit) VALUES (1, 1, 4)").await;
    }
    pool.close().await;
}

async fn run(pool: &AnyPool, sql: &'static str) {
    sqlx::query(sql).execute(pool).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
}

#[tokio::test]
async fn what_is_under_way_goes_on_after_an_upgrade() {
    for newest in OLD {
        let (_dir, address) = fresh_address();
        old(&address, newest).await;

        let db = Db::connect(address).await.unwrap();

        let mut write = db.write(Timestamp(0).plus_secs(9), "build-1").await.unwrap();
        let held = lease::find(&mut write, "5ec").await.unwrap().unwrap();
        assert_eq!((held.task, held.number, held.node.as_str()), (TaskId(1), 1, "build-1"));
        let until = write.now.plus_secs(30);
        let extended = task_lease::extend_all(&mut write, &[(held.task, held.number)], until).await.unwrap();
        assert!(extended.contains(&(TaskId(1), 1)), "from {newest}: the node keeps its task");
        let row = crate::task::get(&mut write, TaskId(1)).await.unwrap();
        let ended = Ended { phases: Vec::new(), failure: None, result: None, report_hash: Some("h".into()) };
        crate::task::end(&mut write, &row, task::Event::Succeeded, "It is built.", &ended).await.unwrap();

        let planned = release::list_open(&mut write).await.unwrap();
        assert_eq!(
            planned.iter().map(|release| (release.id, release.build)).collect::<Vec<_>>(),
            [(ReleaseId(1), Some(BuildId(1)))]
        );
        release::apply(&mut write, &planned[0], anima_types::release::Event::Committed, "It goes.").await.unwrap();
        let news = event::news(&mut write, EventId(2)).await.unwrap();
        assert_eq!(news, event::News { newest: EventId(4), is_of_release: true, is_of_key: false });

        let bounds = rebuild::find(&mut write, BuildId(1)).await.unwrap().map(|row| (row.is_paused, row.limit));
        assert_eq!(bounds, (newest >= 48).then_some((true, Some(4))));
        let news = build::list_with_news(&mut write).await.unwrap();
        assert_eq!(news.get(&BuildId(1)), Some(&EventId(0)), "it is looked at once");
        build::set_advanced(&mut write, BuildId(1)).await.unwrap();
        assert!(build::list_with_news(&mut write).await.unwrap().is_empty());
        assert_eq!(testing::build(&mut write).await, BuildId(2), "ids are counted on");
        write.commit().await.unwrap();
        db.close().await;
    }
}

#[tokio::test]
async fn a_master_that_starts_waits_for_the_one_that_brings_the_database_up_to_date() {
    let (_dir, address) = fresh_address();
    let Address::Postgres(url) = &address else { return };
    Db::connect(address.clone()).await.unwrap().close().await;
    let other = address.lazy();
    let mut migrating = other.begin().await.unwrap();
    sqlx::query("LOCK TABLE _sqlx_migrations").execute(&mut *migrating).await.unwrap();
    // It gives up a lock much sooner than a master does.
    let separator = if url.contains('?') { '&' } else { '?' };
    let hasty = Address::Postgres(format!("{url}{separator}options=-c%20lock_timeout%3D50ms"));

    let mut starting = Box::pin(Db::connect(hasty));
    let waits = tokio::time::timeout(Duration::from_millis(500), &mut starting).await;
    assert!(waits.is_err(), "it neither starts nor fails: {:?}", waits.map(|started| started.map(drop)));
    migrating.commit().await.unwrap();

    let started = starting.await.unwrap();
    let third = tokio::time::timeout(Duration::from_secs(30), Db::connect(address.clone())).await;
    third.expect("whoever waited keeps nobody waiting").unwrap().close().await;
    started.close().await;
}
