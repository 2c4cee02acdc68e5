//! Artifacts: files that tasks made, known by their SHA-256.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Sha256;
use crate::words::words;

/// What an artifact is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ArtifactKind)]
pub enum Kind {
    /// A binary package.
    Rpm,
    /// A source package.
    Srpm,
    /// A log.
    Log,
    /// The locked list of what was in a buildroot.
    Lock,
    /// A file of a repository's metadata.
    Repodata,
    /// A detached signature, or a text with one around it.
    Signature,
    /// A list of checksums or an advisory that a person brought.
    Document,
    /// What a package was made from, with what and where: [`crate::provenance::Provenance`] as JSON.
    Provenance,
}

words!(Kind {
    Rpm = "rpm",
    Srpm = "srpm",
    Log = "log",
    Lock = "lock",
    Repodata = "repodata",
    Signature = "signature",
    Document = "document",
    Provenance = "provenance",
});

/// An artifact as the API shows it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Artifact {
    /// What it is known by.
    pub sha256: Sha256,
    /// What it is.
    pub kind: Kind,
    /// The file's name.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
    /// For a package: the artifact that holds it with its signature.
    pub signed: Option<Sha256>,
}

/// Query of an upload: `PUT /api/v1/tasks/{task}/artifacts/{sha256}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UploadQuery {
    /// What it is.
    pub kind: Kind,
    /// The file's name, without a path.
    pub name: String,
}
