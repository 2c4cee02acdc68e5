//! Where the store's tests have their store: in a folder, and in a second run in a bucket.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anima_store::{Address, BucketAddress, Credentials};
use anima_testkit::{Bucket, ObjectStore};
use anima_types::Sha256;
use tempfile::TempDir;

/// A place for one test's store.
pub struct Place {
    pub address: Address,
    /// This machine's folder: the whole store, or what it keeps of a bucket.
    pub folder: TempDir,
    bucket: Option<Bucket>,
}

impl Place {
    pub fn new() -> Place {
        let folder = TempDir::new().unwrap();
        match anima_testkit::bucket_of_second_run() {
            None => Place { address: folder.path().into(), folder, bucket: None },
            Some(bucket) => Place::in_bucket(bucket, folder),
        }
    }

    pub fn in_bucket(bucket: Bucket, folder: TempDir) -> Place {
        let address = BucketAddress {
            bucket: bucket.name.clone(),
            prefix: "some/place".into(),
            endpoint: Some(bucket.endpoint.clone()),
            region: "garage".into(),
            credentials: Some(Credentials {
                access_key_id: ObjectStore::ACCESS_KEY_ID.into(),
                secret_access_key: ObjectStore::SECRET_ACCESS_KEY.into(),
                session_token: None,
            }),
            cache: folder.path().to_path_buf(),
            cache_bytes: 1 << 20,
        };
        Place { address: Address::Bucket(Box::new(address)), folder, bucket: Some(bucket) }
    }

    pub fn is_bucket(&self) -> bool {
        self.bucket.is_some()
    }

    /// What outlives the process: a folder with a file for each artifact.
    pub fn lasting(&self) -> PathBuf {
        self.bucket.as_ref().map_or_else(|| self.folder.path().to_path_buf(), |bucket| bucket.folder.join("some/place"))
    }

    /// The file that is an artifact.
    pub fn file(&self, sha256: Sha256) -> PathBuf {
        let name = sha256.to_string();
        self.lasting().join(&name[..2]).join(&name[2..])
    }

    /// What is there to last.
    pub fn files(&self) -> Vec<String> {
        if self.is_bucket() && !self.lasting().exists() { Vec::new() } else { files(&self.lasting()) }
    }

    /// What is on its way.
    pub fn unfinished(&self) -> Vec<String> {
        files(&self.folder.path().join("tmp"))
    }
}

/// All regular files under a folder.
fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path.display().to_string()),
        }
    }
    found
}
