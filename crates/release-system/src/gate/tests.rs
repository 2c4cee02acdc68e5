//! What the gates find.

use super::*;
use crate::{
    evidence::{Closure, Head},
    reference::Reference,
};
use anima_types::{
    Arch, Sha256,
    gate::{Level, MAX_FOUND, decide},
    id::{ReleaseId, RepositoryId},
    product::Quota,
    release::PlanRemoval,
    repository::{Repository, RepositoryPackage},
    work::{Holding, PlanRepository},
};

/// A product with jq 1.7 and its source, each of content 1.
fn work(packages: &[&str], content: u8) -> PlanWork {
    let repositories = vec![
        repository(1, "BaseOS/x86_64", Kind::Binary, &["jq-1.7-1.x86_64"]),
        repository(2, "debug/x86_64", Kind::Debug, &[]),
        repository(3, "source", Kind::Source, &["jq-1.7-1.src"]),
    ];
    let packages = packages.iter().map(|nevra| PlanPackage::new(package(nevra, content), Some(Arch::X86_64)));
    PlanWork::new(ReleaseId(7), packages.collect(), repositories)
}

fn repository(id: i64, path: &str, kind: Kind, packages: &[&str]) -> PlanRepository {
    PlanRepository::new(
        Repository {
            id: RepositoryId(id),
            product: "seed-1".into(),
            path: path.into(),
            kind,
            arch: (kind != Kind::Source).then(|| "x86_64".into()),
            current: 12,
            package_count: packages.len() as i64,
        },
        packages.iter().map(|nevra| package(nevra, 1)).collect(),
    )
}

fn package(nevra: &str, content: u8) -> RepositoryPackage {
    let source = nevra.split('-').next().unwrap().to_string();
    RepositoryPackage { nevra: nevra.parse().unwrap(), artifact: Sha256([content; 32]), source, header_sha256: None }
}

fn asked(work: &PlanWork, evidence: &Evidence) -> Vec<Answer> {
    let plan = crate::plan::plan(work, &Reference::default()).unwrap();
    answers(work, &plan, evidence)
}

fn lines(gates: &[Answer]) -> Vec<String> {
    let lines = gates
        .iter()
        .flat_map(|answer| answer.found.iter().map(move |finding| format!("{}: {}", answer.gate.name(), finding.text)));
    lines.collect()
}

fn found(work: &PlanWork) -> Vec<String> {
    lines(&asked(work, &Evidence::none()))
}

#[test]
fn an_ordinary_update_opens_every_gate() {
    let work = work(&["jq-1.8-1.x86_64", "jq-debuginfo-1.8-1.x86_64", "jq-1.8-1.src"], 2);

    let gates = asked(&work, &Evidence::none());

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
fn the_same_package_with_another_signature_is_no_other_and_is_not_asked_again() {
    let packages = ["jq-1.7-1.x86_64", "jq-1.7-1.src", "xz-5-1.x86_64"];
    let mut work = work(&packages, 2);
    work.packages_url = Some("http://master.example/packages".into());
    let headers = |package: &mut RepositoryPackage| package.header_sha256 = Some(Sha256([9; 32]));
    work.packages.iter_mut().for_each(|package| headers(&mut package.package));
    work.repositories.iter_mut().flat_map(|each| &mut each.packages).for_each(headers);

    let same = found(&work);
    work.packages[0].package.header_sha256 = Some(Sha256([8; 32]));
    let other = found(&work);

    let wanted = [
        "verdict: xz-5-1.x86_64 was never tested",
        "missing-source: xz-5-1.x86_64 has no source package xz",
        "missing-debug: xz has packages for x86_64, and no debug package",
        "placement: xz-5-1.x86_64 goes to BaseOS/x86_64",
    ];
    assert_eq!(same, wanted);
    assert!(other[0].starts_with("duplicate: jq-1.7-1.x86_64 is another file"), "{other:?}");
}

#[test]
fn a_nevra_that_is_in_another_repository_of_the_product_is_found_too() {
    let mut work = work(&["vim-9-1.x86_64", "vim-debuginfo-9-1.x86_64", "vim-9-1.src"], 2);
    work.repositories.push(repository(4, "Extras/x86_64", Kind::Binary, &["vim-debuginfo-9-1.x86_64"]));

    let found = found(&work);

    let wanted = "duplicate: vim-debuginfo-9-1.x86_64 is another file in Extras/x86_64@12: give it a higher release";
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

    let gates = asked(&work, &Evidence::none());

    assert_eq!(decide(&gates), anima_types::gate::Decision::Blocked(vec![Gate::Downgrade]));
}

#[test]
fn a_flood_of_findings_is_counted_and_its_first_lines_are_kept() {
    let packages: Vec<String> = (0..MAX_FOUND + 5).map(|number| format!("p{number}-1-1.x86_64")).collect();
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();

    let gates = asked(&work(&packages, 2), &Evidence::none());

    let sources = gates.iter().find(|answer| answer.gate == Gate::MissingSource).unwrap();
    assert_eq!((sources.found_count as usize, sources.found.len()), (MAX_FOUND + 5, MAX_FOUND));
}

fn head(size_bytes: u64) -> Head {
    Head {
        licence: "MIT".into(),
        size_bytes,
        installed_size_bytes: size_bytes,
        scripts: BTreeSet::new(),
        privileges: BTreeSet::new(),
        signature: Ok(()),
    }
}

/// Evidence of headers: content 1 is what users have, content 2 what comes.
fn heads(old: Head, new: Head) -> Evidence {
    let heads = [(Sha256([1; 32]), old), (Sha256([2; 32]), new)].into();
    Evidence { heads: Asked::Found(heads), ..Evidence::none() }
}

#[test]
fn what_a_package_does_that_the_one_before_did_not_is_found_with_its_facts() {
    let work = work(&["jq-1.8-1.x86_64", "jq-debuginfo-1.8-1.x86_64"], 2);
    let new = Head {
        licence: "MIT AND ICU".into(),
        scripts: ["post".to_string(), "pre".to_string()].into(),
        privileges: ["/usr/bin/jq: setuid root".to_string()].into(),
        ..head(9 << 20)
    };
    let old = Head { scripts: ["pre".to_string()].into(), ..head(4 << 20) };

    let gates = asked(&work, &heads(old, new));

    let lines = lines(&gates);
    for wanted in [
        "licence: jq-1.8-1.x86_64 has the licence \"MIT AND ICU\", jq-1.7-1.x86_64 had \"MIT\"",
        "privilege: jq-1.8-1.x86_64 runs a post script, which jq-1.7-1.x86_64 did not",
        "privilege: jq-1.8-1.x86_64 brings /usr/bin/jq: setuid root",
        "size: jq-1.8-1.x86_64 has 9437184 bytes (file), jq-1.7-1.x86_64 had 4194304",
    ] {
        assert!(lines.iter().any(|line| line == wanted), "{wanted} is not in {lines:#?}");
    }
    let size = gates.iter().find(|answer| answer.gate == Gate::Size).unwrap();
    assert_eq!(size.found[0].facts["bytes_before"], "4194304");
    assert!(!lines.iter().any(|line| line.contains("runs a pre script")), "{lines:#?}");
}

#[test]
fn a_new_package_may_have_scripts_and_its_rights_are_told() {
    let work = work(&["ping-1-1.x86_64"], 2);
    let new = Head {
        scripts: ["post".to_string()].into(),
        privileges: ["/usr/bin/ping: cap_net_raw=ep".to_string()].into(),
        ..head(1)
    };

    let gates = asked(&work, &heads(head(1), new));

    let of = |gate| lines(&gates).into_iter().filter(|line| line.starts_with(gate)).collect::<Vec<_>>();
    assert_eq!(of("privilege"), ["privilege: ping-1-1.x86_64 brings /usr/bin/ping: cap_net_raw=ep"]);
    assert_eq!((of("size").len(), of("licence").len()), (0, 0));
}

#[test]
fn a_package_without_the_products_signature_is_found() {
    let work = work(&["jq-1.8-1.x86_64"], 2);
    let unsigned = Head { signature: Err("could not verify the package: it is not signed".into()), ..head(1) };

    let gates = asked(&work, &heads(head(1), unsigned));

    let signature = gates.iter().find(|answer| answer.gate == Gate::Signature).unwrap();
    assert_eq!((signature.found_count, signature.level), (1, Level::Block));
    assert!(signature.found[0].text.ends_with("it is not signed"), "{signature:?}");
}

#[test]
fn what_the_tests_did_not_find_good_is_found_and_sources_are_not_asked_for() {
    let mut work = work(&["jq-1.8-1.x86_64", "vim-9-1.x86_64", "xz-5-1.x86_64", "jq-1.8-1.src"], 2);
    work.packages_url = Some("http://master.example/packages".into());
    work.packages[0].is_green = Some(true);
    work.packages[1].is_green = Some(false);

    let found = found(&work);

    let verdicts: Vec<_> = found.iter().filter(|line| line.starts_with("verdict")).collect();
    assert_eq!(
        verdicts,
        ["verdict: the tests did not find vim-9-1.x86_64 good", "verdict: xz-5-1.x86_64 was never tested"]
    );
}

#[test]
fn a_product_that_would_hold_more_than_it_may_is_told_how_much() {
    let mut work = work(&["jq-1.8-1.x86_64", "vim-9-1.x86_64"], 2);
    work.usage = Holding { quota: Quota { packages: Some(2), bytes: Some(1_000) }, bytes: 900 };
    let quota = |work: &PlanWork| {
        let gates = asked(work, &heads(head(900), head(1_200)));
        lines(&gates).into_iter().filter(|line| line.starts_with("quota")).collect::<Vec<_>>()
    };

    // jq takes the place of jq, vim comes, the source stays: three packages. Files of one content count once.
    let over = quota(&work);
    work.removals = vec![PlanRemoval {
        nevra: "jq-1.7-1.src".parse().unwrap(),
        repository: RepositoryId(3),
        repository_path: "source".into(),
        reason: "it goes".into(),
    }];
    let fewer = quota(&work);

    assert_eq!(
        over,
        [
            "quota: the product would hold 3 packages, and may hold 2",
            "quota: the product would hold 2100 bytes, and may hold 1000"
        ]
    );
    assert_eq!(fewer, ["quota: the product would hold 1200 bytes, and may hold 1000"]);
}

#[test]
fn what_could_not_be_asked_counts_as_found_and_what_nobody_can_ask_is_noted() {
    let mut work = work(&["jq-1.8-1.x86_64"], 2);
    work.gates.insert(Gate::Closure, Level::Block);
    let failed = Evidence { closure: Asked::Failed("the mirror burns".into()), ..Evidence::none() };

    let gates = asked(&work, &failed);

    let of = |gate| gates.iter().find(|answer| answer.gate == gate).unwrap();
    assert_eq!(of(Gate::Closure).found[0].text, "could not be asked: the mirror burns");
    assert_eq!((of(Gate::FileConflict).found_count, of(Gate::FileConflict).note.is_some()), (0, true));
    assert_eq!(decide(&gates), anima_types::gate::Decision::Blocked(vec![Gate::Closure]));
}

#[test]
fn what_was_broken_before_is_told_and_shuts_no_gate() {
    let known = vec![Finding { text: "old sorrow".into(), ..Finding::default() }];
    let closure = Closure { asked_count: 3, known, ..Closure::default() };
    let evidence = Evidence { closure: Asked::Found(closure), ..Evidence::none() };

    let gates = asked(&work(&["jq-1.8-1.x86_64"], 2), &evidence);

    let closure = gates.iter().find(|answer| answer.gate == Gate::Closure).unwrap();
    assert_eq!((closure.is_shut(), closure.known_count, closure.known[0].text.as_str()), (false, 1, "old sorrow"));
    assert!(closure.note.as_ref().unwrap().starts_with("packages asked: 3"), "{closure:?}");
}
