//! Where a store is: a folder, or a bucket of an S3 object store.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use object_store::{
    BackoffConfig, ClientOptions, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
};

use crate::error::Error;

/// A server that does not take a connection in this time is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// One request, of at most [`crate::bucket::PART_BYTES`] bytes, takes no longer on any line that is of use.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// What failed is tried again so often and so long; then the caller hears of it, and has its own patience.
const RETRIES: usize = 3;
const RETRY_TIMEOUT: Duration = Duration::from_secs(15);

/// Where a store is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Address {
    /// A folder, which several masters may share.
    Folder(PathBuf),
    /// A bucket, which several masters may share.
    Bucket(Box<BucketAddress>),
}

/// A bucket of an S3 object store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BucketAddress {
    /// Its name.
    pub bucket: String,
    /// What every key begins with, without slashes at its ends; may be empty.
    pub prefix: String,
    /// The server's address; Amazon's where nothing is said.
    pub endpoint: Option<String>,
    /// The region, which is part of every signature.
    pub region: String,
    /// Who asks; those of the machine (Amazon's instance metadata) where nothing is said.
    pub credentials: Option<Credentials>,
    /// A folder of this process alone, for what is on its way and for copies of what was used last. It is emptied when the
    /// store is opened.
    pub cache: PathBuf,
    /// What the copies may take there, in bytes.
    pub cache_bytes: u64,
}

/// Who asks a bucket.
#[derive(Clone, Eq, PartialEq)]
pub struct Credentials {
    /// The name of the key.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: String,
    /// What goes with a key that is good for some time only.
    pub session_token: Option<String>,
}

impl Credentials {
    /// Reads the form of Amazon's own programs: lines such as `aws_access_key_id = …`. Sections and other lines count for
    /// nothing, so the file has one pair. <https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>
    pub fn parse(text: &str) -> Option<Credentials> {
        let value = |wanted: &str| {
            let pairs = text.lines().filter_map(|line| line.split_once('='));
            let mut found = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
            found.next().map(|(_, value)| value.trim().to_string()).filter(|value| !value.is_empty())
        };
        Some(Credentials {
            access_key_id: value("aws_access_key_id")?,
            secret_access_key: value("aws_secret_access_key")?,
            session_token: value("aws_session_token"),
        })
    }
}

/// Never the key itself: this may end in a log.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

impl BucketAddress {
    /// Returns a client; nothing is asked of the server yet.
    pub(crate) fn client(&self) -> Result<Arc<AmazonS3>, Error> {
        let retry =
            RetryConfig { backoff: BackoffConfig::default(), max_retries: RETRIES, retry_timeout: RETRY_TIMEOUT };
        let options = ClientOptions::new().with_connect_timeout(CONNECT_TIMEOUT).with_timeout(REQUEST_TIMEOUT);
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&self.bucket)
            .with_region(&self.region)
            .with_retry(retry)
            .with_client_options(options);
        if let Some(endpoint) = &self.endpoint {
            // Where an operator says http, the server is on this machine or behind a tunnel.
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        if let Some(credentials) = &self.credentials {
            builder = builder
                .with_access_key_id(&credentials.access_key_id)
                .with_secret_access_key(&credentials.secret_access_key);
            if let Some(token) = &credentials.session_token {
                builder = builder.with_token(token);
            }
        }
        let client = builder.build().map_err(|error| Error::away(format!("open store {self}"), error))?;
        Ok(Arc::new(client))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Folder(folder) => folder.display().fmt(f),
            Address::Bucket(bucket) => bucket.fmt(f),
        }
    }
}

/// As a configuration says it.
impl fmt::Display for BucketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)
    }
}

impl From<PathBuf> for Address {
    fn from(folder: PathBuf) -> Address {
        Address::Folder(folder)
    }
}

impl From<&Path> for Address {
    fn from(folder: &Path) -> Address {
        Address::Folder(folder.to_path_buf())
    }
}

impl From<&Address> for Address {
    fn from(address: &Address) -> Address {
        address.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_as_amazons_programs_have_them_and_never_shown() {
        let text = "[default]\naws_access_key_id = AKIA\nAWS_SECRET_ACCESS_KEY=hush=hush\nregion = eu\n";

        let credentials = Credentials::parse(text).unwrap();

        assert_eq!(credentials.access_key_id, "AKIA");
        assert_eq!(credentials.secret_access_key, "hush=hush");
        assert_eq!(credentials.session_token, None);
        assert!(!format!("{credentials:?}").contains("hush"));
        assert_eq!(Credentials::parse("aws_access_key_id = AKIA\naws_secret_access_key =\n"), None);
    }
}
