//! Artifacts on their way to the master.

use std::{io::Read, path::Path, time::Duration};

use anima_types::{
    Sha256,
    artifact::{Artifact, Kind, UploadQuery},
    splice::Splice,
};
use bytes::Bytes;
use sha2::{Digest, Sha256 as Hasher};
use tokio::time::Instant;
use tokio_util::io::ReaderStream;

use super::{
    PATIENCE,
    call::{Holder, is_full, is_lost},
    cancel::Cancel,
};
use crate::{
    error::Error,
    retry::{Backoff, patiently},
};

const LONGEST_WAIT: Duration = Duration::from_secs(5);
const CHUNK_BYTES: usize = 256 * 1024;

/// What is sent.
enum Source<'a> {
    File(&'a Path),
    Bytes(Bytes),
}

pub(super) async fn file(
    holder: &Holder,
    cancel: &Cancel,
    path: &Path,
    kind: Kind,
    name: &str,
) -> Result<Artifact, Error> {
    let (sha256, size_bytes) = hash(path).await?;
    upload(holder, cancel, Source::File(path), sha256, size_bytes, UploadQuery { kind, name: name.to_string() }).await
}

pub(super) async fn bytes(
    holder: &Holder,
    cancel: &Cancel,
    bytes: Bytes,
    kind: Kind,
    name: &str,
) -> Result<Artifact, Error> {
    let (sha256, size_bytes) = (Sha256(Hasher::digest(&bytes).into()), bytes.len() as u64);
    upload(holder, cancel, Source::Bytes(bytes), sha256, size_bytes, UploadQuery { kind, name: name.to_string() }).await
}

pub(super) async fn splice(
    holder: &Holder,
    cancel: &Cancel,
    splice: &Splice,
    new_bytes: &[u8],
) -> Result<Artifact, Error> {
    let broken = |error: serde_json::Error| Error::Answer { what: splice.name.clone(), reason: error.to_string() };
    let body = Bytes::from(splice.encode(new_bytes).map_err(broken)?);
    let spliced = until_there_is_room(holder, &splice.name, || holder.splice(body.clone()));
    unless_lost(cancel, &splice.name, spliced).await
}

async fn upload(
    holder: &Holder,
    cancel: &Cancel,
    source: Source<'_>,
    sha256: Sha256,
    size_bytes: u64,
    query: UploadQuery,
) -> Result<Artifact, Error> {
    let uploaded = until_there_is_room(holder, &query.name, || async {
        let body = body(&source).await?;
        holder.put_artifact(sha256, &query, size_bytes, body).await
    });
    unless_lost(cancel, &query.name, uploaded).await
}

/// Waits for an upload, and gives it up when the lease is lost.
async fn unless_lost(
    cancel: &Cancel,
    name: &str,
    uploaded: impl Future<Output = Result<Artifact, Error>>,
) -> Result<Artifact, Error> {
    let lost = || Error::LeaseLost { what: format!("upload {name}") };
    let result = tokio::select! {
        result = uploaded => result,
        () = cancel.cancelled() => return Err(lost()),
    };
    match result {
        Err(error) if is_lost(&error) => {
            cancel.trigger();
            Err(lost())
        }
        result => result,
    }
}

/// Sends again while the master is away, and for longer while its disk is full: what is sent took its time to make.
async fn until_there_is_room<F: Future<Output = Result<Artifact, Error>>>(
    holder: &Holder,
    name: &str,
    mut send: impl FnMut() -> F,
) -> Result<Artifact, Error> {
    let (until, mut backoff) = (Instant::now() + holder.room_patience, Backoff::up_to(LONGEST_WAIT));
    let mut is_told = false;
    loop {
        let error = match patiently(PATIENCE, LONGEST_WAIT, is_worth_it, &mut send).await {
            Err(error) if is_full(&error) => error,
            result => return result,
        };
        let wait = backoff.next();
        if Instant::now() + wait > until {
            return Err(error);
        }
        if !std::mem::replace(&mut is_told, true) {
            tracing::warn!(task = holder.task.0, %error, "{name} of task {} waits for room on the master's disk", holder.task);
        }
        tokio::time::sleep(wait).await;
    }
}

/// That a disk is full has its own, longer patience.
fn is_worth_it(error: &Error) -> bool {
    error.is_temporary() && !is_full(error)
}

async fn body(source: &Source<'_>) -> Result<reqwest::Body, Error> {
    match source {
        Source::Bytes(bytes) => Ok(bytes.clone().into()),
        Source::File(path) => {
            let file = tokio::fs::File::open(path).await.map_err(|error| Error::file("read", *path, error))?;
            Ok(reqwest::Body::wrap_stream(ReaderStream::with_capacity(file, CHUNK_BYTES)))
        }
    }
}

async fn hash(path: &Path) -> Result<(Sha256, u64), Error> {
    let owned = path.to_path_buf();
    let hashed = tokio::task::spawn_blocking(move || {
        let (mut file, mut hasher) = (std::fs::File::open(owned)?, Hasher::new());
        let (mut chunk, mut size_bytes) = (vec![0; CHUNK_BYTES], 0);
        loop {
            match file.read(&mut chunk)? {
                0 => return Ok((Sha256(hasher.finalize().into()), size_bytes)),
                length => {
                    hasher.update(&chunk[..length]);
                    size_bytes += length as u64;
                }
            }
        }
    });
    let result = hashed.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    result.map_err(|error| Error::file("read", path, error))
}
