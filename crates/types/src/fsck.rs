//! What `anima fsck` finds.

use serde::{Deserialize, Serialize};

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Whether nothing is missing or damaged.
    pub is_whole: bool,
    /// Artifacts that the database has.
    pub artifact_count: u64,
    /// Snapshots of all repositories.
    pub snapshot_count: u64,
    /// Logs that are there.
    pub log_count: u64,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// What kind of.
    pub kind: FaultKind,
    /// What it is about: an artifact's hash, a snapshot's address, a task.
    pub what: String,
    /// A sentence for people.
    pub message: String,
    /// Whether it was mended.
    pub is_repaired: bool,
}

/// Kinds of faults.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The database itself is damaged, or contradicts itself.
    Database,
    /// The database has it, the store has not.
    MissingArtifact,
    /// Its bytes are not what its name says.
    DamagedArtifact,
    /// A snapshot cannot be read by users.
    Repository,
    /// A task has no log.
    MissingLog,
    /// A log that could be compressed is not: harmless.
    OpenLog,
    /// Nothing names it: harmless.
    StrayArtifact,
}

impl FaultKind {
    /// Returns whether nothing is lost by it.
    pub const fn is_harmless(self) -> bool {
        matches!(self, FaultKind::OpenLog | FaultKind::StrayArtifact)
    }

    /// Returns the word in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            FaultKind::Database => "database",
            FaultKind::MissingArtifact => "missing_artifact",
            FaultKind::DamagedArtifact => "damaged_artifact",
            FaultKind::Repository => "repository",
            FaultKind::MissingLog => "missing_log",
            FaultKind::OpenLog => "open_log",
            FaultKind::StrayArtifact => "stray_artifact",
        }
    }
}
