//! What differs between two lists of packages.

use std::collections::{BTreeMap, BTreeSet};

use anima_types::Nevra;

use crate::Checksum;

/// What tells a package from all others: two files of one NEVRA are two packages.
#[derive(Clone, Debug, Eq, PartialEq, Hash)]
pub struct PackageId {
    /// The package.
    pub nevra: Nevra,
    /// The digest of its file.
    pub checksum: Checksum,
}

/// What happened between two states of a repository, in the order of NEVRAs.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Diff {
    /// What is only in the new state.
    pub added: Vec<PackageId>,
    /// What is only in the old state.
    pub removed: Vec<PackageId>,
    /// What has the same NEVRA and another file: first the old, then the new.
    pub changed: Vec<(PackageId, PackageId)>,
}

impl Diff {
    /// Returns whether both states have the same packages.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// Compares two lists; neither their order nor repetitions matter.
pub fn diff(old: &[PackageId], new: &[PackageId]) -> Diff {
    let (old, new) = (by_nevra(old), by_nevra(new));
    let mut diff = Diff::default();
    let nevras: BTreeSet<&Nevra> = old.keys().chain(new.keys()).copied().collect();
    for nevra in nevras {
        let none = BTreeMap::new();
        let (before, after) = (old.get(nevra).unwrap_or(&none), new.get(nevra).unwrap_or(&none));
        let mut removed: Vec<PackageId> = only_in(before, after);
        let mut added: Vec<PackageId> = only_in(after, before);
        match (removed.len(), added.len()) {
            (1, 1) => diff.changed.extend(removed.pop().zip(added.pop())),
            _ => {
                diff.removed.append(&mut removed);
                diff.added.append(&mut added);
            }
        }
    }
    diff
}

type Files<'a> = BTreeMap<(&'a str, &'a str), &'a PackageId>;

fn by_nevra(packages: &[PackageId]) -> BTreeMap<&Nevra, Files<'_>> {
    let mut found: BTreeMap<&Nevra, Files<'_>> = BTreeMap::new();
    for package in packages {
        let key = (package.checksum.kind.as_str(), package.checksum.hex.as_str());
        found.entry(&package.nevra).or_default().insert(key, package);
    }
    found
}

fn only_in(these: &Files<'_>, those: &Files<'_>) -> Vec<PackageId> {
    these.iter().filter(|(key, _)| !those.contains_key(*key)).map(|(_, package)| (*package).clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(nevra: &str, content: &str) -> PackageId {
        PackageId { nevra: nevra.parse().unwrap(), checksum: Checksum::sha256(content.as_bytes()) }
    }

    #[test]
    fn what_came_went_and_was_rebuilt_is_told_apart() {
        let same = package("same-1-1.noarch", "same");
        let gone = package("gone-1-1.noarch", "gone");
        let come = package("come-1-1.noarch", "come");
        let (before, after) = (package("bash-5-1.x86_64", "old"), package("bash-5-1.x86_64", "new"));

        let diff =
            diff(&[gone.clone(), before.clone(), same.clone()], &[same, come.clone(), after.clone(), after.clone()]);

        assert_eq!(diff, Diff { added: vec![come], removed: vec![gone], changed: vec![(before, after)] });
    }

    #[test]
    fn a_list_does_not_differ_from_itself_in_another_order() {
        let packages = [package("a-1-1.noarch", "a"), package("b-1-1.noarch", "b"), package("b-1-1.noarch", "c")];
        let mut turned = packages.clone();
        turned.reverse();

        assert!(diff(&packages, &turned).is_empty());
    }
}
