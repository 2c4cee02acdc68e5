//! `anima repo export`: a repository as a plain tree of files that any web server serves. What is there already is not
//! copied again; the index, which points to all else, comes last.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anima_client::{Client, lease::Cancel};
use anima_repodata::{PrimaryReader, Repomd, unpacked};
use anima_types::{Sha256, work::FileRef};
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::{Ask, repo::find};
use crate::exit::{Exit, Failure, Result};

const INDEX: &str = "repodata/repomd.xml";
const SIGNATURE: &str = "repodata/repomd.xml.asc";
/// What was exported, beside it.
const STATE: &str = ".anima-export.json";
/// An index at most.
const MAX_INDEX_BYTES: u64 = 1 << 20;
/// The list of packages at most, packed and open.
const MAX_LIST_BYTES: u64 = 512 << 20;
const MAX_OPEN_BYTES: u64 = 2 << 30;
/// Files that are fetched at once.
const FETCHES: usize = 8;

#[derive(Debug, Args)]
pub struct Export {
    /// What to export: `PRODUCT/BaseOS/x86_64` as users see it now, or a snapshot of it with `@N`
    repository: String,
    /// The folder to export to
    #[arg(value_name = "FOLDER")]
    target: PathBuf,
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
        let old = State::read(&self.target);
        let index = source.fetch(INDEX, MAX_INDEX_BYTES).await?;
        let wanted = source.wanted(&index).await?;
        let ways = stream::iter(&wanted).map(|file| async { self.bring(&source, &old, file).await });
        let ways: Vec<Way> = ways.buffer_unordered(FETCHES).try_collect().await?;
        if let Some(signature) = source.maybe(SIGNATURE).await? {
            write_whole(&self.target.join(SIGNATURE), &signature)?;
        }
        write_whole(&self.target.join(INDEX), &index)?;
        let files: BTreeMap<String, Sha256> = wanted.iter().map(|file| (file.path.clone(), file.sha256)).collect();
        let removed_count = clean(&self.target, &old, &files)?;
        let previous = old.files.into_keys().collect();
        let state = State { snapshot: snapshot.clone(), files, previous };
        write_whole(&self.target.join(STATE), &serde_json::to_vec(&state).map_err(anyhow::Error::new)?)?;
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
                done.snapshot,
                self.target.display(),
                done.file_count,
                done.linked_count,
                done.copied_count,
                done.removed_count
            )
        })
    }

    /// Sees to it that a file is there.
    async fn bring(&self, source: &Source<'_>, old: &State, file: &Wanted) -> Result<Way> {
        let target = self.target.join(&file.path);
        let size_bytes = fs::metadata(&target).map(|metadata| metadata.len()).ok();
        if old.files.get(&file.path) == Some(&file.sha256) && size_bytes == Some(file.size_bytes) {
            return Ok(Way::Kept);
        }
        let folder = target.parent().unwrap_or(&self.target);
        fs::create_dir_all(folder).map_err(|error| broken("make", folder, error))?;
        if let Some(artifacts) = &self.artifacts
            && link(artifacts, file.sha256, &target)
        {
            return Ok(Way::Linked);
        }
        let url = format!("{}{}", source.base, file.path);
        let wanted = FileRef { sha256: file.sha256, name: file.path.clone(), url, size_bytes: file.size_bytes };
        source.client.fetch(&wanted, &target, &source.cancel).await?;
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        fs::set_permissions(&target, readable).map_err(|error| broken("share", &target, error))?;
        Ok(Way::Copied)
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
fn clean(target: &Path, old: &State, files: &BTreeMap<String, Sha256>) -> Result<usize> {
    let mut removed_count = 0;
    for path in old.previous.iter().filter(|path| !files.contains_key(*path) && !old.files.contains_key(*path)) {
        let path = target.join(path);
        match fs::remove_file(&path) {
            Ok(()) => removed_count += 1,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(broken("remove", &path, error)),
        }
    }
    Ok(removed_count)
}

impl State {
    fn read(target: &Path) -> State {
        fs::read(target.join(STATE)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
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
