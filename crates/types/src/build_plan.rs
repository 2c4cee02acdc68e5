//! A build plan: what a build would do, before it is started.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Arch;

/// `POST /api/v1/build-plans`
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateBuildPlan {
    /// The packages; empty means all that the platform ever had.
    #[serde(default)]
    pub packages: Vec<String>,
    /// The platform's name.
    pub platform: String,
    /// Also plans all that is built with one of the packages, directly or through others.
    #[serde(default)]
    pub with_dependants: bool,
    /// How many tasks run at once on each architecture; none means as many as the nodes that are there have slots.
    #[serde(default)]
    pub slots: Option<u32>,
}

/// What would happen. Times are estimates in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BuildPlan {
    /// The platform's name.
    pub platform: String,
    /// The packages in the order in which they would begin.
    pub packages: Vec<PlannedPackage>,
    /// How many waves there are: packages of a wave wait for none but those of earlier ones.
    pub wave_count: usize,
    /// The chain that takes longest.
    pub critical_path: Vec<String>,
    /// How long it takes: nothing is faster, however many nodes there are.
    pub critical_path_secs: f64,
    /// How long each architecture would take on its slots.
    pub architectures: Vec<PlannedArch>,
    /// Packages that wait for one another, each with a way out.
    pub circles: Vec<PlannedCircle>,
    /// What is not built for some architecture.
    #[serde(default)]
    pub excluded: Vec<PlannedExclusion>,
    /// What is not known, and so left out of the order or guessed.
    pub unknown: Vec<String>,
}

/// A package of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedPackage {
    /// Its name.
    pub package: String,
    /// Its wave, counted from 0.
    pub wave: usize,
    /// The packages of the plan that it waits for.
    pub waits_for: Vec<String>,
    /// How long its build takes, on the architecture where it takes longest.
    pub estimate_secs: f64,
    /// Whether that was measured on all of them.
    pub is_measured: bool,
    /// When its first build would begin.
    pub start_secs: f64,
    /// Its build on each architecture that it is for.
    #[serde(default)]
    pub tasks: Vec<PlannedTask>,
    /// Whether it is in the plan only because it is built with another that is.
    pub is_dependant: bool,
}

/// A package's build on an architecture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedTask {
    /// The architecture.
    pub arch: Arch,
    /// Its wave, counted from 0.
    pub wave: usize,
    /// How long it takes.
    pub estimate_secs: f64,
    /// Whence that is known.
    pub basis: Basis,
    /// When it would begin.
    pub start_secs: f64,
}

/// Whence it is known how long a build takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = EstimateBasis)]
pub enum Basis {
    /// Its last builds took so long.
    Measured,
    /// It was never built there: others took so long for a source package of its size.
    Size,
    /// It was never built there: others take so long.
    Unknown,
}

/// A package that is not built for an architecture, though the platform has it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedExclusion {
    /// The package.
    pub package: String,
    /// The architecture.
    pub arch: Arch,
    /// What its spec says, or that it is noarch and built elsewhere.
    pub why: String,
}

/// A node that would take builds.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedNode {
    /// Its name.
    pub name: String,
    /// How many it takes at once.
    pub slots: u32,
    /// Whether it emulates the architecture, which takes many times as long.
    pub is_emulated: bool,
}

/// An architecture of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedArch {
    /// The architecture.
    pub arch: Arch,
    /// How many tasks run at once.
    pub slots: u32,
    /// How many tasks there are.
    pub tasks: usize,
    /// When the last one would end.
    pub makespan_secs: f64,
    /// Nothing ends sooner on so many slots.
    pub lower_bound_secs: f64,
    /// How many waves its builds are in.
    #[serde(default)]
    pub wave_count: usize,
    /// The nodes that would take its builds, as far as they are there now.
    #[serde(default)]
    pub nodes: Vec<PlannedNode>,
}

/// Packages that wait for one another.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlannedCircle {
    /// All of them.
    pub members: Vec<String>,
    /// One way round.
    pub path: Vec<String>,
    /// A way out: each first package is built with what the platform has of the second, and again at the end.
    pub bootstrap: Vec<(String, String)>,
}
