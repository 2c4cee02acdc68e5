//! Large sources on their way to the Git Service.

use std::{path::Path, time::Duration};

use anima_types::dist_git::LookasideFile;
use reqwest::{Method, header::CONTENT_LENGTH};
use tokio_util::io::ReaderStream;

use crate::{error::Error, http::Client};

/// The largest sources (browsers, kernels, compilers) pass a slow line within this.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(3600);

impl Client {
    /// Puts a large source of a package into the lookaside of the Git Service at this client's address. It is safe to
    /// put twice.
    pub async fn upload_source(&self, package: &str, file: &LookasideFile, path: &Path) -> Result<(), Error> {
        let unreadable = |error| Error::file("read", path, error);
        let source = tokio::fs::File::open(path).await.map_err(unreadable)?;
        let size_bytes = source.metadata().await.map_err(unreadable)?.len();
        let body = reqwest::Body::wrap_stream(ReaderStream::new(source));
        let call = self.call(Method::PUT, &file.url("lookaside", package)).limited(UPLOAD_TIMEOUT);
        self.send(call.header(CONTENT_LENGTH, size_bytes).body(body)).await.map(drop)
    }
}
