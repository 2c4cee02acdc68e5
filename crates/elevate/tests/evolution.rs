//! Events against a plain model of what leapp does with them, on random sets; and the files' dialects and faults.

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anima_elevate::{
    Error,
    data::{Data, Event, Events, check::check, events::Module},
    evolve::{Key, Mode, evolve, relevant},
    release::Release,
};
use common::{data, event, model::Model};
use proptest::prelude::*;

fn agrees(installed: &BTreeSet<Key>, file: &Events, source: (u64, u64), target: (u64, u64)) -> Result<(), String> {
    let of = |(major, minor): (u64, u64)| format!("{major}.{minor}").parse::<Release>().unwrap();
    let relevant = relevant(&file.events, "x86_64", of(source), of(target));
    let ours: BTreeSet<Key> =
        evolve(installed, &relevant, of(source).major, Mode::Leapp).packages.into_keys().collect();
    let theirs = Model::new(&file.raw, "x86_64", source, target).apply(installed);
    if ours == theirs { Ok(()) } else { Err(format!("{installed:?}\nours {ours:?}\nmodel {theirs:?}")) }
}

/// The stream of that number; none of the number 0.
fn stream(number: u8) -> String {
    if number == 0 { "null".into() } else { format!("{{\"name\": \"m\", \"stream\": \"{number}\"}}") }
}

fn map(streams: &[(u8, u8)]) -> String {
    let line = |(from, to): &(u8, u8)| {
        format!("{{\"in_modulestream\": {}, \"out_modulestream\": {}}}", stream(*from), stream(*to))
    };
    streams.iter().map(line).collect::<Vec<_>>().join(", ")
}

prop_compose! {
    fn any_event()(
        id in 0..1000_i64,
        action in 0..9_u64,
        inputs in prop::collection::btree_set(0..8_u8, 0..3),
        outputs in prop::collection::btree_set(0..8_u8, 0..3),
        minor in 0..3_u32,
        arch in prop::sample::select(vec!["x86_64", "aarch64"]),
        streams in prop::collection::vec((0..3_u8, 0..3_u8), 0..3),
    ) -> String {
        let names = |set: &BTreeSet<u8>| set.iter().map(|name| format!("p{name}")).collect::<Vec<_>>();
        let (inputs, outputs) = (names(&inputs), names(&outputs));
        event(id, action, &inputs.iter().map(String::as_str).collect::<Vec<_>>(), &outputs.iter().map(String::as_str).collect::<Vec<_>>())
            .replace("\"x86_64\"", &format!("\"{arch}\""))
            .replace("\"major_version\": 2, \"minor_version\": 0", &format!("\"major_version\": 2, \"minor_version\": {minor}"))
            .replace("\"initial_release\"", &format!("\"modulestream_maps\": [{}], \"initial_release\"", map(&streams)))
            .replace("\"module_stream\": null", &format!("\"modulestreams\": [null{}]", if id % 3 == 0 { format!(", {}", stream(1)) } else { String::new() }))
    }
}

proptest! {
    #[test]
    fn events_do_what_leapp_does(
        events in prop::collection::vec(any_event(), 0..12),
        installed in prop::collection::btree_set((0..8_u8, 0..3_u8), 0..8),
    ) {
        let module = |number: u8| (number > 0).then(|| Module { name: "m".into(), stream: number.to_string() });
        let installed: BTreeSet<Key> =
            installed.into_iter().map(|(name, stream)| (format!("p{name}"), module(stream))).collect();
        let outcome = agrees(&installed, &data(&events).events[0], (1, 0), (2, 1));
        prop_assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    }

    #[test]
    fn to_a_strict_reader_their_order_means_nothing(events in prop::collection::vec(any_event(), 0..12)) {
        let installed: BTreeSet<Key> = (0..8).map(|name| (format!("p{name}"), None)).collect();
        let mut events = data(&events).events.remove(0).events;
        let names = |events: &[Event]| -> BTreeMap<Key, ()> {
            let relevant = relevant(events, "x86_64", "1".parse().unwrap(), "2.2".parse().unwrap());
            evolve(&installed, &relevant, 1, Mode::Strict).packages.into_keys().map(|key| (key, ())).collect()
        };
        let forwards = names(&events);
        events.reverse();
        prop_assert_eq!(forwards, names(&events));
    }
}

#[test]
fn both_dialects_are_read_and_written_back_whole() {
    let text = r#"{
  "legal_notice": "ours",
  "packageinfo": [
    {"action": 6, "architectures": ["x86_64"], "id": 7, "more": {"kept": [1]},
     "in_packageset": {"package": [{"name": "perl", "repository": "base", "modulestreams": [null]}], "set_id": 1},
     "out_packageset": {"package": [{"name": "perl", "repository": "apps", "modulestreams": [{"name": "perl", "stream": "5.30"}]}], "set_id": 2},
     "modulestream_maps": [{"in_modulestream": null, "out_modulestream": {"name": "perl", "stream": "5.30"}}],
     "initial_release": null, "release": {"major_version": 9, "minor_version": 2, "os_name": "X"}}
  ]
}"#;

    let events = Events::parse(Path::new("new.json"), text).unwrap();

    let event = &events.events[0];
    assert_eq!(
        (event.architectures.as_slice(), event.from, event.place.line),
        (["x86_64".to_string()].as_slice(), None, 4)
    );
    assert_eq!(event.outputs[0].module.as_ref().unwrap().stream, "5.30");
    assert_eq!(*events.to_json(), serde_json::from_str::<serde_json::Value>(text).unwrap());
}

#[test]
fn an_entry_is_one_event_for_each_stream_that_its_map_leads_from() {
    let text = r#"{"packageinfo": [{"action": 7, "id": "9003", "release": {"major_version": 9, "minor_version": 0},
      "in_packageset": {"package": [{"name": "x", "repository": "a", "modulestreams": [{"name": "m", "stream": "1"}, {"name": "m", "stream": "2"}]}]},
      "out_packageset": {"package": [
        {"name": "y", "repository": "b", "modulestreams": [{"name": "m", "stream": "3"}]},
        {"name": "z", "repository": "b", "modulestreams": [null]}]},
      "modulestream_maps": [
        {"in_modulestream": {"name": "m", "stream": "1"}, "out_modulestream": {"name": "m", "stream": "3"}},
        {"in_modulestream": {"name": "m", "stream": "2"}, "out_modulestream": null}]}]}"#;

    let file = Events::parse(Path::new("new.json"), text).unwrap();

    let names = |packages: &[anima_elevate::data::events::Package]| -> Vec<String> {
        packages
            .iter()
            .map(|package| format!("{} {:?}", package.name, package.module.as_ref().map(|module| &module.stream)))
            .collect()
    };
    assert_eq!(file.events.iter().map(|event| event.id).collect::<Vec<_>>(), [9003, 9003]);
    assert_eq!(names(&file.events[0].outputs), ["y Some(\"3\")"]);
    assert_eq!(
        (names(&file.events[1].inputs), names(&file.events[1].outputs)),
        (vec!["x Some(\"2\")".into()], vec!["z None".into()])
    );
}

#[test]
fn of_a_package_that_one_event_brings_and_another_takes_the_later_decides_for_leapp() {
    let brings = event(1, 7, &["a"], &["b"]);
    let takes = event(2, 1, &["b"], &[]);
    let installed: BTreeSet<Key> = ["a", "b"].map(|name| (name.to_string(), None)).into();
    let left = |events: &[String], mode| {
        let data = data(events);
        let relevant = relevant(data.all_events(), "x86_64", "1".parse().unwrap(), "2".parse().unwrap());
        let evolved = evolve(&installed, &relevant, 1, mode);
        (evolved.packages.len(), evolved.ambiguous.len())
    };
    let (there, gone) = ((1, 1), (0, 1));

    assert_eq!(left(&[brings.clone(), takes.clone()], Mode::Leapp), gone);
    assert_eq!(left(&[takes.clone(), brings.clone()], Mode::Leapp), there);
    assert_eq!(left(&[brings.clone(), takes.clone()], Mode::Strict), there);
    assert_eq!(left(&[takes, brings], Mode::Strict), there);
}

#[test]
fn a_fault_in_a_file_is_told_with_its_line_and_column() {
    let broken = |text: &str| match Events::parse(Path::new("x.json"), text) {
        Err(Error::Data { place, reason }) => (place.line, place.column, reason),
        other => panic!("{other:?}"),
    };
    let good = event(1, 1, &["a"], &[]);

    assert_eq!(broken("{\"packageinfo\": [\n  1,\n]}").0, 3);
    let (line, _, reason) =
        broken(&format!("{{\"packageinfo\": [\n{good},\n{}]}}", good.replace("\"action\": 1", "\"action\": \"one\"")));
    assert!(line == 5 && reason.contains("invalid type: string \"one\""), "{line} {reason}");
    let (line, _, reason) = broken(&format!("{{\"packageinfo\": [\n{}]}}", event(1, 12, &["a"], &[])));
    assert!(line == 2 && reason == "action 12 is none of 0 to 8", "{line} {reason}");
}

#[test]
fn what_is_wrong_with_events_is_found() {
    let events = [
        event(1, 7, &["a"], &["b"]),
        event(2, 7, &["b"], &["a"]),
        event(3, 3, &["self"], &["self"]),
        event(4, 1, &["bash"], &[]),
        event(5, 3, &["c"], &["d"]),
        event(6, 1, &["c"], &[]),
        event(7, 4, &["nothing"], &[]),
        event(8, 1, &["e"], &[]),
        event(9, 1, &["e"], &[]),
        event(10, 7, &["f"], &["e"]),
        event(11, 4, &[], &["g"]),
        event(12, 1, &["h"], &[]).replace("x86_64", "noarch"),
        event(13, 2, &["i", "j"], &[]),
        event(14, 8, &["k"], &[]),
        event(15, 3, &["systemd"], &[]),
        event(16, 1, &["l"], &[]).replace("\"major_version\": 1", "\"major_version\": 3"),
        event(17, 4, &["m"], &["n", "o"]),
        event(18, 5, &["n"], &["q"]),
        event(19, 7, &["r"], &["q"]),
    ];

    let found: Vec<(String, usize)> =
        check(&data(&events)).into_iter().map(|finding| (finding.code, finding.place.line)).collect();

    let has = |code: &str, id: usize| found.contains(&(code.to_string(), 3 * id));
    assert!(has("circle", 2), "{found:?}");
    assert!(has("self_reference", 3) && has("protected", 4) && has("contradiction", 6), "{found:?}");
    assert!(has("no_outputs", 7) && has("duplicate", 9) && has("brought_and_removed", 10), "{found:?}");
    assert!(has("idle", 11) && has("unknown_architecture", 12) && has("deprecated_together", 13), "{found:?}");
    assert!(has("reinstalled_without_outputs", 14) && has("protected", 15) && has("backwards", 16), "{found:?}");
    assert_eq!(found.iter().filter(|(code, _)| code == "circle").count(), 1, "{found:?}");
    assert!(check(&Data::default()).is_empty());
}
