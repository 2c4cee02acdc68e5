//! The artifacts.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
};

use anima_types::Sha256;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use sha2::{Digest, Sha256 as Hasher};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::{
    error::{Error, blocking},
    upload::{Stored, Upload},
};

/// What is read, hashed and written at once.
pub(crate) const CHUNK_BYTES: usize = 256 * 1024;
const TEMPORARY_DIR: &str = "tmp";

/// The artifacts in one local folder. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    dir: Arc<PathBuf>,
}

impl Store {
    /// Opens the store in a folder, which is made if it is not there. Half-written files of an earlier process are
    /// removed, so no second process may have it open.
    pub async fn open(dir: impl Into<PathBuf>) -> Result<Store, Error> {
        let dir = dir.into();
        blocking(move || {
            sweep(&dir.join(TEMPORARY_DIR))
                .map_err(|error| Error::io(format!("open store {}", dir.display()), error))?;
            Ok(Store { dir: Arc::new(dir) })
        })
        .await
    }

    /// Stores what a reader gives. With an expected hash, other bytes are refused; so is more than `max_bytes`.
    /// On any error nothing is left.
    pub async fn put_reader(
        &self,
        expected: impl Into<Option<Sha256>>,
        max_bytes: u64,
        reader: impl AsyncRead,
    ) -> Result<Stored, Error> {
        let (expected, mut reader) = (expected.into(), pin!(reader));
        let mut upload = self.begin(max_bytes).await?;
        loop {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES);
            while chunk.len() < CHUNK_BYTES {
                match reader.read_buf(&mut chunk).await {
                    Ok(0) => break,
                    Ok(_) => (),
                    Err(error) => return Err(interrupted(&upload, error)),
                }
            }
            if chunk.is_empty() {
                return self.finish(upload, expected).await;
            }
            upload = write(upload, chunk.into()).await?;
        }
    }

    /// Stores what a stream gives, such as the body of a request. The same rules as for [`Store::put_reader`].
    pub async fn put_stream<E: std::fmt::Display>(
        &self,
        expected: impl Into<Option<Sha256>>,
        max_bytes: u64,
        stream: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<Stored, Error> {
        let (expected, mut stream) = (expected.into(), pin!(stream));
        let mut upload = self.begin(max_bytes).await?;
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|error| interrupted(&upload, error))?;
            upload = write(upload, piece).await?;
        }
        self.finish(upload, expected).await
    }

    /// Stores bytes that are in memory already.
    pub async fn put_bytes(&self, bytes: impl Into<Bytes>) -> Result<Stored, Error> {
        let bytes = bytes.into();
        let upload = self.begin(bytes.len() as u64).await?;
        self.finish(write(upload, bytes).await?, None).await
    }

    /// Opens an artifact for reading.
    pub async fn get(&self, sha256: Sha256) -> Result<tokio::fs::File, Error> {
        tokio::fs::File::open(self.path(sha256)).await.map_err(|error| missing_or_io(sha256, error))
    }

    /// Returns an artifact's bytes if there are at most `max_bytes`.
    pub async fn get_bytes(&self, sha256: Sha256, max_bytes: u64) -> Result<Bytes, Error> {
        let file = self.get(sha256).await?;
        let mut bytes = Vec::new();
        let read = file.take(max_bytes + 1).read_to_end(&mut bytes).await;
        read.map_err(|error| Error::io(format!("read artifact {sha256}"), error))?;
        if bytes.len() as u64 > max_bytes {
            return Err(Error::TooLong { max_bytes });
        }
        Ok(bytes.into())
    }

    /// Returns whether the artifact is there.
    pub async fn contains(&self, sha256: Sha256) -> Result<bool, Error> {
        match self.size(sha256).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns the artifact's size in bytes.
    pub async fn size(&self, sha256: Sha256) -> Result<u64, Error> {
        let metadata = tokio::fs::metadata(self.path(sha256)).await;
        metadata.map(|metadata| metadata.len()).map_err(|error| missing_or_io(sha256, error))
    }

    /// Reads the artifact again and compares its hash with its name.
    pub async fn verify(&self, sha256: Sha256) -> Result<(), Error> {
        let path = self.path(sha256);
        blocking(move || {
            let actual = File::open(&path).and_then(hash).map_err(|error| missing_or_io(sha256, error))?;
            if actual != sha256 {
                return Err(Error::Damaged { expected: sha256, actual });
            }
            Ok(())
        })
        .await
    }

    /// Returns where the artifact is, or would be, on this machine's disk: for programs such as `rpm` that want a
    /// path. It is read only. A store that is not a local folder has no such path, so prefer [`Store::get`].
    pub fn path(&self, sha256: Sha256) -> PathBuf {
        place(&self.dir, sha256)
    }

    async fn begin(&self, max_bytes: u64) -> Result<Upload, Error> {
        let store = self.clone();
        blocking(move || store.begin_now(max_bytes)).await
    }

    async fn finish(&self, upload: Upload, expected: Option<Sha256>) -> Result<Stored, Error> {
        let store = self.clone();
        blocking(move || store.finish_now(upload, expected)).await
    }

    pub(crate) fn temporary_dir(&self) -> PathBuf {
        self.dir.join(TEMPORARY_DIR)
    }

    pub(crate) fn begin_now(&self, max_bytes: u64) -> Result<Upload, Error> {
        Upload::begin(&self.temporary_dir(), max_bytes)
    }

    pub(crate) fn finish_now(&self, upload: Upload, expected: Option<Sha256>) -> Result<Stored, Error> {
        upload.finish(expected, |sha256| place(&self.dir, sha256))
    }
}

async fn write(mut upload: Upload, piece: Bytes) -> Result<Upload, Error> {
    blocking(move || upload.write(&piece).map(|()| upload)).await
}

fn place(dir: &Path, sha256: Sha256) -> PathBuf {
    let name = sha256.to_string();
    dir.join(&name[..2]).join(&name[2..])
}

fn interrupted(upload: &Upload, error: impl std::fmt::Display) -> Error {
    Error::Interrupted { received_bytes: upload.written_bytes(), reason: error.to_string() }
}

pub(crate) fn missing_or_io(sha256: Sha256, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::NotFound(sha256),
        _ => Error::io(format!("read artifact {sha256}"), error),
    }
}

fn hash(mut file: File) -> io::Result<Sha256> {
    let (mut hasher, mut chunk) = (Hasher::new(), vec![0; CHUNK_BYTES]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(Sha256(hasher.finalize().into())),
            length => hasher.update(&chunk[..length]),
        }
    }
}

/// Makes the folder, or takes away what processes left in it that are gone.
fn sweep(temporary_dir: &Path) -> io::Result<()> {
    fs::create_dir_all(temporary_dir)?;
    for entry in fs::read_dir(temporary_dir)? {
        let path = entry?.path();
        match File::open(&path) {
            Ok(file) if file.try_lock().is_ok() => fs::remove_file(path)?,
            // Another master writes it, or has just finished.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
