//! Checks an installation: the database against the store, the store against the database, the repositories against both.
//!
//! It changes nothing unless it is told to repair, and then only what cannot make anything worse: bytes that are not what
//! their name says are taken away, so that the right ones are taken when they come again; logs of tasks that have ended are
//! compressed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use anima_db::Connection;
use anima_repodata::Repomd;
use anima_store::Error as StoreError;
use anima_types::{
    Sha256,
    fsck::{Fault, FaultKind, Report},
    repository::Repository,
    task::{Kind, Status},
    task_log::{LogId, LogName},
};
use anyhow::Result;

use super::{Installation, Tell, copy};
use crate::log;

/// An index of a repository at most.
const MAX_INDEX_BYTES: u64 = 4 << 20;
/// What nobody names is told when it is older: before, it may be an upload that has not ended.
const STRAY_AGE: Duration = Duration::from_secs(24 * 3_600);
const INDEX: &str = "repodata/repomd.xml";
const TELL_EVERY: u64 = 10_000;

/// What is to be done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Read every artifact and compare its hash, not only its size.
    pub is_deep: bool,
    /// Repair what is safe to repair.
    pub repairs: bool,
}

/// Checks everything.
pub async fn everything(of: &Installation, wanted: Wanted, tell: Tell<'_>) -> Result<Report> {
    let mut check = Check { of, wanted, report: Report::default() };
    let mut read = of.db.read().await?;
    for fault in anima_db::archive::faults(of.db.address(), &mut read).await? {
        check.add(FaultKind::Database, of.db.address().to_string(), fault);
    }
    check.artifacts(&mut read, tell).await?;
    tell(&format!("{} artifacts", check.report.artifact_count));
    for repository in anima_db::repository::list(&mut read, None).await? {
        check.repository(&mut read, &repository).await?;
    }
    tell(&format!("{} snapshots", check.report.snapshot_count));
    check.logs(&mut read).await?;
    check.strays(&mut read).await?;
    check.report.is_whole = check.report.faults.iter().all(|fault| fault.kind.is_harmless() || fault.is_repaired);
    Ok(check.report)
}

struct Check<'a> {
    of: &'a Installation,
    wanted: Wanted,
    report: Report,
}

impl Check<'_> {
    fn add(&mut self, kind: FaultKind, what: String, message: impl Into<String>) {
        self.report.faults.push(Fault { kind, what, message: message.into(), is_repaired: false });
    }

    async fn artifacts(&mut self, read: &mut Connection, tell: Tell<'_>) -> Result<()> {
        copy::artifacts(read, async |sha256, size_bytes| {
            self.report.artifact_count += 1;
            if self.report.artifact_count.is_multiple_of(TELL_EVERY) {
                tell(&format!("{} artifacts", self.report.artifact_count));
            }
            self.artifact(sha256, size_bytes).await
        })
        .await
    }

    async fn artifact(&mut self, sha256: Sha256, size_bytes: u64) -> Result<()> {
        let store = &self.of.store;
        match store.size(sha256).await {
            Err(StoreError::NotFound(_)) => {
                self.add(FaultKind::MissingArtifact, sha256.to_string(), "the database has it, the store has not");
                return Ok(());
            }
            Ok(there) if there == size_bytes && !self.wanted.is_deep => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        match store.verify(sha256).await {
            Ok(()) => match store.size(sha256).await? {
                there if there == size_bytes => {}
                there => {
                    let message = format!("it has {there} bytes, and {size_bytes} in the database");
                    self.add(FaultKind::Database, sha256.to_string(), message);
                }
            },
            Err(error @ StoreError::Damaged { .. }) => {
                let mut message = error.to_string();
                // Nobody is given it whole as it is; and while it is there, the right bytes are not taken.
                if self.wanted.repairs && store.remove(sha256, SystemTime::now() + STRAY_AGE).await? {
                    message.push_str("; these bytes were taken away, so that the right ones can come");
                }
                self.add(FaultKind::DamagedArtifact, sha256.to_string(), message);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Every snapshot has an index, the index names files that the snapshot has, with the hashes that they have there.
    async fn repository(&mut self, read: &mut Connection, repository: &Repository) -> Result<()> {
        let snapshots = anima_db::garbage::snapshots(read, repository.id).await?;
        let numbers: BTreeSet<i64> = snapshots.iter().map(|snapshot| snapshot.number).collect();
        let address = format!("{}/{}", repository.product, repository.path);
        if repository.current > 0 && !numbers.contains(&repository.current) {
            let message = format!("users are shown @{}, which is not there", repository.current);
            self.add(FaultKind::Repository, address.clone(), message);
        }
        for number in numbers {
            self.report.snapshot_count += 1;
            let files = anima_db::snapshot::files(read, repository.id, number).await?;
            let place = format!("{address}@{number}");
            match self.index(&files).await? {
                Ok(()) => {}
                Err(message) => self.add(FaultKind::Repository, place, message),
            }
        }
        Ok(())
    }

    async fn index(&self, files: &[(String, Sha256)]) -> Result<Result<(), String>> {
        let by_path: BTreeMap<&str, Sha256> = files.iter().map(|(path, sha256)| (path.as_str(), *sha256)).collect();
        let Some(index) = by_path.get(INDEX) else { return Ok(Err("it has no index".to_string())) };
        // What this machine has a copy of may be gone where it lasts.
        if !self.of.store.contains(*index).await? {
            return Ok(Err("its index is missing in the store".to_string()));
        }
        let bytes = match self.of.store.get_bytes(*index, MAX_INDEX_BYTES).await {
            Ok(bytes) => bytes,
            Err(error @ (StoreError::NotFound(_) | StoreError::Damaged { .. } | StoreError::TooLong { .. })) => {
                return Ok(Err(format!("its index cannot be read: {error}")));
            }
            Err(error) => return Err(error.into()),
        };
        let repomd = match Repomd::parse(&bytes) {
            Ok(repomd) => repomd,
            Err(error) => return Ok(Err(format!("its index cannot be read: {error}"))),
        };
        for record in &repomd.records {
            match by_path.get(record.location.as_str()) {
                None => return Ok(Err(format!("its index names {}, which it has not", record.location))),
                Some(sha256) if record.checksum.hex != sha256.to_string() => {
                    return Ok(Err(format!("its index says another hash of {}", record.location)));
                }
                Some(sha256) if !self.of.store.contains(*sha256).await? => {
                    return Ok(Err(format!("{} is missing in the store", record.location)));
                }
                Some(_) => {}
            }
        }
        Ok(Ok(()))
    }

    /// A task that made something said so in its log. What grows belongs to a task that goes on.
    async fn logs(&mut self, read: &mut Connection) -> Result<()> {
        let entries = self.of.logs.list().await?;
        let there: BTreeSet<LogId> = entries.iter().map(|entry| entry.log).collect();
        self.report.log_count = there.len() as u64;
        for (task, kind, status, attempt) in anima_db::task::all_of_kinds(read, &[Kind::Src, Kind::Build]).await? {
            let names = [LogId::of_attempt(task, LogName::Build, attempt), LogId::new(task, LogName::Build)];
            if status == Status::Succeeded && !names.iter().any(|log| there.contains(log)) {
                let message = format!("the {} task succeeded, and its log is not there", kind.name());
                self.add(FaultKind::MissingLog, format!("task {task}"), message);
            }
        }
        for entry in entries.iter().filter(|entry| entry.sealed.is_none()) {
            let is_over = match anima_db::task::get(read, entry.log.task).await {
                Ok(task) => log::is_over(&task, entry.log),
                Err(anima_db::Error::Missing { .. }) => true,
                Err(error) => return Err(error.into()),
            };
            if is_over {
                self.add(
                    FaultKind::OpenLog,
                    format!("log {}", entry.log),
                    "nothing more comes to it, and it is not compressed",
                );
                if self.wanted.repairs {
                    self.of.logs.seal(entry.log).await?;
                    self.report.faults.last_mut().expect("it was added").is_repaired = true;
                }
            }
        }
        Ok(())
    }

    async fn strays(&mut self, read: &mut Connection) -> Result<()> {
        let before = SystemTime::now() - STRAY_AGE;
        for first_byte in 0..=u8::MAX {
            let there = self.of.store.list(first_byte, before).await?;
            let hashes: Vec<Sha256> = there.iter().map(|(sha256, _)| *sha256).collect();
            let known = anima_db::garbage::known(read, &hashes).await?;
            for (sha256, size_bytes) in there.into_iter().filter(|(sha256, _)| !known.contains(sha256)) {
                let message = format!("nothing names it ({size_bytes} bytes): `anima store gc` takes it away");
                self.add(FaultKind::StrayArtifact, sha256.to_string(), message);
            }
        }
        Ok(())
    }
}
