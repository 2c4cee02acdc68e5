//! Logs as their readers get them: whole or in parts, live or long after, however long they are.

use anima_types::{
    id::TaskId,
    lease::LEASE_SECS,
    task::Kind,
    task_log::{LogId, LogName},
};
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::master::Master;

const PIECE: usize = 1 << 20;

/// Returns a master with a task that is leased.
async fn with_lease() -> (Master, Value, TaskId) {
    let master = Master::open().await;
    let lease = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
    let task = TaskId(lease["task"].as_i64().unwrap());
    (master, lease, task)
}

/// The log of a task's first attempt.
fn newest(task: TaskId) -> LogId {
    LogId::of_attempt(task, LogName::Build, 1)
}

async fn write(master: &Master, log: LogId, bytes: &[u8]) {
    for (index, piece) in bytes.chunks(PIECE).enumerate() {
        master.app.logs.append(log, (index * PIECE) as u64, piece.to_vec()).await.unwrap();
    }
}

async fn end(master: &Master, lease: &Value, task: TaskId) {
    let failure = json!({ "failed": { "code": "x", "message": "it went wrong" } });
    assert_eq!(master.report(lease, failure).await.0, StatusCode::OK);
    // The master does it beside; here it is waited for, or done.
    master.app.logs.seal(newest(task)).await.unwrap();
}

fn lines(count: usize) -> Vec<u8> {
    (1..=count)
        .flat_map(|line| format!("line {line}: gcc -O2 -c file{}.c -o file{}.o\n", line % 7, line % 5).into_bytes())
        .collect()
}

async fn part(master: &Master, path: &str, range: &str) -> (StatusCode, String, Vec<u8>) {
    let (status, headers, body) = master.fetch(path, &[("range", range)]).await;
    let range = headers.get("content-range").map(|value| value.to_str().unwrap().to_string());
    (status, range.unwrap_or_default(), body)
}

/// Takes a stream of events apart: the place and the text of each piece.
fn pieces(stream: &[u8]) -> Vec<(usize, String)> {
    let text = String::from_utf8(stream.to_vec()).unwrap();
    let mut pieces = Vec::new();
    for message in text.split("\n\n").filter(|message| !message.lines().any(|line| line.starts_with("event:"))) {
        let field = |name: &str| message.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if let (Some(id), Some(data)) = (field("id:"), field("data:")) {
            pieces.push((id.parse().unwrap(), serde_json::from_str(data).unwrap()));
        }
    }
    pieces
}

#[tokio::test]
async fn a_log_of_more_than_64_mib_is_answered_whole_and_in_parts_while_it_grows_and_afterwards() {
    let (master, lease, task) = with_lease().await;
    let log = lines(1_600_000);
    assert!(log.len() > 64 << 20, "{}", log.len());
    write(&master, newest(task), &log).await;
    let path = format!("/api/v1/tasks/{task}/log");

    for is_over in [false, true] {
        if is_over {
            end(&master, &lease, task).await;
        }
        let (status, headers, body) = master.fetch(&path, &[]).await;
        assert_eq!(
            (status, headers["content-length"].to_str().unwrap()),
            (StatusCode::OK, log.len().to_string().as_str())
        );
        assert!(body == log, "the whole log, ended: {is_over}");
        for (from, to) in [(0, 10), (66 << 20, 66 << 20), ((1 << 20) - 3, (1 << 20) + 3), (1000, log.len() - 1)] {
            let (status, range, body) = part(&master, &path, &format!("bytes={from}-{to}")).await;
            assert_eq!((status, range), (StatusCode::PARTIAL_CONTENT, format!("bytes {from}-{to}/{}", log.len())));
            assert!(body == log[from..=to], "{from}-{to}, ended: {is_over}");
        }
        assert!(part(&master, &path, "bytes=-7").await.2 == log[log.len() - 7..]);
        let (status, range, _) = part(&master, &path, &format!("bytes={}-", log.len())).await;
        assert_eq!((status, range), (StatusCode::RANGE_NOT_SATISFIABLE, format!("bytes */{}", log.len())));
    }
}

#[tokio::test]
async fn a_reader_that_loses_the_line_anywhere_has_the_same_log_in_the_end() {
    let (master, lease, task) = with_lease().await;
    let log = format!("naïve\n{}\u{1b}[31m日本\u{1b}[0m\r\nend", "x".repeat(100));
    write(&master, newest(task), log.as_bytes()).await;
    end(&master, &lease, task).await;

    for cut in 0..=log.len() {
        if !log.is_char_boundary(cut) {
            continue;
        }
        let last = cut.to_string();
        let (status, _, stream) =
            master.fetch(&format!("/api/v1/tasks/{task}/log/stream"), &[("last-event-id", &last)]).await;
        assert_eq!(status, StatusCode::OK);
        let pieces = pieces(&stream);
        let rest: String = pieces.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(format!("{}{rest}", &log[..cut]), log);
        assert!(pieces.last().is_none_or(|(end, _)| *end == log.len()), "{pieces:?}");
    }
}

#[tokio::test]
async fn a_text_is_found_in_the_whole_log_with_its_lines() {
    let (master, lease, task) = with_lease().await;
    let mut log = lines(20_000);
    log.extend_from_slice(b"\x1b[31mFatal ERROR\x1b[0m: no such thing\n");
    write(&master, newest(task), &log).await;
    end(&master, &lease, task).await;
    let search = async |query: &str| master.get(&format!("/api/v1/tasks/{task}/log/search?{query}")).await;

    let found = search("q=fatal+error").await;
    assert_eq!(found["matches"][0]["line"], 20_001);
    assert_eq!(found["matches"][0]["text"], "Fatal ERROR: no such thing");
    assert_eq!(found["next_line"], Value::Null);
    let offset = found["matches"][0]["offset"].as_u64().unwrap() as usize;
    assert!(log[offset..].starts_with(b"\x1b[31mFatal"), "{found}");

    let many = search("q=gcc").await;
    let next = many["next_line"].as_u64().unwrap();
    assert_eq!((many["matches"].as_array().unwrap().len(), next), (200, 201));
    assert_eq!(search(&format!("q=gcc&from_line={next}")).await["matches"][0]["line"], 201);
    assert_eq!(search("q=%5Eline+1999%5B89%5D:&regex=true").await["matches"].as_array().unwrap().len(), 2);
    let (status, _, _) = master.fetch(&format!("/api/v1/tasks/{task}/log/search?q="), &[]).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);

    let (status, _, page) = master.browse(&format!("/tasks/{task}?q=fatal")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains(&format!("href=\"/tasks/{task}?line=20001#L20001\">20001</a> Fatal ERROR")), "{page}");
}

#[tokio::test]
async fn each_of_a_tasks_logs_is_apart_and_those_of_earlier_attempts_are_kept() {
    let (master, first, task) = with_lease().await;
    let put = async |lease: &Value, query: &str, text: &str| {
        let path = format!("/api/v1/tasks/{task}/log?offset=0{query}");
        master.send(Method::PUT, &path, lease["secret"].as_str(), text.to_string().into()).await.0
    };
    assert_eq!(put(&first, "", "the first try\n").await, StatusCode::OK);
    assert_eq!(put(&first, "&name=root", "its root\n").await, StatusCode::OK);
    master.pass_secs(LEASE_SECS + 1);
    anima_master::chores::expire_once(&master.app, master.app.now()).await.unwrap();
    let text = async |query: &str| {
        let (_, _, body) = master.fetch(&format!("/api/v1/tasks/{task}/log?{query}"), &[]).await;
        String::from_utf8(body).unwrap()
    };
    assert_eq!(text("").await, "the first try\n", "the node is lost, and its log is not");

    let second = master.claim("sign-server", &[Kind::Sign]).await.unwrap();
    assert_eq!(text("").await, "");
    assert_eq!(put(&second, "", "the second try\n").await, StatusCode::OK);
    assert_eq!(put(&first, "", "a ghost\n").await, StatusCode::CONFLICT);

    // A master that compresses what is over, however late, does not meet what goes on.
    anima_master::chores::seal_once(&master.app).await.unwrap();
    assert_eq!(master.app.logs.unsealed().await.unwrap(), [LogId::of_attempt(task, LogName::Build, 2)]);
    assert_eq!(text("").await, "the second try\n");
    assert_eq!(text("attempt=2").await, "the second try\n");
    assert_eq!(
        (text("attempt=1").await.as_str(), text("attempt=1&name=root").await.as_str()),
        ("the first try\n", "its root\n")
    );
    let shown = master.get(&format!("/api/v1/tasks/{task}")).await;
    let logs: Vec<_> =
        shown["logs"].as_array().unwrap().iter().map(|log| (log["attempt"].clone(), log["name"].clone())).collect();
    assert_eq!(logs, [(json!(2), json!("build")), (json!(1), json!("build")), (json!(1), json!("root"))]);
    let (_, _, page) = master.browse(&format!("/tasks/{task}?attempt=1&name=root")).await;
    assert!(page.contains("<span>its root</span>") && page.contains("root of attempt 1"), "{page}");
    let (_, _, stream) = master.fetch(&format!("/api/v1/tasks/{task}/log/stream?attempt=1"), &[]).await;
    assert_eq!(pieces(&stream), [(14, "the first try\n".to_string())]);
}

#[tokio::test]
async fn logs_that_a_killed_master_left_are_compressed_later_and_read_the_same() {
    let (master, lease, task) = with_lease().await;
    write(&master, newest(task), &lines(1000)).await;
    write(&master, LogId::of_attempt(task, LogName::State, 1), b"solve begins\n").await;
    let failure = json!({ "failed": { "code": "x", "message": "it went wrong" } });
    assert_eq!(master.report(&lease, failure).await.0, StatusCode::OK);

    let master = master.restart().await;
    anima_master::chores::seal_once(&master.app).await.unwrap();

    assert_eq!(master.app.logs.unsealed().await.unwrap(), []);
    assert!(master.fetch(&format!("/api/v1/tasks/{task}/log"), &[]).await.2 == lines(1000));
}

#[tokio::test]
async fn a_log_from_before_logs_had_numbers_is_the_last_attempts_until_there_is_another() {
    let (master, _lease, task) = with_lease().await;
    write(&master, task.into(), b"an old try\n").await;
    let text = async |query: &str| {
        let (_, _, body) = master.fetch(&format!("/api/v1/tasks/{task}/log?{query}"), &[]).await;
        String::from_utf8(body).unwrap()
    };
    assert_eq!(text("").await, "an old try\n");

    // As a master does when it gives the task out once more.
    master.app.logs.put_aside(task, 1).await.unwrap();
    write(&master, LogId::of_attempt(task, LogName::Build, 2), b"a new try\n").await;

    assert_eq!(text("attempt=2").await, "a new try\n");
    assert_eq!(master.app.logs.size(task).await.unwrap(), 0);
    assert_eq!(text("attempt=1").await, "an old try\n");
}

#[tokio::test]
async fn how_long_the_log_of_an_ended_task_is_says_its_row_until_it_is_tried_again() {
    let (master, lease, task) = with_lease().await;
    let known = async || {
        let mut read = master.app.db.read().await.unwrap();
        anima_db::task::get(&mut read, task).await.unwrap().log_size_bytes
    };
    write(&master, newest(task), b"it goes\n").await;
    assert_eq!(known().await, None, "it grows");
    end(&master, &lease, task).await;

    // As if the store were a bucket, where each look is a question.
    master.app.logs.remove(task, 1).await.unwrap();

    assert_eq!(master.get(&format!("/api/v1/tasks/{task}")).await["log_size_bytes"], 8);
    master.post(&format!("/api/v1/tasks/{task}/restart"), "admin", Value::Null).await;
    assert_eq!(known().await, None);
}
