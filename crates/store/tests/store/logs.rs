//! What the store promises of logs.

use anima_store::{Error, LogStore};
use anima_types::id::TaskId;
use anima_types::task_log::{LogId, LogName};

use crate::place::Place;

const TASK: TaskId = TaskId(17);

async fn logs(max_bytes: u64) -> (Place, LogStore) {
    let place = Place::new();
    let logs = LogStore::open_bounded(&place.address, max_bytes).await.unwrap();
    (place, logs)
}

async fn text(logs: &LogStore) -> String {
    String::from_utf8(logs.read_range(TASK, 0, 1000).await.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn pieces_follow_one_another() {
    let (_place, logs) = logs(100).await;

    assert_eq!(logs.append(TASK, 0, "make\n").await.unwrap(), 5);
    assert_eq!(logs.append(TASK, 5, "check\n").await.unwrap(), 11);

    assert_eq!(text(&logs).await, "make\ncheck\n");
    assert_eq!(logs.read_range(TASK, 5, 3).await.unwrap(), "che");
    assert_eq!(logs.read_range(TASK, 50, 3).await.unwrap(), "");
    assert_eq!(logs.size(TASK).await.unwrap(), 11);
}

#[tokio::test]
async fn a_piece_that_is_sent_again_changes_nothing() {
    let (_place, logs) = logs(100).await;
    logs.append(TASK, 0, "make\n").await.unwrap();

    assert_eq!(logs.append(TASK, 0, "make\n").await.unwrap(), 5);
    assert_eq!(logs.append(TASK, 2, "ke\nche").await.unwrap(), 8);
    assert_eq!(logs.append(TASK, 0, "").await.unwrap(), 8);

    assert_eq!(text(&logs).await, "make\nche");
}

#[tokio::test]
async fn a_piece_that_would_change_what_is_there_is_refused() {
    let (_place, logs) = logs(100).await;
    logs.append(TASK, 0, "make\n").await.unwrap();

    let error = logs.append(TASK, 2, "XX\nmore").await.unwrap_err();

    assert!(matches!(error, Error::LogDiffers { offset: 2, .. }));
    assert_eq!(text(&logs).await, "make\n");
}

#[tokio::test]
async fn a_gap_is_refused_with_the_size() {
    let (_place, logs) = logs(100).await;
    logs.append(TASK, 0, "make\n").await.unwrap();

    let error = logs.append(TASK, 6, "check\n").await.unwrap_err();

    assert_eq!(error.to_string(), "could not append to log 17 at byte 6: it has 5 bytes");
}

#[tokio::test]
async fn a_log_has_a_bound() {
    let (_place, logs) = logs(8).await;
    logs.append(TASK, 0, "make\n").await.unwrap();

    assert!(matches!(logs.append(TASK, 5, "check\n").await, Err(Error::LogFull { max_bytes: 8, .. })));
    assert_eq!(logs.append(TASK, 5, "ok\n").await.unwrap(), 8);
}

#[tokio::test]
async fn a_log_is_there_after_a_restart() {
    let (place, logs) = logs(100).await;
    logs.append(TASK, 0, "make\n").await.unwrap();
    logs.sync(TASK, 1).await.unwrap();
    drop(logs);

    let logs = LogStore::open(&place.address).await.unwrap();

    assert_eq!(logs.append(TASK, 5, "check\n").await.unwrap(), 11);
}

#[tokio::test]
async fn each_attempt_has_its_own_log_and_the_newest_earlier_ones_are_kept() {
    let (_place, logs) = logs(100).await;
    let build = |attempt| LogId::of_attempt(TASK, LogName::Build, attempt);
    let root = |attempt| LogId::of_attempt(TASK, LogName::Root, attempt);

    for attempt in 1..=5 {
        logs.append(build(attempt), 0, format!("try {attempt}")).await.unwrap();
        logs.append(root(attempt), 0, "root").await.unwrap();
        logs.seal(root(attempt)).await.unwrap();
        logs.put_aside(TASK, attempt).await.unwrap();
    }

    assert_eq!(logs.read_range(build(5), 0, 100).await.unwrap(), "try 5");
    assert_eq!(logs.read_range(root(3), 0, 100).await.unwrap(), "root");
    assert_eq!(logs.size(build(3)).await.unwrap(), 5);
    assert_eq!((logs.size(build(2)).await.unwrap(), logs.size(root(2)).await.unwrap()), (0, 0));
    logs.put_aside(TaskId(99), 1).await.unwrap();
    logs.sync(TaskId(99), 1).await.unwrap();
}

#[tokio::test]
async fn a_master_that_compresses_a_log_late_does_not_touch_the_next_attempts() {
    let (place, slow) = logs(100).await;
    let fast = LogStore::open_bounded(&place.address, 100).await.unwrap();
    let (first, second) = (LogId::of_attempt(TASK, LogName::Build, 1), LogId::of_attempt(TASK, LogName::Build, 2));
    slow.append(first, 0, "the first try").await.unwrap();

    fast.put_aside(TASK, 1).await.unwrap();
    fast.append(second, 0, "the second").await.unwrap();
    assert!(slow.seal(first).await.unwrap());

    assert_eq!(fast.append(second, 10, " try").await.unwrap(), 14);
    assert_eq!(slow.read_range(second, 0, 100).await.unwrap(), "the second try");
    assert_eq!(fast.read_range(first, 0, 100).await.unwrap(), "the first try");
    assert_eq!(fast.unsealed().await.unwrap(), [second]);
}

#[tokio::test]
async fn a_log_without_a_number_becomes_that_of_the_attempt_which_is_over() {
    let (_place, logs) = logs(100).await;
    logs.append(TASK, 0, "make").await.unwrap();
    logs.append(LogId::new(TASK, LogName::Root), 0, "root").await.unwrap();
    logs.seal(LogId::new(TASK, LogName::Root)).await.unwrap();
    // This one went on when logs had numbers.
    let state = LogId::of_attempt(TASK, LogName::State, 7);
    logs.append(LogId::new(TASK, LogName::State), 0, "solve").await.unwrap();
    logs.append(state, 0, "build ended").await.unwrap();

    logs.put_aside(TASK, 7).await.unwrap();

    assert_eq!(logs.read_range(state, 0, 100).await.unwrap(), "build ended");
    assert_eq!(logs.size(LogId::new(TASK, LogName::State)).await.unwrap(), 0);

    assert_eq!(logs.size(TASK).await.unwrap(), 0);
    for (name, text) in [(LogName::Build, "make"), (LogName::Root, "root")] {
        assert_eq!(logs.read_range(LogId::of_attempt(TASK, name, 7), 0, 100).await.unwrap(), text);
    }
}

#[tokio::test]
async fn a_log_is_read_the_same_after_it_was_compressed() {
    let (place, logs) = logs(1 << 20).await;
    let text: String = (0..20_000).map(|line| format!("line {line} of a log\n")).collect();
    logs.append(TASK, 0, text.clone()).await.unwrap();
    let reader = logs.reader(TASK).await.unwrap();

    assert!(logs.seal(TASK.into()).await.unwrap());

    let there: Vec<_> = place.files();
    assert!(there.len() == 1 && there[0].ends_with("logs/17.zst"), "{there:?}");
    assert!(place.lasting().join("logs/17.zst").metadata().unwrap().len() < text.len() as u64 / 4);
    assert_eq!(logs.size(TASK).await.unwrap(), text.len() as u64);
    assert_eq!(logs.read_range(TASK, 300_000, 50).await.unwrap(), text[300_000..300_050]);
    assert_eq!(reader.read(300_000, 50).await.unwrap(), text[300_000..300_050], "who had it open reads on");
    assert!(matches!(logs.append(TASK, text.len() as u64, "more").await, Err(Error::LogSealed { .. })));
    assert!(!logs.seal(TASK.into()).await.unwrap());
    assert_eq!(logs.unsealed().await.unwrap(), []);
}

#[tokio::test]
async fn logs_of_one_task_are_apart_and_those_that_are_not_compressed_are_listed() {
    let (_place, logs) = logs(100).await;
    for name in LogName::ALL {
        logs.append(LogId::new(TASK, name), 0, name.name()).await.unwrap();
    }
    logs.seal(LogId::new(TASK, LogName::State)).await.unwrap();

    assert_eq!(logs.read_range(LogId::new(TASK, LogName::Root), 0, 100).await.unwrap(), "root");
    let mut unsealed = logs.unsealed().await.unwrap();
    unsealed.sort();
    assert_eq!(unsealed, [LogId::new(TASK, LogName::Build), LogId::new(TASK, LogName::Root)]);
}

#[tokio::test]
async fn pieces_that_come_at_once_do_not_mix() {
    let (_place, logs) = logs(1000).await;
    let sends = (0..16).map(|_| {
        let logs = logs.clone();
        tokio::spawn(async move { logs.append(TASK, 0, "the same line, sent by many\n").await.unwrap() })
    });

    for send in sends.collect::<Vec<_>>() {
        assert_eq!(send.await.unwrap(), 28);
    }

    assert_eq!(text(&logs).await, "the same line, sent by many\n");
}

#[tokio::test]
async fn pieces_that_go_to_several_masters_are_one_log() {
    let (place, one) = logs(1 << 20).await;
    let other = LogStore::open_bounded(&place.address, 1 << 20).await.unwrap();
    let mut expected = String::new();
    for number in 0..400 {
        let logs = if number % 3 == 0 { &other } else { &one };
        let piece = format!("line {number}\n");
        logs.append(TASK, expected.len() as u64, piece.clone()).await.unwrap();
        // Its answer was lost, and it is sent to the other, with what came meanwhile.
        if number % 7 == 0 {
            let again = if number % 3 == 0 { &one } else { &other };
            again.append(TASK, expected.len() as u64, format!("{piece}more\n")).await.unwrap();
            expected.push_str(&piece);
            expected.push_str("more\n");
        } else {
            expected.push_str(&piece);
        }
    }

    for logs in [&one, &other] {
        assert_eq!(logs.size(TASK).await.unwrap(), expected.len() as u64);
        assert_eq!(logs.read_range(TASK, 0, 1 << 20).await.unwrap(), expected);
    }
    let reader = other.reader(TASK).await.unwrap();
    assert!(!place.is_bucket() || place.files().len() < 300, "they are joined: {}", place.files().len());
    assert!(one.seal(TASK.into()).await.unwrap());
    assert!(!other.seal(TASK.into()).await.unwrap());
    assert_eq!(reader.read(100, 500).await.unwrap(), expected[100..600]);
    assert_eq!(other.read_range(TASK, 0, 1 << 20).await.unwrap(), expected);
}

#[tokio::test]
async fn a_master_that_was_killed_while_it_compressed_a_log_leaves_it_whole() {
    let (place, logs) = logs(100).await;
    logs.append(TASK, 0, "make\n").await.unwrap();
    logs.seal(TASK.into()).await.unwrap();
    // What it had not yet taken away.
    let left = if place.is_bucket() { "growing/17/000000000000-000000000004" } else { "logs/17" };
    std::fs::create_dir_all(place.lasting().join(left).parent().unwrap()).unwrap();
    std::fs::write(place.lasting().join(left), if place.is_bucket() { "make" } else { "make\n" }).unwrap();

    logs.seal(TASK.into()).await.unwrap();

    assert_eq!(text(&logs).await, "make\n");
    assert_eq!(logs.unsealed().await.unwrap(), []);
}
