//! The artifacts.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
};

use anima_types::Sha256;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::{
    address::Address,
    artifact::Artifact,
    bucket::Bucket,
    cache::LocalFile,
    error::{Error, blocking},
    upload::{Stored, Upload, place},
};

/// What is read, hashed and written at once.
pub(crate) const CHUNK_BYTES: usize = 256 * 1024;
const TEMPORARY_DIR: &str = "tmp";
/// As much as a small file takes on a disk: a disk that is full has no room for it.
const PROBE: &[u8] = &[0; 4096];

/// The artifacts, in a folder or a bucket. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    place: Arc<Place>,
}

#[derive(Debug)]
pub(crate) enum Place {
    Folder(PathBuf),
    Bucket(Arc<Bucket>),
}

impl Store {
    /// Opens a store. A folder is made if it is not there; a bucket has to be there, and is not asked for anything yet.
    /// Half-written files of processes that are gone are removed.
    pub async fn open(address: impl Into<Address>) -> Result<Store, Error> {
        let address = address.into();
        blocking(move || {
            let dir = match &address {
                Address::Folder(dir) => dir.join(TEMPORARY_DIR),
                Address::Bucket(bucket) => bucket.cache.join(TEMPORARY_DIR),
            };
            sweep(&dir).map_err(|error| Error::io(format!("open store {address}"), error))?;
            let place = match address {
                Address::Folder(dir) => Place::Folder(dir),
                Address::Bucket(bucket) => Place::Bucket(Arc::new(Bucket::open(*bucket, dir)?)),
            };
            Ok(Store { place: Arc::new(place) })
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
    pub async fn get(&self, sha256: Sha256) -> Result<Artifact, Error> {
        let path = match self.place() {
            Place::Folder(dir) => LocalFile::lasting(in_folder(dir, sha256)),
            Place::Bucket(bucket) => match bucket.copy(sha256) {
                Some(copy) => copy,
                None => return Ok(Artifact::of_bucket(sha256, bucket.size(sha256).await?, bucket.clone())),
            },
        };
        let open = move || File::open(&path).map_err(|error| missing_or_io(sha256, error));
        blocking(move || Artifact::of_file(sha256, open()?)).await
    }

    /// Returns an artifact's bytes if there are at most `max_bytes`, and if they are what its name says.
    pub async fn get_bytes(&self, sha256: Sha256, max_bytes: u64) -> Result<Bytes, Error> {
        let artifact = self.get(sha256).await?;
        if artifact.size_bytes() > max_bytes {
            return Err(Error::TooLong { max_bytes });
        }
        let (mut all, mut pieces) = (Vec::with_capacity(artifact.size_bytes() as usize), artifact.bytes());
        while let Some(piece) = pieces.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all.into())
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
        match self.place() {
            Place::Folder(dir) => {
                let metadata = tokio::fs::metadata(in_folder(dir, sha256)).await;
                metadata.map(|metadata| metadata.len()).map_err(|error| missing_or_io(sha256, error))
            }
            Place::Bucket(bucket) => bucket.size(sha256).await,
        }
    }

    /// Reads the artifact again, from where it lasts, and compares its hash with its name.
    pub async fn verify(&self, sha256: Sha256) -> Result<(), Error> {
        let artifact = match self.place() {
            Place::Folder(_) => self.get(sha256).await?,
            // Not the copy that may be on this machine.
            Place::Bucket(bucket) => Artifact::of_bucket(sha256, bucket.size(sha256).await?, bucket.clone()),
        };
        let mut pieces = artifact.bytes();
        while let Some(piece) = pieces.next().await {
            piece?;
        }
        Ok(())
    }

    /// Returns a file on this machine's disk with the artifact's bytes, for programs such as `rpm` that want a path. It is
    /// read only. From a bucket it is fetched, compared with its hash, and kept for a while.
    pub async fn local(&self, sha256: Sha256) -> Result<LocalFile, Error> {
        match self.place() {
            Place::Folder(dir) => {
                let path = in_folder(dir, sha256);
                tokio::fs::metadata(&path).await.map_err(|error| missing_or_io(sha256, error))?;
                Ok(LocalFile::lasting(path))
            }
            Place::Bucket(bucket) => bucket.clone().local(sha256).await,
        }
    }

    /// Returns where the artifact is, or would be, in a store that is a folder.
    pub fn folder_path(&self, sha256: Sha256) -> Option<PathBuf> {
        match self.place() {
            Place::Folder(dir) => Some(in_folder(dir, sha256)),
            Place::Bucket(_) => None,
        }
    }

    /// Writes and reads, to see whether the store works: a full disk, a disk that became read-only and an object store that
    /// is away are told by their errors.
    pub async fn probe(&self) -> Result<(), Error> {
        let mut upload = self.begin(PROBE.len() as u64).await?;
        upload = write(upload, Bytes::from_static(PROBE)).await?;
        drop(upload);
        match self.place() {
            Place::Folder(_) => Ok(()),
            Place::Bucket(bucket) => bucket.probe().await,
        }
    }

    async fn begin(&self, max_bytes: u64) -> Result<Upload, Error> {
        let dir = self.temporary_dir();
        blocking(move || Upload::begin(&dir, max_bytes)).await
    }

    pub(crate) async fn finish(&self, upload: Upload, expected: Option<Sha256>) -> Result<Stored, Error> {
        let (file, sha256, size_bytes) = upload.checked(expected)?;
        match self.place() {
            Place::Bucket(bucket) => bucket.put(file, sha256, size_bytes).await,
            Place::Folder(dir) => {
                let path = in_folder(dir, sha256);
                blocking(move || place(file, sha256, size_bytes, &path)).await
            }
        }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn temporary_dir(&self) -> PathBuf {
        match self.place() {
            Place::Folder(dir) => dir.join(TEMPORARY_DIR),
            Place::Bucket(bucket) => bucket.temporary_dir().clone(),
        }
    }
}

async fn write(mut upload: Upload, piece: Bytes) -> Result<Upload, Error> {
    blocking(move || upload.write(&piece).map(|()| upload)).await
}

pub(crate) fn in_folder(dir: &Path, sha256: Sha256) -> PathBuf {
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
