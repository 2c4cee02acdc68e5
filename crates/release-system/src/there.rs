//! What users have already of what a plan gives them: a package is what its header says, whoever signed it.

use std::collections::BTreeMap;

use anima_types::{
    Nevra, Sha256,
    id::RepositoryId,
    release::PlanEntry,
    repository::{Repository, RepositoryPackage},
    work::{PlanPackage, PlanWork},
};

/// What comes and what is there, by name.
pub(crate) struct There<'a> {
    coming: BTreeMap<(&'a Nevra, Sha256), &'a RepositoryPackage>,
    there: BTreeMap<&'a Nevra, Vec<(&'a Repository, &'a RepositoryPackage)>>,
}

impl<'a> There<'a> {
    pub(crate) fn new(work: &'a PlanWork) -> There<'a> {
        let mut there: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for each in &work.repositories {
            for package in &each.packages {
                there.entry(&package.nevra).or_default().push((&each.repository, package));
            }
        }
        let coming =
            work.packages.iter().map(|PlanPackage { package, .. }| ((&package.nevra, package.artifact), package));
        There { coming: coming.collect(), there }
    }

    fn named(&self, nevra: &Nevra) -> &[(&'a Repository, &'a RepositoryPackage)] {
        self.there.get(nevra).map_or(&[], Vec::as_slice)
    }

    fn is_same(&self, entry: &PlanEntry, there: &RepositoryPackage) -> bool {
        match self.coming.get(&(&entry.nevra, entry.artifact)) {
            Some(coming) => coming.is_same_content(there),
            None => there.artifact == entry.artifact,
        }
    }

    /// Returns whether the repository that a package goes to has it already.
    pub(crate) fn has(&self, entry: &PlanEntry) -> bool {
        let in_it = |id: RepositoryId| id == entry.repository;
        self.named(&entry.nevra).iter().any(|(each, package)| in_it(each.id) && self.is_same(entry, package))
    }

    /// Returns what is there of the name, and is another package.
    pub(crate) fn others(&self, entry: &PlanEntry) -> impl Iterator<Item = (&'a Repository, &'a RepositoryPackage)> {
        let others = self.named(&entry.nevra).iter().filter(|(_, package)| !self.is_same(entry, package));
        others.copied()
    }

    /// Returns whether users have a package in no repository yet.
    fn is_new(&self, package: &RepositoryPackage) -> bool {
        !self.named(&package.nevra).iter().any(|(_, there)| there.is_same_content(package))
    }
}

/// Returns the packages of a release that users have in no repository yet: of the others everything that can be asked was
/// asked when they came.
pub(crate) fn new_ones(work: &PlanWork) -> Vec<&PlanPackage> {
    let there = There::new(work);
    work.packages.iter().filter(|package| there.is_new(&package.package)).collect()
}
