//! Files by names of their own in a bucket, for others to read: what `anima repo export` writes.

use std::{os::unix::fs::FileExt as _, path::Path, sync::Arc};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::{
    Attribute, Attributes, ObjectStore as _, ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload,
    WriteMultipart, aws::AmazonS3, path::Path as Key,
};

use crate::{
    address::BucketAddress,
    bucket::{PART_BYTES, absent_is_fine, key},
    error::{Error, blocking},
};

/// Parts of a file that are on their way at once.
const PARTS_AT_ONCE: usize = 4;

/// The files below a prefix of a bucket. Each appears whole or not at all.
#[derive(Clone, Debug)]
pub struct Tree {
    client: Arc<AmazonS3>,
    prefix: String,
}

impl Tree {
    /// Opens it; nothing is asked of the server yet.
    pub fn open(address: &BucketAddress) -> Result<Tree, Error> {
        Ok(Tree { client: address.client()?, prefix: address.prefix.clone() })
    }

    /// Returns a file's bytes, if it is there, and if there are at most `max_bytes`.
    pub async fn get(&self, path: &str, max_bytes: u64) -> Result<Option<Bytes>, Error> {
        let away = |error| Error::away(format!("read {path}"), error);
        let got = match self.client.get(&self.key(path)).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            other => other.map_err(away)?,
        };
        if got.meta.size > max_bytes {
            return Err(Error::TooLong { max_bytes });
        }
        let pieces: Vec<Bytes> = got.into_stream().try_collect().await.map_err(away)?;
        Ok(Some(pieces.concat().into()))
    }

    /// Returns a file's size in bytes, if it is there.
    pub async fn size(&self, path: &str) -> Result<Option<u64>, Error> {
        match self.client.head(&self.key(path)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(Error::away(format!("look for {path}"), error)),
        }
    }

    /// Writes a file, or another in its place.
    pub async fn put(&self, path: &str, bytes: impl Into<Bytes>, media_type: &'static str) -> Result<(), Error> {
        let options = PutOptions { attributes: attributes(media_type), ..PutOptions::default() };
        let put = self.client.put_opts(&self.key(path), PutPayload::from(bytes.into()), options).await;
        put.map(drop).map_err(|error| Error::away(format!("write {path}"), error))
    }

    /// Writes a file of this machine, however large it is.
    pub async fn put_file(&self, path: &str, file: &Path, media_type: &'static str) -> Result<(), Error> {
        let away = |error| Error::away(format!("write {path}"), error);
        let unreadable = |error| Error::io("read a file", error);
        let file = std::fs::File::open(file).map_err(unreadable)?;
        let size_bytes = file.metadata().map_err(unreadable)?.len();
        if size_bytes <= PART_BYTES {
            return self.put(path, part(&file, 0, size_bytes).await?, media_type).await;
        }
        let options = PutMultipartOptions { attributes: attributes(media_type), ..PutMultipartOptions::default() };
        let upload = self.client.put_multipart_opts(&self.key(path), options).await.map_err(away)?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES as usize);
        let mut at = 0;
        while at < size_bytes {
            let bytes = part(&file, at, PART_BYTES.min(size_bytes - at)).await?;
            at += bytes.len() as u64;
            upload.put(bytes);
            upload.wait_for_capacity(PARTS_AT_ONCE).await.map_err(away)?;
        }
        upload.finish().await.map(drop).map_err(away)
    }

    /// Takes a file away; one that is gone already is as good.
    pub async fn remove(&self, path: &str) -> Result<(), Error> {
        let gone = absent_is_fine(self.client.delete(&self.key(path)).await);
        gone.map_err(|error| Error::away(format!("remove {path}"), error))
    }

    fn key(&self, path: &str) -> Key {
        key(&self.prefix, path)
    }
}

/// What a web server in front of the bucket tells of it.
fn attributes(media_type: &'static str) -> Attributes {
    Attributes::from_iter([(Attribute::ContentType, media_type)])
}

async fn part(file: &std::fs::File, at: u64, length: u64) -> Result<Bytes, Error> {
    let unreadable = |error| Error::io("read a file", error);
    let file = file.try_clone().map_err(unreadable)?;
    blocking(move || {
        let mut part = vec![0; length as usize];
        file.read_exact_at(&mut part, at).map(|()| Bytes::from(part)).map_err(unreadable)
    })
    .await
}
