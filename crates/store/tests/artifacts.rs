//! What the store promises of artifacts.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

use anima_store::{Error, Store};
use anima_types::Sha256;
use bytes::Bytes;
use sha2::{Digest, Sha256 as Hasher};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

const MAX_BYTES: u64 = 1024 * 1024;

fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256(Hasher::digest(bytes).into())
}

async fn store() -> (TempDir, Store) {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    (dir, store)
}

/// All regular files under a folder.
fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path.display().to_string()),
        }
    }
    found
}

#[tokio::test]
async fn what_is_put_is_read_back() {
    let (dir, store) = store().await;
    let bytes = vec![7; 700_000];

    let stored = store.put_reader(sha256(&bytes), MAX_BYTES, bytes.as_slice()).await.unwrap();

    assert!(stored.is_new);
    assert_eq!(stored.size_bytes, 700_000);
    assert_eq!(store.size(stored.sha256).await.unwrap(), 700_000);
    assert!(store.contains(stored.sha256).await.unwrap());
    let mut read = Vec::new();
    store.get(stored.sha256).await.unwrap().read_to_end(&mut read).await.unwrap();
    assert_eq!(read, bytes);
    store.verify(stored.sha256).await.unwrap();
    let name = stored.sha256.to_string();
    assert_eq!(store.path(stored.sha256), dir.path().join(&name[..2]).join(&name[2..]));
    assert_eq!(files(dir.path()).len(), 1);
}

#[tokio::test]
async fn the_hash_is_found_where_none_is_expected() {
    let (_dir, store) = store().await;

    let stored = store.put_reader(None, MAX_BYTES, &b"hello"[..]).await.unwrap();

    assert_eq!(stored.sha256, sha256(b"hello"));
    assert_eq!(store.put_bytes("hello").await.unwrap().sha256, stored.sha256);
    assert_eq!(store.get_bytes(stored.sha256, 5).await.unwrap(), "hello");
    assert!(matches!(store.get_bytes(stored.sha256, 4).await, Err(Error::TooLong { max_bytes: 4 })));
}

#[tokio::test]
async fn other_bytes_than_expected_are_refused_and_leave_nothing() {
    let (dir, store) = store().await;

    let error = store.put_reader(sha256(b"hello"), MAX_BYTES, &b"hallo"[..]).await.unwrap_err();

    assert!(matches!(error, Error::WrongHash { .. }));
    assert!(files(dir.path()).is_empty());
}

#[tokio::test]
async fn more_bytes_than_allowed_are_refused_and_leave_nothing() {
    let (dir, store) = store().await;

    let error = store.put_reader(None, 4, &b"hello"[..]).await.unwrap_err();

    assert!(matches!(error, Error::TooLong { max_bytes: 4 }));
    assert!(files(dir.path()).is_empty());
    store.put_reader(None, 5, &b"hello"[..]).await.unwrap();
}

#[tokio::test]
async fn a_sender_that_stops_in_the_middle_leaves_nothing() {
    let (dir, store) = store().await;
    let pieces = [Ok(Bytes::from("hel")), Err(io::Error::other("the line broke"))];

    let error = store.put_stream(sha256(b"hello"), MAX_BYTES, tokio_stream::iter(pieces)).await.unwrap_err();

    assert_eq!(error.to_string(), "could not store artifact: its sender stopped after 3 bytes: the line broke");
    assert!(files(dir.path()).is_empty());
}

#[tokio::test]
async fn what_is_there_is_not_written_again() {
    let (_dir, store) = store().await;
    let first = store.put_bytes("hello").await.unwrap();
    let inode = fs::metadata(store.path(first.sha256)).unwrap().ino();

    let second = store.put_bytes("hello").await.unwrap();

    assert!(first.is_new && !second.is_new);
    assert_eq!(fs::metadata(store.path(first.sha256)).unwrap().ino(), inode);
    assert!(fs::metadata(store.path(first.sha256)).unwrap().permissions().readonly());
}

#[tokio::test]
async fn the_same_bytes_put_at_once_by_many_are_stored_once() {
    let (dir, store) = store().await;
    let puts = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.put_bytes(vec![1; 100_000]).await.unwrap().is_new })
    });

    let mut new_count = 0;
    for put in puts.collect::<Vec<_>>() {
        new_count += usize::from(put.await.unwrap());
    }

    assert_eq!(new_count, 1);
    assert_eq!(files(dir.path()).len(), 1);
}

#[tokio::test]
async fn half_written_files_of_a_dead_process_are_swept() {
    let (dir, store) = store().await;
    let stored = store.put_bytes("hello").await.unwrap();
    fs::write(dir.path().join("tmp/half"), "hel").unwrap();
    drop(store);

    let store = Store::open(dir.path()).await.unwrap();

    assert_eq!(files(dir.path()).len(), 1);
    assert!(store.contains(stored.sha256).await.unwrap());
}

#[tokio::test]
async fn what_another_master_is_writing_is_not_swept() {
    let (dir, store) = store().await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<bytes::Bytes, std::io::Error>>(1);
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let put = tokio::spawn({
        let store = store.clone();
        async move { store.put_stream(None, 100, stream).await }
    });
    // Two pieces fit: when the third is taken, the first is being written.
    for _ in 0..3 {
        sender.send(Ok("hello".into())).await.unwrap();
    }

    Store::open(dir.path()).await.unwrap();
    drop(sender);

    assert_eq!(put.await.unwrap().unwrap().size_bytes, 15);
}

#[tokio::test]
async fn an_artifact_that_changed_on_disk_is_found_out() {
    let (_dir, store) = store().await;
    let stored = store.put_bytes("hello").await.unwrap();
    let path = store.path(stored.sha256);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "hallo").unwrap();

    assert!(matches!(store.verify(stored.sha256).await, Err(Error::Damaged { .. })));
}

#[tokio::test]
async fn an_artifact_that_is_not_there_is_not_found() {
    let (_dir, store) = store().await;
    let sha256 = sha256(b"nothing");

    assert!(!store.contains(sha256).await.unwrap());
    assert!(matches!(store.get(sha256).await, Err(Error::NotFound(_))));
    assert!(matches!(store.size(sha256).await, Err(Error::NotFound(_))));
    assert!(matches!(store.verify(sha256).await, Err(Error::NotFound(_))));
}
