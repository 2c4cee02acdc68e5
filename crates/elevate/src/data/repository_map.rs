//! Repository maps: which repositories of the target stand for which of the source. Versions 1.x and 2.x.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use super::{
    Origin,
    place::{Place, Source},
};
use crate::{Error, Result, facts::Facts, release::Release};

/// The newest major version of the form.
const NEWEST_FORM: u32 = 2;

/// One file.
#[derive(Clone, Debug, Default)]
pub struct RepositoryMap {
    /// The version of its form.
    pub version: String,
    /// Which repositories follow which.
    pub mappings: Vec<Mapping>,
    /// What each repository is on each release and architecture.
    pub repositories: Vec<Repository>,
    /// Whose it is.
    pub origin: Origin,
    /// The whole file; shared, as the data is cloned for each machine of a fleet.
    pub raw: Arc<Value>,
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
    /// The cloud that it is of, where it is one's own.
    pub rhui: Option<String>,
    /// The distribution, in newer files.
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
    rhui: Option<String>,
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
        check_version(&source, &form.version_format)?;
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
                rhui: entry.rhui.filter(|name| !name.is_empty()),
                distro: entry.distro,
            }));
        }
        let (version, raw) = (form.version_format, Arc::new(source.parse()?));
        Ok(RepositoryMap { version, mappings, repositories, origin: Origin::default(), raw })
    }

    /// Returns the file with all that was in it.
    pub fn to_json(&self) -> &Value {
        &self.raw
    }
}

/// A form that is newer than this program could mean something else by the same words.
fn check_version(source: &Source<'_>, version: &str) -> Result<()> {
    let major = version.split('.').next().unwrap_or_default();
    match major.parse::<u32>() {
        Ok(major) if major > NEWEST_FORM => {
            let reason = format!("its form is {version}, and this program knows up to {NEWEST_FORM}.x");
            Err(Error::Data { place: source.beginning(), reason })
        }
        _ => Ok(()),
    }
}

/// A repository that the maps want on the target, for one that the machine uses.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub struct Wanted {
    /// Its name in `dnf`'s configuration of the target.
    pub repoid: String,
    /// Its name in the events.
    pub pesid: String,
    /// The repository of the machine that it follows.
    pub follows: String,
}

/// Returns the repositories that maps want on the target for those that a machine uses: of each family one, in the channel
/// of the machine's own, else the general one.
pub fn wanted(maps: &[RepositoryMap], facts: &Facts, target: Release) -> BTreeSet<Wanted> {
    let (from, to) = (facts.os.release.major.to_string(), target.major.to_string());
    let all = || maps.iter().flat_map(|map| &map.repositories).filter(|repository| repository.repo_type == "rpm");
    let mappings = || {
        let mappings = maps.iter().flat_map(|map| &map.mappings);
        mappings.filter(|mapping| mapping.source_major == from && mapping.target_major == to)
    };
    let mut wanted = BTreeSet::new();
    for used in facts.repositories.iter().filter(|repository| repository.is_enabled) {
        let known = all().filter(|repository| repository.repoid == used.id && repository.major_version == from);
        for known in known.filter(|repository| repository.arch == facts.arch) {
            for pesid in mappings().filter_map(|mapping| mapping.targets.get(&known.pesid)).flatten() {
                let is_candidate = |repository: &&Repository| {
                    repository.pesid == *pesid
                        && repository.major_version == to
                        && repository.arch == facts.arch
                        && repository.rhui == known.rhui
                };
                let of_channel = |channel: &str| all().filter(is_candidate).find(|found| found.channel == channel);
                if let Some(found) = of_channel(&known.channel).or_else(|| of_channel("ga")) {
                    let (repoid, follows) = (found.repoid.clone(), used.id.clone());
                    wanted.insert(Wanted { repoid, pesid: pesid.clone(), follows });
                }
            }
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_that_is_too_new_is_refused() {
        let text =
            |version: &str| format!("{{\"version_format\": \"{version}\", \"mapping\": [], \"repositories\": []}}");
        let parse = |version: &str| RepositoryMap::parse(Path::new("repomap.json"), &text(version));

        assert!(parse("1.2.0").is_ok() && parse("1.3.0").is_ok() && parse("2.0.0").is_ok());
        assert!(parse("3.0.0").unwrap_err().to_string().contains("repomap.json:1:1"));
    }
}
