//! Streams and downloads.

use crate::common::{BOUND, Master, TASK};
use anima_client::{Error, LogPiece, lease::Cancel};
use anima_types::{Sha256, id::EventId, work::FileRef};
use futures_util::StreamExt;

/// The SHA-256 of "content".
const CONTENT: &str = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73";

#[tokio::test]
async fn a_log_is_followed_over_a_broken_line_to_its_end() {
    let master = Master::start().await;
    master.change(|book| {
        book.streams.push_back("id: 4\ndata: \"one\\n\"\n\nid: 8\ndata: \"tw".to_string());
        book.streams.push_back("id: 8\ndata: \"two\\n\"\n\nevent: end\ndata:\n\n".to_string());
    });

    let pieces = master.client("").follow_log(TASK, 0).collect::<Vec<_>>();
    let pieces = tokio::time::timeout(BOUND, pieces).await.expect("the log ends");

    let pieces: Vec<_> = pieces.into_iter().map(Result::unwrap).collect();
    let expected = [(4, "one\n"), (8, "two\n")].map(|(end_offset, text)| LogPiece { end_offset, text: text.into() });
    assert_eq!(pieces, expected);
    assert_eq!(master.book().asked_from, ["", "4"]);
}

#[tokio::test]
async fn events_go_on_after_the_last_that_was_seen() {
    let master = Master::start().await;
    let event = |id: i64| {
        format!(
            "id: {id}\ndata: {{\"id\":{id},\"at\":\"2026-01-01T00:00:00Z\",\"noun\":\"task\",\"verb\":\"ready\",\
             \"status\":null,\"actor\":\"anima\",\"build\":null,\"task\":7,\"release\":null,\"message\":\"m\"}}\n\n"
        )
    };
    master.change(|book| book.streams.extend([format!("{}: alive\n\n{}", event(11), event(12)), event(13)]));

    let events = master.client("").follow_events(Some(EventId(10)), None).take(3).collect::<Vec<_>>();
    let events = tokio::time::timeout(BOUND, events).await.expect("three come");

    let ids: Vec<_> = events.into_iter().map(|event| event.unwrap().id.0).collect();
    assert_eq!(ids, [11, 12, 13]);
    assert_eq!(master.book().asked_from, ["10", "12"]);
}

#[tokio::test]
async fn a_stream_of_what_is_not_there_ends_with_an_error() {
    let master = Master::start().await;

    let mut pieces = Box::pin(master.client("").follow_log(TASK, 0));
    let piece = tokio::time::timeout(BOUND, pieces.next()).await.expect("it is answered");

    assert_eq!(piece.unwrap().unwrap_err().status(), Some(404));
}

#[tokio::test]
async fn a_file_is_there_whole_and_verified_or_not_at_all() {
    let (master, folder) = (Master::start().await, tempfile::tempdir().unwrap());
    let file = |sha256: Sha256, size_bytes| FileRef { name: "f".into(), url: master.url("file"), sha256, size_bytes };
    let (client, path) = (master.client(""), folder.path().join("f"));

    let wrong = client.fetch(&file(Sha256([0; 32]), 7), &path, &Cancel::new()).await;
    let long = client.fetch(&file(CONTENT.parse().unwrap(), 6), &path, &Cancel::new()).await;

    assert!(matches!(wrong, Err(Error::WrongHash { .. })), "{wrong:?}");
    assert!(matches!(long, Err(Error::TooLong { .. })), "{long:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    client.fetch(&file(CONTENT.parse().unwrap(), 7), &path, &Cancel::new()).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"content");
}
