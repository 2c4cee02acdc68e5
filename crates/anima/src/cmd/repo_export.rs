//! `anima repo export`: a repository as a plain tree of files that any web server serves, in a folder or in a bucket of an
//! S3 object store. What is there already is not
//! copied again; the index, which points to all else, comes last.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anima_client::{Client, lease::Cancel};
use anima_master::StoreAddress;
use anima_repodata::{PrimaryReader, Repomd, unpacked};
use anima_store::Tree;
use anima_types::{Sha256, work::FileRef};
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::{Ask, repo::find};
use crate::{
    config::Store,
    exit::{Exit, Failure, Result},
};

const INDEX: &str = "repodata/repomd.xml";
const SIGNATURE: &str = "repodata/repomd.xml.asc";
/// What was exported, beside it.
const STATE: &str = ".anima-export.json";
/// An index at most.
const MAX_INDEX_BYTES: u64 = 1 << 20;
/// The list of packages at most, packed and open.
const MAX_LIST_BYTES: u64 = 512 << 20;
const MAX_OPEN_BYTES: u64 = 2 << 30;
/// What is remembered of an export at most: some millions of files.
const MAX_STATE_BYTES: u64 = 1 << 30;
/// Files that are fetched at once.
const FETCHES: usize = 8;

#[derive(Debug, Args)]
pub struct Export {
    /// What to export: `PRODUCT/BaseOS/x86_64` as users see it now, or a snapshot of it with `@N`
    repository: String,
    /// The folder to export to, or `s3://BUCKET/PREFIX`
    #[arg(value_name = "FOLDER|URL")]
    target: String,
    /// The object store's address [default: Amazon's]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Its region [default: us-east-1]
    #[arg(long)]
    region: Option<String>,
    /// A file with its `aws_access_key_id` and `aws_secret_access_key` [default: the environment's]
    #[arg(long, value_name = "FILE")]
    credentials_file: Option<PathBuf>,
    /// The master's folder of artifacts, where this machine has it: files on the same file system are linked, not copied
    #[arg(long, value_name = "FOLDER")]
    artifacts: Option<PathBuf>,
}

#[derive(Default, Deserialize, Serialize)]
struct State {
    snapshot: String,
    /// Each file with its hash.
    files: BTreeMap<String, Sha256>,
    /// What the export before had: who reads that still finds its files.
    previous: BTreeSet<String>,
}

#[derive(Serialize)]
struct Done {
    snapshot: String,
    file_count: usize,
    linked_count: usize,
    copied_count: usize,
    removed_count: usize,
}

/// A file of the repository.
struct Wanted {
    path: String,
    sha256: Sha256,
    size_bytes: u64,
}

enum Way {
    Kept,
    Linked,
    Copied,
}

impl Export {
    pub async fn run(self, ask: &Ask) -> Result {
        let (address, number) = match self.repository.rsplit_once('@') {
            Some((address, number)) => (address, number.parse::<i64>().ok()),
            None => (self.repository.as_str(), None),
        };
        let repository = find(ask, address).await?;
        let number = number.unwrap_or(repository.current);
        if number == 0 {
            return Err(Failure::user(format!("nothing was released to {address} yet")));
        }
        let snapshot = format!("{}/{}@{number}", repository.product, repository.path);
        let source = Source {
            client: &ask.client,
            base: format!("{}repos/{snapshot}/", ask.client.base_url()),
            cancel: Cancel::new(),
        };
        let target = self.target()?;
        let old = State::read(&target).await?;
        let index = source.fetch(INDEX, MAX_INDEX_BYTES).await?;
        let wanted = source.wanted(&index).await?;
        let ways = stream::iter(&wanted).map(|file| async { self.bring(&target, &source, &old, file).await });
        let ways: Vec<Way> = ways.buffer_unordered(FETCHES).try_collect().await?;
        if let Some(signature) = source.maybe(SIGNATURE).await? {
            target.write(SIGNATURE, signature).await?;
        }
        target.write(INDEX, index).await?;
        let files: BTreeMap<String, Sha256> = wanted.iter().map(|file| (file.path.clone(), file.sha256)).collect();
        let removed_count = clean(&target, &old, &files).await?;
        let previous = old.files.into_keys().collect();
        let state = State { snapshot: snapshot.clone(), files, previous };
        target.write(STATE, serde_json::to_vec(&state).map_err(anyhow::Error::new)?).await?;
        let count = |of: fn(&Way) -> bool| ways.iter().filter(|way| of(way)).count();
        let done = Done {
            snapshot,
            file_count: wanted.len(),
            linked_count: count(|way| matches!(way, Way::Linked)),
            copied_count: count(|way| matches!(way, Way::Copied)),
            removed_count,
        };
        ask.output.show(&done, |done| {
            format!(
                "{} is in {}: {} files, {} linked, {} copied, {} removed",
                done.snapshot, self.target, done.file_count, done.linked_count, done.copied_count, done.removed_count
            )
        })
    }

    fn target(&self) -> Result<Target> {
        if !self.target.starts_with("s3://") {
            return Ok(Target::Folder(PathBuf::from(&self.target)));
        }
        let said = Store {
            url: Some(self.target.clone()),
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            credentials_file: self.credentials_file.clone(),
            ..Store::default()
        };
        match said.address(&std::env::temp_dir())? {
            StoreAddress::Bucket(bucket) => Ok(Target::Bucket(Tree::open(&bucket).map_err(away)?)),
            StoreAddress::Folder(folder) => Ok(Target::Folder(folder)),
        }
    }

    /// Sees to it that a file is there.
    async fn bring(&self, target: &Target, source: &Source<'_>, old: &State, file: &Wanted) -> Result<Way> {
        let size_bytes = target.size(&file.path).await?;
        if old.files.get(&file.path) == Some(&file.sha256) && size_bytes == Some(file.size_bytes) {
            return Ok(Way::Kept);
        }
        let url = format!("{}{}", source.base, file.path);
        let wanted = FileRef { sha256: file.sha256, name: file.path.clone(), url, size_bytes: file.size_bytes };
        let root = match target {
            Target::Folder(root) => root,
            Target::Bucket(tree) => {
                let folder = tempfile::tempdir().map_err(anyhow::Error::new)?;
                let path = folder.path().join("file");
                source.client.fetch(&wanted, &path, &source.cancel).await?;
                tree.put_file(&file.path, &path, media_type(&file.path)).await.map_err(away)?;
                return Ok(Way::Copied);
            }
        };
        let target = root.join(&file.path);
        let folder = target.parent().unwrap_or(root);
        fs::create_dir_all(folder).map_err(|error| broken("make", folder, error))?;
        if let Some(artifacts) = &self.artifacts
            && link(artifacts, file.sha256, &target)
        {
            return Ok(Way::Linked);
        }
        source.client.fetch(&wanted, &target, &source.cancel).await?;
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        fs::set_permissions(&target, readable).map_err(|error| broken("share", &target, error))?;
        Ok(Way::Copied)
    }
}

/// Where it is exported to.
enum Target {
    Folder(PathBuf),
    Bucket(Tree),
}

impl Target {
    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        match self {
            Target::Folder(root) => Ok(fs::read(root.join(path)).ok()),
            Target::Bucket(tree) => {
                Ok(tree.get(path, MAX_STATE_BYTES).await.map_err(away)?.map(|bytes| bytes.to_vec()))
            }
        }
    }

    async fn size(&self, path: &str) -> Result<Option<u64>> {
        match self {
            Target::Folder(root) => Ok(fs::metadata(root.join(path)).map(|metadata| metadata.len()).ok()),
            Target::Bucket(tree) => tree.size(path).await.map_err(away),
        }
    }

    /// Writes a small file: who reads finds the old one or the new one.
    async fn write(&self, path: &str, bytes: Vec<u8>) -> Result {
        match self {
            Target::Folder(root) => write_whole(&root.join(path), &bytes),
            Target::Bucket(tree) => tree.put(path, bytes, media_type(path)).await.map_err(away),
        }
    }

    async fn remove(&self, path: &str) -> Result<bool> {
        match self {
            Target::Bucket(tree) => tree.remove(path).await.map(|()| true).map_err(away),
            Target::Folder(root) => match fs::remove_file(root.join(path)) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(broken("remove", &root.join(path), error)),
            },
        }
    }
}

fn away(error: anima_store::Error) -> Failure {
    Failure::new(Exit::Remote, error.to_string())
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "xml" => "application/xml",
        "asc" => "application/pgp-signature",
        "gz" => "application/gzip",
        "zst" => "application/zstd",
        "rpm" => "application/x-rpm",
        "json" => "application/json",
        _ => "application/octet-stream",
    }
}

/// The snapshot on the master.
struct Source<'a> {
    client: &'a Client,
    base: String,
    cancel: Cancel,
}

impl Source<'_> {
    async fn fetch(&self, path: &str, max_bytes: u64) -> Result<Vec<u8>> {
        Ok(self.client.fetch_bytes(&format!("{}{path}", self.base), max_bytes, &self.cancel).await?.to_vec())
    }

    /// Returns a file that need not be there.
    async fn maybe(&self, path: &str) -> Result<Option<Vec<u8>>> {
        match self.client.fetch_bytes(&format!("{}{path}", self.base), MAX_INDEX_BYTES, &self.cancel).await {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(anima_client::Error::Api { status: 404, .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns all files but the index and its signature.
    async fn wanted(&self, index: &[u8]) -> Result<Vec<Wanted>> {
        let bad = |error: anima_repodata::Error| Failure::new(Exit::Remote, error.to_string());
        let repomd = Repomd::parse(index).map_err(bad)?;
        let mut wanted = Vec::new();
        for record in &repomd.records {
            wanted.push(Wanted {
                path: record.location.clone(),
                sha256: sha256(&record.location, &record.checksum.hex)?,
                size_bytes: record.size_bytes.unwrap_or(MAX_LIST_BYTES),
            });
        }
        let primary = repomd.record("primary").map_err(bad)?;
        let packed = self.fetch(&primary.location, MAX_LIST_BYTES).await?;
        if anima_repodata::Checksum::sha256(&packed) != primary.checksum {
            return Err(Failure::new(Exit::Remote, format!("{} is not what the index says", primary.location)));
        }
        let open = unpacked(&primary.location, &packed, MAX_OPEN_BYTES).map_err(bad)?;
        for package in PrimaryReader::new(open.as_slice(), &primary.location) {
            let package = package.map_err(bad)?;
            let (path, size_bytes) = (package.location, package.size_bytes);
            wanted.push(Wanted { sha256: sha256(&path, &package.checksum.hex)?, path, size_bytes });
        }
        Ok(wanted)
    }
}

fn sha256(path: &str, hex: &str) -> Result<Sha256> {
    hex.parse().map_err(|_| Failure::new(Exit::Remote, format!("the index has no SHA-256 of {path}")))
}

/// Gives a file of the master's folder a second name; says whether that could be done.
fn link(artifacts: &Path, sha256: Sha256, target: &Path) -> bool {
    let hex = sha256.to_string();
    let (source, beside) = (artifacts.join(&hex[..2]).join(&hex[2..]), target.with_extension("linking"));
    let linked = fs::hard_link(&source, &beside).and_then(|()| fs::rename(&beside, target));
    if linked.is_err() {
        let _ = fs::remove_file(&beside);
    }
    // A rename of a name to another name of the same file does nothing, and leaves both.
    let _ = fs::remove_file(&beside);
    linked.is_ok()
}

/// Takes away what neither this export nor the one before it names.
async fn clean(target: &Target, old: &State, files: &BTreeMap<String, Sha256>) -> Result<usize> {
    let mut removed_count = 0;
    for path in old.previous.iter().filter(|path| !files.contains_key(*path) && !old.files.contains_key(*path)) {
        removed_count += usize::from(target.remove(path).await?);
    }
    Ok(removed_count)
}

impl State {
    async fn read(target: &Target) -> Result<State> {
        let bytes = target.read(STATE).await?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| broken("make", folder, error))?;
    let beside = path.with_extension("writing");
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| broken("write", path, error))
}

fn broken(what: &str, path: &Path, error: std::io::Error) -> Failure {
    Failure::new(Exit::Internal, format!("could not {what} {}: {error}", path.display()))
}
