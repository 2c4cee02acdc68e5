//! A repository's metadata on this machine: its index is read anew each time, what the index names is fetched once.

use std::path::PathBuf;

use anima_repodata::{Record, Repomd, Streams};
use anima_types::work::Input;
use futures_util::{StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use crate::download::PARALLEL;
use crate::run::blocking;
use crate::trust;
use crate::{Downloads, Error, FileHash, Result, Wanted};

/// The largest index: real ones have 2 to 10 KB.
const MAX_REPOMD_BYTES: u64 = 1024 * 1024;

/// A repository as it is now: what its index says.
#[derive(Clone, Debug)]
pub struct Index {
    /// The repository's name.
    pub name: String,
    /// The lower, the rather taken.
    pub priority: i32,
    primary: Wanted,
    filelists: Option<Wanted>,
    modules: Option<Wanted>,
    /// Whether modules hide nothing of it.
    pub module_hotfixes: bool,
}

/// The files of a repository on this machine.
#[derive(Clone, Debug)]
pub struct MetadataFiles {
    /// `primary.xml`, packed or not.
    pub primary: PathBuf,
    /// `filelists.xml`, where it was asked for and there is one.
    pub filelists: Option<PathBuf>,
    /// Names the content of both files.
    pub key: String,
}

impl Index {
    /// Returns what tells one state of the repository from another.
    pub fn key(&self) -> &str {
        &self.primary.hash.hex
    }

    /// Returns what tells one state of its modules from another.
    pub fn modules_key(&self) -> &str {
        self.modules.as_ref().map_or("", |wanted| &wanted.hash.hex)
    }

    /// Fetches what it has of modules, and reads it.
    pub async fn modules(&self, downloads: &Downloads, cancel: &CancellationToken) -> Result<Option<Streams>> {
        let Some(wanted) = &self.modules else { return Ok(None) };
        let path = downloads.get(wanted, cancel).await?;
        let (url, name) = (wanted.url.clone(), self.name.clone());
        let reading = blocking(move || {
            let file = std::fs::File::open(&path).map_err(Error::file("open", &path))?;
            let read = Streams::read(&url, std::io::BufReader::new(file));
            read.map_err(|error| Error::Metadata { name, reason: error.to_string() })
        });
        Ok(Some(reading.await?))
    }

    /// Fetches the metadata unless it is here.
    pub async fn fetch(
        &self,
        downloads: &Downloads,
        with_filelists: bool,
        cancel: &CancellationToken,
    ) -> Result<MetadataFiles> {
        let primary = downloads.get(&self.primary, cancel).await?;
        let mut key = self.primary.hash.hex.clone();
        let filelists = match self.filelists.as_ref().filter(|_| with_filelists) {
            Some(wanted) => {
                key = format!("{key}-{}", wanted.hash.hex);
                Some(downloads.get(wanted, cancel).await?)
            }
            None => None,
        };
        Ok(MetadataFiles { primary, filelists, key })
    }
}

/// Reads the indexes of all repositories, some at once, and returns them in the same order.
pub async fn read_indexes(downloads: &Downloads, inputs: &[Input], cancel: &CancellationToken) -> Result<Vec<Index>> {
    // Listed first: a stream over a closure that borrows cannot be sent between threads.
    let reading: Vec<_> = inputs.iter().map(|input| read_index(downloads, input, cancel)).collect();
    futures_util::stream::iter(reading).buffered(PARALLEL).try_collect().await
}

async fn read_index(downloads: &Downloads, input: &Input, cancel: &CancellationToken) -> Result<Index> {
    let wrong = |reason: String| Error::Metadata { name: input.name.clone(), reason };
    let bytes = downloads.small(&below(&input.url, "repodata/repomd.xml"), MAX_REPOMD_BYTES, cancel).await?;
    if input.is_index_signed {
        let signature =
            downloads.small(&below(&input.url, "repodata/repomd.xml.asc"), MAX_REPOMD_BYTES, cancel).await?;
        trust::check_index(input, &bytes, &signature)?;
    }
    let repomd = Repomd::parse(&bytes).map_err(|error| wrong(error.to_string()))?;
    let primary = repomd.record("primary").map_err(|error| wrong(error.to_string()))?;
    Ok(Index {
        name: input.name.clone(),
        priority: input.priority,
        primary: wanted(input, primary)?,
        filelists: repomd.record("filelists").ok().map(|record| wanted(input, record)).transpose()?,
        modules: repomd.record("modules").ok().map(|record| wanted(input, record)).transpose()?,
        module_hotfixes: input.module_hotfixes,
    })
}

fn wanted(input: &Input, record: &Record) -> Result<Wanted> {
    let hash = FileHash::of_metadata(&record.checksum.kind, &record.checksum.hex).ok_or_else(|| Error::Metadata {
        name: input.name.clone(),
        reason: format!(
            "its {} has a checksum of the kind \"{}\", which is not trusted",
            record.kind, record.checksum.kind
        ),
    })?;
    Ok(Wanted { url: below(&input.url, &record.location), hash, size_bytes: record.size_bytes })
}

/// Returns the address of a file of a repository.
pub fn below(repository: &str, location: &str) -> String {
    match location.contains("://") {
        true => location.to_owned(),
        false => format!("{}/{location}", repository.trim_end_matches('/')),
    }
}
