//! What a node is asked to do, and what it answers, for each kind of task.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use crate::plan_work::{
    Holding, ImportOutcome, ImportWork, PlanOutcome, PlanPackage, PlanRepository, PlanWork, ReferenceInput, StandsOn,
};
use crate::{
    Arch, Nevra, Sha256, artifact,
    diagnosis::{Finding, MAX_FINDINGS},
    id::{BuildId, KeyId, ReleaseId, RepositoryId},
    key,
    platform::Platform,
    repository,
    signature::{Account, Form},
    task,
};

/// What to do. Addresses are whole URLs that need no token to read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Make a source package.
    Src(SrcWork),
    /// Make binary packages.
    Build(BuildWork),
    /// Test packages.
    Test(TestWork),
    /// Make a key, or signatures.
    Sign(SignWork),
    /// Make a release's plan.
    Plan(PlanWork),
    /// Make the metadata of a release's repositories.
    Publish(PublishWork),
    /// Fetch the packages of a repository from elsewhere.
    Import(ImportWork),
}

impl Work {
    /// Returns the kind of task whose work this is.
    pub const fn kind(&self) -> task::Kind {
        match self {
            Work::Src(_) => task::Kind::Src,
            Work::Build(_) => task::Kind::Build,
            Work::Test(_) => task::Kind::Test,
            Work::Sign(_) => task::Kind::Sign,
            Work::Plan(_) => task::Kind::Plan,
            Work::Publish(_) => task::Kind::Publish,
            Work::Import(_) => task::Kind::Import,
        }
    }
}

/// A repository to solve against.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Input {
    /// A short name.
    pub name: String,
    /// The address that `repodata/repomd.xml` is under.
    pub url: String,
    /// The lower, the rather taken.
    pub priority: i32,
    /// Armoured keys: each package has to be signed by one of them. Without any, nothing is checked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpg_keys: Vec<String>,
    /// Whether `repomd.xml.asc` has to be a signature by one of the keys.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_index_signed: bool,
    /// Whether modules hide nothing of it: what was built in the same system is to be used.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub module_hotfixes: bool,
    /// Whether it is what this system itself built: keys are for what comes from elsewhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_own: bool,
}

/// A file that can be fetched.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FileRef {
    /// What its bytes must hash to.
    pub sha256: Sha256,
    /// Its name.
    pub name: String,
    /// Where it is: `GET /api/v1/artifacts/{sha256}`.
    pub url: String,
    /// Its size.
    pub size_bytes: u64,
}

/// Make the source package of a commit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SrcWork {
    /// The build.
    pub build: BuildId,
    /// The package.
    pub package: String,
    /// Where to clone from.
    pub git_url: String,
    /// What to check out.
    pub commit: String,
    /// Where large sources are: `{lookaside_url}/{package}/{file}/{algorithm}/{hash}/{file}`.
    pub lookaside_url: String,
    /// The platform.
    pub platform: Platform,
    /// The architecture of the root that it is made in.
    pub arch: Arch,
    /// What the buildroot is made from.
    pub inputs: Vec<Input>,
}

/// Make binary packages from a source package.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BuildWork {
    /// The build.
    pub build: BuildId,
    /// The package.
    pub package: String,
    /// The source package.
    pub srpm: FileRef,
    /// The commit that it was made from; empty where that is not known.
    #[serde(default)]
    pub commit: String,
    /// The platform.
    pub platform: Platform,
    /// The architecture.
    pub arch: Arch,
    /// What the buildroot is made from: the platform's repositories, and the build's own.
    pub inputs: Vec<Input>,
}

/// Test packages of a build on one target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TestWork {
    /// The build.
    pub build: BuildId,
    /// The platform.
    pub platform: Platform,
    /// The architecture.
    pub arch: Arch,
    /// What to test: all binary packages of the build for the target.
    pub packages: Vec<TestPackage>,
    /// What the environment is made from: the platform's repositories, and the build's own.
    pub inputs: Vec<Input>,
}

/// A package under test.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TestPackage {
    /// The package.
    pub nevra: Nevra,
    /// Its file.
    pub file: FileRef,
}

/// What the Sign Server is asked for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignWork {
    /// Make a key.
    CreateKey {
        /// Its id.
        key: KeyId,
        /// What to make.
        wanted: key::CreateKey,
    },
    /// Say of a key that it is not to be used any more, and never sign with it again.
    Revoke {
        /// The key's fingerprint.
        fingerprint: String,
        /// Why, in OpenPGP's words.
        why: key::Revocation,
        /// Why, in words of a person.
        reason: String,
    },
    /// Make signatures.
    Signatures {
        /// The key's fingerprint.
        fingerprint: String,
        /// What to sign.
        items: Vec<SignItem>,
    },
}

/// One signature to make.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SignItem {
    /// The artifact.
    pub artifact: Sha256,
    /// What kind of signature.
    pub form: Form,
    /// Where the bytes are that are signed: the package's header, or the whole file. Never a package's payload.
    pub url: String,
    /// What the bytes that the signature covers must hash to.
    pub bytes_sha256: Sha256,
    /// What SHA-256 remembers of header and payload, where those are signed together (`anima_rpm_file::DigestState`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// What the master says of the artifact. What it says nothing of is not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
}

/// Make the metadata of a release's repositories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PublishWork {
    /// The release.
    pub release: ReleaseId,
    /// Seconds since 1970 that go into the metadata as its revision.
    pub revision: i64,
    /// What to make.
    pub repositories: Vec<PublishRepository>,
}

/// One repository to make the metadata of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PublishRepository {
    /// The repository.
    pub repository: RepositoryId,
    /// Where the metadata of all its packages is: a JSON list of `anima_repodata::PackageXml`, in no special order.
    pub packages_url: String,
    /// How the metadata is packed.
    #[serde(default)]
    pub compression: repository::Compression,
    /// What is different from the last state, where that can be told: then nothing else has to be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<PublishChange>,
    /// What the index names beside the packages, as it is in the store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<repository::Attachment>,
}

/// What is different from a repository's last state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PublishChange {
    /// How the last state's files are laid out (`anima_repodata::Layout`).
    pub layout: FileRef,
    /// The last state's `primary`, `filelists` and `other`.
    pub files: Vec<FileRef>,
    /// Where the metadata of the packages is that come: a list as that of all packages.
    pub added_url: String,
    /// The packages that go.
    pub removed: Vec<RemovedPackage>,
}

/// A package that goes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RemovedPackage {
    /// Where it lies in the repository.
    pub location: String,
    /// The package.
    pub sha256: Sha256,
}

/// What a task's work gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A source package.
    Src(SrcOutcome),
    /// Binary packages.
    Build(BuildOutcome),
    /// Verdicts.
    Test(TestOutcome),
    /// A key, or signatures.
    Sign(SignOutcome),
    /// A plan.
    Plan(PlanOutcome),
    /// Metadata.
    Publish(PublishOutcome),
    /// Packages from elsewhere.
    Import(ImportOutcome),
}

/// A source package, and what it says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SrcOutcome {
    /// Name, version and release; the architecture is `src`.
    pub nevra: Nevra,
    /// The uploaded artifact.
    pub srpm: Sha256,
    /// `BuildRequires` as the header has them, with versions: `gcc`, `zlib-devel >= 1.2`.
    pub build_requires: Vec<String>,
    /// What the binary packages will provide, as far as the spec says it: names and explicit provides.
    pub provides: Vec<String>,
    /// `ExclusiveArch` of the spec; empty means no limit.
    pub exclusive_arch: Vec<String>,
    /// `ExcludeArch` of the spec.
    pub exclude_arch: Vec<String>,
    /// All binary packages are noarch.
    pub is_noarch: bool,
}

impl SrcOutcome {
    /// Returns why the package is not for an architecture, as its spec says it.
    pub fn excluded(&self, arch: Arch) -> Option<String> {
        let names =
            |list: &[String]| list.iter().any(|name| name == arch.name() || (name == "noarch" && self.is_noarch));
        if !self.exclusive_arch.is_empty() && !names(&self.exclusive_arch) {
            let named = self.exclusive_arch.join(", ");
            return Some(format!("ExclusiveArch of the spec has no {}: {named}.", arch.name()));
        }
        names(&self.exclude_arch).then(|| format!("ExcludeArch of the spec has {}.", arch.name()))
    }
}

/// Binary packages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BuildOutcome {
    /// What was built and uploaded.
    pub packages: Vec<BuiltPackage>,
    /// The locked list of what was in the buildroot.
    pub lock: Sha256,
    /// Whether the buildroot came from layers that were there already.
    pub layers_hit: bool,
    /// What the sources asked for beyond the header of the source package (`%generate_buildrequires`): the next order goes by it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dynamic_requires: Vec<String>,
}

/// What `%generate_buildrequires` of one package may ask for in all: the largest (programs of Rust, documentation by Python) ask
/// for some hundred. They are kept with the task, and each later order reads them.
pub const MAX_DYNAMIC_REQUIRES: usize = 10_000;

/// One package that was built.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BuiltPackage {
    /// The package.
    pub nevra: Nevra,
    /// The uploaded artifact.
    pub artifact: Sha256,
}

/// A test task's verdicts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TestOutcome {
    /// One for each package.
    pub verdicts: Vec<Verdict>,
}

/// What the tests say of one package.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    /// The package.
    pub nevra: Nevra,
    /// Whether every check held.
    pub is_green: bool,
    /// The checks.
    pub checks: Vec<Check>,
}

/// One check of a package.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// Its name, such as `install` or `symlinks`.
    pub name: String,
    /// Whether it held.
    pub is_green: bool,
    /// What was seen.
    pub detail: String,
}

/// What the Sign Server answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignOutcome {
    /// The key is made.
    Key {
        /// Its fingerprint in upper-case hexadecimal.
        fingerprint: String,
        /// The public key, ASCII-armoured.
        public_key: String,
        /// The public key that file signatures are by, where they are wanted.
        #[serde(default)]
        file_key: Option<String>,
    },
    /// The key is revoked: its public half says so.
    Revoked {
        /// The public key with the revocation, ASCII-armoured.
        public_key: String,
    },
    /// The signatures are made, in the order of the items.
    Signatures(Vec<Signature>),
}

/// A signature.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Signature {
    /// What was signed.
    pub artifact: Sha256,
    /// What kind of signature.
    #[serde(default = "default_form")]
    pub form: Form,
    /// The OpenPGP signature packet in hexadecimal, the armoured text, or a line for each file.
    pub signature: String,
}

/// What signatures were before there were others.
fn default_form() -> Form {
    Form::RpmHeader
}

/// Metadata of a release's repositories, uploaded as artifacts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PublishOutcome {
    /// One for each.
    pub repositories: Vec<PublishedRepository>,
}

/// Metadata of one repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PublishedRepository {
    /// The repository.
    pub repository: RepositoryId,
    /// `repomd.xml`.
    pub repomd: Sha256,
    /// The files that it names, such as `repodata/…-primary.xml.gz`.
    pub files: Vec<PublishedFile>,
    /// How they are laid out (`anima_repodata::Layout`), so that the next state can be made of this one's pieces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Sha256>,
}

/// One file of a repository's metadata.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PublishedFile {
    /// Its path under the repository.
    pub path: String,
    /// The uploaded artifact.
    pub sha256: Sha256,
}

/// How long a step took, and what it used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PhaseTime {
    /// The step: `sources`, `solve`, `buildroot`, `build`, `upload`…
    pub name: String,
    /// Wall time.
    pub secs: f64,
    /// What its commands used, where that was counted.
    #[serde(default, skip_serializing_if = "Usage::is_nothing")]
    pub usage: Usage,
}

/// What a step used; what was not counted is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Processors' time of all its commands in the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_secs: Option<f64>,
    /// The most memory that a command had at one time, with all its processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
    /// Bytes that its commands made the disk read; what was in memory already is not among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_bytes: Option<u64>,
    /// Bytes that its commands wrote to a disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_bytes: Option<u64>,
    /// Layers and packages that were there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_hits: Option<u64>,
    /// Layers and packages that had to be made or fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_misses: Option<u64>,
}

impl Usage {
    /// Returns whether nothing was counted.
    pub fn is_nothing(&self) -> bool {
        *self == Usage::default()
    }

    /// Returns what two commands after one another used together.
    pub fn and(self, other: Usage) -> Usage {
        fn sum<T: std::ops::Add<Output = T> + Copy>(a: Option<T>, b: Option<T>) -> Option<T> {
            a.zip(b).map(|(a, b)| a + b).or(a).or(b)
        }
        Usage {
            cpu_secs: sum(self.cpu_secs, other.cpu_secs),
            peak_memory_bytes: self.peak_memory_bytes.max(other.peak_memory_bytes),
            read_bytes: sum(self.read_bytes, other.read_bytes),
            written_bytes: sum(self.written_bytes, other.written_bytes),
            cache_hits: sum(self.cache_hits, other.cache_hits),
            cache_misses: sum(self.cache_misses, other.cache_misses),
        }
    }
}

/// The code of a failure that is the node's and not the task's: its disk was full. It gives the task back
/// ([`crate::lease::End::GivenBack`]).
pub const NODE_DISK_FULL: &str = "node_disk_full";
/// Another such code: a layer on the node is damaged and in use, so that it cannot be made again just now.
pub const NODE_LAYER_DAMAGED: &str = "node_layer_damaged";
/// The code of a failure that is neither the task's nor the node's: the master had no room for what was made. The task is given
/// back, which does not count as an attempt.
pub const MASTER_DISK_FULL: &str = "master_disk_full";
/// The code of a failure that is nobody's: the node was asked to end before the task was done. The task is given back, which does not
/// count as an attempt.
pub const NODE_STOPS: &str = "node_stops";

/// Why a task failed, for the person who looks first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// A stable word: `missing_build_requires`, `check_failed`, `bad_source`, `spec`, `out_of_disk`…
    pub code: String,
    /// One sentence.
    pub message: String,
    /// The line of the log that says it, from 1.
    #[serde(default)]
    pub log_line: Option<u64>,
    /// What to do about it.
    #[serde(default)]
    pub hint: Option<String>,
    /// What was found, the likeliest cause first; at most [`crate::diagnosis::MAX_FINDINGS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

impl Failure {
    /// Returns a failure with no more than its code and its sentence.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Failure {
        Failure { code: code.into(), message: message.into(), ..Failure::default() }
    }

    /// Adds what to do about it.
    pub fn with_hint(self, hint: Option<impl Into<String>>) -> Failure {
        Failure { hint: hint.map(Into::into), ..self }
    }
}

/// The code and the class of packages that are for all architectures and differ between them.
const NOARCH_DIFFERS: &str = "noarch_differs";
const NOARCH_CURE: &str = "Let the spec make the same on every architecture (sort what it lists, leave out what it was built on), or take \
                           BuildArch: noarch out of that package.";

/// Returns why a package that is for all architectures cannot be taken: it was built on two, and differs in this.
pub fn noarch_differs(package: &str, other: &str, own: &str, differ: &[String]) -> Failure {
    let beginning = format!("{package} is for all architectures, but built on {own} it is not what it is on {other}");
    // One for each difference: each has a cause of its own, mostly.
    let finding = |what: &String| Finding {
        class: NOARCH_DIFFERS.to_owned(),
        title: "Not the same on every architecture".to_owned(),
        message: format!("{beginning}: {what}"),
        cure: Some(NOARCH_CURE.to_owned()),
        ..Finding::default()
    };
    Failure {
        findings: differ.iter().take(MAX_FINDINGS).map(finding).collect(),
        ..Failure::new(NOARCH_DIFFERS, format!("{beginning}: {}", differ.join("; "))).with_hint(Some(NOARCH_CURE))
    }
}

/// The kinds of artifact that a kind of task may upload: anything else is refused.
pub const fn uploads(kind: task::Kind) -> &'static [artifact::Kind] {
    match kind {
        task::Kind::Src => &[artifact::Kind::Srpm, artifact::Kind::Lock, artifact::Kind::Provenance],
        task::Kind::Build => &[artifact::Kind::Rpm, artifact::Kind::Lock, artifact::Kind::Provenance],
        task::Kind::Test => &[artifact::Kind::Lock],
        task::Kind::Publish => &[artifact::Kind::Repodata],
        task::Kind::Import => &[artifact::Kind::Rpm, artifact::Kind::Srpm],
        task::Kind::Sign | task::Kind::Plan => &[],
    }
}
