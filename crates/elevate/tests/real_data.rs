//! The files that leapp's users have, and an Enterprise Linux's repositories.
#![cfg(shared_data)]

mod common;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anima_elevate::{
    data::{Data, Events, check::check},
    evolve::{Key, Mode, evolve, relevant},
    release::Release,
};

const SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");

fn files() -> [PathBuf; 3] {
    ["almalinux", "centos", "oraclelinux"].map(|name| Path::new(SHARED).join("leapp").join(name))
}

#[test]
fn every_file_is_read_whole_and_written_back_as_it_was() {
    for folder in files() {
        let data = Data::read(&folder).unwrap();
        assert!(data.event_count() >= 2_200, "{}: {}", folder.display(), data.event_count());
        assert!(!data.repository_maps.is_empty() && !data.drivers.is_empty());
        let text = std::fs::read_to_string(folder.join("pes-events.json")).unwrap();
        let events = Events::parse(Path::new("pes-events.json"), &text).unwrap();
        assert_eq!(*events.to_json(), serde_json::from_str::<serde_json::Value>(&text).unwrap());
    }
}

#[test]
fn the_check_of_real_data_finds_what_is_known_to_be_in_it() {
    for folder in files() {
        let findings = check(&Data::read(&folder).unwrap());
        assert!(findings.iter().all(|finding| finding.place.line > 0));
        // None of the three is clean.
        assert!(!findings.is_empty(), "{}", folder.display());
        println!("{}: {} findings", folder.display(), findings.len());
    }
}

/// Random sets of installed packages, drawn from the names that the events speak of, so that events apply: so many for each
/// file. `ANIMA_ELEVATE_SETS=100000 cargo test --release -p anima-elevate --test real_data -- --nocapture` is what was asked for.
#[test]
fn evolution_agrees_with_leapp_on_random_sets() {
    let sets: usize = std::env::var("ANIMA_ELEVATE_SETS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let mut state = 6_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    for folder in files() {
        let file = Data::read(&folder).unwrap().events.remove(0);
        let all: Vec<Key> =
            file.events.iter().flat_map(|event| &event.inputs).map(anima_elevate::evolve::key).collect();
        let mut ambiguous = BTreeSet::new();
        for (source, target) in [((7, 9), (8, 10)), ((8, 10), (9, 6))] {
            let of = |(major, minor): (u64, u64)| format!("{major}.{minor}").parse::<Release>().unwrap();
            let model = common::model::Model::new(&file.raw, "x86_64", source, target);
            let relevant = relevant(&file.events, "x86_64", of(source), of(target));
            for _ in 0..sets / 2 {
                let size = random(1_500);
                let installed: BTreeSet<Key> = (0..size).map(|_| all[random(all.len())].clone()).collect();
                let evolved = evolve(&installed, &relevant, of(source).major, Mode::Leapp);
                ambiguous.extend(evolved.ambiguous.iter().map(|(a, b, key)| (a.id, b.id, key.0.clone())));
                let ours: BTreeSet<Key> = evolved.packages.into_keys().collect();
                assert_eq!(ours, model.apply(&installed), "{}", folder.display());
            }
        }
        println!(
            "{}: {sets} sets agree with leapp; what it leaves to the order of the file: {ambiguous:?}",
            folder.display()
        );
    }
}

/// One event brings `sip` to 8.0, another takes it away there; leapp goes by their order in the file.
#[test]
fn sip_is_taken_away_or_brought_as_leapp_does_and_a_strict_reader_is_told() {
    for folder in files() {
        let file = Data::read(&folder).unwrap().events.remove(0);
        let installed: BTreeSet<Key> = ["sip", "sip-devel", "sip-macros"].map(|name| (name.to_string(), None)).into();
        let relevant = relevant(&file.events, "x86_64", "7.9".parse().unwrap(), "8.10".parse().unwrap());

        let lenient = evolve(&installed, &relevant, 7, Mode::Leapp);
        let strict = evolve(&installed, &relevant, 7, Mode::Strict);

        let theirs = common::model::Model::new(&file.raw, "x86_64", (7, 9), (8, 10)).apply(&installed);
        assert_eq!(lenient.packages.keys().cloned().collect::<BTreeSet<_>>(), theirs, "{}", folder.display());
        assert!(strict.ambiguous.iter().any(|(_, _, key)| key.0 == "sip"), "{}", folder.display());
        assert!(strict.packages.contains_key(&("sip".to_string(), None)), "{}", folder.display());
    }
}
