//! What each gate finds in a plan. Pure functions over the same work that the plan is made from: whether a finding stops
//! anything is decided by [`anima_types::gate::decide`].

use std::collections::{BTreeMap, BTreeSet};

use anima_types::{
    gate::{Answer, Gate, MAX_FOUND},
    release::{PlanEntry, Trust},
    repository::Kind,
    work::{PlanPackage, PlanWork},
};

use crate::plan::kind;

/// Returns the answer of every gate, those that found nothing too, so that a reader sees what was asked.
pub fn answers(work: &PlanWork, entries: &[PlanEntry]) -> Vec<Answer> {
    let found = |gate| match gate {
        Gate::Duplicate => duplicates(work, entries),
        Gate::Downgrade => downgrades(entries),
        Gate::MissingSource => missing_sources(work),
        Gate::MissingDebug => missing_debug(work),
        Gate::Placement => unplaced(entries),
    };
    Gate::ALL.into_iter().map(|gate| answer(work, gate, found(gate))).collect()
}

fn answer(work: &PlanWork, gate: Gate, mut found: Vec<String>) -> Answer {
    let found_count = found.len() as u64;
    found.truncate(MAX_FOUND);
    Answer { gate, level: gate.level(&work.gates), found_count, found }
}

/// The same NEVRA with other content, in any repository of the product: what is there is what users have installed.
fn duplicates(work: &PlanWork, entries: &[PlanEntry]) -> Vec<String> {
    let mut there = BTreeMap::new();
    for repository in &work.repositories {
        for package in &repository.packages {
            there.entry(&package.nevra).or_insert_with(Vec::new).push((repository, package));
        }
    }
    let mut found = BTreeSet::new();
    for entry in entries {
        let others = there.get(&entry.nevra).into_iter().flatten();
        for (repository, _) in others.filter(|(_, package)| package.artifact != entry.artifact) {
            let (path, number) = (&repository.repository.path, repository.repository.current);
            found.insert(format!("{} is another file in {path}@{number}: give it a higher release", entry.nevra));
        }
    }
    found.into_iter().collect()
}

fn downgrades(entries: &[PlanEntry]) -> Vec<String> {
    let newer = entries.iter().flat_map(|entry| {
        let newer = entry.replaces.iter().filter(|old| old.evr > entry.nevra.evr);
        newer.map(move |old| format!("{} would replace {old} in {}", entry.nevra, entry.repository_path))
    });
    newer.collect()
}

fn missing_sources(work: &PlanWork) -> Vec<String> {
    let of_release = work.packages.iter().map(|package| &package.package.nevra);
    let of_product = work.repositories.iter().filter(|each| each.repository.kind == Kind::Source);
    let of_product = of_product.flat_map(|each| each.packages.iter().map(|package| &package.nevra));
    let sources: BTreeSet<&str> = of_release
        .chain(of_product)
        .filter(|nevra| kind(nevra) == Kind::Source)
        .map(|nevra| nevra.name.as_str())
        .collect();
    let binaries = work.packages.iter().filter(|package| kind(&package.package.nevra) != Kind::Source);
    let lost = binaries.filter(|package| !sources.contains(package.package.source.as_str()));
    lost.map(|package| format!("{} has no source package {}", package.package.nevra, package.package.source)).collect()
}

fn missing_debug(work: &PlanWork) -> Vec<String> {
    let is_native = |package: &&PlanPackage| !matches!(package.package.nevra.arch.as_str(), "noarch" | "src" | "nosrc");
    let native: Vec<&PlanPackage> = work.packages.iter().filter(is_native).collect();
    let of_kind = |wanted: Kind| -> BTreeSet<(&str, &str)> {
        let of_kind = native.iter().filter(|package| kind(&package.package.nevra) == wanted);
        of_kind.map(|package| (package.package.source.as_str(), package.package.nevra.arch.as_str())).collect()
    };
    let (binary, debug) = (of_kind(Kind::Binary), of_kind(Kind::Debug));
    let lacking = binary.difference(&debug);
    lacking.map(|(source, arch)| format!("{source} has packages for {arch}, and no debug package")).collect()
}

fn unplaced(entries: &[PlanEntry]) -> Vec<String> {
    let by_default = entries.iter().filter(|entry| entry.trust == Trust::Default);
    by_default.map(|entry| format!("{} goes to {}", entry.nevra, entry.repository_path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anima_types::{
        Arch, Sha256,
        gate::{Level, decide},
        id::{ReleaseId, RepositoryId},
        repository::{Repository, RepositoryPackage},
        work::PlanRepository,
    };

    /// A product with jq 1.7 and its source, each of content 1.
    fn work(packages: &[&str], content: u8) -> PlanWork {
        PlanWork {
            release: ReleaseId(7),
            packages: packages
                .iter()
                .map(|nevra| PlanPackage { package: package(nevra, content), target_arch: Some(Arch::X86_64) })
                .collect(),
            repositories: vec![
                repository(1, "BaseOS/x86_64", Kind::Binary, &["jq-1.7-1.x86_64"]),
                repository(2, "debug/x86_64", Kind::Debug, &[]),
                repository(3, "source", Kind::Source, &["jq-1.7-1.src"]),
            ],
            gates: BTreeMap::new(),
        }
    }

    fn repository(id: i64, path: &str, kind: Kind, packages: &[&str]) -> PlanRepository {
        PlanRepository {
            repository: Repository {
                id: RepositoryId(id),
                product: "seed-1".into(),
                path: path.into(),
                kind,
                arch: (kind != Kind::Source).then(|| "x86_64".into()),
                current: 12,
                package_count: packages.len() as i64,
            },
            packages: packages.iter().map(|nevra| package(nevra, 1)).collect(),
        }
    }

    fn package(nevra: &str, content: u8) -> RepositoryPackage {
        let source = nevra.split('-').next().unwrap().to_string();
        RepositoryPackage { nevra: nevra.parse().unwrap(), artifact: Sha256([content; 32]), source }
    }

    fn found(work: &PlanWork) -> Vec<String> {
        let plan = crate::plan::plan(work).unwrap();
        let lines = plan
            .gates
            .into_iter()
            .flat_map(|answer| answer.found.into_iter().map(move |line| format!("{}: {line}", answer.gate.name())));
        lines.collect()
    }

    #[test]
    fn an_ordinary_update_opens_every_gate() {
        let work = work(&["jq-1.8-1.x86_64", "jq-debuginfo-1.8-1.x86_64", "jq-1.8-1.src"], 2);

        let gates = crate::plan::plan(&work).unwrap().gates;

        assert_eq!(gates.len(), Gate::ALL.len());
        assert!(gates.iter().all(|answer| answer.found_count == 0), "{gates:?}");
    }

    #[test]
    fn the_same_nevra_with_other_content_is_found_and_the_same_file_again_is_not() {
        let packages = ["jq-1.7-1.x86_64", "jq-debugsource-1.7-1.x86_64", "jq-1.7-1.src"];

        assert_eq!(
            found(&work(&packages, 2)),
            [
                "duplicate: jq-1.7-1.src is another file in source@12: give it a higher release",
                "duplicate: jq-1.7-1.x86_64 is another file in BaseOS/x86_64@12: give it a higher release"
            ]
        );
        assert_eq!(found(&work(&packages, 1)), [""; 0]);
    }

    #[test]
    fn a_nevra_that_is_in_another_repository_of_the_product_is_found_too() {
        let mut work = work(&["vim-9-1.x86_64", "vim-debuginfo-9-1.x86_64", "vim-9-1.src"], 2);
        work.repositories.push(repository(4, "Extras/x86_64", Kind::Binary, &["vim-debuginfo-9-1.x86_64"]));

        let found = found(&work);

        let wanted =
            "duplicate: vim-debuginfo-9-1.x86_64 is another file in Extras/x86_64@12: give it a higher release";
        assert_eq!(found[0], wanted);
    }

    #[test]
    fn a_downgrade_a_missing_source_and_missing_debug_packages_are_found() {
        assert_eq!(
            found(&work(&["jq-1.6-1.x86_64", "vim-9-1.x86_64"], 2)),
            [
                "downgrade: jq-1.6-1.x86_64 would replace jq-1.7-1.x86_64 in BaseOS/x86_64",
                "missing-source: vim-9-1.x86_64 has no source package vim",
                "missing-debug: jq has packages for x86_64, and no debug package",
                "missing-debug: vim has packages for x86_64, and no debug package",
                "placement: vim-9-1.x86_64 goes to BaseOS/x86_64"
            ]
        );
    }

    #[test]
    fn what_is_for_all_architectures_needs_no_debug_package() {
        let found = found(&work(&["jq-1.8-1.noarch", "jq-1.8-1.src"], 2));

        assert!(found.iter().all(|line| !line.starts_with("missing-debug")), "{found:?}");
    }

    #[test]
    fn the_products_level_stands_on_the_plan() {
        let mut work = work(&["jq-1.6-1.x86_64"], 2);
        work.gates.insert(Gate::Downgrade, Level::Block);

        let gates = crate::plan::plan(&work).unwrap().gates;

        assert_eq!(decide(&gates), anima_types::gate::Decision::Blocked(vec![Gate::Downgrade]));
    }

    #[test]
    fn a_flood_of_findings_is_counted_and_its_first_lines_are_kept() {
        let packages: Vec<String> = (0..MAX_FOUND + 5).map(|number| format!("p{number}-1-1.x86_64")).collect();
        let packages: Vec<&str> = packages.iter().map(String::as_str).collect();

        let gates = crate::plan::plan(&work(&packages, 2)).unwrap().gates;

        let sources = gates.iter().find(|answer| answer.gate == Gate::MissingSource).unwrap();
        assert_eq!((sources.found_count as usize, sources.found.len()), (MAX_FOUND + 5, MAX_FOUND));
    }
}
