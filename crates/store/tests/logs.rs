//! What the store promises of logs.

use anima_store::{Error, LogStore};
use anima_types::id::TaskId;
use tempfile::TempDir;

const TASK: TaskId = TaskId(17);

async fn logs(max_bytes: u64) -> (TempDir, LogStore) {
    let dir = TempDir::new().unwrap();
    let logs = LogStore::open_bounded(dir.path(), max_bytes).await.unwrap();
    (dir, logs)
}

async fn text(logs: &LogStore) -> String {
    String::from_utf8(logs.read_range(TASK, 0, 1000).await.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn pieces_follow_one_another() {
    let (_dir, logs) = logs(100).await;

    assert_eq!(logs.append(TASK, 0, "make\n").await.unwrap(), 5);
    assert_eq!(logs.append(TASK, 5, "check\n").await.unwrap(), 11);

    assert_eq!(text(&logs).await, "make\ncheck\n");
    assert_eq!(logs.read_range(TASK, 5, 3).await.unwrap(), "che");
    assert_eq!(logs.read_range(TASK, 50, 3).await.unwrap(), "");
    assert_eq!(logs.size(TASK).await.unwrap(), 11);
}

#[tokio::test]
async fn a_piece_that_is_sent_again_changes_nothing() {
    let (_dir, logs) = logs(100).await;
    logs.append(TASK, 0, "make\n").await.unwrap();

    assert_eq!(logs.append(TASK, 0, "make\n").await.unwrap(), 5);
    assert_eq!(logs.append(TASK, 2, "ke\nche").await.unwrap(), 8);
    assert_eq!(logs.append(TASK, 0, "").await.unwrap(), 8);

    assert_eq!(text(&logs).await, "make\nche");
}

#[tokio::test]
async fn a_piece_that_would_change_what_is_there_is_refused() {
    let (_dir, logs) = logs(100).await;
    logs.append(TASK, 0, "make\n").await.unwrap();

    let error = logs.append(TASK, 2, "XX\nmore").await.unwrap_err();

    assert!(matches!(error, Error::LogDiffers { offset: 2, .. }));
    assert_eq!(text(&logs).await, "make\n");
}

#[tokio::test]
async fn a_gap_is_refused_with_the_size() {
    let (_dir, logs) = logs(100).await;
    logs.append(TASK, 0, "make\n").await.unwrap();

    let error = logs.append(TASK, 6, "check\n").await.unwrap_err();

    assert_eq!(error.to_string(), "could not append to log of task 17 at byte 6: it has 5 bytes");
}

#[tokio::test]
async fn a_log_has_a_bound() {
    let (_dir, logs) = logs(8).await;
    logs.append(TASK, 0, "make\n").await.unwrap();

    assert!(matches!(logs.append(TASK, 5, "check\n").await, Err(Error::LogFull { max_bytes: 8, .. })));
    assert_eq!(logs.append(TASK, 5, "ok\n").await.unwrap(), 8);
}

#[tokio::test]
async fn a_log_is_there_after_a_restart() {
    let (dir, logs) = logs(100).await;
    logs.append(TASK, 0, "make\n").await.unwrap();
    logs.sync(TASK).await.unwrap();
    drop(logs);

    let logs = LogStore::open(dir.path()).await.unwrap();

    assert_eq!(logs.append(TASK, 5, "check\n").await.unwrap(), 11);
}

#[tokio::test]
async fn another_attempt_begins_an_empty_log() {
    let (_dir, logs) = logs(100).await;
    logs.append(TASK, 0, "first try").await.unwrap();

    logs.clear(TASK).await.unwrap();

    assert_eq!(logs.size(TASK).await.unwrap(), 0);
    assert_eq!(logs.append(TASK, 0, "second").await.unwrap(), 6);
    logs.clear(TaskId(99)).await.unwrap();
    logs.sync(TaskId(99)).await.unwrap();
}

#[tokio::test]
async fn pieces_that_come_at_once_do_not_mix() {
    let (_dir, logs) = logs(1000).await;
    let sends = (0..16).map(|_| {
        let logs = logs.clone();
        tokio::spawn(async move { logs.append(TASK, 0, "the same line, sent by many\n").await.unwrap() })
    });

    for send in sends.collect::<Vec<_>>() {
        assert_eq!(send.await.unwrap(), 28);
    }

    assert_eq!(text(&logs).await, "the same line, sent by many\n");
}
