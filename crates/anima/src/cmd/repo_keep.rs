//! `anima repo set`, `pin`, `unpin`, `attach`, `detach`: how a repository is kept. `anima store gc` drops what nothing names.

use std::path::PathBuf;

use anima_types::{
    repository::Compression,
    retention::{Collection, SnapshotFate, SnapshotRule},
};
use clap::{Args, Subcommand, ValueEnum};

use super::{Ask, repo::find};
use crate::{
    exit::{Exit, Failure, Result},
    output,
};

/// Lines of a list of what goes or stays, for people; `--json` has more.
const MAX_LINES: usize = 40;

#[derive(Debug, Args)]
pub struct Set {
    /// Its id, or its address: `PRODUCT/BaseOS/x86_64`
    repository: String,
    /// How its metadata is packed from the next release on: gzip is read by every client, zstd by those of Enterprise Linux 9
    /// and later
    #[arg(long, value_enum)]
    compression: Option<Pack>,
    /// Drop snapshots that are not among the newest N, and older than --keep-days
    #[arg(long, value_name = "N", requires = "keep_days")]
    keep_newest: Option<u32>,
    /// See --keep-newest
    #[arg(long, value_name = "DAYS", requires = "keep_newest")]
    keep_days: Option<u32>,
    /// Keep all snapshots for ever
    #[arg(long, conflicts_with_all = ["keep_newest", "keep_days"])]
    keep_all: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Pack {
    Gzip,
    Zstd,
}

impl From<Pack> for Compression {
    fn from(pack: Pack) -> Compression {
        match pack {
            Pack::Gzip => Compression::Gzip,
            Pack::Zstd => Compression::Zstd,
        }
    }
}

impl Set {
    pub async fn run(self, ask: &Ask) -> Result {
        let repository = find(ask, &self.repository).await?;
        let mut settings = ask.client.repository_settings(repository.id).await?;
        if let Some(pack) = self.compression {
            settings.compression = pack.into();
        }
        if let (Some(newest_count), Some(days)) = (self.keep_newest, self.keep_days) {
            settings.keep = Some(SnapshotRule { newest_count, days });
        }
        if self.keep_all {
            settings.keep = None;
        }
        let settings = ask.client.set_repository(repository.id, &settings).await?;
        ask.output.show(&settings, |settings| {
            let kept = settings.keep.map_or("all snapshots".to_string(), |rule| {
                format!("the newest {} snapshots, and those of the last {} days", rule.newest_count, rule.days)
            });
            output::fields(&[("compression", settings.compression.name().to_string()), ("keeps", kept)])
        })
    }
}

/// Pins a snapshot `PRODUCT/PATH@N`, or takes the pin away.
pub async fn pin(ask: &Ask, snapshot: &str, reason: Option<&str>) -> Result {
    let wrong = || Failure::user(format!("\"{snapshot}\" is no snapshot")).hint("such as seed-1/BaseOS/x86_64@3");
    let (address, number) = snapshot.rsplit_once('@').ok_or_else(wrong)?;
    let number = number.parse().map_err(|_| wrong())?;
    let repository = find(ask, address).await?;
    match reason {
        Some(reason) => ask.client.pin(repository.id, number, reason).await?,
        None => ask.client.unpin(repository.id, number).await?,
    }
    ask.output.show(&serde_json::json!({ "snapshot": snapshot, "pin": reason }), |_| match reason {
        Some(reason) => format!("{snapshot} stays: {reason}"),
        None => format!("{snapshot} goes when its rule says so"),
    })
}

/// Gives a repository metadata beside that of its packages.
pub async fn attach(ask: &Ask, repository: &str, kind: &str, file: &PathBuf) -> Result {
    let unreadable = |error| Failure::new(Exit::Internal, format!("could not read {}: {error}", file.display()));
    let content = std::fs::read(file).map_err(unreadable)?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let repository = find(ask, repository).await?;
    let attachment = ask.client.attach(repository.id, kind, &name, content).await?;
    ask.output.show(&attachment, |attachment| {
        let (product, path, kind) = (&repository.product, &repository.path, &attachment.kind);
        format!("{product}/{path} has {kind} from its next release on, or by `anima release attachments {product}`")
    })
}

/// Takes it away.
pub async fn detach(ask: &Ask, repository: &str, kind: &str) -> Result {
    let repository = find(ask, repository).await?;
    ask.client.detach(repository.id, kind).await?;
    ask.output.show(&serde_json::json!({ "kind": kind }), |_| {
        format!("{}/{} has no {kind} from its next release on", repository.product, repository.path)
    })
}

/// Look after the master's artifacts
#[derive(Debug, Subcommand)]
pub enum Store {
    /// Drop snapshots by their rules, and artifacts that nothing names. The master does it by itself every six hours
    Gc {
        /// Only say what would go, and why
        #[arg(long)]
        dry_run: bool,
    },
}

impl Store {
    pub async fn run(self, ask: &Ask) -> Result {
        match self {
            Store::Gc { dry_run: true } => ask.output.show(&ask.client.garbage().await?, describe),
            Store::Gc { dry_run: false } => ask.output.show(&ask.client.collect().await?, describe),
        }
    }
}

fn describe(collection: &Collection) -> String {
    let goes = if collection.is_dry_run { "would go" } else { "went" };
    let mut lines = vec![format!(
        "{} snapshots and {} artifacts with {} MiB {goes}",
        collection.snapshots.len(),
        collection.artifact_count,
        collection.size_bytes >> 20
    )];
    let rules = &collection.rules;
    lines.extend(
        [
            ("builds that no release carries", rules.unreleased_build_days, collection.build_count),
            ("logs of tasks", rules.logs_days, collection.log_count),
            ("events", rules.audit_days, collection.event_count),
        ]
        .map(|(what, days, count)| match days {
            Some(days) => format!("{what}: {count} {goes}; they stay for {days} days"),
            None if count > 0 => {
                format!("{what}: {count} {goes}, of deleted builds; the others stay, as no rule says otherwise")
            }
            None => format!("{what} stay: no rule says otherwise"),
        }),
    );
    let fate = |fate: &SnapshotFate| format!("{}: {}", fate.address, fate.reason);
    lines.extend(collection.snapshots.iter().take(MAX_LINES).map(|one| format!("- {}", fate(one))));
    let artifact = |artifact: &anima_types::retention::DroppedArtifact| {
        let name = if artifact.name.is_empty() { artifact.sha256.to_string() } else { artifact.name.clone() };
        format!("- {name}, {} bytes: {}", artifact.size_bytes, artifact.reason)
    };
    lines.extend(collection.artifacts.iter().take(MAX_LINES).map(artifact));
    if collection.is_dry_run {
        lines.extend(
            collection
                .kept_snapshots
                .iter()
                .take(MAX_LINES)
                .map(|one| format!("  {} stays: {}", one.address, one.reason)),
        );
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anima_types::{
        Sha256,
        retention::{DroppedArtifact, Rules},
    };

    #[test]
    fn a_dry_run_says_what_would_go_and_what_stays_with_reasons() {
        let fate = |address: &str, reason: &str| SnapshotFate { address: address.into(), reason: reason.into() };
        let artifact = DroppedArtifact {
            sha256: Sha256([1; 32]),
            name: "jq-1-1.x86_64.rpm".into(),
            size_bytes: 3 << 20,
            reason: "build 7 failed".into(),
        };
        let collection = Collection {
            is_dry_run: true,
            snapshots: vec![fate("p/x@1", "9 days old")],
            kept_snapshots: vec![fate("p/x@2", "users see it")],
            artifacts: vec![artifact],
            artifact_count: 1,
            size_bytes: 3 << 20,
            rules: Rules { audit_days: Some(400), ..Rules::default() },
            build_count: 0,
            log_count: 2,
            event_count: 7,
        };

        assert_eq!(
            describe(&collection),
            "1 snapshots and 1 artifacts with 3 MiB would go\n\
             builds that no release carries stay: no rule says otherwise\n\
             logs of tasks: 2 would go, of deleted builds; the others stay, as no rule says otherwise\n\
             events: 7 would go; they stay for 400 days\n- p/x@1: 9 days old\n- jq-1-1.x86_64.rpm, 3145728 bytes: build 7 failed\n  p/x@2 stays: users see it"
        );
    }
}
