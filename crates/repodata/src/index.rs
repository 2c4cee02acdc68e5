//! Makes the metadata of a folder of packages, and keeps it up to date: the work of createrepo_c.
//!
//! Beside the metadata lies a list of what was read ([`STATE`]), so that the next run reads only packages that came or
//! changed and writes only the buckets that they are in. Where the list is missing, or the metadata is another's, all is read
//! again. What else the index names (advisories, groups, modules) is kept.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::{self, File},
    io::Write,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use anima_rpm_file::PackageInfo;
use anima_types::{Sha256, repository::Compression};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::Digest;

use crate::{
    Change, Error, Gone, Layout, PackageXml, Part, Piece, PublishedFile, Record, Repomd, Repository, Result,
    builder::{begin, place, write_whole},
    frames::{Composed, compose},
    layout::{bucket, bucket_count},
    render, update,
};

/// The list of what was read, in the folder of the metadata.
const STATE: &str = ".anima-index.json";
const STATE_VERSION: u32 = 1;
const METADATA: &str = "repodata";
const CHUNK_BYTES: usize = 256 << 10;
/// A package up to this size is read once and kept while it is looked at: most are, and opening them twice is a tenth of the work.
const MAX_AT_ONCE_BYTES: u64 = 1 << 20;
/// What is made anew each time, and what others make of it: an old database of it would be wrong.
const OWN_KINDS: [&str; 9] = [
    "primary",
    "filelists",
    "other",
    "primary_db",
    "filelists_db",
    "other_db",
    "primary_zck",
    "filelists_zck",
    "other_zck",
];

/// How metadata is made.
#[derive(Clone, Copy, Debug)]
pub struct IndexOptions {
    /// How it is packed.
    pub compression: Compression,
    /// What goes into the index as its revision and time, in seconds since 1970.
    pub revision_secs: i64,
    /// Whether all is read again, whatever the last run left.
    pub is_whole: bool,
}

/// What was done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Indexed {
    /// The packages in the folder.
    pub package_count: u64,
    /// Packages that were read.
    pub read_count: usize,
    /// Packages that are gone, or have changed.
    pub removed_count: usize,
    /// Whether there is a new index; without a change the old one stays.
    pub is_new: bool,
}

/// A package's file, as far as can be told without reading it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
struct Seen(u64, i64, i64);

#[derive(Serialize, Deserialize)]
struct State {
    version: u32,
    /// The index that it belongs to.
    repomd: Sha256,
    layout: Layout,
    /// The names of the three files.
    files: Vec<String>,
    /// The files that the index before named: who reads it still finds them.
    previous: Vec<String>,
    packages: BTreeMap<String, (Seen, Sha256)>,
}

/// Makes or updates the metadata of the packages below a folder.
pub fn index(folder: &Path, options: &IndexOptions) -> Result<Indexed> {
    let metadata = folder.join(METADATA);
    fs::create_dir_all(&metadata).map_err(Error::file("make", &metadata))?;
    let read = || if options.is_whole { None } else { read_state(folder) };
    let (seen, state) = rayon::join(|| list(folder), read);
    let seen = seen?;
    let old_index = Repository::open(folder).ok().map(|repository| repository.repomd);
    let state = state.filter(|state| state.layout.compression == options.compression);
    if let Some(state) = state {
        let change = difference(&state, &seen);
        if change.added.is_empty() && change.removed.is_empty() {
            let package_count = state.layout.package_count;
            return Ok(Indexed { package_count, read_count: 0, removed_count: 0, is_new: false });
        }
        // Where the old files are not what the list says, making all anew is always right.
        if state.layout.suits(seen.len() as u64)
            && !is_left_elsewhere(&state, &change)
            && let Ok(indexed) = renew(folder, options, state, &seen, change, old_index.clone())
        {
            return Ok(indexed);
        }
    }
    make(folder, options, &seen, old_index)
}

/// Returns all packages below a folder.
fn list(folder: &Path) -> Result<BTreeMap<String, Seen>> {
    let mut paths = Vec::new();
    let is_wanted = |entry: &walkdir::DirEntry| entry.depth() != 1 || entry.file_name() != METADATA;
    for entry in walkdir::WalkDir::new(folder).into_iter().filter_entry(is_wanted) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(folder).to_path_buf();
            Error::File { action: "list", path, source: error.into() }
        })?;
        let is_package = entry.path().extension().is_some_and(|extension| extension == "rpm");
        if is_package && !entry.file_type().is_dir() {
            paths.push(entry.into_path());
        }
    }
    let look = |path: &PathBuf| {
        // Followed: mirrors are often made of links.
        let metadata = fs::metadata(path).map_err(Error::file("look at", path))?;
        let location = path.strip_prefix(folder).unwrap_or(path);
        let location = location.to_str().ok_or_else(|| Error::UnsafeLocation(location.display().to_string()))?;
        Ok((location.to_string(), Seen(metadata.len(), metadata.mtime(), metadata.mtime_nsec())))
    };
    paths.par_iter().map(look).collect()
}

/// What has to be read, and what goes.
struct Difference {
    added: Vec<String>,
    removed: Vec<Gone>,
}

fn difference(state: &State, seen: &BTreeMap<String, Seen>) -> Difference {
    let is_same = |location: &String, now: &Seen| state.packages.get(location).is_some_and(|(then, _)| then == now);
    let added = seen.iter().filter(|(location, now)| !is_same(location, now)).map(|(location, _)| location.clone());
    let removed = state
        .packages
        .iter()
        .filter(|(location, (then, _))| seen.get(*location) != Some(then))
        .map(|(location, (_, sha256))| Gone { location: location.clone(), sha256: *sha256 });
    Difference { added: added.collect(), removed: removed.collect() }
}

/// Returns whether a file that goes lies at another place, too: metadata has it once, and would lose it.
fn is_left_elsewhere(state: &State, change: &Difference) -> bool {
    let gone: BTreeSet<&String> = change.removed.iter().map(|gone| &gone.location).collect();
    let hashes: BTreeSet<Sha256> = change.removed.iter().map(|gone| gone.sha256).collect();
    let mut stays = state.packages.iter().filter(|(location, _)| !gone.contains(location));
    !gone.is_empty() && stays.any(|(_, (_, sha256))| hashes.contains(sha256))
}

/// Reads one package.
fn read(folder: &Path, location: &str, seen: &Seen) -> Result<PackageXml> {
    let path = folder.join(location);
    let unreadable = |error: anima_rpm_file::Error| Error::malformed(location, error);
    let (info, sha256) = if seen.0 <= MAX_AT_ONCE_BYTES {
        let bytes = fs::read(&path).map_err(Error::file("read", &path))?;
        let info = PackageInfo::from_reader(&mut bytes.as_slice()).map_err(unreadable)?;
        (info, Sha256(sha2::Sha256::digest(&bytes).into()))
    } else {
        (PackageInfo::read(&path).map_err(unreadable)?, hash(&path)?)
    };
    let file = PublishedFile { location: location.to_string(), sha256, size_bytes: seen.0, modified_at_secs: seen.1 };
    Ok(render(&info, &file))
}

fn hash(path: &Path) -> Result<Sha256> {
    let file = File::open(path).map_err(Error::file("open", path))?;
    let (mut hasher, mut chunk, mut at) = (sha2::Sha256::new(), vec![0; CHUNK_BYTES], 0);
    loop {
        match file.read_at(&mut chunk, at).map_err(Error::file("read", path))? {
            0 => return Ok(Sha256(hasher.finalize().into())),
            length => {
                hasher.update(&chunk[..length]);
                at += length as u64;
            }
        }
    }
}

/// Makes all anew, one bucket after another, so that few packages are in memory at once.
fn make(
    folder: &Path,
    options: &IndexOptions,
    seen: &BTreeMap<String, Seen>,
    old_index: Option<Repomd>,
) -> Result<Indexed> {
    let count = bucket_count(seen.len() as u64);
    let mut buckets: Vec<Vec<&String>> = vec![Vec::new(); count as usize];
    for location in seen.keys() {
        buckets[bucket(location, count) as usize].push(location);
    }
    let hashes: Mutex<HashMap<&String, Sha256>> = Mutex::default();
    let Composed { layout, files } = compose(options.compression, count, |number| {
        let packages = buckets[number as usize].iter().map(|location| read(folder, location, &seen[*location]));
        let packages = packages.collect::<Result<Vec<_>>>()?;
        let mut hashes = hashes.lock().unwrap_or_else(PoisonError::into_inner);
        hashes.extend(buckets[number as usize].iter().copied().zip(packages.iter().map(|package| package.sha256)));
        Ok(packages)
    })?;
    let hashes = hashes.into_inner().unwrap_or_else(PoisonError::into_inner);
    let files = Part::ALL
        .into_par_iter()
        .zip(files)
        .map(|(part, bytes)| {
            let sha256 = Sha256(sha2::Sha256::digest(&bytes).into());
            let name = layout.record(part, sha256, options.revision_secs).location;
            write_whole(&folder.join(&name), &bytes)?;
            Ok(sha256)
        })
        .collect::<Result<Vec<_>>>()?;
    let packages = seen.iter().map(|(location, seen)| (location.clone(), (seen.clone(), hashes[location]))).collect();
    let next = Next { layout, files, packages, old_index, old_files: Vec::new(), older_files: Vec::new() };
    let package_count = next.finish(folder, options)?;
    Ok(Indexed { package_count, read_count: seen.len(), removed_count: 0, is_new: true })
}

/// Makes the next state out of the last one.
fn renew(
    folder: &Path,
    options: &IndexOptions,
    state: State,
    seen: &BTreeMap<String, Seen>,
    change: Difference,
    old_index: Option<Repomd>,
) -> Result<Indexed> {
    let Difference { added, removed } = change;
    let packages =
        added.par_iter().map(|location| read(folder, location, &seen[location])).collect::<Result<Vec<_>>>()?;
    let old = state
        .files
        .iter()
        .map(|name| File::open(folder.join(name)).map_err(Error::file("open", &folder.join(name))))
        .collect::<Result<Vec<_>>>()?;
    let updated = update(&state.layout, &Change { added: &packages, removed: &removed }, |part, bucket| {
        let range = state.layout.range(part, bucket);
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let path = folder.join(&state.files[part as usize]);
        old[part as usize].read_exact_at(&mut bytes, range.start).map_err(Error::file("read", &path))?;
        Ok(bytes)
    })?;
    let files = Part::ALL
        .into_par_iter()
        .map(|part| {
            let at = part as usize;
            let name = |sha256| updated.layout.record(part, sha256, options.revision_secs).location;
            write_pieces(folder, &old[at], &updated.pieces[at], name)
        })
        .collect::<Result<Vec<_>>>()?;
    let mut listed = state.packages;
    for gone in &removed {
        listed.remove(&gone.location);
    }
    for (location, package) in added.iter().zip(&packages) {
        listed.insert(location.clone(), (seen[location].clone(), package.sha256));
    }
    let next = Next {
        layout: updated.layout,
        files,
        packages: listed,
        old_index,
        old_files: state.files,
        older_files: state.previous,
    };
    let package_count = next.finish(folder, options)?;
    Ok(Indexed { package_count, read_count: added.len(), removed_count: removed.len(), is_new: true })
}

/// Writes a file of pieces of the old one and new ones, and gives it the name of its content.
fn write_pieces(folder: &Path, old: &File, pieces: &[Piece], name: impl Fn(Sha256) -> String) -> Result<Sha256> {
    let dir = folder.join(METADATA);
    let writing = || Error::file("write", &dir);
    let (mut temporary, mut hasher) = (begin(&dir.join("new"))?, sha2::Sha256::new());
    let mut chunk = vec![0; CHUNK_BYTES];
    for piece in pieces {
        match piece {
            Piece::New(bytes) => {
                hasher.update(bytes);
                temporary.write_all(bytes).map_err(writing())?;
            }
            Piece::Old(range) => {
                let mut at = range.start;
                while at < range.end {
                    let length = usize::try_from(range.end - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
                    old.read_exact_at(&mut chunk[..length], at).map_err(writing())?;
                    hasher.update(&chunk[..length]);
                    temporary.write_all(&chunk[..length]).map_err(writing())?;
                    at += length as u64;
                }
            }
        }
    }
    let sha256 = Sha256(hasher.finalize().into());
    place(temporary, &folder.join(name(sha256)))?;
    Ok(sha256)
}

/// The next state, whose three files are written.
struct Next {
    layout: Layout,
    files: Vec<Sha256>,
    packages: BTreeMap<String, (Seen, Sha256)>,
    old_index: Option<Repomd>,
    old_files: Vec<String>,
    older_files: Vec<String>,
}

impl Next {
    /// Writes the list, then the index, then takes away what no index names any more. Returns the number of packages.
    fn finish(self, folder: &Path, options: &IndexOptions) -> Result<u64> {
        let records = Part::ALL.into_iter().zip(&self.files);
        let mut records: Vec<Record> =
            records.map(|(part, sha256)| self.layout.record(part, *sha256, options.revision_secs)).collect();
        let files: Vec<String> = records.iter().map(|record| record.location.clone()).collect();
        let (tags, others) = self.old_index.map(|index| (index.tags, index.records)).unwrap_or_default();
        let is_kept =
            |record: &Record| !OWN_KINDS.contains(&record.kind.as_str()) && folder.join(&record.location).is_file();
        records.extend(others.into_iter().filter(is_kept));
        let repomd = Repomd { revision: options.revision_secs.to_string(), tags, records }.to_xml();
        let package_count = self.layout.package_count;
        let state = State {
            version: STATE_VERSION,
            repomd: Sha256(sha2::Sha256::digest(&repomd).into()),
            layout: self.layout,
            previous: self.old_files.clone(),
            packages: self.packages,
            files,
        };
        let json = serde_json::to_vec(&state).map_err(|error| Error::malformed(STATE, error))?;
        write_whole(&folder.join(METADATA).join(STATE), &json)?;
        write_whole(&folder.join(METADATA).join("repomd.xml"), &repomd)?;
        let named: BTreeSet<&String> = state.files.iter().chain(&self.old_files).collect();
        for name in self.older_files.iter().filter(|name| !named.contains(name)) {
            let path = folder.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::file("remove", &path)(error));
                }
                _ => {}
            }
        }
        Ok(package_count)
    }
}

/// Returns the list of the last run, if it belongs to the index that is there.
fn read_state(folder: &Path) -> Option<State> {
    let dir = folder.join(METADATA);
    let state: State = serde_json::from_slice(&fs::read(dir.join(STATE)).ok()?).ok()?;
    let repomd = fs::read(dir.join("repomd.xml")).ok()?;
    let is_its = state.version == STATE_VERSION
        && state.files.len() == Part::ALL.len()
        && state.repomd == Sha256(sha2::Sha256::digest(&repomd).into());
    // What was written by another, or half, is read again.
    (is_its && Layout::parse(&state.layout.to_json()).is_ok()).then_some(state)
}
