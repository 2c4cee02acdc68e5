//! Makes a release's plan: for each package its repositories, with the reason and how sure that is. A pure function.

use std::collections::BTreeMap;

use anima_types::{
    Arch, Nevra,
    release::{PlanEntry, Trust},
    repository::{Kind, RepositoryPackage},
    work::{PlanOutcome, PlanPackage, PlanRepository, PlanWork},
};

use crate::gate;

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

/// Returns the plan: one line for each package and repository, ordered by repository and package; and what the gates found.
pub fn plan(work: &PlanWork) -> Result<PlanOutcome, Error> {
    let mut entries = Vec::new();
    for package in one_of_each(&work.packages) {
        entries.extend(place(package, &work.repositories)?);
    }
    entries.sort_by(|a, b| (&a.repository_path, &a.nevra).cmp(&(&b.repository_path, &b.nevra)));
    let gates = gate::answers(work, &entries);
    Ok(PlanOutcome { entries, gates })
}

/// Returns one package of each NEVRA. A package for all architectures is built on each of them, and users are to get the
/// same file everywhere.
fn one_of_each(packages: &[PlanPackage]) -> impl Iterator<Item = &PlanPackage> {
    let rank = |package: &PlanPackage| (package.target_arch, package.package.artifact);
    let mut chosen = BTreeMap::new();
    for package in packages {
        let best = chosen.entry(&package.package.nevra).or_insert(package);
        if rank(package) < rank(best) {
            *best = package;
        }
    }
    chosen.into_values()
}

fn place(package: &PlanPackage, repositories: &[PlanRepository]) -> Result<Vec<PlanEntry>, Error> {
    let nevra = &package.package.nevra;
    match kind(nevra) {
        Kind::Source => by_kind(package, repositories, Kind::Source, None).map(|entry| vec![entry]),
        Kind::Debug => by_kind(package, repositories, Kind::Debug, package.target_arch).map(|entry| vec![entry]),
        Kind::Binary => {
            let targets = targets(package, repositories);
            if targets.is_empty() {
                return Err(no_repository(nevra, "binary repository".to_string()));
            }
            targets.into_iter().map(|arch| binary(package, repositories, arch)).collect()
        }
    }
}

fn no_repository(nevra: &Nevra, wanted: String) -> Error {
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

/// Returns the architectures whose users get the package: a noarch package is for all of them.
fn targets(package: &PlanPackage, repositories: &[PlanRepository]) -> Vec<String> {
    if package.package.nevra.arch != "noarch" {
        return package.target_arch.iter().map(Arch::to_string).collect();
    }
    let binaries = repositories.iter().filter(|each| each.repository.kind == Kind::Binary);
    let mut archs: Vec<String> = binaries.filter_map(|each| each.repository.arch.clone()).collect();
    archs.sort();
    archs.dedup();
    archs
}

fn by_kind(
    package: &PlanPackage,
    repositories: &[PlanRepository],
    kind: Kind,
    arch: Option<Arch>,
) -> Result<PlanEntry, Error> {
    let arch = arch.map(|arch| arch.to_string());
    let found = repositories
        .iter()
        .find(|each| each.repository.kind == kind && (kind == Kind::Source || each.repository.arch == arch));
    let wanted = || match &arch {
        Some(arch) => format!("{} repository for {arch}", kind.name()),
        None => format!("{} repository", kind.name()),
    };
    let repository = found.ok_or_else(|| no_repository(&package.package.nevra, wanted()))?;
    Ok(entry(package, repository, Trust::ByKind, format!("it is a {} package", kind.name())))
}

fn binary(package: &PlanPackage, repositories: &[PlanRepository], arch: String) -> Result<PlanEntry, Error> {
    let wanted = &package.package;
    let of_arch: Vec<&PlanRepository> = repositories
        .iter()
        .filter(|each| each.repository.kind == Kind::Binary && each.repository.arch.as_deref() == Some(&arch))
        .collect();
    let having = |is_like: &dyn Fn(&RepositoryPackage) -> bool| {
        of_arch.iter().find(|each| each.packages.iter().any(is_like)).copied()
    };
    if let Some(repository) = having(&|other| is_same(&other.nevra, &wanted.nevra)) {
        return Ok(entry(package, repository, Trust::SameName, at(repository, "the same name is there")));
    }
    if let Some(repository) = having(&|other| other.source == wanted.source) {
        return Ok(entry(
            package,
            repository,
            Trust::SameSource,
            at(repository, "another package of its source is there"),
        ));
    }
    match of_arch.first() {
        Some(repository) => Ok(entry(
            package,
            repository,
            Trust::Default,
            "nothing like it was found: the product's default".to_string(),
        )),
        None => Err(no_repository(&wanted.nevra, format!("binary repository for {arch}"))),
    }
}

/// Returns whether one is a version of the other. A package may come to be for all architectures, or cease to; but a
/// 32-bit library beside a 64-bit one is a package of its own.
fn is_same(one: &Nevra, other: &Nevra) -> bool {
    one.name == other.name && (one.arch == other.arch || one.arch == "noarch" || other.arch == "noarch")
}

fn at(repository: &PlanRepository, reason: &str) -> String {
    format!("{reason} @{}", repository.repository.current)
}

fn entry(package: &PlanPackage, repository: &PlanRepository, trust: Trust, reason: String) -> PlanEntry {
    let nevra = &package.package.nevra;
    let replaces: Vec<Nevra> = repository
        .packages
        .iter()
        .map(|other| &other.nevra)
        .filter(|other| is_same(other, nevra) && *other != nevra)
        .cloned()
        .collect();
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
        replaces,
        trust,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anima_types::{Sha256, id::ReleaseId, id::RepositoryId, repository::Repository};

    fn repository(id: i64, path: &str, kind: Kind, arch: Option<&str>, packages: &[&str]) -> PlanRepository {
        PlanRepository {
            repository: Repository {
                id: RepositoryId(id),
                product: "seed-1".into(),
                path: path.into(),
                kind,
                arch: arch.map(str::to_string),
                current: 12,
                package_count: packages.len() as i64,
            },
            packages: packages.iter().map(|nevra| package(nevra, "zlib")).collect(),
        }
    }

    fn package(nevra: &str, source: &str) -> RepositoryPackage {
        RepositoryPackage { nevra: nevra.parse().unwrap(), artifact: Sha256([1; 32]), source: source.into() }
    }

    fn planned(packages: &[(&str, &str)], repositories: Vec<PlanRepository>) -> Result<Vec<String>, Error> {
        let work = PlanWork {
            release: ReleaseId(7),
            packages: packages
                .iter()
                .map(|(nevra, source)| PlanPackage {
                    package: package(nevra, source),
                    target_arch: (!nevra.ends_with(".src")).then_some(Arch::X86_64),
                })
                .collect(),
            repositories,
            gates: BTreeMap::new(),
        };
        let entries = plan(&work)?.entries;
        Ok(entries
            .iter()
            .map(|entry| format!("{} -> {} ({:?})", entry.nevra, entry.repository_path, entry.trust))
            .collect())
    }

    fn repositories() -> Vec<PlanRepository> {
        vec![
            repository(1, "AppStream/x86_64", Kind::Binary, Some("x86_64"), &[]),
            repository(2, "AppStream/aarch64", Kind::Binary, Some("aarch64"), &[]),
            repository(3, "BaseOS/x86_64", Kind::Binary, Some("x86_64"), &["zlib-1.2-1.x86_64"]),
            repository(4, "debug/x86_64", Kind::Debug, Some("x86_64"), &[]),
            repository(5, "source", Kind::Source, None, &[]),
        ]
    }

    #[test]
    fn a_package_goes_where_its_name_or_its_source_is_already() {
        let plan =
            planned(&[("zlib-1.3-1.x86_64", "zlib"), ("zlib-devel-1.3-1.x86_64", "zlib")], repositories()).unwrap();

        assert_eq!(
            plan,
            ["zlib-1.3-1.x86_64 -> BaseOS/x86_64 (SameName)", "zlib-devel-1.3-1.x86_64 -> BaseOS/x86_64 (SameSource)"]
        );
    }

    #[test]
    fn a_new_package_goes_to_the_default_and_its_debug_and_source_packages_beside() {
        let plan = planned(
            &[("jq-1.6-1.x86_64", "jq"), ("jq-debuginfo-1.6-1.x86_64", "jq"), ("jq-1.6-1.src", "jq")],
            repositories(),
        )
        .unwrap();

        assert_eq!(
            plan,
            [
                "jq-1.6-1.x86_64 -> AppStream/x86_64 (Default)",
                "jq-debuginfo-1.6-1.x86_64 -> debug/x86_64 (ByKind)",
                "jq-1.6-1.src -> source (ByKind)"
            ]
        );
    }

    #[test]
    fn a_noarch_package_goes_to_every_architecture() {
        let plan = planned(&[("motd-1-1.noarch", "motd")], repositories()).unwrap();

        assert_eq!(
            plan,
            ["motd-1-1.noarch -> AppStream/aarch64 (Default)", "motd-1-1.noarch -> AppStream/x86_64 (Default)"]
        );
    }

    #[test]
    fn a_noarch_package_that_was_built_twice_is_the_same_file_for_everybody() {
        let built = |arch, artifact| PlanPackage {
            package: RepositoryPackage { artifact: Sha256([artifact; 32]), ..package("motd-1-1.noarch", "motd") },
            target_arch: Some(arch),
        };
        let packages = vec![built(Arch::X86_64, 1), built(Arch::Aarch64, 2)];
        let reversed = packages.iter().cloned().rev().collect();
        let plan_of = |packages| {
            plan(&PlanWork { release: ReleaseId(7), packages, repositories: repositories(), gates: BTreeMap::new() })
                .unwrap()
                .entries
        };

        let entries = plan_of(packages);

        assert_eq!(entries, plan_of(reversed));
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].artifact, entries[1].artifact);
    }

    #[test]
    fn a_package_that_comes_to_be_for_all_architectures_replaces_its_old_self_but_no_32_bit_library_its_twin() {
        let there = ["tz-1-1.x86_64", "lib-1-1.x86_64", "lib-1-1.i686"];
        let base = repository(3, "BaseOS/x86_64", Kind::Binary, Some("x86_64"), &there);
        let work = PlanWork {
            release: ReleaseId(7),
            packages: ["tz-2-1.noarch", "lib-2-1.i686"]
                .map(|nevra| PlanPackage { package: package(nevra, "x"), target_arch: Some(Arch::X86_64) })
                .into(),
            repositories: vec![base],
            gates: BTreeMap::new(),
        };

        let entries = plan(&work).unwrap().entries;

        let replaced: Vec<_> = entries.iter().flat_map(|entry| &entry.replaces).map(Nevra::to_string).collect();
        assert_eq!(replaced, ["lib-1-1.i686", "tz-1-1.x86_64"]);
        assert!(entries.iter().all(|entry| entry.trust == Trust::SameName));
    }

    #[test]
    fn the_kernels_debug_packages_are_known() {
        for (name, wanted) in [
            ("kernel-debuginfo-common-x86_64-6-1.x86_64", Kind::Debug),
            ("jq-debugsource-6-1.x86_64", Kind::Debug),
            ("debuginfod-6-1.x86_64", Kind::Binary),
        ] {
            assert_eq!(kind(&name.parse().unwrap()), wanted, "{name}");
        }
    }

    #[test]
    fn a_package_that_is_for_nobody_is_an_error_and_not_left_out() {
        let error = planned(&[("motd-1-1.noarch", "motd")], repositories()[3..].to_vec()).unwrap_err();

        assert_eq!(error.to_string(), "could not place motd-1-1.noarch: the product has no binary repository");
    }

    #[test]
    fn a_downgrade_is_told() {
        let work = PlanWork {
            release: ReleaseId(7),
            packages: vec![PlanPackage {
                package: package("zlib-1.1-1.x86_64", "zlib"),
                target_arch: Some(Arch::X86_64),
            }],
            repositories: repositories(),
            gates: BTreeMap::new(),
        };

        let entry = &plan(&work).unwrap().entries[0];

        assert_eq!(entry.replaces, ["zlib-1.2-1.x86_64".parse().unwrap()]);
        assert_eq!(entry.reason, "the same name is there @12; a downgrade: 1.2-1 is there");
    }

    #[test]
    fn a_product_without_a_place_for_a_package_is_an_error_that_names_both() {
        let error = planned(&[("jq-1.6-1.src", "jq")], repositories()[..4].to_vec()).unwrap_err();

        assert_eq!(error.to_string(), "could not place jq-1.6-1.src: the product has no source repository");
    }
}
