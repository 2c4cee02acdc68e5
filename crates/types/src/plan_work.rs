//! What the Release System is asked for a plan and for an import, and what it answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Arch,
    gate::{self, Gate, Level},
    id::ReleaseId,
    product::Quota,
    release::{Import, LeftOut, MadeEdit, PlanEntry, PlanRemoval},
    repository::{self, RepositoryPackage},
    work::Input,
};

/// Plan a release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanWork {
    /// The release.
    pub release: ReleaseId,
    /// What is to be released.
    pub packages: Vec<PlanPackage>,
    /// The product's repositories as users see them now; its default repository first.
    pub repositories: Vec<PlanRepository>,
    /// The product's own levels of the gates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, Level>)]
    pub gates: BTreeMap<Gate, Level>,
    /// Where the metadata of the packages is: a JSON list of `anima_repodata::PackageXml`, in no special order. Without it,
    /// only what stands here is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packages_url: Option<String>,
    /// The public key, ASCII-armoured, that has to have signed them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What the product's packages may need beside its own repositories, for each architecture, the strongest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stands_on: Vec<StandsOn>,
    /// What tells where packages belong, beside the product itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<ReferenceInput>,
    /// What people said, in the order in which it counts: the last of a package wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<MadeEdit>,
    /// What goes without a successor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removals: Vec<PlanRemoval>,
    /// What the product may hold, and holds.
    #[serde(default, skip_serializing_if = "Holding::is_unbounded")]
    pub usage: Holding,
}

impl PlanWork {
    /// Returns the work of placing packages, with nothing that tells more of them.
    pub fn new(release: ReleaseId, packages: Vec<PlanPackage>, repositories: Vec<PlanRepository>) -> PlanWork {
        PlanWork {
            release,
            packages,
            repositories,
            gates: BTreeMap::new(),
            packages_url: None,
            key: None,
            stands_on: Vec::new(),
            references: Vec::new(),
            edits: Vec::new(),
            removals: Vec::new(),
            usage: Holding::default(),
        }
    }
}

impl PlanRepository {
    /// Returns a repository whose metadata nobody can read.
    pub fn new(repository: repository::Repository, packages: Vec<RepositoryPackage>) -> PlanRepository {
        PlanRepository { repository, packages, url: None }
    }
}

impl PlanPackage {
    /// Returns a package of which nothing more is known.
    pub fn new(package: RepositoryPackage, target_arch: Option<Arch>) -> PlanPackage {
        PlanPackage { package, target_arch, places: Vec::new(), is_green: None }
    }
}

/// What the packages of an architecture may need.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StandsOn {
    /// The architecture.
    pub arch: Arch,
    /// The repositories of its platforms; none where it names no platform.
    pub inputs: Vec<Input>,
}

/// A repository of another distribution.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReferenceInput {
    /// The address of the repository, within the product, that it tells of: `AppStream/x86_64`.
    pub path: String,
    /// Its address, or a folder of the Release System's machine.
    pub url: String,
}

/// What a product holds now.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Holding {
    /// What it may hold.
    pub quota: Quota,
    /// Bytes of the files in all its repositories, each counted once.
    pub bytes: u64,
}

impl Holding {
    /// Returns whether the product may hold anything.
    pub fn is_unbounded(&self) -> bool {
        self.quota.is_empty()
    }
}

/// A package to find a place for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanPackage {
    /// The package and the signed artifact.
    #[serde(flatten)]
    pub package: RepositoryPackage,
    /// The architecture of the target that it was built for; a source package has none.
    pub target_arch: Option<Arch>,
    /// Where it is in what it is copied from, or where an import wants it: addresses of repositories within the product.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<String>,
    /// What the tests said of it; nothing where it was never tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_green: Option<bool>,
}

/// A repository with what is in it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanRepository {
    /// The repository.
    pub repository: repository::Repository,
    /// What is in it.
    pub packages: Vec<RepositoryPackage>,
    /// The address of the snapshot that users see now; none before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Fetch all packages of a repository from elsewhere, and upload them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImportWork {
    /// The release that they are for.
    pub release: ReleaseId,
    /// The repository.
    pub import: Import,
}

/// A plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanOutcome {
    /// Its lines.
    pub entries: Vec<PlanEntry>,
    /// What goes without a successor.
    #[serde(default)]
    pub removals: Vec<PlanRemoval>,
    /// What goes nowhere.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// What each gate found in it.
    #[serde(default)]
    pub gates: Vec<gate::Answer>,
}

/// Packages from elsewhere, uploaded as artifacts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImportOutcome {
    /// How many packages the repository has.
    pub package_count: u64,
    /// The size of their files.
    pub size_bytes: u64,
}
