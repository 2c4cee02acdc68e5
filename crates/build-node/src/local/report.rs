//! What came of a local build, as it is written beside the packages and printed with `--json`.

use std::path::PathBuf;

use anima_types::work::{Failure, PhaseTime};
use anima_types::{Nevra, Sha256};
use serde::Serialize;

/// The version of the document.
pub const REPORT_VERSION: u32 = 1;

/// What came of all packages.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// [`REPORT_VERSION`].
    pub version: u32,
    /// The platform.
    pub platform: String,
    /// Where the results are: a repository.
    pub folder: PathBuf,
    /// In the order in which they were built.
    pub packages: Vec<PackageReport>,
}

/// What came of one package.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PackageReport {
    /// [`REPORT_VERSION`].
    pub version: u32,
    /// The package.
    pub name: String,
    /// The source package, once it was made.
    pub nevra: Option<Nevra>,
    /// Where the results are.
    pub folder: PathBuf,
    /// `src` and the architectures.
    pub steps: Vec<StepReport>,
}

/// What came of the source package, or of one architecture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// `src`, or the architecture.
    pub step: String,
    /// What came of it.
    pub status: Status,
    /// Its log, where anything was run.
    pub log: Option<PathBuf>,
    /// How its root was made, and what is in it.
    pub root_log: Option<PathBuf>,
    /// Which part began and ended when, and what it used.
    pub state_log: Option<PathBuf>,
    /// What it made.
    pub packages: Vec<Made>,
    /// The SHA-256 of the locked list of its root.
    pub lock: Option<Sha256>,
    /// How long each part took.
    pub phases: Vec<PhaseTime>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// Why it was left out.
    pub why: Option<String>,
}

/// A package that was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Made {
    /// The package.
    pub nevra: Nevra,
    /// Its SHA-256.
    pub sha256: Sha256,
    /// The file, in the package's folder.
    pub file: String,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its packages are there.
    Built,
    /// It could not be done.
    Failed,
    /// The spec excludes the architecture.
    Excluded,
    /// It was not begun, as what it needs failed.
    LeftOut,
}

impl Report {
    /// Returns whether everything was built that was to be.
    pub fn is_success(&self) -> bool {
        self.packages.iter().all(PackageReport::is_success)
    }
}

impl PackageReport {
    /// Returns whether everything of it was built that was to be.
    pub fn is_success(&self) -> bool {
        self.steps.iter().all(|step| matches!(step.status, Status::Built | Status::Excluded))
    }
}

impl StepReport {
    /// Returns a step of which nothing is known yet.
    pub fn new(step: &str, status: Status) -> StepReport {
        StepReport {
            step: step.to_owned(),
            status,
            log: None,
            root_log: None,
            state_log: None,
            packages: Vec::new(),
            lock: None,
            phases: Vec::new(),
            failure: None,
            why: None,
        }
    }
}
