//! What a package says of itself, as plain data.

use anima_types::{Nevra, Sha256};
use serde::{Deserialize, Serialize};

/// All that a package's headers say that the system has a use for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PackageInfo {
    /// Name, version and architecture; the architecture of a source package is `src`.
    pub nevra: Nevra,
    /// Whether it is a source package.
    pub is_source: bool,
    /// One line on what it is for.
    pub summary: String,
    /// The same in full.
    pub description: String,
    /// The licence expression of its spec.
    pub license: String,
    /// The project's page.
    pub url: Option<String>,
    /// Who distributes it.
    pub vendor: Option<String>,
    /// The old classification.
    pub group: Option<String>,
    /// Who packaged it.
    pub packager: Option<String>,
    /// When it was built, in seconds since 1970.
    pub build_time_secs: u64,
    /// The host that built it.
    pub build_host: Option<String>,
    /// The file name of the source package that it was built from; none for a source package.
    pub source_rpm: Option<String>,
    /// The capabilities it offers.
    pub provides: Vec<Dependency>,
    /// What it needs; of a source package, what its build needs.
    pub requires: Vec<Dependency>,
    /// What it cannot be installed beside.
    pub conflicts: Vec<Dependency>,
    /// What it replaces.
    pub obsoletes: Vec<Dependency>,
    /// Strong weak dependencies.
    pub recommends: Vec<Dependency>,
    /// Weak dependencies.
    pub suggests: Vec<Dependency>,
    /// Strong weak dependencies, backwards.
    pub supplements: Vec<Dependency>,
    /// Weak dependencies, backwards.
    pub enhances: Vec<Dependency>,
    /// What it owns, in the order of its header.
    pub files: Vec<File>,
    /// What the digests of files are made with.
    pub file_digest_algorithm: DigestAlgorithm,
    /// Newest first, as in the spec.
    pub changelogs: Vec<ChangelogEntry>,
    /// Scripts and triggers that run when it comes, goes or meets another.
    pub scriptlets: Vec<Scriptlet>,
    /// Where the header starts in the file.
    pub header_start: u64,
    /// Where the header ends and the payload starts.
    pub header_end: u64,
    /// The sum of the sizes of its files.
    pub installed_size_bytes: u64,
    /// The size of the unpacked payload.
    pub archive_size_bytes: u64,
    /// The digest of the packed payload; packages made before rpm 4.14 have none.
    pub payload_sha256: Option<Sha256>,
    /// `ExclusiveArch` of a source package.
    pub exclusive_archs: Vec<String>,
    /// `ExcludeArch` of a source package.
    pub exclude_archs: Vec<String>,
    /// `BuildArch` of a source package.
    pub build_archs: Vec<String>,
}

impl PackageInfo {
    /// Returns what a source package needs to be built, without what only rpm itself must know of.
    pub fn build_requires(&self) -> impl Iterator<Item = &Dependency> {
        self.requires.iter().filter(|dependency| self.is_source && !dependency.is_rpmlib())
    }
}

/// A named capability, perhaps with a bound on its version.
#[derive(Clone, Debug, Eq, PartialEq, Hash, Serialize, Deserialize)]
pub struct Dependency {
    /// A package, capability, file, or a rich dependency in parentheses.
    pub name: String,
    /// How the version is bound; none for any version.
    pub comparison: Option<Comparison>,
    /// `[epoch:]version[-release]`; empty for any version.
    pub version: String,
    /// All of rpm's sense bits, which tell where it came from.
    pub sense: u32,
}

/// How a version is bound.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)] // the names say it all
pub enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

const SENSE_PREREQ: u32 = 1 << 6;
const SENSE_SCRIPT_PRE: u32 = 1 << 9;
const SENSE_SCRIPT_POST: u32 = 1 << 10;
const SENSE_PRETRANS: u32 = 1 << 7;
const SENSE_POSTTRANS: u32 = 1 << 5;
const SENSE_MISSINGOK: u32 = 1 << 19;
const SENSE_RPMLIB: u32 = 1 << 24;

impl Dependency {
    /// Returns a dependency as repository metadata tells of it.
    pub fn new(name: &str, bound: Option<(Comparison, &str)>, is_pre: bool) -> Dependency {
        let comparison = bound.map(|(comparison, _)| comparison);
        let version = bound.map(|(_, version)| version.to_string()).unwrap_or_default();
        let pre = if is_pre { SENSE_PREREQ } else { 0 };
        Dependency { name: name.to_string(), comparison, version, sense: comparison.map_or(0, Comparison::sense) | pre }
    }

    /// Returns whether it must be there before the package's scripts run.
    pub fn is_pre(&self) -> bool {
        self.sense & (SENSE_PREREQ | SENSE_SCRIPT_PRE | SENSE_SCRIPT_POST | SENSE_PRETRANS | SENSE_POSTTRANS) != 0
    }

    /// Returns whether it is a feature of rpm itself.
    pub fn is_rpmlib(&self) -> bool {
        self.sense & SENSE_RPMLIB != 0 || self.name.starts_with("rpmlib(")
    }

    /// Returns whether it is an old-style hint instead of a need.
    pub fn is_missing_ok(&self) -> bool {
        self.sense & SENSE_MISSINGOK != 0
    }
}

impl Comparison {
    /// Returns the comparison that rpm's sense bits mean.
    pub fn from_sense(sense: u32) -> Option<Comparison> {
        match sense & 0xf {
            2 => Some(Comparison::Less),
            4 => Some(Comparison::Greater),
            8 => Some(Comparison::Equal),
            10 => Some(Comparison::LessOrEqual),
            12 => Some(Comparison::GreaterOrEqual),
            _ => None,
        }
    }

    /// Returns rpm's sense bits.
    pub fn sense(self) -> u32 {
        match self {
            Comparison::Less => 2,
            Comparison::Greater => 4,
            Comparison::Equal => 8,
            Comparison::LessOrEqual => 10,
            Comparison::GreaterOrEqual => 12,
        }
    }

    /// Returns the sign that specs use.
    pub fn sign(self) -> &'static str {
        match self {
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Equal => "=",
            Comparison::GreaterOrEqual => ">=",
            Comparison::Greater => ">",
        }
    }
}

impl std::fmt::Display for Dependency {
    /// As in a spec: `zlib-devel >= 1.2`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.comparison {
            Some(comparison) => write!(f, "{} {} {}", self.name, comparison.sign(), self.version),
            None => f.write_str(&self.name),
        }
    }
}

/// One path that a package owns.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct File {
    /// The whole path; of a source package, the name alone.
    pub path: String,
    /// Type and permission bits as `stat` has them.
    pub mode: u16,
    /// What repository metadata calls it.
    pub kind: FileKind,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// The digest of its content in hexadecimal; none for what is no regular file.
    pub digest: Option<String>,
    /// Where a symbolic link points.
    pub link_to: Option<String>,
    /// The owning user's name.
    pub user: String,
    /// The owning group's name.
    pub group: String,
    /// rpm's flags: whether it is configuration, documentation and so on.
    #[serde(default)]
    pub flags: u32,
    /// The capabilities that it gives to who runs it, such as `cap_net_raw=ep`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<String>,
}

impl File {
    /// Returns whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.mode & 0o170000 == 0o120000
    }

    /// Returns whether it is a regular file that is in the payload.
    pub fn is_regular(&self) -> bool {
        self.kind == FileKind::File && self.mode & 0o170000 == 0o100000
    }
}

/// The three kinds that repository metadata tells apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum FileKind {
    /// A file, link or device.
    File,
    /// A directory.
    Dir,
    /// Owned but not in the payload.
    Ghost,
}

/// What digests are made with.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names say it all
pub enum DigestAlgorithm {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
    Sha224,
    /// A number that OpenPGP knows and we do not.
    Other(u32),
}

/// One entry of a changelog.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ChangelogEntry {
    /// Name, address and often the version.
    pub author: String,
    /// Seconds since 1970; specs only know days.
    pub time_secs: i64,
    /// What changed.
    pub text: String,
}

/// One script of a package.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Scriptlet {
    /// When it runs.
    pub kind: ScriptletKind,
    /// The program that runs it and its arguments; `<lua>` is rpm's own.
    pub interpreter: Vec<String>,
    /// The script; none where the program alone is run.
    pub body: Option<String>,
}

/// When a script runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names say it all
pub enum ScriptletKind {
    PreInstall,
    PostInstall,
    PreUninstall,
    PostUninstall,
    PreTransaction,
    PostTransaction,
    PreUntransaction,
    PostUntransaction,
    Verify,
    Trigger,
    FileTrigger,
    TransactionFileTrigger,
}
