//! Backs up an installation while it runs.
//!
//! A backup folder is a store of its own: everything in it is a file by its SHA-256, so the next backup adds what is new. What a
//! backup holds is said by its manifest, which is written last and by a rename: one that was interrupted is none, and leaves
//! the former ones whole.
//!
//! ```text
//! FOLDER/blobs/ab/cdef…                artifacts, rows, logs and files, each by its hash
//! FOLDER/backups/20261125T231500Z.json what one backup holds
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anima_store::{LogEntry, Store};
use anima_types::{Sha256, Timestamp, task_log::LogId};
use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::{Installation, Tell, copy};

/// The form of the manifest.
pub(super) const FORMAT: u32 = 1;
/// The rows are read again when artifacts were collected as garbage meanwhile: so often at most.
const TRIES: u32 = 3;
const TELL_EVERY: u64 = 1_000;
/// Lists of an installation with some millions of artifacts at most.
pub(super) const MAX_LIST_BYTES: u64 = 4 << 30;

/// What one backup holds.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of this file.
    pub anima_backup: u32,
    /// When it was made.
    pub made_at: Timestamp,
    /// The program's version.
    pub program: String,
    /// All rows ([`anima_db::archive`]), compressed with zstd.
    pub rows: Sha256,
    /// How many.
    pub row_count: u64,
    /// A list of all artifacts: hash and size, a line each.
    pub artifacts: Sha256,
    /// How many.
    pub artifact_count: u64,
    /// Their bytes.
    pub artifact_bytes: u64,
    /// A list of all logs: a line of JSON each.
    pub logs: Sha256,
    /// How many.
    pub log_count: u64,
    /// A list of files of other roles: a line of JSON each.
    pub files: Sha256,
    /// How many.
    pub file_count: u64,
}

/// A log in a backup.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(super) struct Log {
    pub(super) name: String,
    pub(super) sha256: Sha256,
    /// While these stay the log does, and is not read again.
    sealed_at_micros: Option<u64>,
    sealed_bytes: Option<u64>,
}

impl Log {
    pub(super) const fn is_sealed(&self) -> bool {
        self.sealed_bytes.is_some()
    }
}

/// A file, folder or link in a backup.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(super) struct File {
    /// From the data folder.
    pub(super) path: PathBuf,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    modified_micros: u64,
    size_bytes: u64,
    pub(super) content: Content,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Content {
    Folder,
    Link(PathBuf),
    Bytes(Sha256),
}

/// What of a machine is backed up beside the database and the store.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// The data folder.
    pub data: PathBuf,
    /// Files and folders in it, by their paths from it, with all below them; those that are not there are left out.
    pub wanted: Vec<PathBuf>,
    /// Where one of them is elsewhere.
    pub elsewhere: BTreeMap<PathBuf, PathBuf>,
}

/// What came of it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Made {
    /// Its name, with which it is restored.
    pub name: String,
    /// What it holds.
    pub manifest: Manifest,
    /// What was not in the folder before, in bytes.
    pub new_bytes: u64,
}

pub(super) fn blobs(folder: &Path) -> PathBuf {
    folder.join("blobs")
}

fn manifests(folder: &Path) -> PathBuf {
    folder.join("backups")
}

/// Makes a backup.
pub async fn make(from: &Installation, files: &Files, folder: &Path, now: Timestamp, tell: Tell<'_>) -> Result<Made> {
    for path in [blobs(folder), manifests(folder)] {
        fs::create_dir_all(&path).with_context(|| format!("could not create {}", path.display()))?;
    }
    let to = Store::open(blobs(folder)).await?;
    let former = match newest(folder)? {
        Some(name) => Some(read(folder, &name)?),
        None => None,
    };
    let mut new_bytes = 0;
    // Git's references come before what they name, and so before the rows that name commits.
    let files = files_of(files, &to, former.as_ref(), &mut new_bytes).await?;
    tell(&format!("{} files", files.1));
    let rows = rows_and_artifacts(from, &to, &mut new_bytes, tell).await?;
    let logs = logs_of(from, &to, former.as_ref(), &mut new_bytes).await?;
    tell(&format!("{} logs", logs.1));
    let manifest =
        Manifest { made_at: now, logs: logs.0, log_count: logs.1, files: files.0, file_count: files.1, ..rows };
    let name = name_of(now);
    write_manifest(folder, &name, &manifest)?;
    Ok(Made { name, manifest, new_bytes })
}

async fn rows_and_artifacts(from: &Installation, to: &Store, new_bytes: &mut u64, tell: Tell<'_>) -> Result<Manifest> {
    for _ in 0..TRIES {
        let mut rows = tempfile::tempfile().context("could not make a temporary file")?;
        let (summary, mut read) = copy::rows(&from.db, &mut rows).await?;
        let (mut list, mut artifact_count, mut artifact_bytes, mut is_whole) = (String::new(), 0_u64, 0, true);
        copy::artifacts(&mut read, async |sha256, size_bytes| {
            match copy::artifact(&from.store, to, sha256, size_bytes).await? {
                Some(copied) => *new_bytes += copied,
                None => is_whole = false,
            }
            list.push_str(&format!("{sha256} {size_bytes}\n"));
            artifact_count += 1;
            artifact_bytes += size_bytes;
            if artifact_count.is_multiple_of(TELL_EVERY) {
                tell(&format!("{artifact_count} artifacts"));
            }
            Ok(())
        })
        .await?;
        drop(read);
        // What was collected as garbage since the rows were read is in none that are read now.
        if !is_whole {
            continue;
        }
        tell(&format!("{artifact_count} artifacts, {} rows", summary.row_count()));
        std::io::Seek::rewind(&mut rows)?;
        let rows = to.put_reader(None, u64::MAX, tokio::fs::File::from_std(rows)).await?;
        *new_bytes += if rows.is_new { rows.size_bytes } else { 0 };
        return Ok(Manifest {
            anima_backup: FORMAT,
            made_at: Timestamp(0),
            program: env!("CARGO_PKG_VERSION").to_string(),
            rows: rows.sha256,
            row_count: summary.row_count(),
            artifacts: to.put_bytes(list.into_bytes()).await?.sha256,
            artifact_count,
            artifact_bytes,
            logs: rows.sha256,
            log_count: 0,
            files: rows.sha256,
            file_count: 0,
        });
    }
    bail!("artifacts that the database has are missing in the store: `anima fsck` says which")
}

async fn logs_of(
    from: &Installation,
    to: &Store,
    former: Option<&Manifest>,
    new_bytes: &mut u64,
) -> Result<(Sha256, u64)> {
    let known: BTreeMap<String, Log> = match former {
        Some(former) => lines::<Log>(to, former.logs).await?.into_iter().map(|log| (log.name.clone(), log)).collect(),
        None => BTreeMap::new(),
    };
    let (mut list, mut count) = (String::new(), 0);
    let mut entries = from.logs.list().await?;
    entries.sort();
    for LogEntry { log, sealed } in entries {
        let (sealed_at_micros, sealed_bytes) = (sealed.map(|(at, _)| micros(at)), sealed.map(|(_, bytes)| bytes));
        let name = log.to_string();
        let same = known.get(&name).filter(|known| {
            sealed.is_some() && (known.sealed_at_micros, known.sealed_bytes) == (sealed_at_micros, sealed_bytes)
        });
        let sha256 = match same {
            Some(same) => same.sha256,
            None => {
                let stored = to.put_stream(None, u64::MAX, pieces(from, log).await?).await?;
                *new_bytes += if stored.is_new { stored.size_bytes } else { 0 };
                stored.sha256
            }
        };
        push_line(&mut list, &Log { name, sha256, sealed_at_micros, sealed_bytes });
        count += 1;
    }
    Ok((to.put_bytes(list.into_bytes()).await?.sha256, count))
}

/// A log as it is at this moment, compressed by itself.
async fn pieces(
    from: &Installation,
    log: LogId,
) -> Result<impl futures_util::Stream<Item = Result<bytes::Bytes, anima_store::Error>> + use<>> {
    let reader = from.logs.reader(log).await?;
    let size = reader.size().await?;
    Ok(async_stream::try_stream! {
        let mut at = 0;
        while at < size {
            let piece = reader.read(at, anima_store::LOG_READ_BYTES).await?;
            if piece.is_empty() {
                break;
            }
            at += piece.len() as u64;
            // Frames that follow one another are one file of zstd.
            yield zstd::bulk::compress(&piece, 5).expect("memory takes what is compressed").into();
        }
    })
}

async fn files_of(files: &Files, to: &Store, former: Option<&Manifest>, new_bytes: &mut u64) -> Result<(Sha256, u64)> {
    let known: BTreeMap<PathBuf, File> = match former {
        Some(former) => {
            lines::<File>(to, former.files).await?.into_iter().map(|file| (file.path.clone(), file)).collect()
        }
        None => BTreeMap::new(),
    };
    let (mut list, mut count) = (String::new(), 0);
    for wanted in &files.wanted {
        let place = files.elsewhere.get(wanted).cloned().unwrap_or_else(|| files.data.join(wanted));
        let mut left = vec![(wanted.clone(), place)];
        while let Some((path, place)) = left.pop() {
            let Some(mut file) = look(&path, &place)? else { continue };
            match &file.content {
                Content::Folder => left.extend(below(&path, &place)?),
                Content::Link(_) => {}
                Content::Bytes(_) => {
                    let same = known.get(&path).filter(|known| {
                        (known.modified_micros, known.size_bytes) == (file.modified_micros, file.size_bytes)
                    });
                    file.content = match same {
                        Some(same) => same.content.clone(),
                        None => {
                            let opened = match tokio::fs::File::open(&place).await {
                                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                                other => other.with_context(|| format!("could not read {}", place.display()))?,
                            };
                            let stored = to.put_reader(None, u64::MAX, opened).await?;
                            *new_bytes += if stored.is_new { stored.size_bytes } else { 0 };
                            Content::Bytes(stored.sha256)
                        }
                    };
                }
            }
            push_line(&mut list, &file);
            count += 1;
        }
    }
    Ok((to.put_bytes(list.into_bytes()).await?.sha256, count))
}

/// Returns what is in a folder, so that what refers to others is taken out, and copied, first: of a git repository its
/// references before its objects, which git only adds.
fn below(path: &Path, place: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let entries = fs::read_dir(place).with_context(|| format!("could not read {}", place.display()))?;
    let mut names = entries.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<_>>>()?;
    names.sort_by_key(|name| (name != "objects", std::cmp::Reverse(name.clone())));
    Ok(names.into_iter().map(|name| (path.join(&name), place.join(&name))).collect())
}

/// What is gone, and what is no file, folder or link, is left out.
fn look(path: &Path, place: &Path) -> Result<Option<File>> {
    let metadata = match fs::symlink_metadata(place) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.with_context(|| format!("could not read {}", place.display()))?,
    };
    let content = match metadata.file_type() {
        kind if kind.is_dir() => Content::Folder,
        kind if kind.is_symlink() => Content::Link(fs::read_link(place)?),
        kind if kind.is_file() => Content::Bytes(Sha256([0; 32])),
        _ => return Ok(None),
    };
    Ok(Some(File {
        path: path.to_path_buf(),
        mode: metadata.permissions().mode() & 0o7777,
        owner: (metadata.uid(), metadata.gid()),
        modified_micros: micros(metadata.modified()?),
        size_bytes: metadata.len(),
        content,
    }))
}

fn micros(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

fn push_line(list: &mut String, thing: &impl Serialize) {
    list.push_str(&serde_json::to_string(thing).expect("our own types are always JSON"));
    list.push('\n');
}

pub(super) async fn lines<T: serde::de::DeserializeOwned>(store: &Store, list: Sha256) -> Result<Vec<T>> {
    let bytes = store.get_bytes(list, MAX_LIST_BYTES).await?;
    let text = std::str::from_utf8(&bytes).context("a list of the backup is no text")?;
    text.lines().map(|line| serde_json::from_str(line).context("a list of the backup cannot be read")).collect()
}

fn name_of(now: Timestamp) -> String {
    let at = jiff::Timestamp::from_microsecond(now.0).unwrap_or_default();
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn write_manifest(folder: &Path, name: &str, manifest: &Manifest) -> Result<()> {
    let folder = manifests(folder);
    let mut file = tempfile::NamedTempFile::new_in(&folder)?;
    file.write_all(serde_json::to_string_pretty(manifest)?.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(folder.join(format!("{name}.json"))).context("could not write the manifest")?;
    fs::File::open(&folder)?.sync_all()?;
    Ok(())
}

/// Returns the names of all backups in a folder, the newest first.
pub fn list(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(manifests(folder)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.with_context(|| format!("could not read {}", folder.display()))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        names.extend(name.to_string_lossy().strip_suffix(".json").map(str::to_string));
    }
    names.sort_by(|a, b| b.cmp(a));
    Ok(names)
}

/// Returns the name of the newest backup in a folder.
pub fn newest(folder: &Path) -> Result<Option<String>> {
    Ok(list(folder)?.into_iter().next())
}

/// Returns what a backup holds.
pub fn read(folder: &Path, name: &str) -> Result<Manifest> {
    let path = manifests(folder).join(format!("{name}.json"));
    let text = fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    let manifest: Manifest =
        serde_json::from_str(&text).with_context(|| format!("could not read {}", path.display()))?;
    ensure!(manifest.anima_backup == FORMAT, "{} has form {}", path.display(), manifest.anima_backup);
    Ok(manifest)
}

/// Forgets all backups but the newest, and what only they held. Returns how many backups and how many bytes went.
pub async fn forget(folder: &Path, kept: usize) -> Result<(usize, u64)> {
    let names = list(folder)?;
    let gone = names.iter().skip(kept.max(1));
    let mut count = 0;
    for name in gone {
        fs::remove_file(manifests(folder).join(format!("{name}.json")))?;
        count += 1;
    }
    let store = Store::open(blobs(folder)).await?;
    let mut held = BTreeSet::new();
    for name in list(folder)? {
        held.extend(held_by(&store, &read(folder, &name)?).await?);
    }
    let (mut bytes, later) = (0, SystemTime::now() + Duration::from_secs(1));
    for first_byte in 0..=u8::MAX {
        for (sha256, size_bytes) in store.list(first_byte, later).await? {
            if !held.contains(&sha256) && store.remove(sha256, later).await? {
                bytes += size_bytes;
            }
        }
    }
    Ok((count, bytes))
}

/// Returns everything that a backup names.
pub(super) async fn held_by(store: &Store, manifest: &Manifest) -> Result<BTreeSet<Sha256>> {
    let mut held: BTreeSet<Sha256> = [manifest.rows, manifest.artifacts, manifest.logs, manifest.files].into();
    held.extend(artifacts(store, manifest).await?.into_iter().map(|(sha256, _)| sha256));
    held.extend(lines::<Log>(store, manifest.logs).await?.into_iter().map(|log| log.sha256));
    held.extend(lines::<File>(store, manifest.files).await?.into_iter().filter_map(|file| match file.content {
        Content::Bytes(sha256) => Some(sha256),
        Content::Folder | Content::Link(_) => None,
    }));
    Ok(held)
}

pub(super) async fn artifacts(store: &Store, manifest: &Manifest) -> Result<Vec<(Sha256, u64)>> {
    let bytes = store.get_bytes(manifest.artifacts, MAX_LIST_BYTES).await?;
    let text = std::str::from_utf8(&bytes).context("the list of artifacts is no text")?;
    let entry = |line: &str| {
        let (sha256, size_bytes) = line.split_once(' ')?;
        Some((sha256.parse().ok()?, size_bytes.parse().ok()?))
    };
    text.lines().map(|line| entry(line).context("the list of artifacts cannot be read")).collect()
}
