//! Repository maps: which repositories of the target stand for which of the source. Versions 1.x and 2.x.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use super::place::{Place, Source};
use crate::Result;

/// One file.
#[derive(Clone, Debug)]
pub struct RepositoryMap {
    /// The version of its form.
    pub version: String,
    /// Which repositories follow which.
    pub mappings: Vec<Mapping>,
    /// What each repository is on each release and architecture.
    pub repositories: Vec<Repository>,
    /// The whole file.
    pub raw: Value,
}

/// For one pair of major versions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mapping {
    /// The source's major version.
    pub source_major: String,
    /// The target's.
    pub target_major: String,
    /// The target's repositories by the source's; both by their names in the events.
    pub targets: BTreeMap<String, Vec<String>>,
    /// Where it stands.
    pub place: Place,
}

/// What a repository of the events is in practice.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Repository {
    /// Its name in the events.
    pub pesid: String,
    /// Its name in `dnf`'s configuration.
    pub repoid: String,
    /// The release's major version.
    pub major_version: String,
    /// The architecture.
    pub arch: String,
    /// `ga`, `beta`, `eus`, …
    pub channel: String,
    /// `rpm`, `source`, `debug`.
    pub repo_type: String,
    /// The distribution, in files of version 2.
    pub distro: Option<String>,
}

#[derive(Deserialize)]
struct FileForm<'a> {
    #[serde(default)]
    version_format: String,
    #[serde(borrow)]
    mapping: Vec<&'a RawValue>,
    #[serde(borrow)]
    repositories: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct MappingForm {
    source_major_version: String,
    target_major_version: String,
    #[serde(default)]
    entries: Vec<MappingEntryForm>,
}

#[derive(Deserialize)]
struct MappingEntryForm {
    source: String,
    target: Vec<String>,
}

#[derive(Deserialize)]
struct RepositoryForm {
    pesid: String,
    #[serde(default)]
    entries: Vec<RepositoryEntryForm>,
}

#[derive(Deserialize)]
struct RepositoryEntryForm {
    repoid: String,
    major_version: String,
    arch: String,
    #[serde(default = "ga")]
    channel: String,
    #[serde(default = "rpm")]
    repo_type: String,
    #[serde(default)]
    distro: Option<String>,
}

fn ga() -> String {
    "ga".to_string()
}

fn rpm() -> String {
    "rpm".to_string()
}

impl RepositoryMap {
    /// Reads a file.
    pub fn parse(path: &Path, text: &str) -> Result<RepositoryMap> {
        let source = Source::new(path, text);
        let form: FileForm<'_> = source.parse()?;
        let mut mappings = Vec::new();
        for piece in form.mapping {
            let mapping: MappingForm = source.parse_piece(piece)?;
            let mut targets = BTreeMap::<String, Vec<String>>::new();
            for entry in mapping.entries {
                targets.entry(entry.source).or_default().extend(entry.target);
            }
            mappings.push(Mapping {
                source_major: mapping.source_major_version,
                target_major: mapping.target_major_version,
                targets,
                place: source.place(piece),
            });
        }
        let mut repositories = Vec::new();
        for piece in form.repositories {
            let RepositoryForm { pesid, entries } = source.parse_piece(piece)?;
            repositories.extend(entries.into_iter().map(|entry| Repository {
                pesid: pesid.clone(),
                repoid: entry.repoid,
                major_version: entry.major_version,
                arch: entry.arch,
                channel: entry.channel,
                repo_type: entry.repo_type,
                distro: entry.distro,
            }));
        }
        Ok(RepositoryMap { version: form.version_format, mappings, repositories, raw: source.parse()? })
    }
}
