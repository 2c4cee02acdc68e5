//! Provenance: what the packages of one task were made from, with what, where and when.
//!
//! It is plain data that the node writes down and uploads as an artifact; who signs for it, and in which standard's
//! words, is decided elsewhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Arch, Sha256, Timestamp, id::BuildId, id::TaskId, platform::Limits, task};

/// The version that is written. A reader refuses a newer one: fields may mean something else there.
pub const VERSION: u32 = 1;

/// What a task made, from what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// The task.
    pub task: TaskId,
    /// The build.
    pub build: BuildId,
    /// What the task did.
    pub kind: task::Kind,
    /// The source package's name.
    pub package: String,
    /// The platform's name.
    pub platform: String,
    /// The architecture that it was made for.
    pub arch: Arch,
    /// Where the commit is; a build task names none, its source package does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_url: Option<String>,
    /// The commit; missing where a source package came from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Everything that went in: files of the commit that became sources, large sources, the source package.
    pub materials: Vec<File>,
    /// The locked list of what was in the buildroot.
    pub lock: Sha256,
    /// The commands that were run in it, in order.
    pub commands: Vec<Vec<String>>,
    /// What they could use.
    pub limits: Limits,
    /// Where it was done.
    pub node: Node,
    /// When the node began.
    pub began_at: Timestamp,
    /// When it was done.
    pub ended_at: Timestamp,
    /// What came out.
    pub products: Vec<File>,
    /// What a newer writer says besides.
    #[serde(flatten)]
    pub more: BTreeMap<String, serde_json::Value>,
}

/// A file and its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its name.
    pub name: String,
    /// `sha256`; for large sources what their list says: `sha512`, `md5`…; for files of a commit `gitBlob`
    pub algorithm: String,
    /// The hash in hexadecimal.
    pub hash: String,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name at the master.
    pub name: String,
    /// The version of its program.
    pub version: String,
    /// What it is by itself.
    pub arch: Option<Arch>,
    /// Whether the packages' programs were run by emulation.
    pub is_emulated: bool,
}

impl File {
    /// Returns a file with its SHA-256.
    pub fn sha256(name: impl Into<String>, hash: Sha256) -> File {
        File { name: name.into(), algorithm: "sha256".to_string(), hash: hash.to_string() }
    }
}

/// The document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no provenance, or has not what it should have.
    #[error("read provenance: {0}")]
    Form(#[from] serde_json::Error),
    /// It is newer than this reader.
    #[error("read provenance of version {0}: this program knows version {VERSION}")]
    Version(u32),
}

impl Provenance {
    /// Returns it as the artifact is written.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("our own types are always JSON") + "\n"
    }

    /// Reads an artifact.
    pub fn from_json(text: &str) -> Result<Provenance, Error> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let head: Head = serde_json::from_str(text)?;
        if head.version > VERSION {
            return Err(Error::Version(head.version));
        }
        Ok(serde_json::from_str(text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Provenance {
        let hash = Sha256([7; 32]);
        Provenance {
            version: VERSION,
            task: TaskId(7),
            build: BuildId(3),
            kind: task::Kind::Build,
            package: "jq".into(),
            platform: "seed-1".into(),
            arch: Arch::X86_64,
            git_url: None,
            commit: Some("4f2c".into()),
            materials: vec![File::sha256("jq-1.7-1.s1.src.rpm", hash)],
            lock: hash,
            commands: vec![vec!["rpmbuild".into(), "-bb".into()]],
            limits: Limits::default(),
            node: Node { name: "n1".into(), version: "0.1.0".into(), arch: Some(Arch::X86_64), is_emulated: false },
            began_at: Timestamp(1),
            ended_at: Timestamp(2),
            products: Vec::new(),
            more: BTreeMap::new(),
        }
    }

    #[test]
    fn it_reads_back_and_keeps_what_it_does_not_know() {
        let text = example().to_json().replacen("{", "{\"weather\": \"fine\",", 1);

        let read = Provenance::from_json(&text).unwrap();

        assert_eq!(read.more["weather"], "fine");
        assert_eq!(Provenance { more: BTreeMap::new(), ..read }, example());
    }

    #[test]
    fn what_is_newer_is_refused_by_its_version() {
        let text = example().to_json().replace("\"version\": 1,", "\"version\": 2,");

        let error = Provenance::from_json(&text).unwrap_err();

        assert_eq!(error.to_string(), "read provenance of version 2: this program knows version 1");
        assert!(Provenance::from_json("{}").is_err());
    }
}
