//! Every fate, by hand: what becomes of a small machine, and why.

mod common;

use anima_elevate::{
    data::{Data, Lists, Signatures, UpgradePaths},
    facts::{Facts, Installed, Mount},
    plan::{Fate, Level, Plan, Target, TargetRepository, Verdict, Wishes, plan},
    probes::{Probed, ProbedKind},
};
use anima_repodata::Checksum;
use common::{event, installed, plan_of};
use proptest::prelude::*;

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

/// Plans with facts of one's own.
fn plan_with(facts: &Facts, data: &Data, available: &[common::Available<'_>]) -> Plan {
    let folder = tempfile::tempdir().unwrap();
    common::repository(folder.path(), available);
    let repositories = vec![TargetRepository { id: "base".into(), folder: folder.path().to_path_buf() }];
    plan(facts, data, &Target { release: "2".parse().unwrap(), repositories, cache: None }, &Wishes::default()).unwrap()
}

#[test]
fn a_system_that_moves_to_another_distribution_gets_the_others_release_package() {
    let mut release = installed("seed-release", "1", &[]);
    release.provides.push("system-release = 1".into());
    let machine = vec![release, installed("editor", "1", &["system-release"])];
    let mut facts = common::facts(machine);
    facts.os.release = "2".parse().unwrap();

    let plan = plan_with(&facts, &Data::default(), &[("sprout-release", "2", &[], &[]), ("editor", "1", &[], &[])]);

    assert_eq!(fate(&plan, "seed-release").0, Fate::Remove);
    assert_eq!(fate(&plan, "sprout-release").0, Fate::Install);
    assert_eq!(fate(&plan, "editor").0, Fate::Upgrade, "of the other vendor, in the same transaction");
}

#[test]
fn room_is_asked_of_each_file_system_that_grows() {
    let mut facts = common::facts(vec![installed("kernel-core", "1", &[])]);
    let mount = |path: &str, free_mib: u64| Mount {
        path: path.into(),
        kind: "xfs".into(),
        total_bytes: 1 << 40,
        free_bytes: free_mib << 20,
        is_writable: true,
    };
    facts.mounts = vec![mount("/", 9000), mount("/boot", 140), mount("/var", 100)];

    let plan = plan_with(&facts, &Data::default(), &[("kernel-core", "2", &[], &[])]);

    let short: Vec<&str> = plan
        .costs
        .rooms
        .iter()
        .filter(|room| room.free_bytes < room.needed_bytes)
        .map(|room| room.path.as_str())
        .collect();
    assert_eq!(short, ["/boot", "/var"]);
    assert_eq!(plan.findings.iter().filter(|finding| finding.code == "space").count(), 2);
    assert_eq!(plan.verdict(), Verdict::Blocked);
}

#[test]
fn what_edits_can_mend_is_fixable_and_all_is_found_in_one_pass() {
    let mut facts = common::facts(vec![installed("bash", "1", &[])]);
    let link = Probed { kind: ProbedKind::Link { target: "/usr/bin".into() }, is_immutable: false };
    let locked = Probed { kind: ProbedKind::Text { text: "bash-0:1-1.*\n".into() }, is_immutable: false };
    facts.probes.as_mut().unwrap().files =
        [("/bin".to_string(), link), ("/etc/dnf/plugins/versionlock.list".to_string(), locked)].into();

    let plan = plan_with(&facts, &Data::default(), &[("bash", "2", &[], &[])]);

    assert_eq!(plan.verdict(), Verdict::Fixable);
    assert_eq!(
        (codes(&plan, Level::Block), codes(&plan, Level::Ask)),
        (vec!["absolute_root_links"], vec!["versionlock"])
    );
}

#[test]
fn events_do_not_speak_of_packages_that_no_known_key_has_signed() {
    let mut theirs = installed("theirs", "1", &[]);
    theirs.key_id = "fedcba9876543210".into();
    let facts = common::facts(vec![installed("ours", "1", &[]), theirs]);
    let mut data = common::data(&[event(1, 1, &["ours"], &[]), event(2, 1, &["theirs"], &[])]);
    data.signatures.push(Signatures { keys: vec!["0123456789abcdef".into()], ..Signatures::default() });

    let plan = plan_with(&facts, &data, &[("other", "1", &[], &[])]);

    assert_eq!((fate(&plan, "ours").0, fate(&plan, "theirs").0), (Fate::Remove, Fate::Orphan));
    let told = plan.findings.iter().find(|finding| finding.code == "third_party").unwrap();
    assert_eq!(told.evidence, ["theirs-1-1.el1.x86_64 (key fedcba9876543210)"]);
}

#[test]
fn the_owners_lists_and_the_known_ways_count() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("to_remove"), "a\nb\n").unwrap();
    std::fs::write(folder.path().join("to_keep"), "b\n").unwrap();
    let mut data = Data { lists: Lists::read(folder.path()).unwrap(), ..Data::default() };
    let ways = "{\"default\": {\"1\": [\"2.1\"]}}";
    data.upgrade_paths.push(UpgradePaths::parse(std::path::Path::new("upgrade_paths.json"), ways).unwrap());
    let facts = common::facts(vec![installed("a", "1", &[]), installed("b", "1", &[])]);

    let plan = plan_with(&facts, &data, &[("b", "2", &[], &[])]);

    assert_eq!((fate(&plan, "a").0, fate(&plan, "b").0), (Fate::Remove, Fate::Upgrade));
    assert_eq!(codes(&plan, Level::Ask), ["unknown_path"]);
}

#[test]
fn of_several_kernels_one_new_one_comes_and_each_old_one_is_told() {
    let kernels = vec![installed("kernel-core", "1", &[]), installed("kernel-core", "2", &[])];

    let plan = plan_of(kernels, &[], &[("kernel-core", "3", &[], &[])], &Wishes::default());

    let fates: Vec<_> =
        plan.of("kernel-core").map(|package| (package.before.clone(), package.fate, package.after.clone())).collect();
    let new = vec!["kernel-core-3-1.el2.x86_64".to_string()];
    let old = |version: &str| Some(format!("kernel-core-{version}-1.el1.x86_64"));
    assert_eq!(fates, [(old("1"), Fate::Upgrade, new.clone()), (old("2"), Fate::Upgrade, new)]);
    assert_eq!((plan.transaction.install.len(), plan.transaction.erase.len()), (1, 2));
    assert_eq!(codes(&plan, Level::Tell), ["several_kernels"]);
}

#[test]
fn packages_from_nowhere_stay_if_they_can_are_told_and_go_only_with_what_they_need() {
    let from_nowhere = |name: &str, requires: &[&str]| Installed {
        key_id: String::new(),
        vendor: String::new(),
        ..installed(name, "1", requires)
    };
    let machine = vec![
        installed("bash", "1", &[]),
        installed("lib", "1", &[]),
        from_nowhere("script", &["bash"]),
        from_nowhere("tool", &["lib"]),
    ];

    let plan = plan_of(machine, &[event(1, 1, &["lib"], &[])], &[("bash", "2", &[], &[])], &Wishes::default());

    assert_eq!((fate(&plan, "script").0, fate(&plan, "tool").0), (Fate::Orphan, Fate::Remove));
    assert!(reasons(&plan, "tool").contains("lib"), "{}", reasons(&plan, "tool"));
    let told = |code: &str| plan.findings.iter().find(|finding| finding.code == code).unwrap().message.clone();
    assert!(
        told("unsigned").contains("script, tool") && told("removed_by_dependency").contains("tool"),
        "{:?}",
        plan.findings
    );
    assert!(!plan.is_blocked());
}

/// A package as the target's repository has it.
fn as_in_target(name: &str) -> Installed {
    let provides = vec![format!("{name} = 2-1.el2")];
    Installed {
        version: "2".into(),
        release: "1.el2".into(),
        provides,
        built_at_secs: common::BUILT_AT_SECS,
        ..installed(name, "2", &[])
    }
}

#[test]
fn what_its_owner_or_an_event_wants_installed_again_is_though_the_target_has_the_same_version() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("to_reinstall"), "a\nnowhere\nelsewhere\n").unwrap();
    let mut data = common::data(&[event(1, 8, &["c"], &["c"])]);
    data.lists = Lists::read(folder.path()).unwrap();
    let machine = ["a", "b", "c", "elsewhere"].map(as_in_target).to_vec();

    let plan = plan_with(
        &common::facts(machine),
        &data,
        &["a", "b", "c"].map(|name| (name, "2", [].as_slice(), [].as_slice())),
    );

    let again: Vec<&str> = plan.packages.iter().filter(|it| it.is_again).map(|it| it.name.as_str()).collect();
    assert_eq!(again, ["a", "c"]);
    let comes: Vec<&str> = plan.transaction.install.iter().map(|package| package.nevra.as_str()).collect();
    assert_eq!(comes, ["a-2-1.el2.x86_64", "c-2-1.el2.x86_64"]);
    assert!(reasons(&plan, "a").contains("installed again"), "{}", reasons(&plan, "a"));
    assert_eq!(fate(&plan, "b"), (Fate::Keep, vec!["b-2-1.el2.x86_64".into()]));
    let told: Vec<&str> =
        plan.findings.iter().filter(|it| it.code == "not_installed_again").map(|it| it.message.as_str()).collect();
    assert!(told.len() == 2 && told[0].contains("elsewhere") && told[1].contains("nowhere"), "{told:?}");
}

#[test]
fn a_repository_that_was_cut_off_is_told_and_no_plan_made() {
    let folder = tempfile::tempdir().unwrap();
    common::repository(folder.path(), &[("bash", "2", &[], &[])]);
    let primary = folder.path().join("repodata/primary.xml");
    let whole = std::fs::read(&primary).unwrap();
    std::fs::write(&primary, &whole[..whole.len() / 2]).unwrap();
    let repositories = vec![TargetRepository { id: "base".into(), folder: folder.path().to_path_buf() }];
    let target = Target { release: "2".parse().unwrap(), repositories, cache: None };

    let error = plan(&common::facts(vec![]), &Data::default(), &target, &Wishes::default()).unwrap_err().to_string();

    assert!(error.contains("repository base") && error.contains("fetch it again"), "{error}");
}

#[test]
fn packages_of_streams_that_nobody_enabled_are_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    common::repository(folder.path(), &[("php", "8", &[], &[]), ("php", "9", &[], &[])]);
    let modules =
        "document: modulemd\ndata:\n  name: php\n  stream: 9\n  artifacts:\n    rpms:\n    - php-0:9-1.el2.x86_64\n";
    std::fs::write(folder.path().join("repodata/modules.yaml"), modules).unwrap();
    let repomd = folder.path().join("repodata/repomd.xml");
    let record = format!(
        "<data type=\"modules\"><checksum type=\"sha256\">{}</checksum><location href=\"repodata/modules.yaml\"/>\
         <timestamp>1</timestamp></data></repomd>",
        Checksum::sha256(modules.as_bytes()).hex
    );
    let text = std::fs::read_to_string(&repomd).unwrap().replace("</repomd>", &record);
    std::fs::write(&repomd, text).unwrap();
    let repositories = vec![TargetRepository { id: "base".into(), folder: folder.path().to_path_buf() }];
    let target = Target { release: "2".parse().unwrap(), repositories, cache: None };

    let facts = common::facts(vec![installed("php", "7", &[])]);
    let plan = plan(&facts, &Data::default(), &target, &Wishes::default()).unwrap();

    assert_eq!(fate(&plan, "php"), (Fate::Upgrade, vec!["php-8-1.el2.x86_64".into()]));
}

#[test]
fn what_was_read_of_a_repository_is_kept_for_the_next_plan_until_it_changes() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let repositories = vec![TargetRepository { id: "base".into(), folder: folder.path().to_path_buf() }];
    let target = Target { release: "2".parse().unwrap(), repositories, cache: Some(cache.path().to_path_buf()) };
    let of_version = |version: &str| {
        common::repository(folder.path(), &[("bash", version, &[], &[])]);
        let facts = common::facts(vec![installed("bash", "1", &[])]);
        let plan = plan(&facts, &Data::default(), &target, &Wishes::default()).unwrap();
        (fate(&plan, "bash").1, std::fs::read_dir(cache.path()).unwrap().count())
    };

    assert_eq!(of_version("2"), (vec!["bash-2-1.el2.x86_64".to_string()], 1));
    assert_eq!(of_version("2"), (vec!["bash-2-1.el2.x86_64".to_string()], 1));
    assert_eq!(of_version("3"), (vec!["bash-3-1.el2.x86_64".to_string()], 2));
}

/// An event: its action, inputs and outputs.
type Spoken = (u64, Vec<usize>, Vec<usize>);
/// What is installed and whether it needs its neighbour, events, and what the target has; all by their numbers.
type World = (Vec<(usize, bool)>, Vec<Spoken>, Vec<usize>);

fn any_world() -> impl Strategy<Value = World> {
    let names = || prop::collection::vec(0..12_usize, 0..3);
    (
        prop::collection::vec((0..12_usize, any::<bool>()), 0..10),
        prop::collection::vec((0..9_u64, names(), names()), 0..8),
        prop::collection::vec(0..16_usize, 0..12),
    )
}

/// Names of the world's packages; the first few are of those that a machine needs.
fn name(number: usize) -> String {
    ["bash", "glibc", "systemd", "rpm"].get(number).map_or_else(|| format!("p{number}"), ToString::to_string)
}

fn texts(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

fn unique(mut numbers: Vec<usize>) -> Vec<usize> {
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn world_plan(world: &World, is_reversed: bool) -> Plan {
    let (machine, events, available) = world;
    let mut by_number: Vec<(usize, bool)> = machine.clone();
    by_number.sort_unstable();
    by_number.dedup_by_key(|package| package.0);
    let mut packages: Vec<_> = by_number
        .iter()
        .map(|(number, needs)| {
            let needed = name((number + 1) % 12);
            let requires = if *needs { vec![needed.as_str()] } else { Vec::new() };
            installed(&name(*number), "1", &requires)
        })
        .collect();
    let of = |numbers: &[usize]| unique(numbers.to_vec()).into_iter().map(name).collect::<Vec<_>>();
    let events: Vec<String> = events
        .iter()
        .zip(0..)
        .map(|((action, inputs, outputs), id)| {
            let (inputs, outputs) = (of(inputs), of(outputs));
            event(id, *action, &texts(&inputs), &texts(&outputs))
        })
        .collect();
    let names: Vec<String> = unique(available.clone()).into_iter().map(name).collect();
    let mut available: Vec<common::Available<'_>> =
        names.iter().map(|name| (name.as_str(), "2", &[][..], &[][..])).collect();
    if is_reversed {
        packages.reverse();
        available.reverse();
    }
    let mut plan = plan_of(packages, &events, &available, &Wishes::default());
    // rpm's order of installation is one of many that are right.
    plan.transaction.install.sort_by(|a, b| a.nevra.cmp(&b.nevra));
    plan
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_plan_does_not_depend_on_the_order_of_what_it_is_made_from(world in any_world()) {
        let forwards = world_plan(&world, false);

        prop_assert_eq!(&forwards, &world_plan(&world, false), "the same input has the same plan");
        prop_assert_eq!(forwards, world_plan(&world, true));
    }

    #[test]
    fn what_a_machine_needs_is_there_afterwards_or_the_plan_is_blocked(world in any_world()) {
        let plan = world_plan(&world, false);

        for package in plan.packages.iter().filter(|package| ["bash", "glibc", "systemd", "rpm"].contains(&package.name.as_str())) {
            let has_gone = package.fate == Fate::Remove;
            prop_assert!(!has_gone || plan.is_blocked(), "{package:#?} {:#?}", plan.findings);
        }
    }
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
