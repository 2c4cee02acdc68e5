//! Signatures: what is signed, in which form, and what the master can say of it before it is.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Sha256, Timestamp,
    id::{BuildId, KeyId, ReleaseId, TaskId},
    words::words,
};

/// What is signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SignatureKind)]
pub enum Kind {
    /// A package.
    Rpm,
    /// A repository's index.
    Repomd,
    /// A list of checksums.
    Checksum,
    /// An advisory.
    Advisory,
}

words!(Kind {
    Rpm = "rpm",
    Repomd = "repomd",
    Checksum = "checksum",
    Advisory = "advisory",
});

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().fmt(f)
    }
}

/// What kind of signature.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A binary signature over a package's header.
    RpmHeader,
    /// A binary signature over a package's header and payload, for old clients; of the payload only SHA-256's state comes.
    RpmPayload,
    /// Signatures of all files of a package, by the digests in its header.
    RpmFiles,
    /// An ASCII-armoured detached signature over a file.
    Detached,
    /// A text with a signature around it.
    Clear,
}

words!(Form {
    RpmHeader = "rpm_header",
    RpmPayload = "rpm_payload",
    RpmFiles = "rpm_files",
    Detached = "detached",
    Clear = "clear",
});

impl Form {
    /// Returns whether packages are signed in this form.
    pub const fn is_of_package(self) -> bool {
        matches!(self, Form::RpmHeader | Form::RpmPayload | Form::RpmFiles)
    }
}

/// What the master says of an artifact that is to be signed: a key's policy is asked whether that is enough.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = SigningAccount)]
pub struct Account {
    /// What it is.
    pub kind: Kind,
    /// The package, or the file's name.
    pub name: String,
    /// The product that it is signed for.
    pub product: String,
    /// The platform that it was built for.
    #[serde(default)]
    pub platform: Option<String>,
    /// The build that it comes from.
    #[serde(default)]
    pub build: Option<BuildId>,
    /// The release that it belongs to.
    #[serde(default)]
    pub release: Option<ReleaseId>,
    /// The lease under which it came; none for what a person brought.
    #[serde(default)]
    pub made_by: Option<MadeBy>,
    /// Whether tests say that it is good.
    #[serde(default)]
    pub is_green: bool,
    /// Where it comes from, where nobody built it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
    /// Who asked for the signature, where a person did.
    #[serde(default)]
    pub asked_by: Option<String>,
    /// Who approved that it is signed.
    #[serde(default)]
    pub approved_by: Vec<String>,
}

/// Where a package comes from that nobody built here.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Imported {
    /// The repository.
    pub url: String,
    /// Whether it was signed by one of the keys that were named for that repository.
    pub is_verified: bool,
}

/// The lease under which an artifact came.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MadeBy {
    /// The task.
    pub task: TaskId,
    /// The number of its lease.
    pub lease: i64,
    /// The node that held it.
    pub node: String,
}

/// A signature that was made, as the master remembers it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Record {
    /// Its number, in the order in which they came.
    pub id: i64,
    /// The key.
    pub key: KeyId,
    /// The task.
    pub task: TaskId,
    /// What was signed.
    pub artifact: Sha256,
    /// What it is.
    pub kind: Kind,
    /// What kind of signature.
    pub form: Form,
    /// The package, or the file's name.
    pub name: String,
    /// The hash of the bytes that the signature covers.
    pub bytes_sha256: Sha256,
    /// When it came.
    pub signed_at: Timestamp,
}

/// `GET /api/v1/keys/{key}/signatures`
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ListQuery {
    /// Those after this number.
    #[serde(default)]
    pub after: i64,
}

/// `POST /api/v1/products/{product}/signed-files`: a small file that a person wants to be signed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SignFile {
    /// Its name.
    pub name: String,
    /// A list of checksums, or an advisory.
    pub kind: Kind,
    /// Detached, or with the signature around the text.
    pub form: Form,
    /// What is in it.
    pub text: String,
}

/// `POST /api/v1/tasks/{task}/approve`
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Approve {
    /// Why. It stands in the task's events for good.
    #[serde(default)]
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        assert!(Kind::ALL.into_iter().all(|kind| Kind::from_name(kind.name()) == Some(kind)));
        assert!(Form::ALL.into_iter().all(|form| Form::from_name(form.name()) == Some(form)));
    }
}
