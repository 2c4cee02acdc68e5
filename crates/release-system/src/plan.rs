//! Makes a release's plan: for each package its repositories, with the reason and how sure that is. A pure function.
//!
//! What decides, the surest first: a person; where it is copied from; where the product has the name; where the reference has
//! it; where either has another package of its source; where a stronger architecture has it; the product's default.

use std::collections::{BTreeMap, BTreeSet};

use anima_types::{
    Arch, Nevra, gate,
    release::{Edit, LeftOut, PlanEntry, PlanRemoval, Trust},
    repository::Kind,
    work::{PlanOutcome, PlanPackage, PlanRepository, PlanWork},
};

use crate::{
    multilib,
    reference::{Holder, Reference, Seen},
};

/// Why no plan can be made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The product has no repository of the kind and architecture that a package needs.
    #[error("could not place {nevra}: the product has no {wanted}")]
    NoRepository {
        /// The package.
        nevra: Box<Nevra>,
        /// What is missing, in words.
        wanted: String,
    },
}

/// What goes where.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Plan {
    /// One line for each package and repository, ordered by repository and package.
    pub entries: Vec<PlanEntry>,
    /// What goes without a successor.
    pub removals: Vec<PlanRemoval>,
    /// What goes nowhere.
    pub left_out: Vec<LeftOut>,
}

impl Plan {
    /// Returns the plan with what the gates found in it.
    pub fn with(self, gates: Vec<gate::Answer>) -> PlanOutcome {
        PlanOutcome { entries: self.entries, removals: self.removals, left_out: self.left_out, gates }
    }
}

/// Returns the plan.
pub fn plan(work: &PlanWork, reference: &Reference) -> Result<Plan, Error> {
    let product = Product::new(work, reference);
    let mut plan = Plan { removals: work.removals.clone(), ..Plan::default() };
    let (debug, others): (Vec<_>, Vec<_>) =
        one_of_each(&work.packages).partition(|package| kind(&package.package.nevra) == Kind::Debug);
    // What is debugged first: debug packages of 32-bit libraries follow them.
    for package in others.into_iter().chain(debug) {
        if let Some(entries) = edited(package, work, &product, &mut plan)? {
            plan.entries.extend(entries);
            continue;
        }
        match product.place(package, &plan.entries)? {
            Ok(entries) => plan.entries.extend(entries),
            Err(reason) => plan.left_out.push(LeftOut { nevra: package.package.nevra.clone(), reason }),
        }
    }
    plan.entries.sort_by(|a, b| (&a.repository_path, &a.nevra).cmp(&(&b.repository_path, &b.nevra)));
    Ok(plan)
}

/// Returns one package of each NEVRA. A package for all architectures is built on each of them, and users are to get the
/// same file everywhere; but what is wanted at other places may be another.
fn one_of_each(packages: &[PlanPackage]) -> impl Iterator<Item = &PlanPackage> {
    let rank = |package: &PlanPackage| (package.target_arch, package.package.artifact);
    let mut chosen = BTreeMap::new();
    for package in packages {
        let best = chosen.entry((&package.package.nevra, &package.places)).or_insert(package);
        if rank(package) < rank(best) {
            *best = package;
        }
    }
    chosen.into_values()
}

/// Returns where a person wants a package to go, if anybody said so; what they moved goes from where it was.
fn edited(
    package: &PlanPackage,
    work: &PlanWork,
    product: &Product<'_>,
    plan: &mut Plan,
) -> Result<Option<Vec<PlanEntry>>, Error> {
    let nevra = &package.package.nevra;
    // A name alone means the package that users install, and not the source package of the same name.
    let is_meant = |edit: &Edit| edit.is_of(nevra) && (edit.package != nevra.name || kind(nevra) == Kind::Binary);
    let Some(made) = work.edits.iter().rev().find(|made| is_meant(&made.edit)) else { return Ok(None) };
    let reason = format!("{}: {}", made.who, made.reason);
    if made.edit.to.is_empty() {
        plan.left_out.push(LeftOut { nevra: nevra.clone(), reason });
        return Ok(Some(Vec::new()));
    }
    let archs = product.archs_of(package);
    let is_there = |repository: &PlanRepository, to: &String| {
        let of = &repository.repository;
        *to == of.path || (base_name(of) == to.as_str() && of.arch.as_ref().is_none_or(|arch| archs.contains(arch)))
    };
    let meant: Vec<&PlanRepository> =
        work.repositories.iter().filter(|each| made.edit.to.iter().any(|to| is_there(each, to))).collect();
    if meant.is_empty() {
        return Err(no_repository(nevra, format!("repository {} for it", made.edit.to.join(", "))));
    }
    for other in work.repositories.iter().filter(|other| other.repository.kind == Kind::Binary) {
        let is_left = meant.iter().any(|each| each.repository.arch == other.repository.arch)
            && !meant.iter().any(|each| each.repository.id == other.repository.id);
        let old = product.holder(other).named(&nevra.name).filter(|old| is_same(old, nevra));
        let gone = old.filter(|_| is_left).map(|old| PlanRemoval {
            nevra: old.clone(),
            repository: other.repository.id,
            repository_path: other.repository.path.clone(),
            reason: format!("{} is moved to {}", nevra.name, made.edit.to.join(", ")),
        });
        plan.removals.extend(gone);
    }
    Ok(Some(meant.into_iter().map(|each| product.entry(package, each, Trust::Person, reason.clone())).collect()))
}

/// Returns the address without the architecture: `AppStream` of `AppStream/x86_64`.
pub(crate) fn base_name(repository: &anima_types::repository::Repository) -> &str {
    let end = repository.arch.as_ref().and_then(|arch| repository.path.strip_suffix(arch.as_str()));
    end.and_then(|base| base.strip_suffix('/')).unwrap_or(&repository.path)
}

pub(crate) fn no_repository(nevra: &Nevra, wanted: String) -> Error {
    Error::NoRepository { nevra: Box::new(nevra.clone()), wanted }
}

/// Returns what a package is, by its name and architecture as rpmbuild gives them.
pub(crate) fn kind(nevra: &Nevra) -> Kind {
    if nevra.arch == "src" || nevra.arch == "nosrc" {
        return Kind::Source;
    }
    let is_debug = |suffix: &str| nevra.name.ends_with(suffix);
    // The kernel's is called kernel-debuginfo-common-x86_64.
    if is_debug("-debuginfo") || is_debug("-debugsource") || nevra.name.contains("-debuginfo-common") {
        return Kind::Debug;
    }
    Kind::Binary
}

/// Returns whether one is a version of the other. A package may come to be for all architectures, or cease to; but a
/// 32-bit library beside a 64-bit one is a package of its own.
pub(crate) fn is_same(one: &Nevra, other: &Nevra) -> bool {
    one.name == other.name && (one.arch == other.arch || one.arch == "noarch" || other.arch == "noarch")
}

/// Where a package goes, or why it goes nowhere.
type Placed = Result<Vec<PlanEntry>, String>;

/// The product as users see it, with what tells where packages belong.
pub(crate) struct Product<'a> {
    /// Its repositories, each with its packages by name.
    holders: Vec<(&'a PlanRepository, Holder<'a>)>,
    reference: &'a Reference,
    /// Its architectures, the strongest first.
    archs: Vec<&'a str>,
    /// The source packages of what is released.
    sources: BTreeMap<&'a Nevra, &'a str>,
}

impl<'a> Product<'a> {
    fn new(work: &'a PlanWork, reference: &'a Reference) -> Product<'a> {
        let holder = |each: &'a PlanRepository| {
            Holder::new(each.packages.iter().map(|package| (&package.nevra, package.source.as_str())))
        };
        let mut archs: Vec<&str> = work.stands_on.iter().map(|stands| stands.arch.name()).collect();
        for arch in work.repositories.iter().filter_map(|each| each.repository.arch.as_deref()) {
            if !archs.contains(&arch) {
                archs.push(arch);
            }
        }
        let source_of = |package: &'a PlanPackage| (&package.package.nevra, package.package.source.as_str());
        Product {
            holders: work.repositories.iter().map(|each| (each, holder(each))).collect(),
            reference,
            archs,
            sources: work.packages.iter().map(source_of).collect(),
        }
    }

    fn holder(&self, repository: &PlanRepository) -> &Holder<'a> {
        let found = self.holders.iter().find(|(each, _)| each.repository.id == repository.repository.id);
        &found.expect("it is one of the product's").1
    }

    pub(crate) fn repositories(&self) -> impl Iterator<Item = &'a PlanRepository> {
        self.holders.iter().map(|(each, _)| *each)
    }

    /// Returns the product's repositories of a kind for an architecture, in the product's order.
    pub(crate) fn of(&self, kind: Kind, arch: &str) -> impl Iterator<Item = &'a PlanRepository> {
        let arch = arch.to_string();
        self.repositories()
            .filter(move |each| each.repository.kind == kind && each.repository.arch.as_deref() == Some(arch.as_str()))
    }

    fn place(&self, package: &PlanPackage, placed: &[PlanEntry]) -> Result<Placed, Error> {
        let copied: Vec<PlanEntry> = self
            .repositories()
            .filter(|each| package.places.contains(&each.repository.path))
            .map(|each| self.entry(package, each, Trust::Exact, "that is where it comes from".to_string()))
            .collect();
        if !copied.is_empty() {
            return Ok(Ok(copied));
        }
        let nevra = &package.package.nevra;
        match kind(nevra) {
            Kind::Source => Ok(Ok(vec![self.by_kind(package, Kind::Source, None)?])),
            Kind::Debug | Kind::Binary if multilib::is_foreign(self, package) => {
                Ok(multilib::place(self, package, placed))
            }
            Kind::Debug => {
                let archs = self.archs_of(package);
                let places = archs.iter().map(|arch| self.by_kind(package, Kind::Debug, Some(arch)));
                Ok(Ok(places.collect::<Result<_, _>>()?))
            }
            Kind::Binary => {
                let archs = self.archs_of(package);
                if archs.is_empty() {
                    return Err(no_repository(nevra, "binary repository".to_string()));
                }
                let mut entries = archs.iter().map(|arch| self.binary(package, arch)).collect::<Result<Vec<_>, _>>()?;
                entries.extend(multilib::beside(self, package));
                Ok(Ok(entries))
            }
        }
    }

    /// Returns the architectures whose users get the package: a noarch package is for all of them.
    fn archs_of(&self, package: &PlanPackage) -> Vec<String> {
        let nevra = &package.package.nevra;
        if nevra.arch == "noarch" && kind(nevra) == Kind::Binary {
            let has = |arch: &&&str| self.of(Kind::Binary, arch).next().is_some();
            return self.archs.iter().filter(has).map(ToString::to_string).collect();
        }
        let own = package.target_arch.or_else(|| nevra.arch.parse().ok());
        own.iter().map(Arch::to_string).collect()
    }

    fn by_kind(&self, package: &PlanPackage, kind: Kind, arch: Option<&str>) -> Result<PlanEntry, Error> {
        let is_meant = |each: &&PlanRepository| {
            each.repository.kind == kind && (kind == Kind::Source || each.repository.arch.as_deref() == arch)
        };
        let wanted = || match arch {
            Some(arch) => format!("{} repository for {arch}", kind.name()),
            None => format!("{} repository", kind.name()),
        };
        let found = self.repositories().find(is_meant);
        let repository = found.ok_or_else(|| no_repository(&package.package.nevra, wanted()))?;
        Ok(self.entry(package, repository, Trust::ByRule, format!("it is a {} package", kind.name())))
    }

    fn binary(&self, package: &PlanPackage, arch: &str) -> Result<PlanEntry, Error> {
        if let Some((repository, trust, reason)) = self.best(package, arch, arch) {
            return Ok(self.entry(package, repository, trust, reason));
        }
        // Weak architectures follow strong ones.
        for other in self.archs.iter().filter(|other| **other != arch) {
            if let Some((repository, trust, reason)) = self.best(package, other, arch) {
                return Ok(self.entry(package, repository, trust, format!("as on {other}: {reason}")));
            }
        }
        match self.of(Kind::Binary, arch).next() {
            Some(repository) => {
                let reason = "nothing like it was found: the product's default".to_string();
                Ok(self.entry(package, repository, Trust::Default, reason))
            }
            None => Err(no_repository(&package.package.nevra, format!("binary repository for {arch}"))),
        }
    }

    /// Returns the repository for `arch` that what is there for `seen_on` speaks for.
    fn best(&self, package: &PlanPackage, seen_on: &str, arch: &str) -> Option<(&'a PlanRepository, Trust, String)> {
        let wanted = &package.package;
        // As the package is called there.
        let mut nevra = wanted.nevra.clone();
        if nevra.arch == arch {
            nevra.arch = seen_on.to_string();
        }
        let mut found: Vec<(bool, Seen, bool, &PlanRepository)> = Vec::new();
        for each in self.of(Kind::Binary, seen_on) {
            let own = self.holder(each).look(&nevra, &wanted.source);
            let others = self.reference.look(&each.repository.path, &nevra, &wanted.source);
            // The same name anywhere says more than the same source.
            let rank = |seen: Seen| seen == Seen::Source;
            found.extend(own.map(|seen| (rank(seen), seen, false, each)));
            found.extend(others.map(|seen| (rank(seen), seen, true, each)));
        }
        // What users have now counts more than what the reference has.
        let best = found.iter().min_by_key(|(is_source, seen, is_reference, _)| (*is_source, *is_reference, *seen))?;
        let (_, seen, is_reference, there) = *best;
        let here =
            self.of(Kind::Binary, arch).find(|each| base_name(&each.repository) == base_name(&there.repository))?;
        let elsewhere = found.iter().find(|(is_source, _, is_reference, each)| {
            !is_source && *is_reference && each.repository.id != there.repository.id
        });
        let what = seen.words();
        let mut reason = match is_reference {
            true => format!("{what} is there in the reference"),
            false => format!("{what} is there @{}", there.repository.current),
        };
        if let Some((.., each)) = elsewhere {
            reason = format!("{reason}, though the reference has it in {}", base_name(&each.repository));
        }
        Some((here, seen.trust(), reason))
    }

    pub(crate) fn look(&self, repository: &PlanRepository, nevra: &Nevra, source: &str) -> Option<(Seen, bool)> {
        let own = self.holder(repository).look(nevra, source).map(|seen| (seen, false));
        own.or_else(|| Some((self.reference.look(&repository.repository.path, nevra, source)?, true)))
    }

    /// Returns the source package of a package of the release.
    pub(crate) fn source_of(&self, nevra: &Nevra) -> Option<&'a str> {
        self.sources.get(nevra).copied()
    }

    /// Returns whether the product or the reference has the name in a repository, for this architecture or for all.
    pub(crate) fn has(&self, repository: &PlanRepository, name: &str, arch: &str) -> bool {
        let is_for = |nevra: &Nevra| nevra.arch == arch;
        self.holder(repository).named(name).any(is_for)
            || self.reference.named(&repository.repository.path, name).any(is_for)
    }

    pub(crate) fn entry(
        &self,
        package: &PlanPackage,
        repository: &PlanRepository,
        trust: Trust,
        reason: String,
    ) -> PlanEntry {
        let nevra = &package.package.nevra;
        let others = self.holder(repository).named(&nevra.name);
        let replaces: BTreeSet<Nevra> =
            others.filter(|other| is_same(other, nevra) && *other != nevra).cloned().collect();
        let newer = replaces.iter().find(|other| other.evr > nevra.evr);
        let reason = match newer {
            Some(newer) => format!("{reason}; a downgrade: {} is there", newer.evr),
            None => reason,
        };
        PlanEntry {
            nevra: nevra.clone(),
            artifact: package.package.artifact,
            repository: repository.repository.id,
            repository_path: repository.repository.path.clone(),
            replaces: replaces.into_iter().collect(),
            trust,
            reason,
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
