//! Logs in a bucket, where nothing can be appended to: a growing log is a row of objects, each a piece of it.
//!
//! ```text
//! PREFIX/growing/17@2/000000000000-000000001234    bytes 0 to 1234 of the log of the second attempt at task 17
//! PREFIX/logs/17@2.zst                             that log, compressed
//! ```
//!
//! Pieces may overlap (a node sends again what it was not answered for, maybe to another master); where they do they are
//! equal, and the longest counts. So nothing has to be locked between masters. Many small pieces are joined to a larger one
//! from time to time; they go when the next are joined, so that who reads them has them for so long.

use std::{
    collections::HashMap,
    io::{self, Write as _},
    ops::Range,
    path::PathBuf,
    sync::{Arc, Mutex as SyncMutex, PoisonError},
};

use anima_types::{
    id::TaskId,
    task_log::{KEPT_ATTEMPTS, LogId, LogName},
};
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use object_store::{
    ObjectStore as _, ObjectStoreExt as _, PutPayload, WriteMultipart, aws::AmazonS3, path::Path as Key,
};
use tokio::{runtime::Handle, sync::Mutex};

use super::{LOG_READ_BYTES, LogEntry};
use crate::{
    address::BucketAddress,
    bucket::{PART_BYTES, absent_is_fine, key},
    error::{Error, blocking},
    seekable::{self, Frames, ReadAt},
};

/// So many pieces are joined to one: a log that is appended to every second for a day has some hundreds then.
const JOINED_PIECES: usize = 128;
/// A piece of this size is not joined again.
const LARGE_BYTES: u64 = 4 << 20;
/// Logs whose ends are remembered; of others they are asked for.
const KNOWN_ENDS: usize = 10_000;

#[derive(Debug)]
pub(super) struct Bucket {
    client: Arc<AmazonS3>,
    prefix: String,
    temporary_dir: PathBuf,
    max_bytes: u64,
    ends: SyncMutex<HashMap<LogId, Arc<Mutex<End>>>>,
}

/// What this master knows of a log's end; another one may know better.
#[derive(Debug, Default)]
struct End {
    /// Nothing is known yet.
    is_known: bool,
    size_bytes: u64,
    /// Pieces that were put since some were joined.
    piece_count: usize,
}

#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub(super) struct Piece {
    start: u64,
    end: u64,
}

impl Piece {
    fn parse(name: &str) -> Option<Piece> {
        let (start, end) = name.split_once('-')?;
        Some(Piece { start: start.parse().ok()?, end: end.parse().ok()? })
    }

    fn name(&self) -> String {
        format!("{:012}-{:012}", self.start, self.end)
    }

    fn size(&self) -> u64 {
        self.end - self.start
    }
}

/// Returns the piece that has the byte at `at` and most of what follows.
fn longest(pieces: &[Piece], at: u64) -> Option<&Piece> {
    pieces.iter().filter(|piece| piece.start <= at && at < piece.end).max_by_key(|piece| piece.end)
}

/// Returns how many bytes there are from the beginning on without a gap.
fn size(pieces: &[Piece]) -> u64 {
    let mut size = 0;
    while let Some(piece) = longest(pieces, size) {
        size = piece.end;
    }
    size
}

/// Returns which pieces are to be joined: those of a row of small ones at the end, to where they reach.
fn joined(pieces: &[Piece]) -> Option<Piece> {
    let end = size(pieces);
    let large = pieces.iter().filter(|piece| piece.size() >= LARGE_BYTES && piece.end <= end).map(|piece| piece.end);
    let start = large.max().unwrap_or(0);
    (start < end).then_some(Piece { start, end })
}

#[derive(Debug)]
pub(super) enum Content {
    Growing { bucket: Arc<Bucket>, log: LogId, pieces: Vec<Piece> },
    Sealed { log: LogId, frames: Frames },
}

impl Bucket {
    pub(super) fn open(address: BucketAddress, max_bytes: u64) -> Result<Bucket, Error> {
        let (client, temporary_dir) = (address.client()?, address.cache.join("tmp"));
        std::fs::create_dir_all(&temporary_dir)
            .map_err(|error| Error::io(format!("open {}", temporary_dir.display()), error))?;
        Ok(Bucket { client, prefix: address.prefix, temporary_dir, max_bytes, ends: SyncMutex::default() })
    }

    pub(super) async fn append(&self, log: LogId, offset: u64, piece: Bytes) -> Result<u64, Error> {
        let end = self.end(log);
        let mut end = end.lock().await;
        if !end.is_known || end.size_bytes != offset {
            if self.is_sealed(log).await? {
                return Err(Error::LogSealed { log });
            }
            let pieces = self.pieces(log).await?;
            *end = End { is_known: true, size_bytes: size(&pieces), piece_count: pieces.len() };
            if offset > end.size_bytes {
                return Err(Error::LogGap { log, offset, size_bytes: end.size_bytes });
            }
            let known = end.size_bytes.min(offset + piece.len() as u64);
            if self.read(log, &pieces, offset..known).await? != piece[..(known - offset) as usize] {
                return Err(Error::LogDiffers { log, offset });
            }
        }
        let fresh = piece.slice((end.size_bytes - offset).min(piece.len() as u64) as usize..);
        if fresh.is_empty() {
            return Ok(end.size_bytes);
        }
        let new = Piece { start: end.size_bytes, end: end.size_bytes + fresh.len() as u64 };
        if new.end > self.max_bytes {
            return Err(Error::LogFull { log, max_bytes: self.max_bytes });
        }
        self.put(&self.piece_key(log, &new), fresh, || format!("append to log {log}")).await?;
        end.size_bytes = new.end;
        end.piece_count += 1;
        if end.piece_count >= JOINED_PIECES {
            self.join(log).await?;
            end.piece_count = 0;
        }
        Ok(new.end)
    }

    /// Joins the small pieces at the end, and takes away those that were joined before.
    async fn join(&self, log: LogId) -> Result<(), Error> {
        let pieces = self.pieces(log).await?;
        let is_covered = |piece: &&Piece| {
            pieces.iter().any(|other| {
                other != *piece && other.start <= piece.start && piece.end <= other.end && other.size() > piece.size()
            })
        };
        let covered: Vec<&Piece> = pieces.iter().filter(is_covered).collect();
        if let Some(all) = joined(&pieces).filter(|all| !pieces.contains(all)) {
            let bytes = self.read(log, &pieces, all.start..all.end).await?;
            self.put(&self.piece_key(log, &all), bytes, || format!("join pieces of log {log}")).await?;
        }
        for piece in covered {
            let gone = absent_is_fine(self.client.delete(&self.piece_key(log, piece)).await);
            gone.map_err(|error| Error::away(format!("join pieces of log {log}"), error))?;
        }
        Ok(())
    }

    pub(super) async fn content(self: Arc<Bucket>, log: LogId) -> Result<Content, Error> {
        if let Some(frames) = self.frames(log).await? {
            return Ok(Content::Sealed { log, frames });
        }
        let pieces = self.pieces(log).await?;
        // It may have been compressed between the two looks.
        if pieces.is_empty()
            && let Some(frames) = self.frames(log).await?
        {
            return Ok(Content::Sealed { log, frames });
        }
        Ok(Content::Growing { bucket: self, log, pieces })
    }

    async fn frames(&self, log: LogId) -> Result<Option<Frames>, Error> {
        let (key, client) = (self.sealed_key(log), self.client.clone());
        let meta = match client.head(&key).await {
            Ok(meta) => meta,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(Error::away(format!("read log {log}"), error)),
        };
        let object = Object { client, key, size_bytes: meta.size, runtime: Handle::current() };
        let frames = blocking(move || Frames::open(object).map_err(|error| super::unreadable(log, error)));
        frames.await.map(Some)
    }

    pub(super) async fn put_aside(&self, task: TaskId, attempt: i64) -> Result<(), Error> {
        let all = LogName::ALL.map(|name| self.put_one_aside(LogId::new(task, name), attempt));
        futures_util::future::try_join_all(all).await.map(drop)
    }

    async fn put_one_aside(&self, log: LogId, attempt: i64) -> Result<(), Error> {
        let earlier = LogId::of_attempt(log.task, log.name, attempt);
        let away = |error| Error::away(format!("put log {log} aside"), error);
        let end = self.end(log);
        let mut end = end.lock().await;
        let (is_sealed, pieces) = (self.is_sealed(log).await?, self.pieces(log).await?);
        if is_sealed || !pieces.is_empty() {
            // Where the attempt began before logs had numbers, and went on after, its end says more than its beginning.
            let goes = self.is_sealed(earlier).await? || !self.pieces(earlier).await?.is_empty();
            match is_sealed {
                _ if goes => {}
                true => self.client.copy(&self.sealed_key(log), &self.sealed_key(earlier)).await.map_err(away)?,
                false => self.compress(log, &pieces, &self.sealed_key(earlier)).await?,
            }
            absent_is_fine(self.client.delete(&self.sealed_key(log)).await).map_err(away)?;
            self.drop_pieces(log, &pieces).await?;
        }
        *end = End::default();
        let oldest = LogId::of_attempt(log.task, log.name, attempt - KEPT_ATTEMPTS);
        self.drop_pieces(oldest, &self.pieces(oldest).await?).await?;
        absent_is_fine(self.client.delete(&self.sealed_key(oldest)).await).map_err(away)
    }

    pub(super) async fn remove(&self, log: LogId) -> Result<(), Error> {
        let end = self.end(log);
        let mut end = end.lock().await;
        self.drop_pieces(log, &self.pieces(log).await?).await?;
        let gone = absent_is_fine(self.client.delete(&self.sealed_key(log)).await);
        *end = End::default();
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).remove(&log);
        gone.map_err(|error| Error::away(format!("remove log {log}"), error))
    }

    pub(super) async fn seal(&self, log: LogId) -> Result<bool, Error> {
        let end = self.end(log);
        let mut end = end.lock().await;
        let pieces = self.pieces(log).await?;
        let is_new = !pieces.is_empty() && !self.is_sealed(log).await?;
        if is_new {
            self.compress(log, &pieces, &self.sealed_key(log)).await?;
        }
        // Another master may have been as fast, or was killed here. Only what was read goes: nothing that came meanwhile.
        self.drop_pieces(log, &pieces).await?;
        *end = End::default();
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).remove(&log);
        Ok(is_new)
    }

    pub(super) async fn list(&self) -> Result<Vec<LogEntry>, Error> {
        let mut found: Vec<LogEntry> =
            self.unsealed().await?.into_iter().map(|log| LogEntry { log, sealed: None }).collect();
        let sealed = self.client.list(Some(&key(&self.prefix, "logs"))).try_collect::<Vec<_>>().await;
        for object in sealed.map_err(|error| Error::away("list logs", error))? {
            let name = object.location.filename().and_then(|name| name.strip_suffix(".zst"));
            let sealed = Some((object.last_modified.into(), object.size));
            found.extend(name.and_then(LogId::parse).map(|log| LogEntry { log, sealed }));
        }
        Ok(found)
    }

    pub(super) async fn unsealed(&self) -> Result<Vec<LogId>, Error> {
        let listed = self.client.list_with_delimiter(Some(&key(&self.prefix, "growing"))).await;
        let folders = listed.map_err(|error| Error::away("list logs", error))?.common_prefixes;
        Ok(folders.iter().filter_map(|folder| LogId::parse(folder.filename()?)).collect())
    }

    async fn compress(&self, log: LogId, pieces: &[Piece], to: &Key) -> Result<(), Error> {
        let (what, dir, end) = (move || format!("compress log {log}"), self.temporary_dir.clone(), size(pieces));
        let io = move |error| Error::io(what(), error);
        let mut plain = blocking(move || tempfile::tempfile_in(dir).map_err(io)).await?;
        let mut at = 0;
        while at < end {
            let part = self.read(log, pieces, at..end.min(at + LOG_READ_BYTES as u64)).await?;
            at += part.len() as u64;
            plain = blocking(move || plain.write_all(&part).map(|()| plain).map_err(io)).await?;
        }
        let sealed = blocking(move || {
            io::Seek::rewind(&mut plain).map_err(io)?;
            let mut sealed = Vec::new();
            seekable::compress(&plain, &mut sealed).map_err(io)?;
            Ok(Bytes::from(sealed))
        });
        self.put(to, sealed.await?, what).await
    }

    async fn put(&self, key: &Key, bytes: Bytes, what: impl Fn() -> String) -> Result<(), Error> {
        let away = |error| Error::away(what(), error);
        if (bytes.len() as u64) <= PART_BYTES {
            return self.client.put(key, PutPayload::from(bytes)).await.map(drop).map_err(away);
        }
        let upload = self.client.put_multipart(key).await.map_err(away)?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES as usize);
        upload.put(bytes);
        upload.finish().await.map(drop).map_err(away)
    }

    async fn drop_pieces(&self, log: LogId, pieces: &[Piece]) -> Result<(), Error> {
        for piece in pieces {
            let gone = absent_is_fine(self.client.delete(&self.piece_key(log, piece)).await);
            gone.map_err(|error| Error::away(format!("remove pieces of log {log}"), error))?;
        }
        Ok(())
    }

    async fn pieces(&self, log: LogId) -> Result<Vec<Piece>, Error> {
        let folder = key(&self.prefix, &format!("growing/{log}"));
        let objects = self.client.list(Some(&folder)).try_collect::<Vec<_>>().await;
        let objects = objects.map_err(|error| Error::away(format!("list pieces of log {log}"), error))?;
        Ok(objects.iter().filter_map(|object| Piece::parse(object.location.filename()?)).collect())
    }

    async fn read(&self, log: LogId, pieces: &[Piece], range: Range<u64>) -> Result<Bytes, Error> {
        let (mut bytes, mut at) = (BytesMut::new(), range.start);
        while at < range.end
            && let Some(piece) = longest(pieces, at)
        {
            let end = piece.end.min(range.end);
            let part = self.client.get_range(&self.piece_key(log, piece), at - piece.start..end - piece.start).await;
            bytes.extend_from_slice(&part.map_err(|error| Error::away(format!("read log {log}"), error))?);
            at = end;
        }
        Ok(bytes.freeze())
    }

    async fn is_sealed(&self, log: LogId) -> Result<bool, Error> {
        match self.client.head(&self.sealed_key(log)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(Error::away(format!("look for log {log}"), error)),
        }
    }

    fn end(&self, log: LogId) -> Arc<Mutex<End>> {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if ends.len() >= KNOWN_ENDS {
            // Those that somebody holds stay: two ends of one log would not know of one another.
            ends.retain(|_, end| Arc::strong_count(end) > 1);
        }
        ends.entry(log).or_default().clone()
    }

    fn piece_key(&self, log: LogId, piece: &Piece) -> Key {
        key(&self.prefix, &format!("growing/{log}/{}", piece.name()))
    }

    fn sealed_key(&self, log: LogId) -> Key {
        key(&self.prefix, &format!("logs/{log}.zst"))
    }
}

impl Content {
    pub(super) fn size(&self) -> u64 {
        match self {
            Content::Growing { pieces, .. } => size(pieces),
            Content::Sealed { frames, .. } => frames.size(),
        }
    }

    pub(super) async fn read(self: Arc<Content>, offset: u64, max_bytes: usize) -> Result<Bytes, Error> {
        let Content::Growing { bucket, log, pieces } = &*self else {
            return self.unpacked(offset, max_bytes).await;
        };
        let end = size(pieces).min(offset.saturating_add(max_bytes as u64));
        match bucket.read(*log, pieces, offset..end.max(offset)).await {
            // Its pieces are gone: it was compressed.
            Err(Error::Away { source, what }) if matches!(*source, object_store::Error::NotFound { .. }) => {
                match bucket.frames(*log).await? {
                    Some(frames) if frames.size() >= size(pieces) => {
                        let length = usize::try_from(end.saturating_sub(offset)).unwrap_or(max_bytes);
                        Arc::new(Content::Sealed { log: *log, frames }).unpacked(offset, length).await
                    }
                    _ => Err(Error::Away { what, source }),
                }
            }
            read => read,
        }
    }

    async fn unpacked(self: Arc<Content>, offset: u64, max_bytes: usize) -> Result<Bytes, Error> {
        blocking(move || match &*self {
            Content::Growing { .. } => unreachable!("only a compressed log is unpacked"),
            Content::Sealed { log, frames } => {
                frames.read(offset, max_bytes).map(Bytes::from).map_err(|error| super::unreadable(*log, error))
            }
        })
        .await
    }
}

/// A compressed log, read by threads that may block.
struct Object {
    client: Arc<AmazonS3>,
    key: Key,
    size_bytes: u64,
    runtime: Handle,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.key.fmt(f)
    }
}

impl ReadAt for Object {
    fn length(&self) -> io::Result<u64> {
        Ok(self.size_bytes)
    }

    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let range = at..at + bytes.len() as u64;
        let read = self.runtime.block_on(self.client.get_range(&self.key, range)).map_err(io::Error::other)?;
        if read.len() != bytes.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.copy_from_slice(&read);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(ranges: &[(u64, u64)]) -> Vec<Piece> {
        ranges.iter().map(|&(start, end)| Piece { start, end }).collect()
    }

    #[test]
    fn overlapping_pieces_are_read_by_the_longest_and_a_gap_ends_the_log() {
        let there = pieces(&[(0, 5), (0, 8), (5, 11), (20, 30)]);

        assert_eq!(size(&there), 11);
        assert_eq!(longest(&there, 0), Some(&there[1]));
        assert_eq!(longest(&there, 8), Some(&there[2]));
        assert_eq!(longest(&there, 11), None);
        assert_eq!(size(&[]), 0);
    }

    #[test]
    fn small_pieces_after_the_last_large_one_are_joined() {
        let large = LARGE_BYTES;

        assert_eq!(
            joined(&pieces(&[(0, large), (large, large + 5), (large + 5, large + 9)])),
            pieces(&[(large, large + 9)]).pop()
        );
        assert_eq!(joined(&pieces(&[(0, 5), (5, 9), (30, 40)])), pieces(&[(0, 9)]).pop());
        assert_eq!(joined(&pieces(&[(0, large)])), None);
        assert_eq!(joined(&[]), None);
    }

    #[test]
    fn names_of_pieces_are_read_back() {
        let piece = Piece { start: 7, end: 1_000_000 };

        assert_eq!(piece.name(), "000000000007-000001000000");
        assert_eq!(Piece::parse(&piece.name()), Some(piece));
        assert_eq!(Piece::parse("x-1"), None);
    }
}
