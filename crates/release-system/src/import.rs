//! Takes over all packages of a repository from elsewhere: each is fetched, compared with what the metadata says, checked with
//! the keys, and uploaded.
//!
//! What was fetched is kept by its hash, and a download that was cut goes on where it stopped: an import that is tried again
//! fetches only what is missing.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use anima_client::lease::{Context, Stop};
use anima_environment::{
    Downloads, Error, FileHash, Wanted, below, blocking, check_index, is_signed_by_one, read_indexes,
};
use anima_repodata::{Package, PrimaryReader, Repository, unpacked_file};
use anima_rpm_file::PackageInfo;
use anima_types::{
    artifact,
    work::{Failure, ImportOutcome, ImportWork, Input},
};
use futures_util::{StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

/// Packages that are on their way at once.
const PARALLEL: usize = 6;
/// The log tells after so many packages how far it is.
const TELL_EVERY: u64 = 100;
/// A repository at most: the largest distributions have some 100,000.
const MAX_PACKAGES: usize = 300_000;
/// An index and its signature at most: real ones have 2 to 10 KB.
const MAX_INDEX_BYTES: u64 = 1 << 20;

/// Where a repository is.
enum Source {
    /// On this machine.
    Folder(PathBuf),
    /// Elsewhere.
    Address(Input),
}

/// Takes over the packages.
pub async fn run(work: ImportWork, downloads: &Downloads, context: &Context) -> Result<ImportOutcome, Stop> {
    let cancel = CancellationToken::new();
    let input = Input {
        name: "import".to_string(),
        url: work.import.url.clone(),
        gpg_keys: work.import.gpg_keys.clone(),
        is_index_signed: work.import.is_index_signed,
        ..Input::default()
    };
    let source = match folder(&work.import.url) {
        Some(folder) => Source::Folder(folder),
        None => Source::Address(input.clone()),
    };
    let packages = list(&source, &input, downloads, &cancel).await.map_err(failure)?;
    let (count, bytes) = (packages.len() as u64, packages.iter().map(|package| package.size_bytes).sum::<u64>());
    context.log.line(format_args!("{} has {count} packages with {bytes} bytes", work.import.url));
    if input.gpg_keys.is_empty() {
        context.log.line("no key was named: packages are compared with the metadata, and no signature is checked");
    }
    let (done, done_bytes) = (AtomicU64::new(0), AtomicU64::new(0));
    let one = async |package: &Package| -> Result<(), Stop> {
        let path = fetch(&source, package, downloads, &cancel).await.map_err(failure)?;
        check(package, path.clone(), &input).await.map_err(failure)?;
        let kind = if package.is_source() { artifact::Kind::Srpm } else { artifact::Kind::Rpm };
        context.upload(&path, kind, &package.nevra.file_name()).await?;
        let done_bytes = done_bytes.fetch_add(package.size_bytes, Ordering::Relaxed) + package.size_bytes;
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(TELL_EVERY) || done == count {
            context.log.line(format_args!("{done} of {count} packages, {done_bytes} of {bytes} bytes"));
        }
        Ok(())
    };
    let all: Vec<_> = packages.iter().map(one).collect();
    let work = futures_util::stream::iter(all).buffer_unordered(PARALLEL).try_collect::<()>();
    tokio::select! {
        done = work => done?,
        () = context.cancel.cancelled() => {
            cancel.cancel();
            return Err(failure(Error::Cancelled));
        }
    }
    Ok(ImportOutcome { package_count: count, size_bytes: bytes })
}

/// Returns the folder that an address names, if it names one.
pub(crate) fn folder(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("file://").unwrap_or(url);
    path.starts_with('/').then(|| PathBuf::from(path))
}

async fn list(
    source: &Source,
    input: &Input,
    downloads: &Downloads,
    cancel: &CancellationToken,
) -> Result<Vec<Package>, Error> {
    let wrong = |reason: String| Error::Metadata { name: input.url.clone(), reason };
    let read = match source {
        Source::Folder(folder) => {
            let (folder, input) = (folder.clone(), input.clone());
            blocking(move || read_folder(&folder, &input)).await?
        }
        Source::Address(input) => {
            let mut indexes = read_indexes(downloads, std::slice::from_ref(input), cancel).await?;
            let index = indexes.pop().ok_or_else(|| wrong("it has no index".to_string()))?;
            let files = index.fetch(downloads, false, cancel).await?;
            let name = input.url.clone();
            let read = move || -> anima_repodata::Result<Vec<Package>> {
                PrimaryReader::new(unpacked_file(&files.primary)?, &name).collect()
            };
            blocking(read).await.map_err(|error| wrong(error.to_string()))?
        }
    };
    match read.len() > MAX_PACKAGES {
        true => Err(wrong(format!("it has {} packages, and {MAX_PACKAGES} are taken at most", read.len()))),
        false => Ok(read),
    }
}

fn read_folder(folder: &Path, input: &Input) -> Result<Vec<Package>, Error> {
    let wrong = |error: anima_repodata::Error| Error::Metadata { name: input.url.clone(), reason: error.to_string() };
    if input.is_index_signed {
        let read = |name: &str| read_bounded(&folder.join("repodata").join(name));
        check_index(input, &read("repomd.xml")?, &read("repomd.xml.asc")?)?;
    }
    Repository::open(folder).map_err(wrong)?.read_packages().map_err(wrong)
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, Error> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(Error::file("open", path))?;
    file.take(MAX_INDEX_BYTES).read_to_end(&mut bytes).map_err(Error::file("read", path))?;
    Ok(bytes)
}

/// Returns where the package is on this machine, after its digest was compared with the metadata's.
async fn fetch(
    source: &Source,
    package: &Package,
    downloads: &Downloads,
    cancel: &CancellationToken,
) -> Result<PathBuf, Error> {
    let kind = &package.checksum.kind;
    let hash = FileHash::of_metadata(kind, &package.checksum.hex).ok_or_else(|| Error::Metadata {
        name: package.nevra.to_string(),
        reason: format!("its checksum is of the kind \"{kind}\", which is not trusted"),
    })?;
    match source {
        Source::Address(input) => {
            let url = below(&input.url, &package.location);
            downloads.get(&Wanted { url, hash, size_bytes: Some(package.size_bytes) }, cancel).await
        }
        Source::Folder(folder) => {
            let path = folder.join(&package.location);
            let hashed = path.clone();
            let algorithm = hash.algorithm;
            let actual = blocking(move || {
                let mut file = std::fs::File::open(&hashed).map_err(Error::file("open", &hashed))?;
                anima_environment::hash_file(&mut file, algorithm).map_err(Error::file("read", &hashed))
            });
            let actual = actual.await?;
            match actual == hash {
                true => Ok(path),
                false => Err(Error::Hash {
                    url: path.display().to_string(),
                    algorithm: algorithm.name(),
                    actual: actual.hex,
                    expected: hash.hex,
                }),
            }
        }
    }
}

/// Compares a package with what the metadata says of it, and checks its signature where keys are named.
async fn check(package: &Package, path: PathBuf, input: &Input) -> Result<(), Error> {
    let (nevra, input) = (package.nevra.clone(), input.clone());
    blocking(move || {
        let wrong = |reason: String| Error::Metadata { name: nevra.to_string(), reason };
        let info = PackageInfo::read(&path).map_err(|error| wrong(error.to_string()))?;
        if info.nevra != nevra {
            return Err(wrong(format!("its file is the package {}", info.nevra)));
        }
        match input.gpg_keys.is_empty() {
            true => Ok(()),
            false => is_signed_by_one(&nevra.to_string(), &path, &input),
        }
    })
    .await
}

fn failure(error: Error) -> Stop {
    let code = match &error {
        Error::Signature { .. } => "not_trusted",
        Error::Hash { .. } => "bad_source",
        _ => "import",
    };
    Failure {
        code: code.to_string(),
        message: format!("could not {error}"),
        log_line: None,
        hint: Some("What was fetched is kept: mend the cause, then `anima task restart ID` goes on.".to_string()),
        findings: Vec::new(),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_told_from_an_address() {
        assert_eq!(folder("/srv/repo"), Some(PathBuf::from("/srv/repo")));
        assert_eq!(folder("file:///srv/repo"), Some(PathBuf::from("/srv/repo")));
        assert_eq!(folder("https://host/repo"), None);
    }
}
