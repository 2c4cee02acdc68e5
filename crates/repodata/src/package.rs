//! A package as `primary.xml` tells of it.

use anima_rpm_file::{Dependency, FileKind};
use anima_types::Nevra;

use crate::{Checksum, PackageId};

/// A package of a repository.
#[derive(Clone, Debug, PartialEq)]
pub struct Package {
    /// The package.
    pub nevra: Nevra,
    /// The digest of its file.
    pub checksum: Checksum,
    /// Where it lies, relative to the repository.
    pub location: String,
    /// One line on what it is for.
    pub summary: String,
    /// The same in full.
    pub description: String,
    /// Who packaged it.
    pub packager: String,
    /// The project's page.
    pub url: String,
    /// The licence expression.
    pub license: String,
    /// Who distributes it.
    pub vendor: String,
    /// The old classification.
    pub group: String,
    /// The host that built it.
    pub build_host: String,
    /// The file name of its source package; empty for a source package.
    pub source_rpm: String,
    /// When it was published, in seconds since 1970.
    pub file_time_secs: i64,
    /// When it was built, in seconds since 1970.
    pub build_time_secs: i64,
    /// The size of its file.
    pub size_bytes: u64,
    /// What it takes when installed.
    pub installed_size_bytes: u64,
    /// The size of its unpacked payload.
    pub archive_size_bytes: u64,
    /// Where its header starts and ends in the file.
    pub header_range: (u64, u64),
    /// The capabilities it offers.
    pub provides: Vec<Dependency>,
    /// What it needs.
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
    /// Those of its files that clients look at first; the others are in `filelists.xml`.
    pub files: Vec<PackageFile>,
}

/// A path that a package owns.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PackageFile {
    /// The whole path.
    pub path: String,
    /// File, directory or ghost.
    pub kind: FileKind,
}

impl Package {
    /// Returns what tells it from all others.
    pub fn id(&self) -> PackageId {
        PackageId { nevra: self.nevra.clone(), checksum: self.checksum.clone() }
    }

    /// Returns whether it is a source package.
    pub fn is_source(&self) -> bool {
        matches!(self.nevra.arch.as_str(), "src" | "nosrc")
    }
}
