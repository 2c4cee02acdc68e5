//! Where packages go.

use super::*;
use anima_types::{
    Sha256, Timestamp,
    id::{ReleaseId, RepositoryId},
    release::MadeEdit,
    repository::{Repository, RepositoryPackage},
    work::StandsOn,
};

fn repository(id: i64, path: &str, kind: Kind, arch: Option<&str>, packages: &[&str]) -> PlanRepository {
    PlanRepository::new(
        Repository {
            id: RepositoryId(id),
            product: "seed-1".into(),
            path: path.into(),
            kind,
            arch: arch.map(str::to_string),
            current: 12,
            package_count: packages.len() as i64,
        },
        packages.iter().map(|nevra| package(nevra, "zlib")).collect(),
    )
}

fn package(nevra: &str, source: &str) -> RepositoryPackage {
    RepositoryPackage {
        nevra: nevra.parse().unwrap(),
        artifact: Sha256([1; 32]),
        source: source.into(),
        header_sha256: None,
    }
}

fn planned(packages: &[(&str, &str)], repositories: Vec<PlanRepository>) -> Result<Vec<String>, Error> {
    Ok(lines(&plan(&work(packages, repositories), &Reference::default())?))
}

fn work(packages: &[(&str, &str)], repositories: Vec<PlanRepository>) -> PlanWork {
    let target = |nevra: &str| match nevra.rsplit('.').next() {
        Some("src") => None,
        Some("i686") => Some(Arch::I686),
        Some("aarch64") => Some(Arch::Aarch64),
        _ => Some(Arch::X86_64),
    };
    let packages = packages.iter().map(|(nevra, source)| PlanPackage::new(package(nevra, source), target(nevra)));
    PlanWork::new(ReleaseId(7), packages.collect(), repositories)
}

fn lines(plan: &Plan) -> Vec<String> {
    let line = |entry: &PlanEntry| format!("{} -> {} ({:?})", entry.nevra, entry.repository_path, entry.trust);
    plan.entries.iter().map(line).collect()
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
    let plan = planned(&[("zlib-1.3-1.x86_64", "zlib"), ("zlib-devel-1.3-1.x86_64", "zlib")], repositories()).unwrap();

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
            "jq-debuginfo-1.6-1.x86_64 -> debug/x86_64 (ByRule)",
            "jq-1.6-1.src -> source (ByRule)"
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
    let built = |arch, artifact| {
        let package = RepositoryPackage { artifact: Sha256([artifact; 32]), ..package("motd-1-1.noarch", "motd") };
        PlanPackage::new(package, Some(arch))
    };
    let packages = vec![built(Arch::X86_64, 1), built(Arch::Aarch64, 2)];
    let reversed = packages.iter().cloned().rev().collect();
    let plan_of =
        |packages| plan(&PlanWork::new(ReleaseId(7), packages, repositories()), &Reference::default()).unwrap().entries;

    let entries = plan_of(packages);

    assert_eq!(entries, plan_of(reversed));
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].artifact, entries[1].artifact);
}

#[test]
fn a_package_that_comes_to_be_for_all_architectures_replaces_its_old_self_but_no_32_bit_library_its_twin() {
    let there = ["tz-1-1.x86_64", "lib-1-1.x86_64", "lib-1-1.i686"];
    let base = repository(3, "BaseOS/x86_64", Kind::Binary, Some("x86_64"), &there);
    let work = work(&[("tz-2-1.noarch", "x"), ("lib-2-1.i686", "x")], vec![base]);

    let entries = plan(&work, &Reference::default()).unwrap().entries;

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
    let work = work(&[("zlib-1.1-1.x86_64", "zlib")], repositories());

    let entry = &plan(&work, &Reference::default()).unwrap().entries[0];

    assert_eq!(entry.replaces, ["zlib-1.2-1.x86_64".parse().unwrap()]);
    assert_eq!(entry.reason, "the same name is there @12; a downgrade: 1.2-1 is there");
}

#[test]
fn a_product_without_a_place_for_a_package_is_an_error_that_names_both() {
    let error = planned(&[("jq-1.6-1.src", "jq")], repositories()[..4].to_vec()).unwrap_err();

    assert_eq!(error.to_string(), "could not place jq-1.6-1.src: the product has no source repository");
}

fn reference(path: &str, packages: &[(&str, &str)]) -> Reference {
    let mut reference = Reference::default();
    reference.add(path, packages.iter().map(|(nevra, source)| (nevra.parse().unwrap(), source.to_string())));
    reference
}

fn reasons(plan: &Plan) -> Vec<&str> {
    plan.entries.iter().map(|entry| entry.reason.as_str()).collect()
}

#[test]
fn the_reference_decides_where_the_product_knows_nothing_and_the_more_it_has_the_surer() {
    let has =
        [("jq-1.7-1.x86_64", "jq"), ("xz-5-1.x86_64", "xz"), ("vim-9-1.x86_64", "vim"), ("zlib-1.3-1.x86_64", "zlib")];
    let reference = reference("BaseOS/x86_64", &has);
    let packages = [
        ("jq-1.7-1.x86_64", "jq"),
        ("jq-devel-1.7-1.x86_64", "jq"),
        ("vim-9-2.x86_64", "vim"),
        ("xz-6-1.x86_64", "xz"),
    ];

    let plan = plan(&work(&packages, repositories()), &reference).unwrap();

    assert_eq!(
        lines(&plan),
        [
            "jq-1.7-1.x86_64 -> BaseOS/x86_64 (Exact)",
            "jq-devel-1.7-1.x86_64 -> BaseOS/x86_64 (SameSource)",
            "vim-9-2.x86_64 -> BaseOS/x86_64 (SameVersion)",
            "xz-6-1.x86_64 -> BaseOS/x86_64 (SameName)"
        ]
    );
    assert_eq!(reasons(&plan)[0], "this very package is there in the reference");
}

#[test]
fn what_users_have_counts_more_than_the_reference_and_a_difference_is_told() {
    let reference = reference("AppStream/x86_64", &[("zlib-1.3-1.x86_64", "zlib")]);

    let plan = plan(&work(&[("zlib-1.3-1.x86_64", "zlib")], repositories()), &reference).unwrap();

    assert_eq!(lines(&plan), ["zlib-1.3-1.x86_64 -> BaseOS/x86_64 (SameName)"]);
    assert_eq!(reasons(&plan), ["the same name is there @12, though the reference has it in AppStream"]);
}

#[test]
fn a_weak_architecture_follows_a_strong_one() {
    let mut repositories = repositories();
    repositories.push(repository(6, "BaseOS/aarch64", Kind::Binary, Some("aarch64"), &[]));
    let mut work = work(&[("zlib-1.3-1.aarch64", "zlib")], repositories);
    work.stands_on = [Arch::X86_64, Arch::Aarch64].map(|arch| StandsOn { arch, inputs: Vec::new() }).into();

    let plan = plan(&work, &Reference::default()).unwrap();

    assert_eq!(lines(&plan), ["zlib-1.3-1.aarch64 -> BaseOS/aarch64 (SameName)"]);
    assert_eq!(reasons(&plan), ["as on x86_64: the same name is there @12"]);
}

#[test]
fn a_32_bit_package_goes_where_somebody_had_it_and_others_stay_away_and_say_why() {
    let there = ["zlib-1.2-1.x86_64", "zlib-1.2-1.i686", "tool-1-1.x86_64"];
    let product = vec![
        repository(3, "BaseOS/x86_64", Kind::Binary, Some("x86_64"), &there),
        repository(4, "debug/x86_64", Kind::Debug, Some("x86_64"), &[]),
    ];
    let reference = reference("BaseOS/x86_64", &[("acl-2-1.i686", "acl"), ("acl-2-1.x86_64", "acl")]);
    let packages = [
        ("zlib-1.3-1.i686", "zlib"),
        ("zlib-debuginfo-1.3-1.i686", "zlib"),
        ("zlib-debugsource-1.3-1.i686", "zlib"),
        ("zlib-ng-devel-1.3-1.i686", "zlib"),
        ("acl-2-2.i686", "acl"),
        ("tool-2-1.i686", "zlib"),
        ("tool-debuginfo-2-1.i686", "zlib"),
        ("strange-2-1.i686", "strange"),
    ];

    let plan = plan(&work(&packages, product), &reference).unwrap();

    assert_eq!(
        lines(&plan),
        [
            "acl-2-2.i686 -> BaseOS/x86_64 (SameVersion)",
            "zlib-1.3-1.i686 -> BaseOS/x86_64 (SameName)",
            "zlib-ng-devel-1.3-1.i686 -> BaseOS/x86_64 (ByRule)",
            "zlib-debuginfo-1.3-1.i686 -> debug/x86_64 (ByRule)",
            "zlib-debugsource-1.3-1.i686 -> debug/x86_64 (ByRule)"
        ]
    );
    let left: Vec<String> = plan.left_out.iter().map(|left| format!("{}: {}", left.nevra, left.reason)).collect();
    assert_eq!(
        left,
        [
            "strange-2-1.i686: nothing says that users of x86_64 need its i686 form",
            "tool-2-1.i686: x86_64 has it, and never had its i686 form",
            "tool-debuginfo-2-1.i686: what it debugs is not for users of x86_64"
        ]
    );
}

#[test]
fn what_is_copied_goes_where_it_comes_from_and_where_there_is_no_such_place_as_anything_else() {
    let mut work = work(&[("zlib-1.3-1.x86_64", "zlib"), ("jq-1-1.x86_64", "jq")], repositories());
    work.packages[0].places = vec!["AppStream/x86_64".into(), "CRB/x86_64".into()];
    work.packages[1].places = vec!["CRB/x86_64".into()];

    let plan = plan(&work, &Reference::default()).unwrap();

    assert_eq!(
        lines(&plan),
        ["jq-1-1.x86_64 -> AppStream/x86_64 (Default)", "zlib-1.3-1.x86_64 -> AppStream/x86_64 (Exact)"]
    );
}

fn edit(package: &str, to: &[&str]) -> MadeEdit {
    let edit = Edit { package: package.into(), to: to.iter().map(ToString::to_string).collect() };
    MadeEdit { edit, who: "ann".into(), reason: "it is basic".into(), at: Timestamp(0) }
}

#[test]
fn a_persons_word_counts_most_and_what_is_moved_goes_from_where_it_was() {
    let packages = [
        ("zlib-1.3-1.x86_64", "zlib"),
        ("zlib-1.3-1.src", "zlib"),
        ("motd-1-1.noarch", "motd"),
        ("jq-1-1.x86_64", "jq"),
    ];
    let mut work = work(&packages, repositories());
    work.edits =
        vec![edit("zlib", &["AppStream"]), edit("motd", &["BaseOS"]), edit("jq", &["AppStream"]), edit("jq", &[])];

    let plan = plan(&work, &Reference::default()).unwrap();

    assert_eq!(
        lines(&plan),
        [
            "zlib-1.3-1.x86_64 -> AppStream/x86_64 (Person)",
            "motd-1-1.noarch -> BaseOS/x86_64 (Person)",
            "zlib-1.3-1.src -> source (ByRule)"
        ]
    );
    assert_eq!(reasons(&plan)[0], "ann: it is basic");
    let removal = &plan.removals[0];
    assert_eq!((removal.nevra.to_string().as_str(), removal.repository), ("zlib-1.2-1.x86_64", RepositoryId(3)));
    assert_eq!((plan.removals.len(), plan.left_out[0].nevra.name.as_str()), (1, "jq"));
}

#[test]
fn a_person_can_only_move_a_package_to_what_is_there() {
    let mut work = work(&[("jq-1-1.x86_64", "jq")], repositories());
    work.edits = vec![edit("jq.x86_64", &["source-of-all-evil"])];

    let error = plan(&work, &Reference::default()).unwrap_err().to_string();

    assert_eq!(error, "could not place jq-1-1.x86_64: the product has no repository source-of-all-evil for it");
}
