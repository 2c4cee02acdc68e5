//! Artifacts in a bucket of an S3 object store.
//!
//! An object appears whole or not at all, also a large one that is sent in parts. Taking one away is the one thing that
//! needs care, because others may be storing the same bytes at that moment: see [`Bucket::remove`].

use std::{
    fmt,
    ops::Range,
    os::unix::fs::FileExt as _,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anima_types::Sha256;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::{
    ObjectMeta, ObjectStore as _, ObjectStoreExt as _, PutPayload, WriteMultipart, aws::AmazonS3, path::Path as Key,
};
use tempfile::NamedTempFile;

use crate::{
    address::BucketAddress,
    cache::{Cache, LocalFile},
    error::{Error, blocking},
    upload::{Stored, Upload},
};

/// What is sent or asked for at once. An object may have 10,000 parts, so the largest package has 2,000 of them.
pub(crate) const PART_BYTES: u64 = 8 << 20;
/// Parts that are on their way at once: of one upload, and of one reader.
const PARTS_AT_ONCE: usize = 4;
const PARTS_AHEAD: usize = 2;
/// An object that was stored within this time is not stored again to make it young: whoever collects garbage leaves what
/// is a day old.
const YOUNG: Duration = Duration::from_secs(3_600);
/// Taking one object away is three requests; who said so longer ago than this is dead.
const REMOVAL_LIMIT: Duration = Duration::from_secs(300);
/// Who stores what somebody takes away looks this often whether they are done.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A bucket.
pub(crate) struct Bucket {
    client: Arc<AmazonS3>,
    address: BucketAddress,
    cache: Cache,
    temporary_dir: PathBuf,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl Bucket {
    pub(crate) fn open(address: BucketAddress, temporary_dir: PathBuf) -> Result<Bucket, Error> {
        let cache = Cache::open(&address.cache, &temporary_dir, address.cache_bytes)
            .map_err(|error| Error::io(format!("open cache {}", address.cache.display()), error))?;
        Ok(Bucket { client: address.client()?, address, cache, temporary_dir })
    }

    pub(crate) fn temporary_dir(&self) -> &PathBuf {
        &self.temporary_dir
    }

    /// Returns an object's size and when it was stored.
    async fn head(&self, sha256: Sha256) -> Result<Option<ObjectMeta>, Error> {
        match self.client.head(&self.key(sha256)).await {
            Ok(meta) => Ok(Some(meta)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(Error::away(format!("look for artifact {sha256}"), error)),
        }
    }

    pub(crate) async fn size(&self, sha256: Sha256) -> Result<u64, Error> {
        self.head(sha256).await?.map(|meta| meta.size).ok_or(Error::NotFound(sha256))
    }

    /// Stores a file whose hash is known. Returns when it is there, whatever others take away meanwhile.
    pub(crate) async fn put(&self, file: NamedTempFile, sha256: Sha256, size_bytes: u64) -> Result<Stored, Error> {
        let there = self.head(sha256).await?.filter(|there| there.size == size_bytes);
        let is_new = there.is_none();
        if !there.is_some_and(|there| is_young(&there)) {
            loop {
                self.send(&file, sha256, size_bytes).await?;
                self.nobody_takes_away(sha256).await?;
                // Who began to take it away before it was sent, and was done before we looked, took ours.
                if self.head(sha256).await?.is_some() {
                    break;
                }
            }
        }
        // It is read next, mostly. Where there is no room for a copy, it is fetched then.
        let _ = self.cache.insert(sha256, size_bytes, file);
        Ok(Stored { sha256, size_bytes, is_new })
    }

    async fn send(&self, file: &NamedTempFile, sha256: Sha256, size_bytes: u64) -> Result<(), Error> {
        let (key, what) = (self.key(sha256), || format!("store artifact {sha256}"));
        let part = async |at: u64| {
            let length = PART_BYTES.min(size_bytes - at) as usize;
            let file = file.as_file().try_clone().map_err(|error| Error::io(what(), error))?;
            blocking(move || {
                let mut part = vec![0; length];
                let read = file.read_exact_at(&mut part, at);
                read.map(|()| Bytes::from(part)).map_err(|error| Error::io("read what came", error))
            })
            .await
        };
        if size_bytes <= PART_BYTES {
            let sent = self.client.put(&key, PutPayload::from(part(0).await?)).await;
            return sent.map(drop).map_err(|error| Error::away(what(), error));
        }
        let upload = self.client.put_multipart(&key).await.map_err(|error| Error::away(what(), error))?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES as usize);
        let mut at = 0;
        while at < size_bytes {
            let sent = match part(at).await {
                Ok(bytes) => {
                    at += bytes.len() as u64;
                    upload.put(bytes);
                    upload.wait_for_capacity(PARTS_AT_ONCE).await.map_err(|error| Error::away(what(), error))
                }
                Err(error) => Err(error),
            };
            if let Err(error) = sent {
                // Where the server is away the parts stay there until its own rule takes them; nobody sees them.
                let _ = upload.abort().await;
                return Err(error);
            }
        }
        upload.finish().await.map(drop).map_err(|error| Error::away(what(), error))
    }

    /// Waits while somebody takes an artifact away.
    async fn nobody_takes_away(&self, sha256: Sha256) -> Result<(), Error> {
        let (mark, what) = (self.mark(sha256), || format!("store artifact {sha256}"));
        loop {
            match self.client.head(&mark).await {
                Err(object_store::Error::NotFound { .. }) => return Ok(()),
                Err(error) => return Err(Error::away(what(), error)),
                Ok(meta) if age(&meta).is_some_and(|age| age > REMOVAL_LIMIT) => {
                    absent_is_fine(self.client.delete(&mark).await).map_err(|error| Error::away(what(), error))?;
                }
                Ok(_) => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// Takes an artifact away if it was stored before a moment, which has to be an hour ago or more; returns whether it did.
    ///
    /// A mark is put up before it is looked at, and taken down after it is gone. Who stores the same bytes looks for the mark
    /// after they sent them, and then whether they are there: either they were sent before the look, which then finds them
    /// young; or the mark is seen and waited for; or they are found missing and sent again.
    pub(crate) async fn remove(&self, sha256: Sha256, stored_before: SystemTime) -> Result<bool, Error> {
        let what = || format!("remove artifact {sha256}");
        let away = |error| Error::away(what(), error);
        let is_old = |there: Option<ObjectMeta>| {
            there.is_some_and(|there| SystemTime::from(there.last_modified) < stored_before)
        };
        if !is_old(self.head(sha256).await?) {
            return Ok(false);
        }
        let mark = self.mark(sha256);
        self.client.put(&mark, PutPayload::from_static(b"going")).await.map_err(away)?;
        let removed = match self.head(sha256).await {
            Ok(there) if is_old(there.clone()) => {
                absent_is_fine(self.client.delete(&self.key(sha256)).await).map(|()| true).map_err(away)
            }
            Ok(_) => Ok(false),
            Err(error) => Err(error),
        };
        absent_is_fine(self.client.delete(&mark).await).map_err(away)?;
        self.cache.remove(sha256);
        removed
    }

    /// Returns the artifacts whose hashes begin with a byte and that were stored before a moment, with their sizes.
    pub(crate) async fn list(&self, first_byte: u8, stored_before: SystemTime) -> Result<Vec<(Sha256, u64)>, Error> {
        let folder = self.inside(&format!("{first_byte:02x}"));
        let mut objects = self.client.list(Some(&folder));
        let mut found = Vec::new();
        while let Some(meta) = objects.next().await {
            let meta = meta.map_err(|error| Error::away("list artifacts", error))?;
            let name = format!("{first_byte:02x}{}", meta.location.filename().unwrap_or_default());
            if let Ok(sha256) = name.parse()
                && SystemTime::from(meta.last_modified) < stored_before
            {
                found.push((sha256, meta.size));
            }
        }
        Ok(found)
    }

    /// Returns bytes of an object, in parts of which some are asked for ahead.
    pub(crate) fn bytes(
        self: Arc<Bucket>,
        sha256: Sha256,
        range: Range<u64>,
    ) -> impl futures_util::Stream<Item = Result<Bytes, Error>> + Send + use<> {
        let key = self.key(sha256);
        let starts = (range.start..range.end).step_by(PART_BYTES as usize);
        let parts = starts.map(move |start| {
            let (bucket, key, part) = (self.clone(), key.clone(), start..range.end.min(start + PART_BYTES));
            async move {
                bucket.client.get_range(&key, part).await.map_err(|error| match error {
                    object_store::Error::NotFound { .. } => Error::NotFound(sha256),
                    error => Error::away(format!("read artifact {sha256}"), error),
                })
            }
        });
        stream::iter(parts).buffered(PARTS_AHEAD)
    }

    /// Returns a copy on this machine's disk, which has been compared with its hash.
    pub(crate) async fn local(self: Arc<Bucket>, sha256: Sha256) -> Result<LocalFile, Error> {
        let what = move |error| Error::io(format!("copy artifact {sha256}"), error);
        if let Some(copy) = self.cache.get(sha256).map_err(what)? {
            return Ok(copy);
        }
        let size_bytes = self.size(sha256).await?;
        let temporary_dir = self.temporary_dir.clone();
        let mut copy = blocking(move || Upload::begin(&temporary_dir, size_bytes)).await?;
        let mut bytes = std::pin::pin!(self.clone().bytes(sha256, 0..size_bytes));
        while let Some(piece) = bytes.try_next().await? {
            copy = blocking(move || copy.write(&piece).map(|()| copy)).await?;
        }
        let (file, actual, size_bytes) = copy.into_parts();
        if actual != sha256 {
            return Err(Error::Damaged { expected: sha256, actual });
        }
        blocking(move || self.cache.insert(sha256, size_bytes, file).map_err(what)).await
    }

    /// Returns the copy on this machine's disk, if there is one.
    pub(crate) fn copy(&self, sha256: Sha256) -> Option<LocalFile> {
        self.cache.get(sha256).ok().flatten()
    }

    /// Writes, to see whether the server takes and gives.
    pub(crate) async fn probe(&self) -> Result<(), Error> {
        let sent = self.client.put(&self.inside("probe"), PutPayload::from_static(b"anima")).await;
        sent.map(drop).map_err(|error| Error::away(format!("write to {}", self.address), error))
    }

    fn key(&self, sha256: Sha256) -> Key {
        let name = sha256.to_string();
        self.inside(&format!("{}/{}", &name[..2], &name[2..]))
    }

    fn mark(&self, sha256: Sha256) -> Key {
        self.inside(&format!("going/{sha256}"))
    }

    fn inside(&self, rest: &str) -> Key {
        key(&self.address.prefix, rest)
    }
}

/// Returns a key below a prefix, which may be empty.
pub(crate) fn key(prefix: &str, rest: &str) -> Key {
    Key::from(format!("{prefix}/{rest}"))
}

/// What is gone already is as good as taken away.
pub(crate) fn absent_is_fine(result: object_store::Result<()>) -> object_store::Result<()> {
    match result {
        Err(object_store::Error::NotFound { .. }) => Ok(()),
        result => result,
    }
}

/// Where the clocks disagree so that it seems to come, it is as if it were old: then it is stored once more.
fn is_young(there: &ObjectMeta) -> bool {
    age(there).is_some_and(|age| age < YOUNG)
}

fn age(there: &ObjectMeta) -> Option<Duration> {
    SystemTime::now().duration_since(there.last_modified.into()).ok()
}
