use super::*;
use crate::{
    event::{self, NewEvent},
    testing::Scratch,
};
use anima_types::id::EventId;

fn new_event(message: &str) -> NewEvent {
    NewEvent { noun: "node", verb: "joined", message: message.into(), ..NewEvent::default() }
}

#[tokio::test]
async fn a_database_opens_again_with_what_was_committed_and_nothing_else() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    event::record(&mut write, new_event("kept")).await.unwrap();
    write.commit().await.unwrap();
    let mut write = scratch.write().await;
    event::record(&mut write, new_event("dropped")).await.unwrap();
    drop(write);
    scratch.db.close().await;

    let db = Db::connect(scratch.address.clone()).await.unwrap();

    let events = event::list(&mut db.read().await.unwrap(), EventId(0), None, 10).await.unwrap();
    assert_eq!(events.iter().map(|event| event.message.as_str()).collect::<Vec<_>>(), ["kept"]);
}

#[tokio::test]
async fn a_commit_survives_a_power_cut_and_readers_do_not_wait() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    if scratch.db.is_shared() {
        for (setting, wanted) in [("synchronous_commit", "on"), ("full_page_writes", "on")] {
            let sql = sqlx::AssertSqlSafe(format!("SHOW {setting}"));
            let value: String = sqlx::query_scalar(sql).fetch_one(&mut *write).await.unwrap();
            assert_eq!(value, wanted, "{setting}");
        }
        return;
    }

    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *write).await.unwrap();
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *write).await.unwrap();
    let foreign: i64 = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(&mut *write).await.unwrap();

    assert_eq!((mode.as_str(), synchronous, foreign), ("wal", 2, 1));
}

#[tokio::test]
async fn a_listener_hears_of_events_when_they_are_committed_and_not_before() {
    let scratch = Scratch::new().await;
    let mut listener = scratch.db.subscribe();

    let mut write = scratch.write().await;
    event::record(&mut write, new_event("one")).await.unwrap();
    assert!(listener.try_recv().is_err());
    write.commit().await.unwrap();

    assert_eq!(listener.recv().await.unwrap().message, "one");
}

#[tokio::test]
async fn a_reader_sees_one_moment_while_a_writer_goes_on() {
    let scratch = Scratch::new().await;
    let mut read = scratch.db.read().await.unwrap();
    assert_eq!(event::newest(&mut read).await.unwrap(), EventId(0));

    let mut write = scratch.write().await;
    event::record(&mut write, new_event("later")).await.unwrap();
    write.commit().await.unwrap();

    assert_eq!(event::newest(&mut read).await.unwrap(), EventId(0));
    assert_eq!(event::newest(&mut scratch.db.read().await.unwrap()).await.unwrap(), EventId(1));
}
