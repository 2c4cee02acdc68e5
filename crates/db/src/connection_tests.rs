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

#[tokio::test]
async fn a_writer_that_does_nothing_in_its_turn_loses_it_to_the_others() {
    let scratch = Scratch::new().await;
    let Address::Postgres(url) = &scratch.address else { return };
    let mut write = scratch.write().await;
    for (setting, wanted) in [("idle_in_transaction_session_timeout", "3min"), ("lock_timeout", "1min")] {
        let sql = sqlx::AssertSqlSafe(format!("SHOW {setting}"));
        let value: String = sqlx::query_scalar(sql).fetch_one(&mut *write).await.unwrap();
        assert_eq!(value, wanted, "{setting}");
    }
    drop(write);
    let short = format!("{url}?options[idle_in_transaction_session_timeout]=300ms");
    let frozen = Db::connect(Address::Postgres(short)).await.unwrap();
    let mut held = frozen.write(Timestamp(1), "frozen").await.unwrap();
    event::record(&mut held, new_event("too late")).await.unwrap();

    let mut write = scratch.write().await;
    event::record(&mut write, new_event("in time")).await.unwrap();
    write.commit().await.unwrap();

    assert!(held.commit().await.is_err(), "it lost its turn, and with it what it wrote");
    let events = event::list(&mut scratch.db.read().await.unwrap(), EventId(0), None, 10).await.unwrap();
    assert_eq!(events.iter().map(|event| event.message.as_str()).collect::<Vec<_>>(), ["in time"]);
    frozen.write(Timestamp(1), "thawed").await.expect("it connects anew");
}

#[tokio::test]
async fn a_database_that_takes_nothing_is_told_from_one_that_is_full_and_one_that_is_away() {
    let scratch = Scratch::new().await;
    let setting = match scratch.db.is_shared() {
        true => "SET default_transaction_read_only = on",
        false => "PRAGMA query_only = ON",
    };
    scratch.db.writer.execute(setting).await.unwrap();

    let write = async {
        let mut write = scratch.db.write(Timestamp(1), "tester").await?;
        crate::probe::write(&mut write).await
    };
    let error = write.await.unwrap_err();

    assert!(error.is_of_read_only() && !error.is_of_full_disk(), "{error:?}");
}

#[tokio::test]
async fn a_transaction_that_the_database_ended_by_itself_is_not_the_last() {
    let scratch = Scratch::new().await;
    let mut write = scratch.write().await;
    // As SQLite does where the disk is full; the driver does not know.
    write.execute("ROLLBACK").await.unwrap();
    drop(write);

    let mut write = scratch.write().await;

    event::record(&mut write, new_event("kept")).await.unwrap();
    write.commit().await.unwrap();
}
