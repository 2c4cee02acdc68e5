//! `anima backup`, `restore`, `move`, `fsck`: what an operator does with a whole installation. They work on the database and the
//! store themselves, so they need no running master; two of them want none.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anima_master::{
    Address, StoreAddress,
    upkeep::{Installation, backup, check, moving, restore},
};
use anima_types::{Timestamp, fsck::FaultKind};
use anyhow::Context as _;
use clap::Args;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::{
    args::Global,
    config::Config,
    data::DataFolder,
    exit::{Exit, Failure, Result},
    output::Output,
    role::Role,
    up::lock,
};

use super::block_on;

/// Back up the whole installation into a folder, while it runs; what is there already is not copied again
///
/// Database, artifacts, logs, git repositories, configuration, and the Sign Server's keys as they lie there: locked. The
/// passphrase of the keys is never in it, nor are tokens.
#[derive(Args, Debug)]
pub struct Backup {
    /// The folder, which may have earlier backups
    #[arg(value_name = "FOLDER")]
    target: PathBuf,
    /// Only list the backups that are in it
    #[arg(long)]
    list: bool,
    /// Afterwards forget all but so many of the newest
    #[arg(long, value_name = "NUMBER")]
    keep: Option<usize>,
    /// Leave out the Sign Server's folder
    #[arg(long)]
    without_keys: bool,
}

/// Restore a backup into an empty data folder
#[derive(Args, Debug)]
pub struct Restore {
    /// The folder that `anima backup` wrote
    #[arg(value_name = "FOLDER")]
    source: PathBuf,
    /// Which [default: the newest]
    #[arg(long, value_name = "NAME")]
    backup: Option<String>,
}

/// Move the installation to another database and another store, with nothing lost
///
/// No master may run. What was copied stays copied: when it is interrupted, say it again. The old database and the old store are
/// left as they are.
#[derive(Args, Debug)]
pub struct Move {
    /// The new configuration: its [database] and [store] are moved to, and it takes the old one's place afterwards
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Only say what would be copied, and see whether the new servers answer
    #[arg(long)]
    dry_run: bool,
}

/// Check the database against the store and the repositories
///
/// Ends with 10 if something is missing or damaged.
#[derive(Args, Debug)]
pub struct Fsck {
    /// Read every artifact and compare its hash
    #[arg(long)]
    deep: bool,
    /// Mend what can be mended without risk: compress logs that were left, take away bytes that are damaged
    #[arg(long)]
    repair: bool,
}

/// What is said by the data folder and its configuration.
struct Place {
    data: DataFolder,
    config: Config,
    folder: PathBuf,
    database: Address,
    artifacts: StoreAddress,
    /// Copies of what is in a bucket: a running master's are its own.
    _cache: TempDir,
}

impl Place {
    fn of(global: &Global) -> Result<Place> {
        let data = DataFolder::new(global.data.as_deref());
        let config = Config::load(global.config.as_deref(), &data)?;
        Place::new(data, config)
    }

    fn new(data: DataFolder, config: Config) -> Result<Place> {
        let folder = data.of_role(Role::Master.name());
        fs::create_dir_all(&folder).with_context(|| format!("could not create {}", folder.display()))?;
        let cache =
            tempfile::Builder::new().prefix("upkeep-").tempdir_in(&folder).context("could not make a folder")?;
        let mut artifacts = config.store.address(&folder)?;
        if let StoreAddress::Bucket(bucket) = &mut artifacts {
            bucket.cache = cache.path().to_path_buf();
        }
        let database = config.database.address(&folder);
        Ok(Place { data, config, folder, database, artifacts, _cache: cache })
    }

    async fn open(&self) -> Result<Installation> {
        Ok(Installation::open(&self.database, &self.artifacts).await?)
    }

    /// What is worth a backup beside database and store.
    fn files(&self, global: &Global, with_keys: bool) -> backup::Files {
        let mut elsewhere = BTreeMap::new();
        if let Some(config) = &global.config {
            elsewhere.insert("anima.toml".into(), config.clone());
        }
        let mut wanted: Vec<PathBuf> = ["anima.toml", "platforms", "git-service"].map(PathBuf::from).to_vec();
        // Never the passphrase: who has this folder shall not have the keys.
        for name in ["keys", "revocations", "journal.jsonl", "policy.toml"].iter().filter(|_| with_keys) {
            let path = Path::new("sign-server").join(name);
            if let Some(folder) = &self.config.sign_server.data {
                elsewhere.insert(path.clone(), folder.join(name));
            }
            wanted.push(path);
        }
        backup::Files { data: self.data.path().to_path_buf(), wanted, elsewhere }
    }
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp(since.map_or(0, |since| since.as_micros() as i64))
}

fn teller(global: &Global) -> impl Fn(&str) + Sync {
    let is_quiet = global.json;
    move |text| {
        if !is_quiet {
            eprintln!("{text}");
        }
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

impl Backup {
    pub fn run(self, global: &Global) -> Result {
        let output = Output::new(global.json);
        if self.list {
            let names = backup::list(&self.target)?;
            return output.list(&names, ["backup"], |name| [name.clone()], "There is no backup in it.");
        }
        let place = Place::of(global)?;
        block_on(async {
            let from = place.open().await?;
            let files = place.files(global, !self.without_keys);
            let made = backup::make(&from, &files, &self.target, now(), &teller(global)).await?;
            if let Some(kept) = self.keep {
                backup::forget(&self.target, kept).await?;
            }
            output.show(&made, |made| {
                format!(
                    "Backup {}: {} rows, {} artifacts ({}), {} logs, {} files; {} are new.",
                    made.name,
                    made.manifest.row_count,
                    made.manifest.artifact_count,
                    mib(made.manifest.artifact_bytes),
                    made.manifest.log_count,
                    made.manifest.file_count,
                    mib(made.new_bytes)
                )
            })
        })
    }
}

/// Which backup is being restored into a data folder.
#[derive(Serialize, Deserialize)]
struct Restoring {
    backup: String,
}

impl Restore {
    pub fn run(self, global: &Global) -> Result {
        let data = DataFolder::new(global.data.as_deref());
        data.create()?;
        let _lock = lock::take_for_restore(&data)?;
        let nothing = || Failure::user(format!("there is no backup in {}", self.source.display()));
        let name = match self.backup {
            Some(name) => name,
            None => backup::newest(&self.source)?.ok_or_else(nothing)?,
        };
        let manifest = backup::read(&self.source, &name)?;
        begin(&data, &name)?;
        block_on(async {
            let file_count = restore::files(&self.source, &manifest, data.path()).await?;
            let place = Place::of(global)?;
            let tell = teller(global);
            let (database, artifacts) = (&place.database, &place.artifacts);
            let mut restored = restore::rows_and_artifacts(&self.source, &manifest, database, artifacts, &tell).await?;
            restored.file_count = file_count;
            fs::remove_file(data.restoring()).context("could not end the restore")?;
            Output::new(global.json).show(&restored, |restored| {
                format!(
                    "Backup {name} is restored: {} rows, {} artifacts, {} logs, {} files. The keys' passphrase is not in it: put \
                     it back before you start.",
                    restored.row_count, restored.artifact_count, restored.log_count, restored.file_count
                )
            })
        })
    }
}

/// Sees to it that nothing of another installation is mixed with a backup.
fn begin(data: &DataFolder, name: &str) -> Result {
    let path = data.restoring();
    let begun = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Restoring>(&bytes).ok());
    match begun {
        Some(begun) if begun.backup == name => return Ok(()),
        Some(begun) => {
            let message = format!("{} has half of backup {}", data.path().display(), begun.backup);
            return Err(Failure::config(message).hint(format!("restore that one: --backup {}", begun.backup)));
        }
        None => {}
    }
    for folder in ["master", "git-service", "sign-server", "platforms"] {
        if fs::read_dir(data.path().join(folder)).is_ok_and(|mut entries| entries.next().is_some()) {
            let message = format!("{} is not empty: it has a folder {folder}", data.path().display());
            return Err(Failure::config(message).hint("name an empty folder with --data"));
        }
    }
    let text = serde_json::to_vec(&Restoring { backup: name.to_string() }).map_err(anyhow::Error::new)?;
    Ok(fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?)
}

impl Move {
    pub fn run(self, global: &Global) -> Result {
        let from = Place::of(global)?;
        let _data = lock::take(&from.data)?;
        let _master = lock::take_role(&from.folder, Role::Master)?;
        let to = Place::new(from.data.clone(), Config::load(Some(&self.to), &from.data)?)?;
        if to.database == from.database && same_store(&to.artifacts, &from.artifacts) {
            return Err(Failure::user(format!("{} has the same database and store", self.to.display())));
        }
        if to.database == from.database || same_store(&to.artifacts, &from.artifacts) {
            let message = "database and store are moved together: both have to be others in the new configuration";
            return Err(Failure::user(message));
        }
        block_on(async {
            let tell = teller(global);
            let installation = from.open().await?;
            let moved = moving::everything(&installation, &to.database, &to.artifacts, self.dry_run, &tell).await?;
            if !self.dry_run {
                switch(&from.data, global.config.as_deref(), &self.to)?;
            }
            Output::new(global.json).show(&moved, |moved| {
                format!(
                    "{} rows, {} artifacts ({}) and {} logs {}; {} {} copied.",
                    moved.row_count,
                    moved.artifact_count,
                    mib(moved.artifact_bytes),
                    moved.log_count,
                    if self.dry_run { "would be moved" } else { "are moved" },
                    mib(moved.copied_bytes),
                    if self.dry_run { "would be" } else { "were" }
                )
            })
        })
    }
}

/// Where copies are kept makes no other store.
fn same_store(one: &StoreAddress, other: &StoreAddress) -> bool {
    match (one, other) {
        (StoreAddress::Bucket(one), StoreAddress::Bucket(other)) => {
            (&one.bucket, &one.prefix, &one.endpoint) == (&other.bucket, &other.prefix, &other.endpoint)
        }
        _ => one == other,
    }
}

/// Puts the new configuration in the place of the old one, which is kept.
fn switch(data: &DataFolder, named: Option<&Path>, new: &Path) -> Result {
    let place = named.map_or_else(|| data.config_file(), Path::to_path_buf);
    if fs::canonicalize(&place).ok().is_some_and(|place| Some(place) == fs::canonicalize(new).ok()) {
        return Ok(());
    }
    let failed = || format!("could not write {}", place.display());
    if place.exists() {
        fs::copy(&place, place.with_extension("toml.before-move")).with_context(failed)?;
    }
    let beside = place.with_extension("toml.new");
    fs::copy(new, &beside).with_context(failed)?;
    Ok(fs::rename(&beside, &place).with_context(failed)?)
}

impl Fsck {
    pub fn run(self, global: &Global) -> Result {
        let place = Place::of(global)?;
        block_on(async {
            let wanted = check::Wanted { is_deep: self.deep, repairs: self.repair };
            let report = check::everything(&place.open().await?, wanted, &teller(global)).await?;
            Output::new(global.json).show(&report, |report| {
                let looked = format!(
                    "{} artifacts, {} snapshots and {} logs were looked at",
                    report.artifact_count, report.snapshot_count, report.log_count
                );
                let line = |fault: &anima_types::fsck::Fault| {
                    let mended = if fault.is_repaired { " (mended)" } else { "" };
                    format!("{}: {}: {}{mended}\n", fault.kind.name(), fault.what, fault.message)
                };
                let faults: String = report.faults.iter().map(line).collect();
                format!("{faults}{looked}: {}.", if report.is_whole { "all is well" } else { "something is wrong" })
            })?;
            if report.is_whole {
                return Ok(());
            }
            let lost = report.faults.iter().filter(|fault| !fault.kind.is_harmless() && !fault.is_repaired);
            let failure = Failure::new(Exit::Damaged, format!("{} things are missing or damaged", lost.count()));
            let is_of_bytes = |kind| matches!(kind, FaultKind::MissingArtifact | FaultKind::DamagedArtifact);
            match report.faults.iter().any(|fault| is_of_bytes(fault.kind)) {
                true => Err(failure.hint("artifacts come back from a backup, or by building them again")),
                false => Err(failure),
            }
        })
    }
}
