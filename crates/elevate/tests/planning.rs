//! Every fate, by hand: what becomes of a small machine, and why.

mod common;

use anima_elevate::plan::{Fate, Level, Plan, Wishes};
use common::{event, installed, plan_of};

/// Returns fate and successors of a package.
fn fate(plan: &Plan, name: &str) -> (Fate, Vec<String>) {
    let found: Vec<_> = plan.of(name).collect();
    assert_eq!(found.len(), 1, "{name}: {plan:#?}");
    (found[0].fate, found[0].after.clone())
}

fn reasons(plan: &Plan, name: &str) -> String {
    plan.of(name).flat_map(|package| &package.reasons).map(|reason| reason.text.as_str()).collect::<Vec<_>>().join(" ")
}

fn codes(plan: &Plan, level: Level) -> Vec<&str> {
    plan.findings.iter().filter(|finding| finding.level == level).map(|finding| finding.code.as_str()).collect()
}

#[test]
fn packages_are_upgraded_downgraded_kept_and_orphaned() {
    let machine = vec![installed("bash", "1", &[]), installed("old", "9", &[]), installed("mine", "1", &["bash"])];

    let plan = plan_of(machine, &[], &[("bash", "2", &[], &[]), ("old", "3", &[], &[])], &Wishes::default());

    assert_eq!(fate(&plan, "bash"), (Fate::Upgrade, vec!["bash-2-1.el2.x86_64".into()]));
    assert_eq!(fate(&plan, "old"), (Fate::Downgrade, vec!["old-3-1.el2.x86_64".into()]));
    assert_eq!(fate(&plan, "mine"), (Fate::Orphan, vec!["mine-1-1.el1.x86_64".into()]));
    assert_eq!(plan.transaction.download_bytes, 1000);
    assert_eq!(plan.transaction.grows_bytes, 2000);
    assert_eq!((plan.is_blocked(), codes(&plan, Level::Tell)), (false, vec!["orphans"]));
}

#[test]
fn events_say_what_becomes_of_packages_and_the_plan_says_which_event_it_was() {
    let machine =
        ["renamed", "replaced", "split", "one", "two", "removed"].map(|name| installed(name, "1", &[])).to_vec();
    let events = [
        event(1, 7, &["renamed"], &["other-name"]),
        event(2, 3, &["replaced"], &["successor"]),
        event(3, 4, &["split"], &["split", "split-libs"]),
        event(4, 5, &["one", "two"], &["whole"]),
        event(5, 1, &["removed"], &[]),
    ];
    let names = ["other-name", "successor", "split", "split-libs", "whole"];
    let available = names.map(|name| (name, "2", [].as_slice(), [].as_slice()));

    let plan = plan_of(machine, &events, &available, &Wishes::default());

    let after = |name: &str| vec![format!("{name}-2-1.el2.x86_64")];
    assert_eq!(fate(&plan, "renamed"), (Fate::Rename, after("other-name")));
    assert_eq!(fate(&plan, "replaced"), (Fate::Replace, after("successor")));
    assert_eq!(fate(&plan, "split"), (Fate::Split, [after("split"), after("split-libs")].concat()));
    assert_eq!(fate(&plan, "one"), (Fate::Merge, after("whole")));
    assert_eq!(fate(&plan, "two"), (Fate::Merge, after("whole")));
    assert_eq!(fate(&plan, "removed"), (Fate::Remove, vec![]));
    assert!(reasons(&plan, "one").contains("Event 4: one, two merged in 2.0 → whole."), "{}", reasons(&plan, "one"));
    let place = plan.of("renamed").next().unwrap().reasons[0].place.clone().unwrap();
    assert_eq!((place.file.to_str(), place.line), (Some("pes-events.json"), 3));
    assert!(plan.packages.iter().all(|package| package.fate != Fate::Install), "each is somebody's successor");
}

#[test]
fn obsoletes_of_the_repository_count_too() {
    let plan = plan_of(vec![installed("a", "1", &[])], &[], &[("b", "2", &[], &["a"])], &Wishes::default());

    assert_eq!(fate(&plan, "a"), (Fate::Replace, vec!["b-2-1.el2.x86_64".into()]));
    assert!(reasons(&plan, "a").contains("Obsoletes"), "{}", reasons(&plan, "a"));
}

#[test]
fn what_needs_a_removed_package_goes_with_it_and_a_person_is_asked() {
    let machine = vec![installed("lib", "1", &[]), installed("app", "1", &["lib"])];

    let plan = plan_of(machine, &[event(1, 1, &["lib"], &[])], &[("other", "1", &[], &[])], &Wishes::default());

    assert_eq!(fate(&plan, "app").0, Fate::Remove);
    assert!(reasons(&plan, "app").contains("lib"), "{}", reasons(&plan, "app"));
    assert_eq!(codes(&plan, Level::Ask), ["removed_by_dependency"]);
}

#[test]
fn what_a_machine_needs_never_goes() {
    let machine = vec![installed("bash", "1", &[]), installed("sudo", "1", &[])];
    let events = [event(1, 1, &["bash"], &[]), event(2, 3, &["sudo"], &["gone"])];

    let plan = plan_of(machine, &events, &[("other", "1", &[], &[])], &Wishes::default());

    assert_eq!((fate(&plan, "bash").0, fate(&plan, "sudo").0), (Fate::Orphan, Fate::Orphan));
    assert_eq!(codes(&plan, Level::Ask), ["protected"]);
    assert!(codes(&plan, Level::Tell).contains(&"successor_missing"));
}

#[test]
fn a_person_has_the_last_word() {
    let machine = vec![installed("a", "1", &[]), installed("b", "1", &[])];
    let wishes = Wishes {
        keep: ["a".to_string()].into(),
        remove: ["b".to_string()].into(),
        install: ["c".to_string()].into(),
        ..Wishes::default()
    };

    let plan = plan_of(machine, &[event(1, 1, &["a"], &[])], &[("c", "1", &["d"], &[]), ("d", "1", &[], &[])], &wishes);

    assert_eq!(fate(&plan, "a").0, Fate::Orphan);
    assert_eq!(fate(&plan, "b").0, Fate::Remove);
    assert_eq!((fate(&plan, "c").0, fate(&plan, "d").0), (Fate::Install, Fate::Install));
    assert!(reasons(&plan, "d").contains('c'), "{}", reasons(&plan, "d"));
}

#[test]
fn what_cannot_be_installed_is_left_out_and_told() {
    let events = [event(1, 7, &["a"], &["b"])];

    let plan = plan_of(vec![installed("a", "1", &[])], &events, &[("b", "2", &["nowhere"], &[])], &Wishes::default());

    let told = plan.findings.iter().find(|finding| finding.code == "left_out").unwrap();
    assert!(told.message.contains("nowhere"), "{told:?}");
    assert_eq!(fate(&plan, "a").0, Fate::Remove);
}

#[test]
fn what_the_data_leaves_open_is_told_and_refused_if_that_is_asked_for() {
    let machine = || vec![installed("a", "1", &[]), installed("b", "1", &[])];
    let events = [event(1, 7, &["a"], &["b"]), event(2, 1, &["b"], &[])];
    let available = [("b", "2", [].as_slice(), [].as_slice())];

    let lenient = plan_of(machine(), &events, &available, &Wishes::default());
    let strict = plan_of(machine(), &events, &available, &Wishes { strict: true, ..Wishes::default() });

    assert_eq!((lenient.is_blocked(), fate(&lenient, "b").0), (false, Fate::Remove));
    assert_eq!((codes(&strict, Level::Block), fate(&strict, "b").0), (vec!["ambiguous"], Fate::Upgrade));
}

#[test]
fn the_order_in_which_things_are_named_changes_nothing() {
    let machine: Vec<_> = (0..20).map(|at| installed(&format!("p{at}"), "1", &[])).collect();
    let events: Vec<String> = (0..20)
        .map(|at| event(at, [7, 1, 3][at as usize % 3], &[&format!("p{at}")], &[&format!("q{}", at / 2)]))
        .collect();
    let names: Vec<String> = (0..20).map(|at| format!("q{at}")).chain((0..20).map(|at| format!("p{at}"))).collect();
    let available: Vec<common::Available<'_>> =
        names.iter().map(|name| (name.as_str(), "2", [].as_slice(), [].as_slice())).collect();
    let mut backwards = (machine.clone(), available.clone());
    backwards.0.reverse();
    backwards.1.reverse();

    let forwards = plan_of(machine, &events, &available, &Wishes::default());
    let backwards = plan_of(backwards.0, &events, &backwards.1, &Wishes::default());

    assert_eq!(forwards.packages, backwards.packages);
}
