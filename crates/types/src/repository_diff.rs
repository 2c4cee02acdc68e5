//! What differs between two snapshots, of one repository or of two.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Evr;

/// What is asked for: two snapshots.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Query {
    /// The older one: `PRODUCT/PATH@N`, or `PRODUCT/PATH` for what users see now.
    pub old: String,
    /// The newer one.
    pub new: String,
}

/// What became of one state on the way to the other.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RepositoryDiff {
    /// The older snapshot: `PRODUCT/PATH@N`.
    pub old: String,
    /// The newer snapshot.
    pub new: String,
    /// NEVRAs of packages whose name is only in the newer one.
    pub added: Vec<String>,
    /// NEVRAs of packages whose name is only in the older one.
    pub removed: Vec<String>,
    /// Packages that are in both in different versions, or with the same version and another content.
    pub changed: Vec<PackageChange>,
    /// How many of `changed` were not looked into, as there are too many.
    pub unread_count: usize,
    /// What the metadata beside that of the packages says differently: advisories, groups, modules.
    #[serde(default)]
    pub metadata: Vec<MetadataChange>,
}

/// What one file of metadata says differently.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetadataChange {
    /// `updateinfo` (advisories), `group`, `modules`; of any other kind only that it changed is told.
    pub what: String,
    /// What came: an advisory's id, `group core`, `modulemd jq:1.7:9:abc:x86_64`.
    pub added: Vec<String>,
    /// What went.
    pub removed: Vec<String>,
    /// What says something else.
    pub changed: Vec<String>,
}

/// A package that is in both states and not the same.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PackageChange {
    /// Its name.
    pub name: String,
    /// Its architecture in the newer state.
    pub arch: String,
    /// The older version.
    pub old: String,
    /// The newer version.
    pub new: String,
    /// What happened to the version.
    pub kind: Kind,
    /// What its metadata says differently: dependencies, files, licence.
    pub contents: Vec<ContentChange>,
}

/// What happened to a version.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DifferenceKind)]
pub enum Kind {
    /// It is higher.
    Upgrade,
    /// It is lower.
    Downgrade,
    /// It is the same, and the file is another.
    Rebuild,
}

impl Kind {
    /// Returns what happened between two versions.
    pub fn between(old: &Evr, new: &Evr) -> Kind {
        match new.cmp(old) {
            std::cmp::Ordering::Greater => Kind::Upgrade,
            std::cmp::Ordering::Less => Kind::Downgrade,
            std::cmp::Ordering::Equal => Kind::Rebuild,
        }
    }

    /// Returns the word for people.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Upgrade => "upgrade",
            Kind::Downgrade => "downgrade",
            Kind::Rebuild => "rebuild",
        }
    }
}

/// Lines of one sort that came and went.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContentChange {
    /// `provides`, `requires`, `conflicts`, `obsoletes`, `recommends`, `suggests`, `supplements`, `enhances`, `files` or
    /// `license`.
    pub what: String,
    /// What came.
    pub added: Vec<String>,
    /// What went.
    pub removed: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_rpm_does() {
        let kind = |old: &str, new: &str| Kind::between(&old.parse().unwrap(), &new.parse().unwrap());

        assert_eq!(kind("1.9-1", "1.10-1"), Kind::Upgrade);
        assert_eq!(kind("1:1.0-1", "2.0-1"), Kind::Downgrade);
        assert_eq!(kind("1-1", "1-1"), Kind::Rebuild);
    }
}
