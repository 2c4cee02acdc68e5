//! A repository of a product, and its snapshots.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Nevra, Sha256, Timestamp,
    id::{ReleaseId, RepositoryId},
    words::words,
};

/// What a repository holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RepositoryKind)]
pub enum Kind {
    /// Packages to install.
    Binary,
    /// Debug information.
    Debug,
    /// Source packages.
    Source,
}

words!(Kind {
    Binary = "binary",
    Debug = "debug",
    Source = "source",
});

/// How a repository's metadata is packed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// What every client reads.
    #[default]
    Gzip,
    /// Smaller; for clients of Enterprise Linux 9 and later.
    Zstd,
}

words!(Compression {
    Gzip = "gzip",
    Zstd = "zstd",
});

impl Compression {
    /// Returns the end of a file's name.
    pub const fn suffix(self) -> &'static str {
        match self {
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
        }
    }
}

/// A repository as the API shows it. Users reach it at `/repos/{product}/{path}/`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Repository {
    /// Its id.
    pub id: RepositoryId,
    /// The product.
    pub product: String,
    /// Its address within the product: `BaseOS/x86_64`, `debug/x86_64`, `source`.
    pub path: String,
    /// What it holds.
    pub kind: Kind,
    /// Its architecture; none for sources.
    pub arch: Option<String>,
    /// The number of the snapshot that users see; 0 before the first release.
    pub current: i64,
    /// How many packages users see.
    pub package_count: i64,
}

/// Metadata that a repository has beside that of its packages, packed and in the store.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Attachment {
    /// The index's word for it: `updateinfo`, `group`, `modules`, `productid`, or any other.
    pub kind: String,
    /// Where it lies in the repository, such as `repodata/…-updateinfo.xml.gz`.
    pub path: String,
    /// The packed file.
    pub sha256: Sha256,
    /// Its size.
    pub size_bytes: u64,
    /// What it unpacks to.
    pub open_sha256: Sha256,
    /// The size of that.
    pub open_size_bytes: u64,
}

/// One immutable state of a repository.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Snapshot {
    /// The repository.
    pub repository: RepositoryId,
    /// Its number, from 1.
    pub number: i64,
    /// The snapshot that it was made from; 0 for none, and where that was dropped.
    #[serde(default)]
    pub base: i64,
    /// The release that made it.
    pub release: ReleaseId,
    /// When.
    pub created_at: Timestamp,
    /// How many packages it has.
    pub package_count: i64,
    /// What came, against the state before it.
    pub added: Vec<String>,
    /// What went.
    pub removed: Vec<String>,
    /// Whether users see it now.
    pub is_current: bool,
    /// Why it stays whatever the rule says, where somebody wants that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
}

/// A package in a repository.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RepositoryPackage {
    /// The package.
    pub nevra: Nevra,
    /// The signed package.
    pub artifact: Sha256,
    /// The name of its source package.
    pub source: String,
    /// The hash of its header, which names all that is in it; the same package with another signature has the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header_sha256: Option<Sha256>,
}

impl RepositoryPackage {
    /// Returns whether it is a source package.
    pub fn is_source(&self) -> bool {
        matches!(self.nevra.arch.as_str(), "src" | "nosrc")
    }

    /// Returns whether both are the same package, whoever signed them.
    pub fn is_same_content(&self, other: &RepositoryPackage) -> bool {
        self.artifact == other.artifact || (self.header_sha256.is_some() && self.header_sha256 == other.header_sha256)
    }
}
