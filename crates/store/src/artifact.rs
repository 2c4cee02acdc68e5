//! An artifact that is being read.

use std::{fs::File, ops::Range, os::unix::fs::FileExt as _, sync::Arc};

use anima_types::Sha256;
use async_stream::try_stream;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream::BoxStream};
use sha2::{Digest as _, Sha256 as Hasher};

use crate::{
    blob::{CHUNK_BYTES, missing_or_io},
    bucket::Bucket,
    error::{Error, blocking},
};

/// An artifact that is there.
#[derive(Debug)]
pub struct Artifact {
    sha256: Sha256,
    size_bytes: u64,
    source: Source,
}

#[derive(Debug)]
enum Source {
    File(File),
    Bucket(Arc<Bucket>),
}

impl Artifact {
    pub(crate) fn of_file(sha256: Sha256, file: File) -> Result<Artifact, Error> {
        let size_bytes = file.metadata().map_err(|error| missing_or_io(sha256, error))?.len();
        Ok(Artifact { sha256, size_bytes, source: Source::File(file) })
    }

    pub(crate) fn of_bucket(sha256: Sha256, size_bytes: u64, bucket: Arc<Bucket>) -> Artifact {
        Artifact { sha256, size_bytes, source: Source::Bucket(bucket) }
    }

    /// Returns its size in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Returns all its bytes. They are hashed on the way: the last piece only comes if they are what the name says, and is
    /// [`Error::Damaged`] otherwise, so that nobody gets a whole file with wrong bytes.
    pub fn bytes(self) -> BoxStream<'static, Result<Bytes, Error>> {
        let (sha256, size_bytes) = (self.sha256, self.size_bytes);
        let pieces = self.range(0..size_bytes);
        try_stream! {
            let (mut hasher, mut last) = (Hasher::new(), Bytes::new());
            for await piece in pieces {
                let piece = piece?;
                hasher.update(&piece);
                let before = std::mem::replace(&mut last, piece);
                if !before.is_empty() {
                    yield before;
                }
            }
            let actual = Sha256(hasher.finalize().into());
            if actual != sha256 {
                Err(Error::Damaged { expected: sha256, actual })?;
            }
            yield last;
        }
        .boxed()
    }

    /// Returns a part of its bytes, as they are.
    pub fn range(self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, Error>> {
        let range = range.start..range.end.min(self.size_bytes);
        match self.source {
            Source::File(file) => file_bytes(self.sha256, file, range).boxed(),
            Source::Bucket(bucket) => bucket.bytes(self.sha256, range).boxed(),
        }
    }
}

fn file_bytes(sha256: Sha256, file: File, range: Range<u64>) -> impl Stream<Item = Result<Bytes, Error>> + Send {
    try_stream! {
        let (file, mut at) = (Arc::new(file), range.start);
        while at < range.end {
            let length = usize::try_from(range.end - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            let file = file.clone();
            let piece = blocking(move || {
                let mut piece = vec![0; length];
                file.read_exact_at(&mut piece, at).map_err(|error| missing_or_io(sha256, error))?;
                Ok(Bytes::from(piece))
            });
            yield piece.await?;
            at += length as u64;
        }
    }
}
