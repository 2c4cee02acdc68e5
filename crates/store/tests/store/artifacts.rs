//! What the store promises of artifacts.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    time::{Duration, SystemTime},
};

use anima_store::{Error, Store};
use anima_types::Sha256;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use sha2::{Digest, Sha256 as Hasher};

use crate::place::Place;

const MAX_BYTES: u64 = 1024 * 1024;

fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256(Hasher::digest(bytes).into())
}

async fn store() -> (Place, Store) {
    let place = Place::new();
    let store = Store::open(&place.address).await.unwrap();
    (place, store)
}

#[tokio::test]
async fn what_is_put_is_read_back() {
    let (place, store) = store().await;
    let bytes = vec![7; 700_000];

    let stored = store.put_reader(sha256(&bytes), MAX_BYTES, bytes.as_slice()).await.unwrap();

    assert!(stored.is_new);
    assert_eq!(stored.size_bytes, 700_000);
    assert_eq!(store.size(stored.sha256).await.unwrap(), 700_000);
    assert!(store.contains(stored.sha256).await.unwrap());
    let read: Vec<Bytes> = store.get(stored.sha256).await.unwrap().bytes().try_collect().await.unwrap();
    assert_eq!(read.concat(), bytes);
    let part: Vec<Bytes> = store.get(stored.sha256).await.unwrap().range(5..300_000).try_collect().await.unwrap();
    assert_eq!(part.concat(), bytes[5..300_000]);
    assert_eq!(fs::read(store.local(stored.sha256).await.unwrap()).unwrap(), bytes);
    store.verify(stored.sha256).await.unwrap();
    assert_eq!(fs::read(place.file(stored.sha256)).unwrap(), bytes);
    assert_eq!(place.files().len(), 1);
}

#[tokio::test]
async fn the_hash_is_found_where_none_is_expected() {
    let (_place, store) = store().await;

    let stored = store.put_reader(None, MAX_BYTES, &b"hello"[..]).await.unwrap();

    assert_eq!(stored.sha256, sha256(b"hello"));
    assert_eq!(store.put_bytes("hello").await.unwrap().sha256, stored.sha256);
    assert_eq!(store.get_bytes(stored.sha256, 5).await.unwrap(), "hello");
    assert!(matches!(store.get_bytes(stored.sha256, 4).await, Err(Error::TooLong { max_bytes: 4 })));
}

#[tokio::test]
async fn other_bytes_than_expected_are_refused_and_leave_nothing() {
    let (place, store) = store().await;

    let error = store.put_reader(sha256(b"hello"), MAX_BYTES, &b"hallo"[..]).await.unwrap_err();

    assert!(matches!(error, Error::WrongHash { .. }));
    assert!(place.files().is_empty());
}

#[tokio::test]
async fn more_bytes_than_allowed_are_refused_and_leave_nothing() {
    let (place, store) = store().await;

    let error = store.put_reader(None, 4, &b"hello"[..]).await.unwrap_err();

    assert!(matches!(error, Error::TooLong { max_bytes: 4 }));
    assert!(place.files().is_empty());
    store.put_reader(None, 5, &b"hello"[..]).await.unwrap();
}

#[tokio::test]
async fn a_sender_that_stops_in_the_middle_leaves_nothing() {
    let (place, store) = store().await;
    let pieces = [Ok(Bytes::from("hel")), Err(io::Error::other("the line broke"))];

    let error = store.put_stream(sha256(b"hello"), MAX_BYTES, tokio_stream::iter(pieces)).await.unwrap_err();

    assert_eq!(error.to_string(), "could not store artifact: its sender stopped after 3 bytes: the line broke");
    assert!(place.files().is_empty());
}

#[tokio::test]
async fn what_is_there_is_not_written_again() {
    let (place, store) = store().await;
    let first = store.put_bytes("hello").await.unwrap();
    let inode = fs::metadata(place.file(first.sha256)).unwrap().ino();

    let second = store.put_bytes("hello").await.unwrap();

    assert!(first.is_new && !second.is_new);
    assert_eq!(fs::metadata(place.file(first.sha256)).unwrap().ino(), inode);
    assert!(place.is_bucket() || fs::metadata(place.file(first.sha256)).unwrap().permissions().readonly());
}

#[tokio::test]
async fn the_same_bytes_put_at_once_by_many_are_stored_once() {
    let (place, store) = store().await;
    let puts = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.put_bytes(vec![1; 100_000]).await.unwrap().is_new })
    });

    let mut new_count = 0;
    for put in puts.collect::<Vec<_>>() {
        new_count += usize::from(put.await.unwrap());
    }

    // Nobody can be told by a bucket that they were the first.
    assert!(new_count == 1 || place.is_bucket());
    assert_eq!(place.files().len(), 1);
}

#[tokio::test]
async fn half_written_files_of_a_dead_process_are_swept() {
    let (place, store) = store().await;
    let stored = store.put_bytes("hello").await.unwrap();
    fs::write(place.folder.path().join("tmp/half"), "hel").unwrap();
    drop(store);

    let store = Store::open(&place.address).await.unwrap();

    assert_eq!(place.files().len(), 1);
    assert!(place.unfinished().is_empty());
    assert!(store.contains(stored.sha256).await.unwrap());
}

#[tokio::test]
async fn what_another_master_is_writing_is_not_swept() {
    let (place, store) = store().await;
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

    Store::open(&place.address).await.unwrap();
    drop(sender);

    assert_eq!(put.await.unwrap().unwrap().size_bytes, 15);
}

#[tokio::test]
async fn an_artifact_that_changed_in_the_store_is_found_out_and_never_given_whole() {
    let (place, store) = store().await;
    let mut bytes = vec![7; 700_000];
    let stored = store.put_bytes(bytes.clone()).await.unwrap();
    bytes[9] = 8;
    fs::remove_file(place.file(stored.sha256)).unwrap();
    fs::write(place.file(stored.sha256), &bytes).unwrap();
    // Without what this machine remembers of it.
    let store = {
        drop(store);
        Store::open(&place.address).await.unwrap()
    };

    assert!(matches!(store.verify(stored.sha256).await, Err(Error::Damaged { .. })));
    assert!(matches!(store.get_bytes(stored.sha256, MAX_BYTES).await, Err(Error::Damaged { .. })));
    let mut given = 0;
    let mut pieces = store.get(stored.sha256).await.unwrap().bytes();
    let end = loop {
        match pieces.next().await {
            Some(Ok(piece)) => given += piece.len(),
            other => break other,
        }
    };
    assert!(matches!(end, Some(Err(Error::Damaged { .. }))));
    assert!(given < bytes.len());
    assert!(!place.is_bucket() || matches!(store.local(stored.sha256).await, Err(Error::Damaged { .. })));
}

#[tokio::test]
async fn a_large_artifact_goes_in_parts_and_any_range_of_it_is_read() {
    let (place, store) = store().await;
    let bytes: Vec<u8> = (0..20_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();

    let stored = store.put_reader(sha256(&bytes), 20_000_000, bytes.as_slice()).await.unwrap();

    store.verify(stored.sha256).await.unwrap();
    for range in [0..1, 8_388_607..8_388_609, 1_000..17_000_000, 19_999_999..20_000_000] {
        let part: Vec<Bytes> =
            store.get(stored.sha256).await.unwrap().range(range.clone()).try_collect().await.unwrap();
        assert!(part.concat() == bytes[range.start as usize..range.end as usize], "{range:?}");
    }
    assert!(fs::read(store.local(stored.sha256).await.unwrap()).unwrap() == bytes);
    assert_eq!(place.files().len(), 1);
    assert!(place.unfinished().is_empty(), "{:?}", place.unfinished());
}

fn make_old(place: &Place, sha256: Sha256) {
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
    fs::File::open(place.file(sha256)).unwrap().set_modified(long_ago).unwrap();
}

#[tokio::test]
async fn what_is_old_is_listed_and_goes_and_what_was_stored_again_stays() {
    let (place, store) = store().await;
    let (old, again) = (store.put_bytes("old").await.unwrap().sha256, store.put_bytes("again").await.unwrap().sha256);
    make_old(&place, old);
    make_old(&place, again);
    let limit = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000);
    assert_eq!(store.list(old.0[0], limit).await.unwrap(), [(old, 3)]);
    assert!(!store.put_bytes("again").await.unwrap().is_new);

    assert!(store.remove(old, limit).await.unwrap());
    assert!(!store.remove(again, limit).await.unwrap());
    assert!(!store.remove(old, limit).await.unwrap());

    assert!(!store.contains(old).await.unwrap() && store.contains(again).await.unwrap());
    assert_eq!(store.list(again.0[0], limit).await.unwrap(), []);
    assert_eq!(place.files().len(), 1);
    assert!(store.put_bytes("old").await.unwrap().is_new);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_while_it_is_taken_away_is_there_afterwards() {
    let (place, store) = store().await;
    let sha256 = store.put_bytes("contested").await.unwrap().sha256;
    let limit = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000);
    for _ in 0..200 {
        if place.file(sha256).exists() {
            make_old(&place, sha256);
        }

        let (stored, removed) = tokio::join!(
            tokio::spawn({
                let store = store.clone();
                async move { store.put_bytes("contested").await }
            }),
            tokio::spawn({
                let store = store.clone();
                async move { store.remove(sha256, limit).await }
            })
        );

        stored.unwrap().unwrap();
        removed.unwrap().unwrap();
        assert!(store.contains(sha256).await.unwrap(), "who was told that it is stored finds it");
    }
}

#[tokio::test]
async fn an_artifact_that_is_not_there_is_not_found() {
    let (_place, store) = store().await;
    let sha256 = sha256(b"nothing");

    assert!(!store.contains(sha256).await.unwrap());
    assert!(matches!(store.get(sha256).await, Err(Error::NotFound(_))));
    assert!(matches!(store.size(sha256).await, Err(Error::NotFound(_))));
    assert!(matches!(store.verify(sha256).await, Err(Error::NotFound(_))));
}
