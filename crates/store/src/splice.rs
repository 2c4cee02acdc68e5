//! New artifacts out of pieces of old ones: most bytes of a repository's metadata are those of its last state.

use std::{fs::File, ops::Range, os::unix::fs::FileExt};

use anima_types::Sha256;
use bytes::Bytes;

use crate::{
    Store,
    blob::{CHUNK_BYTES, missing_or_io},
    error::{Error, blocking},
    upload::{Stored, Upload},
};

/// A piece of a new artifact.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Piece {
    /// These bytes of the old one.
    Old(Range<u64>),
    /// These bytes.
    New(Bytes),
}

impl Store {
    /// Stores what the pieces are, one after another; those of the old artifact never leave the store. More than `max_bytes`
    /// is refused, and so is a piece that the old artifact does not have.
    pub async fn splice(&self, base: Sha256, pieces: Vec<Piece>, max_bytes: u64) -> Result<Stored, Error> {
        let (path, temporary_dir) = (self.local(base).await?, self.temporary_dir());
        let upload = blocking(move || {
            let old = File::open(&path).map_err(|error| missing_or_io(base, error))?;
            let size_bytes = old.metadata().map_err(|error| missing_or_io(base, error))?.len();
            let mut upload = Upload::begin(&temporary_dir, max_bytes)?;
            let mut chunk = vec![0; CHUNK_BYTES];
            for piece in pieces {
                match piece {
                    Piece::New(bytes) => upload.write(&bytes)?,
                    Piece::Old(range) if range.start > range.end || range.end > size_bytes => {
                        return Err(Error::NoSuchPiece { base, start: range.start, end: range.end, size_bytes });
                    }
                    Piece::Old(range) => {
                        let mut at = range.start;
                        while at < range.end {
                            let length = usize::try_from(range.end - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
                            let read = old.read_exact_at(&mut chunk[..length], at);
                            read.map_err(|error| missing_or_io(base, error))?;
                            upload.write(&chunk[..length])?;
                            at += length as u64;
                        }
                    }
                }
            }
            Ok(upload)
        });
        self.finish(upload.await?, None).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_splice_is_the_pieces_in_their_order_and_is_known_by_its_own_hash() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let base = store.put_bytes("0123456789").await.unwrap().sha256;
        let pieces = vec![Piece::New("<".into()), Piece::Old(3..6), Piece::Old(0..1), Piece::New(">".into())];

        let made = store.splice(base, pieces, 6).await.unwrap();

        assert_eq!(store.get_bytes(made.sha256, 10).await.unwrap(), "<3450>");
        assert_eq!(store.put_bytes("<3450>").await.unwrap(), Stored { is_new: false, ..made });
    }

    #[tokio::test]
    async fn pieces_that_are_not_there_or_too_many_bytes_leave_nothing() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let base = store.put_bytes("0123456789").await.unwrap().sha256;

        #[allow(clippy::reversed_empty_ranges)] // that is the point
        for range in [5..11, 11..12, 7..3] {
            let error = store.splice(base, vec![Piece::Old(range)], 100).await.unwrap_err();
            assert!(matches!(error, Error::NoSuchPiece { .. }), "{error}");
        }
        let error = store.splice(base, vec![Piece::Old(0..10)], 9).await.unwrap_err();
        assert!(matches!(error, Error::TooLong { max_bytes: 9 }), "{error}");
        let error = store.splice(Sha256([0; 32]), vec![Piece::New("x".into())], 9).await.unwrap_err();
        assert!(matches!(error, Error::NotFound(_)), "{error}");
        assert_eq!(std::fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
    }
}
