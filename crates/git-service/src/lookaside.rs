//! Large sources by hash, beside git. A file is there whole and right, or it is not there.
//!
//! ```text
//! lookaside/sha512/ab/cdef…      the bytes
//! lookaside/by-hash/ALG/HASH     the SHA-512 of the file with that hash, for lists of sources with other hashes
//! lookaside/packages/NAME/FILE/HASH    which files a package has
//! ```

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anima_types::{
    dist_git::{Algorithm, is_file_name, is_package_name},
    push::GitChange,
};
use anyhow::Context as _;
use axum::{
    Json,
    body::Body,
    extract::{ConnectInfo, Path as Address, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt as _;
use md5::Md5;
use serde::Serialize;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use tokio::io::AsyncWriteExt as _;
use tower::ServiceExt as _;
use tower_http::services::ServeFile;

use crate::{
    app::App,
    auth::{self, Pusher},
    error::{Error, Result},
    pushes,
};

/// The folder.
pub(crate) struct Lookaside {
    folder: PathBuf,
}

/// What an upload is answered with.
#[derive(Serialize)]
struct Uploaded {
    file: String,
    sha512: String,
    size_bytes: u64,
    /// The line for the package's `sources`.
    sources_line: String,
}

/// All hashes that a list of sources may have.
struct Hashes {
    sha512: Sha512,
    sha256: Sha256,
    sha1: Sha1,
    md5: Md5,
}

impl Hashes {
    fn new() -> Hashes {
        Hashes { sha512: Sha512::new(), sha256: Sha256::new(), sha1: Sha1::new(), md5: Md5::new() }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.sha512.update(bytes);
        self.sha256.update(bytes);
        self.sha1.update(bytes);
        self.md5.update(bytes);
    }

    fn finish(self) -> [(Algorithm, String); 4] {
        [
            (Algorithm::Sha512, hex::encode(self.sha512.finalize())),
            (Algorithm::Sha256, hex::encode(self.sha256.finalize())),
            (Algorithm::Sha1, hex::encode(self.sha1.finalize())),
            (Algorithm::Md5, hex::encode(self.md5.finalize())),
        ]
    }
}

impl Lookaside {
    pub fn open(folder: &Path) -> anyhow::Result<Lookaside> {
        let temporary = folder.join("tmp");
        // What was half uploaded when the service ended is of no use.
        match fs::remove_dir_all(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).context("could not clean the lookaside up");
            }
            _ => {}
        }
        for path in [folder.join("sha512"), folder.join("packages"), temporary] {
            fs::create_dir_all(&path).with_context(|| format!("could not create {}", path.display()))?;
        }
        Ok(Lookaside { folder: folder.to_path_buf() })
    }

    /// Returns where the file with that hash is, if it is there.
    fn find(&self, algorithm: Algorithm, hash: &str) -> Option<PathBuf> {
        let sha512 = match algorithm {
            Algorithm::Sha512 => hash.to_string(),
            other => fs::read_to_string(self.index_path(other, hash)).ok()?.trim().to_string(),
        };
        Some(self.path(&sha512)).filter(|path| path.is_file())
    }

    fn path(&self, sha512: &str) -> PathBuf {
        self.folder.join("sha512").join(&sha512[..2]).join(&sha512[2..])
    }

    fn index_path(&self, algorithm: Algorithm, hash: &str) -> PathBuf {
        self.folder.join("by-hash").join(algorithm.name()).join(hash)
    }

    /// Moves a file that is whole to its place, with its other hashes first: a file that is found is found by each.
    fn keep(
        &self,
        file: tempfile::NamedTempFile,
        hashes: &[(Algorithm, String); 4],
        package: &str,
        name: &str,
    ) -> io::Result<()> {
        file.as_file().sync_all()?;
        let sha512 = &hashes[0].1;
        for (algorithm, hash) in &hashes[1..] {
            write_small(&self.index_path(*algorithm, hash), sha512)?;
        }
        write_small(&self.folder.join("packages").join(package).join(name).join(sha512), "")?;
        let path = self.path(sha512);
        fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
        file.persist(&path).map_err(|error| error.error)?;
        fs::File::open(path.parent().unwrap_or(&self.folder))?.sync_all()
    }
}

fn write_small(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// `PUT /lookaside/PACKAGE/FILE/ALGORITHM/HASH/FILE`
pub(crate) async fn upload(
    State(app): State<App>,
    Address((package, file, algorithm, hash, again)): Address<(String, String, String, String, String)>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response> {
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_string());
    let pusher = Pusher { address, ..auth::pusher(&app, &headers).await? };
    let (algorithm, hash) = check(&package, &file, &algorithm, &hash, &again)?;
    if !matches!(algorithm, Algorithm::Sha512 | Algorithm::Sha256) {
        let message = format!("{} is too weak to say which file is meant; upload by sha512", algorithm.name());
        return Err(Error::new(StatusCode::UNPROCESSABLE_ENTITY, "weak_hash", message));
    }
    let (temporary, hashes, size_bytes) = receive(&app, request.into_body()).await?;
    let actual =
        hashes.iter().find(|(other, _)| *other == algorithm).map(|(_, hash)| hash.as_str()).unwrap_or_default();
    if actual != hash {
        let message = format!("{file} was said to have {} {hash}, its bytes have {actual}", algorithm.name());
        return Err(Error::new(StatusCode::UNPROCESSABLE_ENTITY, "wrong_hash", message).hint("Send the file again."));
    }
    let sha512 = hashes[0].1.clone();
    let (keeper, name, place) = (app.clone(), file.clone(), package.clone());
    let kept = tokio::task::spawn_blocking(move || keeper.lookaside.keep(temporary, &hashes, &place, &name)).await;
    kept.map_err(Error::internal)?.map_err(|error| Error::disk("keep the file", error))?;
    tracing::info!("{} uploaded {file} ({size_bytes} bytes)", pusher.name);
    let change = GitChange::Uploaded { file: file.clone(), sha512: sha512.clone(), size_bytes };
    let noted = pushes::write_down(&app, &package, vec![change], &pusher);
    noted.map_err(|error| Error::disk("write down who uploaded the file", error))?;
    app.outbox_filled.notify_one();
    let sources_line = format!("SHA512 ({file}) = {sha512}");
    Ok((StatusCode::CREATED, Json(Uploaded { file, sha512, size_bytes, sources_line })).into_response())
}

/// Writes the body to a temporary file, which is gone if anything goes wrong.
async fn receive(app: &App, body: Body) -> Result<(tempfile::NamedTempFile, [(Algorithm, String); 4], u64)> {
    let disk = |error| Error::disk("take the file", error);
    let temporary = tempfile::NamedTempFile::new_in(app.lookaside.folder.join("tmp")).map_err(disk)?;
    let mut file = tokio::fs::File::from_std(temporary.reopen().map_err(disk)?);
    let (mut hashes, mut size_bytes, mut body) = (Hashes::new(), 0, body.into_data_stream());
    while let Some(piece) = body.next().await {
        let interrupted = |error| {
            Error::new(
                StatusCode::BAD_REQUEST,
                "interrupted",
                format!("the upload broke off after {size_bytes} bytes: {error}"),
            )
        };
        let piece = piece.map_err(interrupted)?;
        size_bytes += piece.len() as u64;
        if size_bytes > app.config.max_lookaside_bytes {
            let message = format!("a file of the lookaside has at most {} bytes", app.config.max_lookaside_bytes);
            return Err(Error::new(StatusCode::PAYLOAD_TOO_LARGE, "too_long", message));
        }
        hashes.update(&piece);
        file.write_all(&piece).await.map_err(disk)?;
    }
    file.flush().await.map_err(disk)?;
    Ok((temporary, hashes.finish(), size_bytes))
}

/// `GET /lookaside/PACKAGE/FILE/ALGORITHM/HASH/FILE`
pub(crate) async fn download(
    State(app): State<App>,
    Address((package, file, algorithm, hash, again)): Address<(String, String, String, String, String)>,
    request: Request,
) -> Result<Response> {
    let (algorithm, hash) = check(&package, &file, &algorithm, &hash, &again)?;
    serve(&app, algorithm, &hash, request).await
}

/// `GET /lookaside/by-hash/ALGORITHM/HASH`
pub(crate) async fn download_by_hash(
    State(app): State<App>,
    Address((algorithm, hash)): Address<(String, String)>,
    request: Request,
) -> Result<Response> {
    let (algorithm, hash) = parse(&algorithm, &hash)?;
    serve(&app, algorithm, &hash, request).await
}

async fn serve(app: &App, algorithm: Algorithm, hash: &str, request: Request) -> Result<Response> {
    let path = app.lookaside.find(algorithm, hash);
    let path = path.ok_or_else(|| {
        Error::not_found(format!("the lookaside has no file with {} {hash}", algorithm.name()))
            .hint("Upload it: `anima lookaside upload --package NAME FILE`.")
    })?;
    let served = ServeFile::new(path).oneshot(request).await.map_err(Error::internal)?;
    let mut response = served.map(Body::new).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Ok(response)
}

fn check(package: &str, file: &str, algorithm: &str, hash: &str, again: &str) -> Result<(Algorithm, String)> {
    if !is_package_name(package) {
        return Err(Error::bad_name(package));
    }
    if !is_file_name(file) || file != again {
        return Err(Error::new(StatusCode::BAD_REQUEST, "bad_name", format!("{file:?} is no name for a file")));
    }
    parse(algorithm, hash)
}

fn parse(algorithm: &str, hash: &str) -> Result<(Algorithm, String)> {
    let bad = || Error::new(StatusCode::BAD_REQUEST, "bad_hash", format!("{hash:?} is no hash of {algorithm}"));
    let algorithm = Algorithm::from_name(algorithm).ok_or_else(bad)?;
    Ok((algorithm, algorithm.parse_hash(hash).ok_or_else(bad)?))
}
