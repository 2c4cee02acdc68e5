//! Metadata beside that of the packages: advisories, groups, modules, product certificates, and whatever else. It is packed
//! once, when it comes, and carried from state to state as it is.

use anima_types::{Sha256, repository::Compression};
use sha2::Digest;

use crate::{Checksum, Error, MetadataFile, Record, Result, compression::pack};

/// A packed file and what the index says of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attachment {
    /// The index's word: `updateinfo`, `group`, `modules`, `productid`, ...
    pub kind: String,
    /// The file.
    pub file: MetadataFile,
    /// The digest of what it unpacks to.
    pub open_sha256: Sha256,
    /// The size of what it unpacks to.
    pub open_size_bytes: u64,
}

impl Attachment {
    /// Packs a file; `file_name` is the end of its name, such as `updateinfo.xml`.
    pub fn pack(compression: Compression, kind: &str, file_name: &str, content: &[u8]) -> Result<Attachment> {
        let packing = |source| Error::Stream { action: "pack", name: file_name.to_string(), source };
        let bytes = pack(compression, content).map_err(packing)?;
        let sha256 = digest(&bytes);
        let name = format!("repodata/{sha256}-{file_name}{}", compression.suffix());
        Ok(Attachment {
            kind: kind.to_string(),
            file: MetadataFile { name, sha256, bytes },
            open_sha256: digest(content),
            open_size_bytes: content.len() as u64,
        })
    }

    /// Returns what the index says of it.
    pub fn record(&self, timestamp_secs: i64) -> Record {
        Record {
            kind: self.kind.clone(),
            location: self.file.name.clone(),
            checksum: self.file.sha256.into(),
            size_bytes: Some(self.file.bytes.len() as u64),
            open_checksum: Some(self.open_sha256.into()),
            open_size_bytes: Some(self.open_size_bytes),
            timestamp_secs,
            extras: Vec::new(),
        }
    }
}

impl From<Sha256> for Checksum {
    fn from(sha256: Sha256) -> Checksum {
        Checksum { kind: "sha256".to_string(), hex: sha256.to_string() }
    }
}

fn digest(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}
