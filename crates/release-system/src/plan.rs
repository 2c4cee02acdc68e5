//! Makes a release's plan: for each package its repositories, with the reason and how sure that is. A pure function.

use anima_types::{
    Arch, Nevra,
    release::PlanEntry,
    release::Trust,
    repository::Kind,
    repository::RepositoryPackage,
    work::{PlanOutcome, PlanPackage, PlanRepository, PlanWork},
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

/// Returns the plan: one line for each package and repository, ordered by repository and package.
pub fn plan(work: &PlanWork) -> Result<PlanOutcome, Error> {
    let mut entries = Vec::new();
    for package in &work.packages {
        entries.extend(place(package, &work.repositories)?);
    }
    entries.sort_by(|a, b| (&a.repository_path, &a.nevra).cmp(&(&b.repository_path, &b.nevra)));
    entries.dedup();
    Ok(PlanOutcome { entries })
}

fn place(package: &PlanPackage, repositories: &[PlanRepository]) -> Result<Vec<PlanEntry>, Error> {
    let nevra = &package.package.nevra;
    match kind(nevra) {
        Kind::Source => by_kind(package, repositories, Kind::Source, None).map(|entry| vec![entry]),
        Kind::Debug => by_kind(package, repositories, Kind::Debug, package.target_arch).map(|entry| vec![entry]),
        Kind::Binary => {
            targets(package, repositories).into_iter().map(|arch| binary(package, repositories, arch)).collect()
        }
    }
}

/// Returns what a package is, by its name and architecture as rpmbuild gives them.
fn kind(nevra: &Nevra) -> Kind {
    if nevra.arch == "src" || nevra.arch == "nosrc" {
        return Kind::Source;
    }
    let is_debug = |suffix: &str| nevra.name.ends_with(suffix);
    if is_debug("-debuginfo") || is_debug("-debugsource") || is_debug("-debuginfo-common") {
        return Kind::Debug;
    }
    Kind::Binary
}

/// Returns the architectures whose users get the package: a noarch package is for all of them.
fn targets(package: &PlanPackage, repositories: &[PlanRepository]) -> Vec<String> {
    if package.package.nevra.arch != "noarch" {
        return package.target_arch.iter().map(Arch::to_string).collect();
    }
    let mut archs: Vec<String> = repositories.iter().filter_map(|each| each.repository.arch.clone()).collect();
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
    let repository = found.ok_or_else(|| Error::NoRepository {
        nevra: Box::new(package.package.nevra.clone()),
        wanted: match &arch {
            Some(arch) => format!("{} repository for {arch}", kind.name()),
            None => format!("{} repository", kind.name()),
        },
    })?;
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
    let same_name =
        |other: &RepositoryPackage| other.nevra.name == wanted.nevra.name && other.nevra.arch == wanted.nevra.arch;
    if let Some(repository) = having(&same_name) {
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
        None => Err(Error::NoRepository {
            nevra: Box::new(wanted.nevra.clone()),
            wanted: format!("binary repository for {arch}"),
        }),
    }
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
        .filter(|other| other.name == nevra.name && other.arch == nevra.arch && *other != nevra)
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
    fn a_downgrade_is_told() {
        let work = PlanWork {
            release: ReleaseId(7),
            packages: vec![PlanPackage {
                package: package("zlib-1.1-1.x86_64", "zlib"),
                target_arch: Some(Arch::X86_64),
            }],
            repositories: repositories(),
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
